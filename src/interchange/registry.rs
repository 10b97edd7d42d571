//! The MCP registry's `server.json`, as official connectors.
//!
//! Invariant: what a `server.json` says stands in the entry, either in a field that holds it exactly or in the metadata under
//! its own key; a name always makes the same id.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Utc};
use entity::{ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType, Timestamp};
use semver::BuildMetadata;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::domain::{
    connector::{Availability, Draft, Entry, Errors},
    fields,
};

use super::{
    Rejection,
    object::Word,
    object::{self, Json, Keys, Object},
    published::{hashed, moment},
};

/// The key in `_meta` of what the registry itself says of a version.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// Which version of which server an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The registry's name of the server.
    pub name: String,
    /// Taken out of the registry, and not to be parsed.
    pub deleted: bool,
    pub rank: Rank,
}

/// Orders the versions of one name: of several, the greatest is to be parsed, and of equals the last in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    latest: bool,
    /// None, which is below all, for what is not semantic.
    version: Option<semver::Version>,
    published_at: Option<DateTime<Utc>>,
}

/// Whether the object is a registry's: it has no key `object`, and has the key `server` (a page's element) or a `name` with a
/// slash in it (a `server.json`).
pub fn is_server(object: &Object) -> bool {
    let named = || {
        object
            .get("name")
            .is_some_and(|name| name.get().contains('/'))
    };
    !object.contains_key("object") && (object.contains_key("server") || named())
}

