//! Cursors: positions in a list or in the event log, as opaque text.
//!
//! Invariant: a cursor only says where to continue. It gives no access, because every query checks visibility.
//!
//! Form, as URL-safe base64 without padding: kind and version (1 byte), the content, and a checksum (4) of all before
//! it. The content of a list's cursor: digest of search, filter and order (8), a sort key for each field of the order,
//! id. Of a change's: state number (8), mark (8). Of a tool's: digest of the search (8), name. Of a check's: its time
//! in microseconds (8). A text has a length of two bytes, big-endian, and is UTF-8. A cursor has at most 1 KB.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error, Result};

use super::order::{Form, OrderField, Position, SortKey};

const LIST: u8 = 1;
/// The kind of a cursor of changes from earlier versions: a state number without a mark.
const UNMARKED_CHANGES: u8 = 2;
const TOOLS: u8 = 3;
const CHANGES: u8 = 4;
const CHECKS: u8 = 5;
const MAX_CHARS: usize = 1024;

/// An eight-byte digest of a list's search, filter and order. A cursor is valid only with the same digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 8]);

/// A position in the log of changes: the state number of a change, and its mark. Another history, such as a restored
/// backup with other changes after it, may have the same number, but not the same mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// The number of the change; 0 is before the first one. Never negative.
    pub number: i64,
    /// The random mark of the change.
    pub mark: i64,
}

/// A position with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The position of the row in its list.
    pub position: Position,
    /// URL-safe base64 without padding, in the form that the module describes.
    pub text: String,
}

impl Digest {
    /// The first eight bytes of the SHA-256 of the value as JSON.
    pub fn of(asked: &impl Serialize) -> Self {
        let canonical = serde_json::to_vec(asked).unwrap_or_default();
        Self(head(&canonical))
    }
}

impl Cursor {
    /// Returns the text of a position in the list of a digest.
    pub fn new(position: Position, digest: Digest) -> Self {
        let mut bytes = digest.0.to_vec();
        for key in &position.keys {
            match key {
                SortKey::Name(name) => put_text(&mut bytes, name),
                SortKey::Number(number) => bytes.extend(number.to_be_bytes()),
                SortKey::Maybe(None) => bytes.push(0),
                SortKey::Maybe(Some(number)) => {
                    bytes.push(1);
                    bytes.extend(number.to_be_bytes());
                }
                SortKey::Tier(tier) => bytes.extend(tier.to_be_bytes()),
            }
        }
        put_text(&mut bytes, &position.id);
        Self {
            position,
            text: seal(LIST, &bytes),
        }
    }

    /// Parses the cursor of a list that is ordered by these fields. `CURSOR_INVALID` names the argument, and says
    /// whether the cursor is damaged or belongs to another list.
    pub fn parse(
        argument: &str,
        text: String,
        digest: Digest,
        fields: &[OrderField],
    ) -> Result<Self> {
        let bytes = open(LIST, argument, &text)?;
        let mut rest = bytes.as_slice();
        if take(&mut rest).map(Digest) != Some(digest) {
            return Err(refused(
                argument,
                "is a cursor of another search, filter or order",
            ));
        }
        let mut position = || {
            let mut key = |field: &OrderField| {
                Some(match field.form() {
                    Form::Name => SortKey::Name(take_text(&mut rest)?),
                    Form::Number => SortKey::Number(i64::from_be_bytes(take(&mut rest)?)),
                    Form::Maybe => SortKey::Maybe(match take(&mut rest)? {
                        [0] => None,
                        [1] => Some(i64::from_be_bytes(take(&mut rest)?)),
                        _ => return None,
                    }),
                    Form::Tier => SortKey::Tier(i32::from_be_bytes(take(&mut rest)?)),
                })
            };
            let keys = fields.iter().map(&mut key).collect::<Option<_>>()?;
            let id = take_text(&mut rest)?;
            rest.is_empty().then_some(Position { keys, id })
        };
        Ok(Self {
            position: position().ok_or_else(|| broken(argument))?,
            text,
        })
    }
}

/// Returns the cursor of the changes after a position, with any filter.
pub fn of_changes(after: LogPosition) -> String {
    let (number, mark) = (after.number.to_be_bytes(), after.mark.to_be_bytes());
    seal(CHANGES, &[number, mark].concat())
}

/// Parses a cursor of changes. `CURSOR_INVALID` names the argument. `CURSOR_EXPIRED` for a cursor of an earlier
/// version.
pub fn parse_of_changes(argument: &str, text: &str) -> Result<LogPosition> {
    let bytes = open(CHANGES, argument, text)?;
    let mut rest = bytes.as_slice();
    let mut position = || {
        let number = i64::from_be_bytes(take(&mut rest)?);
        let mark = i64::from_be_bytes(take(&mut rest)?);
        (rest.is_empty() && number >= 0).then_some(LogPosition { number, mark })
    };
    position().ok_or_else(|| broken(argument))
}

