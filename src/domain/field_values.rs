//! Parsers of connector fields, and their limits.
//!
//! Invariant: create, update, import and the built-in catalogue use the same parsers, and only this module has the
//! rules of fields. Lengths are in Unicode characters unless bytes are mentioned.

use std::collections::BTreeMap;

use entity::ServerType;
use serde_json::value::RawValue;
use url::Url;

use crate::error::{UserError, UserErrorCode};

use super::text;

pub(crate) const NAME_CHARS: usize = 100;
pub(crate) const DESCRIPTION_CHARS: usize = 2000;
pub(crate) const URL_CHARS: usize = 2048;
pub(crate) const STATUS_MESSAGE_CHARS: usize = 1000;
pub(crate) const METADATA_BYTES: usize = 16 * 1024;
pub(crate) const METADATA_LEVELS: usize = 16;
pub(crate) const ID_CHARS: usize = 64;
pub(crate) const CONNECTOR_ID_CHARS: usize = 200;
pub(crate) const PRINCIPAL_CHARS: usize = 255;
pub(crate) const IDEMPOTENCY_KEY_CHARS: usize = 255;
const VERSION_CHARS: usize = 100;

/// The `connectorId` of every custom connector.
pub(crate) const CUSTOM_CONNECTOR_ID: &str = "custom_mcp";

/// The prefix of every connector's `id`.
pub(crate) const ID_PREFIX: &str = "pcon_";

/// The key that `serde_json` and async-graphql take for a marker of raw JSON.
pub(crate) const RAW_JSON_MARKER: &str = "$serde_json::private::RawValue";

type Parsed<T> = Result<T, UserError>;

/// A name with the key that orders it and makes it unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The trimmed text: 1 to 100 characters, without control characters.
    pub text: String,
    /// The text folded by [`text::name_key`], of at most 600 bytes.
    pub key: String,
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// Parses a connector's `id`: `pcon_` and ASCII letters and digits, up to 64 characters in total.
pub(crate) fn id(field: &'static str, id: &str) -> Parsed<String> {
    if is_id(id) {
        Ok(id.to_owned())
    } else {
        Err(invalid(
            field,
            "must be pcon_ and up to 59 ASCII letters and digits",
        ))
    }
}

