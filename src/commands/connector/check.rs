//! Checks the server of a connector.

use entity::personal_connector::Model;

use crate::{
    commands::{
        connector::{
            change::{begin, conflict, look_up},
            outcome::{Outcome, hidden, refusal},
        },
        context::Context,
        refusals::allowed,
    },
    domain::{
        connector::Errors,
        field_values,
        viewer::{Action, User, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    mcp::inspections::Slot,
    store::{Catalog, Check, Target, ownership, retry},
};

/// Inspects the server of a visible connector and stores the result. No transaction is open during the inspection.
pub(crate) async fn check(
    context: &Context,
    viewer: &Viewer,
    id: String,
    slot: Slot,
) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    context.database.check_writes_allowed()?;
    if !field_values::is_id(&id) {
        return missing();
    }
    let catalog = Catalog::new(context.database.clone(), viewer.sight());
    let found = catalog.get(std::slice::from_ref(&id)).await?.remove(&id);
    let is_allowed = |connector: &Model| viewer.decide(Action::Check(ownership(connector))).is_ok();
    let Some(before) = found.filter(is_allowed) else {
        return missing();
    };
    let found = slot
        .inspect(before.server_url.as_deref(), before.server_type)
        .await?;
    let check = Check {
        target: Target::of(&before),
        found,
    };
    let outcome = retry(|| keep(context, user, viewer, &id, (&check, before.revision))).await?;
    Ok(Outcome {
        inspection: Some(Box::new(check.found)),
        ..outcome
    })
}

/// Stores a result, unless the connector was given another server since the inspection began.
async fn keep(
    context: &Context,
    user: &User,
    viewer: &Viewer,
    id: &str,
    (check, revision): (&Check, i64),
) -> Result<Outcome> {
    let mut tx = begin(context, user).await?;
    match look_up(&tx, viewer, id).await? {
        None => missing(),
        Some(connector) if Target::of(&connector) != check.target => {
            let clause = "the connector's server was changed during the check: check it again";
            let error = UserError::new(UserErrorCode::Conflict, "id", clause);
            conflict(&tx, viewer, connector, revision, error).await
        }
        Some(connector) => {
            tx.record(std::slice::from_ref(check), context.schedule)
                .await?;
            let position = tx.commit().await?;
            Ok(Outcome {
                connector: Some(connector),
                position,
                ..Outcome::default()
            })
        }
    }
}

fn missing() -> Result<Outcome> {
    Ok(refusal(Errors(vec![hidden()?])))
}
