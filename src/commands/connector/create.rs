//! Creates a custom connector.

use std::time::Duration;

use entity::{
    ConnectorSource, ConnectorStatus, ConnectorType, ConnectorVisibility, idempotency_key,
    personal_connector::Model,
};

use crate::{
    commands::{
        connector::change::{begin, check_name, check_publish},
        context::{Context, Outcome},
        refusals::{allowed, refusal},
    },
    domain::{
        connector::{Draft, Errors, NameClaim, check_visibility},
        fields,
        inspection::{Inspection, is_alive},
        viewer::{Action, Sight, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    mcp::inspections::Slot,
    store::{Check, Target, Tx, retry},
};

/// How long a create's key is kept.
const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// The input of a create.
#[derive(Clone, Debug)]
pub struct Create {
    pub draft: Draft,
    pub visibility: ConnectorVisibility,
    pub validate_only: bool,
    pub idempotency: Option<Idempotency>,
}

/// A key under which a create is done once.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    /// Digest of the rest of the input.
    pub input_hash: String,
}

/// Creates a connector to a server that is there, and tells what was found. Everything is checked before the server is looked at,
/// and again with the write: no transaction waits for a server.
pub async fn create_verified(
    context: &Context,
    viewer: &Viewer,
    input: Create,
    slot: Slot,
) -> Result<Outcome> {
    let (url, claimed) = (input.draft.server_url.clone(), input.draft.server_type);
    let checked = attempt(context, viewer, input.clone(), Aim::Check).await?;
    // A key that was used before stands for what was found then.
    if !checked.errors.is_empty() || checked.connector.is_some() {
        return Ok(checked);
    }
    let found = slot.inspect(url.as_deref(), claimed).await?;
    let mut outcome = if is_alive(found.outcome) {
        retry(|| attempt(context, viewer, input.clone(), Aim::Write(Some(&found)))).await?
    } else {
        let message = format!("was not verified: {}", found.message);
        let error = UserError::new(
            UserErrorCode::Invalid,
            "serverUrl",
            format!("serverUrl {message}"),
        );
        refusal(Errors(vec![error]))
    };
    outcome.inspection = Some(Box::new(found));
    Ok(outcome)
}

pub async fn create(context: &Context, viewer: &Viewer, input: Create) -> Result<Outcome> {
    attempt(context, viewer, input, Aim::Write(None)).await
}

/// How far a create is to go.
#[derive(Clone, Copy)]
enum Aim<'a> {
    Check,
    /// With what was found of the server.
    Write(Option<&'a Inspection>),
}

/// Checks all of a create, and does it where that is the aim.
async fn attempt(
    context: &Context,
    viewer: &Viewer,
    input: Create,
    aim: Aim<'_>,
) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    let organization = user.organization.as_deref();
    let mut errors = Errors::default();
    let (details, name) = input.draft.parse(ConnectorType::Custom, &mut errors);
    check_visibility(input.visibility, organization, &mut errors);
    if input.visibility == ConnectorVisibility::Public && organization.is_some() {
        check_publish(viewer, &mut errors);
    }
    if let Some(idempotency) = &input.idempotency {
        errors.take(fields::idempotency_key(&idempotency.key));
    }
    let idempotency = input.idempotency.filter(|_| !input.validate_only);

    let mut tx = begin(context, user).await?;
    let key = (organization.unwrap_or_default(), user.id.as_str());
    if let Some(idempotency) = idempotency.as_ref().filter(|_| errors.0.is_empty())
        && let Some(used) = find_key(context, &tx, (key.0, key.1, &idempotency.key)).await?
    {
        return replay(&tx, &used, idempotency).await;
    }
    if tx.count_created(&user.id, organization).await? >= context.quota {
        errors.0.push(UserError::new(
            UserErrorCode::LimitExceeded,
            None,
            format!(
                "you have {} custom connectors, the most there may be",
                context.quota
            ),
        ));
    }
    if let Some(name) = &name {
        let claim = NameClaim::new(input.visibility, organization, Some(&user.id), &name.key);
        check_name(&tx, &claim, None, &mut errors).await?;
    }
    let (Some(details), true) = (details, errors.0.is_empty()) else {
        return Ok(refusal(errors));
    };
    let Aim::Write(found) = aim else {
        return Ok(Outcome::default());
    };
    if input.validate_only {
        return Ok(Outcome::default());
    }
    let now = tx.now();
    let row = Model {
        seq: 0,
        id: context.clock.new_connector_id(),
        name: details.name.text,
        name_key: details.name.key,
        r#type: ConnectorType::Custom,
        connector_id: fields::CUSTOM_CONNECTOR_ID.to_owned(),
        description: details.description,
        icon_url: details.icon_url,
        category: details.category,
        version: details.version,
        status: ConnectorStatus::Active,
        status_message: None,
        replaced_by_id: None,
        server_url: details.server_url,
        server_type: details.server_type,
        metadata: details.metadata,
        visibility: input.visibility,
        organization_id: user.organization.clone(),
        created_by: Some(user.id.clone()),
        created_at: now,
        updated_at: now,
        revision: 1,
        source: ConnectorSource::Api,
        source_hash: None,
        source_status: None,
    };
    let connector = match tx.insert(vec![row]).await? {
        Ok(mut rows) => rows.pop(),
        Err(error) => return Ok(refusal(Errors(vec![error]))),
    };
    if let (Some(found), Some(connector)) = (found, &connector) {
        let check = Check {
            target: Target::of(connector),
            found: found.clone(),
        };
        tx.record(&[check], context.schedule).await?;
    }
    if let (Some(idempotency), Some(connector)) = (idempotency, &connector) {
        let kept = idempotency_key::Model {
            organization_id: key.0.to_owned(),
            created_by: key.1.to_owned(),
            key: idempotency.key,
            input_hash: idempotency.input_hash,
            personal_connector_id: connector.id.clone(),
            created_at: context.key_clock.now().unwrap_or(now),
        };
        tx.keep_key(kept).await?;
    }
    tx.commit().await?;
    Ok(Outcome {
        connector,
        ..Outcome::default()
    })
}

/// Finds the connector that a creator's key made, unless the key has expired.
async fn find_key(
    context: &Context,
    tx: &Tx,
    key: (&str, &str, &str),
) -> Result<Option<idempotency_key::Model>> {
    if let Some(now) = context.key_clock.now() {
        tx.forget_keys(now, KEY_LIFETIME).await?;
    }
    tx.find_key(key).await
}

/// The answer to a used key: the connector that it made, as it is now.
async fn replay(tx: &Tx, used: &idempotency_key::Model, again: &Idempotency) -> Result<Outcome> {
    const FIELD: &str = "idempotencyKey";
    if used.input_hash != again.input_hash {
        return Ok(refusal(Errors(vec![UserError::new(
            UserErrorCode::Conflict,
            FIELD,
            "idempotencyKey was used with another input",
        )])));
    }
    // The key is its creator's own, and so is what it made.
    let connector = tx
        .get(
            &Sight::Everything,
            std::slice::from_ref(&used.personal_connector_id),
        )
        .await?
        .pop();
    let errors = match connector {
        Some(_) => Vec::new(),
        None => vec![UserError::new(
            UserErrorCode::NotFound,
            FIELD,
            "the connector that idempotencyKey made was deleted",
        )],
    };
    Ok(Outcome {
        connector,
        errors,
        inspection: None,
    })
}
