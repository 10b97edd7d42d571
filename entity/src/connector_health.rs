//! `connector_health`: what the last check of a connector's server found, and when the next one is due; one row for each
//! connector that can be checked or was.

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
    /// The `id` of the connector, for ties in orders by what is here.
    pub id: String,
    /// The address of its server, by which it is found: `HOST[:PORT]/PATH`, at most 600 bytes. Null without a server.
    pub address: Option<String>,
    /// The state that the server was found in. Null until it was checked, and again when the connector gets another server.
    pub outcome: Option<Outcome>,
    /// When the first check in a row found this outcome. Null while the outcome is.
    pub outcome_since: Option<Timestamp>,
    /// The outcome in words, for people; nothing of it is the server's own. Null while the outcome is.
    pub message: Option<String>,
    /// When the last check began, in microseconds since 1970. Null while the outcome is.
    pub checked_at: Option<Timestamp>,
    /// Milliseconds until the server had said what it is. Null if it did not.
    pub latency_ms: Option<i64>,
    /// The transport by which the server said what it is. Null if it did not.
    pub transport: Option<Transport>,
    /// The revision of MCP that is spoken, such as `2025-11-25`. Null if the server did not say what it is.
    pub protocol_version: Option<String>,
    /// The name, version, icons and the like that the server gives itself, as JSON. Null if it does not name itself.
    pub server_info: Option<String>,
    /// The settings of the extensions that the server declares: a JSON object. Null if it declares none, or more than are kept.
    pub extensions: Option<String>,
    /// The issuers that the server takes tokens of (RFC 9728): a JSON array of URLs. Null while the outcome is.
    pub authorization_servers: Option<String>,
    /// Stands for the tools that are kept. Null if they were never listed.
    pub tools_digest: Option<String>,
    /// When the tools that are kept were listed. Null also if an earlier version listed them before its last check.
    pub tools_checked_at: Option<Timestamp>,
    /// When changes of the tools count as forgotten: each adds to it, and too many in a short time are not kept. Null if none
    /// count.
    pub tools_settle_at: Option<Timestamp>,
    /// Microseconds that the server stays as it is, as it says; at most a day. Null if it does not say, or does not work.
    pub fresh_for: Option<i64>,
    /// How many tools are kept.
    pub tool_count: i64,
    /// The part of the kept checks that found a server that works, in millionths. Null while the outcome is.
    pub uptime: Option<i64>,
    /// Checks in a row that found nothing that works.
    pub failures: i64,
    /// When the next check is due, in microseconds since 1970. Null if there is nothing to check.
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
    /// It speaks MCP, to anybody.
    Open,
    /// It is there, and wants a sign-in first.
    AuthRequired,
    /// It speaks MCP, but by another transport than it is said to.
    WrongTransport,
    /// Something answers that does not speak MCP.
    NotMcp,
    /// Nothing answers, or what answers says that it cannot serve.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// The service may not call it.
    Blocked,
    /// There is nothing to call: a program that is run where it is used, or no address.
    NotCheckable,
}

/// How a server was spoken to.
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
