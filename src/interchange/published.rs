//! Reads and writes the published JSON object.
//!
//! Invariant: reading and writing again yields the same object, key for key. An object that would lose something is
//! rejected.

use chrono::{DateTime, Datelike, Utc};
use entity::{
    CategorySource, ConnectorStatus, ConnectorType, ConnectorVisibility, Iterable, Timestamp,
    personal_connector::Model,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        connector::{Availability, Draft, DraftSource, Entry, Errors, Extent},
        field::{Field, Kind},
        field_values,
    },
    store::field_text,
};

use super::{
    ParsedEntry, Rejection, Warning,
    object::{Json, Keys, Object, REPLACED_BY_KEY},
    secrets,
};

/// The constant value of `object`.
const OBJECT: &str = "personal_connector";

const REQUIRED: [&str; 6] = ["id", "object", "name", "type", "connectorId", "status"];

/// The key of [`OBJECT`], which is no connector field.
const OBJECT_KEY: &str = "object";

/// The owner and visibility of a custom connector whose object has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The organization, of 1 to 255 characters; none for connectors without one.
    pub organization: Option<String>,
    /// The visibility. PUBLIC and ORGANIZATION are rejected for a connector without an organization.
    pub visibility: ConnectorVisibility,
}

/// Reads an object, or returns all of its rejections.
///
/// A possible secret in a public field causes a warning and stays, because the form is this service's own.
pub(crate) fn parse(object: &Object, assumed: &Assumed) -> Result<ParsedEntry, Vec<Rejection>> {
    let (mut keys, mut errors) = (Keys::of(object), Errors::default());
    let known = Field::PUBLISHED.into_iter();
    let known = known.filter_map(Field::published_key).chain([OBJECT_KEY]);
    keys.only(&known.collect::<Vec<_>>());
    keys.require(&REQUIRED);
    if keys.text(OBJECT_KEY).is_some_and(|object| object != OBJECT) {
        keys.reject(OBJECT_KEY, "must be personal_connector");
    }
    let id = keys.text("id");
    let id = id.and_then(|id| errors.take(field_values::id("id", &id)));
    let r#type = keys.word::<ConnectorType>("type");
    let connector_id = keys.text("connectorId");
    match (r#type, &connector_id) {
        (Some(ConnectorType::Custom), Some(id)) if id != field_values::CUSTOM_CONNECTOR_ID => {
            keys.reject("connectorId", "must be custom_mcp, as the type is custom");
        }
        (Some(ConnectorType::Official | ConnectorType::AitronosBuilt), Some(id)) => {
            errors.take(field_values::connector_id(id));
        }
        _ => {}
    }
    let draft = Draft::read(&mut keys);
    // An unknown type or status is rejected above. The most permissive one replaces it here, to avoid false rejections.
    let (details, _) = draft.parse(r#type.unwrap_or(ConnectorType::Official), &mut errors);
    let replaced_by = keys.text(REPLACED_BY_KEY);
    let availability = Availability {
        status: keys.word("status").unwrap_or(ConnectorStatus::Deprecated),
        message: keys.text("statusMessage"),
        replaced_by: replaced_by.and_then(|id| errors.take(field_values::id(REPLACED_BY_KEY, &id))),
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
                category_source: Some(CategorySource::File),
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
            Ok(ParsedEntry { entry, warnings })
        }
        _ => Err(rejections),
    }
}

impl DraftSource for Keys<'_> {
    fn text(&mut self, field: Field) -> Option<String> {
        Keys::text(self, field.published_key()?)
    }

    fn word<T: Iterable + Serialize>(&mut self, field: Field) -> Option<T> {
        Keys::word(self, field.published_key()?)
    }

    fn json(&mut self, field: Field) -> Option<String> {
        self.raw(field.published_key()?).map(ToOwned::to_owned)
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

/// The owner and visibility of a connector.
struct Owner {
    visibility: ConnectorVisibility,
    organization: Option<String>,
    created_by: Option<String>,
}

impl Owner {
    /// The owner of a catalogue connector: nobody. All callers see it.
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
            errors.take(field_values::principal(key, &id))
        };
        let organization = principal(keys, "organization");
        let created_by = principal(keys, "createdBy");
        if r#type != Some(ConnectorType::Custom) {
            // With an unknown type, the owner's keys can be neither required nor refused.
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
        // Null means none, whatever is assumed.
        let organization = if keys.has("organization") {
            organization
        } else {
            assumed.organization.clone()
        };
        // An invalid organization is rejected once, and not as missing too.
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
                "is required, as --visibility private shows a connector to its creator only: give the object a \
                 createdBy, or --visibility organization",
            );
        }
        Self {
            visibility,
            organization,
            created_by,
        }
    }
}

/// Writes the object. Fields beyond the published form appear only if reading with `assumed` would not restore them.
pub(crate) fn write(model: &Model, assumed: &Assumed) -> String {
    let is_custom = model.r#type == ConnectorType::Custom;
    let mut json = Json::default();
    for field in Field::PUBLISHED {
        let Some(key) = field.published_key() else {
            continue;
        };
        let is_left_out = match field {
            Field::Visibility => !is_custom || model.visibility == assumed.visibility,
            Field::OrganizationId => !is_custom || model.organization_id == assumed.organization,
            _ => false,
        };
        match (field_text(model, field), field.kind()) {
            _ if is_left_out => {}
            (Some(text), Kind::Json) => json.raw(key, &text),
            (Some(text), _) => json.text(key, &*text),
            // Null means none, whatever is assumed.
            (None, _) if field == Field::OrganizationId => json.raw(key, "null"),
            (None, _) => {}
        }
        if field == Field::Id {
            json.text(OBJECT_KEY, OBJECT);
        }
    }
    json.finish()
}

/// Adds the digest of its content to the entry.
pub(super) fn hashed(entry: Entry) -> Entry {
    Entry {
        hash: digest(&entry),
        ..entry
    }
}

/// The fields with a fixed position in the digest, present or not. Stored digests depend on the list, so it is never
/// extended.
const POSITIONAL: [Field; 19] = [
    Field::Id,
    Field::Type,
    Field::ConnectorId,
    Field::Name,
    Field::Description,
    Field::IconUrl,
    Field::Category,
    Field::Version,
    Field::ServerUrl,
    Field::ServerType,
    Field::Metadata,
    Field::Status,
    Field::StatusMessage,
    Field::ReplacedBy,
    Field::Visibility,
    Field::OrganizationId,
    Field::CreatedBy,
    Field::CreatedAt,
    Field::UpdatedAt,
];

/// Returns the SHA-256 of an entry's content in hexadecimal, independent of its layout and key order.
///
/// A later field is appended with its key if the entry has it, so that entries without it keep their digest.
pub(crate) fn digest(entry: &Entry) -> String {
    let positional = POSITIONAL.into_iter().map(|field| entry.text(field));
    let later = Field::ALL.iter().copied();
    let later = later.filter(|field| !POSITIONAL.contains(field));
    let keyed = later.filter_map(|field| {
        let text = entry.text(field)?;
        Some([Some(field.graphql_name().to_owned()), Some(text)])
    });
    let fields: Vec<_> = positional.chain(keyed.flatten()).collect();
    // In JSON, fields cannot run together, and an absent one differs from an empty one.
    format!(
        "{:x}",
        Sha256::digest(serde_json::json!(fields).to_string())
    )
}

/// Parses RFC 3339 with any offset, within the years of its own UTC form.
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
