//! Updates a connector.

use crate::{
    commands::{
        connector::{
            change::{begin, change, check_name, check_visible_to, find, finish},
            outcome::{Outcome, denied, refusal},
        },
        context::Context,
        refusals::allowed,
    },
    domain::{
        connector::{Change, Edit, Errors, NameClaim},
        viewer::{Action, Viewer},
    },
    error::Result,
    store::{draft, ownership},
};

#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) id: String,
    pub(crate) change: Change,
    pub(crate) expected_revision: Option<i64>,
    pub(crate) validate_only: bool,
}

pub(crate) async fn update(context: &Context, viewer: &Viewer, input: Update) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    let mut tx = begin(context, user).await?;
    let before = match find(
        &tx,
        viewer,
        &input.id,
        |target| viewer.decide(Action::Update(target)),
        input.expected_revision,
    )
    .await?
    {
        Ok(before) => before,
        Err(outcome) => return Ok(outcome),
    };
    let mut errors = Errors::default();
    let (draft, visibility) = input
        .change
        .apply(&draft(&before), before.visibility, &mut errors);
    let (details, name) = draft.parse(before.r#type, &mut errors);
    if visibility != before.visibility {
        check_visible_to(viewer, ownership(&before), visibility, &mut errors);
    }
    if draft.server_url != before.server_url
        && let Err(denial) = viewer.decide(Action::MoveServer(ownership(&before)))
    {
        errors.0.push(denied(
            denial,
            "serverUrl",
            "only an administrator of the organization may change it while the connector is PUBLIC",
        )?);
    }
    if let Some(name) = &name {
        let creator = before.created_by.as_deref();
        let claim = NameClaim::new(
            visibility,
            before.organization_id.as_deref(),
            creator,
            &name.key,
        );
        check_name(&tx, &claim, Some(&before.id), &mut errors).await?;
    }
    let (Some(details), true) = (details, errors.0.is_empty()) else {
        return Ok(refusal(errors));
    };
    if input.validate_only {
        return Ok(Outcome::default());
    }
    let outcome = change(&mut tx, &before, Edit::Details(details, visibility)).await?;
    finish(tx, outcome).await
}
