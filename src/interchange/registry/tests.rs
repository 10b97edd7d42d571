use std::{collections::HashMap, convert::Infallible, fs, path::PathBuf};

use entity::{ConnectorCategory, ConnectorStatus::*, ServerType};
use serde_json::{Value, json};

use super::*;
use crate::interchange::reader;

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

#[test]
fn says_what_it_left_out() {
    let server = |more: Value| {
        let mut server = json!({"name": "io.example/server", "version": "1.0.0"});
        server
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        server
    };
    let remote = |r#type: &str, url: &str| json!({"remotes": [{"type": r#type, "url": url}]});
    for (more, expected) in [
        (
            json!({"title": "T", "icons": [{"src": "https://a.example/i"}, {"src": "data:,"}]}),
            &[][..],
        ),
        (
            remote("streamable-http", "https://a.example/mcp?page=1"),
            &[],
        ),
        (
            remote("carrier-pigeon", "https://a.example"),
            &[
                "remotes[0] is left out: its type is carrier-pigeon; expected streamable-http, sse, websocket or stdio",
            ],
        ),
        (
            remote("streamable_http", "https://a.example"),
            &["remotes[0]: the type streamable_http is read as streamable-http"],
        ),
        (
            remote("sse", "https://{tenant}.example"),
            &[
                "remotes[0] has no usable URL, and stays in the metadata only: https://{tenant}.example is a template, \
                 and its variables have no values here",
            ],
        ),
        (
            remote("sse", "a.example"),
            &[
                "remotes[0] has no usable URL, and stays in the metadata only: a.example must be an absolute URL that \
                 begins with https:// or http://",
            ],
        ),
        (
            json!({"remotes": [7]}),
            &["remotes[0] is left out: it must be a JSON object"],
        ),
        (
            json!({"icons": [{"src": "http://a.example/i"}]}),
            &["icons has no src that begins with https://, and stays in the metadata only"],
        ),
        (
            json!({"version": "v1.0"}),
            &["version v1.0 is not semantic, and stays in the metadata only"],
        ),
        (
            json!({"title": "x".repeat(101)}),
            &["title cannot be a name, and stays in the metadata only"],
        ),
    ] {
        assert_eq!(warnings(&server(more.clone())), expected, "{more}");
    }
}

#[test]
fn no_secret_becomes_metadata() {
    let server = json!({
        "name": "io.example/server",
        "repository": {"url": "https://bob:hunter2@git.example/a"},
        "remotes": [{
            "type": "streamable-http",
            "url": "https://a.example/{tenant}?api_key=abc&page=1",
            "headers": [
                {"name": "Authorization", "value": "Bearer abc"},
                {"name": "X-Api-Key", "value": "Bearer {key}", "isSecret": true},
                {"name": "X-Page", "value": "7"},
                {"name": "X-Other", "default": "abc", "isSecret": true},
            ],
            "variables": {"tenant": {"default": "acme"}, "token": {"value": "abc"}},
        }],
        "packages": [{
            "environmentVariables": [{"name": "API_KEY", "value": "abc"}, {"name": "MODE", "value": "fast"}],
            "runtimeArguments": [{"type": "named", "name": "--token", "value": "abc"}],
        }],
    });
    let entry = entry(&server);
    let mut expected = server.clone();
    expected.as_object_mut().unwrap().shift_remove("name");
    for (at, value) in [
        ("/repository/url", "https://git.example/a"),
        (
            "/remotes/0/url",
            "https://a.example/{tenant}?api_key=REDACTED&page=1",
        ),
        ("/remotes/0/headers/0/value", "REDACTED"),
        ("/remotes/0/headers/2/value", "REDACTED"),
        ("/remotes/0/headers/3/default", "REDACTED"),
        ("/remotes/0/variables/token/value", "REDACTED"),
        ("/packages/0/environmentVariables/0/value", "REDACTED"),
        ("/packages/0/environmentVariables/1/value", "REDACTED"),
        ("/packages/0/runtimeArguments/0/value", "REDACTED"),
    ] {
        *expected.pointer_mut(at).unwrap() = value.into();
    }
    assert_eq!(metadata(&entry), expected);
    assert_eq!(entry.details.server_url, None);
    let texts = warnings(&server);
    assert!(texts.contains(&"remotes[0] has no usable URL, and stays in the metadata only: its url has a secret in \
                             it".to_owned()), "{texts:?}");
    assert!(
        texts.iter().any(
            |text| text.starts_with("9 secrets are left out of the metadata: repository.url, ")
        ),
        "{texts:?}"
    );
    assert!(!format!("{entry:?}{texts:?}").contains("abc"), "{texts:?}");
}

