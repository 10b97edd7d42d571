//! The parameters of a list, and where a page goes on.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

#[derive(Default)]
pub(crate) struct Query {
    pub(crate) category: String,
    pub(crate) status: String,
    pub(crate) search: Option<String>,
    pub(crate) after: Option<(i64, String)>,
    pub(crate) counts: bool,
    pub(crate) first: i64,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self {
            first: 20,
            ..Self::default()
        };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "category" => parsed.category = value.into_owned(),
                "status" => parsed.status = value.into_owned(),
                "search" => parsed.search = Some(value.to_lowercase()),
                "after" => parsed.after = position(&value),
                "counts" => parsed.counts = true,
                "first" => parsed.first = value.parse().unwrap_or(20).clamp(0, 100),
                _ => {}
            }
        }
        parsed
    }
}

/// The position at which the page after a connector begins.
pub(crate) fn cursor(created_at: i64, id: &str) -> String {
    BASE64.encode(format!("{created_at} {id}"))
}

/// The position of a cursor: after a time and, at that time, an id.
fn position(text: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
    let (time, id) = text.split_once(' ')?;
    Some((time.parse().ok()?, id.to_owned()))
}

/// FTS5 queries for a word as a word's beginning: in a name; there or in a connectorId; there or in a description.
pub(crate) fn fts5_queries(word: &str) -> [String; 3] {
    ["name", "name connector_id", "name connector_id description"]
        .map(|columns| format!("{{{columns}}} : (\"{word}\" *)"))
}
