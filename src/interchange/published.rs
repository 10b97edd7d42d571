//! The published JSON object, read and written.
//!
//! Invariant: what is read and written again is the same object, key for key; what would be lost on the way is rejected.

use chrono::{DateTime, Datelike, Utc};
use entity::{
    ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp, personal_connector::Model,
};
use sha2::{Digest, Sha256};

use crate::domain::{
    connector::{Availability, Draft, Entry, Errors, Extent},
    fields,
};

use super::{
    Parsed, Rejection, Warning,
    object::{Json, Keys, Object, REPLACED_BY_KEY, Word},
    secrets,
};

/// What `object` always is.
const OBJECT: &str = "personal_connector";

const REQUIRED: [&str; 6] = ["id", "object", "name", "type", "connectorId", "status"];

/// The published keys, and then ours.
const KEYS: [&str; 20] = [
    "id",
    "object",
    "name",
    "type",
    "connectorId",
    "description",
    "iconUrl",
    "category",
    "version",
    "status",
    "serverUrl",
    "serverType",
    "metadata",
    "createdAt",
    "updatedAt",
    "createdBy",
    "visibility",
    "statusMessage",
    REPLACED_BY_KEY,
    "organization",
];

/// Whose a custom connector is and who sees it, where its object does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    pub organization: Option<String>,
    pub visibility: ConnectorVisibility,
}

