//! Connectors that are written and read again.

use super::super::*;
use super::{assumed, model, parse_text};
use crate::domain::connector::Details;
use entity::{CategorySource, ConnectorCategory, ServerType};
use proptest::{option, prelude::*};
use serde_json::json;

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
