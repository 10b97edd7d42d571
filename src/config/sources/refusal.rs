//! Errors of clap, with the sources of the values that they name.

use std::{
    error::Error as _,
    num::{IntErrorKind, ParseIntError},
};

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{given::Source, layers::Setting};

/// Adds the variable, or the file and line, to each flag that the error names. Hides the values of secrets.
pub(super) fn with_sources(mut error: Error, chosen: &[Setting<'_>]) -> Error {
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && chosen
            .iter()
            .any(|setting| setting.arg.to_string() == *flag && setting.arg.is_hide_env_values_set())
        && let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && !value.is_empty()
    {
        let hidden = ContextValue::String("***".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    let with_source = |flag: &String| {
        let mut settings = chosen.iter();
        let setting = settings.find(|setting| setting.arg.to_string() == *flag);
        match setting {
            Some(setting) if setting.file.is_some() => setting.name(),
            Some(setting) => match source(setting) {
                Some(source) => format!("{flag} ({source})"),
                None => flag.clone(),
            },
            None => flag.clone(),
        }
    };
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let named = match error.get(kind) {
            Some(ContextValue::String(flag)) => ContextValue::String(with_source(flag)),
            Some(ContextValue::Strings(flags)) => {
                ContextValue::Strings(flags.iter().map(with_source).collect())
            }
            _ => continue,
        };
        error.insert(kind, named);
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    match cause.map(ParseIntError::kind) {
        Some(IntErrorKind::Empty | IntErrorKind::InvalidDigit) => no_number(&error),
        _ => error,
    }
}

/// Rephrases the error for a value that is no number. The standard library's text is about digits.
fn no_number(error: &Error) -> Error {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let text = text.replace(&cause, "expected a whole number, without sign and unit");
    Error::raw(error.kind(), text)
}

/// Adds the sources of the named flags to a message.
pub(super) fn message_with_sources(message: &str, chosen: &[Setting<'_>]) -> String {
    let mut message = message.to_owned();
    for setting in chosen {
        let long = format!("--{}", setting.arg.get_long().unwrap_or_default());
        let is_named = message
            .split(|c: char| c != '-' && !c.is_ascii_alphanumeric())
            .any(|word| word == long);
        if is_named && let Some(source) = source(setting) {
            message.extend([". ", &long, " is set by ", &source]);
        }
    }
    message
}

pub(super) fn of(called: &Command, message: &str) -> Error {
    called.clone().error(ErrorKind::ValueValidation, message)
}

/// Returns the source of a value that is not on the command line.
fn source(setting: &Setting<'_>) -> Option<String> {
    match (&setting.source, &setting.file) {
        (Source::Flag(_), None) => None,
        (_, Some(file)) => Some(file.display().to_string()),
        (source, None) => Some(source.to_string()),
    }
}
