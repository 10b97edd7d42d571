//! The MCP client, tested with all kinds of servers.

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

/// Returns the message of a complete inspection over a transport.
fn open_message(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => {
            "The server speaks MCP. It speaks HTTP+SSE, which MCP has deprecated in favour of streamable HTTP."
        }
        _ => "The server speaks MCP.",
    }
}
