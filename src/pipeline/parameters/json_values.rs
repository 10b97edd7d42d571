//! Counts the values in JSON text before parsing.
//!
//! Invariant: one pass, without recursion and without allocation. A value of two bytes may take a hundred in memory, so
//! the text's size does not bound the memory.

use crate::config::STRING_BYTES;

/// Counts the values of JSON text. Each key counts too, and each [`STRING_BYTES`] of a string count as one more value.
///
/// Stops beyond `most`. The count of invalid JSON is arbitrary, because the parser refuses it.
pub(super) fn count(json: &str, most: u64) -> u64 {
    let mut values = 0;
    let mut before = Before::Other;
    for byte in json.bytes() {
        let (is_new, now) = match (before, byte) {
            (Before::String { bytes }, b'\\') => {
                let (is_new, _) = Before::string(bytes);
                (is_new, Before::Escape { bytes: bytes + 1 })
            }
            (Before::String { .. }, b'"') => (false, Before::Other),
            (Before::String { bytes } | Before::Escape { bytes }, _) => Before::string(bytes),
            (_, b'"') => (true, Before::String { bytes: 0 }),
            (_, b'{' | b'[') => (true, Before::Other),
            (_, b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => (false, Before::Other),
            // A number, true, false or null.
            (Before::Word, _) => (false, Before::Word),
            (Before::Other, _) => (true, Before::Word),
        };
        before = now;
        values += u64::from(is_new);
        if values > most {
            break;
        }
    }
    values
}

/// The state after the last byte.
#[derive(Clone, Copy)]
enum Before {
    /// In a string, after this many of its bytes.
    String {
        bytes: u64,
    },
    /// After a backslash in a string.
    Escape {
        bytes: u64,
    },
    Word,
    Other,
}

impl Before {
    /// Advances by one byte of a string. Returns whether that byte counts as a value.
    fn string(bytes: u64) -> (bool, Self) {
        let bytes = bytes + 1;
        (bytes.is_multiple_of(STRING_BYTES), Self::String { bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn values_of(value: &Value) -> u64 {
        let string = |text: &str| 1 + text.len() as u64 / STRING_BYTES;
        match value {
            Value::String(text) => string(text),
            Value::Array(items) => 1 + items.iter().map(values_of).sum::<u64>(),
            Value::Object(fields) => {
                let fields = fields.iter();
                1 + fields
                    .map(|(key, value)| string(key) + values_of(value))
                    .sum::<u64>()
            }
            _ => 1,
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z]{0,600}".prop_map(Value::from),
            r#"["\\\\\[\]{}:, ]{0,20}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\]{0,3}", inner, 0..8)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn counts_what_a_parser_finds(value in value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(count(&text, u64::MAX), values_of(&value), "{}", text);
            }
        }

        #[test]
        fn takes_any_text(text in any::<String>()) {
            prop_assert!(count(&text, u64::MAX) <= text.len() as u64);
        }
    }

    #[test]
    fn stops_at_the_bound() {
        assert_eq!(count(&"[".repeat(100), 10), 11);
    }
}
