//! `PersonalConnector`: its type, its lists, its queries and its mutations.

mod bulk;
mod connection;
mod direct;
mod facets;
mod fast_path;
mod health;
mod inputs;
mod loader;
mod mutation;
mod object;
mod packages;
mod payloads;
mod query;
mod search;

pub(crate) use direct::{DirectQuery, DirectRead, ParsedField};
pub(crate) use fast_path::{PLACEHOLDER, SelectedField};

pub(super) use bulk::BulkMutation;
pub(super) use facets::Facet;
pub(super) use inputs::PersonalConnectorFilter;
pub(super) use mutation::ConnectorMutation;
pub(super) use object::PersonalConnector;
pub(super) use query::{ConnectorQuery, find};
