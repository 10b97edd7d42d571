//! The parameters of a list, and the cursors of pages.

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

/// Returns the cursor after a connector.
pub(crate) fn cursor(created_at: i64, id: &str) -> String {
    BASE64.encode(format!("{created_at} {id}"))
}

/// Parses a cursor: after a time and, at that time, an id.
fn position(text: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
    let (time, id) = text.split_once(' ')?;
    Some((time.parse().ok()?, id.to_owned()))
}

/// Returns FTS5 queries for a prefix of a word: in a name; in a name or connectorId; in any of them or a description.
pub(crate) fn fts5_queries(word: &str) -> [String; 3] {
    ["name", "name connector_id", "name connector_id description"]
        .map(|columns| format!("{{{columns}}} : (\"{word}\" *)"))
}
