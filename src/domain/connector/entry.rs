//! Connectors in the form of a file.

use entity::{CategorySource, ConnectorSource, ConnectorType, ConnectorVisibility, Timestamp};

use crate::domain::field::{Field, word};

use super::{Availability, Details};

/// The fields that an entry changes of the connector with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All fields: an absent one is cleared.
    Whole,
    /// The server, and the other present fields. The name, the visibility and the creator stay.
    Named,
}

/// A whole connector from a file, valid by all rules that need no database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `pcon_` and ASCII letters and digits, at most 64 characters in all.
    pub id: String,
    /// The type that a published object gives. Servers of a registry are official, those of a client are custom.
    pub r#type: ConnectorType,
    /// The kind of connector, such as `github`; `custom_mcp` for every custom one.
    pub connector_id: String,
    /// The name, the server and the other descriptive fields.
    pub details: Details,
    /// The source of the category. `File` without a category means that there is none. None leaves the present category
    /// unchanged.
    pub category_source: Option<CategorySource>,
    /// The file's status, message and replacement.
    pub availability: Availability,
    /// Public unless the connector is custom.
    pub visibility: ConnectorVisibility,
    /// The organization of a custom connector. None for the other types, and if the file gives none.
    pub organization: Option<String>,
    /// The id of the user who created a custom connector. None for the other types, and if the file gives none.
    pub created_by: Option<String>,
    /// The time of creation. None means the first load.
    pub created_at: Option<Timestamp>,
    /// The time of the last change. None means the load.
    pub updated_at: Option<Timestamp>,
    /// The digest of all fields above, as the file has them.
    pub hash: String,
    /// The fields that the entry changes of an existing connector.
    pub extent: Extent,
}

/// An entry to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The connector in its file.
    pub entry: Entry,
    /// The new source of the row: the catalogue file, or the `import` command.
    pub source: ConnectorSource,
    /// The new availability, which may be an administrator's instead of the entry's.
    pub availability: Availability,
    /// Whether the connector lacks a part of the entry, so that the next run loads it again.
    pub is_partial: bool,
}

impl Entry {
    /// Returns a field as text; none for fields that files lack. Times are RFC 3339.
    pub(crate) fn text(&self, field: Field) -> Option<String> {
        match field {
            Field::Id => Some(self.id.clone()),
            Field::Type => Some(word(self.r#type)),
            Field::ConnectorId => Some(self.connector_id.clone()),
            Field::Status => Some(word(self.availability.status)),
            Field::StatusMessage => self.availability.message.clone(),
            Field::ReplacedBy => self.availability.replaced_by.clone(),
            Field::Visibility => Some(word(self.visibility)),
            Field::OrganizationId => self.organization.clone(),
            Field::CreatedBy => self.created_by.clone(),
            Field::CreatedAt => self.created_at.map(|time| time.to_string()),
            Field::UpdatedAt => self.updated_at.map(|time| time.to_string()),
            Field::Revision => None,
            _ => self.details.text(field),
        }
    }

    /// Returns the stored form of the file's availability. Owners may change a custom connector's, and so may a file.
    pub(crate) fn source_status(&self) -> Option<String> {
        (self.r#type != ConnectorType::Custom)
            .then(|| serde_json::json!(self.availability).to_string())
    }
}
