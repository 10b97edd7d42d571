mod rejections;
mod round_trip;

use super::*;
use crate::{
    domain::connector::Import,
    interchange::{object, reader},
    store::imported,
};
use entity::ConnectorSource;
use serde_json::{Value, json};
use std::{convert::Infallible, fs, path::Path};

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
