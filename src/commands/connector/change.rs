//! Steps that the mutations of a connector share.

use entity::{ConnectorVisibility, personal_connector::Model};

use crate::{
    commands::{
        connector::outcome::{Outcome, denied, hidden, refusal},
        context::Context,
    },
    domain::{
        changes::Unexpected,
        connector::{Edit, Errors, NameClaim, check_visibility},
        field_values,
        viewer::{Action, Denial, Ownership, User, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    store::{Actor, Tx, ownership, taken},
};

pub(super) async fn begin(context: &Context, user: &User) -> Result<Tx> {
    Tx::begin(&context.database, Actor::of(user), context.clock.now()).await
}

/// Reads a connector by its id, if the viewer sees it.
pub(super) async fn look_up(tx: &Tx, viewer: &Viewer, id: &str) -> Result<Option<Model>> {
    if !field_values::is_id(id) {
        return Ok(None);
    }
    Ok(tx.get(&viewer.sight(), &[id.to_owned()]).await?.pop())
}

/// Returns the connector that a viewer wants to change. It must be visible, theirs, and at the expected revision.
pub(super) async fn find(
    tx: &Tx,
    viewer: &Viewer,
    id: &str,
    decide: impl FnOnce(Ownership<'_>) -> Result<(), Denial>,
    expected_revision: Option<i64>,
) -> Result<Result<Model, Outcome>> {
    let found = look_up(tx, viewer, id).await?;
    let Some(connector) = found else {
        return Ok(Err(refusal(Errors(vec![hidden()?]))));
    };
    if let Err(denial) = decide(ownership(&connector)) {
        let error = denied(
            denial,
            "id",
            "only the connector's creator and its administrators may change it",
        )?;
        return Ok(Err(refusal(Errors(vec![error]))));
    }
    if let Some(expected) = expected_revision.filter(|expected| *expected != connector.revision) {
        let clause = format!(
            "the connector is at revision {}, not {expected}",
            connector.revision
        );
        let error = UserError::new(UserErrorCode::Conflict, "expectedRevision", clause);
        return conflict(tx, viewer, connector, expected, error)
            .await
            .map(Err);
    }
    Ok(Ok(connector))
}

/// Returns a conflict: the connector as it is now, with the changes since the expected revision.
pub(super) async fn conflict(
    tx: &Tx,
    viewer: &Viewer,
    connector: Model,
    expected: i64,
    error: UserError,
) -> Result<Outcome> {
    // The last change is included even if the expected revision never existed.
    let above = expected.min(connector.revision.saturating_sub(1));
    let events = tx.events_above(&connector.id, above).await?;
    let unexpected = Unexpected {
        expected,
        revision: connector.revision,
        updated_at: connector.updated_at,
    };
    let conflict = unexpected.conflict(&viewer.sight(), &events);
    let error = UserError {
        conflict: Some(Box::new(conflict)),
        ..error
    };
    Ok(Outcome {
        connector: Some(connector),
        ..refusal(Errors(vec![error]))
    })
}

/// Applies an edit by a user, unless it changes nothing. The transaction is not committed yet.
pub(super) async fn change(tx: &mut Tx, before: &Model, edit: Edit) -> Result<Outcome> {
    Ok(match tx.update(before, edit).await? {
        Ok(connector) => Outcome {
            connector: Some(connector),
            ..Outcome::default()
        },
        Err(error) => refusal(Errors(vec![error])),
    })
}

/// Commits the transaction, unless the input was refused.
pub(super) async fn finish(tx: Tx, outcome: Outcome) -> Result<Outcome> {
    if !outcome.errors.is_empty() {
        return Ok(outcome);
    }
    let position = tx.commit().await?;
    Ok(Outcome {
        position,
        ..outcome
    })
}

pub(super) async fn check_name(
    tx: &Tx,
    claim: &NameClaim,
    id: Option<&str>,
    errors: &mut Errors,
) -> Result<()> {
    let rivals = tx.claims(std::slice::from_ref(&claim.name_key)).await?;
    let taken_by_another =
        |(rival, rival_id): &(NameClaim, String)| rival == claim && Some(rival_id.as_str()) != id;
    if rivals.iter().any(taken_by_another) {
        errors.0.push(taken("name"));
    }
    Ok(())
}

/// Checks that the viewer may give a connector this visibility.
pub(super) fn check_visible_to(
    viewer: &Viewer,
    target: Ownership<'_>,
    visibility: ConnectorVisibility,
    errors: &mut Errors,
) {
    check_visibility(visibility, target.organization, errors);
    if visibility != ConnectorVisibility::Public {
        return;
    }
    match viewer.decide(Action::Publish(target)) {
        // The check of the visibility reports this error itself.
        Ok(()) | Err(Denial::NoOrganization) => {}
        Err(_) => errors.push(
            UserErrorCode::Forbidden,
            "visibility",
            "only an administrator of the organization may make a connector PUBLIC",
        ),
    }
}
