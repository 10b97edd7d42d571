use entity::{ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType};
use serde_json::{Value, json};

use super::*;
use crate::interchange::shape::{self, Section};

fn assumed() -> Assumed {
    Assumed {
        organization: Some("acme".to_owned()),
        visibility: ConnectorVisibility::Organization,
    }
}

fn read(section: Section, key: Option<&str>, json: &Value) -> Result<ParsedEntry, Vec<Rejection>> {
    let object = object::parse(&json.to_string()).unwrap();
    let form = shape::recognise(section, &object).unwrap();
    parse(form, key, &object, &assumed())
}

/// Returns type, URL and metadata of the connector, and the warnings.
fn taken(
    section: Section,
    key: Option<&str>,
    json: &Value,
) -> (Option<ServerType>, Option<String>, Value, Vec<String>) {
    let ParsedEntry { entry, warnings } =
        read(section, key, json).unwrap_or_else(|wrong| panic!("{json}: {wrong:?}"));
    assert_eq!(entry.r#type, ConnectorType::Custom);
    assert_eq!(entry.organization.as_deref(), Some("acme"));
    let details = entry.details;
    let metadata = details
        .metadata
        .map_or(Value::Null, |json| serde_json::from_str(&json).unwrap());
    let warnings = warnings.into_iter().map(|warning| warning.text);
    (
        details.server_type,
        details.server_url,
        metadata,
        warnings.collect(),
    )
}

#[test]
fn servers_of_clients() {
    use ServerType::*;
    for (json, expected) in [
        (
            json!({"command": "npx", "args": ["-y", "x"]}),
            (
                Stdio,
                None,
                json!({"command": "npx", "args": ["-y", "x"]}),
                &[][..],
            ),
        ),
        (
            json!({"command": "npx", "env": {"API_KEY": "abc", "MODE": "fast", "TOKEN": "${input:token}",
                "EMPTY": ""}}),
            (
                Stdio,
                None,
                json!({"command": "npx", "env": ["API_KEY", "MODE", "TOKEN", "EMPTY"]}),
                &["2 values of env are left out; the names stay in the metadata"],
            ),
        ),
        (
            json!({"command": "npx -y x --api-key abc", "args": ["--token=abc"]}),
            (
                Stdio,
                None,
                json!({"command": "npx -y x --api-key REDACTED", "args": ["--token=REDACTED"]}),
                &["secrets of the command and its args are left out"],
            ),
        ),
        (
            json!({"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer abc"}}),
            (
                Http,
                Some("https://a.example/mcp"),
                json!({"headers": ["Authorization"]}),
                &["1 value of headers is left out; the names stay in the metadata"],
            ),
        ),
        (
            json!({"httpUrl": "https://user:pass@a.example/mcp?api_key=abc&a=1", "headers": {"A": "${A}"}}),
            (
                Http,
                Some("https://a.example/mcp?a=1"),
                json!({"headers": ["A"]}),
                &["a secret is left out of the url: user name, password, parameter or fragment"],
            ),
        ),
        (
            json!({"serverUrl": "wss://a.example", "disabled": false, "autoApprove": [], "auth": {}}),
            (
                Websocket,
                Some("wss://a.example"),
                Value::Null,
                &["these keys are left out: autoApprove, auth"],
            ),
        ),
        (
            json!({"type": "carrier-pigeon", "url": "https://a.example"}),
            (
                Http,
                Some("https://a.example"),
                Value::Null,
                &["the type carrier-pigeon is not known, and left out"],
            ),
        ),
        // Zed's form.
        (
            json!({"command": {"path": "npx", "args": ["x"]}}),
            (Stdio, None, json!({"command": "npx", "args": ["x"]}), &[]),
        ),
    ] {
        let (r#type, url, metadata, warnings) = taken(Section::ClientServers, Some("x"), &json);
        let (expected_type, expected_url, expected_metadata, expected_warnings) = expected;
        assert_eq!(
            (r#type, url.as_deref()),
            (Some(expected_type), expected_url),
            "{json}"
        );
        assert_eq!(
            (metadata, &warnings[..]),
            (
                expected_metadata,
                &expected_warnings
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()[..]
            ),
            "{json}"
        );
    }
}

#[test]
fn servers_of_clients_that_are_wrong() {
    for (json, field) in [
        (json!({}), "url"),
        (json!({"url": 1}), "url"),
        (json!({"url": "https://${HOST}/mcp"}), "url"),
        (json!({"url": "a.example"}), "serverUrl"),
        (json!({"command": 1}), "command"),
        (json!({"command": "a", "args": "b"}), "args"),
        (json!({"command": "a", "env": []}), "env"),
    ] {
        let rejections = read(Section::ClientServers, Some("x"), &json).unwrap_err();
        assert!(
            rejections.iter().any(|rejection| rejection.field == field),
            "{json}: {rejections:?}"
        );
        assert!(rejections.len() <= 2, "{json}: {rejections:?}");
    }
}

#[test]
fn a_name_of_an_organization_is_one_connector() {
    let of = |organization: &str, key: &str| {
        let assumed = Assumed {
            organization: Some(organization.to_owned()),
            ..assumed()
        };
        id_of(Some(key), &Object::new(), &assumed).unwrap()
    };
    assert_eq!(of("acme", "a"), of("acme", "a"));
    assert_eq!(of("acme", "a"), of("acme", "A"));
    assert_ne!(of("acme", "a"), of("acme", "b"));
    assert_ne!(of("acme", "a"), of("globex", "a"));
    let entry = read(Section::ClientServers, Some("a"), &json!({"command": "x"}))
        .unwrap()
        .entry;
    assert_eq!(
        (entry.id, &*entry.details.name.text),
        (of("acme", "a"), "a")
    );
    let nobody = Assumed {
        organization: None,
        ..assumed()
    };
    let object = object::parse(r#"{"command":"x"}"#).unwrap();
    let rejections = parse(Form::Client, Some("a"), &object, &nobody).unwrap_err();
    assert_eq!(
        rejections[0].to_string(),
        "organization is required, as the file does not name one: add --organization"
    );
}

#[test]
fn servers_of_other_catalogues() {
    use ServerType::*;
    let docker = json!({
        "name": "github", "image": "mcp/github", "type": "server",
        "meta": {"category": "devops", "tags": ["git"]},
        "about": {"title": "GitHub", "description": "Issues", "icon": "https://a.example/i"},
        "source": {"project": "https://github.com/github/github-mcp-server"},
        "config": {"secrets": [{"name": "github.token", "env": "TOKEN", "example": "<TOKEN>"}],
            "env": [{"name": "API_KEY", "value": "abc"}]},
    });
    let ParsedEntry { entry, warnings } = read(Section::Open, None, &docker).unwrap();
    let details = entry.details;
    assert_eq!(
        (&*details.name.text, details.server_type),
        ("GitHub", Some(Stdio))
    );
    assert_eq!(details.description.as_deref(), Some("Issues"));
    assert_eq!(details.icon_url.as_deref(), Some("https://a.example/i"));
    let mut metadata = docker.clone();
    metadata["config"]["env"][0]["value"] = "REDACTED".into();
    for held in ["name", "about"] {
        metadata.as_object_mut().unwrap().shift_remove(held);
    }
    assert_eq!(details.metadata.unwrap(), metadata.to_string());
    assert_eq!(warnings.len(), 1, "{warnings:?}");

    let remote = json!({"title": "Docs", "type": "remote", "remote": {"transport_type": "sse",
        "url": "https://a.example/sse"}});
    let (r#type, url, ..) = taken(Section::DockerRegistry, Some("docs"), &remote);
    assert_eq!(
        (r#type, url.as_deref()),
        (Some(Http), Some("https://a.example/sse"))
    );

    let mcpm = json!({
        "name": "brave", "display_name": "Brave", "description": "Search",
        "installations": {"npm": {"type": "npm", "command": "npx", "args": ["-y", "b"],
            "env": {"BRAVE_API_KEY": "${BRAVE_API_KEY}"}}},
        "tools": [{"name": "search", "description": "x".repeat(20_000)}],
    });
    let (r#type, url, metadata, warnings) = taken(Section::Packages, Some("brave"), &mcpm);
    assert_eq!((r#type, url), (Some(Stdio), None));
    assert_eq!(metadata, json!({"installations": mcpm["installations"]}));
    assert_eq!(
        warnings,
        ["tools is left out: metadata has at most 16384 bytes"]
    );

    let image = json!({"image": "a/b", "transport": "streamable-http", "description": "d", "status": "Deprecated"});
    let entry = read(Section::Servers, Some("b"), &image).unwrap().entry;
    assert_eq!(entry.availability.status, ConnectorStatus::Deprecated);
    assert_eq!(entry.details.server_type, Some(Stdio));
    let remote = json!({"url": "https://a.example", "transport": "streamable-http",
        "headers": [{"name": "X", "secret": true, "default": "abc"}]});
    let (r#type, url, metadata, _) = taken(Section::RemoteServers, Some("r"), &remote);
    assert_eq!(
        (r#type, url.as_deref()),
        (Some(Http), Some("https://a.example"))
    );
    assert_eq!(metadata["headers"][0]["default"], "REDACTED");
}
