//! The part of a connector that an event stores for searches and filters.
//!
//! Invariant: a record has at most [`WORDS_BYTES`] of words, and says if some are missing. It lacks values that change
//! without an event, such as the time of the last check.

use entity::{ConnectorCategory, ConnectorStatus, Outcome, ServerType, Timestamp};
use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    domain::viewer::Ownership,
    error::{Error, Result},
};

use super::{SearchTerm, SearchWord};

/// The most bytes of words in a record.
const WORDS_BYTES: usize = 1024;

/// Not a word, because folding turns it into full stops.
const MORE: &str = "…";

/// A connector as an event stores it, in addition to the event's columns. Stored as JSON. A member that is added later
/// needs a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_type: Option<ServerType>,
    pub(crate) connector_id: String,
    /// The folded name, which orders connectors.
    pub(crate) name_key: String,
    /// None in an event of a version that split texts in another way.
    #[serde(rename = "searchWords", skip_serializing_if = "Option::is_none")]
    pub(crate) words: Option<Words>,
    /// The address of the server. None without a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// The outcome of the last check, or `NotCheckable` for a connector without a server to check. None before the
    /// first check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    pub(crate) has_tools: bool,
}

/// The words of name, connectorId and description, with a space before and after each. [`MORE`] replaces missing ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words(String);

/// A connector before or after a change, as its event stores it.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    pub(crate) id: &'a str,
    pub(crate) ownership: Ownership<'a>,
    pub(crate) category: Option<ConnectorCategory>,
    pub(crate) status: ConnectorStatus,
    /// None in an event of an earlier version.
    pub(crate) record: Option<&'a Record>,
}

impl State<'_> {
    /// Returns the `id` of the connector.
    pub fn id(&self) -> &str {
        self.id
    }
}

impl Words {
    /// Takes the first of these words that fit.
    pub(crate) fn of(words: impl IntoIterator<Item = String>) -> Self {
        let unique: IndexSet<String> = words.into_iter().collect();
        let mut spaced = " ".to_owned();
        for word in &unique {
            if spaced.len() + word.len() + MORE.len() >= WORDS_BYTES {
                spaced.push_str(MORE);
                break;
            }
            spaced.push_str(word);
            spaced.push(' ');
        }
        Self(spaced)
    }

    /// Returns whether they contain every term. None if a missing word may decide.
    pub(super) fn have(&self, terms: &[SearchTerm]) -> Option<bool> {
        let has = |word: &SearchWord| {
            let end = if word.is_prefix { "" } else { " " };
            self.0.contains(&format!(" {}{end}", word.text))
        };
        let has_all = terms.iter().all(|term| {
            let mut alternatives = term.alternatives.iter();
            alternatives.any(|words| words.iter().all(has))
        });
        (has_all || !self.0.ends_with(MORE)).then_some(has_all)
    }
}

impl Record {
    /// Returns the stored form of the records of both sides of a change.
    pub(crate) fn stored(before: Option<&Self>, after: Option<&Self>) -> Result<String> {
        let members = |record: &Self| match serde_json::to_value(record) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err(Error::internal("a record is an object")),
            Err(error) => Err(Error::internal(error)),
        };
        let before = before.map(members).transpose()?;
        let after = after.map(members).transpose()?;
        let sides = match (before, after) {
            (Some(before), Some(after)) => {
                json!({ "before": differing(before, &after), "after": after })
            }
            (Some(before), None) => json!({ "before": before }),
            (None, Some(after)) => json!({ "after": after }),
            (None, None) => json!({}),
        };
        Ok(sides.to_string())
    }

    /// Returns the records of before and after. None if a record was not stored, or if this version cannot read it.
    pub(crate) fn read(stored: &str) -> [Option<Self>; 2] {
        #[derive(Default, Deserialize)]
        struct Sides {
            before: Option<Map<String, Value>>,
            after: Option<Map<String, Value>>,
        }

        let Sides { before, after } = serde_json::from_str(stored).unwrap_or_default();
        let before = before.map(|differing| {
            let mut members = after.clone().unwrap_or_default();
            members.extend(differing);
            members
        });
        [before, after].map(|members| serde_json::from_value(members?.into()).ok())
    }

    /// Returns the bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let address = self.address.as_ref().map_or(0, String::len);
        let words = self.words.as_ref().map_or(0, |words| words.0.len());
        self.connector_id.len() + self.name_key.len() + words + address
    }
}

