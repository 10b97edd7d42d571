mod omissions;

use super::*;
use entity::{ConnectorCategory, ConnectorStatus::*, ServerType};
use serde_json::{Value, json};

fn object(json: &Value) -> Object {
    object::parse(&json.to_string()).unwrap()
}

fn parsed(json: &Value) -> ParsedEntry {
    parse(&object(json)).unwrap_or_else(|rejections| panic!("{json}: {rejections:?}"))
}

fn entry(json: &Value) -> Entry {
    parsed(json).entry
}

fn warnings(json: &Value) -> Vec<String> {
    let warnings = parsed(json).warnings.into_iter();
    warnings.map(|warning| warning.text).collect()
}

fn metadata(entry: &Entry) -> Value {
    entry
        .details
        .metadata
        .as_deref()
        .map_or(Value::Null, |json| serde_json::from_str(json).unwrap())
}

fn rank(json: &Value) -> Rank {
    identify(&object(json)).unwrap().rank
}

#[test]
fn tells_a_server_from_a_connector() {
    for (json, expected) in [
        (json!({"name": "io.example/a"}), true),
        (json!({"server": {"name": "io.example/a"}}), true),
        (json!({"server": 1}), true),
        (json!({"name": "a", "remotes": []}), true),
        (json!({"name": "a", "version_detail": {}}), true),
        (
            json!({"name": "a", "$schema": "https://a.example/server.schema.json"}),
            true,
        ),
        (json!({"name": "a", "packages": {"b": 1}}), false),
        (
            json!({"name": "io.example/a", "object": "personal_connector"}),
            false,
        ),
        (json!({"name": "GitHub"}), false),
        (json!({"id": "pcon_a"}), false),
        (json!({}), false),
    ] {
        assert_eq!(is_server(&object(&json)), expected, "{json}");
    }
}

#[test]
fn a_server_becomes_an_official_connector() {
    let server = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.acme/weather",
        "title": "Weather",
        "description": "Rain or shine",
        "version": "1.2.3",
        "websiteUrl": "https://weather.example",
        "icons": [{"src": "http://weather.example/a.png"}, {"src": "https://weather.example/b.png"}],
        "remotes": [
            {"type": "sse", "url": "https://weather.example/sse"},
            {"type": "streamable-http", "url": "https://weather.example/mcp"},
        ],
        "_meta": {"io.modelcontextprotocol.registry/publisher-provided": {"tool": "ci"}},
    });
    let page_element = json!({"server": server, "_meta": {OFFICIAL: {
        "status": "deprecated",
        "statusMessage": "Use io.github.acme/climate",
        "publishedAt": "2025-09-10T12:00:00.123456Z",
        "updatedAt": "2025-10-11T12:00:00.1234567Z",
        "isLatest": true,
    }}});
    let entry = entry(&page_element);
    assert_eq!(entry.connector_id, "io.github.acme/weather");
    assert!(
        field_values::is_id(&entry.id) && entry.id.len() == 31,
        "{}",
        entry.id
    );
    assert_eq!(entry.id, "pcon_1hexnv6eck86nvqwffhcaf1pwj");
    assert_eq!(entry.r#type, ConnectorType::Official);
    assert_eq!(entry.visibility, ConnectorVisibility::Public);
    assert_eq!(entry.details.name.text, "Weather");
    assert_eq!(entry.details.description.as_deref(), Some("Rain or shine"));
    assert_eq!(
        entry.details.icon_url.as_deref(),
        Some("https://weather.example/b.png")
    );
    assert_eq!(entry.details.category, None::<ConnectorCategory>);
    assert_eq!(entry.details.version.as_deref(), Some("1.2.3"));
    assert_eq!(entry.details.server_type, Some(ServerType::Http));
    assert_eq!(
        entry.details.server_url.as_deref(),
        Some("https://weather.example/mcp")
    );
    assert_eq!(entry.availability.status, Deprecated);
    assert_eq!(
        entry.availability.message.as_deref(),
        Some("Use io.github.acme/climate")
    );
    assert_eq!(
        entry.created_at.unwrap().to_string(),
        "2025-09-10T12:00:00.123456Z"
    );
    assert_eq!(
        entry.updated_at.unwrap().to_string(),
        "2025-10-11T12:00:00.123456Z"
    );
    assert_eq!(
        entry.details.metadata.unwrap(),
        json!({
            "$schema": server["$schema"],
            "websiteUrl": server["websiteUrl"],
            "icons": server["icons"],
            "remotes": server["remotes"],
            "_meta": {
                "io.modelcontextprotocol.registry/publisher-provided": {"tool": "ci"},
                // The field has microsecond precision only.
                OFFICIAL: {"updatedAt": "2025-10-11T12:00:00.1234567Z", "isLatest": true},
            },
        })
        .to_string(),
    );
}

