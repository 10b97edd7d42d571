//! `connector_health`: the last check of a connector's server, and the time of the next one; one row for each
//! connector.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// The last check of a connector's server, and the schedule of the next one.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_health")]
pub struct Model {
    /// The `seq` of the connector.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The `id` of the connector, which breaks ties in orders by this table.
    pub id: String,
    /// The normalized address of its server for lookups: `HOST[:PORT]/PATH`, at most 600 bytes. Null without a server.
    pub address: Option<String>,
    /// The outcome of the last check. Null before the first one, and after a change of the connector's server.
    pub outcome: Option<Outcome>,
    /// The time of the first of the latest consecutive checks with this outcome. Null while the outcome is.
    pub outcome_since: Option<Timestamp>,
    /// The outcome in words, for people, without any of the server's text. Null while the outcome is.
    pub message: Option<String>,
    /// The start of the last check, in microseconds since 1970. Null while the outcome is.
    pub checked_at: Option<Timestamp>,
    /// Milliseconds until the server's description arrived. Null if it did not.
    pub latency_ms: Option<i64>,
    /// The transport that delivered the server's description. Null if none did.
    pub transport: Option<Transport>,
    /// The revision of MCP in use, such as `2025-11-25`. Null without a description.
    pub protocol_version: Option<String>,
    /// The server's own name, version, icons and other details, as JSON. Null if the server does not name itself.
    pub server_info: Option<String>,
    /// The settings of the extensions that the server declares: a JSON object. Null if it declares none, or more than
    /// the service stores.
    pub extensions: Option<String>,
    /// The issuers whose tokens the server accepts (RFC 9728): a JSON array of URLs. Null while the outcome is.
    pub authorization_servers: Option<String>,
    /// A digest of the stored tools. Null if they were never listed.
    pub tools_digest: Option<String>,
    /// The time at which the stored tools were listed. Null if they were never listed, or if an earlier version listed
    /// them before its last check.
    pub tools_checked_at: Option<Timestamp>,
    /// The time at which recent changes of the tools no longer count. Each change postpones it. Too many changes in a
    /// short time are not stored. Null if none counts.
    pub tools_settle_at: Option<Timestamp>,
    /// The microseconds for which the server's description stays valid, according to the server; at most a day. Null if
    /// the server does not say, or does not work.
    pub fresh_for: Option<i64>,
    /// The number of stored tools.
    pub tool_count: i64,
    /// The share of stored checks that found a working server, in millionths. Null while the outcome is.
    pub uptime: Option<i64>,
    /// The number of failed checks in a row.
    pub failures: i64,
    /// The time of the next check, in microseconds since 1970. Null if there is nothing to check.
    pub next_check_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The outcome of one inspection of an MCP server. The values are stable, because later outcomes are compared with
/// stored ones.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Outcome {
    /// The server speaks MCP without a sign-in.
    Open,
    /// The server requires a sign-in.
    AuthRequired,
    /// The server speaks MCP, but over another transport than its connector says.
    WrongTransport,
    /// A response is not MCP.
    NotMcp,
    /// There is no response, or the server says that it cannot serve.
    Unreachable,
    /// The server did not answer in time.
    Timeout,
    /// The service may not call this address.
    Blocked,
    /// There is nothing to call: a program that runs on the user's machine, or no address.
    NotCheckable,
}

/// The transport of a connection to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Transport {
    /// Streamable HTTP (MCP 2025-03-26 and later).
    StreamableHttp,
    /// HTTP with server-sent events (MCP 2024-11-05).
    Sse,
    /// A WebSocket, which MCP does not define.
    WebSocket,
}
