//! Sets the status of a connector.

use std::collections::HashSet;

use entity::personal_connector::Model;

use crate::{
    commands::{
        connector::change::{begin, find, look_up, save},
        context::{Context, Outcome},
        refusals::{allowed, refusal},
    },
    domain::{
        connector::{Availability, Errors, REPLACED_BY, REPLACEMENTS},
        viewer::{Action, Sight, Viewer},
    },
    error::{Result, UserErrorCode},
    store::Tx,
};

#[derive(Clone, Debug)]
pub struct SetStatus {
    pub id: String,
    pub availability: Availability,
    pub expected_revision: Option<i64>,
}

pub async fn set_status(context: &Context, viewer: &Viewer, input: SetStatus) -> Result<Outcome> {
    let user = allowed(viewer, Action::SetStatuses)?;
    let tx = begin(context, user).await?;
    let before = match find(
        &tx,
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
    let replacement = input.availability.replaced_by.clone();
    let availability = input.availability.parse(&before.id, &mut errors);
    if let Some(replacement) = replacement.filter(|replacement| *replacement != before.id) {
        check_replacement(&tx, viewer, &before.id, &replacement, &mut errors).await?;
    }
    let (Some(availability), true) = (availability, errors.0.is_empty()) else {
        return Ok(refusal(errors));
    };
    let after = Model {
        status: availability.status,
        status_message: availability.message,
        replaced_by_id: availability.replaced_by,
        ..before.clone()
    };
    save(tx, &before, after).await
}

/// A replacement must be visible to whoever names it, and following replacements must come to an end.
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
            "there is no connector of this replacedById",
        );
    }
    let mut seen = HashSet::from([id.to_owned()]);
    while let Some(connector) = next {
        // The connector itself is among the seen.
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
