//! The values of changed fields, in the form of the event log.
//!
//! Invariant: a stored value has at most [`VALUE_BYTES`], and records whether it was cut.

use serde::{Deserialize, Serialize};

use crate::{
    domain::field::{ChangedField, Kind},
    error::{Error, Result},
};

/// The most bytes of a stored value.
pub(crate) const VALUE_BYTES: usize = 1024;

/// A changed field with its values. A value is none if the field had none, or if it is not stored or not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldChange {
    pub(crate) field: ChangedField,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// A stored value: text and JSON unchanged, an enum's word, RFC 3339, or an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Whole(String),
    Cut {
        /// The beginning of a text; empty for JSON.
        cut: String,
    },
}

impl Value {
    pub(crate) fn new(field: ChangedField, mut text: String) -> Self {
        if text.len() <= VALUE_BYTES {
            return Self::Whole(text);
        }
        let is_json = field.kind() == Kind::Json;
        text.truncate(if is_json {
            0
        } else {
            text.floor_char_boundary(VALUE_BYTES)
        });
        text.shrink_to_fit();
        Self::Cut { cut: text }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Whole(text) | Self::Cut { cut: text } => text,
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Self::Cut { .. })
    }

    /// Returns the value as JSON, in GraphQL's form of the field. JSON that was cut is null.
    pub(crate) fn json(&self, field: ChangedField) -> Result<String> {
        let text = |text: &str| serde_json::to_string(text).map_err(Error::internal);
        match (field.kind(), self) {
            (Kind::Json, Self::Cut { .. }) => Ok("null".to_owned()),
            (Kind::Json | Kind::Integer, Self::Whole(json)) => Ok(json.clone()),
            (Kind::Enum, value) => text(&value.text().to_ascii_uppercase()),
            (_, value) => text(value.text()),
        }
    }
}

/// The stored form of changed fields: the names, and the values by name.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) names: String,
    /// The values; none for a change without fields, and in events of earlier versions.
    pub(crate) values: Option<String>,
}

type Kept = serde_json::Map<String, serde_json::Value>;

impl Stored {
    pub(crate) fn of(changes: &[FieldChange]) -> Result<Self> {
        let names: Vec<_> = changes.iter().map(|change| change.field.name()).collect();
        let pair = |change: &FieldChange| {
            let pair = serde_json::to_value((&change.before, &change.after));
            Ok((
                change.field.name().to_owned(),
                pair.map_err(Error::internal)?,
            ))
        };
        let has_values = |change: &&FieldChange| change.before.is_some() || change.after.is_some();
        let values: Kept = changes
            .iter()
            .filter(has_values)
            .map(pair)
            .collect::<Result<_>>()?;
        let json = |value: &serde_json::Value| value.to_string();
        Ok(Self {
            names: json(&names.into()),
            values: (!values.is_empty()).then(|| json(&values.into())),
        })
    }

    /// Reads the fields. Names written by a newer version of the service are left out, because this one has no such
    /// fields.
    pub(crate) fn read(&self) -> Result<Vec<FieldChange>> {
        let names: Vec<String> = serde_json::from_str(&self.names).map_err(Error::internal)?;
        let values = self.values.as_deref().map(serde_json::from_str).transpose();
        let mut values: Kept = values.map_err(Error::internal)?.unwrap_or_default();
        let fields = names
            .iter()
            .filter_map(|name| ChangedField::from_name(name));
        let read = |field: ChangedField| {
            let pair = values.get_mut(field.name()).map(serde_json::Value::take);
            let pair = pair.map(serde_json::from_value).transpose();
            let (before, after) = pair.map_err(Error::internal)?.unwrap_or_default();
            Ok(FieldChange {
                field,
                before,
                after,
            })
        };
        fields.map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};

    use super::*;
    use crate::domain::field::Field;

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let name = ChangedField::Of(Field::Name);
        let metadata = ChangedField::Of(Field::Metadata);
        let whole = "x".repeat(VALUE_BYTES);
        assert_eq!(Value::new(name, whole.clone()), Value::Whole(whole.clone()));
        let cut = Value::new(name, format!("{}ä", &whole[1..]));
        assert!(cut.is_cut());
        assert_eq!(cut.text(), &whole[1..]);
        let json = format!("{{\"a\":\"{whole}\"}}");
        let cut = Value::new(metadata, json);
        assert!(cut.is_cut());
        assert_eq!(cut.json(metadata).unwrap(), "null");
        let few = Value::new(metadata, "{\"a\":1.0}".to_owned());
        assert_eq!(few.json(metadata).unwrap(), "{\"a\":1.0}");
    }

    fn value(field: ChangedField) -> impl Strategy<Value = Option<Value>> {
        let text = prop_oneof![".{0,20}", ".{300,600}"];
        option::of(text.prop_map(move |text| Value::new(field, text)))
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(changes in proptest::collection::vec(
            select(ChangedField::all().collect::<Vec<_>>()).prop_flat_map(|field| {
                (value(field), value(field)).prop_map(move |(before, after)| FieldChange { field, before, after })
            }), 0..4,
        )) {
            let mut changes = changes;
            changes.dedup_by_key(|change| change.field.name());
            let mut seen = Vec::new();
            changes.retain(|change| !seen.contains(&change.field.name()) && { seen.push(change.field.name()); true });
            let stored = Stored::of(&changes).unwrap();
            let most = 100 + changes.len() * (100 + 12 * VALUE_BYTES);
            prop_assert!(stored.values.as_ref().is_none_or(|values| values.len() <= most));
            prop_assert_eq!(stored.read().unwrap(), changes);
        }
    }
}
