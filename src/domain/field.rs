//! The table of a connector's fields, with their names, kinds and uses.
//!
//! Invariant: each field has one row. The store's columns, an event's changed fields, the published form, digests,
//! GraphQL's fast path and a query's cost derive from it. Matches over fields are exhaustive.

use std::fmt;

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Iterable, ServerType,
};
use serde::Serialize;

/// A field of a connector. The revision must stay last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The unique id: `pcon_` and ASCII letters and digits.
    Id,
    /// The name for people.
    Name,
    /// Official, built by the platform, or custom.
    Type,
    /// The kind of connector, such as `github`; `custom_mcp` for every custom one.
    ConnectorId,
    /// Text of at most 2,000 characters, with line breaks.
    Description,
    /// An https URL.
    IconUrl,
    /// The purpose, which not every connector has.
    Category,
    /// A semantic version.
    Version,
    /// Whether the connector can be used.
    Status,
    /// A notice to users about the status.
    StatusMessage,
    /// The connector to use instead of a deprecated one. Stored and published as its id.
    ReplacedBy,
    /// The URL of the MCP server.
    ServerUrl,
    /// The protocol of the MCP server.
    ServerType,
    /// A JSON object of any keys.
    Metadata,
    /// The visibility, which decides who sees the connector.
    Visibility,
    /// The organization of a custom connector, hidden from others. Published as `organization`.
    OrganizationId,
    /// The creator of a custom connector, hidden outside its organization.
    CreatedBy,
    /// The time of creation, which a file may set.
    CreatedAt,
    /// The time of the last change, which a file may set.
    UpdatedAt,
    /// The revision: 1 for a new connector, raised by each change. Not published.
    Revision,
}

/// The form of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of usually at most a few hundred bytes.
    Text,
    /// Text of a few thousand bytes.
    LongText,
    /// A word: stored and published in lower case, and in capitals in GraphQL.
    Enum,
    /// A moment, stored as microseconds and published as RFC 3339 text.
    Time,
    /// JSON text.
    Json,
    /// A whole number.
    Integer,
    /// Text that only some viewers of the connector may read.
    Owner,
    /// The id of another connector, which GraphQL resolves.
    Connector,
}

/// The part of a connector to which a field belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// [`super::connector::Details`].
    Details,
    /// The visibility, which comes with the details of an input.
    Visibility,
    /// [`super::connector::Availability`].
    Availability,
    /// Values set at creation, which a file may set again.
    Origin,
    /// Values that the service maintains: the id, and the revision.
    Record,
}

/// A row of the table.
struct Row {
    graphql: &'static str,
    /// The key in the published object.
    published: Option<&'static str>,
    kind: Kind,
    part: Part,
}

const fn row(name: &'static str, kind: Kind, part: Part) -> Row {
    Row {
        graphql: name,
        published: Some(name),
        kind,
        part,
    }
}

impl Row {
    const fn published_as(self, key: Option<&'static str>) -> Self {
        Self {
            published: key,
            ..self
        }
    }
}

impl Field {
    /// All fields, in the order of an event's changed fields. A missing one does not compile.
    pub const ALL: [Self; Self::Revision as usize + 1] = [
        Self::Id,
        Self::Name,
        Self::Type,
        Self::ConnectorId,
        Self::Description,
        Self::IconUrl,
        Self::Category,
        Self::Version,
        Self::Status,
        Self::StatusMessage,
        Self::ReplacedBy,
        Self::ServerUrl,
        Self::ServerType,
        Self::Metadata,
        Self::Visibility,
        Self::OrganizationId,
        Self::CreatedBy,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::Revision,
    ];

    /// The fields of the published object, in order. The last four are this service's additions.
    pub(crate) const PUBLISHED: [Self; 19] = [
        Self::Id,
        Self::Name,
        Self::Type,
        Self::ConnectorId,
        Self::Description,
        Self::IconUrl,
        Self::Category,
        Self::Version,
        Self::Status,
        Self::ServerUrl,
        Self::ServerType,
        Self::Metadata,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::CreatedBy,
        Self::Visibility,
        Self::StatusMessage,
        Self::ReplacedBy,
        Self::OrganizationId,
    ];

