//! Deletes a connector.

use crate::{
    commands::{
        connector::{
            change::{begin, find, finish},
            outcome::Outcome,
        },
        context::Context,
        refusals::allowed,
    },
    domain::viewer::{Action, Viewer},
    error::Result,
    store::Tx,
};

#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) id: String,
    pub(crate) expected_revision: Option<i64>,
}

pub(crate) async fn delete(context: &Context, viewer: &Viewer, input: Delete) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    let mut tx = begin(context, user).await?;
    let outcome = apply(&mut tx, viewer, input).await?;
    finish(tx, outcome).await
}

/// Deletes a connector in a transaction.
pub(super) async fn apply(tx: &mut Tx, viewer: &Viewer, input: Delete) -> Result<Outcome> {
    let connector = match find(
        tx,
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
    Ok(Outcome {
        connector: Some(connector),
        ..Outcome::default()
    })
}