pub fn identify(object: &Object) -> Result<Version, Vec<Rejection>> {
    let source = Source::open(object).map_err(|rejection| vec![rejection])?;
    let mut keys = Keys::of(&source.server);
    let name = registry_name(&mut keys);
    let status = source.status(&mut keys);
    let version = keys.text("version");
    let version = version.and_then(|version| semver::Version::parse(&version).ok());
    let rank = Rank {
        latest: source.official.is_latest.unwrap_or_default(),
        // Build metadata has no say in precedence.
        version: version.map(|version| semver::Version {
            build: BuildMetadata::EMPTY,
            ..version
        }),
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

/// Makes the official connector of one version, or says everything that is wrong with it.
pub fn parse(object: &Object) -> Result<Entry, Vec<Rejection>> {
    let source = Source::open(object).map_err(|rejection| vec![rejection])?;
    let (mut keys, mut errors) = (Keys::of(&source.server), Errors::default());
    let connector_id = registry_name(&mut keys).unwrap_or_default();
    let status = source.status(&mut keys);
    if status.is_none() {
        keys.reject("status", "is deleted");
    }
    let (server_type, server_url) = address(&mut keys);
    let mut draft = Draft {
        name: display_name(&connector_id, keys.text("title")),
        description: keys.text("description").filter(|text| !text.is_empty()),
        icon_url: icon(&mut keys),
        category: None,
        version: keys
            .text("version")
            .filter(|version| fields::version(version).is_ok()),
        // A URL with a variable is a template, which only who knows the variable's value can call.
        server_url: server_url
            .filter(|url| !url.contains('{') && fields::server_url(url, server_type).is_ok()),
        server_type,
        metadata: None,
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
    let (details, _) = draft.parse(ConnectorType::Official, &mut errors);
    let availability = availability.parse(&id, &mut errors);
    let rejections = keys.rejections(errors);
    match (details, availability) {
        (Some(details), Some(availability)) if rejections.is_empty() => Ok(hashed(Entry {
            id,
            r#type: ConnectorType::Official,
            connector_id,
            details,
            availability,
            visibility: ConnectorVisibility::Public,
            organization: None,
            created_by: None,
            created_at,
            updated_at,
            hash: String::new(),
        })),
        _ => Err(rejections),
    }
}

/// The name, if it is one by the registry's own schema.
fn registry_name(keys: &mut Keys<'_>) -> Option<String> {
    keys.require(&["name"]);
    let name = keys.text("name")?;
    let part = |part: &str, marks: &[u8]| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || marks.contains(&b);
        !part.is_empty() && part.bytes().all(legal)
    };
    let parts = name.split_once('/');
    let legal = parts.is_some_and(|(space, server)| part(space, b".-") && part(server, b"._-"));
    if legal && name.len() <= fields::CONNECTOR_ID_CHARS {
        return Some(name);
    }
    keys.reject(
        "name",
        "must be a namespace, a slash and a server's name, in up to 200 of a-z A-Z 0-9 . - and _",
    );
    None
}

#[derive(Deserialize)]
struct Remote {
    r#type: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Package {
    transport: Option<Transport>,
}

#[derive(Deserialize)]
struct Transport {
    r#type: String,
}

#[derive(Deserialize)]
struct Icon {
    src: String,
}

/// The registry's transports, the one to prefer first.
const TRANSPORTS: [(&str, ServerType); 5] = [
    ("streamable-http", ServerType::Http),
    ("sse", ServerType::Http),
    ("websocket", ServerType::Websocket),
    ("ws", ServerType::Websocket),
    ("stdio", ServerType::Stdio),
];

/// How the server is spoken to, and where if it runs somewhere: a package runs on its user's machine.
fn address(keys: &mut Keys<'_>) -> (Option<ServerType>, Option<String>) {
    let remotes =
        keys.value::<Vec<Remote>>("remotes", "must be a list of objects with a type and a url");
    let packages =
        keys.value::<Vec<Package>>("packages", "must be a list of objects with a transport");
    let (mut remotes, packages) = (remotes.unwrap_or_default(), packages.unwrap_or_default());
    for (name, server_type) in TRANSPORTS {
        if let Some(at) = remotes.iter().position(|remote| remote.r#type == name) {
            return (Some(server_type), remotes.swap_remove(at).url);
        }
    }
    let transports = packages
        .iter()
        .filter_map(|package| package.transport.as_ref());
    let transports: Vec<_> = transports.map(|transport| &*transport.r#type).collect();
    let spoken = TRANSPORTS
        .iter()
        .find(|(name, _)| transports.contains(name));
    (spoken.map(|(_, server_type)| *server_type), None)
}

/// The first icon that a connector can have.
fn icon(keys: &mut Keys<'_>) -> Option<String> {
    let icons = keys.value::<Vec<Icon>>("icons", "must be a list of objects with a src")?;
    let mut sources = icons.into_iter().map(|icon| icon.src);
    sources.find(|url| fields::icon_url(url).is_ok())
}

/// Of a list of icons, what there is when one URL is all of it.
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

/// The connector's id: the first 128 bits of the name's SHA-256, spelled as a ULID is.
fn id(name: &str) -> String {
    let hash = Sha256::digest(name);
    let bits = hash
        .iter()
        .take(16)
        .fold(0, |bits: u128, byte| bits << 8 | u128::from(*byte));
    format!(
        "{}{}",
        fields::ID_PREFIX,
        Ulid(bits).to_string().to_ascii_lowercase()
    )
}

/// The title, else what follows the slash, else the whole name: the first that can be a connector's name.
fn display_name(name: &str, title: Option<String>) -> String {
    let server = name.split_once('/').map(|(_, server)| server.to_owned());
    let mut names = title.into_iter().chain(server);
    names
        .find(|name| fields::name(name).is_ok())
        .unwrap_or_else(|| name.to_owned())
}

/// A registry's time, cut to microseconds. The year 1 is what the registry's software wrote when it knew none.
fn real(time: Option<&str>) -> Option<Timestamp> {
    time.and_then(moment)
        .filter(|time| time.year() > 1)
        .map(Timestamp::from)
}

/// An object of the registry's, opened.
struct Source<'a> {
    /// The `server.json`.
    server: Cow<'a, Object>,
    /// What stands around it in a page.
    around: Option<&'a Object>,
    /// The members of `_meta`, of the `server.json` and around it.
    meta: Object,
    official: Official,
}

/// What the registry itself says of a version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Official {
    status: Option<String>,
    status_message: Option<String>,
    published_at: Option<String>,
    updated_at: Option<String>,
    is_latest: Option<bool>,
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
        let official = match meta.get(OFFICIAL) {
            Some(official) => serde_json::from_str(official.get()).map_err(|_| Rejection {
                field: format!("_meta.{OFFICIAL}"),
                reason: format!("{OFFICIAL} must be as the registry writes it"),
            })?,
            None => None,
        };
        Ok(Self {
            server,
            around,
            meta,
            official: official.unwrap_or_default(),
        })
    }

    /// None when the version is deleted.
    fn status(&self, keys: &mut Keys<'_>) -> Option<ConnectorStatus> {
        let status = keys.text("status");
        // The registry's own word goes before the server's.
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

    /// The JSON object of what no field holds.
    fn rest(
        &self,
        draft: &Draft,
        availability: &Availability,
        created_at: Option<Timestamp>,
        updated_at: Option<Timestamp>,
    ) -> Option<String> {
        let status = Word(availability.status).to_string();
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
