//! Reads the objects of an input one by one.
//!
//! Invariant: memory holds the text of at most two objects, [`tap::ELEMENT_BYTES`] each, whatever the input's size.
//! Each is passed on, or rejected under its number, before the next is read. Every omission is an [`Event`].

mod tap;

use std::{
    fmt,
    io::{BufRead, Read},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    Rejection,
    object::{self, Object},
    shape::{self, Section},
};
use tap::{Part, Tap};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The most keys beside a list of servers that an event names.
const KEYS_NAMED: usize = 5;

/// The reason that reading stopped early. Earlier objects were passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError<E> {
    /// The input could not be read, or is no JSON from the line and column in the message on.
    #[error("{0}")]
    Input(String),
    /// The receiver failed.
    #[error("{0}")]
    Receiver(E),
}

/// One object of an input.
#[derive(Debug)]
pub(crate) struct Element {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Its first line, from 1.
    pub(crate) line: u64,
    pub(crate) section: Section,
    /// Its key in a map of servers by name.
    pub(crate) name: Option<String>,
    pub(crate) object: Result<Object, Rejection>,
}

/// A part of an input.
#[derive(Debug)]
pub(crate) enum Event {
    Element(Element),
    /// The input is one page of a list, and this is the cursor of the next one.
    NextPage(String),
    /// Ignored keys beside a list of servers: the first ones, and the number of the others.
    KeysLeftOut(Vec<String>, usize),
}

/// Passes each part of the input to `each`. Returns the number of elements.
///
/// An input is a sequence of JSON values, on one line each or not; comments and trailing commas are ignored. An array
/// stands for its elements. An object with a list or map of servers under a key of [`Section`] stands for those
/// elements. Any other object is one element. Other values are passed on as rejections, and so is an invalid line among
/// valid ones.
pub(crate) fn read<E>(
    mut input: impl BufRead,
    each: impl FnMut(Event) -> Result<(), E>,
) -> Result<u64, ReadError<E>> {
    let unreadable = |error: std::io::Error| ReadError::Input(error.to_string());
    let mut head = Vec::new();
    let mut start = input.by_ref().take(BYTE_ORDER_MARK.len() as u64);
    start.read_to_end(&mut head).map_err(unreadable)?;
    if head.starts_with(&[0xfe, 0xff]) || head.starts_with(&[0xff, 0xfe]) {
        let reason = "the input is UTF-16, and must be UTF-8";
        return Err(ReadError::Input(reason.to_owned()));
    }
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);

    let tap = Tap::new(head.chain(input));
    let mut reading = Reading {
        tap: &tap,
        count: 0,
        name: None,
        each,
        stopped: None,
    };
    let (mut values, mut lines, mut after_object) = (0_u64, true, false);
    loop {
        let lines_before = tap.line() - 1;
        let mut json = serde_json::Deserializer::from_reader(&tap);
        let error = loop {
            // Looks past blanks for another value, and consumes nothing of it.
            match json.end() {
                Ok(()) => return Ok(reading.count),
                Err(error) if error.is_io() => return Err(ReadError::Input(error.to_string())),
                Err(_) => tap.restart(Part::Top),
            }
            let (line, count) = (tap.line(), reading.count);
            match Value(&mut reading, Level::Top).deserialize(&mut json) {
                Ok(_) => {
                    values += 1;
                    lines &= tap.line() == line;
                    after_object = tap.last() == b'}';
                }
                Err(error) => {
                    break Failure {
                        error,
                        line,
                        taken: reading.count - count,
                    };
                }
            }
        };
        if let Some(stopped) = reading.stopped.take() {
            return Err(ReadError::Receiver(stopped));
        }
        let Failure { error, line, taken } = error;
        if error.is_io() {
            return Err(ReadError::Input(error.to_string()));
        }
        let reason = reason(&error);
        let at = lines_before + error.line() as u64;
        let first = (values == 0)
            .then(|| tap.head())
            .transpose()
            .map_err(unreadable)?;
        let looks_like = first.as_deref().and_then(shape::text_looks_like);
        if let Some(looks_like) = looks_like {
            let column = error.column();
            let reason = format!(
                "{reason} at line {at} column {column}. It is not JSON: it looks like {looks_like}"
            );
            return Err(ReadError::Input(reason));
        }
        let may_skip = taken == 0 && first.is_none_or(|head| head.first() == Some(&b'{'));
        if !may_skip
            || !tap
                .skip_line(values > 0 && lines, after_object)
                .map_err(unreadable)?
        {
            let column = error.column();
            return Err(ReadError::Input(format!(
                "{reason} at line {at} column {column}"
            )));
        }
        let rejection = Rejection {
            field: "line".to_owned(),
            reason: format!("line {line} is not JSON: {reason}"),
        };
        reading.name = None;
        let element = (line, Err(rejection));
        if reading
            .hand_on::<serde_json::Error>(Section::Open, element)
            .is_err()
            && let Some(stopped) = reading.stopped.take()
        {
            return Err(ReadError::Receiver(stopped));
        }
    }
}

