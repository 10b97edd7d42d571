//! The common form of these servers, and the connector made from it.

use entity::{ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType};

use crate::{
    domain::{
        connector::{Availability, Draft, Entry, Errors, Extent},
        field_values,
    },
    interchange::{
        ParsedEntry, Rejection, Warning,
        object::{self, Json, Keys, Object},
        published::{Assumed, hashed},
        registry, secrets,
    },
};

/// A server in the common form.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The name in the file.
    pub(super) name: String,
    /// The name for people.
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) icon_url: Option<String>,
    pub(super) version: Option<String>,
    pub(super) is_deprecated: bool,
    /// The transport, as the file spells it.
    pub(super) transport: Option<String>,
    pub(super) url: Option<String>,
    /// Whether it runs on the user's machine, by a command or from an image.
    pub(super) runs: bool,
    /// Metadata members as JSON.
    pub(super) metadata: Vec<(String, String)>,
    pub(super) warnings: Vec<Warning>,
}

impl Server {
    pub(super) fn warn(&mut self, kind: &'static str, text: impl Into<String>) {
        self.warnings.push(Warning::new(kind, text));
    }

    /// Keeps the other members of the object as metadata.
    pub(super) fn keep(&mut self, object: &Object, held: &[&str]) {
        let rest = object.iter().filter(|(key, value)| {
            !held.contains(&key.as_str()) && !matches!(value.get(), "null" | "{}" | "[]" | "\"\"")
        });
        let rest = rest.map(|(key, value)| (key.clone(), value.get().to_owned()));
        self.metadata.extend(rest);
    }

    pub(super) fn finish(
        mut self,
        mut keys: Keys<'_>,
        assumed: &Assumed,
    ) -> Result<ParsedEntry, Vec<Rejection>> {
        let mut errors = Errors::default();
        let (server_type, server_url) = self.address(&mut keys);
        if self.name.is_empty() {
            keys.reject("name", "is required");
        }
        self.check_ornaments();
        let title = self
            .title
            .take()
            .filter(|title| field_values::name(title).is_ok());
        let draft = Draft {
            name: title.unwrap_or_else(|| self.name.clone()),
            description: self.description.take(),
            icon_url: self.icon_url.take(),
            version: self.version.take(),
            server_url,
            server_type,
            metadata: self.metadata(),
            ..Draft::default()
        };
        let (details, _) = draft.parse(ConnectorType::Custom, &mut errors);
        let status = if self.is_deprecated {
            ConnectorStatus::Deprecated
        } else {
            ConnectorStatus::Active
        };
        if assumed.visibility == ConnectorVisibility::Private {
            keys.reject(
                "visibility",
                "must not be private, as the file does not say who created it: give --visibility organization or \
                 public",
            );
        }
        if assumed.organization.is_none() {
            keys.reject(
                "organization",
                "is required, as the file does not name one: add --organization",
            );
        }
        let rejections = keys.rejections(errors);
        let Some(details) = details.filter(|_| rejections.is_empty()) else {
            return Err(rejections);
        };
        let entry = hashed(Entry {
            id: id(&self.name, assumed),
            r#type: ConnectorType::Custom,
            connector_id: field_values::CUSTOM_CONNECTOR_ID.to_owned(),
            details,
            category_source: None,
            availability: Availability {
                status,
                ..Availability::ACTIVE
            },
            visibility: assumed.visibility,
            organization: assumed.organization.clone(),
            created_by: None,
            created_at: None,
            updated_at: None,
            hash: String::new(),
            extent: Extent::Named,
        });
        if assumed.visibility == ConnectorVisibility::Public
            && let Some(url) = entry.details.server_url.as_deref()
            && secrets::has_opaque_path(url)
        {
            self.warn("path of a URL", OPAQUE_PATH);
        }
        Ok(ParsedEntry {
            entry,
            warnings: self.warnings,
        })
    }

