//! The environment variables of the process.

use std::{collections::BTreeMap, ffi::OsString};

use clap::Command;

use super::{
    command,
    values::{did_you_mean, nearest},
};

pub(super) const PREFIX: &str = "CONNECTORS_";

/// Variables that Kubernetes sets for a service named `connectors`. They are ignored if the first one is set.
const OF_KUBERNETES: [&str; 3] = [
    "CONNECTORS_SERVICE_HOST",
    "CONNECTORS_SERVICE_PORT",
    "CONNECTORS_PORT",
];

/// The variables that have a value. An empty variable counts as unset.
#[derive(Debug)]
pub(super) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub(super) fn of_process() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only this function reads the environment"
        )]
        let variables = std::env::vars_os();
        Self(
            variables
                .filter(|(_, value)| !value.is_empty())
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }

    /// Returns a warning for each variable with the service's prefix that no command knows.
    pub(super) fn unknown<'a>(&'a self, root: &'a Command) -> impl Iterator<Item = String> + 'a {
        let known = || command::all_arguments(root).filter_map(command::variable);
        let names = self.0.keys().map(String::as_str);
        names
            .filter(|name| name.starts_with(PREFIX) && !self.is_of_kubernetes(name))
            .filter(move |name| !known().any(|known| known == *name))
            .map(move |name| {
                let short = |name: &'a str| name.strip_prefix(PREFIX).unwrap_or(name);
                let nearest = nearest(short(name), known().map(short));
                let nearest = nearest.map(|name| format!("{PREFIX}{name}"));
                let nearest = did_you_mean(nearest.as_deref());
                format!("the variable {name} is not a setting, and has no effect{nearest}")
            })
    }

    fn is_of_kubernetes(&self, name: &str) -> bool {
        let [host, ..] = OF_KUBERNETES;
        self.0.contains_key(host) && OF_KUBERNETES.iter().any(|prefix| name.starts_with(prefix))
    }
}