    /// The fields that the policy reads.
    pub(crate) const OWNERSHIP: [Self; 4] = [
        Self::Type,
        Self::Visibility,
        Self::OrganizationId,
        Self::CreatedBy,
    ];

    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self {
            Self::Id => row("id", Kind::Text, Part::Record),
            Self::Name => row("name", Kind::Text, Part::Details),
            Self::Type => row("type", Kind::Enum, Part::Origin),
            Self::ConnectorId => row("connectorId", Kind::Text, Part::Origin),
            Self::Description => row("description", Kind::LongText, Part::Details),
            Self::IconUrl => row("iconUrl", Kind::Text, Part::Details),
            Self::Category => row("category", Kind::Enum, Part::Details),
            Self::Version => row("version", Kind::Text, Part::Details),
            Self::Status => row("status", Kind::Enum, Part::Availability),
            Self::StatusMessage => row("statusMessage", Kind::Text, Part::Availability),
            Self::ReplacedBy => row("replacedBy", Kind::Connector, Part::Availability),
            Self::ServerUrl => row("serverUrl", Kind::Text, Part::Details),
            Self::ServerType => row("serverType", Kind::Enum, Part::Details),
            Self::Metadata => row("metadata", Kind::Json, Part::Details),
            Self::Visibility => row("visibility", Kind::Enum, Part::Visibility),
            Self::OrganizationId => row("organizationId", Kind::Owner, Part::Origin).published_as(Some("organization")),
            Self::CreatedBy => row("createdBy", Kind::Owner, Part::Origin),
            Self::CreatedAt => row("createdAt", Kind::Time, Part::Origin),
            Self::UpdatedAt => row("updatedAt", Kind::Time, Part::Record),
            Self::Revision => row("revision", Kind::Integer, Part::Record).published_as(None),
        }
    }

    /// Returns the name in GraphQL, which changed fields and user errors use too.
    pub const fn graphql_name(self) -> &'static str {
        self.row().graphql
    }

    /// Returns the field with a name in GraphQL.
    pub(crate) fn from_graphql(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|field| field.graphql_name() == name)
    }

    /// Returns the key in the published object; none for a field outside it.
    pub const fn published_key(self) -> Option<&'static str> {
        self.row().published
    }

    /// Returns the kind of the value, which decides its encoding.
    pub const fn kind(self) -> Kind {
        self.row().kind
    }

    pub(crate) const fn part(self) -> Part {
        self.row().part
    }

    /// Returns the published words of an enum; empty for other kinds.
    pub(crate) fn words(self) -> Vec<String> {
        fn words<T: Iterable + Serialize>() -> Vec<String> {
            T::iter().map(word).collect()
        }
        match self {
            Self::Type => words::<ConnectorType>(),
            Self::Category => words::<ConnectorCategory>(),
            Self::Status => words::<ConnectorStatus>(),
            Self::ServerType => words::<ServerType>(),
            Self::Visibility => words::<ConnectorVisibility>(),
            _ => Vec::new(),
        }
    }

    /// Returns whether it is an input field of the mutations that create and update a connector.
    pub(crate) fn is_input(self) -> bool {
        matches!(self.part(), Part::Details | Part::Visibility)
    }

    /// Returns whether events list it whenever it changes. The time of the change is listed only if a file set it.
    pub(crate) fn is_in_events(self) -> bool {
        self.part() != Part::Record
    }
}

/// A field that an event may list: of a connector's row, or of its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedField {
    /// A field of the row.
    Of(Field),
    /// The outcome of the last check.
    Health,
    /// The tools that the server lists.
    Tools,
    /// The curated fields, with their files' values. Events store no values of it.
    CuratedFields,
}

impl ChangedField {
    /// Returns all of them; those of the row in the table's order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let named = |field: &Field| field.is_in_events() || *field == Field::UpdatedAt;
        let of_row = Field::ALL.into_iter().filter(named).map(Self::Of);
        of_row.chain([Self::Health, Self::Tools, Self::CuratedFields])
    }

    /// Returns the name in GraphQL, which the log stores.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Of(field) => field.graphql_name(),
            Self::Health => "health",
            Self::Tools => "tools",
            Self::CuratedFields => "curatedFields",
        }
    }

    /// Returns the field with a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|field| field.name() == name)
    }

    /// Returns the value of GraphQL's enum, such as `ICON_URL`.
    pub(crate) fn enum_value(self) -> String {
        let mut value = String::new();
        for letter in self.name().chars() {
            if letter.is_ascii_uppercase() {
                value.push('_');
            }
            value.push(letter.to_ascii_uppercase());
        }
        value
    }

    /// Returns the kind of its values.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Of(field) => field.kind(),
            Self::Health => Kind::Enum,
            Self::Tools | Self::CuratedFields => Kind::Json,
        }
    }
}

/// Returns the published word of an enum's value.
pub(crate) fn word(value: impl Serialize) -> String {
    struct Word<T>(T);

    impl<T: Serialize> fmt::Display for Word<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.serialize(f)
        }
    }

    Word(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lists_agree() {
        for (index, field) in Field::ALL.iter().copied().enumerate() {
            assert_eq!(field as usize, index, "{field:?} in ALL");
            assert_eq!(Field::from_graphql(field.graphql_name()), Some(field));
            let times = Field::PUBLISHED.iter().filter(|other| **other == field);
            let expected = usize::from(field.published_key().is_some());
            assert_eq!(times.count(), expected, "{field:?} in PUBLISHED");
            let is_enum = field.kind() == Kind::Enum;
            assert_eq!(!field.words().is_empty(), is_enum, "{field:?}");
        }
    }

    #[test]
    fn events_name_all_fields_that_change() {
        let names: Vec<_> = ChangedField::all().map(ChangedField::name).collect();
        for field in Field::ALL {
            let is_named = names.contains(&field.graphql_name());
            let follows = matches!(field, Field::Id | Field::Revision);
            assert_eq!(is_named, !follows, "{field:?}");
        }
        for field in ChangedField::all() {
            assert_eq!(ChangedField::from_name(field.name()), Some(field));
        }
        assert_eq!(ChangedField::Of(Field::IconUrl).enum_value(), "ICON_URL");
        assert_eq!(ChangedField::Health.enum_value(), "HEALTH");
    }
}
