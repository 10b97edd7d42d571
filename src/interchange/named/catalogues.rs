//! Servers of other catalogues: Docker's, mcpm's and `ToolHive`'s.

use super::server::Server;
use crate::interchange::object::{self, Keys, Object};

/// Reads a `server.yaml` of Docker's registry as JSON, or an entry of Docker's catalogue, which has no `about`.
pub(super) fn docker(keys: &mut Keys<'_>, server: &mut Server) {
    let about = nested(keys, "about");
    let of_about = |keys: &mut Keys<'_>, key: &str| {
        about
            .as_ref()
            .and_then(|about| object::text(about, key))
            .or_else(|| keys.text(key))
    };
    server.title = of_about(keys, "title");
    server.description = of_about(keys, "description");
    server.icon_url = of_about(keys, "icon");
    let mut held = vec!["name", "about", "title", "description", "icon"];
    if let Some(remote) = nested(keys, "remote") {
        server.transport = object::text(&remote, "transport_type");
        server.url = object::text(&remote, "url");
        if remote
            .keys()
            .all(|key| matches!(key.as_str(), "transport_type" | "url"))
        {
            held.push("remote");
        }
    }
    server.runs = keys.raw("image").is_some();
    server.keep(keys.object(), &held);
}

/// Reads a server of mcpm, which has one installation for each kind of package.
pub(super) fn mcpm(keys: &mut Keys<'_>, server: &mut Server) {
    server.title = keys.text("display_name");
    server.description = keys.text("description");
    let ways: Vec<Object> = nested(keys, "installations")
        .iter()
        .flat_map(Object::values)
        .filter_map(|way| object::parse(way.get()).ok())
        .collect();
    server.runs = ways.iter().any(|way| way.contains_key("command"));
    let remote = ways.iter().find(|way| way.contains_key("url"));
    if let Some(way) = remote {
        server.url = object::text(way, "url");
        server.transport = object::text(way, "transport");
    }
    server.keep(keys.object(), &["name", "display_name", "description"]);
}

/// Reads a server of `ToolHive`'s catalogue: an image, or a remote server with a URL.
pub(super) fn toolhive(keys: &mut Keys<'_>, server: &mut Server) {
    server.title = keys.text("title");
    server.description = keys.text("description");
    server.url = keys.text("url");
    server.runs = keys.raw("image").is_some();
    let status = keys.text("status").unwrap_or_default();
    server.is_deprecated = status.eq_ignore_ascii_case("deprecated");
    let mut held = vec!["name", "title", "description", "url", "status"];
    // An image runs locally, whatever its transport.
    if !server.runs {
        server.transport = keys.text("transport");
        held.push("transport");
    }
    server.keep(keys.object(), &held);
}

fn nested(keys: &mut Keys<'_>, key: &str) -> Option<Object> {
    let object = object::parse(keys.raw(key)?);
    object
        .map_err(|_| keys.reject(key, "must be an object"))
        .ok()
}
