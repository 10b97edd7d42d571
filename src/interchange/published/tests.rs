use std::{convert::Infallible, fs, path::Path};

use entity::{CategorySource, ConnectorCategory, ConnectorSource, ServerType};
use proptest::{option, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::{
    domain::connector::{Details, Import},
    interchange::{object, reader},
    store::imported,
};

const GITHUB: &str = r#"{
  "id": "pcon_github",
  "object": "personal_connector",
  "name": "GitHub",
  "type": "official",
  "connectorId": "github",
  "description": "Official GitHub MCP Server for repository management and code operations",
  "iconUrl": "https://github.githubassets.com/images/modules/logos_page/GitHub-Mark.png",
  "category": "development",
  "version": "1.0.0",
  "status": "active",
  "serverUrl": "https://github-mcp.example.com",
  "serverType": "http",
  "metadata": {
    "supportedFeatures": ["repositories", "issues", "pull_requests"],
    "authMethod": "oauth2"
  },
  "createdAt": "2025-01-01T00:00:00Z",
  "updatedAt": "2025-01-01T00:00:00Z"
}"#;

const CLICKUP: &str = r#"{
  "id": "pcon_clickup",
  "object": "personal_connector",
  "name": "ClickUp",
  "type": "aitronos_built",
  "connectorId": "clickup",
  "description": "ClickUp task management integration",
  "iconUrl": "https://clickup.com/landing/images/logo-clickup_color.svg",
  "category": "productivity",
  "version": "1.0.0",
  "status": "active",
  "serverUrl": "http://clickup-mcp:8000",
  "serverType": "http",
  "metadata": {
    "supportedFeatures": ["tasks", "lists", "comments"],
    "authMethod": "api_key"
  },
  "createdAt": "2025-01-01T00:00:00Z",
  "updatedAt": "2025-01-01T00:00:00Z"
}"#;

const CUSTOM: &str = r#"{
  "id": "pcon_abc123",
  "object": "personal_connector",
  "name": "My Custom MCP Server",
  "type": "custom",
  "connectorId": "custom_mcp",
  "description": "Custom integration with internal tools",
  "category": "custom",
  "version": "1.0.0",
  "status": "active",
  "serverUrl": "https://my-company.com/mcp",
  "serverType": "http",
  "metadata": {
    "owner": "engineering-team"
  },
  "createdAt": "2025-01-01T00:00:00Z",
  "updatedAt": "2025-01-01T00:00:00Z",
  "createdBy": "user_xyz789"
}"#;

fn assumed() -> Assumed {
    Assumed {
        organization: Some("org_acme".to_owned()),
        visibility: ConnectorVisibility::Organization,
    }
}

fn parse_text(json: &str, assumed: &Assumed) -> Result<Entry, Vec<Rejection>> {
    let object = object::parse(json).map_err(|rejection| vec![rejection])?;
    parse(&object, assumed).map(|parsed| parsed.entry)
}

/// Returns `base` with some values replaced; `absent` removes a key.
fn changed(base: &str, changes: &Value) -> String {
    let mut object: Value = serde_json::from_str(base).unwrap();
    let members = object.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value == "absent" {
            members.shift_remove(key);
        } else {
            members.insert(key.clone(), value.clone());
        }
    }
    object.to_string()
}

/// Returns the row that the store would make of an entry.
fn model(entry: Entry) -> Model {
    let import = Import {
        availability: entry.availability.clone(),
        entry,
        source: ConnectorSource::Import,
        is_partial: false,
    };
    imported(None, import, Timestamp(0))
}

fn compact(json: &str) -> String {
    serde_json::from_str::<Value>(json).unwrap().to_string()
}

#[test]
fn the_published_objects_come_out_as_they_went_in() {
    for json in [GITHUB, CLICKUP, CUSTOM] {
        let entry = parse_text(json, &assumed()).unwrap();
        assert_eq!(write(&model(entry), &assumed()), compact(json));
    }
}