#[test]
fn keeps_in_metadata_what_no_field_holds() {
    for (more, expected) in [
        (json!({}), Value::Null),
        (
            json!({"title": "T", "description": "", "version": "1.0.0", "status": "active"}),
            Value::Null,
        ),
        (json!({"title": " T "}), json!({"title": " T "})),
        (
            json!({"title": "x".repeat(101)}),
            json!({"title": "x".repeat(101)}),
        ),
        (
            json!({"version": "2025.01.01"}),
            json!({"version": "2025.01.01"}),
        ),
        (
            json!({"icons": [{"src": "https://a.example/i"}]}),
            Value::Null,
        ),
        (
            json!({"icons": [{"src": "https://a.example/i", "theme": "dark"}]}),
            json!({"icons": [{"src": "https://a.example/i", "theme": "dark"}]}),
        ),
        (
            json!({"icons": [{"src": "data:,"}]}),
            json!({"icons": [{"src": "data:,"}]}),
        ),
        (json!({"icons": []}), json!({"icons": []})),
        (json!({"x": null, "_meta": null}), json!({"x": null})),
        (
            json!({"_meta": {OFFICIAL: {"status": "active"}}}),
            Value::Null,
        ),
        (
            json!({"status": "active", "_meta": {OFFICIAL: {"status": "deprecated"}}}),
            json!({"status": "active"}),
        ),
        (
            json!({"_meta": {OFFICIAL: {"publishedAt": "0001-01-01T00:00:00Z"}}}),
            json!({"_meta": {OFFICIAL: {"publishedAt": "0001-01-01T00:00:00Z"}}}),
        ),
        (
            json!({"_meta": {"b": 1, "a": [2]}}),
            json!({"_meta": {"b": 1, "a": [2]}}),
        ),
    ] {
        let mut server = json!({"name": "io.example/server"});
        server
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let around = json!({"server": server});
        for json in [&server, &around] {
            assert_eq!(metadata(&entry(json)), expected, "{json}");
        }
    }
    let text =
        r#"{"name":"io.example/a", "z" : 1.10, "a":12345678901234567890123, "_meta":{"k" : 1e2}}"#;

    let entry = parse(&object::parse(text).unwrap()).unwrap().entry;

    assert_eq!(
        entry.details.metadata.unwrap(),
        r#"{"z":1.10,"a":12345678901234567890123,"_meta":{"k":1e2}}"#
    );
    assert_eq!(entry.details.name.text, "a");
    assert_eq!((entry.created_at, entry.updated_at), (None, None));
}

#[test]
fn addresses() {
    use ServerType::*;
    let remote = |r#type: &str, url: &str| json!({"type": r#type, "url": url});
    let package =
        |r#type: &str| json!({"transport": {"type": r#type, "url": "http://localhost:{port}"}});
    for (remotes, packages, expected) in [
        (vec![], vec![], (None, None)),
        (
            vec![
                remote("sse", "https://a.example/1"),
                remote("sse", "https://a.example/2"),
            ],
            vec![],
            (Some(Http), Some("https://a.example/1")),
        ),
        (
            vec![
                remote("websocket", "wss://a.example"),
                remote("sse", "https://a.example"),
            ],
            vec![],
            (Some(Http), Some("https://a.example")),
        ),
        (
            vec![remote("websocket", "wss://a.example")],
            vec![],
            (Some(Websocket), Some("wss://a.example")),
        ),
        (
            vec![remote("streamable-http", "https://{host}.example/mcp")],
            vec![package("stdio")],
            (Some(Http), None),
        ),
        (
            vec![remote("streamable-http", "https://a.example/{tenant}/mcp")],
            vec![],
            (Some(Http), None),
        ),
        (
            vec![remote("streamable-http", "mcp.example")],
            vec![],
            (Some(Http), None),
        ),
        // The first usable remote, and the spelling of others.
        (
            vec![
                remote("streamable-http", "https://{host}.example/mcp"),
                remote("streamable-http", "https://user:pass@a.example/mcp"),
                remote("streamable-http", "https://a.example/mcp?api_key=abc"),
                remote("sse", "https://a.example/sse"),
                remote("streamable_http", "https://a.example/mcp"),
            ],
            vec![],
            (Some(Http), Some("https://a.example/mcp")),
        ),
        (
            vec![
                json!(7),
                json!({"url": "https://a.example/1"}),
                json!({"transport_type": "sse", "url": "https://a.example/2"}),
            ],
            vec![],
            (Some(Http), Some("https://a.example/2")),
        ),
        (
            vec![],
            vec![json!({"registry_name": "npm"})],
            (Some(Stdio), None),
        ),
        (
            vec![remote("carrier-pigeon", "https://a.example")],
            vec![package("stdio")],
            (Some(Stdio), None),
        ),
        (
            vec![],
            vec![package("stdio"), package("stdio")],
            (Some(Stdio), None),
        ),
        (
            vec![],
            vec![package("stdio"), package("sse")],
            (Some(Http), None),
        ),
        (vec![], vec![json!({})], (None, None)),
    ] {
        let json = json!({"name": "io.example/a", "remotes": remotes, "packages": packages});
        let entry = entry(&json);
        assert_eq!(
            (
                entry.details.server_type,
                entry.details.server_url.as_deref()
            ),
            expected,
            "{json}"
        );
    }
}

