//! Converts servers' messages to the form that the library accepts.
//!
//! Invariant: the library sees only the parts of a message that the protocol needs, in types that it accepts.
//! [`offers`](crate::mcp::offers) reads the rest from the text of each result ([`set_aside`]). So an unneeded or
//! malformed part loses no other part.

use std::{borrow::Cow, mem};

use rmcp::model::ProtocolVersion;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json, value::RawValue};

use crate::{
    config::InspectionLimits,
    mcp::{
        failure::{Failure, NOT_JSON_RPC, TOO_LARGE},
        measure::{bounded, values},
    },
};

/// The member of a result that holds the server's own result as JSON text.
const TEXT: &str = "personal-connectors/text";
/// The most bytes of a revision of MCP, which is a date. Others fit in a header too.
const VERSION_BYTES: usize = 32;
/// JSON-RPC's code for an error without a code.
const INTERNAL_ERROR: i64 = -32603;

/// A JSON-RPC 2.0 message. Other members are not read.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// The members that identify a result of `initialize` or `server/discover`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beginning<'a> {
    #[serde(borrow)]
    protocol_version: Option<&'a RawValue>,
    #[serde(borrow)]
    supported_versions: Option<&'a RawValue>,
    #[serde(borrow)]
    result_type: Option<&'a RawValue>,
    capabilities: Option<serde::de::IgnoredAny>,
    server_info: Option<serde::de::IgnoredAny>,
}

/// Reads a message of a server; none for a notification, which no request waits for. A batch (MCP 2025-03-26) yields
/// its response. A result may exceed the other limits, because its reader bounds it part by part.
pub(in crate::mcp) fn read(
    json: &[u8],
    limits: &InspectionLimits,
) -> Result<Option<Value>, Failure> {
    let text = String::from_utf8_lossy(json);
    let text = repaired(text.trim_start_matches('\u{feff}'));
    let mut messages: Vec<Message<'_>> = if text.trim_start().starts_with('[') {
        values(json, limits.depth, limits.values).ok_or(TOO_LARGE)?;
        serde_json::from_str(&text).map_err(|_| NOT_JSON_RPC)?
    } else {
        // The text and the values of a large result would exceed the inspection's memory.
        if json.len() > limits.message_bytes / 2 {
            values(json, limits.depth, limits.values).ok_or(TOO_LARGE)?;
        }
        vec![serde_json::from_str(&text).map_err(|_| NOT_JSON_RPC)?]
    };
    messages.sort_by_key(|message| message.method.is_some());
    let message = messages.into_iter().next().ok_or(NOT_JSON_RPC)?;
    message.into_known(limits)
}

/// Takes the text of a result out of a message, and leaves a key, because the library would copy the text several
/// times.
pub(in crate::mcp) fn set_aside(message: &mut Value, key: u64) -> Option<String> {
    let result = message.get_mut("result")?;
    let holder = match result.get(TEXT) {
        Some(_) => result,
        None => result.get_mut("_meta")?,
    };
    match mem::replace(holder.get_mut(TEXT)?, key.into()) {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Returns the key of a result's text, or of the metadata that replaced it.
pub(in crate::mcp) fn key(result: &Map<String, Value>) -> Option<u64> {
    result.get(TEXT)?.as_u64()
}

impl Message<'_> {
    fn into_known(self, limits: &InspectionLimits) -> Result<Option<Value>, Failure> {
        let mut left = limits.values;
        let mut part = |part: Option<&RawValue>| match part {
            Some(part) => bounded(part, limits, &mut left).ok_or(TOO_LARGE),
            None => Ok(Value::Null),
        };
        let (jsonrpc, id_value) = (part(self.jsonrpc)?, part(self.id)?);
        let method = self.method.map(|method| part(Some(method))).transpose()?;
        let error = self.error.map(|error| part(Some(error))).transpose()?;
        let is_2 = match &jsonrpc {
            Value::String(version) => version == "2.0",
            Value::Number(version) => version.as_f64() == Some(2.0),
            version => version.is_null() && self.result.is_some(),
        };
        if !is_2 {
            return Err(NOT_JSON_RPC);
        }
        let id = id(id_value);
        let is_request = method.as_ref().is_some_and(Value::is_string);
        let (member, value) = match (method, error, self.result) {
            // The parameters are left out. No capability was declared, so only a ping gets another response than
            // "method not found".
            (Some(method), _, _) if is_request && id.is_some() => ("method", method),
            (Some(_), _, _) => return Ok(None),
            (None, Some(error), _) => ("error", known_error(&error)),
            (None, None, Some(result)) if id.is_some() => {
                ("result", known_result(result.get(), limits))
            }
            (None, None, _) => return Err(NOT_JSON_RPC),
        };
        let mut message = Map::new();
        message.insert("jsonrpc".to_owned(), "2.0".into());
        if let Some(id) = id {
            message.insert("id".to_owned(), id);
        }
        message.insert(member.to_owned(), value);
        Ok(Some(Value::Object(message)))
    }
}

/// Reads an id: a text or an integer, which may be written as `1.0`.
fn id(id: Value) -> Option<Value> {
    match id {
        Value::String(_) => Some(id),
        Value::Number(number) if number.as_i64().is_some() => Some(number.into()),
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            let number: i64 = format!("{number:.0}").parse().ok()?;
            Some(number.into())
        }
        _ => None,
    }
}