#[test]
fn the_reference_has_these_objects() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/reference/personal-connector-object.txt");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let objects: Vec<_> = text
        .match_indices("\n{\n")
        .map(|(at, _)| {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
            values.next().unwrap().unwrap().to_string()
        })
        .collect();
    assert_eq!(objects, [GITHUB, CLICKUP, CUSTOM].map(compact));
    for json in &objects {
        let entry = parse_text(json, &assumed()).unwrap();
        assert_eq!(write(&model(entry), &assumed()), *json);
    }
}

#[test]
fn the_built_in_catalogue_is_right() {
    let nobody = Assumed {
        organization: None,
        visibility: ConnectorVisibility::Private,
    };
    let mut catalogue = Vec::new();
    let catalog = include_str!("../catalog.json");
    reader::read(catalog.as_bytes(), |event| {
        let reader::Event::Element(element) = event else {
            panic!("{event:?}");
        };
        let ParsedEntry { entry, warnings } = parse(&element.object.unwrap(), &nobody).unwrap();
        assert_eq!(warnings, []);
        let model = model(entry);
        catalogue.push((model.id.clone(), write(&model, &nobody)));
        Ok::<_, Infallible>(())
    })
    .unwrap();
    let ids: Vec<_> = catalogue.iter().map(|(id, _)| &**id).collect();
    assert_eq!(
        ids,
        [
            "pcon_github",
            "pcon_clickup",
            "pcon_figma",
            "pcon_jira",
            "pcon_teams"
        ]
    );
    assert_eq!(
        catalogue[..2]
            .iter()
            .map(|(_, json)| json)
            .collect::<Vec<_>>(),
        [&compact(GITHUB), &compact(CLICKUP)]
    );
    assert_eq!(
        format!(
            "[{}]",
            catalogue
                .iter()
                .map(|(_, json)| &**json)
                .collect::<Vec<_>>()
                .join(",")
        ),
        compact(catalog)
    );
}

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
fn takes_what_is_right() {
    let entry = |base, changes: Value| parse_text(&changed(base, &changes), &assumed()).unwrap();
    let bare = entry(
        GITHUB,
        json!({"description": null, "iconUrl": null, "category": null, "version": null, "serverUrl": null,
            "serverType": null, "metadata": null, "createdAt": null, "updatedAt": "absent", "createdBy": null,
            "visibility": "public", "statusMessage": null, "replacedBy": null, "organization": null}),
    );
    assert_eq!((bare.created_at, bare.updated_at), (None, None));
    assert_eq!(bare.visibility, ConnectorVisibility::Public);
    assert_eq!(bare.organization, None);

    for (text, utc) in [
        ("2025-01-01T01:30:00+01:30", "2025-01-01T00:00:00Z"),
        ("2025-01-01T00:00:00.100Z", "2025-01-01T00:00:00.100Z"),
        (
            "2025-01-01T00:00:00.123456000-00:00",
            "2025-01-01T00:00:00.123456Z",
        ),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
    ] {
        let time = entry(GITHUB, json!({"createdAt": text}))
            .created_at
            .unwrap();
        assert_eq!(time.to_string(), utc, "{text}");
    }

    let custom = entry(CUSTOM, json!({}));
    assert_eq!(custom.organization.as_deref(), Some("org_acme"));
    assert_eq!(custom.visibility, ConnectorVisibility::Organization);
    assert_eq!(custom.created_by.as_deref(), Some("user_xyz789"));
    let custom = entry(
        CUSTOM,
        json!({"organization": null, "visibility": "private"}),
    );
    assert_eq!(
        (custom.organization, custom.visibility),
        (None, ConnectorVisibility::Private)
    );
    entry(CUSTOM, json!({"serverType": "stdio", "serverUrl": null}));
}

