//! Changes of stored connectors.

use entity::ConnectorVisibility;

use super::{Availability, Curation, Details, Entry, Import};

/// A change of a stored connector, made of valid parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A change by a user.
    Details(Details, ConnectorVisibility),
    /// A change by a user.
    Availability(Availability),
    /// Values over those of a file.
    Curation(Curation),
    /// All fields of a file's entry.
    Import(Import),
    /// The replacement that was missing when the entry was loaded.
    Link(Entry, String),
}
