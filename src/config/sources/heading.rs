//! The headings of `--help`.

pub(in crate::config) const SERVICE: &str = "Service";
pub(in crate::config) const DATABASE: &str = "Database";
pub(in crate::config) const TOKENS: &str = "Tokens";
pub(in crate::config) const BROWSERS: &str = "Browsers";
pub(in crate::config) const CHANGES: &str = "Changes";
pub(in crate::config) const OUTBOUND: &str = "Connections to others";
pub(in crate::config) const SERVERS: &str = "MCP servers";
pub(in crate::config) const CHECKS: &str = "Checks of connectors";
pub(in crate::config) const REQUESTS: &str = "Limits of callers and requests";
pub(in crate::config) const OPERATIONS: &str = "GraphQL operations";
pub(in crate::config) const MEMORY: &str = "Memory";
pub(in crate::config) const OBSERVABILITY: &str = "Logs, metrics and traces";