#[test]
fn names_and_ids() {
    for (title, name, expected) in [
        (Some("Title"), "io.example/server", "Title"),
        (Some(" "), "io.example/server", "server"),
        (None, "io.example/server", "server"),
    ] {
        assert_eq!(display_name(name, title.map(ToOwned::to_owned)), expected);
    }
    let id = |name: &str| entry(&json!({"name": name})).id;
    assert_eq!(id("io.example/a"), id("io.example/a"));
    assert_ne!(id("io.example/a"), id("io.example/A"));
    let long = format!("io.example/{}", "x".repeat(189));
    assert!(identify(&object(&json!({"name": long}))).is_ok());
    for name in [
        json!(format!("{long}x")),
        json!("a"),
        json!("a/b/c"),
        json!("/a"),
        json!("a/"),
        json!("a_b/c"),
        json!("a/b c"),
        json!(7),
        Value::Null,
    ] {
        let json = json!({"server": {"name": name}});
        for rejections in [
            parse(&object(&json)).unwrap_err(),
            identify(&object(&json)).unwrap_err(),
        ] {
            assert_eq!(
                rejections.iter().map(|r| &*r.field).collect::<Vec<_>>(),
                ["name"],
                "{json}"
            );
        }
    }
}

#[test]
fn says_everything_that_is_wrong() {
    for (json, expected) in [
        (json!({"server": 1}), &["server"][..]),
        (json!({"server": {"name": "a/b"}, "_meta": 1}), &["_meta"]),
        (
            json!({"name": "a/b", "title": 1, "description": 2, "version": 3, "status": 4}),
            &["status", "title", "version", "description"],
        ),
        (json!({"name": "a/b", "status": "asleep"}), &["status"]),
        (json!({"name": "a/b", "status": "deleted"}), &["status"]),
        (
            json!({"name": "a/b", "remotes": {}, "packages": 1, "icons": "x"}),
            &["remotes", "packages", "icons"],
        ),
        (
            json!({"name": "a/b", "description": "x".repeat(2001)}),
            &["description"],
        ),
        (
            json!({"name": "a/b", "x": "x".repeat(field_values::METADATA_BYTES)}),
            &["metadata"],
        ),
        (
            json!({"name": "a/b", "_meta": {OFFICIAL: {"isLatest": "yes"}}}),
            &["_meta.io.modelcontextprotocol.registry/official"],
        ),
        (
            json!({"server": {"name": "a/b", "_meta": {"k": 1}}, "_meta": {"k": 2}}),
            &["_meta.k"],
        ),
        (json!({"server": {"name": "a/b", "x": 1}, "x": 1}), &["x"]),
    ] {
        let rejections = parse(&object(&json)).unwrap_err();
        let named: Vec<_> = rejections
            .iter()
            .map(|rejection| &*rejection.field)
            .collect();
        assert_eq!(named, expected, "{json}: {rejections:?}");
    }
    let twice = object::parse(r#"{"server":{"name":"a/b","name":"a/c"}}"#).unwrap();
    assert_eq!(identify(&twice).unwrap_err()[0].field, "server.name");
}

#[test]
fn the_latest_version_ranks_highest() {
    const EARLY: &str = "2025-01-01T00:00:00Z";
    const LATE: &str = "2025-01-01T00:00:00.000000001Z";
    let version = |version: &str, latest: Option<bool>, published: &str| {
        json!({"name": "a/b", "version": version,
        "_meta": {OFFICIAL: {"isLatest": latest, "publishedAt": published}}})
    };
    let rising = [
        version("stable", None, EARLY),
        version("latest", None, LATE),
        version("2024-12-31", None, LATE),
        version("2025-01-01", None, EARLY),
        json!({"name": "a/b", "version": "0.0.1"}),
        version("1.0.0-rc.9", None, EARLY),
        version("v1.0.0-rc.10", None, EARLY),
        version("1.0.0+build.2", Some(false), EARLY),
        version("v1.0", None, LATE),
        version("v1.9.0", None, LATE),
        version("v1.10.0", None, EARLY),
        version("1.10.0.1", None, EARLY),
        version("V9", None, EARLY),
        version("2025.01.09", None, EARLY),
        version("2025.1.10", None, EARLY),
        version("v1", Some(true), EARLY),
        version("1.0.1", Some(true), EARLY),
    ];
    for pair in rising.windows(2) {
        assert!(rank(&pair[0]) < rank(&pair[1]), "{} < {}", pair[0], pair[1]);
    }
    let deleted = |json: &Value| identify(&object(json)).unwrap().deleted;
    assert!(deleted(&json!({"name": "a/b", "status": "deleted"})));
    assert!(deleted(
        &json!({"name": "a/b", "status": "active", "_meta": {OFFICIAL: {"status": "deleted"}}})
    ));
    assert!(!deleted(&json!({"name": "a/b"})));
}
