//! Messages of the protocol from clients.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::close::{End, bad_request};

/// A message from a client.
#[derive(Deserialize)]
pub(super) struct Sent<'a> {
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    pub(super) id: Option<String>,
    #[serde(borrow)]
    pub(super) payload: Option<&'a RawValue>,
}

pub(super) fn parse(text: &str) -> Result<Sent<'_>, End> {
    serde_json::from_str(text)
        .map_err(|_| bad_request("a message must be a JSON object with type, id and payload"))
}

/// Returns the reply to a `ping`.
pub(super) fn pong(payload: Option<&RawValue>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}
