//! Recognises the form of an input before its values are read.
//!
//! Invariant: only this module has the keys that distinguish the forms. An object of no known form is one
//! [`Rejection`], which names the form that it resembles.

use super::{
    Rejection,
    object::{self, Object},
    registry,
};

/// The key of a page's metadata.
pub(super) const PAGE: &str = "metadata";

/// The key of an object in the published form.
const PUBLISHED: &str = "object";

/// The part of an input that contains an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// At the top, in a top-level list, or in a page's list `servers`.
    Open,
    /// The map `servers` of VS Code's configuration or `ToolHive`'s catalogue.
    Servers,
    /// `mcpServers` of a client's configuration, or `context_servers` of Zed's.
    ClientServers,
    /// `remote_servers` of `ToolHive`'s catalogue.
    RemoteServers,
    /// `registry` of Docker's catalogue.
    DockerRegistry,
    /// A map of mcpm's servers by name.
    Packages,
}

impl Section {
    /// Returns the section under a key.
    pub(super) fn of(key: &str) -> Option<Self> {
        match key {
            "servers" => Some(Self::Servers),
            "mcpServers" | "context_servers" => Some(Self::ClientServers),
            "remote_servers" => Some(Self::RemoteServers),
            "registry" => Some(Self::DockerRegistry),
            _ => None,
        }
    }

    pub(super) fn in_a_list(self) -> Self {
        match self {
            Self::Servers => Self::Open,
            section => section,
        }
    }

    pub(super) fn may_be_null(self) -> bool {
        matches!(self, Self::Servers | Self::ClientServers)
    }
}

/// Returns whether servers are nested below this key, as in `ToolHive`'s file and VS Code's settings.
pub(super) fn is_envelope(key: &str) -> bool {
    matches!(key, "data" | "mcp")
}

/// Returns whether the key has a map of envelopes by name, in which Claude Code stores each folder's servers.
pub(super) fn is_projects(key: &str) -> bool {
    key == "projects"
}

/// Returns whether a key beside a list of servers describes the list, and contains no servers.
pub(super) fn is_about_the_list(key: &str) -> bool {
    let known = [
        PAGE,
        "$schema",
        "count",
        "displayName",
        "last_updated",
        "meta",
        "name",
        "version",
    ];
    known.contains(&key)
}

/// Returns the cursor of the next page, from `metadata`.
pub(super) fn next_cursor(page: &Object) -> Option<String> {
    let cursor = ["nextCursor", "next_cursor"].into_iter();
    let mut cursors = cursor.filter_map(|key| object::text(page, key));
    cursors.find(|cursor| !cursor.is_empty())
}

/// Returns whether the object is a server of mcpm.
pub(super) fn is_package(object: &Object) -> bool {
    object.contains_key("name") && object.contains_key("installations")
}

/// The supported forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The form that `export` writes.
    Published,
    /// A `server.json`, or a registry's object around it.
    Registry,
    /// A client's configuration.
    Client,
    /// A `server.yaml` as JSON, or an entry of Docker's catalogue.
    Docker,
    Mcpm,
    ToolHive,
}

/// Recognises an object by its section and its keys.
pub(super) fn recognise(section: Section, object: &Object) -> Result<Form, Rejection> {
    let has = |key: &str| object.contains_key(key);
    if has(PUBLISHED) {
        return Ok(Form::Published);
    }
    if registry::is_server(object) {
        return Ok(Form::Registry);
    }
    let is_started = ["command", "url", "serverUrl", "httpUrl"]
        .into_iter()
        .any(has);
    match section {
        Section::ClientServers => return Ok(Form::Client),
        Section::DockerRegistry => return Ok(Form::Docker),
        Section::RemoteServers => return Ok(Form::ToolHive),
        Section::Servers | Section::Packages | Section::Open => {}
    }
    if is_package(object) {
        return Ok(Form::Mcpm);
    }
    if has("image") && has("transport") || section == Section::Servers && has("image") {
        return Ok(Form::ToolHive);
    }
    let named = section == Section::Servers || has("name");
    if named && is_started {
        return Ok(Form::Client);
    }
    if has("name") && (has("about") || has("image") || has("remote")) {
        return Ok(Form::Docker);
    }
    let id = object::text(object, "id");
    if has("connectorId") || id.is_some_and(|id| id.starts_with("pcon_")) {
        return Ok(Form::Published);
    }
    Err(unrecognised(object))
}

