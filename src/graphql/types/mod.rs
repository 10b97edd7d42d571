//! The schema's types.

mod changes;
mod connection;
mod connector;
mod enums;
mod fast_path;
mod health;
mod inputs;
mod inspection;
mod loader;
mod payloads;
mod scalars;
mod text;
mod viewer;

pub(super) use changes::{
    PersonalConnectorChange, PersonalConnectorChangeConnection, PersonalConnectorChangeFilter,
};
pub(super) use connection::PersonalConnectorConnection;
pub(super) use connector::{Node, PersonalConnector};
pub(super) use fast_path::{Answer, Plan};
pub(super) use inputs::{
    CheckConnectorInput, CreateCustomConnectorInput, DeleteCustomConnectorInput,
    InspectServerInput, PersonalConnectorFilter, PersonalConnectorOrder, SetConnectorStatusInput,
    UpdateCustomConnectorInput,
};
pub(super) use payloads::{
    CheckConnectorPayload, CreateCustomConnectorPayload, DeleteCustomConnectorPayload,
    InspectServerPayload, SetConnectorStatusPayload, UpdateCustomConnectorPayload,
};
pub(crate) use scalars::DateTime;
pub(super) use viewer::ViewerObject;
