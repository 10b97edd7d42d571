//! The schema's enums, each the twin of one that the store or the domain has.

use async_graphql::Enum;

/// Who hosts a connector. Open to additions.
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

/// What a connector is for. Open to additions.
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
    /// What users bring, unless they say otherwise. Published as `custom`.
    Custom,
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

/// Who sees a connector. Open to additions.
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

/// What a list of connectors can be ordered by. Every order ends in `id`, so that it is total.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::order::OrderField")]
pub(in crate::graphql) enum PersonalConnectorOrderField {
    /// By name, without regard to case and accents. Ascending unless a direction is given.
    Name,
    /// By time of creation. Descending unless a direction is given.
    CreatedAt,
    /// By time of the last change. Descending unless a direction is given.
    UpdatedAt,
    /// By how well the search matches: the exact name, words of the name, the connectorId, the description, the tools; then
    /// by name. Best first, takes no direction, and needs a `search`.
    Relevance,
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

/// What is wrong with a mutation's input. Stable, and open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::error::UserErrorCode")]
pub(in crate::graphql) enum UserErrorCode {
    /// A required text is empty.
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
}
