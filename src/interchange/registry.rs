//! The MCP registry's `server.json`, as official connectors.
//!
//! Invariant: every value of a `server.json` except secrets is in the entry, in an exact field or in the metadata under
//! its own key. Values that fit no field have a warning. A name always makes the same id.

mod rank;
mod remotes;

use std::borrow::Cow;

use chrono::Datelike;
use entity::{ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::domain::{
    connector::{Availability, Draft, Entry, Errors, Extent},
    field::word,
    field_values,
};

use super::{
    ParsedEntry, Rejection, Warning,
    object::{self, Json, Keys, Object},
    published::{hashed, moment},
    secrets,
};
use rank::Precedence;
pub(crate) use rank::Rank;
pub(super) use remotes::transport;

/// The key in `_meta` of the registry's own metadata of a version.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// The same key around a server, in mid-2025.
const OFFICIAL_OF_2025: &str = "x-io.modelcontextprotocol.registry";

/// The key of the version, its time and whether it is the latest, in May 2025.
const VERSION_DETAIL: &str = "version_detail";

/// The server and version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The server's name in the registry.
    pub(crate) name: String,
    /// Whether it was removed from the registry, and is not to be parsed.
    pub(crate) deleted: bool,
    pub(crate) rank: Rank,
}

/// Returns whether the object comes from a registry. It wraps a server, or has a `name` with a slash, or keys that only
/// `server.json` has.
pub(crate) fn is_server(object: &Object) -> bool {
    let name = || object::text(object, "name").is_some_and(|name| name.contains('/'));
    let schema = || {
        object::text(object, "$schema").is_some_and(|schema| schema.ends_with("server.schema.json"))
    };
    let own = || object.contains_key("name") && object.contains_key("remotes");
    let list = || {
        object.contains_key("name")
            && object
                .get("packages")
                .is_some_and(|list| list.get().starts_with('['))
    };
    !object.contains_key("object")
        && (object.contains_key("server")
            || object.contains_key(VERSION_DETAIL)
            || name()
            || schema()
            || own()
            || list())
}

/// Returns the id of the object's connector, if it has a name.
pub(super) fn id_of(object: &Object) -> Option<String> {
    let server = object::inner(object, "server");
    object::text(server.as_ref().unwrap_or(object), "name").map(|name| id(&name))
}

pub(crate) fn identify(object: &Object) -> Result<Version, Vec<Rejection>> {
    let source = Source::open(object).map_err(|rejection| vec![rejection])?;
    let mut keys = Keys::of(&source.server);
    let name = registry_name(&mut keys);
    let status = source.status(&mut keys);
    let version = source.version(&mut keys).unwrap_or_default();
    let rank = Rank {
        latest: source.official.is_latest.unwrap_or_default(),
        version: Precedence::of(&version),
        published_at: source.official.published_at.as_deref().and_then(moment),
    };
    match (name, keys.rejections(Errors::default())) {
        (Some(name), rejections) if rejections.is_empty() => Ok(Version {
            name,
            deleted: status.is_none(),
            rank,
        }),
        (_, rejections) => Err(rejections),
    }
}

