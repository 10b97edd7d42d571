//! The fields of a connector, and the rules of changing them.
//!
//! Invariant: a [`Draft`] is unchecked input, and [`Details`] are valid by all rules. The store accepts only the
//! latter.

mod change;
mod curation;
mod edit;
mod entry;
mod patch;

pub use change::Availability;
pub(crate) use change::{REPLACED_BY, REPLACEMENTS, StatusChange};
pub use curation::Curation;
pub(crate) use curation::{FileDetails, FileValue};
pub use edit::Edit;
pub use entry::{Entry, Extent, Import};
pub use patch::Patch;

use entity::{ConnectorCategory, ConnectorType, ConnectorVisibility, Iterable, ServerType};
use serde::Serialize;

use crate::error::{UserError, UserErrorCode};

use super::{
    field::{Field, word},
    field_values::{self, Name},
};

/// The visibility of imported custom connectors without one. Exports leave it out.
pub const IMPORTED: ConnectorVisibility = ConnectorVisibility::Organization;

/// A connector's descriptive fields, those of [`Part::Details`](super::field::Part::Details). The limits apply to
/// [`Details`]; a [`Draft`] may have any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described<N> {
    /// The name for people: 1 to 100 characters.
    pub name: N,
    /// The description, of at most 2,000 characters, with line breaks.
    pub description: Option<String>,
    /// An https URL, at most 2,048 characters.
    pub icon_url: Option<String>,
    /// The purpose; none if it was not given.
    pub category: Option<ConnectorCategory>,
    /// A semantic version (Semantic Versioning 2.0.0), at most 100 characters.
    pub version: Option<String>,
    /// The http, https, ws or wss URL of the MCP server, at most 2,048 characters. A custom connector has one, unless
    /// its server is a STDIO server.
    pub server_url: Option<String>,
    /// The protocol of the server. None if it is not known: a check then starts with the transports of the URL's
    /// scheme.
    pub server_type: Option<ServerType>,
    /// A JSON object as compact text, at most 16 KiB and 16 levels deep.
    pub metadata: Option<String>,
}

/// Unchecked descriptive fields.
pub type Draft = Described<String>;

/// Descriptive fields that are valid, alone and together.
pub type Details = Described<Name>;

/// A requested change of a custom connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: Patch<String>,
    pub(crate) description: Patch<String>,
    pub(crate) icon_url: Patch<String>,
    pub(crate) category: Patch<ConnectorCategory>,
    pub(crate) version: Patch<String>,
    pub(crate) server_url: Patch<String>,
    pub(crate) server_type: Patch<ServerType>,
    pub(crate) metadata: Patch<String>,
    pub(crate) visibility: Patch<ConnectorVisibility>,
}

/// A source of a draft's fields.
pub(crate) trait DraftSource {
    fn text(&mut self, field: Field) -> Option<String>;
    fn word<T: Iterable + Serialize>(&mut self, field: Field) -> Option<T>;
    fn json(&mut self, field: Field) -> Option<String>;
}

/// A new custom connector that is ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewConnector {
    pub(crate) id: String,
    pub(crate) details: Details,
    pub(crate) visibility: ConnectorVisibility,
    pub(crate) organization: Option<String>,
    pub(crate) created_by: String,
}

/// The scope in which a custom connector's name must be unique, and the name's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NameClaim {
    pub(crate) organization: Option<String>,
    pub(crate) among: NamesOf,
    pub(crate) name_key: String,
}

/// The connectors among which a name must be unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NamesOf {
    Everybody,
    /// The creator's PRIVATE ones.
    Creator(Option<String>),
}

impl NameClaim {
    pub(crate) fn new(
        visibility: ConnectorVisibility,
        organization: Option<&str>,
        created_by: Option<&str>,
        name_key: &str,
    ) -> Self {
        Self {
            organization: organization.map(ToOwned::to_owned),
            among: match visibility {
                ConnectorVisibility::Private => NamesOf::Creator(created_by.map(ToOwned::to_owned)),
                _ => NamesOf::Everybody,
            },
            name_key: name_key.to_owned(),
        }
    }
}

/// Collects all errors of an input, so that a user can correct them together.
#[derive(Debug, Default)]
pub struct Errors(pub(crate) Vec<UserError>);

impl Errors {
    pub(crate) fn take<T>(&mut self, parsed: Result<T, UserError>) -> Option<T> {
        parsed.map_err(|error| self.0.push(error)).ok()
    }

    pub(crate) fn push(
        &mut self,
        code: UserErrorCode,
        field: &'static str,
        message: impl Into<String>,
    ) {
        self.0.push(UserError::new(code, field, message));
    }
}

