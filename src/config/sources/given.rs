//! Settings given by a flag, a variable or the configuration file.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Source {
    /// The configuration file.
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The settings of a command that differ from the defaults, by name.
#[derive(Debug, Default)]
pub struct Given(pub(super) BTreeMap<String, GivenSetting>);

#[derive(Debug)]
pub(in crate::config) struct GivenSetting {
    /// The value in a flag's form; none if the setting may hold a secret.
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
    /// The file that holds only the value.
    pub(crate) file: Option<PathBuf>,
}

impl Given {
    pub(in crate::config) fn get(&self, name: &str) -> Option<&GivenSetting> {
        self.0.get(name)
    }
}
