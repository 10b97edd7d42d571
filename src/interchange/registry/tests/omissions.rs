//! Parts of a server that no field of a connector has.

use super::super::*;
use super::{entry, metadata, object, rank, warnings};
use crate::interchange::reader;
use serde_json::{Value, json};
use std::{collections::HashMap, convert::Infallible, fs, path::PathBuf};

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