/// A value that is not JSON.
struct Failure {
    error: serde_json::Error,
    /// The first line of the value.
    line: u64,
    /// Elements of the value that were passed on before.
    taken: u64,
}

/// Returns the message without its position.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&at).unwrap_or(&text).to_owned()
}

struct Reading<'t, R, F, E> {
    tap: &'t Tap<R>,
    count: u64,
    /// The key of the current element.
    name: Option<String>,
    each: F,
    /// The error of `each`, while serde's own error carries the stop outwards.
    stopped: Option<E>,
}

impl<R, E, F: FnMut(Event) -> Result<(), E>> Reading<'_, R, F, E> {
    fn hand_on<D: serde::de::Error>(
        &mut self,
        section: Section,
        (line, object): (u64, Result<Object, Rejection>),
    ) -> Result<(), D> {
        self.count += 1;
        let element = Element {
            number: self.count,
            line,
            section,
            name: self.name.take(),
            object,
        };
        self.emit(Event::Element(element))
    }

    fn emit<D: serde::de::Error>(&mut self, event: Event) -> Result<(), D> {
        (self.each)(event).map_err(|error| {
            self.stopped = Some(error);
            D::custom("stopped")
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Top,
    /// The value of a key that may contain servers of other forms.
    Envelope,
    /// A map of envelopes by name.
    Projects,
    /// The value of a key with servers: a list, or a map by name.
    Servers(Section),
    Element(Section),
    /// The first member of a top-level object: an element, if it shows that the object is a map of servers.
    First,
}

/// A value to be read. The result says whether it was an element or had any.
struct Value<'r, 't, R, F, E>(&'r mut Reading<'t, R, F, E>, Level);

impl<'de, R, E, F> DeserializeSeed<'de> for Value<'_, '_, R, F, E>
where
    R: Read,
    F: FnMut(Event) -> Result<(), E>,
{
    type Value = bool;

    /// Reads it as an option: `serde_json` then examines the first byte and consumes only null.
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de, R, E, F> Visitor<'de> for Value<'_, '_, R, F, E>
where
    R: Read,
    F: FnMut(Event) -> Result<(), E>,
{
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<D: serde::de::Error>(self) -> Result<bool, D> {
        let Self(reading, level) = self;
        match level {
            // Go writes an empty list as null.
            Level::Servers(section) => return Ok(section.may_be_null()),
            Level::Envelope | Level::Projects | Level::First => return Ok(false),
            Level::Top => {
                reading.hand_on(Section::Open, (reading.tap.line(), object::parse("null")))?;
            }
            Level::Element(section) => {
                reading.hand_on(section, (reading.tap.line(), object::parse("null")))?;
            }
        }
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        let Self(reading, level) = self;
        let section = match (level, reading.tap.last()) {
            (Level::Top | Level::Servers(_), b'[') => {
                return json.deserialize_seq(Value(reading, level));
            }
            (Level::Envelope | Level::Projects | Level::Servers(_), b'{') => {
                return json.deserialize_map(Value(reading, level));
            }
            (Level::Envelope | Level::Projects | Level::Servers(_), _) => {
                IgnoredAny::deserialize(json)?;
                return Ok(false);
            }
            (Level::Top, b'{') => {
                if !json.deserialize_map(Value(&mut *reading, level))? {
                    reading.hand_on(Section::Open, reading.tap.take(Part::Top))?;
                }
                return Ok(true);
            }
            (Level::Top, _) => Section::Open,
            (Level::Element(section), _) => section,
            (Level::First, _) => {
                reading.tap.restart(Part::Element);
                IgnoredAny::deserialize(json)?;
                let (line, object) = reading.tap.take(Part::Element);
                let is_package = object.as_ref().is_ok_and(shape::is_package);
                if is_package {
                    reading.hand_on(Section::Packages, (line, object))?;
                }
                return Ok(is_package);
            }
        };
        reading.tap.restart(Part::Element);
        IgnoredAny::deserialize(json)?;
        reading.hand_on(section, reading.tap.take(Part::Element))?;
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let Self(reading, level) = self;
        let section = match level {
            Level::Servers(section) => section.in_a_list(),
            _ => Section::Open,
        };
        let element = Level::Element(section);
        while let Some(_nested) = list.next_element_seed(Value(&mut *reading, element))? {}
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Self(reading, level) = self;
        let (mut found, mut cursor) = (false, None);
        let (mut named, mut others) = (Vec::new(), 0);
        let mut members = match level {
            Level::Servers(section) => Some(section),
            _ => None,
        };
        let mut is_first = level == Level::Top;
        while let Some(Key(key)) = map.next_key()? {
            let first = std::mem::take(&mut is_first);
            let within = level;
            let level = match members {
                Some(section) => Level::Element(section),
                None if level == Level::Projects => Level::Envelope,
                None => match Section::of(&key) {
                    Some(section) => Level::Servers(section),
                    None if level == Level::Top && shape::is_envelope(&key) => Level::Envelope,
                    None if level == Level::Top && shape::is_projects(&key) => Level::Projects,
                    None if key == shape::PAGE => {
                        cursor = map.next_value_seed(Cursor(reading.tap))?.or(cursor);
                        continue;
                    }
                    None if first => Level::First,
                    None => {
                        map.next_value::<IgnoredAny>()?;
                        leave_out(&key, &mut named, &mut others);
                        continue;
                    }
                },
            };
            reading.name = matches!(level, Level::Element(_) | Level::First).then(|| key.clone());
            let has = map.next_value_seed(Value(&mut *reading, level))?;
            reading.name = None;
            match level {
                Level::First if has => members = Some(Section::Packages),
                Level::Envelope if within == Level::Projects => {}
                Level::Servers(_) | Level::Envelope | Level::Projects if !has => {
                    leave_out(&key, &mut named, &mut others);
                }
                Level::First => leave_out(&key, &mut named, &mut others),
                _ => {}
            }
            found |= has || members.is_some();
        }
        found |= members.is_some();
        if found && !named.is_empty() {
            reading.emit(Event::KeysLeftOut(named, others))?;
        }
        if found && let Some(cursor) = cursor {
            reading.emit(Event::NextPage(cursor))?;
        }
        Ok(found)
    }
}

/// Records a key beside a list of servers, unless it is known to contain none.
fn leave_out(key: &str, named: &mut Vec<String>, others: &mut usize) {
    if shape::is_about_the_list(key) {
        return;
    }
    if named.len() < KEYS_NAMED {
        named.push(key.chars().take(50).collect());
    } else {
        *others += 1;
    }
}

/// Reads the cursor of the next page, if the value is an object with one.
struct Cursor<'t, R>(&'t Tap<R>);

impl<'de, R: Read> DeserializeSeed<'de> for Cursor<'_, R> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<String>, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de, R: Read> Visitor<'de> for Cursor<'_, R> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<D>(self) -> Result<Option<String>, D> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Option<String>, D::Error> {
        self.0.restart(Part::Element);
        IgnoredAny::deserialize(json)?;
        let (_, page) = self.0.take(Part::Element);
        Ok(page.ok().and_then(|page| shape::next_cursor(&page)))
    }
}

/// A key, read as bytes: if it is no Unicode, the object's own parser rejects it.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_bytes<D>(self, key: &[u8]) -> Result<Key, D> {
                Ok(Key(String::from_utf8_lossy(key).into_owned()))
            }
        }

        json.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests;
