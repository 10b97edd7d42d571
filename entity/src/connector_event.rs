//! `connector_event`: the event log, one row for each change of a connector, numbered in commit order without gaps.
//! Rows are only added, and pruned from the oldest on.
//!
//! A row records who could see the connector before and after, so that each viewer reads the log as they saw it.

use sea_orm::entity::prelude::*;

use crate::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};

/// A change of a connector. The columns `…_before` and `…_after` decide who sees it, and which filters match.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_event")]
pub struct Model {
    /// The state number of the catalogue after this change.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// The kind of the change itself. A viewer also sees `deleted` when a connector becomes invisible to them.
    pub kind: EventKind,
    /// The `id` of the connector, which may be deleted by now.
    pub personal_connector_id: String,
    /// The type after the change, or the last one of a deleted connector.
    pub r#type: ConnectorType,
    /// The type before the change. Null if the change kept it.
    pub type_before: Option<ConnectorType>,
    /// The connector's organization, which never changes. Null if it has none.
    pub organization_id: Option<String>,
    /// The changed fields' GraphQL names as a JSON array; empty unless the kind is `updated`.
    pub changed_fields: String,
    /// The connector's revision after the change, or the last one of a deleted connector.
    pub revision: i64,
    /// The user who made the change. Null for a change by a file, or by a check that no user requested.
    pub actor_id: Option<String>,
    /// The organization of that user, whose members see who made the change. Null if the user has none, or if there is
    /// no user.
    pub actor_organization_id: Option<String>,
    /// The time of the change in microseconds since 1970, by the wall clock of the process that made it. Events are
    /// ordered by number, not by time.
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
    /// A random number, which differs for the same event number in another history.
    pub mark: i64,
    /// The values of the changed fields as a JSON object: the values before and after, by field name. Each is text, an
    /// object with the beginning of text over 1 KiB, or null. Null if no field changed, and for events of earlier
    /// versions.
    pub changed_values: Option<String>,
    /// The state for searches and filters, as a JSON object: `after` has the server type, the connectorId, the folded
    /// name, the words, the address, the times, the outcome of the last check and whether there are tools. `before` has
    /// the members that differ from it, or all of a deleted connector. Null for events of earlier versions.
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
