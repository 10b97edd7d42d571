//! The objects of one input, one after the other.
//!
//! Invariant: whatever the input's size, of its objects no more is held than [`ELEMENT_BYTES`] of one, which is handed on, or
//! rejected under its number, before the next is read.

use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, BufRead, Read},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    Rejection,
    object::{self, Object},
};

/// The longest object that is read.
pub const ELEMENT_BYTES: usize = 1024 * 1024;

/// The key of a registry page that has its list.
const SERVERS: &[u8] = b"servers";

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why reading ended before its input did; what came before was handed on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// The input could not be read, or stops being JSON at the line and column that the message says.
    #[error("{0}")]
    Input(serde_json::Error),
    /// The receiver wants no more.
    #[error("{0}")]
    Receiver(E),
}

impl<E> ReadError<E> {
    fn unreadable(reason: impl fmt::Display) -> Self {
        Self::Input(serde_json::Error::custom(reason))
    }
}

/// Hands each object to `each` with its number from 1, and gives their count.
///
/// An input is any sequence of JSON values, a line each or not. An array is its elements, an object with an array `servers`
/// is that array's elements, and any other object is itself; what is no object is handed on as a rejection. `input` is read
/// a byte at a time.
pub fn read<E>(
    mut input: impl BufRead,
    each: impl FnMut(u64, Result<Object, Rejection>) -> Result<(), E>,
) -> Result<u64, ReadError<E>> {
    let mut head = Vec::new();
    let mut start = input.by_ref().take(BYTE_ORDER_MARK.len() as u64);
    start
        .read_to_end(&mut head)
        .map_err(ReadError::unreadable)?;
    if head.starts_with(&[0xfe, 0xff]) || head.starts_with(&[0xff, 0xfe]) {
        return Err(ReadError::unreadable(
            "the input is UTF-16, and must be UTF-8",
        ));
    }
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);

    let tap = Tap::new(head.chain(input));
    let mut reading = Reading {
        tap: &tap,
        count: 0,
        each,
        stopped: None,
    };
    let mut json = serde_json::Deserializer::from_reader(&tap);
    loop {
        // Looks past the blanks for one more value, and takes nothing of it.
        match json.end() {
            Ok(()) => return Ok(reading.count),
            Err(error) if error.is_io() => return Err(ReadError::Input(error)),
            Err(_) => {}
        }
        if let Err(error) = Value(&mut reading, Level::Top).deserialize(&mut json) {
            let stopped = reading.stopped.take();
            return Err(stopped.map_or(ReadError::Input(error), ReadError::Receiver));
        }
    }
}

struct Reading<'t, R, F, E> {
    tap: &'t Tap<R>,
    count: u64,
    each: F,
    /// What `each` failed with, while serde's own error carries the stop outwards.
    stopped: Option<E>,
}

impl<R, E, F: FnMut(u64, Result<Object, Rejection>) -> Result<(), E>> Reading<'_, R, F, E> {
    fn hand_on<D: serde::de::Error>(&mut self, object: Result<Object, Rejection>) -> Result<(), D> {
        self.count += 1;
        (self.each)(self.count, object).map_err(|error| {
            self.stopped = Some(error);
            D::custom("stopped")
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Top,
    /// The value of a top-level object's key `servers`.
    Servers,
    /// Of a list.
    Element,
}

/// A value about to be read; says whether it was a list of elements.
struct Value<'r, 't, R, F, E>(&'r mut Reading<'t, R, F, E>, Level);

impl<'de, R, E, F> DeserializeSeed<'de> for Value<'_, '_, R, F, E>
where
    F: FnMut(u64, Result<Object, Rejection>) -> Result<(), E>,
{
    type Value = bool;

    /// An option is how `serde_json` tells a value's first byte before anything but null is taken.
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de, R, E, F> Visitor<'de> for Value<'_, '_, R, F, E>
where
    F: FnMut(u64, Result<Object, Rejection>) -> Result<(), E>,
{
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<D: serde::de::Error>(self) -> Result<bool, D> {
        let Self(reading, level) = self;
        if level != Level::Servers {
            reading.hand_on(object::parse("null"))?;
        }
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        let Self(reading, level) = self;
        match (level, reading.tap.last.get()) {
            (Level::Top | Level::Servers, b'[') => {
                return json.deserialize_seq(Value(reading, level));
            }
            (Level::Servers, _) => {
                IgnoredAny::deserialize(json)?;
                return Ok(false);
            }
            (Level::Top, b'{') => {
                reading.tap.restart();
                if json.deserialize_map(Value(&mut *reading, level))? {
                    return Ok(true);
                }
            }
            (Level::Top | Level::Element, _) => {
                reading.tap.restart();
                IgnoredAny::deserialize(json)?;
            }
        }
        reading.hand_on(reading.tap.object())?;
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let reading = self.0;
        while let Some(_nested) = list.next_element_seed(Value(&mut *reading, Level::Element))? {}
        Ok(true)
    }

    /// Of an object at the top.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let (reading, mut page) = (self.0, false);
        while let Some(IsServers(servers)) = map.next_key()? {
            if servers {
                page |= map.next_value_seed(Value(&mut *reading, Level::Servers))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(page)
    }
}

/// Whether a key is `servers`. Read as bytes, a key that is no Unicode is left for the object's own rejection.
struct IsServers(bool);

impl<'de> Deserialize<'de> for IsServers {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Key;

        impl Visitor<'_> for Key {
            type Value = IsServers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_bytes<D>(self, key: &[u8]) -> Result<IsServers, D> {
                Ok(IsServers(key == SERVERS))
            }
        }

        json.deserialize_bytes(Key)
    }
}

/// Keeps the text of the element that passes through it, up to one byte more than may be.
///
/// `serde_json` does not buffer its input: when it has seen a value's first byte, that byte is the last one read, and when it
/// has taken an object, its closing brace is.
struct Tap<R> {
    input: RefCell<R>,
    last: Cell<u8>,
    element: RefCell<Vec<u8>>,
}

impl<R> Tap<R> {
    fn new(input: R) -> Self {
        Self {
            input: RefCell::new(input),
            last: Cell::new(0),
            element: RefCell::default(),
        }
    }

    /// Begins an element with the byte read last.
    fn restart(&self) {
        let mut element = self.element.borrow_mut();
        element.clear();
        element.push(self.last.get());
    }

    fn object(&self) -> Result<Object, Rejection> {
        let element = self.element.borrow();
        let rejected = |reason: &str| Rejection {
            field: String::new(),
            reason: reason.to_owned(),
        };
        if element.len() > ELEMENT_BYTES {
            return Err(rejected("must be at most 1 MiB"));
        }
        object::parse(str::from_utf8(&element).map_err(|_| rejected("must be UTF-8"))?)
    }
}

impl<R: Read> Read for &Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.borrow_mut().read(buffer)?;
        let mut element = self.element.borrow_mut();
        for byte in &buffer[..read] {
            self.last.set(*byte);
            if element.len() <= ELEMENT_BYTES {
                element.push(*byte);
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
