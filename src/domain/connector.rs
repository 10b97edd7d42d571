//! What a connector is made of, and how it changes.
//!
//! Invariant: a [`Draft`] is what somebody sent, [`Details`] what the rules let through; the store takes only the latter.

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::error::{UserError, UserErrorCode};

use super::fields::{self, Name};

/// A connector's descriptive fields as somebody sent them, none of them checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub name: String,
    pub description: Option<String>,
    pub icon_url: Option<String>,
    pub category: Option<ConnectorCategory>,
    pub version: Option<String>,
    pub server_url: Option<String>,
    pub server_type: Option<ServerType>,
    /// JSON text.
    pub metadata: Option<String>,
}

/// A connector's descriptive fields, each right by its rule and right together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    pub name: Name,
    pub description: Option<String>,
    pub icon_url: Option<String>,
    pub category: Option<ConnectorCategory>,
    pub version: Option<String>,
    pub server_url: Option<String>,
    pub server_type: Option<ServerType>,
    pub metadata: Option<String>,
}

/// A new custom connector, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnector {
    pub details: Details,
    pub visibility: ConnectorVisibility,
}

/// One field of a change: leave it, clear it, or set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

/// A change of a custom connector as somebody sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub name: Patch<String>,
    pub description: Patch<String>,
    pub icon_url: Patch<String>,
    pub category: Patch<ConnectorCategory>,
    pub version: Patch<String>,
    pub server_url: Patch<String>,
    pub server_type: Patch<ServerType>,
    pub metadata: Patch<String>,
    pub visibility: Patch<ConnectorVisibility>,
}

/// A connector's availability, with what its users should know: always set as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    pub status: ConnectorStatus,
    pub message: Option<String>,
    pub replaced_by: Option<String>,
}

/// The fields that an entry changes of the connector that has its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All fields: an absent one is cleared.
    Whole,
    /// The server, and the other fields that the entry has. The name, the visibility and the creator stay.
    Named,
}

/// A whole connector as a file brings it, right by every rule that needs no database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub r#type: ConnectorType,
    pub connector_id: String,
    pub details: Details,
    pub availability: Availability,
    pub visibility: ConnectorVisibility,
    pub organization: Option<String>,
    pub created_by: Option<String>,
    /// None: the moment it is first loaded.
    pub created_at: Option<Timestamp>,
    /// None: the moment it is loaded.
    pub updated_at: Option<Timestamp>,
    /// Digest of all of the above as the file says it.
    pub hash: String,
    pub extent: Extent,
}

/// The scope in which a custom connector's name must be unique, and the name's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameClaim {
    pub organization: Option<String>,
    /// Given for PRIVATE connectors, which compete only with the same creator's.
    pub private_of: Option<Option<String>>,
    pub name_key: String,
}

impl NameClaim {
    pub fn new(
        visibility: ConnectorVisibility,
        organization: Option<&str>,
        created_by: Option<&str>,
        name_key: &str,
    ) -> Self {
        Self {
            organization: organization.map(ToOwned::to_owned),
            private_of: (visibility == ConnectorVisibility::Private)
                .then(|| created_by.map(ToOwned::to_owned)),
            name_key: name_key.to_owned(),
        }
    }
}

/// Collects every error of an input, so that its user mends them all at once.
#[derive(Debug, Default)]
pub struct Errors(pub Vec<UserError>);

impl Errors {
    pub fn take<T>(&mut self, parsed: Result<T, UserError>) -> Option<T> {
        parsed.map_err(|error| self.0.push(error)).ok()
    }

    pub fn push(&mut self, code: UserErrorCode, field: &'static str, message: impl Into<String>) {
        self.0.push(UserError::new(code, field, message));
    }
}

