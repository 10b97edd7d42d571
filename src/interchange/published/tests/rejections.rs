//! Rejections and warnings about published objects.

use super::super::*;
use super::{CUSTOM, GITHUB, assumed, changed, parse_text};
use crate::interchange::object;
use serde_json::{Value, json};

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn says_everything_that_is_wrong() {
    let rejected = |base, changes| {
        let rejections = parse_text(&changed(base, &changes), &assumed()).unwrap_err();
        rejections
            .into_iter()
            .map(|r| (r.field, r.reason))
            .collect::<Vec<_>>()
    };
    for (base, changes, expected) in [
        (
            GITHUB,
            json!({"id": "github"}),
            &[("id", "id must be pcon_ and up to 59 ASCII")][..],
        ),
        (GITHUB, json!({"id": null}), &[("id", "id is required")]),
        (
            GITHUB,
            json!({"object": "absent", "name": "absent"}),
            &[
                ("object", "object is required"),
                ("name", "name is required"),
            ],
        ),
        (
            GITHUB,
            json!({"object": "server"}),
            &[("object", "object must be personal_connector")],
        ),
        (
            GITHUB,
            json!({"colour": null}),
            &[("colour", "colour is not a key of a personal connector")],
        ),
        (
            GITHUB,
            json!({"name": 7}),
            &[("name", "name must be a string")],
        ),
        (
            GITHUB,
            json!({"name": " "}),
            &[("name", "name must not be blank")],
        ),
        (
            GITHUB,
            json!({"type": "Official"}),
            &[(
                "type",
                "type must be one of official, aitronos_built, custom",
            )],
        ),
        (
            GITHUB,
            json!({"category": "games"}),
            &[(
                "category",
                "category must be one of productivity, development, communication, design, custom",
            )],
        ),
        (
            GITHUB,
            json!({"status": true}),
            &[("status", "status must be a string")],
        ),
        (
            GITHUB,
            json!({"status": "off", "replacedBy": "pcon_b"}),
            &[(
                "status",
                "status must be one of active, deprecated, maintenance",
            )],
        ),
        (
            GITHUB,
            json!({"serverType": "sse"}),
            &[(
                "serverType",
                "serverType must be one of http, websocket, stdio",
            )],
        ),
        (
            GITHUB,
            json!({"serverType": "stdio"}),
            &[("serverUrl", "serverUrl must be left out")],
        ),
        (
            GITHUB,
            json!({"connectorId": "custom_mcp"}),
            &[("connectorId", "connectorId must not be custom_mcp")],
        ),
        (
            GITHUB,
            json!({"metadata": []}),
            &[("metadata", "metadata must be a JSON object")],
        ),
        (
            GITHUB,
            json!({"metadata": "{}"}),
            &[("metadata", "metadata must be a JSON object")],
        ),
        (
            GITHUB,
            json!({"version": "1.0"}),
            &[("version", "version must be a semantic version")],
        ),
        (
            GITHUB,
            json!({"iconUrl": "http://a.b/c"}),
            &[("iconUrl", "iconUrl must be an absolute URL")],
        ),
        (
            GITHUB,
            json!({"replacedBy": "pcon_b"}),
            &[("replacedBy", "replacedBy must be left out unless")],
        ),
        (
            GITHUB,
            json!({"status": "deprecated", "replacedBy": "pcon_github"}),
            &[("replacedBy", "replacedBy must be another connector")],
        ),
        (
            GITHUB,
            json!({"status": "deprecated", "replacedBy": "b"}),
            &[("replacedBy", "replacedBy must be pcon_")],
        ),
        (
            GITHUB,
            json!({"statusMessage": "\u{0}"}),
            &[("statusMessage", "statusMessage must have no control")],
        ),
        (
            GITHUB,
            json!({"createdBy": "u", "organization": "o", "visibility": "private"}),
            &[
                ("organization", "organization is for custom connectors"),
                ("createdBy", "createdBy is for custom connectors"),
                ("visibility", "visibility must be public"),
            ],
        ),
        (
            GITHUB,
            json!({"createdAt": "2025-01-01"}),
            &[("createdAt", "createdAt must be an RFC 3339 time")],
        ),
        (
            GITHUB,
            json!({"updatedAt": "0000-01-01T00:00:00+01:00"}),
            &[("updatedAt", "updatedAt must be an RFC 3339 time")],
        ),
        (
            GITHUB,
            json!({"updatedAt": "2025-01-01T00:00:00.1234567Z"}),
            &[("updatedAt", "updatedAt must be in whole microseconds")],
        ),
        (
            GITHUB,
            json!({"updatedAt": 1}),
            &[("updatedAt", "updatedAt must be a string")],
        ),
        (
            CUSTOM,
            json!({"connectorId": "github"}),
            &[("connectorId", "connectorId must be custom_mcp")],
        ),
        (
            CUSTOM,
            json!({"serverUrl": "absent"}),
            &[(
                "serverUrl",
                "serverUrl must be given unless the server type is STDIO",
            )],
        ),
        (
            CUSTOM,
            json!({"serverUrl": 1}),
            &[("serverUrl", "serverUrl must be a string")],
        ),
        (
            CUSTOM,
            json!({"visibility": "all"}),
            &[(
                "visibility",
                "visibility must be one of private, organization, public",
            )],
        ),
        (
            CUSTOM,
            json!({"organization": null}),
            &[(
                "visibility",
                "visibility must be private without an organization",
            )],
        ),
        (
            CUSTOM,
            json!({"organization": null, "visibility": "public"}),
            &[(
                "visibility",
                "visibility must be private without an organization",
            )],
        ),
        (
            CUSTOM,
            json!({"organization": null, "visibility": "private", "createdBy": null}),
            &[("organization", "organization is required")],
        ),
        (
            CUSTOM,
            json!({"organization": "", "visibility": "public"}),
            &[("organization", "organization must not be blank")],
        ),
        (
            CUSTOM,
            json!({"organization": null, "visibility": "private", "createdBy": ""}),
            &[("createdBy", "createdBy must not be blank")],
        ),
    ] {
        let rejections = rejected(base, changes.clone());
        assert_eq!(
            rejections.len(),
            expected.len(),
            "{changes}: {rejections:?}"
        );
        for ((field, reason), (expected_field, expected_reason)) in rejections.iter().zip(expected)
        {
            assert_eq!(field, expected_field, "{changes}");
            assert!(reason.starts_with(expected_reason), "{changes}: {reason}");
        }
    }
    let lone = GITHUB
        .replace("ClickUp", "")
        .replace("\"GitHub\"", r#""\ud800""#);
    assert_eq!(
        parse_text(&lone, &assumed()).unwrap_err()[0].reason,
        "name must be Unicode text: a surrogate stands alone in it"
    );
}

#[test]
fn warns_of_what_everybody_sees_and_may_be_a_secret() {
    let warned = |changes: Value| {
        let json = changed(CUSTOM, &changes);
        let parsed = parse(&object::parse(&json).unwrap(), &assumed()).unwrap();
        let metadata = changes.get("metadata").map(ToString::to_string);
        assert!(metadata.is_none() || parsed.entry.details.metadata == metadata);
        let texts = parsed.warnings.into_iter().map(|warning| warning.text);
        texts.collect::<Vec<_>>()
    };
    let secret = json!({"headers": {"Authorization": "Bearer abc"}});
    for changes in [
        json!({"visibility": "public", "metadata": {"authMethod": "api_key", "token": "in the header"}}),
        json!({"visibility": "organization", "metadata": secret}),
        json!({"visibility": "public", "serverUrl": "https://a.example/mcp?page=1"}),
    ] {
        assert_eq!(warned(changes), [""; 0]);
    }
    assert_eq!(
        warned(json!({"visibility": "public", "metadata": secret})),
        ["metadata.headers.Authorization may be a secret, and everybody sees it"]
    );
    assert_eq!(
        warned(json!({"visibility": "public", "serverUrl": "https://a.example/mcp?api_key=abc"})),
        ["serverUrl may be a secret, and everybody sees it"]
    );
}
