//! The steps that changes of a connector share.

use entity::{ConnectorType, personal_connector::Model};

use crate::{
    commands::{
        context::{Context, Outcome},
        refusals::{denied, hidden, refusal},
    },
    domain::{
        connector::{Errors, NameClaim},
        fields,
        viewer::{Action, Denial, Ownership, User, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    store::{Actor, Tx, UpdatedAt, ownership, taken},
};

pub(super) async fn begin(context: &Context, user: &User) -> Result<Tx> {
    let actor = Actor {
        user: Some(user.id.clone()),
        organization: user.organization.clone(),
    };
    Tx::begin(&context.database, actor, context.clock.now()).await
}

/// The connector of an id, as the viewer sees it.
pub(super) async fn look_up(tx: &Tx, viewer: &Viewer, id: &str) -> Result<Option<Model>> {
    if !fields::is_id(id) {
        return Ok(None);
    }
    Ok(tx.get(&viewer.sight(), &[id.to_owned()]).await?.pop())
}

/// The connector that a viewer wants to change, when it is there, theirs, and as they last saw it.
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
        let error = denied(denial, "id", "the connector is not yours to change")?;
        return Ok(Err(refusal(Errors(vec![error]))));
    }
    if let Some(expected) = expected_revision.filter(|expected| *expected != connector.revision) {
        let error = UserError::new(
            UserErrorCode::Conflict,
            "expectedRevision",
            format!(
                "the connector is at revision {}, not {expected}",
                connector.revision
            ),
        );
        return Ok(Err(Outcome {
            connector: Some(connector),
            errors: vec![error],
            inspection: None,
        }));
    }
    Ok(Ok(connector))
}

/// Writes a change made by hand, unless it changes nothing.
pub(super) async fn save(mut tx: Tx, before: &Model, mut after: Model) -> Result<Outcome> {
    if after.r#type == ConnectorType::Custom && after != *before {
        // It no longer is what a file brought: a repeated import of the file would change it back.
        after.source_hash = None;
    }
    match tx.update(before, after, UpdatedAt::Now).await? {
        Ok(connector) => {
            tx.commit().await?;
            Ok(Outcome {
                connector: Some(connector),
                errors: Vec::new(),
                inspection: None,
            })
        }
        Err(error) => Ok(refusal(Errors(vec![error]))),
    }
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

pub(super) fn check_publish(viewer: &Viewer, errors: &mut Errors) {
    if viewer.decide(Action::Publish).is_err() {
        errors.push(
            UserErrorCode::Forbidden,
            "visibility",
            "only an administrator of the organization may make a connector PUBLIC",
        );
    }
}
