//! `connector_health`: what the last check of a connector's server found, and when the next one is due; one row for each
//! connector that can be checked or was.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_health")]
pub struct Model {
    /// The connector's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// None until the server was checked, as the connector has it now.
    pub outcome: Option<Outcome>,
    pub message: Option<String>,
    pub checked_at: Option<Timestamp>,
    pub latency_ms: Option<i64>,
    pub transport: Option<Transport>,
    pub protocol_version: Option<String>,
    /// What the server says it is, as JSON.
    pub server_info: Option<String>,
    /// The settings of the extensions that the server declares: a JSON object.
    pub extensions: Option<String>,
    /// A JSON array of URLs.
    pub authorization_servers: Option<String>,
    /// Stands for the tools that are kept; none where they were never listed.
    pub tools_digest: Option<String>,
    /// When the tools that are kept were listed. None also if an earlier version listed them before its last check.
    pub tools_checked_at: Option<Timestamp>,
    /// When changes of the tools count as forgotten: each adds to it, and too many in a short time are not kept. None where none
    /// count.
    pub tools_settle_at: Option<Timestamp>,
    /// Microseconds that the server stays as it is, as it says. None if it does not say.
    pub fresh_for: Option<i64>,
    /// Checks in a row that found nothing that works.
    pub failures: i64,
    /// None where there is nothing to check.
    pub next_check_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a look at an MCP server came to. Stable: later outcomes are compared with earlier ones.
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
    WebSocket,
}