/// Makes the official connector of one version, or returns all rejections.
pub(crate) fn parse(object: &Object) -> Result<ParsedEntry, Vec<Rejection>> {
    let source = Source::open(object).map_err(|rejection| vec![rejection])?;
    let (mut keys, mut errors) = (Keys::of(&source.server), Errors::default());
    let connector_id = registry_name(&mut keys).unwrap_or_default();
    let status = source.status(&mut keys);
    if status.is_none() {
        keys.reject("status", "is deleted");
    }
    let mut warnings = Vec::new();
    let (server_type, server_url) = remotes::address(&mut keys, &mut warnings);
    let (title, version) = (keys.text("title"), source.version(&mut keys));
    warn_of_metadata_only(title.as_deref(), version.as_deref(), &mut warnings);
    let mut draft = Draft {
        name: display_name(&connector_id, title),
        description: keys.text("description").filter(|text| !text.is_empty()),
        icon_url: icon(&mut keys, &mut warnings),
        version: version.filter(|version| field_values::version(version).is_ok()),
        server_url,
        server_type,
        ..Draft::default()
    };
    let official = &source.official;
    let availability = Availability {
        status: status.unwrap_or(ConnectorStatus::Active),
        message: official
            .status_message
            .clone()
            .filter(|message| !message.is_empty()),
        replaced_by: None,
    };
    let created_at = real(official.published_at.as_deref());
    let updated_at = real(official.updated_at.as_deref());
    draft.metadata = source.rest(&draft, &availability, created_at, updated_at);

    let id = id(&connector_id);
    let (mut details, _) = draft.parse(ConnectorType::Official, &mut errors);
    if let Some(details) = &mut details
        && let Some((metadata, paths)) = details.metadata.as_deref().and_then(secrets::redacted)
    {
        warnings.push(secrets_left_out(&paths));
        details.metadata = errors.take(field_values::metadata(&metadata));
    }
    let availability = availability.parse(&id, &mut errors);
    let rejections = keys.rejections(errors);
    match (details, availability) {
        (Some(details), Some(availability)) if rejections.is_empty() => {
            let entry = hashed(Entry {
                id,
                r#type: ConnectorType::Official,
                connector_id,
                details,
                category_source: None,
                availability,
                visibility: ConnectorVisibility::Public,
                organization: None,
                created_by: None,
                created_at,
                updated_at,
                hash: String::new(),
                extent: Extent::Whole,
            });
            Ok(ParsedEntry { entry, warnings })
        }
        _ => Err(rejections),
    }
}

/// Warns of a title and a version that fit no field.
fn warn_of_metadata_only(title: Option<&str>, version: Option<&str>, warnings: &mut Vec<Warning>) {
    if title.is_some_and(|title| !title.trim().is_empty() && field_values::name(title).is_err()) {
        let text = "title cannot be a name, and stays in the metadata only";
        warnings.push(Warning::new("title", text));
    }
    if let Some(version) = version.filter(|version| field_values::version(version).is_err()) {
        let version: String = version.chars().take(50).collect();
        let text = format!("version {version} is not semantic, and stays in the metadata only");
        warnings.push(Warning::new("version", text));
    }
}

/// Returns the warning about secrets at these metadata paths.
pub(super) fn secrets_left_out(paths: &[String]) -> Warning {
    const NAMED: usize = 5;
    let mut named: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| path.chars().take(100).collect())
        .collect();
    if paths.len() > NAMED {
        named.push(format!("{} more", paths.len() - NAMED));
    }
    let count = match paths.len() {
        1 => "1 secret is".to_owned(),
        count => format!("{count} secrets are"),
    };
    let text = format!("{count} left out of the metadata: {}", named.join(", "));
    Warning::new("secrets of the metadata", text)
}

/// Returns the name, if the registry's schema allows it.
fn registry_name(keys: &mut Keys<'_>) -> Option<String> {
    keys.require(&["name"]);
    let name = keys.text("name")?;
    let part = |part: &str, marks: &[u8]| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || marks.contains(&b);
        !part.is_empty() && part.bytes().all(legal)
    };
    let parts = name.split_once('/');
    let legal = parts.is_some_and(|(space, server)| part(space, b".-") && part(server, b"._-"));
    if legal && name.len() <= field_values::CONNECTOR_ID_CHARS {
        return Some(name);
    }
    keys.reject(
        "name",
        "must be a namespace, a slash and a server's name, in up to 200 of a-z A-Z 0-9 . - and _",
    );
    None
}

/// Returns the first icon that is valid for a connector.
fn icon(keys: &mut Keys<'_>, warnings: &mut Vec<Warning>) -> Option<String> {
    let icons = remotes::objects(
        keys,
        "icons",
        "must be a list of objects with a src",
        warnings,
    );
    let mut sources = icons
        .iter()
        .filter_map(|(_, icon)| object::text(icon, "src"));
    let icon = sources.find(|url| field_values::icon_url(url).is_ok());
    if icon.is_none() && !icons.is_empty() {
        let text = "icons has no src that begins with https://, and stays in the metadata only";
        warnings.push(Warning::new("icons", text));
    }
    icon
}

