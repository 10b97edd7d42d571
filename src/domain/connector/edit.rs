//! Changes of stored connectors.

use entity::ConnectorVisibility;

use super::{Availability, Curation, Details, Entry, Import};

/// A change of a stored connector, of parsed parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Written by hand.
    Details(Details, ConnectorVisibility),
    /// Written by hand.
    Availability(Availability),
    /// Set over what a file says.
    Curation(Curation),
    /// All that a file brings.
    Import(Import),
    /// The replacement that an entry could not have when it was loaded.
    Link(Entry, String),
}