pub(crate) fn is_id(id: &str) -> bool {
    id.len() <= ID_CHARS
        && id
            .strip_prefix(ID_PREFIX)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Parses the `connectorId` of an official or `aitronos_built` connector.
pub(crate) fn connector_id(connector_id: &str) -> Parsed<String> {
    const FIELD: &str = "connectorId";
    if connector_id.is_empty() {
        return Err(blank(FIELD));
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    bounded(FIELD, connector_id, CONNECTOR_ID_CHARS)?;
    if !connector_id.bytes().all(legal) {
        return Err(invalid(
            FIELD,
            "must be ASCII letters, digits, and any of . _ - /",
        ));
    }
    if connector_id == CUSTOM_CONNECTOR_ID {
        return Err(invalid(
            FIELD,
            "must not be custom_mcp, which is for custom connectors",
        ));
    }
    Ok(connector_id.to_owned())
}

pub(crate) fn name(name: &str) -> Parsed<Name> {
    const FIELD: &str = "name";
    let name = name.trim();
    let key = text::name_key(name);
    // A name of combining marks only would fold to an empty key, and compare as if it were absent.
    if key.trim().is_empty() {
        return Err(blank(FIELD));
    }
    bounded(FIELD, name, NAME_CHARS)?;
    if name.chars().any(breaks_line) || name.chars().any(char::is_control) {
        return Err(invalid(FIELD, "must have no control characters"));
    }
    Ok(Name {
        text: name.to_owned(),
        key,
    })
}

pub(crate) fn description(description: &str) -> Parsed<String> {
    prose("description", description, DESCRIPTION_CHARS)
}

pub(crate) fn status_message(message: &str) -> Parsed<String> {
    prose("statusMessage", message, STATUS_MESSAGE_CHARS)
}

/// Parses a version (Semantic Versioning 2.0.0).
pub(crate) fn version(version: &str) -> Parsed<String> {
    const FIELD: &str = "version";
    bounded(FIELD, version, VERSION_CHARS)?;
    semver::Version::parse(version)
        .map(|_| version.to_owned())
        .map_err(|_| invalid(FIELD, "must be a semantic version, such as 1.0.0"))
}

/// Parses the URL of an image or a page.
pub(crate) fn https_url(field: &'static str, url: &str) -> Parsed<String> {
    self::url(field, url, &["https"])
}

pub(crate) fn icon_url(url: &str) -> Parsed<String> {
    https_url("iconUrl", url)
}

/// Parses the URL of an MCP server, for `server_type`.
///
/// Plain http and hosts with a single label are accepted for every connector; `mcp::guard` decides which ones may be
/// called.
pub(crate) fn server_url(url: &str, server_type: Option<ServerType>) -> Parsed<String> {
    const FIELD: &str = "serverUrl";
    let schemes: &[&str] = match server_type {
        Some(ServerType::Http) => &["https", "http"],
        Some(ServerType::Websocket) | None => &["wss", "ws", "https", "http"],
        Some(ServerType::Stdio) => {
            return Err(invalid(
                FIELD,
                "must be left out: a STDIO server has no address",
            ));
        }
    };
    if url.is_empty() {
        return Err(blank(FIELD));
    }
    self::url(FIELD, url, schemes)
}

/// Parses a JSON object and removes whitespace between tokens. The order of keys and all digits of numbers stay.
pub(crate) fn metadata(json: &str) -> Parsed<String> {
    const FIELD: &str = "metadata";
    let not_json = |_| invalid(FIELD, "must be JSON");
    let raw: &RawValue = serde_json::from_str(json).map_err(not_json)?;
    let compact = compact(raw.get());
    if !compact.starts_with('{') {
        return Err(invalid(FIELD, "must be a JSON object"));
    }
    if compact.len() > METADATA_BYTES {
        let clause = format!("must be at most {METADATA_BYTES} bytes of JSON");
        let error = UserError::new(UserErrorCode::TooLong, FIELD, clause);
        return Err(error.over(METADATA_BYTES as u64, compact.len() as u64));
    }
    if levels(&compact) > METADATA_LEVELS {
        return Err(invalid(
            FIELD,
            format!("must be at most {METADATA_LEVELS} levels deep"),
        ));
    }
    // Raw JSON is only checked for its shape. Reading it completely refuses a lone surrogate too.
    serde_json::from_str::<serde::de::IgnoredAny>(&compact).map_err(not_json)?;
    serde_json::from_str::<serde_json::Value>(&compact).map_err(|_| {
        invalid(
            FIELD,
            "must be JSON whose strings are Unicode and whose numbers are finite",
        )
    })?;
    if is_marked_raw(&compact) {
        return Err(invalid(
            FIELD,
            format!("must not have the key {RAW_JSON_MARKER}, which is reserved"),
        ));
    }
    Ok(compact)
}

/// Parses a user's or organization's id from a token or a file.
pub(crate) fn principal(field: &'static str, id: &str) -> Parsed<String> {
    bounded(field, id, PRINCIPAL_CHARS)?;
    if id.is_empty() {
        return Err(blank(field));
    }
    if id.chars().any(char::is_control) {
        return Err(invalid(field, "must have no control characters"));
    }
    Ok(id.to_owned())
}

pub(crate) fn idempotency_key(key: &str) -> Parsed<String> {
    const FIELD: &str = "idempotencyKey";
    if key.is_empty() {
        return Err(blank(FIELD));
    }
    bounded(FIELD, key, IDEMPOTENCY_KEY_CHARS)?;
    if key.chars().any(char::is_control) {
        return Err(invalid(FIELD, "must have no control characters"));
    }
    Ok(key.to_owned())
}

pub(super) fn blank(field: &'static str) -> UserError {
    UserError::new(UserErrorCode::Blank, field, "must not be blank")
}

/// Creates an error; `expected` is a clause without the field's name, such as `must be JSON`.
pub(super) fn invalid(field: &'static str, expected: impl Into<String>) -> UserError {
    UserError::new(UserErrorCode::Invalid, field, expected)
}

fn bounded(field: &'static str, text: &str, chars: usize) -> Parsed<()> {
    // `nth` stops at the limit, whatever the length.
    if text.chars().nth(chars).is_none() {
        return Ok(());
    }
    let clause = format!("must be at most {chars} characters");
    let error = UserError::new(UserErrorCode::TooLong, field, clause);
    Err(error.over(chars as u64, text.chars().count() as u64))
}

/// Parses text of several lines, with line breaks and tabs and without other control characters.
fn prose(field: &'static str, text: &str, chars: usize) -> Parsed<String> {
    bounded(field, text, chars)?;
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(invalid(
            field,
            "must have no control characters but line breaks and tabs",
        ));
    }
    Ok(text.to_owned())
}

/// Parses an absolute URL with a host and without credentials. Its text stays unchanged.
fn url(field: &'static str, text: &str, schemes: &[&str]) -> Parsed<String> {
    bounded(field, text, URL_CHARS)?;
    let expected = || {
        invalid(
            field,
            format!("must be an absolute URL that begins with {}", {
                let schemes: Vec<_> = schemes
                    .iter()
                    .map(|scheme| format!("{scheme}://"))
                    .collect();
                schemes.join(" or ")
            }),
        )
    };
    // A URL parser drops tabs and line breaks, trims blanks and reads a backslash as a slash, so the checked URL would
    // differ from the text. The other characters are not allowed (RFC 3986, appendix A), and braces mark a template.
    if text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || "\\<>\"{}|^`".contains(c))
    {
        return Err(expected());
    }
    let url = Url::parse(text).map_err(|_| expected())?;
    let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
    if !schemes.contains(&scheme.to_ascii_lowercase().as_str())
        || rest.starts_with('/')
        || url.host_str().is_none_or(str::is_empty)
    {
        return Err(expected());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.contains('@') {
        return Err(invalid(field, "must have no user name or password in it"));
    }
    Ok(text.to_owned())
}

const fn breaks_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Removes whitespace between tokens from valid JSON.
fn compact(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            compact.push(c);
        }
        if escaped {
            escaped = false;
        } else if in_string && c == '\\' {
            escaped = true;
        } else if c == '"' {
            in_string = !in_string;
        }
    }
    compact
}

