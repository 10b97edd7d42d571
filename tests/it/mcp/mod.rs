//! The MCP client, on servers of every kind.

mod codings;
mod connections;
mod hostile;
mod names;
mod outbound;
mod parts;
mod reach;
mod real;
mod streams;
mod transports;
mod verdicts;
