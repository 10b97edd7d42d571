//! Updates a connector.

use entity::{ConnectorVisibility, personal_connector::Model};

use crate::{
    commands::{
        connector::change::{begin, check_name, check_publish, find, save},
        context::{Context, Outcome},
        refusals::{allowed, denied, refusal},
    },
    domain::{
        connector::{Change, Draft, Errors, NameClaim, check_visibility},
        viewer::{Action, Viewer},
    },
    error::Result,
    store::ownership,
};

#[derive(Clone, Debug)]
pub struct Update {
    pub id: String,
    pub change: Change,
    pub expected_revision: Option<i64>,
    pub validate_only: bool,
}

pub async fn update(context: &Context, viewer: &Viewer, input: Update) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    let tx = begin(context, user).await?;
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
        check_visibility(visibility, before.organization_id.as_deref(), &mut errors);
        if visibility == ConnectorVisibility::Public && before.organization_id.is_some() {
            check_publish(viewer, &mut errors);
        }
    }
    if draft.server_url != before.server_url
        && let Err(denial) = viewer.decide(Action::MoveServer(ownership(&before)))
    {
        errors.0.push(denied(denial, "serverUrl", "only an administrator of the organization may change the serverUrl of a PUBLIC connector")?);
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
    let after = Model {
        name: details.name.text,
        name_key: details.name.key,
        description: details.description,
        icon_url: details.icon_url,
        category: details.category,
        version: details.version,
        server_url: details.server_url,
        server_type: details.server_type,
        metadata: details.metadata,
        visibility,
        ..before.clone()
    };
    save(tx, &before, after).await
}

fn draft(model: &Model) -> Draft {
    Draft {
        name: model.name.clone(),
        description: model.description.clone(),
        icon_url: model.icon_url.clone(),
        category: model.category,
        version: model.version.clone(),
        server_url: model.server_url.clone(),
        server_type: model.server_type,
        metadata: model.metadata.clone(),
    }
}
