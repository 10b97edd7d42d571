//! The configuration file: TOML whose keys are the names of the flags.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Command, Error, error::ErrorKind};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    command,
    environment::PREFIX,
    given::Source,
    values::{did_you_mean, nearest},
};
use crate::config::file::{READABLE_BY_ALL, TextFile};

/// The setting in octal: `660` and TOML's `0o660` are equal.
const LISTEN_MODE: &str = "listen-mode";

/// A parsed configuration file.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// The entries by the name of their setting.
    entries: BTreeMap<String, Entry>,
    is_readable_by_all: bool,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The line number, from 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    One(String),
    Array(Vec<String>),
}

impl ConfigFile {
    /// Reads a file; `source` names the origin of its path. Keys may be settings of any command of `root`.
    pub(super) fn read(path: &Path, source: &str, root: &Command) -> Result<Self, Error> {
        let TextFile { text, mode } = TextFile::read(path).map_err(|error| {
            let message = format!(
                "cannot read the configuration file {} ({source}): {error}. Correct the path, or the file's owner and \
                 mode",
                path.display()
            );
            refused(&message)
        })?;
        let entries = entries(&text, root).map_err(|refusal| {
            let Refusal { line, message } = refusal;
            refused(&format!("{}:{line}: {message}", path.display()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            entries,
            is_readable_by_all: mode & READABLE_BY_ALL != 0,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Returns the file and line of an entry, in the form that editors and terminals link.
    pub(super) fn source(&self, entry: &Entry) -> Source {
        Source::File {
            path: self.path.clone(),
            line: entry.line,
        }
    }

    /// Returns a warning if every user of the system may read a file with secrets.
    pub(super) fn warning(&self, has_secrets: bool) -> Option<String> {
        let path = self.path.display();
        (has_secrets && self.is_readable_by_all).then(|| {
            format!("every user of the system can read the secrets in {path}: run chmod 600 {path}, or keep them in \
                     files of their own")
        })
    }
}

/// The reason that a file is refused, with the line.
struct Refusal {
    line: usize,
    message: String,
}

fn refused(message: &str) -> Error {
    Error::raw(ErrorKind::InvalidValue, format!("{message}\n"))
}

fn entries(text: &str, root: &Command) -> Result<BTreeMap<String, Entry>, Refusal> {
    let line = |start: usize| {
        let before = text.get(..start).unwrap_or_default();
        before.matches('\n').count() + 1
    };
    let table = DeTable::parse(text).map_err(|error| {
        let line = line(error.span().map_or(0, |span| span.start));
        let hint = if is_unquoted(text.lines().nth(line - 1).unwrap_or_default()) {
            ". Put the value in quotes"
        } else {
            ""
        };
        let message = format!("not TOML: {}{hint}", error.message());
        Refusal { line, message }
    })?;
    let mut entries = BTreeMap::new();
    for (key, value) in table.into_inner() {
        let line = line(key.span().start);
        let name = key.into_inner();
        let refusal = |message| Refusal { line, message };
        let mut known = command::all_settings(root).filter_map(|arg| arg.get_long());
        if !known.any(|known| known == name) {
            return Err(refusal(unknown(&name, value.get_ref(), root)));
        }
        let value = read(value, name == LISTEN_MODE).ok_or_else(|| {
            refusal(format!(
                "{name} must be a text, a number, true, false, or an array of them"
            ))
        })?;
        entries.insert(name.into_owned(), Entry { line, value });
    }
    Ok(entries)
}

/// Returns whether the value of a line is text without quotes.
fn is_unquoted(line: &str) -> bool {
    let value = line.split_once('=').map_or("", |(_, value)| value);
    let value = value.split('#').next().unwrap_or_default().trim();
    let is_plain = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    !value.is_empty() && !is_plain && !value.starts_with(['"', '\'', '[', '{'])
}

fn unknown(name: &str, value: &DeValue<'_>, root: &Command) -> String {
    if name == command::CONFIG {
        return "a configuration file cannot name another one. Remove config".to_owned();
    }
    if value.is_table() {
        return format!(
            "{name} is a table, and settings have none. Write each setting as NAME = VALUE at the top of the file"
        );
    }
    let known = command::all_settings(root).filter_map(|arg| arg.get_long());
    let variable = name.strip_prefix(PREFIX).unwrap_or(name);
    let nearest = did_you_mean(nearest(variable, known));
    format!("{name} is not a setting{nearest}")
}

/// Converts a value to a flag's form; none if no flag has such a form. An octal flag takes numbers as they are written.
fn read(value: Spanned<DeValue<'_>>, is_octal: bool) -> Option<Value> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(is) => Some(is.to_string()),
        DeValue::Integer(number) if is_octal => Some(number.to_string()),
        DeValue::Integer(number) => {
            let value = i64::from_str_radix(number.as_str(), number.radix());
            Some(value.map_or_else(|_| number.to_string(), |value| value.to_string()))
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    match value.into_inner() {
        DeValue::Array(values) => {
            let values = values.iter().map(|value| one(value.get_ref()));
            Some(Value::Array(values.collect::<Option<_>>()?))
        }
        value => one(&value).map(Value::One),
    }
}