#[test]
fn writes_our_additions_only_where_they_are_not_assumed() {
    let written = |changes: Value| {
        let object = changed(CUSTOM, &changes);
        let written = write(&model(parse_text(&object, &assumed()).unwrap()), &assumed());
        written
            .strip_prefix(&compact(CUSTOM)[..compact(CUSTOM).len() - 1])
            .unwrap()
            .to_owned()
    };
    for (changes, expected) in [
        (
            json!({"visibility": "organization", "organization": "org_acme"}),
            "}",
        ),
        (
            json!({"visibility": "public"}),
            r#","visibility":"public"}"#,
        ),
        (
            json!({"organization": "org_b", "statusMessage": "slow"}),
            r#","statusMessage":"slow","organization":"org_b"}"#,
        ),
        (
            json!({"organization": null, "visibility": "private"}),
            r#","visibility":"private","organization":null}"#,
        ),
    ] {
        assert_eq!(written(changes.clone()), expected, "{changes}");
    }
    let github = changed(
        GITHUB,
        &json!({"status": "deprecated", "replacedBy": "pcon_b"}),
    );
    let model = model(parse_text(&github, &assumed()).unwrap());
    assert_eq!(write(&model, &assumed()), github);
}

#[test]
fn a_digest_is_of_the_content() {
    let hash = |json: &str| parse_text(json, &assumed()).unwrap().hash;
    let custom = hash(CUSTOM);
    // Stored digests stay valid in all versions.
    let digested = concat!(
        r#"["pcon_abc123","custom","custom_mcp","My Custom MCP Server","#,
        r#""Custom integration with internal tools",null,"custom","1.0.0","https://my-company.com/mcp","http","#,
        r#""{\"owner\":\"engineering-team\"}","active",null,null,"organization","org_acme","user_xyz789","#,
        r#""2025-01-01T00:00:00Z","2025-01-01T00:00:00Z"]"#,
    );
    assert_eq!(custom, format!("{:x}", Sha256::digest(digested)));
    assert_eq!(hash(&compact(CUSTOM)), custom);
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_str(CUSTOM).unwrap();
    assert_eq!(hash(&serde_json::to_string(&sorted).unwrap()), custom);
    assert_eq!(
        hash(&CUSTOM.replace("My Custom", "\\u004dy Custom")),
        custom
    );
    for same in [
        json!({"visibility": "organization", "organization": "org_acme", "iconUrl": null}),
        json!({"createdAt": "2025-01-01T01:00:00.000+01:00"}),
    ] {
        assert_eq!(hash(&changed(CUSTOM, &same)), custom, "{same}");
    }
    let mut others = vec![custom];
    for other in [
        json!({"id": "pcon_b"}),
        json!({"name": "B"}),
        json!({"description": "B"}),
        json!({"description": ""}),
        json!({"description": null}),
        json!({"description": null, "iconUrl": "https://b.example"}),
        json!({"category": null}),
        json!({"version": "1.0.1"}),
        json!({"status": "deprecated"}),
        json!({"status": "deprecated", "replacedBy": "pcon_b"}),
        json!({"statusMessage": "B"}),
        json!({"serverUrl": "https://b.example"}),
        json!({"serverType": "websocket"}),
        json!({"metadata": {}}),
        json!({"createdAt": null}),
        json!({"updatedAt": null}),
        json!({"createdBy": null}),
        json!({"visibility": "public"}),
        json!({"organization": "org_b"}),
    ] {
        let hash = hash(&changed(CUSTOM, &other));
        assert!(!others.contains(&hash), "{other}");
        others.push(hash);
    }
    assert_ne!(
        hash(GITHUB),
        hash(&GITHUB.replace("official", "aitronos_built"))
    );
}

