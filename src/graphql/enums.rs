//! The schema's enums, each the twin of one that the store or the domain has.

use async_graphql::{Enum, resolver_utils::EnumType};

use crate::domain::viewer::Denial;

use super::list::List;

/// The host of a connector. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::ConnectorType")]
pub(in crate::graphql) enum ConnectorType {
    /// Hosted by the service's vendor, such as GitHub or Figma. Published as `official`.
    Official,
    /// Hosted and maintained by the platform, such as ClickUp, Jira or Microsoft Teams. Published as `aitronos_built`.
    AitronosBuilt,
    /// An MCP server that a user brought. Published as `custom`.
    Custom,
}

/// The purpose of a connector. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::ConnectorCategory")]
pub(in crate::graphql) enum ConnectorCategory {
    /// Tasks, documents, calendars. Published as `productivity`.
    Productivity,
    /// Code and what surrounds it. Published as `development`.
    Development,
    /// Messages and meetings. Published as `communication`.
    Communication,
    /// Design tools. Published as `design`.
    Design,
    /// Fits no other category. What users bring has it, unless they choose another. Published as `custom`.
    Custom,
}

/// The source of an imported connector's category. People count more than the file, the file more than the import, and the
/// import more than a rule. The file of custom connectors is their whole state, and its categories count always. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::CategorySource")]
pub(in crate::graphql) enum CategorySource {
    /// A rule of the import.
    Rule,
    /// The import, for all connectors that gave none.
    Given,
    /// The file itself.
    File,
    /// People: an administrator of the catalogue, or those who may change a custom connector.
    Person,
}

/// Whether a connector can be used. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::ConnectorStatus")]
pub(in crate::graphql) enum ConnectorStatus {
    /// Available. Published as `active`.
    Active,
    /// Use another one instead: `replacedBy`, where there is one. Published as `deprecated`.
    Deprecated,
    /// Unavailable for a while. Published as `maintenance`.
    Maintenance,
}

/// The protocol by which an MCP server is spoken to. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::ServerType")]
pub(in crate::graphql) enum ServerType {
    /// MCP's HTTP transports. Published as `http`.
    Http,
    /// A WebSocket. Published as `websocket`.
    Websocket,
    /// Standard input and output of a program on the user's own machine. Published as `stdio`.
    Stdio,
}

/// The users who see a connector. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::ConnectorVisibility")]
pub(in crate::graphql) enum ConnectorVisibility {
    /// Its creator, and administrators of the organization.
    Private,
    /// Everybody in its organization.
    Organization,
    /// Everybody. Official and platform-hosted connectors are public.
    Public,
}

/// A field that orders a list of connectors. Every order ends in `id`, so that it is total. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::order::OrderField")]
pub(in crate::graphql) enum PersonalConnectorOrderField {
    /// The name, without regard to case and accents. Ascending unless a direction is given.
    Name,
    /// The time of creation. Descending unless a direction is given.
    CreatedAt,
    /// The time of the last change. Descending unless a direction is given.
    UpdatedAt,
    /// The relevance to the search: the exact name, words of the name, the connectorId, the description, the tools;
    /// then the name. Best first, takes no direction, and needs a `search`.
    Relevance,
    /// The status: ACTIVE, DEPRECATED, MAINTENANCE, then the name. Ascending unless a direction is given.
    Status,
    /// The type: `OFFICIAL`, `AITRONOS_BUILT`, `CUSTOM`, then the name. Ascending unless a direction is given.
    Type,
    /// The category: PRODUCTIVITY, DEVELOPMENT, COMMUNICATION, DESIGN, CUSTOM, then the name. Ascending unless a direction is given.
    /// Connectors without one are last in both directions.
    Category,
    /// The outcome of the last check of the MCP server: `OPEN`, `AUTH_REQUIRED`, `WRONG_TRANSPORT`, `NOT_MCP`, `UNREACHABLE`, `TIMEOUT`,
    /// `BLOCKED`, `NOT_CHECKABLE`, as in the facet. A connector without a server counts as `NOT_CHECKABLE`. Ascending unless a direction
    /// is given. Connectors whose first check is still to come are last in both directions. A connector that is checked between two
    /// pages may be repeated or passed over.
    Outcome,
    /// The time of the last check of the MCP server. Descending unless a direction is given. Connectors that were not checked are
    /// last in both directions. A connector that is checked between two pages may be repeated or passed over.
    CheckedAt,
    /// The latency of the last check of the MCP server. Ascending unless a direction is given. Connectors without one are last in
    /// both directions. A connector that is checked between two pages may be repeated or passed over.
    Latency,
    /// The uptime over all checks that are kept, as of the last one; six digits count. Descending unless a direction is given.
    /// Connectors that were not checked are last in both directions. A connector that is checked between two pages may be repeated
    /// or passed over.
    Uptime,
    /// The number of tools that are kept of the MCP server. Descending unless a direction is given. A connector that is checked
    /// between two pages may be repeated or passed over.
    ToolCount,
}

/// The direction of an order.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::order::Direction")]
pub(in crate::graphql) enum OrderDirection {
    /// Smallest, or earliest, first.
    Asc,
    /// Largest, or latest, first.
    Desc,
}

/// Why you may not do something. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(in crate::graphql) enum DenialReason {
    /// A bearer token is needed.
    LoginRequired,
    /// The token lacks the scope.
    ScopeRequired,
    /// The connector is another user's, or of a type that your scopes are not for.
    InsufficientAccess,
    /// The connector is not custom.
    NotCustom,
    /// The connector belongs to no organization, and is only ever PRIVATE.
    NoOrganization,
    /// You have as many custom connectors as there may be.
    LimitReached,
}

impl From<Denial> for DenialReason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unauthenticated => Self::LoginRequired,
            Denial::Scope(_) => Self::ScopeRequired,
            Denial::Hidden | Denial::NotYours => Self::InsufficientAccess,
            Denial::NotCustom => Self::NotCustom,
            Denial::NoOrganization => Self::NoOrganization,
            Denial::LimitReached => Self::LimitReached,
        }
    }
}

/// The reasons of a decision; none where it allows.
pub(in crate::graphql) fn reasons(decision: Result<(), Denial>) -> List<DenialReason> {
    decision.err().map(Into::into).into_iter().collect()
}

/// The name of an enum's value.
pub(in crate::graphql) fn name<V: EnumType>(value: V) -> &'static str {
    let mut items = V::items().iter();
    let item = items.find(|item| item.value == value);
    item.map_or("", |item| item.name)
}

/// The kind of error in a mutation's input. Stable, and open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::error::UserErrorCode")]
pub(in crate::graphql) enum UserErrorCode {
    /// A required text is empty or missing.
    Blank,
    /// A value breaks its field's rule.
    Invalid,
    /// A value is longer than its field takes.
    TooLong,
    /// Another connector has this name already.
    Taken,
    /// There is no such connector, or none that you see.
    NotFound,
    /// You see it, but it is not yours to change like this.
    Forbidden,
    /// It changed since you last saw it, or a key was used for something else.
    Conflict,
    /// You have as many as there may be.
    LimitExceeded,
    /// It was done a moment ago.
    TooSoon,
}

/// Whether the other connectors are changed where one cannot be. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::commands::connector::ErrorPolicy")]
pub(in crate::graphql) enum BulkErrorPolicy {
    /// They are changed.
    RejectFailed,
    /// They are not changed either.
    RejectAll,
}
