//! The personal-connectors service: a catalogue of MCP connectors behind GraphQL.
//!
//! `docs/develop/code.md` describes these modules and the import rules.

pub mod answer_budget;
pub mod app;
pub(crate) mod buckets;
pub(crate) mod byte_budget;
pub mod clock;
pub mod commands;
pub mod config;
pub(crate) mod content_decoding;
pub mod domain;
pub mod error;
pub(crate) mod fair_budget;
pub mod graphql;
pub mod http;
pub mod interchange;
pub mod mcp;
pub mod monitor;
pub mod observability;
pub mod outbound;
pub mod pipeline;
mod postgres;
pub mod store;
pub mod terminal;
