//! Names, each of which only one connector may have.

use entity::personal_connector::{ActiveModel, Column, Model};
use sea_orm::{ActiveModelTrait, ColumnTrait, QueryFilter, Set};

use super::Tx;
use crate::{
    domain::{connector::NameClaim, viewer::Sight},
    error::Result,
    store::{catalog::visible, errors::failed},
};

impl Tx {
    /// Returns the custom connectors with these folded names, and the claim of each.
    pub(crate) async fn claims(&self, name_keys: &[String]) -> Result<Vec<(NameClaim, String)>> {
        let rivals = visible(&Sight::Everything)
            .filter(Column::Type.eq(entity::ConnectorType::Custom))
            .filter(Column::NameKey.is_in(name_keys))
            .all(&self.tx)
            .await
            .map_err(failed)?;
        let claim = |row: Model| {
            let (organization, creator) =
                (row.organization_id.as_deref(), row.created_by.as_deref());
            let claim = NameClaim::new(row.visibility, organization, creator, &row.name_key);
            (claim, row.id)
        };
        Ok(rivals.into_iter().map(claim).collect())
    }

    /// Returns the official or `aitronos_built` connectors with these connectorIds.
    pub async fn by_connector_id(&self, connector_ids: &[String]) -> Result<Vec<Model>> {
        visible(&Sight::Everything)
            .filter(Column::ConnectorId.is_in(connector_ids))
            .filter(Column::Type.ne(entity::ConnectorType::Custom))
            .all(&self.tx)
            .await
            .map_err(failed)
    }

    /// Replaces the names and connectorIds of rows by temporary ones, so that others can take them in this transaction.
    /// The caller then updates each row with its new name.
    ///
    /// The temporary ones contain a control character, which no name or connectorId has.
    pub(crate) async fn give_up_names(&self, rows: &[&Model]) -> Result<()> {
        if self.rehearsal {
            return Ok(());
        }
        for row in rows {
            let mut given_up = ActiveModel {
                seq: Set(row.seq),
                ..Default::default()
            };
            let nothing = format!("\u{1}{}", row.id);
            if row.r#type == entity::ConnectorType::Custom {
                given_up.name_key = Set(nothing);
            } else {
                given_up.connector_id = Set(nothing);
            }
            given_up.update(&self.tx).await.map_err(failed)?;
        }
        Ok(())
    }
}
