//! The remotes and packages of a registry's server.

use entity::ServerType;
use serde_json::value::RawValue;

use super::super::{
    Warning,
    object::{self, Keys, Object},
    secrets,
};
use crate::domain::field_values;

/// The registry's transports, most preferred first.
const TRANSPORTS: [(&str, ServerType); 5] = [
    ("streamable-http", ServerType::Http),
    ("sse", ServerType::Http),
    ("websocket", ServerType::Websocket),
    ("ws", ServerType::Websocket),
    ("stdio", ServerType::Stdio),
];

/// A transport: its rank of preference, its name, and the type of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::interchange) struct Transport {
    rank: usize,
    pub(in crate::interchange) name: &'static str,
    pub(in crate::interchange) server_type: ServerType,
}

/// Returns the transport with this name, in any spelling.
pub(in crate::interchange) fn transport(spelled: &str) -> Option<Transport> {
    let plain: String = spelled
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect();
    let name = match &*plain {
        "streamablehttp" | "streamable" | "http" | "https" => "streamable-http",
        "sse" | "httpsse" | "httpwithsse" => "sse",
        "websocket" => "websocket",
        "ws" | "wss" => "ws",
        "stdio" => "stdio",
        _ => return None,
    };
    let rank = TRANSPORTS.iter().position(|(known, _)| *known == name)?;
    let (name, server_type) = *TRANSPORTS.get(rank)?;
    Some(Transport {
        rank,
        name,
        server_type,
    })
}

/// Returns the server's type, and the URL of the first usable remote with the preferred transport. A package runs on
/// the user's machine and has no URL.
pub(super) fn address(
    keys: &mut Keys<'_>,
    warnings: &mut Vec<Warning>,
) -> (Option<ServerType>, Option<String>) {
    let mut known = Vec::new();
    let mut usable = Vec::new();
    let expected = "must be a list of objects with a type and a url";
    for (at, remote) in objects(keys, "remotes", expected, warnings) {
        // The second key is that of May 2025.
        let spelled =
            object::text(&remote, "type").or_else(|| object::text(&remote, "transport_type"));
        let Some(transport) = transport_of(&at, spelled.as_deref(), warnings) else {
            continue;
        };
        known.push(transport);
        match url(&remote, transport) {
            Ok(url) => usable.push((transport, url)),
            Err((kind, reason)) => warnings.push(Warning::new(
                kind,
                format!("{at} has no usable URL, and stays in the metadata only: {reason}"),
            )),
        }
    }
    // The first of equal ones.
    let best = usable
        .into_iter()
        .min_by_key(|(transport, _)| transport.rank);
    if let Some((transport, url)) = best {
        return (Some(transport.server_type), url);
    }
    if known.is_empty() {
        let expected = "must be a list of objects with a transport";
        for (at, package) in objects(keys, "packages", expected, warnings) {
            known.extend(package_transport(&at, &package, warnings));
        }
    }
    let best = known.into_iter().min_by_key(|transport| transport.rank);
    (best.map(|transport| transport.server_type), None)
}

fn transport_of(at: &str, spelled: Option<&str>, warnings: &mut Vec<Warning>) -> Option<Transport> {
    const EXPECTED: &str = "expected streamable-http, sse, websocket or stdio";
    let Some(spelled) = spelled else {
        let text = format!("{at} is left out: it has no type; {EXPECTED}");
        warnings.push(Warning::new("no type of remote", text));
        return None;
    };
    let shown: String = spelled.chars().take(50).collect();
    match transport(spelled) {
        None => {
            let text = format!("{at} is left out: its type is {shown}; {EXPECTED}");
            warnings.push(Warning::new("unknown type of remote", text));
            None
        }
        Some(transport) => {
            if transport.name != spelled {
                let text = format!("{at}: the type {shown} is read as {}", transport.name);
                warnings.push(Warning::new("spelling of a type of remote", text));
            }
            Some(transport)
        }
    }
}

/// Returns the URL of a remote, or the kind and text of the reason that it has none. A local process has none by its
/// transport.
fn url(remote: &Object, transport: Transport) -> Result<Option<String>, (&'static str, String)> {
    if transport.server_type == ServerType::Stdio {
        return Ok(None);
    }
    let Some(url) = object::text(remote, "url") else {
        return Err(("no URL", "it has no url".to_owned()));
    };
    // A fragment is for browsers, and may be a secret.
    let url = url.split('#').next().unwrap_or_default();
    if secrets::redacted_url(url).is_some() {
        return Err(("secret in a URL", "its url has a secret in it".to_owned()));
    }
    let shown: String = url.chars().take(200).collect();
    if url.contains('{') {
        let reason = format!("{shown} is a template, and its variables have no values here");
        return Err(("template of a URL", reason));
    }
    match field_values::server_url(url, Some(transport.server_type)) {
        Ok(url) => Ok(Some(url)),
        Err(error) => Err(("unusable URL", format!("{shown} {}", error.clause))),
    }
}

fn package_transport(at: &str, package: &Object, warnings: &mut Vec<Warning>) -> Option<Transport> {
    match object::inner(package, "transport") {
        Some(transport) => transport_of(
            &format!("{at}.transport"),
            object::text(&transport, "type").as_deref(),
            warnings,
        ),
        // Packages of May 2025 have no other transport.
        None if package.contains_key("registry_name") => transport("stdio"),
        None => None,
    }
}

/// Returns the objects of a list with their paths; other values are left out.
pub(super) fn objects(
    keys: &mut Keys<'_>,
    key: &str,
    expected: &str,
    warnings: &mut Vec<Warning>,
) -> Vec<(String, Object)> {
    let list = keys.value::<Vec<Box<RawValue>>>(key, expected);
    let items = list.unwrap_or_default().into_iter().enumerate();
    let objects = items.filter_map(|(index, item)| {
        let at = format!("{key}[{index}]");
        match object::parse(item.get()) {
            Ok(object) => Some((at, object)),
            Err(rejection) => {
                let text = format!("{at} is left out: it {}", rejection.reason);
                warnings.push(Warning::new("item of a list", text));
                None
            }
        }
    });
    objects.collect()
}