fn unrecognised(object: &Object) -> Rejection {
    let looks_like = looks_like(object).map_or_else(|| keys(object), ToOwned::to_owned);
    Rejection {
        field: String::new(),
        reason: format!(
            "is neither a personal connector nor an MCP server: {looks_like}. Give objects that export wrote, servers \
             of an MCP registry, or a client's mcpServers"
        ),
    }
}

/// Returns the name of the form with such keys.
fn looks_like(object: &Object) -> Option<&'static str> {
    const LOOKS: [(&[&str], &str); 11] = [
        (
            &["mcpServers"],
            "it looks like a client's configuration in a list: give each configuration by itself",
        ),
        (&["openapi"], "it looks like an OpenAPI document"),
        (&["swagger"], "it looks like an OpenAPI document"),
        (&["jsonrpc"], "it looks like a JSON-RPC message"),
        (&["inputSchema"], "it looks like an MCP tool"),
        (&["dependencies"], "it looks like a package.json"),
        (
            &["manifest_version"],
            "it looks like an MCP bundle's manifest.json",
        ),
        (
            &["dxt_version"],
            "it looks like an MCP bundle's manifest.json",
        ),
        (&["$schema", "properties"], "it looks like a JSON Schema"),
        (&["errors"], "it looks like an answer that is an error"),
        (&["error"], "it looks like an answer that is an error"),
    ];
    let look = LOOKS
        .iter()
        .find(|(keys, _)| keys.iter().all(|key| object.contains_key(*key)));
    look.map(|(_, look)| *look)
}

fn keys(object: &Object) -> String {
    const NAMED: usize = 5;
    if object.is_empty() {
        return "it is empty".to_owned();
    }
    let mut keys: Vec<String> = object
        .keys()
        .take(NAMED)
        .map(|key| key.chars().take(50).collect())
        .collect();
    if object.len() > NAMED {
        keys.push("…".to_owned());
    }
    format!("its keys are {}", keys.join(", "))
}

/// Names the form of text that is not JSON by its first bytes, and gives advice.
pub(super) fn text_looks_like(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(b"PK") {
        return Some("a compressed file: unpack it first");
    }
    if head.starts_with(b"<") {
        return Some("HTML or XML: fetch the JSON that the site's API answers");
    }
    let head = String::from_utf8_lossy(head);
    let line = head.lines().next().unwrap_or_default().trim_end();
    let is_word = |text: &str| {
        let legal = |c: char| c.is_alphanumeric() || "_-.\"' ".contains(c);
        text.starts_with(|c: char| c.is_alphabetic() || "_\"'".contains(c))
            && text.chars().all(legal)
    };
    let key = |mark: char| line.split_once(mark).is_some_and(|(key, _)| is_word(key));
    if line
        .strip_prefix('[')
        .and_then(|line| line.strip_suffix(']'))
        .is_some_and(is_word)
        && !line.contains('"')
        || key('=')
    {
        return Some("TOML: convert it to JSON first, for example with yq -p toml -o json");
    }
    if line.matches(',').count() > 0 && line.split(',').all(is_word) {
        return Some("CSV: convert it to JSON first, for example with mlr --icsv --ojson cat");
    }
    if line == "---" || line.starts_with("- ") || line.starts_with('#') || key(':') {
        return Some("YAML: convert it to JSON first, for example with yq -o json");
    }
    None
}

#[cfg(test)]
mod tests;
