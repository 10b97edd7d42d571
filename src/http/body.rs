//! A request's body: the JSON of GraphQL over HTTP.
//!
//! Invariant: variables arrive as they were sent: keys in their order and numbers with all their digits.

use async_graphql::{Name, Value, Variables, indexmap::IndexMap};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    domain::fields::RAW_JSON_MARKER,
    error::{Code, Error, Result},
};

/// How deeply variables may nest. Metadata may by 16 levels, a filter by far fewer.
const LEVELS: usize = 64;

/// What a client wants executed.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    query: Option<String>,
    operation_name: Option<String>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// `BAD_REQUEST` names the key of the body that is not what was expected.
pub(super) fn parse(bytes: &[u8]) -> Result<Operation> {
    let bad = |message: String| Error::new(Code::BadRequest, message);
    let text = std::str::from_utf8(bytes).map_err(|_| bad("the body must be UTF-8".to_owned()))?;
    if text.trim_start().starts_with('[') {
        return Err(bad(
            "the body must be one request: batches are not taken".to_owned()
        ));
    }
    let body: Body = serde_json::from_str(text).map_err(|error| {
        bad(format!("the body must be a JSON object with query, and optionally operationName, variables and extensions: {error}"))
    })?;
    drop(body.extensions);
    let variables = match body.variables.map(RawValue::get) {
        None | Some("null") => Variables::default(),
        Some(object) if object.starts_with('{') => {
            let value =
                value(object, LEVELS).map_err(|message| bad(format!("variables {message}")))?;
            Variables::from_value(value)
        }
        Some(_) => return Err(bad("variables must be an object".to_owned())),
    };
    Ok(Operation {
        query: body
            .query
            .ok_or_else(|| bad("query is missing".to_owned()))?,
        operation_name: body.operation_name,
        variables,
    })
}

/// JSON text as GraphQL's value. A number that would not be written again as it came is kept as raw text, which only the
/// JSON scalar takes.
fn value(json: &str, levels: usize) -> std::result::Result<Value, String> {
    let json = json.trim_matches([' ', '\t', '\n', '\r']);
    let unreadable = |error: serde_json::Error| format!("cannot be read: {error}");
    Ok(match json.as_bytes().first() {
        Some(b'{' | b'[') if levels == 0 => {
            return Err(format!("must be at most {LEVELS} levels deep"));
        }
        Some(b'{') => {
            let object: IndexMap<String, &RawValue> =
                serde_json::from_str(json).map_err(unreadable)?;
            let mut values = IndexMap::with_capacity(object.len());
            for (key, raw) in object {
                if key == RAW_JSON_MARKER {
                    return Err("have a reserved key".to_owned());
                }
                values.insert(Name::new(key), value(raw.get(), levels - 1)?);
            }
            Value::Object(values)
        }
        Some(b'[') => {
            let array: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
            let values = array.into_iter().map(|raw| value(raw.get(), levels - 1));
            Value::List(values.collect::<std::result::Result<_, _>>()?)
        }
        Some(b'-' | b'0'..=b'9') => match serde_json::from_str::<serde_json::Number>(json) {
            Ok(number) if number.to_string() == json => Value::Number(number),
            _ => Value::Object(IndexMap::from([(
                Name::new(RAW_JSON_MARKER),
                Value::String(json.to_owned()),
            )])),
        },
        _ => serde_json::from_str(json).map_err(unreadable)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_keys_and_numbers() {
        let variables = r#"{"m":{"z":1.10,"a":[1e2,12345678901234567890123,-0,1.0,7],"s":"é"}}"#;
        let body = format!(r#"{{"query":"{{a}}","variables":{variables}}}"#);
        let operation = parse(body.as_bytes()).unwrap();
        assert_eq!(
            serde_json::to_string(&operation.variables).unwrap(),
            variables
        );
    }

    #[test]
    fn refuses_what_is_no_request() {
        for (body, expected) in [
            ("", "JSON object"),
            ("[]", "batches"),
            ("{}", "query is missing"),
            (r#"{"query":1}"#, "JSON object"),
            (
                r#"{"query":"{a}","variables":[]}"#,
                "variables must be an object",
            ),
            (
                r#"{"query":"{a}","variables":{"a":"\ud800"}}"#,
                "variables cannot be read",
            ),
            (
                r#"{"query":"{a}","variables":{"$serde_json::private::RawValue":"1"}}"#,
                "reserved",
            ),
            (r#"{"query":"{a}"} {}"#, "JSON object"),
            (
                &format!(
                    r#"{{"query":"{{a}}","variables":{{"a":{}}}}}"#,
                    "[".repeat(100) + &"]".repeat(100)
                ),
                "levels",
            ),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.message.contains(expected), "{body}: {error}");
        }
        assert!(parse(b"\xff").unwrap_err().message.contains("UTF-8"));
    }
}
