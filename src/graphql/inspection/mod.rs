//! Inspections of MCP servers: their results, and `inspectServer`.

mod mutation;
mod object;
mod tools;

pub(super) use mutation::{InspectionMutation, enter};
pub(super) use object::{Inspection, InspectionOutcome, McpServerInfo, McpTransport};
pub(super) use tools::McpToolConnection;