/// Returns the members that differ from those of `after`. Null marks a member that only `after` has.
fn differing(mut before: Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    for name in after.keys() {
        before.entry(name.clone()).or_insert(Value::Null);
    }
    before.retain(|name, value| after.get(name) != Some(value));
    before
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{option, prelude::*, sample::select};

    use super::*;
    use crate::domain::text;

    pub(in crate::domain::listing) fn record(name: &str) -> Record {
        Record {
            server_type: None,
            connector_id: "custom_mcp".to_owned(),
            name_key: text::name_key(name),
            words: Some(Words::of(text::words(name))),
            address: None,
            created_at: Timestamp(1),
            updated_at: Timestamp(2),
            outcome: None,
            has_tools: false,
        }
    }

    fn records() -> impl Strategy<Value = Record> {
        (
            option::of(select(vec![ServerType::Http, ServerType::Stdio])),
            "[a-z \"é]{0,9}",
            option::of(select(vec!["a.example/", "b.example/"])),
            (0..3_i64, 0..3_i64),
            option::of(select(vec![Outcome::NotMcp, Outcome::Open])),
            any::<bool>(),
        )
            .prop_map(
                |(server_type, name, address, (created_at, updated_at), outcome, has_tools)| {
                    Record {
                        server_type,
                        address: address.map(ToOwned::to_owned),
                        created_at: Timestamp(created_at),
                        updated_at: Timestamp(updated_at),
                        outcome,
                        has_tools,
                        ..record(&name)
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn both_sides_are_read_again(before in option::of(records()), after in option::of(records())) {
            let stored = Record::stored(before.as_ref(), after.as_ref()).unwrap();
            prop_assert_eq!(Record::read(&stored), [before, after]);
        }
    }

    #[test]
    fn of_before_only_what_differs_is_stored() {
        let before = record("Wiki");
        let after = Record {
            server_type: Some(ServerType::Http),
            updated_at: Timestamp(3),
            ..before.clone()
        };
        let stored = Record::stored(Some(&before), Some(&after)).unwrap();
        let expected = concat!(
            r#"{"before":{"updatedAt":2,"serverType":null},"#,
            r#""after":{"serverType":"http","connectorId":"custom_mcp","nameKey":"wiki","searchWords":" wiki ","#,
            r#""createdAt":1,"updatedAt":3,"hasTools":false}}"#,
        );
        assert_eq!(stored, expected);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_carried() {
        let stored = Record::stored(None, Some(&record("Wiki"))).unwrap();
        assert!(Record::read(&stored)[1].is_some());
        let newer = stored.replace("\"hasTools\"", "\"colour\":1,\"hasTools\"");
        assert!(Record::read(&newer)[1].is_some());
        for broken in [
            stored.replace("false", "\"maybe\""),
            stored.replace("nameKey", "key"),
            "{}".to_owned(),
            "{\"after\":1}".to_owned(),
            String::new(),
        ] {
            assert_eq!(Record::read(&broken), [None, None], "{broken}");
        }
    }

    #[test]
    fn words_are_bounded() {
        let many: Vec<_> = (0..1000).map(|number| format!("w{number}")).collect();
        let words = Words::of(many.clone());
        assert!(words.0.len() <= WORDS_BYTES && words.0.len() > WORDS_BYTES - 10);
        let terms = |words: [usize; 2]| {
            words.map(|index| {
                SearchTerm::of(SearchWord {
                    text: many[index].clone(),
                    is_prefix: false,
                })
            })
        };
        assert_eq!(words.have(&terms([0, 1])), Some(true));
        assert_eq!(words.have(&terms([0, 999])), None);
        let few = Words::of(many[..2].to_vec());
        assert_eq!(few.have(&terms([0, 999])), Some(false));
    }
}
