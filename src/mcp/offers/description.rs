//! A server's description of itself, from `initialize` or `server/discover`.

use std::time::Duration;

use rmcp::model::{ProtocolVersion, ServerPeerInfo};
use serde_json::{Map, Value};

use crate::{
    config::InspectionLimits,
    domain::inspection::ServerInfo,
    mcp::{measure::bounded_object, transport::message, wire::Wire},
};

use super::text::{clip, clipped};

/// The most icons of a server to store, and the bytes of all.
const ICONS: usize = 10;
const ICON_BYTES: usize = 64 * 1024;
/// The most capability names to store, and the characters of each.
const CAPABILITIES: usize = 100;
const CAPABILITY_CHARACTERS: usize = 100;
/// The most bytes of the extensions' JSON to store.
const EXTENSION_BYTES: usize = 16 * 1024;
/// The member of `_meta` that replaces `serverInfo` (MCP 2026-07-28).
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// A server's description. Parts of the wrong type are left out.
pub(in crate::mcp) struct Description {
    pub(in crate::mcp) protocol_version: String,
    pub(in crate::mcp) server_info: Option<ServerInfo>,
    pub(in crate::mcp) instructions: Option<String>,
    pub(in crate::mcp) capabilities: Vec<String>,
    /// A JSON object: settings by the extension's name.
    pub(in crate::mcp) extensions: Option<String>,
    /// Milliseconds that the description stays valid; none if the server does not say.
    pub(super) ttl_ms: Option<u64>,
    /// Whether cursors may be empty.
    pub(super) is_modern: bool,
    /// Whether the server declares its capabilities.
    pub(super) says_capabilities: bool,
}

impl Description {
    /// Reads the description from the start of a session.
    pub(in crate::mcp) fn of(info: &ServerPeerInfo, wire: &Wire) -> Option<Self> {
        let limits = wire.limits();
        let mut left = limits.values;
        let result = bounded_object(
            &wire.result(message::key(info.meta.as_ref()?)?)?,
            limits,
            &mut left,
        )?;
        let capabilities = result.get("capabilities").and_then(Value::as_object);
        let server = match result.get("serverInfo") {
            Some(server) => Some(server),
            None => result.get("_meta").and_then(|meta| meta.get(SERVER_INFO)),
        };
        let instructions = result.get("instructions").and_then(Value::as_str);
        let mut names: Vec<_> = declared(capabilities)
            .map(|name| clipped(name, CAPABILITY_CHARACTERS))
            .collect();
        names.sort_unstable();
        names.truncate(CAPABILITIES);
        let extensions = capabilities.and_then(|capabilities| capabilities.get("extensions"));
        let extensions = extensions.filter(|extensions| extensions.is_object());
        let extensions = extensions.map(Value::to_string);
        Some(Self {
            protocol_version: clip(info.protocol_version.as_str(), limits),
            server_info: server
                .and_then(Value::as_object)
                .and_then(|server| server_info(server, limits)),
            instructions: instructions.map(|text| clip(text, limits)),
            capabilities: names,
            extensions: extensions.filter(|json| json.len() <= EXTENSION_BYTES),
            ttl_ms: ttl_ms(&result),
            is_modern: info.protocol_version >= ProtocolVersion::V_2026_07_28,
            says_capabilities: capabilities.is_some(),
        })
    }

    /// Returns the time that a result stays fresh, which revisions before 2026-07-28 do not have.
    pub(super) fn fresh_for(&self, ttl_ms: Option<u64>) -> Option<Duration> {
        ttl_ms.filter(|_| self.is_modern).map(Duration::from_millis)
    }

    /// Returns whether to request a list: the server declares the capability, or nothing readable.
    pub(super) fn may_offer(&self, capability: &str) -> bool {
        !self.says_capabilities || self.capabilities.iter().any(|name| name == capability)
    }
}

/// Returns the names of enabled capabilities.
fn declared(capabilities: Option<&Map<String, Value>>) -> impl Iterator<Item = &str> {
    let declared = capabilities.into_iter().flatten();
    let declared = declared.filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
    declared.map(|(name, _)| name.as_str())
}

/// Returns the milliseconds that a result stays valid (MCP 2026-07-28, `CacheableResult`); none if it does not say.
pub(super) fn ttl_ms(result: &Map<String, Value>) -> Option<u64> {
    result.get("ttlMs")?.as_u64()
}

/// Reads the name and title; none if both are missing.
fn server_info(server: &Map<String, Value>, limits: &InspectionLimits) -> Option<ServerInfo> {
    let text = |name: &str| Some(clip(server.get(name)?.as_str()?, limits));
    let (name, title) = (text("name"), text("title"));
    if name.is_none() && title.is_none() {
        return None;
    }
    let icons = server.get("icons").and_then(Value::as_array);
    let urls = icons.into_iter().flatten();
    let urls = urls.filter_map(|icon| icon.get("src")?.as_str());
    let is_shown = |url: &&str| url.starts_with("https://") || url.starts_with("data:image/");
    let mut left = ICON_BYTES;
    let fits = |url: &&str| {
        let rest = left.checked_sub(url.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    Some(ServerInfo {
        name: name.or_else(|| title.clone()).unwrap_or_default(),
        title,
        version: text("version").unwrap_or_default(),
        description: text("description"),
        website_url: text("websiteUrl"),
        icons: urls
            .filter(is_shown)
            .take(ICONS)
            .filter(fits)
            .map(str::to_owned)
            .collect(),
    })
}