/// Returns the URL of a list's only icon, if the icon has no other members.
fn sole_icon(icons: &RawValue) -> Option<String> {
    let [icon]: [&RawValue; 1] = serde_json::from_str(icons.get()).ok()?;
    let icon = object::parse(icon.get()).ok()?;
    let source = icon.get("src").filter(|_| icon.len() == 1)?;
    serde_json::from_str(source.get()).ok()
}

fn nested(key: &str, json: &RawValue) -> Result<Object, Rejection> {
    object::parse(json.get()).map_err(|Rejection { field, reason }| match &*field {
        "" => Rejection {
            field: key.to_owned(),
            reason: format!("{key} {reason}"),
        },
        inner => Rejection {
            field: format!("{key}.{inner}"),
            reason,
        },
    })
}

fn twice(key: &str) -> Rejection {
    Rejection {
        field: key.to_owned(),
        reason: format!("{key} stands twice, in the server and around it"),
    }
}

/// Returns the connector's id: the first 128 bits of the name's SHA-256, in the form of a ULID.
pub(super) fn id(name: &str) -> String {
    let hash = Sha256::digest(name);
    let bits = hash
        .iter()
        .take(16)
        .fold(0, |bits: u128, byte| bits << 8 | u128::from(*byte));
    format!(
        "{}{}",
        field_values::ID_PREFIX,
        Ulid(bits).to_string().to_ascii_lowercase()
    )
}

/// Returns the title, the part after the slash, or the whole name: the first that is valid as a connector's name.
fn display_name(name: &str, title: Option<String>) -> String {
    let server = name.split_once('/').map(|(_, server)| server.to_owned());
    let mut names = title.into_iter().chain(server);
    names
        .find(|name| field_values::name(name).is_ok())
        .unwrap_or_else(|| name.to_owned())
}

/// Parses a registry's time, to microseconds. The registry's software wrote the year 1 for an unknown time.
fn real(time: Option<&str>) -> Option<Timestamp> {
    time.and_then(moment)
        .filter(|time| time.year() > 1)
        .map(Timestamp::from)
}

/// A parsed registry object.
struct Source<'a> {
    /// The `server.json`.
    server: Cow<'a, Object>,
    /// The object that wraps the `server.json` in a page of the registry.
    around: Option<&'a Object>,
    /// The members of `_meta`, in the `server.json` and around it.
    meta: Object,
    official: Official,
}

/// The registry's own metadata of a version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Official {
    status: Option<String>,
    #[serde(alias = "status_message")]
    status_message: Option<String>,
    #[serde(alias = "published_at", alias = "release_date")]
    published_at: Option<String>,
    #[serde(alias = "updated_at")]
    updated_at: Option<String>,
    #[serde(alias = "is_latest")]
    is_latest: Option<bool>,
}

/// Reads the registry's metadata of a version, in the present form or one of 2025, in which some keys were repeated.
fn official_of(key: &str, official: &RawValue) -> Result<Official, Rejection> {
    let rejected = || Rejection {
        field: key.to_owned(),
        reason: format!("{key} must be as the registry writes it"),
    };
    let mut members = object::parse(official.get()).map_err(|_| rejected())?;
    if members.contains_key("published_at") {
        members.shift_remove("release_date");
    }
    let members = serde_json::to_string(&members).map_err(|_| rejected())?;
    serde_json::from_str(&members).map_err(|_| rejected())
}