#[test]
fn forms_of_2025() {
    let may = json!({
        "id": "8b3c", "name": "io.github.acme/old", "description": "d",
        "version_detail": {"version": "1.2.3", "release_date": "2025-05-16T18:56:49Z", "is_latest": true},
        "packages": [{"registry_name": "npm", "name": "old", "version": "1.2.3"}],
    });
    let july = json!({
        "server": {"name": "io.github.acme/old", "description": "d", "version_detail": {"version": "1.2.3"}},
        "x-io.modelcontextprotocol.registry": {
            "id": "8b3c", "published_at": "2025-05-16T18:56:49Z", "release_date": "2025-05-16T18:56:49Z",
            "is_latest": true,
        },
    });
    for server in [may, july] {
        assert!(is_server(&object(&server)));
        let entry = entry(&server);
        assert_eq!(entry.details.version.as_deref(), Some("1.2.3"), "{server}");
        assert_eq!(
            entry.created_at.unwrap().to_string(),
            "2025-05-16T18:56:49Z"
        );
        let newer = json!({"name": "io.github.acme/old", "version": "1.3.0"});
        assert!(
            rank(&newer) < rank(&server),
            "the registry's own word counts more"
        );
        assert_eq!(warnings(&server), [""; 0]);
    }
}

/// Checks that every scalar of `said` is at the same path in `metadata`, or in a field.
fn assert_held(at: &str, said: &Value, metadata: Option<&Value>, fields: &[String]) {
    match said {
        Value::Object(members) => {
            for (key, value) in members {
                assert_held(
                    &format!("{at}/{key}"),
                    value,
                    metadata.and_then(|m| m.get(key)),
                    fields,
                );
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                assert_held(
                    &format!("{at}/{index}"),
                    value,
                    metadata.and_then(|m| m.get(index)),
                    fields,
                );
            }
        }
        scalar => assert!(
            metadata == Some(scalar)
                || scalar == ""
                || scalar
                    .as_str()
                    .is_some_and(|text| fields.iter().any(|field| field == text)),
            "{at}: {scalar} is lost"
        ),
    }
}

fn every_field(entry: &Entry) -> Vec<String> {
    let details = &entry.details;
    let times = [entry.created_at, entry.updated_at].into_iter().flatten();
    [
        &details.description,
        &details.icon_url,
        &details.version,
        &details.server_url,
        &entry.availability.message,
    ]
    .into_iter()
    .flatten()
    .chain([&details.name.text, &entry.connector_id])
    .cloned()
    .chain([word(entry.availability.status)])
    .chain(times.map(|time| time.to_string()))
    .collect()
}

#[test]
#[ignore = "needs the real catalogues in ../shared/data"]
fn every_server_of_the_real_files_is_accounted_for() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    // Six servers of the first file have passwords, or variable values in docker arguments.
    for (file, secret, expected) in [
        ("registry-servers-2025-10.json", 6, [358, 358, 0, 0, 0]),
        ("registry-servers-2025-12.json", 0, [4, 3, 1, 0, 0]),
        ("registry-v0.1-list-response.json", 1, [100, 100, 0, 0, 0]),
    ] {
        let text = fs::read_to_string(data.join(file))
            .unwrap_or_else(|error| panic!("this test needs ../shared/data/{file}: {error}"));
        let (mut newest, mut older, mut deleted, mut rejected) = (HashMap::new(), 0, 0, 0);
        let total = reader::read(text.as_bytes(), |event| {
            let reader::Event::Element(element) = event else {
                return Ok(());
            };
            let object = element.object.unwrap();
            assert!(is_server(&object));
            match identify(&object) {
                Err(_) => rejected += 1,
                Ok(version) if version.deleted => deleted += 1,
                Ok(Version { name, rank, .. }) => match newest.get(&name) {
                    Some((present, _)) if *present > rank => older += 1,
                    _ => older += u64::from(newest.insert(name, (rank, object)).is_some()),
                },
            }
            Ok::<_, Infallible>(())
        })
        .unwrap();
        let (mut parsed, mut with_secrets) = (0, 0);
        for (_, object) in newest.into_values() {
            let Ok(ParsedEntry { entry, warnings }) = parse(&object) else {
                rejected += 1;
                continue;
            };
            parsed += 1;
            if warnings
                .iter()
                .any(|warning| warning.kind.contains("secret"))
            {
                with_secrets += 1;
                continue;
            }
            let mut said: Value = serde_json::to_value(&object).unwrap();
            if let Some(server) = said.get("server").cloned() {
                said = server;
            }
            assert_held("", &said, Some(&metadata(&entry)), &every_field(&entry));
        }
        println!(
            "{file}: {total} = {parsed} parsed + {older} older + {deleted} deleted + {rejected} rejected"
        );
        assert_eq!(with_secrets, secret, "{file}");
        assert_eq!(parsed + older + deleted + rejected, total);
        assert_eq!(
            [total, parsed, older, deleted, rejected],
            expected,
            "{file}"
        );
    }
}
