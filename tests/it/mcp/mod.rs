//! The MCP client, on servers of every kind.

mod hostile;
mod reach;
mod real;
mod transports;