/// Returns the nesting of valid JSON: `1` has none, and `{}` has one level.
fn levels(json: &str) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for b in json.bytes() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' if !in_string => level -= 1,
            _ => {}
        }
    }
    deepest
}

/// Returns whether any object in valid JSON has the marker as its only key, which would be written as raw JSON.
fn is_marked_raw(json: &str) -> bool {
    if let Ok(object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) {
        (object.len() == 1 && object.contains_key(RAW_JSON_MARKER))
            || object.values().any(|value| is_marked_raw(value.get()))
    } else if let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(json) {
        array.iter().any(|value| is_marked_raw(value.get()))
    } else {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(parsed: Parsed<T>) -> Option<UserErrorCode> {
        parsed.err().map(|error| error.code)
    }

    #[test]
    fn names() {
        use UserErrorCode::{Blank, Invalid, TooLong};
        for (given, expected) in [
            ("GitHub", None),
            ("  GitHub ", None),
            ("👩‍👩‍👧 Family", None),
            ("", Some(Blank)),
            (" \t\n", Some(Blank)),
            ("\u{301}", Some(Blank)),
            ("a\u{0}b", Some(Invalid)),
            ("a\u{2028}b", Some(Invalid)),
            (&"é".repeat(100), None),
            (&"é".repeat(101), Some(TooLong)),
        ] {
            assert_eq!(code(name(given)), expected, "{given:?}");
        }
        assert_eq!(name(" GitHub ").unwrap().text, "GitHub");
    }

    #[test]
    fn urls() {
        let http = |url| server_url(url, Some(ServerType::Http)).is_ok();
        for url in [
            "https://github-mcp.example.com",
            "http://clickup-mcp:8000",
            "https://my-company.com/mcp?x=1#y",
            "https://müller.example/mcp",
            "http://[::1]:8000/",
            "HTTPS://EXAMPLE.COM",
            "https://example.com/@scope/server",
        ] {
            assert!(http(url), "{url}");
            assert_eq!(server_url(url, None).unwrap(), url, "kept as it came");
        }
        for url in [
            "",
            "example.com",
            "//example.com",
            "https:example.com",
            "https:///example.com",
            "https://",
            "ftp://example.com",
            "ws://example.com",
            "https://user:password@example.com",
            "https://user@example.com",
            "https://@example.com",
            " https://example.com",
            "https://exa mple.com",
            "https://example.com/\n",
            "https://example.com\\@evil.example",
            "javascript:alert(1)",
            "https://example.com:99999",
            "https://{tenant}.example.com/mcp",
        ] {
            assert!(!http(url), "{url:?}");
        }
        assert!(server_url("wss://example.com/mcp", Some(ServerType::Websocket)).is_ok());
        assert!(server_url("https://example.com", Some(ServerType::Stdio)).is_err());
        assert!(icon_url("http://example.com/icon.png").is_err());
    }

    #[test]
    fn metadata_keeps_its_text() {
        for (given, kept) in [
            (
                "{ \"b\" : 1.10,\n \"a\": [ 1e2, 12345678901234567890123 ] }",
                r#"{"b":1.10,"a":[1e2,12345678901234567890123]}"#,
            ),
            (r#"{"s": " \" { [ "}"#, r#"{"s":" \" { [ "}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(metadata(given).unwrap(), kept);
        }
        let nested = |levels: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        assert!(metadata(&nested(16)).is_ok());
        for given in [
            "[1]",
            "null",
            "{",
            "{} {}",
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e999}"#,
            r#"{"a":[{"$serde_json::private::RawValue":"1"}]}"#,
            &nested(17),
            &nested(10_000),
            &format!(r#"{{"a":"{}"}}"#, "x".repeat(METADATA_BYTES)),
        ] {
            assert!(
                metadata(given).is_err(),
                "{}",
                &given[..given.len().min(60)]
            );
        }
    }

    #[test]
    fn ids_and_versions() {
        for (given, legal) in [
            ("pcon_github", true),
            ("pcon_ABC123", true),
            ("pcon_", false),
            ("pcon_a-b", false),
            ("github", false),
            ("pcon_ü", false),
        ] {
            assert_eq!(id("id", given).is_ok(), legal, "{given}");
        }
        for (given, legal) in [
            ("1.0.0", true),
            ("0.0.1-seed", true),
            ("1.2.3+build.5", true),
            ("1.0", false),
            ("v1.0.0", false),
            ("01.0.0", false),
            ("", false),
        ] {
            assert_eq!(version(given).is_ok(), legal, "{given}");
        }
    }
}
