//! Connectors as a file brings them.

use entity::{CategorySource, ConnectorSource, ConnectorType, ConnectorVisibility, Timestamp};

use crate::domain::field::{Field, word};

use super::{Availability, Details};

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
    /// `pcon_` and ASCII letters and digits, at most 64 characters in all.
    pub id: String,
    /// The type that a published object gives. Servers of a registry are official, those of a client are custom.
    pub r#type: ConnectorType,
    /// The kind of connector, such as `github`; `custom_mcp` for every custom one.
    pub connector_id: String,
    /// The name, the server and the other descriptive fields.
    pub details: Details,
    /// The source of the category. `File` without a category says that there is none. None says nothing of it: the category that
    /// is there stays.
    pub category_source: Option<CategorySource>,
    /// The status, message and replacement that the file gives.
    pub availability: Availability,
    /// Public unless the connector is custom.
    pub visibility: ConnectorVisibility,
    /// The organization of a custom connector. None for the other types, and if the file gives none.
    pub organization: Option<String>,
    /// The id of the user who created a custom connector. None for the other types, and if the file gives none.
    pub created_by: Option<String>,
    /// None: the moment it is first loaded.
    pub created_at: Option<Timestamp>,
    /// None: the moment it is loaded.
    pub updated_at: Option<Timestamp>,
    /// Digest of all of the above as the file says it.
    pub hash: String,
    /// How much the entry changes of a connector that is there already.
    pub extent: Extent,
}

/// An entry as it is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The connector as its file brings it.
    pub entry: Entry,
    /// The source that the row gets: the catalogue file, or the `import` command.
    pub source: ConnectorSource,
    /// The availability that the connector gets: an administrator's may replace the entry's.
    pub availability: Availability,
    /// The connector is not all that the entry brings, so that the next run brings it again.
    pub is_partial: bool,
}

impl Entry {
    /// A field as text; none for those that a file does not bring. Times are RFC 3339.
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

    /// The file's word on the availability, as it is kept. A custom connector's is its owners' to change, and a file's too.
    pub(crate) fn source_status(&self) -> Option<String> {
        (self.r#type != ConnectorType::Custom)
            .then(|| serde_json::json!(self.availability).to_string())
    }
}
