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

use personal_connectors::domain::inspection::Transport;

/// The message of a server from which everything was learned over a transport.
fn open_message(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => {
            "The server speaks MCP. It speaks HTTP+SSE, which MCP has deprecated: streamable HTTP takes its place."
        }
        _ => "The server speaks MCP.",
    }
}