fn known_error(error: &Value) -> Value {
    let code = error.get("code").and_then(Value::as_i64);
    let code = code.filter(|code| i32::try_from(*code).is_ok());
    let message = error.get("message").and_then(Value::as_str);
    let message = message.or_else(|| error.as_str()).unwrap_or_default();
    let mut known = json!({ "code": code.unwrap_or(INTERNAL_ERROR), "message": message });
    if let Some(data) = error.get("data") {
        known["data"] = data.clone();
    }
    known
}

/// Returns the parts of a result that the library needs, and its whole text.
fn known_result(text: &str, limits: &InspectionLimits) -> Value {
    let is_object = text.trim_start().starts_with('{');
    let beginning: Option<Beginning<'_>> = serde_json::from_str(text).ok().filter(|_| is_object);
    let kept = json!({ TEXT: text });
    let mut left = limits.values;
    let mut part = |part: &RawValue| bounded(part, limits, &mut left);
    match beginning {
        Some(Beginning {
            supported_versions: Some(versions),
            result_type,
            ..
        }) => {
            let is_complete =
                result_type.is_none_or(|kind| part(kind).is_some_and(|kind| kind == "complete"));
            if !is_complete {
                return kept;
            }
            let versions = match part(versions) {
                Some(Value::Array(versions)) => versions,
                version => version.into_iter().collect(),
            };
            let versions: Vec<_> = versions.into_iter().filter(Value::is_string).collect();
            json!({
                "resultType": "complete",
                "supportedVersions": versions,
                "capabilities": {},
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": kept,
            })
        }
        Some(Beginning {
            protocol_version,
            capabilities,
            server_info,
            ..
        }) if protocol_version.is_some() || capabilities.is_some() || server_info.is_some() => {
            let version = protocol_version.and_then(part);
            let version = version.as_ref().and_then(Value::as_str);
            let version = version.filter(|version| is_version(version));
            // A server without a revision counts as one of the first revision that had a header for it.
            let assumed = ProtocolVersion::V_2025_03_26;
            json!({
                "protocolVersion": version.unwrap_or(assumed.as_str()),
                "capabilities": {},
                "serverInfo": { "name": "", "version": "" },
                "_meta": kept,
            })
        }
        _ => kept,
    }
}

