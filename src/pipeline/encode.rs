//! An answer as JSON text.
//!
//! Invariant: it is the text that serde would write; what is JSON already goes in as it is, where the library would parse it once
//! more to be sure.

use async_graphql::{Response, Value};
use serde::Serialize;

use crate::domain::fields::RAW_JSON_MARKER;

/// Bytes of a page of connectors.
const TYPICAL: usize = 16 * 1024;

/// Writes an answer: `data`, `extensions` and `errors`, the latter two where there are any (GraphQL, section 7.1).
pub fn encode(answer: &Response) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL);
    out.extend_from_slice(b"{\"data\":");
    value(&answer.data, &mut out);
    if !answer.extensions.is_empty() {
        out.extend_from_slice(b",\"extensions\":");
        json(&answer.extensions, &mut out);
    }
    if !answer.errors.is_empty() {
        out.extend_from_slice(b",\"errors\":");
        json(&answer.errors, &mut out);
    }
    out.push(b'}');
    out
}

fn value(what: &Value, out: &mut Vec<u8>) {
    match what {
        Value::List(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                value(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            if let (1, Some(Value::String(written))) = (fields.len(), fields.get(RAW_JSON_MARKER)) {
                out.extend_from_slice(written.as_bytes());
                return;
            }
            out.push(b'{');
            for (place, (key, field)) in fields.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                json(key, out);
                out.push(b':');
                value(field, out);
            }
            out.push(b'}');
        }
        leaf => json(leaf, out),
    }
}

fn json(what: &impl Serialize, out: &mut Vec<u8>) {
    // What is of JSON's types is written without fail.
    let _ = serde_json::to_writer(out, what);
}

#[cfg(test)]
mod tests {
    use async_graphql::{Name, ServerError, indexmap::IndexMap};
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[A-Z_]{1,9}".prop_map(|name| Value::Enum(Name::new(name))),
            // As it is written, which is as it was.
            Just(r#"{"b":[1.50,null],"a":"\u0000 é"}"#).prop_map(|written| {
                let marker = Name::new(RAW_JSON_MARKER);
                Value::Object([(marker, Value::from(written))].into_iter().collect())
            }),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let fields = prop::collection::vec(("[_A-Za-z][_0-9A-Za-z]{0,5}", inner.clone()), 0..6);
            let object = fields.prop_map(|fields| {
                let fields = fields.into_iter();
                let fields: IndexMap<_, _> =
                    fields.map(|(key, value)| (Name::new(key), value)).collect();
                Value::Object(fields)
            });
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Value::List),
                object
            ]
        })
    }

    proptest! {
        #[test]
        fn writes_what_serde_writes(data in any_value(), cost in any_value(), message in any::<String>(), kind in 0..4) {
            let mut answer = Response::new(data);
            if kind & 1 != 0 {
                answer.extensions.insert("cost".to_owned(), cost);
            }
            if kind & 2 != 0 {
                answer.errors.push(ServerError::new(message, None));
            }
            let expected = serde_json::to_string(&answer).unwrap();
            prop_assert_eq!(String::from_utf8(encode(&answer)).unwrap(), expected);
        }
    }
}