/// Rows that are valid by the field rules.
fn row() -> impl Strategy<Value = Model> {
    let text =
        |most: usize| proptest::collection::vec(any::<char>(), 1..most).prop_map(String::from_iter);
    let members = proptest::collection::vec(
        ("[a-z\u{e9}\"\\\\]{0,5}", any::<String>(), any::<f32>()),
        0..4,
    );
    let metadata = members.prop_map(|members| {
        let mut json = Json::default();
        for (index, (key, text, number)) in members.into_iter().enumerate() {
            // Numbers that a parser would write differently.
            json.raw(
                &format!("{key}{index}"),
                &format!("[{number:.9},{}]", json!(text)),
            );
        }
        json.finish()
    });
    let details = (
        text(80).prop_filter_map("a name", |name| field_values::name(&name).ok()),
        option::of(text(80).prop_filter_map("prose", |text| field_values::description(&text).ok())),
        option::of("https://[a-z]{1,9}\\.example/[a-zA-Z0-9%?#/()]{0,9}"),
        option::of(prop_oneof![
            Just(ConnectorCategory::Design),
            Just(ConnectorCategory::Custom)
        ]),
        option::of("[0-9]\\.[1-9][0-9]\\.[0-9](-rc\\.[1-9])?"),
        prop_oneof![
            Just(None),
            Just(Some(ServerType::Http)),
            Just(Some(ServerType::Websocket))
        ],
        option::of(metadata),
    );
    let years = moment("0000-01-01T00:00:00Z").unwrap().timestamp_micros()
        ..=moment("9999-12-31T23:59:59.999999Z")
            .unwrap()
            .timestamp_micros();
    let rest = (
        prop_oneof![
            Just(ConnectorType::Official),
            Just(ConnectorType::AitronosBuilt),
            Just(ConnectorType::Custom)
        ],
        option::of(option::of("pcon_[a-zA-Z0-9]{1,9}")),
        option::of("[a-z\u{e9}\"]{1,9}"),
        prop_oneof![
            Just(ConnectorVisibility::Private),
            Just(ConnectorVisibility::Organization),
            Just(ConnectorVisibility::Public)
        ],
        (years.clone(), years),
        option::of("[a-z]{1,9}"),
    );
    (details, rest).prop_map(
        |(details, (r#type, deprecated, owner, visibility, times, message))| {
            let (name, description, icon_url, category, version, server_type, metadata) = details;
            let custom = r#type == ConnectorType::Custom;
            let visibility = match (custom, &owner) {
                (true, Some(_)) => visibility,
                (true, None) => ConnectorVisibility::Private,
                (false, _) => ConnectorVisibility::Public,
            };
            model(Entry {
                id: "pcon_generated".to_owned(),
                r#type,
                connector_id: if custom { "custom_mcp" } else { "generated" }.to_owned(),
                details: Details {
                    name,
                    description,
                    server_url: icon_url
                        .clone()
                        .or(custom.then(|| "https://a.example".to_owned())),
                    icon_url,
                    category,
                    version,
                    server_type,
                    metadata,
                },
                category_source: Some(CategorySource::File),
                availability: Availability {
                    status: match deprecated {
                        Some(_) => ConnectorStatus::Deprecated,
                        None => ConnectorStatus::Maintenance,
                    },
                    message,
                    replaced_by: deprecated.flatten().filter(|id| id != "pcon_generated"),
                },
                visibility,
                organization: owner.filter(|_| custom),
                created_by: custom.then(|| "user".to_owned()),
                created_at: Some(Timestamp(times.0)),
                updated_at: Some(Timestamp(times.1)),
                hash: String::new(),
                extent: Extent::Whole,
            })
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_reads_the_same(row in row(), organization in option::of("[a-c]")) {
        let assumed = Assumed { organization, ..assumed() };
        let written = write(&row, &assumed);
        let entry = parse_text(&written, &assumed);
        let entry = entry.map_err(|rejected| TestCaseError::fail(format!("{written}: {rejected:?}")))?;
        let hash = entry.hash.clone();
        let read = model(entry);
        prop_assert_eq!(write(&read, &assumed), written);
        prop_assert_eq!(read, Model { source_hash: Some(hash), ..row });
    }
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
