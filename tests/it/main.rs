//! The service as its users meet it: the real router over a real socket, on real databases.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]
#![expect(unreachable_pub, reason = "nothing outside reaches a test")]

mod answers;
mod backup;
mod bulk;
mod caching;
mod catalogue_file;
mod change;
mod check;
mod cli;
mod clocks;
mod completion;
mod concurrency;
mod connections;
mod counts;
mod create;
mod crowd;
mod events;
mod export;
mod feed;
mod filters;
mod graphiql;
mod harness;
mod health;
mod hostile;
mod http;
mod idempotency;
mod import;
mod inspect;
mod jwks;
mod leaks;
mod limits;
mod listing;
mod live;
mod mcp;
mod model;
mod monitor;
mod negotiation;
mod operations;
mod outage;
mod paging;
mod persisted;
mod plans;
mod policy;
mod process;
mod rate;
mod read_only;
mod readme;
mod replicas;
mod rows;
mod schema;
mod search;
mod secrets;
mod smoke;
mod sockets;
mod start_errors;
mod statements;
mod status;
mod storm;
mod subscriber;
mod timeouts;
mod torture;
mod traces;
mod update;
mod variables;
mod world;
mod written;
