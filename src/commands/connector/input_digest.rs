//! The digest of a create's input, which tells whether an idempotency key was used with the same input before.

use entity::{ConnectorCategory, ConnectorVisibility, ServerType};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::domain::{
    connector::Draft,
    field::{Field, word},
};

/// The version of the digest's form. A stored digest begins with it.
const VERSION: &str = "2:";

/// Computes the digest of an input: SHA-256 of a JSON object of the fields that are set, in the table's order.
///
/// An absent field is not part of the object, so that digests stay valid when the table gets another field.
pub(super) fn digest(draft: &Draft, visibility: ConnectorVisibility) -> String {
    let fields = Field::ALL.iter().copied().filter(|field| field.is_input());
    let present = fields.filter_map(|field| {
        let text = match field {
            Field::Visibility => Some(word(visibility)),
            field => draft.text(field),
        };
        Some((field.graphql_name().to_owned(), Value::String(text?)))
    });
    let object = Value::Object(present.collect::<Map<_, _>>());
    format!("{VERSION}{:x}", Sha256::digest(object.to_string()))
}

/// Returns whether a stored digest belongs to this input.
pub(super) fn is_of(stored: &str, draft: &Draft, visibility: ConnectorVisibility) -> bool {
    if stored.starts_with(VERSION) {
        stored == digest(draft, visibility)
    } else {
        stored == first_digest(draft, visibility)
    }
}

/// Computes the digest of versions before 2026-11-30, from the `Debug` form of the input.
///
/// A key lives for 24 hours. This can be removed once no older version is upgraded directly.
fn first_digest(draft: &Draft, visibility: ConnectorVisibility) -> String {
    /// The struct as it was at that time, without later fields.
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct Draft<'a> {
        name: &'a str,
        description: &'a Option<String>,
        icon_url: &'a Option<String>,
        category: Option<ConnectorCategory>,
        version: &'a Option<String>,
        server_url: &'a Option<String>,
        server_type: Option<ServerType>,
        metadata: &'a Option<String>,
    }

    let shown = Draft {
        name: &draft.name,
        description: &draft.description,
        icon_url: &draft.icon_url,
        category: draft.category,
        version: &draft.version,
        server_url: &draft.server_url,
        server_type: draft.server_type,
        metadata: &draft.metadata,
    };
    format!("{:x}", Sha256::digest(format!("{shown:?} {visibility:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            name: "Wiki \"1\"".to_owned(),
            category: Some(ConnectorCategory::Custom),
            server_url: Some("https://wiki.example/mcp".to_owned()),
            server_type: Some(ServerType::Http),
            metadata: Some(r#"{"b":1,"a":2}"#.to_owned()),
            ..Draft::default()
        }
    }

    /// Stored digests must stay valid: these are digests of the exact text of each version.
    #[test]
    fn digests_are_of_their_texts() {
        let private = ConnectorVisibility::Private;
        let text = concat!(
            r#"{"name":"Wiki \"1\"","category":"custom","serverUrl":"https://wiki.example/mcp","#,
            r#""serverType":"http","metadata":"{\"b\":1,\"a\":2}","visibility":"private"}"#,
        );
        let second = format!("2:{:x}", Sha256::digest(text));
        assert_eq!(digest(&draft(), private), second);
        let text = concat!(
            r#"Draft { name: "Wiki \"1\"", description: None, icon_url: None, category: Some(Custom), "#,
            r#"version: None, server_url: Some("https://wiki.example/mcp"), server_type: Some(Http), "#,
            r#"metadata: Some("{\"b\":1,\"a\":2}") } Private"#,
        );
        let first = format!("{:x}", Sha256::digest(text));
        for stored in [first, second] {
            assert!(is_of(&stored, &draft(), private), "{stored}");
            assert!(!is_of(&stored, &draft(), ConnectorVisibility::Public));
            let other = Draft {
                metadata: None,
                ..draft()
            };
            assert!(!is_of(&stored, &other, private), "{stored}");
        }
    }
}
