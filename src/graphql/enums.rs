//! The schema's enums, each the counterpart of one in the store or the domain.

use async_graphql::{Enum, resolver_utils::EnumType};

use crate::{
    commands::connector::Others,
    domain::viewer::{CATALOG_ADMIN, Denial},
};

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
    /// Code, its repositories, its issues and its operation. Published as `development`.
    Development,
    /// Messages and meetings. Published as `communication`.
    Communication,
    /// Design tools. Published as `design`.
    Design,
    /// Fits no other category. Connectors of users have it by default. Published as `custom`.
    Custom,
}

/// The source of an imported connector's category. People take precedence over the file, the file over the import, and
/// the import over a rule. A file of custom connectors is their whole state, so its categories always count. Open to
/// additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::CategorySource")]
pub(in crate::graphql) enum CategorySource {
    /// A rule of the import.
    Rule,
    /// The import, for all connectors without one.
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
    /// Use `replacedBy` instead, if there is one. Published as `deprecated`.
    Deprecated,
    /// Unavailable for a while. Published as `maintenance`.
    Maintenance,
}

/// The protocol of an MCP server. Open to additions.
#[derive(Enum, Clone, Copy, Default, PartialEq, Eq)]
#[graphql(remote = "entity::ServerType")]
pub(in crate::graphql) enum ServerType {
    /// MCP's HTTP transports. Published as `http`.
    #[default]
    Http,
    /// A WebSocket. Published as `websocket`.
    Websocket,
    /// Standard input and output of a program on the user's own machine. Published as `stdio`.
    Stdio,
}

/// The users who see a connector. Open to additions.
#[derive(Enum, Clone, Copy, Default, PartialEq, Eq)]
#[graphql(remote = "entity::ConnectorVisibility")]
pub(in crate::graphql) enum ConnectorVisibility {
    /// Its creator, and administrators of the organization.
    #[default]
    Private,
    /// All members of its organization.
    Organization,
    /// All callers. Official and platform-hosted connectors are public.
    Public,
}

/// A field that orders a list of connectors. Every order ends with `id`, so that it is total. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::order::OrderField")]
pub(in crate::graphql) enum PersonalConnectorOrderField {
    /// The name, without regard to case and accents. Ascending unless a direction is given.
    Name,
    /// The time of creation. Descending unless a direction is given.
    CreatedAt,
    /// The time of the last change. Descending unless a direction is given.
    UpdatedAt,
    /// The relevance to the search: the exact name, a name that begins with the search, words of the name, the
    /// connectorId, the description, the tools; then the name. Best first, takes no direction, and needs a `search`.
    Relevance,
    /// The status: ACTIVE, DEPRECATED, MAINTENANCE, then the name. Ascending unless a direction is given.
    Status,
    /// The type: `OFFICIAL`, `AITRONOS_BUILT`, `CUSTOM`, then the name. Ascending unless a direction is given.
    Type,
    /// The category: PRODUCTIVITY, DEVELOPMENT, COMMUNICATION, DESIGN, CUSTOM, then the name. Ascending unless a
    /// direction is given. Connectors without one are last in both directions.
    Category,
    /// The outcome of the last check of the MCP server: `OPEN`, `AUTH_REQUIRED`, `WRONG_TRANSPORT`, `NOT_MCP`,
    /// `UNREACHABLE`, `TIMEOUT`, `BLOCKED`, `NOT_CHECKABLE`, as in the facet. A connector without a server counts as
    /// `NOT_CHECKABLE`. Ascending unless a direction is given. Connectors without a first check are last in both
    /// directions. A connector that is checked between two pages may be repeated or missed.
    Outcome,
    /// The time of the last check of the MCP server. Descending unless a direction is given. Connectors without a check
    /// are last in both directions. A connector that is checked between two pages may be repeated or missed.
    CheckedAt,
    /// The latency of the last check of the MCP server. Ascending unless a direction is given. Connectors without one
    /// are last in both directions. A connector that is checked between two pages may be repeated or missed.
    Latency,
    /// The uptime over all stored checks, as of the last one; six digits count. Descending unless a direction is given.
    /// Connectors without a check are last in both directions. A connector that is checked between two pages may be
    /// repeated or missed.
    Uptime,
    /// The number of stored tools of the MCP server. Descending unless a direction is given. A connector that is
    /// checked between two pages may be repeated or missed.
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

/// The reason that you may not do something. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(in crate::graphql) enum DenialReason {
    /// A bearer token is needed.
    LoginRequired,
    /// The token lacks the scope `connectors:write` or `connectors:admin`.
    ScopeRequired,
    /// The token lacks the scope `catalog:admin`, which connectors that are not custom need.
    CatalogScopeRequired,
    /// The connector is another user's.
    InsufficientAccess,
    /// The connector is not custom.
    NotCustom,
    /// The connector is custom: its own values are changed instead.
    IsCustom,
    /// The connector belongs to no organization, so it is always PRIVATE.
    NoOrganization,
    /// You have the most custom connectors allowed.
    LimitReached,
}

impl From<Denial> for DenialReason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unauthenticated => Self::LoginRequired,
            Denial::Scope(CATALOG_ADMIN) | Denial::ScopeOfType(CATALOG_ADMIN) => {
                Self::CatalogScopeRequired
            }
            Denial::Scope(_) | Denial::ScopeOfType(_) => Self::ScopeRequired,
            Denial::Hidden | Denial::NotYours => Self::InsufficientAccess,
            Denial::NotCustom => Self::NotCustom,
            Denial::IsCustom => Self::IsCustom,
            Denial::NoOrganization => Self::NoOrganization,
            Denial::LimitReached => Self::LimitReached,
        }
    }
}

/// Returns the reasons of a decision; none if it allows the action.
pub(in crate::graphql) fn reasons(decision: Result<(), Denial>) -> List<DenialReason> {
    decision.err().map(Into::into).into_iter().collect()
}

/// Returns the name of an enum's value.
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
    /// A value violates its field's rule.
    Invalid,
    /// A value exceeds its field's length.
    TooLong,
    /// Another connector has this name already.
    Taken,
    /// There is no such connector that you see.
    NotFound,
    /// You see the connector, but may not make this change.
    Forbidden,
    /// The connector changed since you last saw it, or the key was used with another input.
    Conflict,
    /// You have the most allowed.
    LimitExceeded,
    /// The same was done a moment ago.
    TooSoon,
}

/// The result of a mutation for one of many connectors. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(in crate::graphql) enum BulkResultOutcome {
    /// It is changed, deleted or queued, or it was so already.
    Done,
    /// It can be changed, but nothing is written with `validateOnly`.
    Valid,
    /// It cannot be changed: `userErrors` has the reason.
    Failed,
    /// It could be changed, but nothing is written, because another connector failed and the policy is `REJECT_ALL`.
    NotWritten,
}

impl From<Others> for BulkResultOutcome {
    fn from(others: Others) -> Self {
        match others {
            Others::Done => Self::Done,
            Others::Valid => Self::Valid,
            Others::NotWritten => Self::NotWritten,
        }
    }
}

/// The treatment of the other connectors when one cannot be changed. Open to additions.
#[derive(Enum, Clone, Copy, Default, PartialEq, Eq)]
#[graphql(remote = "crate::commands::connector::ErrorPolicy")]
pub(in crate::graphql) enum BulkErrorPolicy {
    /// They are changed.
    #[default]
    RejectFailed,
    /// They are not changed either.
    RejectAll,
}
