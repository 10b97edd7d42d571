//! Sets the status of a connector.

use std::collections::HashSet;

use crate::{
    commands::{
        connector::{
            change::{begin, change, find, finish, look_up},
            outcome::{Outcome, refusal},
        },
        context::Context,
        refusals::allowed,
    },
    domain::{
        connector::{Edit, Errors, Patch, REPLACED_BY, REPLACEMENTS, StatusChange},
        viewer::{Action, Sight, Viewer},
    },
    error::{Result, UserErrorCode},
    store::{Tx, availability},
};

#[derive(Clone, Debug)]
pub(crate) struct SetStatus {
    pub(crate) id: String,
    pub(crate) change: StatusChange,
    pub(crate) expected_revision: Option<i64>,
}

pub(crate) async fn set_status(
    context: &Context,
    viewer: &Viewer,
    input: SetStatus,
) -> Result<Outcome> {
    let user = allowed(viewer, Action::SetStatuses)?;
    let mut tx = begin(context, user).await?;
    let outcome = apply(&mut tx, viewer, input).await?;
    finish(tx, outcome).await
}

/// Sets a status in a transaction.
pub(super) async fn apply(tx: &mut Tx, viewer: &Viewer, input: SetStatus) -> Result<Outcome> {
    let before = match find(
        tx,
        viewer,
        &input.id,
        |target| viewer.decide(Action::SetStatus(target)),
        input.expected_revision,
    )
    .await?
    {
        Ok(before) => before,
        Err(outcome) => return Ok(outcome),
    };
    let mut errors = Errors::default();
    let availability = input.change.apply(&availability(&before));
    let availability = availability.parse(&before.id, &mut errors);
    if let Patch::Set(replacement) = &input.change.replaced_by
        && *replacement != before.id
    {
        check_replacement(tx, viewer, &before.id, replacement, &mut errors).await?;
    }
    let (Some(availability), true) = (availability, errors.0.is_empty()) else {
        return Ok(refusal(errors));
    };
    change(tx, &before, Edit::Availability(availability)).await
}

/// Checks that the viewer sees the replacement, and that following replacements ends.
async fn check_replacement(
    tx: &Tx,
    viewer: &Viewer,
    id: &str,
    replacement: &str,
    errors: &mut Errors,
) -> Result<()> {
    let mut next = look_up(tx, viewer, replacement).await?;
    if next.is_none() {
        errors.push(
            UserErrorCode::NotFound,
            REPLACED_BY,
            "there is no connector with this id, or you may not see it",
        );
    }
    let mut seen = HashSet::from([id.to_owned()]);
    while let Some(connector) = next {
        // The connector itself counts as seen.
        if !seen.insert(connector.id) || seen.len() > REPLACEMENTS + 1 {
            errors.push(
                UserErrorCode::Invalid,
                REPLACED_BY,
                format!("replacements must not lead back to the connector, nor be more than {REPLACEMENTS} in a row"),
            );
            break;
        }
        next = match connector.replaced_by_id {
            Some(id) => tx.get(&Sight::Everything, &[id]).await?.pop(),
            None => None,
        };
    }
    Ok(())
}
