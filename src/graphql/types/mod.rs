//! The schema's types.

mod changes;
mod connection;
mod connector;
mod enums;
mod inputs;
mod inspection;
mod payloads;
mod scalars;
mod viewer;
mod written;

pub(super) use changes::{
    PersonalConnectorChange, PersonalConnectorChangeConnection, PersonalConnectorChangeFilter,
};
pub(super) use connection::PersonalConnectorConnection;
pub(super) use connector::{Node, PersonalConnector};
pub(super) use inputs::{
    CreateCustomConnectorInput, DeleteCustomConnectorInput, InspectServerInput,
    PersonalConnectorFilter, PersonalConnectorOrder, SetConnectorStatusInput,
    UpdateCustomConnectorInput,
};
pub(super) use payloads::{
    CreateCustomConnectorPayload, DeleteCustomConnectorPayload, InspectServerPayload,
    SetConnectorStatusPayload, UpdateCustomConnectorPayload,
};
pub(super) use scalars::DateTime;
pub(super) use viewer::ViewerObject;
pub(super) use written::{Answer, Plan};