/// Reads one object, or says everything that is wrong with it.
///
/// A possible secret that everybody will see causes a warning, and stays as it is: the form is this service's own.
pub fn parse(object: &Object, assumed: &Assumed) -> Result<Parsed, Vec<Rejection>> {
    let (mut keys, mut errors) = (Keys::of(object), Errors::default());
    keys.only(&KEYS);
    keys.require(&REQUIRED);
    if keys.text("object").is_some_and(|object| object != OBJECT) {
        keys.reject("object", "must be personal_connector");
    }
    let id = keys.text("id");
    let id = id.and_then(|id| errors.take(fields::id("id", &id)));
    let r#type = keys.word::<ConnectorType>("type");
    let connector_id = keys.text("connectorId");
    match (r#type, &connector_id) {
        (Some(ConnectorType::Custom), Some(id)) if id != fields::CUSTOM_CONNECTOR_ID => {
            keys.reject("connectorId", "must be custom_mcp, as the type is custom");
        }
        (Some(ConnectorType::Official | ConnectorType::AitronosBuilt), Some(id)) => {
            errors.take(fields::connector_id(id));
        }
        _ => {}
    }
    let draft = Draft {
        name: keys.text("name").unwrap_or_default(),
        description: keys.text("description"),
        icon_url: keys.text("iconUrl"),
        category: keys.word("category"),
        version: keys.text("version"),
        server_url: keys.text("serverUrl"),
        server_type: keys.word("serverType"),
        metadata: keys.raw("metadata").map(ToOwned::to_owned),
    };
    // A type or status that is not known is rejected above; the laxest one stands in, so that nothing false is said.
    let (details, _) = draft.parse(r#type.unwrap_or(ConnectorType::Official), &mut errors);
    let replaced_by = keys.text(REPLACED_BY_KEY);
    let availability = Availability {
        status: keys.word("status").unwrap_or(ConnectorStatus::Deprecated),
        message: keys.text("statusMessage"),
        replaced_by: replaced_by.and_then(|id| errors.take(fields::id(REPLACED_BY_KEY, &id))),
    };
    let availability = availability.parse(id.as_deref().unwrap_or_default(), &mut errors);
    let (created_at, updated_at) = (time(&mut keys, "createdAt"), time(&mut keys, "updatedAt"));
    let owner = Owner::read(r#type, &mut keys, assumed, &mut errors);

    let rejections = keys.rejections(errors);
    match (id, r#type, connector_id, details, availability) {
        (Some(id), Some(r#type), Some(connector_id), Some(details), Some(availability))
            if rejections.is_empty() =>
        {
            let entry = hashed(Entry {
                id,
                r#type,
                connector_id,
                details,
                availability,
                visibility: owner.visibility,
                organization: owner.organization,
                created_by: owner.created_by,
                created_at,
                updated_at,
                hash: String::new(),
                extent: Extent::Whole,
            });
            let warnings = public_secrets(&entry);
            Ok(Parsed { entry, warnings })
        }
        _ => Err(rejections),
    }
}

fn public_secrets(entry: &Entry) -> Vec<Warning> {
    if entry.visibility != ConnectorVisibility::Public {
        return Vec::new();
    }
    let url = entry.details.server_url.as_deref();
    let in_url = url
        .and_then(secrets::redacted_url)
        .map(|_| "serverUrl".to_owned());
    let metadata = entry.details.metadata.as_deref();
    let metadata = metadata.and_then(secrets::redacted);
    let in_metadata = metadata.into_iter().flat_map(|(_, paths)| paths);
    let paths: Vec<_> = in_metadata.map(|path| format!("metadata.{path}")).collect();
    in_url
        .into_iter()
        .chain(paths)
        .map(|path| {
            let path: String = path.chars().take(100).collect();
            let text = format!("{path} may be a secret, and everybody sees it");
            Warning::new("public secret", text)
        })
        .collect()
}

/// Whose a connector is and who sees it.
struct Owner {
    visibility: ConnectorVisibility,
    organization: Option<String>,
    created_by: Option<String>,
}

impl Owner {
    /// What everybody sees and nobody owns: the catalogue's.
    const NOBODY: Self = Self {
        visibility: ConnectorVisibility::Public,
        organization: None,
        created_by: None,
    };

    fn read(
        r#type: Option<ConnectorType>,
        keys: &mut Keys<'_>,
        assumed: &Assumed,
        errors: &mut Errors,
    ) -> Self {
        let visibility = keys.word::<ConnectorVisibility>("visibility");
        let mut principal = |keys: &mut Keys<'_>, key: &'static str| {
            let id = keys.text(key)?;
            errors.take(fields::principal(key, &id))
        };
        let organization = principal(keys, "organization");
        let created_by = principal(keys, "createdBy");
        if r#type != Some(ConnectorType::Custom) {
            // Of an unknown type, nobody knows whether it has an owner.
            if r#type.is_some() {
                for key in ["organization", "createdBy"] {
                    if keys.raw(key).is_some() {
                        keys.reject(key, "is for custom connectors");
                    }
                }
                if visibility.is_some_and(|visibility| visibility != ConnectorVisibility::Public) {
                    keys.reject("visibility", "must be public, as the type is not custom");
                }
            }
            return Self::NOBODY;
        }
        let visibility = visibility.unwrap_or(assumed.visibility);
        // Null is said: none, whatever is assumed.
        let organization = if keys.has("organization") {
            organization
        } else {
            assumed.organization.clone()
        };
        // A bad organization is rejected as such, and not for being absent as well.
        if organization.is_some() || keys.raw("organization").is_none() {
            if visibility != ConnectorVisibility::Private && organization.is_none() {
                keys.reject(
                    "visibility",
                    "must be private without an organization: add --organization, or give the object an organization",
                );
            }
            if visibility == ConnectorVisibility::Private
                && organization.is_none()
                && keys.raw("createdBy").is_none()
            {
                keys.reject(
                    "organization",
                    "is required, as neither it nor createdBy says whose it is: add --organization, or one of them",
                );
            }
        }
        let is_assumed = keys.raw("visibility").is_none();
        if is_assumed
            && visibility == ConnectorVisibility::Private
            && organization.is_some()
            && keys.raw("createdBy").is_none()
        {
            keys.reject(
                "createdBy",
                "is required, as --visibility private shows a connector to its creator only: give the object a createdBy, or --visibility organization",
            );
        }
        Self {
            visibility,
            organization,
            created_by,
        }
    }
}

/// Writes the object, and our additions to it only where reading it with `assumed` would not bring them about.
pub fn write(model: &Model, assumed: &Assumed) -> String {
    let mut json = Json::default();
    json.text("id", &*model.id);
    json.text("object", OBJECT);
    json.text("name", &*model.name);
    json.word("type", Some(model.r#type));
    json.text("connectorId", &*model.connector_id);
    json.text("description", model.description.as_deref());
    json.text("iconUrl", model.icon_url.as_deref());
    json.word("category", model.category);
    json.text("version", model.version.as_deref());
    json.word("status", Some(model.status));
    json.text("serverUrl", model.server_url.as_deref());
    json.word("serverType", model.server_type);
    if let Some(metadata) = &model.metadata {
        json.raw("metadata", metadata);
    }
    json.text("createdAt", &*model.created_at.to_string());
    json.text("updatedAt", &*model.updated_at.to_string());
    json.text("createdBy", model.created_by.as_deref());
    let custom = model.r#type == ConnectorType::Custom;
    if custom && model.visibility != assumed.visibility {
        json.word("visibility", Some(model.visibility));
    }
    json.text("statusMessage", model.status_message.as_deref());
    json.text(REPLACED_BY_KEY, model.replaced_by_id.as_deref());
    if custom && model.organization_id != assumed.organization {
        match &model.organization_id {
            Some(organization) => json.text("organization", &**organization),
            None => json.raw("organization", "null"),
        }
    }
    json.finish()
}

/// Gives the entry the digest of its content.
pub(super) fn hashed(entry: Entry) -> Entry {
    Entry {
        hash: digest(&entry),
        ..entry
    }
}

/// SHA-256 of everything an entry says, in hexadecimal; how its file was laid out and which keys came first is not in it.
pub fn digest(entry: &Entry) -> String {
    let word = |word: &dyn std::fmt::Display| Some(word.to_string());
    let (details, availability) = (&entry.details, &entry.availability);
    let fields = [
        Some(entry.id.clone()),
        word(&Word(entry.r#type)),
        Some(entry.connector_id.clone()),
        Some(details.name.text.clone()),
        details.description.clone(),
        details.icon_url.clone(),
        details.category.map(|category| Word(category).to_string()),
        details.version.clone(),
        details.server_url.clone(),
        details
            .server_type
            .map(|server_type| Word(server_type).to_string()),
        details.metadata.clone(),
        word(&Word(availability.status)),
        availability.message.clone(),
        availability.replaced_by.clone(),
        word(&Word(entry.visibility)),
        entry.organization.clone(),
        entry.created_by.clone(),
        entry.created_at.map(|time| time.to_string()),
        entry.updated_at.map(|time| time.to_string()),
    ];
    // As JSON the fields can't run into each other, nor an absent one be taken for an empty one.
    format!(
        "{:x}",
        Sha256::digest(serde_json::json!(fields).to_string())
    )
}

/// RFC 3339 with any offset, between the years that its own UTC form can say.
pub(super) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (0..=9999).contains(&time.year()).then_some(time)
}

fn time(keys: &mut Keys<'_>, key: &str) -> Option<Timestamp> {
    let text = keys.text(key)?;
    let fraction = text.split_once('.').map_or("", |(_, rest)| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default()
    });
    match moment(&text) {
        None => {
            keys.reject(key, "must be an RFC 3339 time such as 2025-01-01T00:00:00Z");
            None
        }
        Some(_) if fraction.trim_end_matches('0').len() > 6 => {
            keys.reject(
                key,
                "must be in whole microseconds: at most six fraction digits",
            );
            None
        }
        Some(time) => Some(time.into()),
    }
}

#[cfg(test)]
mod tests;
