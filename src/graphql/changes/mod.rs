//! Changes of connectors: pages and the subscription.

mod connection;
mod field;
mod inputs;
mod object;
mod query;
mod subscription;

pub(super) use connection::PersonalConnectorChangeConnection;
pub(super) use field::PersonalConnectorField;
pub(super) use object::{Connector, Named, PersonalConnectorChange};
pub(super) use query::ChangesQuery;
pub(super) use subscription::ChangesSubscription;