/// Returns `CURSOR_EXPIRED`, with what to do.
pub(super) fn expired(argument: &str, why: &str) -> Error {
    let message = format!(
        "{argument} {why}. Start over: list the connectors, then follow from the list's changesCursor"
    );
    Error::new(Code::CursorExpired, message)
}

/// Returns the cursor of a tool in a list of this digest.
pub(crate) fn of_tool(name: &str, digest: Digest) -> String {
    let mut bytes = digest.0.to_vec();
    put_text(&mut bytes, name);
    seal(TOOLS, &bytes)
}

/// Parses a cursor of tools, and returns the name. `CURSOR_INVALID` names the argument.
pub(crate) fn parse_of_tool(argument: &str, text: &str, digest: Digest) -> Result<String> {
    let bytes = open(TOOLS, argument, text)?;
    let mut rest = bytes.as_slice();
    if take(&mut rest).map(Digest) != Some(digest) {
        return Err(refused(argument, "is a cursor of another search"));
    }
    let name = take_text(&mut rest).filter(|_| rest.is_empty());
    name.ok_or_else(|| broken(argument))
}

/// Returns the cursor of a check of a connector. No two of a connector's checks have the same time.
pub(crate) fn of_check(checked_at: Timestamp) -> String {
    seal(CHECKS, &checked_at.0.to_be_bytes())
}

/// Parses a cursor of checks, and returns the time. `CURSOR_INVALID` names the argument.
pub(crate) fn parse_of_check(argument: &str, text: &str) -> Result<Timestamp> {
    let bytes = open(CHECKS, argument, text)?;
    let micros = bytes.as_slice().try_into().map(i64::from_be_bytes);
    micros.map(Timestamp).map_err(|_| broken(argument))
}

