//! A JSON object of a file.
//!
//! Invariant: no key is lost or repeated. A value of the wrong kind is a [`Rejection`] that names its key.

use std::fmt;

use entity::Iterable;
use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::domain::{
    connector::{Errors, REPLACED_BY},
    field::word,
};

use super::Rejection;

/// The key of a deprecated connector's replacement.
pub(super) const REPLACED_BY_KEY: &str = "replacedBy";

/// The reason for a value that is no object.
pub(super) const NO_OBJECT: &str = "must be a JSON object";

/// The keys in file order, each with its value's raw text.
pub(crate) type Object = IndexMap<String, Box<RawValue>>;

/// Reads an object. The field of a rejection is empty if the whole value is wrong.
pub(crate) fn parse(json: &str) -> Result<Object, Rejection> {
    let rejected = |field: String, reason: String| Rejection { field, reason };
    if !json.trim_start().starts_with('{') {
        return Err(rejected(String::new(), NO_OBJECT.to_owned()));
    }
    let Keyed { object, twice } = serde_json::from_str(json)
        .map_err(|error| rejected(String::new(), format!("{NO_OBJECT}: {error}")))?;
    match twice {
        Some(key) => {
            let reason = format!("{key} stands twice");
            Err(rejected(key, reason))
        }
        None => Ok(object),
    }
}

/// An object and its first repeated key. Most parsers would silently take the last value.
struct Keyed {
    object: Object,
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Keyed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Keyed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keyed, A::Error> {
                let (mut object, mut twice) = (Object::new(), None);
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if object.contains_key(&key) {
                        twice.get_or_insert(key);
                    } else {
                        object.insert(key, value);
                    }
                }
                Ok(Keyed { object, twice })
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// Returns the text of a key, if it is one.
pub(super) fn text(object: &Object, key: &str) -> Option<String> {
    serde_json::from_str(object.get(key)?.get()).ok()
}

/// Returns the object of a key, if it is one.
pub(super) fn inner(object: &Object, key: &str) -> Option<Object> {
    parse(object.get(key)?.get()).ok()
}

/// Takes values out of an object and collects all rejections, so that an author can correct them together.
///
/// A null value counts as absent.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    object: &'a Object,
    rejections: Vec<Rejection>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(object: &'a Object) -> Self {
        Self {
            object,
            rejections: Vec::new(),
        }
    }

    pub(super) fn object(&self) -> &'a Object {
        self.object
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.object.keys().map(String::as_str)
    }

    pub(super) fn reject(&mut self, key: &str, expected: &str) {
        self.rejections.push(Rejection {
            field: key.to_owned(),
            reason: format!("{key} {expected}"),
        });
    }

    /// Rejects every unknown key.
    pub(super) fn only(&mut self, known: &[&str]) {
        for key in self.object.keys() {
            if !known.contains(&key.as_str()) {
                self.reject(key, "is not a key of a personal connector");
            }
        }
    }

    pub(super) fn require(&mut self, keys: &[&str]) {
        for key in keys {
            if self.raw(key).is_none() {
                self.reject(key, "is required");
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    pub(super) fn raw(&self, key: &str) -> Option<&'a str> {
        let value = self.object.get(key)?.get();
        (value != "null").then_some(value)
    }

    pub(super) fn value<T: DeserializeOwned>(&mut self, key: &str, expected: &str) -> Option<T> {
        let value = serde_json::from_str(self.raw(key)?);
        value.map_err(|_| self.reject(key, expected)).ok()
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let expected = if self.raw(key)?.starts_with('"') {
            "must be Unicode text: a surrogate stands alone in it"
        } else {
            "must be a string"
        };
        self.value(key, expected)
    }

    pub(super) fn word<T: Iterable + Serialize>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        let found = T::iter().find(|value| word(value) == text);
        if found.is_none() {
            let words: Vec<_> = T::iter().map(|value| word(value)).collect();
            self.reject(key, &format!("must be one of {}", words.join(", ")));
        }
        found
    }

    /// Returns all rejections, including those of the field rules. A key of the wrong kind has only its first
    /// rejection.
    pub(super) fn rejections(self, errors: Errors) -> Vec<Rejection> {
        let of_kind = self.rejections;
        let of_rules = errors.0.into_iter().map(|mut error| {
            if error.field == Some(REPLACED_BY) {
                error.field = Some(REPLACED_BY_KEY);
            }
            Rejection::from(error)
        });
        let new = of_rules.filter(|rule| of_kind.iter().all(|kind| kind.field != rule.field));
        let new: Vec<_> = new.collect();
        of_kind.into_iter().chain(new).collect()
    }
}

/// Writes a compact object, key by key.
#[derive(Debug, Default)]
pub(super) struct Json(String);

impl Json {
    pub(super) fn text<'a>(&mut self, key: &str, text: impl Into<Option<&'a str>>) {
        if let Some(text) = text.into() {
            self.raw(key, &quoted(text));
        }
    }

    pub(super) fn raw(&mut self, key: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(json);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
