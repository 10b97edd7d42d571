//! `connector_event`: the log, one row a change of a connector, numbered in commit order without gaps. Rows are only ever added,
//! and forgotten from the oldest on.
//!
//! A row keeps who could see the connector before and after, so that the log can be read as any viewer saw it.

use sea_orm::entity::prelude::*;

use crate::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_event")]
pub struct Model {
    /// The state number this change raised the catalogue to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub kind: EventKind,
    pub personal_connector_id: String,
    /// After the change; the last one of a connector that was deleted.
    pub r#type: ConnectorType,
    /// Where the change was one of the type.
    pub type_before: Option<ConnectorType>,
    /// A connector stays in its organization.
    pub organization_id: Option<String>,
    /// GraphQL field names as a JSON array; empty unless the kind is `updated`.
    pub changed_fields: String,
    /// The connector's revision after the change; its last one when it was deleted.
    pub revision: i64,
    /// The user who made the change; none for a file.
    pub actor_id: Option<String>,
    pub actor_organization_id: Option<String>,
    pub occurred_at: Timestamp,
    pub visibility_before: Option<ConnectorVisibility>,
    pub visibility_after: Option<ConnectorVisibility>,
    pub created_by_before: Option<String>,
    pub created_by_after: Option<String>,
    pub category_before: Option<ConnectorCategory>,
    pub category_after: Option<ConnectorCategory>,
    pub status_before: Option<ConnectorStatus>,
    pub status_after: Option<ConnectorStatus>,
    /// Random: an event of the same number in another history has another.
    pub mark: i64,
}

impl ActiveModelBehavior for ActiveModel {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
}
