//! The arguments of a command, split as clap reads them.
//!
//! All flags are long, and no value begins with two hyphens unless it follows an equals sign.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use clap::{Arg, Command, Error, error::ErrorKind};

use super::{command, values};

/// The arguments after a command's name.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// The arguments, without blanks after the commas of lists.
    pub(crate) all: Vec<OsString>,
    /// The flags by name, each with its last value; empty for a flag without a value.
    pub(crate) flags: HashMap<String, OsString>,
}

impl Arguments {
    pub(super) fn read(command: &Command, arguments: &[OsString]) -> Result<Self, Error> {
        let mut read = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                read.all.push(argument.clone());
                break;
            }
            let Some((arg, long, value)) = flag(command, argument) else {
                read.all.push(argument.clone());
                continue;
            };
            let next = arguments.as_slice().first().and_then(|next| next.to_str());
            if value.is_none()
                && arg.is_require_equals_set()
                && let Some(is @ ("true" | "false")) = next
            {
                let message = format!("write --{long}={is}, with an equals sign\n");
                return Err(Error::raw(ErrorKind::NoEquals, message));
            }
            let has_equals = value.is_some();
            let value = match value {
                None if arg.get_action().takes_values() && !arg.is_require_equals_set() => {
                    arguments.next().map(OsString::as_os_str)
                }
                value => value,
            };
            let value = value.map(|value| match value.to_str() {
                Some(list) if command::is_list(arg) => OsString::from(values::without_blanks(list)),
                _ => value.to_owned(),
            });
            let name = format!("--{long}");
            match &value {
                Some(value) if has_equals => read.all.push(values::joined(&name, value)),
                value => {
                    read.all.push(name.into());
                    read.all.extend(value.clone());
                }
            }
            read.flags
                .insert(long.to_owned(), value.unwrap_or_default());
        }
        read.all.extend(arguments.cloned());
        Ok(read)
    }
}

/// Parses a flag: its name, and the value after an equals sign. Returns none for other arguments and for unknown flags.
fn flag<'a>(
    command: &'a Command,
    argument: &'a OsStr,
) -> Option<(&'a Arg, &'a str, Option<&'a OsStr>)> {
    let flag = argument.as_bytes().strip_prefix(b"--")?;
    let equals = flag.iter().position(|byte| *byte == b'=');
    let (long, value) = match equals {
        Some(at) => (flag.get(..at)?, flag.get(at + 1..)),
        None => (flag, None),
    };
    let long = std::str::from_utf8(long).ok()?;
    let arg = command::setting(command, long)?;
    Some((arg, long, value.map(OsStr::from_bytes)))
}

/// Moves the command before the configuration file, if they are in the other order.
pub(super) fn command_first(root: &Command, arguments: &[OsString]) -> Vec<OsString> {
    let mut arguments = arguments.to_vec();
    let words = match arguments.get(1).map(|first| flag(root, first)) {
        Some(Some((_, command::CONFIG, None))) => 2,
        Some(Some((_, command::CONFIG, Some(_)))) => 1,
        _ => return arguments,
    };
    let index = 1 + words;
    let name = arguments.get(index).and_then(|name| name.to_str());
    if name.is_some_and(|name| root.find_subcommand(name).is_some()) {
        let name = arguments.remove(index);
        arguments.insert(1, name);
    }
    arguments
}
