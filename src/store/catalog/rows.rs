//! A whole connector, read from a row.

use entity::personal_connector;

use crate::{error::Result, store::database::row::Row};

/// A whole connector, its columns in the entity's order.
pub(in crate::store) fn connector(row: Row<'_>, from: usize) -> Result<personal_connector::Model> {
    let mut cells = row.cells(from);
    Ok(personal_connector::Model {
        seq: cells.next()?,
        id: cells.next()?,
        name: cells.next()?,
        name_key: cells.next()?,
        r#type: cells.next()?,
        connector_id: cells.next()?,
        description: cells.next()?,
        icon_url: cells.next()?,
        category: cells.next()?,
        version: cells.next()?,
        status: cells.next()?,
        status_message: cells.next()?,
        replaced_by_id: cells.next()?,
        server_url: cells.next()?,
        server_type: cells.next()?,
        metadata: cells.next()?,
        visibility: cells.next()?,
        organization_id: cells.next()?,
        created_by: cells.next()?,
        created_at: cells.next()?,
        updated_at: cells.next()?,
        revision: cells.next()?,
        source: cells.next()?,
        source_hash: cells.next()?,
        source_status: cells.next()?,
    })
}