impl<'a> Source<'a> {
    fn open(object: &'a Object) -> Result<Self, Rejection> {
        let (server, around) = match object.get("server") {
            Some(server) => (Cow::Owned(nested("server", server)?), Some(object)),
            None => (Cow::Borrowed(object), None),
        };
        let mut meta = Object::new();
        for holder in [Some(&*server), around].into_iter().flatten() {
            let Some(members) = holder.get("_meta").filter(|meta| meta.get() != "null") else {
                continue;
            };
            for (key, member) in nested("_meta", members)? {
                match meta.get(&key) {
                    Some(present) if present.get() != member.get() => {
                        return Err(twice(&format!("_meta.{key}")));
                    }
                    _ => meta.insert(key, member),
                };
            }
        }
        for key in around.into_iter().flat_map(Object::keys) {
            if key != "server" && key != "_meta" && server.contains_key(key) {
                return Err(twice(key));
            }
        }
        let around_it = || around.and_then(|around| around.get(OFFICIAL_OF_2025));
        let (key, official) = match meta.get(OFFICIAL) {
            Some(official) => (format!("_meta.{OFFICIAL}"), Some(official)),
            None => match around_it() {
                Some(official) => (OFFICIAL_OF_2025.to_owned(), Some(official)),
                None => (VERSION_DETAIL.to_owned(), server.get(VERSION_DETAIL)),
            },
        };
        let official = official.filter(|official| official.get() != "null");
        let official = official.map(|official| official_of(&key, official));
        let official = official.transpose()?;
        Ok(Self {
            server,
            around,
            meta,
            official: official.unwrap_or_default(),
        })
    }

    /// Returns the version, from its present key or that of May 2025.
    fn version(&self, keys: &mut Keys<'_>) -> Option<String> {
        let detail = || object::inner(&self.server, VERSION_DETAIL);
        keys.text("version")
            .or_else(|| object::text(&detail()?, "version"))
    }

    /// Returns the status; none if the version is deleted.
    fn status(&self, keys: &mut Keys<'_>) -> Option<ConnectorStatus> {
        let status = keys.text("status");
        // The registry's status takes precedence over the server's.
        let said = self.official.status.as_deref().or(status.as_deref());
        match said {
            None | Some("active") => Some(ConnectorStatus::Active),
            Some("deprecated") => Some(ConnectorStatus::Deprecated),
            Some("deleted") => None,
            Some(_) => {
                keys.reject("status", "must be one of active, deprecated, deleted");
                Some(ConnectorStatus::Active)
            }
        }
    }

    /// Returns the JSON object of all values that fit no field.
    fn rest(
        &self,
        draft: &Draft,
        availability: &Availability,
        created_at: Option<Timestamp>,
        updated_at: Option<Timestamp>,
    ) -> Option<String> {
        let status = word(availability.status);
        let said = |value: &RawValue, held: Option<&str>| {
            held.is_some() && serde_json::from_str::<String>(value.get()).ok().as_deref() == held
        };
        let time = |value: &RawValue, held: Option<Timestamp>| {
            said(value, held.map(|time| time.to_string()).as_deref())
        };
        let held = |key: &str, value: &RawValue| match key {
            // It is the connectorId.
            "name" => true,
            "title" => said(value, Some(draft.name.trim())),
            "description" => said(
                value,
                Some(draft.description.as_deref().unwrap_or_default()),
            ),
            "version" => said(value, draft.version.as_deref()),
            "status" => said(value, Some(&status)),
            "icons" => sole_icon(value).is_some_and(|icon| Some(icon) == draft.icon_url),
            _ => false,
        };
        let held_of_official = |key: &str, value: &RawValue| match key {
            "status" => said(value, Some(&status)),
            "statusMessage" => said(
                value,
                Some(availability.message.as_deref().unwrap_or_default()),
            ),
            "publishedAt" => time(value, created_at),
            "updatedAt" => time(value, updated_at),
            _ => false,
        };

        let mut meta = Json::default();
        for (key, value) in &self.meta {
            match object::parse(value.get()) {
                Ok(official) if key == OFFICIAL => {
                    let mut rest = Json::default();
                    for (key, value) in official {
                        if !held_of_official(&key, &value) {
                            rest.raw(&key, value.get());
                        }
                    }
                    if !rest.is_empty() {
                        meta.raw(key, &rest.finish());
                    }
                }
                _ => meta.raw(key, value.get()),
            }
        }
        let mut meta = (!meta.is_empty()).then(|| meta.finish());
        let mut rest = Json::default();
        let around = self
            .around
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "server");
        for (key, value) in self.server.iter().chain(around) {
            if key == "_meta" {
                if let Some(meta) = meta.take() {
                    rest.raw(key, &meta);
                }
            } else if !held(key, value) {
                rest.raw(key, value.get());
            }
        }
        (!rest.is_empty()).then(|| rest.finish())
    }
}

#[cfg(test)]
mod tests;
