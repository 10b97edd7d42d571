//! The precedence of sources.
//!
//! From the strongest to the weakest: flags, variables, the configuration file, defaults.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, Command, Error, error::ErrorKind};

use super::{
    arguments::Arguments,
    command::{self, takes},
    config_file::{ConfigFile, Value},
    environment::Environment,
    given::Source,
    values::items,
};
use crate::config::file::{READABLE_BY_ALL, TextFile};

/// Returns the rank of a source; the highest wins.
fn strength(source: &Source) -> u8 {
    match source {
        Source::File { .. } => 0,
        Source::Variable(_) => 1,
        Source::Flag(_) => 2,
    }
}

/// The values of one setting, as text.
#[derive(Clone, Debug)]
pub(super) struct Setting<'a> {
    pub(crate) arg: &'a Arg,
    /// The values; several for a list.
    pub(crate) values: Vec<OsString>,
    pub(crate) source: Source,
    /// The file that holds the value.
    pub(crate) file: Option<PathBuf>,
}

impl Setting<'_> {
    /// Returns the flag of the setting, or of its file, with the source if it is not the command line.
    pub(super) fn name(&self) -> String {
        let long = self.arg.get_long().unwrap_or_default();
        let flag = match &self.file {
            Some(file) => format!("--{long}-file {}", file.display()),
            None => format!("--{long}"),
        };
        match &self.source {
            Source::Flag(_) => flag,
            source => format!("{flag} ({source})"),
        }
    }
}

/// Returns the given settings of a command, each from its strongest source.
///
/// A setting replaces another one that it excludes, if its source is stronger.
pub(super) fn choose<'a>(
    called: &'a Command,
    arguments: &Arguments,
    environment: &Environment,
    file: Option<&ConfigFile>,
) -> Result<Vec<Setting<'a>>, Error> {
    let mut found = Vec::new();
    for arg in command::settings(called) {
        let given = match given(arg, arguments, environment) {
            Some(given) => Some(given),
            None => file.map(|file| in_file(arg, file)).transpose()?.flatten(),
        };
        found.extend(given);
    }
    let stronger = |setting: &Setting<'_>| {
        found.iter().any(|other| {
            strength(&other.source) > strength(&setting.source)
                && command::exclude(called, other.arg, setting.arg)
        })
    };
    Ok(found
        .iter()
        .filter(|setting| !stronger(setting))
        .cloned()
        .collect())
}

/// Returns the setting from a flag or its variable.
fn given<'a>(
    arg: &'a Arg,
    arguments: &Arguments,
    environment: &Environment,
) -> Option<Setting<'a>> {
    let long = arg.get_long()?;
    if let Some(value) = arguments.flags.get(long) {
        let source = Source::Flag(format!("--{long}"));
        return Some(setting(arg, vec![value.clone()], source));
    }
    let variable = command::variable(arg)?;
    let values = split(arg, environment.get(variable)?);
    let source = Source::Variable(variable.to_owned());
    (!values.is_empty()).then(|| setting(arg, values, source))
}

fn in_file<'a>(arg: &'a Arg, file: &ConfigFile) -> Result<Option<Setting<'a>>, Error> {
    let long = arg.get_long().unwrap_or_default();
    let Some(entry) = file.get(long) else {
        return Ok(None);
    };
    let values: Vec<OsString> = match &entry.value {
        // An empty value equals an empty variable.
        Value::One(text) if text.is_empty() => Vec::new(),
        Value::One(text) => split(arg, &OsString::from(text)),
        Value::Array(_) if !command::is_repeated(arg) => {
            let source = file.source(entry);
            let message = format!("{source}: {long} has one value, and not an array of values\n");
            return Err(Error::raw(ErrorKind::InvalidValue, message));
        }
        Value::Array(texts) => {
            let has_comma = |text: &&String| command::is_list(arg) && text.contains(',');
            if let Some(text) = texts.iter().find(has_comma) {
                let source = file.source(entry);
                let message = format!(
                    "{source}: {long} has an item with a comma: {text}. Commas separate the items of this setting: \
                     write each as an item, and rename a file that has one\n"
                );
                return Err(Error::raw(ErrorKind::InvalidValue, message));
            }
            texts.iter().map(Into::into).collect()
        }
    };
    let source = file.source(entry);
    Ok((!values.is_empty()).then(|| setting(arg, values, source)))
}

fn setting(arg: &Arg, values: Vec<OsString>, source: Source) -> Setting<'_> {
    Setting {
        arg,
        values,
        source,
        file: None,
    }
}

/// Returns the items of a list, or the one value. Blanks around a value are significant only in paths and secrets.
fn split(arg: &Arg, value: &OsString) -> Vec<OsString> {
    match value.to_str() {
        Some(list) if command::is_list(arg) => items(list).map(Into::into).collect(),
        Some(text) if !takes(arg, "FILE") && !takes(arg, "SECRET") => vec![text.trim().into()],
        _ => vec![value.clone()],
    }
}

/// Reads the values of settings from their files. Adds them to the settings, and returns warnings.
pub(super) fn read_files<'a>(
    called: &'a Command,
    settings: &mut Vec<Setting<'a>>,
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for flag in settings.clone() {
        let Some(arg) = command::value_of_file(called, flag.arg) else {
            continue;
        };
        if let Some(other) = settings.iter().find(|other| other.arg == arg) {
            let message = format!(
                "{} cannot be used with {}. Remove one of them\n",
                flag.name(),
                other.name()
            );
            return Err(Error::raw(ErrorKind::ArgumentConflict, message));
        }
        let path = flag.values.first().map_or(Path::new(""), Path::new);
        let value = read_file(path, &mut warnings).map_err(|cause| {
            let message = format!("{} {}: {cause}\n", flag.name(), path.display());
            Error::raw(ErrorKind::InvalidValue, message)
        })?;
        settings.push(Setting {
            arg,
            values: vec![value.into()],
            source: flag.source,
            file: Some(path.to_owned()),
        });
    }
    Ok(warnings)
}

/// Reads a secret's file, without the final line end.
fn read_file(path: &Path, warnings: &mut Vec<String>) -> Result<String, String> {
    let TextFile { mut text, mode } = TextFile::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            "it is not text. Write the secret as text, such as base64".to_owned()
        }
        _ => error.to_string(),
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err("it is empty. Write the value into it".to_owned());
    }
    if mode & READABLE_BY_ALL != 0 {
        let path = path.display();
        warnings.push(format!(
            "every user of the system can read the secret in {path}: run chmod 600 {path}, or set its mode where it is \
             mounted"
        ));
    }
    Ok(text)
}
