//! The values of the fields of a change, as the log keeps them.
//!
//! Invariant: a value takes at most [`VALUE_BYTES`] in the log, and says when it was cut.

use serde::{Deserialize, Serialize};

use crate::{
    domain::field::{ChangedField, Kind},
    error::{Error, Result},
};

/// Bytes that the log keeps of a value.
pub(crate) const VALUE_BYTES: usize = 1024;

/// A field that a change gave another value. The values are none where the field had none, and where they are not kept or not
/// shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldChange {
    pub(crate) field: ChangedField,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// A value as it is stored: text and JSON as they are, an enum's word, RFC 3339, an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Whole(String),
    Cut {
        /// The beginning of a text; nothing of JSON.
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

    /// The value as GraphQL gives the field, as JSON. What is left of JSON that was cut is null.
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

/// The fields of a change as the log has them: the names, and the values by these.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) names: String,
    /// Not of a change of no field, nor of an event of an earlier version.
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

    /// The fields again. A name that a newer version of the service wrote is left out: this one has no such field.
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
