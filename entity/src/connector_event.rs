//! `connector_event`: the log, one row a change of a connector, numbered in commit order without gaps. Rows are only ever added,
//! and forgotten from the oldest on.
//!
//! A row keeps who could see the connector before and after, so that the log can be read as any viewer saw it.

use sea_orm::entity::prelude::*;

use crate::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};

/// A change of a connector. The columns `…_before` and `…_after` decide who is told of it, and which filters it passes.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_event")]
pub struct Model {
    /// The state number this change raised the catalogue to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// The kind of the change itself. A viewer is told `deleted` also when a connector goes out of their sight.
    pub kind: EventKind,
    /// The `id` of the connector, which may be deleted by now.
    pub personal_connector_id: String,
    /// After the change; the last one of a connector that was deleted.
    pub r#type: ConnectorType,
    /// The type before the change. Null if the change kept it.
    pub type_before: Option<ConnectorType>,
    /// The connector's organization, in which it stays. Null if it has none.
    pub organization_id: Option<String>,
    /// GraphQL field names as a JSON array; empty unless the kind is `updated`.
    pub changed_fields: String,
    /// The connector's revision after the change; its last one when it was deleted.
    pub revision: i64,
    /// The user who made the change. Null if a file made it, or a check that no user asked for.
    pub actor_id: Option<String>,
    /// The organization of that user: its members are told who made the change. Null if the user has none, or there is no user.
    pub actor_organization_id: Option<String>,
    /// When the change was made, in microseconds since 1970, by the wall clock of the process that made it. Events are in the
    /// order of their numbers, not of their times.
    pub occurred_at: Timestamp,
    /// Null if the change created the connector.
    pub visibility_before: Option<ConnectorVisibility>,
    /// Null if the change deleted the connector.
    pub visibility_after: Option<ConnectorVisibility>,
    /// The creator's user id. Null if the change created the connector, or it had no creator.
    pub created_by_before: Option<String>,
    /// The creator's user id. Null if the change deleted the connector, or it has no creator.
    pub created_by_after: Option<String>,
    /// Null if the change created the connector, or it had no category.
    pub category_before: Option<ConnectorCategory>,
    /// Null if the change deleted the connector, or it has no category.
    pub category_after: Option<ConnectorCategory>,
    /// Null if the change created the connector.
    pub status_before: Option<ConnectorStatus>,
    /// Null if the change deleted the connector.
    pub status_after: Option<ConnectorStatus>,
    /// Random: an event of the same number in another history has another.
    pub mark: i64,
    /// The values of the changed fields as a JSON object: by the field's name, the value before and after. Each is text, an object
    /// with the beginning of text over 1 KiB, or null. Null where no field changed, and for events of earlier versions.
    pub changed_values: Option<String>,
    /// The state for searches and filters, as a JSON object: `after` has the server type, the connectorId, the folded name, the
    /// words, the address, the times, the outcome of the last check and whether there are tools. `before` has the members that
    /// differ from it, or all of a connector that was deleted. Null for events of earlier versions.
    pub record: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum EventKind {
    /// The connector is new.
    Created,
    /// Fields of the connector, its health or its tools changed.
    Updated,
    /// The connector's row was deleted.
    Deleted,
}
