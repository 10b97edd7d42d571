//! The schema's types.

mod changes;
mod connection;
mod connector;
mod enums;
mod health;
mod inputs;
mod inspection;
mod payloads;
mod scalars;
mod siblings;
mod viewer;
mod written;

pub(super) use changes::{
    PersonalConnectorChange, PersonalConnectorChangeConnection, PersonalConnectorChangeFilter,
};
pub(super) use connection::PersonalConnectorConnection;
pub(super) use connector::{Node, PersonalConnector};
pub(super) use inputs::{
    CheckConnectorInput, CreateCustomConnectorInput, DeleteCustomConnectorInput,
    InspectServerInput, PersonalConnectorFilter, PersonalConnectorOrder, SetConnectorStatusInput,
    UpdateCustomConnectorInput,
};
pub(super) use payloads::{
    CheckConnectorPayload, CreateCustomConnectorPayload, DeleteCustomConnectorPayload,
    InspectServerPayload, SetConnectorStatusPayload, UpdateCustomConnectorPayload,
};
pub(super) use scalars::DateTime;
pub(super) use viewer::ViewerObject;
pub(super) use written::{Answer, Plan};