    /// Returns the server's type, and its URL without secrets. Rejects a server with neither a URL nor a command.
    fn address(&mut self, keys: &mut Keys<'_>) -> (Option<ServerType>, Option<String>) {
        let spelled = self.transport.take();
        let transport = spelled.as_deref().and_then(registry::transport);
        if let Some(spelled) = spelled.filter(|_| transport.is_none()) {
            let spelled: String = spelled.chars().take(50).collect();
            self.warn(
                "type of a server",
                format!("the type {spelled} is not known, and left out"),
            );
        }
        let is_local =
            transport.is_some_and(|transport| transport.server_type == ServerType::Stdio);
        let Some(url) = self.url.take().filter(|_| !(is_local && self.runs)) else {
            if !self.runs {
                keys.reject("url", "is required, or a command");
            }
            return (Some(ServerType::Stdio), None);
        };
        let url = match secrets::callable_url(&url) {
            None => url,
            Some(callable) => {
                self.warn(
                    "secret in a URL",
                    "a secret is left out of the url: user name, password, parameter or fragment",
                );
                callable
            }
        };
        if url.contains('{') || url.contains('$') {
            let url: String = url.chars().take(200).collect();
            keys.reject(
                "url",
                &format!("must have no variables in it: give {url} their values"),
            );
        }
        let is_socket = url.starts_with("ws://") || url.starts_with("wss://");
        let server_type = match transport {
            Some(transport) if !is_local => transport.server_type,
            _ if is_socket => ServerType::Websocket,
            _ => ServerType::Http,
        };
        (Some(server_type), Some(url))
    }

    /// Drops an icon or a version that is not valid for a connector.
    fn check_ornaments(&mut self) {
        if self
            .icon_url
            .as_deref()
            .is_some_and(|url| field_values::icon_url(url).is_err())
        {
            self.icon_url = None;
            self.warn(
                "icon",
                "the icon is left out: its URL must begin with https://",
            );
        }
        if self
            .version
            .as_deref()
            .is_some_and(|version| field_values::version(version).is_err())
        {
            self.version = None;
            self.warn(
                "version",
                "the version is left out: it is not semantic, such as 1.0.0",
            );
        }
    }

    /// Returns the metadata without secrets, and without its largest members if it is too large.
    fn metadata(&mut self) -> Option<String> {
        for (key, json) in &mut self.metadata {
            let mut object = Json::default();
            object.raw(key, json);
            if let Some((redacted, paths)) = secrets::redacted(&object.finish())
                && let Some(value) = object::parse(&redacted)
                    .ok()
                    .and_then(|mut object| object.swap_remove(&*key))
            {
                value.get().clone_into(json);
                self.warnings.push(registry::secrets_left_out(&paths));
            }
        }
        let size = |(key, json): &(String, String)| key.len() + json.len() + 4;
        while self.metadata.iter().map(size).sum::<usize>() > field_values::METADATA_BYTES {
            let largest = self
                .metadata
                .iter()
                .enumerate()
                .max_by_key(|(_, member)| size(member));
            let Some((largest, _)) = largest else { break };
            let (key, _) = self.metadata.remove(largest);
            let key: String = key.chars().take(50).collect();
            let bytes = field_values::METADATA_BYTES;
            self.warn(
                "large metadata",
                format!("{key} is left out: metadata has at most {bytes} bytes"),
            );
        }
        let mut json = Json::default();
        for (key, value) in &self.metadata {
            json.raw(key, value);
        }
        (!json.is_empty()).then(|| json.finish())
    }
}

const OPAQUE_PATH: &str = "the path of the url may be a secret, and everybody sees it";

/// Returns the id of a connector, from its name's key and its organization.
pub(super) fn id(name: &str, assumed: &Assumed) -> String {
    // No registry server has a line break in its name.
    let organization = assumed.organization.as_deref().unwrap_or_default();
    let key = field_values::name(name).map_or_else(|_| name.to_owned(), |name| name.key);
    registry::id(&format!("{organization}\n{key}"))
}
