//! Queues the servers of many connectors for a check by the monitor.

use std::{collections::HashMap, time::Duration};

use entity::{Timestamp, personal_connector::Model};

use crate::{
    commands::{
        connector::{
            bulk::{BulkOutcome, distinct, of_ids, too_many},
            change::begin,
            outcome::{Outcome, denied, hidden, refusal},
        },
        context::Context,
        refusals::allowed,
    },
    domain::{
        connector::Errors,
        viewer::{Action, User, Viewer},
    },
    error::{Error, OPERATOR_ACTS, Result, UserError, UserErrorCode},
    store::{CheckTimes, ownership, retry},
};

/// The least time between a check and the next one on request.
const REST: Duration = Duration::from_mins(1);

/// Makes checks due without waiting for them. Fails with `UNAVAILABLE` if no process runs the monitor.
///
/// The call is charged as one inspection. Each connector is checked at most once in [`REST`], within the monitor's
/// bounds.
pub(crate) async fn queue_checks(
    context: &Context,
    viewer: &Viewer,
    ids: Vec<String>,
) -> Result<BulkOutcome> {
    let user = allowed(viewer, Action::Create)?;
    context.database.check_writes_allowed()?;
    let ids = distinct(ids);
    if let Some(error) = too_many(&ids) {
        return Ok(BulkOutcome {
            errors: vec![error],
            ..BulkOutcome::default()
        });
    }
    if !context.database.is_monitored().await? {
        let error = Error::unavailable(
            "no process checks connectors now: start one with --monitor, or check one by checkConnector",
        );
        return Err(error.retrying_after(OPERATOR_ACTS));
    }
    (context.inspections).charge(user.organization.as_deref(), &user.id)?;
    retry(|| queue(context, user, viewer, &ids)).await
}

/// Makes the servers due that may be checked, in a transaction.
async fn queue(
    context: &Context,
    user: &User,
    viewer: &Viewer,
    ids: &[String],
) -> Result<BulkOutcome> {
    let tx = begin(context, user).await?;
    let found = tx.get(&viewer.sight(), ids).await?.into_iter();
    let mut found: HashMap<_, _> = found.map(|row| (row.id.clone(), row)).collect();
    let seqs: Vec<_> = found.values().map(|row| row.seq).collect();
    let times = tx.check_times(&seqs).await?;
    let (mut due, mut results) = (Vec::new(), Vec::with_capacity(ids.len()));
    for id in ids {
        let refused = match found.get(id) {
            None => Some(hidden()?),
            Some(row) => error(viewer, row, times.get(&row.seq), tx.now())?,
        };
        let mut outcome = match (refused, found.remove(id)) {
            (None, Some(row)) => {
                due.push(row.seq);
                Outcome {
                    connector: Some(row),
                    ..Outcome::default()
                }
            }
            (refused, connector) => Outcome {
                connector,
                ..refusal(Errors(refused.into_iter().collect()))
            },
        };
        of_ids(&mut outcome.errors);
        results.push((id.clone(), outcome));
    }
    tx.make_due(&due).await?;
    tx.commit().await?;
    Ok(BulkOutcome {
        results,
        ..BulkOutcome::default()
    })
}

/// Returns the reason that a visible connector cannot be checked.
fn error(
    viewer: &Viewer,
    row: &Model,
    times: Option<&CheckTimes>,
    now: Timestamp,
) -> Result<Option<UserError>> {
    if let Err(denial) = viewer.decide(Action::Check(ownership(row))) {
        return denied(
            denial,
            "id",
            "only the connector's creator and its administrators may have it checked",
        )
        .map(Some);
    }
    let Some(times) = times.filter(|times| times.next_check_at.is_some()) else {
        let clause = "there is nothing to check: the connector has no server that can be called";
        return Ok(Some(UserError::new(UserErrorCode::Invalid, "id", clause)));
    };
    let ago = times.checked_at.filter(|at| *at <= now);
    let ago = ago.map(|checked_at| now.since(checked_at));
    let rest = ago.and_then(|ago| REST.checked_sub(ago));
    Ok(rest.filter(|rest| !rest.is_zero()).map(|rest| {
        let wait = rest.as_millis().div_ceil(1000);
        let clause = format!("it was checked less than a minute ago: wait {wait} s");
        UserError::new(UserErrorCode::TooSoon, "id", clause)
    }))
}
