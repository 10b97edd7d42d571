//! Servers of a client's configuration: `mcpServers` of Claude, Cursor and others, `servers` of VS Code,
//! `context_servers` of Zed.

use serde_json::value::RawValue;

use super::server::Server;
use crate::interchange::{
    object::{self, Keys, Object},
    secrets,
};

/// The keys to read. Gemini CLI has `httpUrl`, and Windsurf `serverUrl`.
const KEYS: [&str; 17] = [
    "name",
    "description",
    "version",
    "type",
    "transport",
    "transportType",
    "url",
    "serverUrl",
    "httpUrl",
    "command",
    "args",
    "env",
    "headers",
    "http_headers",
    "disabled",
    "enabled",
    "isActive",
];

/// The metadata members that a client's server sets.
pub(in crate::interchange) const METADATA: [&str; 5] =
    ["command", "args", "env", "headers", "http_headers"];

/// Returns whether the client's configuration disables the server.
pub(in crate::interchange) fn is_disabled(object: &Object) -> bool {
    let is = |key: &str, json: &str| object.get(key).is_some_and(|value| value.get() == json);
    is("disabled", "true") || is("enabled", "false") || is("isActive", "false")
}

pub(super) fn read(keys: &mut Keys<'_>, server: &mut Server) {
    server.description = keys.text("description").filter(|text| !text.is_empty());
    server.version = keys.text("version");
    let transports = ["type", "transport", "transportType"];
    server.transport = transports.into_iter().find_map(|key| keys.text(key));
    let urls = ["url", "serverUrl", "httpUrl"];
    server.url = urls.into_iter().find_map(|key| keys.text(key));
    command(keys, server);
    for key in ["env", "headers", "http_headers"] {
        names(key, keys, server);
    }
    let others: Vec<_> = keys.names().filter(|key| !KEYS.contains(key)).collect();
    if !others.is_empty() {
        let shown: Vec<String> = others
            .iter()
            .take(5)
            .map(|key| key.chars().take(50).collect())
            .collect();
        let more = if others.len() > shown.len() {
            " and others"
        } else {
            ""
        };
        server.warn(
            "keys of a client",
            format!("these keys are left out: {}{more}", shown.join(", ")),
        );
    }
}

/// Reads the command and its arguments without secrets. Zed has both in one object.
fn command(keys: &mut Keys<'_>, server: &mut Server) {
    let Some(raw) = keys.raw("command") else {
        return;
    };
    server.runs = true;
    let nested = object::parse(raw).ok();
    let (command, args) = match &nested {
        Some(nested) => (
            object::text(nested, "path").or_else(|| object::text(nested, "command")),
            nested.get("args").map(|args| args.get().to_owned()),
        ),
        None => (
            keys.text("command"),
            keys.raw("args").map(ToOwned::to_owned),
        ),
    };
    let Some(command) = command else {
        keys.reject("command", "must be a string");
        return;
    };
    // Some configurations have the arguments in the command.
    let redacted_command = secrets::redacted_line(&command);
    let mut left_out = redacted_command.is_some();
    let command = redacted_command.unwrap_or(command);
    server
        .metadata
        .push(("command".to_owned(), serde_json::json!(command).to_string()));
    if let Some(args) = args {
        let Ok(args) = serde_json::from_str::<Vec<String>>(&args) else {
            keys.reject("args", "must be a list of strings");
            return;
        };
        let mut arguments = secrets::Arguments::default();
        let args = args.into_iter().map(|arg| {
            let redacted = arguments.redact(&arg);
            left_out |= redacted.is_some();
            redacted.unwrap_or(arg)
        });
        let args: Vec<_> = args.collect();
        server
            .metadata
            .push(("args".to_owned(), serde_json::json!(args).to_string()));
    }
    if left_out {
        server.warn(
            "secret in arguments",
            "secrets of the command and its args are left out",
        );
    }
}

/// Keeps only the names of variables or headers, because each value may be a secret.
fn names(key: &str, keys: &mut Keys<'_>, server: &mut Server) {
    let Some(raw) = keys.raw(key) else { return };
    let Ok(members) = object::parse(raw) else {
        keys.reject(key, "must be an object of names and values");
        return;
    };
    let names: Vec<_> = members.keys().cloned().collect();
    let literal = |value: &RawValue| {
        let text = serde_json::from_str::<String>(value.get());
        text.map_or(value.get() != "null", |text| {
            !text.is_empty() && secrets::is_literal(&text)
        })
    };
    let left_out = left_out(&members, literal);
    if !names.is_empty() {
        server
            .metadata
            .push((key.to_owned(), serde_json::json!(names).to_string()));
    }
    if left_out > 0 {
        server.warn(
            "values of a client",
            format!(
                "{} left out; the names stay in the metadata",
                count(
                    left_out,
                    &format!("value of {key}"),
                    &format!("values of {key}")
                )
            ),
        );
    }
}

fn left_out(members: &Object, literal: impl Fn(&RawValue) -> bool) -> usize {
    members.values().filter(|value| literal(value)).count()
}

/// Returns `1 secret is` or `2 secrets are`.
fn count(count: usize, one: &str, more: &str) -> String {
    if count == 1 {
        format!("1 {one} is")
    } else {
        format!("{count} {more} are")
    }
}
