//! Servers with plain names, from clients' configurations and other catalogues, as custom connectors.
//!
//! Invariant: one name in one organization makes one connector. It never contains values of variables and headers.
//! Every other omitted part of an object has a warning.

mod catalogues;
mod client;
mod server;

use super::{
    ParsedEntry, Rejection,
    object::{self, Keys, Object},
    published::Assumed,
    shape::Form,
};
pub(super) use client::{METADATA, is_disabled};
use server::{Server, id};

/// Reads a server of one of these forms; `key` is its name in a map of servers.
pub(super) fn parse(
    form: Form,
    key: Option<&str>,
    object: &Object,
    assumed: &Assumed,
) -> Result<ParsedEntry, Vec<Rejection>> {
    let mut keys = Keys::of(object);
    let mut server = Server {
        name: name(key, object).unwrap_or_default(),
        ..Server::default()
    };
    match form {
        Form::Docker => catalogues::docker(&mut keys, &mut server),
        Form::Mcpm => catalogues::mcpm(&mut keys, &mut server),
        Form::ToolHive => catalogues::toolhive(&mut keys, &mut server),
        _ => client::read(&mut keys, &mut server),
    }
    server.finish(keys, assumed)
}

/// Returns the id of the object's connector, if it has a name.
pub(super) fn id_of(key: Option<&str>, object: &Object, assumed: &Assumed) -> Option<String> {
    name(key, object).map(|name| id(&name, assumed))
}

fn name(key: Option<&str>, object: &Object) -> Option<String> {
    key.map(ToOwned::to_owned)
        .or_else(|| object::text(object, "name"))
}

#[cfg(test)]
mod tests;