impl Draft {
    /// Parses every field and records every error; gives the details when there was none, and the name whenever it alone
    /// was right, so that its uniqueness can be checked beside the others' errors.
    pub fn parse(
        &self,
        r#type: ConnectorType,
        errors: &mut Errors,
    ) -> (Option<Details>, Option<Name>) {
        let before = errors.0.len();
        let name = errors.take(fields::name(&self.name));
        let server_url = match &self.server_url {
            Some(url) => errors.take(fields::server_url(url, self.server_type)),
            None if r#type == ConnectorType::Custom
                && self.server_type != Some(ServerType::Stdio) =>
            {
                errors.take(Err(fields::invalid(
                    "serverUrl",
                    "is required unless serverType is STDIO",
                )))
            }
            None => None,
        };
        let mut optional =
            |value: &Option<String>, parse: fn(&str) -> Result<String, UserError>| {
                value.as_deref().and_then(|value| errors.take(parse(value)))
            };
        let description = optional(&self.description, fields::description);
        let icon_url = optional(&self.icon_url, fields::icon_url);
        let version = optional(&self.version, fields::version);
        let metadata = optional(&self.metadata, fields::metadata);
        let details = (errors.0.len() == before)
            .then(|| name.clone())
            .flatten()
            .map(|name| Details {
                name,
                description,
                icon_url,
                category: self.category,
                version,
                server_url,
                server_type: self.server_type,
                metadata,
            });
        (details, name)
    }
}

impl Change {
    /// The draft that this change makes of `present`, and the visibility; records an error for each required field that it
    /// would clear.
    pub fn apply(
        &self,
        present: &Draft,
        visibility: ConnectorVisibility,
        errors: &mut Errors,
    ) -> (Draft, ConnectorVisibility) {
        let mut required = |field: &'static str, cleared: bool| {
            if cleared {
                errors.take::<()>(Err(fields::invalid(field, "must not be null")));
            }
        };
        required("name", self.name == Patch::Clear);
        required("visibility", self.visibility == Patch::Clear);
        let draft = Draft {
            name: match &self.name {
                Patch::Set(name) => name.clone(),
                _ => present.name.clone(),
            },
            description: self.description.apply(present.description.as_ref()),
            icon_url: self.icon_url.apply(present.icon_url.as_ref()),
            category: self.category.apply(present.category.as_ref()),
            version: self.version.apply(present.version.as_ref()),
            server_url: self.server_url.apply(present.server_url.as_ref()),
            server_type: self.server_type.apply(present.server_type.as_ref()),
            metadata: self.metadata.apply(present.metadata.as_ref()),
        };
        let visibility = match self.visibility {
            Patch::Set(visibility) => visibility,
            _ => visibility,
        };
        (draft, visibility)
    }
}

impl<T: Clone> Patch<T> {
    fn apply(&self, present: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => present.cloned(),
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl Availability {
    pub const ACTIVE: Self = Self {
        status: ConnectorStatus::Active,
        message: None,
        replaced_by: None,
    };

    /// Checks what needs no other connector; `id` is the connector's own.
    pub fn parse(self, id: &str, errors: &mut Errors) -> Option<Self> {
        let before = errors.0.len();
        if let Some(message) = &self.message {
            errors.take(fields::status_message(message));
        }
        if let Some(replacement) = &self.replaced_by {
            if self.status != ConnectorStatus::Deprecated {
                errors.push(
                    UserErrorCode::Invalid,
                    REPLACED_BY,
                    "a replacement is given only with the status DEPRECATED",
                );
            }
            if replacement == id {
                errors.push(
                    UserErrorCode::Invalid,
                    REPLACED_BY,
                    "a connector can't replace itself",
                );
            }
        }
        (errors.0.len() == before).then_some(self)
    }
}

/// How many replacements may follow one another.
pub const REPLACEMENTS: usize = 32;

/// The input field that names a replacement.
pub const REPLACED_BY: &str = "replacedById";

/// A connector of an organization needs one.
pub fn check_visibility(
    visibility: ConnectorVisibility,
    organization: Option<&str>,
    errors: &mut Errors,
) {
    if visibility != ConnectorVisibility::Private && organization.is_none() {
        errors.push(
            UserErrorCode::Invalid,
            "visibility",
            "visibility must be PRIVATE where there is no organization",
        );
    }
}