/// Returns whether a revision fits in a header.
fn is_version(version: &str) -> bool {
    !version.is_empty()
        && version.len() <= VERSION_BYTES
        && version.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Repairs text that some programs send instead of JSON: unpaired surrogates, control characters in texts, and words
/// such as `NaN` and `Infinity`, which become null.
fn repaired(json: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut quoted = false;
    while let Some(rest) = json.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let (length, replacement) = match first {
            '"' => {
                quoted = !quoted;
                (1, None)
            }
            '\\' if quoted => escape(rest),
            '\0'..'\u{20}' if quoted => (1, Some(format!("\\u{:04x}", u32::from(first)))),
            '+' | '-' | '.' | '0'..='9' | 'A'..='Z' | 'a'..='z' if !quoted => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
                let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let word = &rest[..length];
                let is_json = matches!(word, "true" | "false" | "null")
                    || serde_json::from_str::<Number>(word).is_ok();
                (length, (!is_json).then(|| "null".to_owned()))
            }
            _ => (first.len_utf8(), None),
        };
        if let Some(replacement) = replacement {
            repaired.push_str(&json[copied..at]);
            repaired.push_str(&replacement);
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    repaired.push_str(&json[copied..]);
    Cow::Owned(repaired)
}

/// Returns the length of an escape, and the replacement of an unpaired surrogate.
fn escape(rest: &str) -> (usize, Option<String>) {
    let unit = |from: usize| {
        let hex = rest.get(from..from + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(hex, 16).ok()
    };
    match unit(0) {
        None => (1 + rest.chars().nth(1).map_or(0, char::len_utf8), None),
        Some(0xD800..0xDC00) if matches!(unit(6), Some(0xDC00..0xE000)) => (12, None),
        Some(0xD800..0xE000) => (6, Some("\\ufffd".to_owned())),
        Some(_) => (6, None),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CustomResult, ServerJsonRpcMessage, ServerResult};

    use super::*;

    #[test]
    fn what_is_not_json_is_made_json() {
        for (text, expected) in [
            (
                r#"{"a":"\ud800","b":"\ude00\ud83d"}"#,
                r#"{"a":"\ufffd","b":"\ufffd\ufffd"}"#,
            ),
            (
                "[NaN,-Infinity,Infinity,1e999,undefined]",
                "[null,null,null,null,null]",
            ),
            ("\"a\tb\"", r#""a\u0009b""#),
        ] {
            assert_eq!(repaired(text), expected);
        }
        for text in [
            r#"{"a":"\ud83d\ude00 NaN \\ud800 \" Infinity"}"#,
            r#"[true,false,null,-1.5e+3,0,"é",""]"#,
            "",
            "{",
            "\"\\",
            "\"\\u12",
            "\"\\é",
        ] {
            assert!(
                matches!(repaired(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn a_message_is_read_without_its_ornaments() {
        let read = |value: Value| read(value.to_string().as_bytes(), &InspectionLimits::default());
        let error =
            json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32601, "message": "no" } });
        assert_eq!(read(error.clone()), Ok(Some(error.clone())));
        for odd in [
            json!({ "jsonrpc": 2.0, "id": 1.0, "error": { "code": -32601, "message": "no", "more": [1] },
                "result": null, "x": [] }),
            json!([{ "jsonrpc": "2.0", "method": "ping", "id": 7 }, error]),
        ] {
            assert_eq!(read(odd), Ok(Some(error.clone())));
        }
        let given = json!({ "jsonrpc": "2.0", "id": null, "error": "no" });
        let known = json!({ "jsonrpc": "2.0", "error": { "code": -32603, "message": "no" } });
        assert_eq!(read(given), Ok(Some(known)));
        // The server's requests are answered, and its notifications are not waited for.
        let ping = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping", "params": { "progressToken": [] } });
        let bare = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" });
        assert_eq!(read(ping), Ok(Some(bare)));
        for nothing in [
            json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": 7 } }),
            json!({ "jsonrpc": "2.0", "method": 7, "id": 1 }),
        ] {
            assert_eq!(read(nothing), Ok(None));
        }
        for wrong in [
            json!({}),
            json!([]),
            json!("x"),
            json!({ "error": "invalid_token" }),
            json!({ "error": { "code": 404, "message": "Not found" } }),
            json!({ "jsonrpc": "1.0", "id": 0, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": null, "result": {} }),
        ] {
            assert_eq!(read(wrong.clone()), Err(NOT_JSON_RPC), "{wrong}");
        }
        assert_eq!(
            super::read(
                "\u{feff}{\"id\":1,\"result\":[]}".as_bytes(),
                &InspectionLimits::default()
            )
            .unwrap()
            .unwrap()["id"],
            1
        );
    }

    /// The library recognizes each kind of message.
    #[test]
    fn the_library_takes_results() {
        let taken = |result: &str| {
            let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
            let limits = InspectionLimits::default();
            let mut message = read(message.as_bytes(), &limits).unwrap().unwrap();
            assert_eq!(set_aside(&mut message, 7).as_deref(), Some(result));
            match serde_json::from_value(message).unwrap() {
                ServerJsonRpcMessage::Response(response) => response.result,
                other => panic!("{other:?}"),
            }
        };
        for list in [
            r#"{"tools":[{"name":1}],"nextCursor":""}"#,
            "{}",
            "[]",
            "1",
            r#"{"resultType":"complete"}"#,
        ] {
            let ServerResult::CustomResult(CustomResult(Value::Object(result))) = taken(list)
            else {
                panic!("{list}");
            };
            assert_eq!(key(&result), Some(7));
        }
        for (begun, version) in [
            (
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":true},"serverInfo":{"icons":7}}"#,
                "2025-06-18",
            ),
            (r#"{"protocolVersion":7,"serverInfo":null}"#, "2025-03-26"),
            (r#"{"protocolVersion":"a\nb"}"#, "2025-03-26"),
            (r#"{"capabilities":[]}"#, "2025-03-26"),
        ] {
            let ServerResult::InitializeResult(result) = taken(begun) else {
                panic!("{begun}");
            };
            assert_eq!(result.protocol_version.as_str(), version);
            assert_eq!(key(&result.meta.unwrap()), Some(7));
        }
        for discovered in [
            r#"{"supportedVersions":["2026-07-28",7],"ttlMs":-1}"#,
            r#"{"supportedVersions":"2026-07-28","resultType":"complete","_meta":[]}"#,
        ] {
            let ServerResult::DiscoverResult(result) = taken(discovered) else {
                panic!("{discovered}");
            };
            assert_eq!(result.supported_versions.len(), 1);
            assert_eq!(key(&result.meta.unwrap()), Some(7));
        }
    }
}
