//! Checks the server of a connector.

use crate::{
    commands::{
        connector::change::{begin, look_up},
        context::{Context, Outcome},
        refusals::{allowed, hidden, refusal},
    },
    domain::{
        connector::Errors,
        fields,
        viewer::{Action, User, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    mcp::inspections::Slot,
    store::{Catalog, Check, Target, retry},
};

/// Looks at the server of a connector that is in sight, and keeps what was found: no transaction waits for the server.
pub async fn check(context: &Context, viewer: &Viewer, id: String, slot: Slot) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    context.database.check_writes_allowed()?;
    if !fields::is_id(&id) {
        return missing();
    }
    let catalog = Catalog::new(context.database.clone(), viewer.sight());
    let Some(before) = catalog.get(std::slice::from_ref(&id)).await?.remove(&id) else {
        return missing();
    };
    let found = slot
        .inspect(before.server_url.as_deref(), before.server_type)
        .await?;
    let check = Check {
        target: Target::of(&before),
        found,
    };
    let outcome = retry(|| keep(context, user, viewer, &id, &check)).await?;
    Ok(Outcome {
        inspection: Some(Box::new(check.found)),
        ..outcome
    })
}

/// Keeps what was found, unless the connector changed meanwhile.
async fn keep(
    context: &Context,
    user: &User,
    viewer: &Viewer,
    id: &str,
    check: &Check,
) -> Result<Outcome> {
    let mut tx = begin(context, user).await?;
    match look_up(&tx, viewer, id).await? {
        None => missing(),
        Some(connector) if Target::of(&connector) != check.target => {
            let error = UserError::new(
                UserErrorCode::Conflict,
                "id",
                "the connector was given another server while it was checked",
            );
            Ok(Outcome {
                connector: Some(connector),
                ..refusal(Errors(vec![error]))
            })
        }
        Some(connector) => {
            tx.record(std::slice::from_ref(check), context.schedule)
                .await?;
            tx.commit().await?;
            Ok(Outcome {
                connector: Some(connector),
                ..Outcome::default()
            })
        }
    }
}

fn missing() -> Result<Outcome> {
    Ok(refusal(Errors(vec![hidden()?])))
}
