//! The effective settings, in the form of a configuration file.

use std::{borrow::Cow, ffi::OsStr, fmt};

use clap::{ArgMatches, Command, parser::ValueSource};
use toml::Value;

use super::{command, layers::Setting};

/// The settings of a command, each with its source and without secrets.
#[derive(Debug, Default)]
pub struct Settings(Vec<Shown>);

#[derive(Debug)]
struct Shown {
    heading: String,
    name: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A value that another start can use, and its source.
    Value(Value, String),
    /// A partly hidden value, and its source.
    Hidden(String, String),
    /// A hidden value, and the file that holds it.
    InFile(String, String),
    Unset,
}

impl Settings {
    pub(super) fn of(called: &Command, chosen: &[Setting<'_>], matches: &ArgMatches) -> Self {
        let shown = command::settings(called).map(|arg| Shown {
            heading: arg.get_help_heading().unwrap_or_default().to_owned(),
            name: arg.get_long().unwrap_or_default().to_owned(),
            state: state(arg, chosen, matches),
        });
        let mut shown: Vec<_> = shown.collect();
        // Several structs declare flags of one heading.
        let headings: Vec<_> = shown.iter().map(|shown| shown.heading.clone()).collect();
        shown.sort_by_key(|shown| headings.iter().position(|of| *of == shown.heading));
        Self(shown)
    }

    /// Returns the names of settings with hidden values that no file holds.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        let is_hidden = |shown: &&Shown| matches!(shown.state, State::Hidden(..));
        self.0.iter().filter(is_hidden).map(|shown| &*shown.name)
    }
}

fn state(arg: &clap::Arg, chosen: &[Setting<'_>], matches: &ArgMatches) -> State {
    let id = arg.get_id().as_str();
    let setting = chosen.iter().find(|setting| setting.arg == arg);
    let texts: Vec<Cow<'_, str>> = match matches.get_raw(id) {
        Some(raw) => raw.map(OsStr::to_string_lossy).collect(),
        // The value of a file is written, and not the flag of the file.
        None => match setting {
            Some(setting) => setting.values.iter().map(|v| v.to_string_lossy()).collect(),
            None => return State::Unset,
        },
    };
    let source = match setting {
        Some(setting) => setting.source.to_string(),
        None if matches.value_source(id) == Some(ValueSource::DefaultValue) => "default".to_owned(),
        None => String::new(),
    };
    let first = texts.first().map_or("", |text| text);
    if let Some(file) = setting.and_then(|setting| setting.file.as_ref()) {
        let source = format!("the file {}", file.display());
        return State::InFile(command::without_secrets(arg, first).into_owned(), source);
    }
    let shown = command::without_secrets(arg, first);
    if shown != first {
        return State::Hidden(shown.into_owned(), source);
    }
    let is = matches.try_get_one::<bool>(id).ok().flatten();
    let value = if let Some(is) = is {
        Value::Boolean(*is)
    } else if command::is_repeated(arg) {
        Value::Array(texts.iter().map(|text| value(text)).collect())
    } else {
        value(first)
    };
    State::Value(value, source)
}

/// Returns an integer for a number, so that it is written without quotes.
fn value(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Integer(number),
        _ => Value::String(text.to_owned()),
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = "";
        for shown in &self.0 {
            if shown.heading != heading {
                let blank = if heading.is_empty() { "" } else { "\n" };
                heading = &shown.heading;
                writeln!(f, "{blank}# {heading}")?;
            }
            let name = &shown.name;
            match &shown.state {
                State::Value(value, source) => writeln!(f, "{name} = {value} # {source}")?,
                State::Hidden(text, source) | State::InFile(text, source) => {
                    let text = Value::String(text.clone());
                    writeln!(f, "# {name} = {text} # {source}, hidden here")?;
                }
                State::Unset => writeln!(f, "# {name} is not set")?,
            }
        }
        Ok(())
    }
}