impl Draft {
    pub(crate) fn read(from: &mut impl DraftSource) -> Self {
        Self {
            name: from.text(Field::Name).unwrap_or_default(),
            description: from.text(Field::Description),
            icon_url: from.text(Field::IconUrl),
            category: from.word(Field::Category),
            version: from.text(Field::Version),
            server_url: from.text(Field::ServerUrl),
            server_type: from.word(Field::ServerType),
            metadata: from.json(Field::Metadata),
        }
    }

    /// Parses all fields and records every error. Returns the details if there was none. Returns the name whenever it
    /// is valid, so that its uniqueness can be checked beside other errors.
    pub fn parse(
        &self,
        r#type: ConnectorType,
        errors: &mut Errors,
    ) -> (Option<Details>, Option<Name>) {
        let before = errors.0.len();
        let name = errors.take(field_values::name(&self.name));
        let server_url = match &self.server_url {
            Some(url) => errors.take(field_values::server_url(url, self.server_type)),
            None if r#type == ConnectorType::Custom
                && self.server_type != Some(ServerType::Stdio) =>
            {
                let clause = "must be given unless the server type is STDIO";
                errors.take(Err(UserError::new(
                    UserErrorCode::Blank,
                    "serverUrl",
                    clause,
                )))
            }
            None => None,
        };
        let mut optional =
            |value: &Option<String>, parse: fn(&str) -> Result<String, UserError>| {
                value.as_deref().and_then(|value| errors.take(parse(value)))
            };
        let description = optional(&self.description, field_values::description);
        let icon_url = optional(&self.icon_url, field_values::icon_url);
        let version = optional(&self.version, field_values::version);
        let metadata = optional(&self.metadata, field_values::metadata);
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

impl<N: AsRef<str>> Described<N> {
    /// Returns a descriptive field as text, and none for other fields: text unchanged, an enum's published word, or
    /// JSON.
    pub(crate) fn text(&self, field: Field) -> Option<String> {
        match field {
            Field::Name => Some(self.name.as_ref().to_owned()),
            Field::Description => self.description.clone(),
            Field::IconUrl => self.icon_url.clone(),
            Field::Category => self.category.map(word),
            Field::Version => self.version.clone(),
            Field::ServerUrl => self.server_url.clone(),
            Field::ServerType => self.server_type.map(word),
            Field::Metadata => self.metadata.clone(),
            Field::Id
            | Field::Type
            | Field::ConnectorId
            | Field::Status
            | Field::StatusMessage
            | Field::ReplacedBy
            | Field::Visibility
            | Field::OrganizationId
            | Field::CreatedBy
            | Field::CreatedAt
            | Field::UpdatedAt
            | Field::Revision => None,
        }
    }
}

impl Details {
    /// Merges these details of a server that is identified by name. The present name stays, and so do absent fields,
    /// except the server's URL and type.
    #[must_use]
    pub(crate) fn over(self, present: Draft) -> Self {
        Self {
            name: field_values::name(&present.name).unwrap_or(self.name),
            description: self.description.or(present.description),
            icon_url: self.icon_url.or(present.icon_url),
            category: self.category.or(present.category),
            version: self.version.or(present.version),
            server_url: self.server_url,
            server_type: self.server_type,
            metadata: self.metadata.or(present.metadata),
        }
    }
}

impl Change {
    /// Applies the change to the present draft and visibility. Records an error for each required field that it would
    /// clear.
    pub(crate) fn apply(
        &self,
        present: &Draft,
        visibility: ConnectorVisibility,
        errors: &mut Errors,
    ) -> (Draft, ConnectorVisibility) {
        let mut required = |field: &'static str, cleared: bool| {
            if cleared {
                errors.take::<()>(Err(field_values::invalid(field, "must not be null")));
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

/// Checks that a connector without an organization is PRIVATE.
pub(crate) fn check_visibility(
    visibility: ConnectorVisibility,
    organization: Option<&str>,
    errors: &mut Errors,
) {
    if visibility != ConnectorVisibility::Private && organization.is_none() {
        errors.push(
            UserErrorCode::Invalid,
            "visibility",
            "must be PRIVATE where there is no organization",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::field::Part;

    /// Gives each field a distinct value.
    struct Distinct;

    impl DraftSource for Distinct {
        fn text(&mut self, field: Field) -> Option<String> {
            Some(field.graphql_name().to_owned())
        }

        fn word<T: Iterable + Serialize>(&mut self, _: Field) -> Option<T> {
            T::iter().last()
        }

        fn json(&mut self, field: Field) -> Option<String> {
            self.text(field)
        }
    }

    #[test]
    fn each_descriptive_field_is_read_and_written() {
        let draft = Draft::read(&mut Distinct);
        for field in Field::ALL.iter().copied() {
            let expected = if field.part() == Part::Details {
                let word = field.words().pop();
                word.or_else(|| Distinct.text(field))
            } else {
                None
            };
            assert_eq!(draft.text(field), expected, "{field:?}");
        }
    }
}
