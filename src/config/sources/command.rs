//! The command line for clap: the declared flags, and those derived from them.

use std::{borrow::Cow, path::PathBuf};

use clap::{Arg, Command, CommandFactory, builder::Resettable, value_parser};

use super::values::{HIDDEN, masked};
use crate::config::Cli;

/// The flag that names the configuration file.
pub(super) const CONFIG: &str = "config";

/// Flags that are no settings of a command. `config --print` omits them.
const NO_SETTINGS: [&str; 4] = [CONFIG, "print", "help", "version"];

/// The flags in `-h` besides those without a heading. `--help` shows all.
const COMMON: [&str; 10] = [
    "listen",
    "database-url",
    "jwt-secret-file",
    "jwks",
    "jwt-issuer",
    "jwt-audience",
    "trusted-proxy",
    "cors-origin",
    "mcp-allow",
    "log",
];

/// Returns the command line with all its flags.
///
/// Each setting that holds a secret has a second flag, `--NAME-file`, for a file with its value.
pub fn command() -> Command {
    complete(Cli::command())
        .mut_subcommands(complete)
        // Making a token ignores the JWKS of a shared configuration file.
        .mut_subcommand("token", |token| {
            token
                .mut_arg("jwks", |arg| arg.hide(true))
                .mut_arg("jwks_max_age", |arg| arg.hide(true))
        })
}

fn complete(command: Command) -> Command {
    let files: Vec<_> = command
        .get_arguments()
        .filter(|arg| has_file(arg))
        .filter_map(file_flag)
        .collect();
    let command = command.args(files);
    command.mut_args(first_sentence).mut_args(|arg| {
        let is_common = arg.get_help_heading().is_none()
            || arg.get_long().is_some_and(|long| COMMON.contains(&long));
        arg.hide_short_help(!is_common)
    })
}

/// Shortens a description in `-h` to its first sentence.
fn first_sentence(arg: Arg) -> Arg {
    let long = arg.get_help().map(ToString::to_string).unwrap_or_default();
    match long.split_once(". ") {
        Some((first, _)) => arg.help(first.to_owned()).long_help(long),
        None => arg,
    }
}

/// Returns whether the value may be read from a file: it is a secret or a URL that may contain one, and not itself a
/// file.
pub(super) fn has_file(arg: &Arg) -> bool {
    arg.is_hide_env_values_set() && !takes(arg, "FILE")
}

/// Returns whether the value's name in `--help` contains this word, such as `FILE` or `URL`.
pub(super) fn takes(arg: &Arg, word: &str) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| name.contains(word))
}

/// Returns the value of a setting without its secrets. The setting decides what may be shown, not the form of the
/// value.
pub(super) fn without_secrets<'a>(arg: &Arg, value: &'a str) -> Cow<'a, str> {
    let is_path = takes(arg, "FILE") && !value.contains("://");
    if !arg.is_hide_env_values_set() || is_path {
        value.into()
    } else if takes(arg, "URL") {
        masked(value)
    } else {
        HIDDEN.into()
    }
}

fn file_flag(of: &Arg) -> Option<Arg> {
    let (long, variable) = (of.get_long()?, variable(of)?);
    let mut flag = Arg::new(format!("{}_file", of.get_id()))
        .long(format!("{long}-file"))
        .env(format!("{variable}_FILE"))
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .display_order(of.get_display_order())
        .help(format!(
            "File with the value of --{long}. One line end at its end is left out"
        ));
    if let Some(heading) = of.get_help_heading() {
        flag = flag.help_heading(heading.to_owned());
    }
    Some(flag)
}

/// Returns the setting whose value is in the file of this flag.
pub(super) fn value_of_file<'a>(command: &'a Command, flag: &Arg) -> Option<&'a Arg> {
    let long = flag.get_long()?.strip_suffix("-file")?;
    setting(command, long).filter(|arg| has_file(arg))
}

/// Returns the settings of a command, in the order of `--help`.
pub(super) fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| is_setting(arg))
}

fn is_setting(arg: &Arg) -> bool {
    arg.get_long()
        .is_some_and(|long| !NO_SETTINGS.contains(&long))
}

/// Returns the flag of this name, which is also the key in a configuration file.
pub(super) fn setting<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long))
}

/// Returns the settings of all commands, which may share a configuration file and an environment.
pub(super) fn all_settings(root: &Command) -> impl Iterator<Item = &Arg> {
    all_arguments(root).filter(|arg| is_setting(arg))
}

/// The arguments of all commands.
pub(super) fn all_arguments(root: &Command) -> impl Iterator<Item = &Arg> {
    let commands = std::iter::once(root).chain(root.get_subcommands());
    commands.flat_map(Command::get_arguments)
}

pub(super) fn variable(arg: &Arg) -> Option<&str> {
    arg.get_env()?.to_str()
}

/// Returns whether the setting takes several values, separated by commas.
pub(super) fn is_list(arg: &Arg) -> bool {
    arg.get_value_delimiter().is_some()
}

/// Returns whether a flag may be repeated.
pub(super) fn is_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

/// Returns whether the flags exclude each other: they conflict, or they are the same setting.
pub(super) fn exclude(command: &Command, one: &Arg, other: &Arg) -> bool {
    let one = value_of_file(command, one).unwrap_or(one);
    let other = value_of_file(command, other).unwrap_or(other);
    let excludes = |one: &Arg, other: &Arg| {
        let conflicts = command.get_arg_conflicts_with(one);
        conflicts.iter().any(|arg| arg.get_id() == other.get_id())
    };
    one.get_id() == other.get_id() || excludes(one, other) || excludes(other, one)
}

/// Returns the command line for clap, without environment variables.
pub(super) fn without_variables(root: Command) -> Command {
    let unset = |command: Command| command.mut_args(|arg| arg.env(Resettable::Reset));
    unset(root).mut_subcommands(unset)
}
