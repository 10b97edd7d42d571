//! Encodes a response as JSON.
//!
//! Invariant: the text equals serde's. Raw JSON is copied unchanged. The library would parse it again.

use async_graphql::{Response, Value};
use serde::Serialize;

use crate::{
    answer_budget::{AnswerBudget, AnswerText},
    domain::field_values::RAW_JSON_MARKER,
    error::Result,
};

/// The bytes of a typical page of connectors.
const TYPICAL: usize = 16 * 1024;

/// Encodes a response and drops its values. Fails with `LIMIT_EXCEEDED` beyond the response's bytes, and `UNAVAILABLE`
/// beyond those of all responses. A mutation's response has no limit, because its change is already made.
pub(super) fn encoded(answer: Response, budget: &AnswerBudget) -> Result<AnswerText> {
    let typical = budget.written().min(budget.most()) + TYPICAL;
    let text = write(&answer, typical, budget.most_of_text());
    drop(answer);
    let share = budget.of_text(text.len())?;
    Ok(AnswerText::new(text, share))
}

/// Encodes a small response.
pub(super) fn small(answer: &Response) -> AnswerText {
    AnswerText::from(encode(answer))
}

/// Encodes a response as JSON.
pub fn encode(answer: &Response) -> Vec<u8> {
    write(answer, TYPICAL, usize::MAX)
}

/// Writes `data`, `extensions` and `errors`, the latter two if there are any (GraphQL, section 7.1). Stops beyond
/// `most` bytes.
fn write(answer: &Response, typical: usize, most: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(typical);
    out.extend_from_slice(b"{\"data\":");
    value(&answer.data, most, &mut out);
    if !answer.extensions.is_empty() {
        out.extend_from_slice(b",\"extensions\":");
        json(&answer.extensions, &mut out);
    }
    for (index, error) in answer.errors.iter().enumerate() {
        if out.len() > most {
            break;
        }
        out.extend_from_slice(if index == 0 {
            b",\"errors\":[".as_slice()
        } else {
            b","
        });
        json(error, &mut out);
    }
    if !answer.errors.is_empty() {
        out.push(b']');
    }
    out.push(b'}');
    out
}

fn value(what: &Value, most: usize, out: &mut Vec<u8>) {
    if out.len() > most {
        return;
    }
    match what {
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value(item, most, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            if let (1, Some(Value::String(written))) = (fields.len(), fields.get(RAW_JSON_MARKER)) {
                out.extend_from_slice(written.as_bytes());
                return;
            }
            out.push(b'{');
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json(key, out);
                out.push(b':');
                value(field, most, out);
            }
            out.push(b'}');
        }
        leaf => json(leaf, out),
    }
}

fn json(what: &impl Serialize, out: &mut Vec<u8>) {
    // Writing JSON values to memory cannot fail.
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
            // The raw text is written unchanged.
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
        fn writes_what_serde_writes(data in any_value(), cost in any_value(), message in any::<String>(),
            kind in 0..4) {
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
