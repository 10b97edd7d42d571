//! Settings from flags, variables, a configuration file and files of secrets.
//!
//! Invariant: clap's command is the only table of settings. A new flag has a variable, a key in a configuration file
//! and, if it is a secret, a file, without further code.

mod arguments;
mod command;
mod config_file;
mod environment;
mod given;
pub(super) mod heading;
mod layers;
mod refusal;
mod shown;
mod values;
mod wrong_setting;

use std::{env, ffi::OsString, path::Path};

use clap::{Command, Error, FromArgMatches};

use self::{
    arguments::Arguments, config_file::ConfigFile, environment::Environment, given::GivenSetting,
    layers::Setting, values::joined,
};
use super::Cli;

pub use self::{command::command, given::Given, shown::Settings, wrong_setting::WrongSetting};
pub(super) use self::{
    given::Source,
    values::{did_you_mean, nearest},
};

/// The setting of the database, and the variable that other programs and platforms use for it.
const DATABASE: &str = "database-url";
const COMMON_DATABASE: &str = "DATABASE_URL";

/// The command to run, with its settings.
#[derive(Debug)]
pub struct Call {
    /// The command line as clap parsed it, with the settings of all sources.
    pub cli: Cli,
    /// Findings that do not stop the command, such as an unknown variable.
    pub warnings: Vec<String>,
    /// The command's settings and their sources, as `config --print` writes them.
    pub settings: Settings,
    /// The command's settings that differ from the defaults.
    pub given: Given,
}

/// Reads the arguments and the environment of the process, and the files that they name.
///
/// The error prints itself. For help and the version it is a success; otherwise its exit code is 2.
pub fn read() -> Result<Call, Error> {
    let arguments: Vec<_> = env::args_os().collect();
    call(&arguments, &Environment::of_process())
}

fn call(arguments: &[OsString], environment: &Environment) -> Result<Call, Error> {
    let arguments = &arguments::command_first(&command(), arguments);
    // Help shows the variables, which the last parse omits.
    if let Err(error) = command().try_get_matches_from(arguments)
        && !error.use_stderr()
    {
        return Err(error);
    }
    let mut root = command();
    root.build();
    let named = arguments.get(1).and_then(|name| name.to_str());
    let called = named.and_then(|name| root.find_subcommand(name));
    let (begin, rest) = arguments.split_at(arguments.len().min(1 + usize::from(called.is_some())));
    let called = called.unwrap_or(&root);

    let arguments = Arguments::read(called, rest)?;
    let file = config_file(&root, &arguments, environment)?;
    let mut chosen = layers::choose(called, &arguments, environment, file.as_ref())?;
    let mut warnings: Vec<_> = environment.unknown(&root).collect();
    if command::setting(called, DATABASE).is_some()
        && !chosen
            .iter()
            .any(|setting| setting.arg.get_long() == Some(DATABASE))
        && environment.get(COMMON_DATABASE).is_some()
    {
        warnings.push(format!(
            "{COMMON_DATABASE} is set, and not read. To use that database, set CONNECTORS_{COMMON_DATABASE}"
        ));
    }
    let has_secrets = chosen.iter().any(|setting| {
        matches!(setting.source, self::given::Source::File { .. }) && is_secret(setting)
    });
    warnings.extend(file.and_then(|file| file.warning(has_secrets)));
    warnings.extend(layers::read_files(called, &mut chosen)?);

    let mut line = begin.to_vec();
    line.extend(chosen.iter().flat_map(|setting| flags(called, setting)));
    line.extend(arguments.all);
    let parsed = command::without_variables(command()).try_get_matches_from(line);
    let matches = parsed.map_err(|error| refusal::with_sources(error, &chosen))?;
    let cli = Cli::from_arg_matches(&matches)?;
    cli.check().map_err(|message| {
        let message = refusal::message_with_sources(&message, &chosen);
        refusal::of(called, &message)
    })?;
    let of_command = matches
        .subcommand()
        .map_or(&matches, |(_, matches)| matches);
    Ok(Call {
        cli,
        warnings,
        settings: Settings::of(called, &chosen, of_command),
        given: given(&chosen),
    })
}

fn given(chosen: &[Setting<'_>]) -> Given {
    let given = chosen.iter().map(|setting| {
        let values = setting.values.iter().map(|value| value.to_string_lossy());
        let value = values.collect::<Vec<_>>().join(",");
        let given = GivenSetting {
            value: (!command::has_file(setting.arg)).then_some(value),
            source: setting.source.clone(),
            file: setting.file.clone(),
        };
        let name = setting.arg.get_long().unwrap_or_default();
        (name.to_owned(), given)
    });
    Given(given.collect())
}

/// Returns the configuration file from `--config` or its variable.
fn config_file(
    root: &Command,
    arguments: &Arguments,
    environment: &Environment,
) -> Result<Option<ConfigFile>, Error> {
    let variable = command::setting(root, command::CONFIG).and_then(command::variable);
    let flag = arguments.flags.get(command::CONFIG);
    let (path, source) = match (flag, variable.and_then(|name| environment.get(name))) {
        (Some(path), _) => (path, format!("--{}", command::CONFIG)),
        (None, Some(path)) => (path, variable.unwrap_or_default().to_owned()),
        (None, None) => return Ok(None),
    };
    ConfigFile::read(Path::new(path), &source, root).map(Some)
}

fn is_secret(setting: &Setting<'_>) -> bool {
    setting.values.iter().any(|value| {
        let text = value.to_string_lossy();
        command::without_secrets(setting.arg, &text) != text
    })
}

/// Returns flags that give clap a setting from another source than the command line.
fn flags(called: &Command, setting: &Setting<'_>) -> Vec<OsString> {
    let is_path = command::value_of_file(called, setting.arg).is_some();
    let is_given = matches!(setting.source, Source::Flag(_)) && setting.file.is_none();
    if is_path || is_given {
        return Vec::new();
    }
    let flag = format!("--{}", setting.arg.get_long().unwrap_or_default());
    let values = setting.values.iter();
    values.map(|value| joined(&flag, value)).collect()
}