fn seal(kind: u8, content: &[u8]) -> String {
    let mut bytes = vec![kind];
    bytes.extend(content);
    let checksum: [u8; 4] = head(&bytes);
    bytes.extend(checksum);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a cursor of this kind and returns its content. The error names the argument.
fn open(kind: u8, argument: &str, text: &str) -> Result<Vec<u8>> {
    let bytes = Some(text)
        .filter(|text| text.len() <= MAX_CHARS)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or_else(|| broken(argument))?;
    let (body, checksum) = bytes
        .split_last_chunk::<4>()
        .ok_or_else(|| broken(argument))?;
    if head::<4>(body) != *checksum {
        return Err(broken(argument));
    }
    let refuse = |why: &str| Err(refused(argument, why));
    match body.split_first() {
        Some((given, content)) if *given == kind => Ok(content.to_vec()),
        Some((&UNMARKED_CHANGES, _)) if kind == CHANGES => Err(expired(
            argument,
            "is a cursor of an earlier version of this service",
        )),
        Some((&LIST, _)) if kind == CHANGES => Err(Error::new(
            Code::CursorInvalid,
            format!(
                "{argument} is a cursor of a list of connectors: start without it, or with the list's changesCursor"
            ),
        )),
        Some((&LIST, _)) => refuse("is a cursor of a list of connectors"),
        Some((&(CHANGES | UNMARKED_CHANGES), _)) => refuse("is a cursor of changes"),
        Some((&CHECKS, _)) => refuse("is a cursor of a connector's checks"),
        Some((&TOOLS, _)) => refuse("is a cursor of a connector's tools"),
        _ => refuse("is a cursor of another version of this service"),
    }
}

fn broken(argument: &str) -> Error {
    refused(argument, "is not a cursor of this list, or is damaged")
}

/// Returns `CURSOR_INVALID`, with what to do.
fn refused(argument: &str, why: &str) -> Error {
    let message = format!("{argument} {why}: start without it");
    Error::new(Code::CursorInvalid, message)
}

/// Returns the first bytes of the SHA-256.
fn head<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let hash = Sha256::digest(bytes);
    std::array::from_fn(|i| hash[i])
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    // Keys of names and ids are much shorter.
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend(len.to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let len = usize::from(u16::from_be_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    // PostgreSQL would refuse a forged NUL.
    String::from_utf8(head.to_vec())
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::text;

    const FIELDS: [OrderField; 5] = [
        OrderField::Relevance,
        OrderField::CreatedAt,
        OrderField::Uptime,
        OrderField::Latency,
        OrderField::Name,
    ];

    fn position(tier: i32, name: &str) -> Position {
        Position {
            keys: vec![
                SortKey::Tier(tier),
                SortKey::Number(i64::MIN),
                SortKey::Maybe(Some(i64::from(tier))),
                SortKey::Maybe(None),
                SortKey::Name(text::name_key(name)),
            ],
            id: format!("pcon_{}", "x".repeat(59)),
        }
    }

    #[test]
    fn tells_what_is_wrong() {
        let (here, there) = (Digest::of(&"here"), Digest::of(&"there"));
        let text = Cursor::new(position(1, "GitHub"), here).text;
        let refusal = |text: &str, digest| {
            let error = Cursor::parse("after", text.to_owned(), digest, &FIELDS).unwrap_err();
            assert_eq!(error.code, Code::CursorInvalid);
            assert!(error.message.ends_with(": start without it"));
            error.message
        };
        assert!(refusal(&text, there).contains("another search, filter or order"));
        for broken in [
            "",
            "x",
            "=",
            "ü",
            &text[1..],
            &text[..text.len() - 1],
            &text.replace('A', "B"),
            &"A".repeat(2000),
        ] {
            assert!(
                refusal(broken, here).contains("not a cursor of this list"),
                "{broken}"
            );
        }
    }

    fn change(number: i64) -> String {
        of_changes(LogPosition { number, mark: -1 })
    }

    #[test]
    fn an_earlier_versions_cursor_has_expired() {
        let text = seal(UNMARKED_CHANGES, &7_i64.to_be_bytes());
        let error = parse_of_changes("after", &text).unwrap_err();
        assert_eq!(error.code, Code::CursorExpired);
        assert!(
            error.message.starts_with("after is a cursor of an earlier"),
            "{}",
            error.message
        );
        assert!(error.message.contains("Start over"), "{}", error.message);
    }

    #[test]
    fn lists_and_changes_have_their_own() {
        let refusal = |parsed: Result<()>| {
            let error = parsed.unwrap_err();
            assert_eq!(error.code, Code::CursorInvalid);
            assert!(error.message.contains(": start without it"));
            assert!(error.message.starts_with("after "), "{}", error.message);
            error.message
        };
        let changes = |text: &str| refusal(parse_of_changes("after", text).map(drop));
        let list = |text: String| {
            refusal(Cursor::parse("after", text, Digest::of(&()), &[OrderField::Name]).map(drop))
        };
        let of_list = Cursor::new(position(1, "GitHub"), Digest::of(&())).text;
        assert!(changes(&of_list).contains("changesCursor"));
        assert!(list(change(7)).contains("cursor of changes"));
        let of_tool = of_tool("add", Digest::of(&()));
        assert!(list(of_tool.clone()).contains("connector's tools"));
        assert!(changes(&of_tool).contains("connector's tools"));
        let tool = |text: &str| refusal(parse_of_tool("after", text, Digest::of(&())).map(drop));
        assert!(tool(&of_list).contains("list of connectors"));
        assert!(tool(&change(7)).contains("cursor of changes"));
        assert!(tool(&of_tool[1..]).contains("not a cursor of this list"));
        assert!(list(seal(9, &[])).contains("another version"));
        let unmarked = seal(UNMARKED_CHANGES, &[0; 8]);
        assert!(list(unmarked.clone()).contains("cursor of changes"));
        assert!(tool(&unmarked).contains("cursor of changes"));
        assert!(changes(&seal(9, &[0; 8])).contains("another version"));
        for broken in [
            "",
            "7",
            &change(7)[1..],
            &change(-1),
            &seal(CHANGES, &[0; 15]),
            &seal(CHANGES, &[0; 17]),
        ] {
            assert!(
                changes(broken).contains("not a cursor of this list"),
                "{broken}"
            );
        }
    }

    #[test]
    fn the_longest_fits() {
        let text = Cursor::new(position(i32::MAX, &"각".repeat(100)), Digest::of(&())).text;
        assert!(text.len() <= MAX_CHARS, "{}", text.len());
    }

    proptest! {
        #[test]
        fn comes_back(tier: i32, name in "\\PC{0,100}") {
            let digest = Digest::of(&"list");
            let cursor = Cursor::new(position(tier, &name), digest);
            prop_assert!(cursor.text.len() <= MAX_CHARS);
            let parsed = Cursor::parse("after", cursor.text.clone(), digest, &FIELDS);
            prop_assert_eq!(parsed.unwrap(), cursor);
        }

        #[test]
        fn positions_come_back(number in 0..i64::MAX, mark: i64) {
            let position = LogPosition { number, mark };
            prop_assert_eq!(parse_of_changes("after", &of_changes(position)).unwrap(), position);
        }

        #[test]
        fn tools_come_back(name in "\\PC{0,85}") {
            let digest = Digest::of(&"words");
            let text = of_tool(&name, digest);
            prop_assert!(text.len() <= MAX_CHARS);
            prop_assert_eq!(parse_of_tool("after", &text, digest).unwrap(), name);
            let refused = parse_of_tool("after", &text, Digest::of(&"others")).unwrap_err();
            prop_assert!(refused.message.contains("another search"));
        }

        #[test]
        fn never_panics(text: String, bytes: Vec<u8>) {
            let digest = Digest::of(&());
            for text in [text, URL_SAFE_NO_PAD.encode(bytes)] {
                let _ = parse_of_changes("after", &text);
                let _ = parse_of_tool("after", &text, digest);
                let _ = Cursor::parse("after", text, digest, &FIELDS);
            }
        }
    }
}
