//! Deletes a connector.

use crate::{
    commands::{
        connector::change::{begin, find},
        context::{Context, Outcome},
        refusals::allowed,
    },
    domain::viewer::{Action, Viewer},
    error::Result,
};

#[derive(Clone, Debug)]
pub struct Delete {
    pub id: String,
    pub expected_revision: Option<i64>,
}

pub async fn delete(context: &Context, viewer: &Viewer, input: Delete) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    let mut tx = begin(context, user).await?;
    let connector = match find(
        &tx,
        viewer,
        &input.id,
        |target| viewer.decide(Action::Delete(target)),
        input.expected_revision,
    )
    .await?
    {
        Ok(connector) => connector,
        Err(outcome) => return Ok(outcome),
    };
    tx.delete(&connector).await?;
    tx.commit().await?;
    Ok(Outcome {
        connector: Some(connector),
        ..Outcome::default()
    })
}
