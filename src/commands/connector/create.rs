//! Creates a custom connector.

use std::time::Duration;

use entity::{ConnectorType, ConnectorVisibility, idempotency_key};

use crate::{
    commands::{
        connector::{
            change::{begin, check_name, check_visible_to},
            input_digest,
            outcome::{Outcome, refusal},
        },
        context::Context,
        refusals::allowed,
    },
    domain::{
        connector::{Draft, Errors, NameClaim, NewConnector},
        field_values,
        inspection::{Inspection, is_alive},
        viewer::{Action, Ownership, Sight, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    mcp::inspections::Slot,
    store::{Check, Target, Tx, retry},
};

/// The lifetime of a create's idempotency key.
const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// The input of a create.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub(crate) draft: Draft,
    pub(crate) visibility: ConnectorVisibility,
    pub(crate) validate_only: bool,
    /// The idempotency key. A repeated create with the same key returns the first one's connector.
    pub(crate) idempotency_key: Option<String>,
}

/// Inspects the server, then creates the connector and returns the inspection. The input is checked before the
/// inspection and again with the write, so that no transaction is open meanwhile.
pub(crate) async fn create_verified(
    context: &Context,
    viewer: &Viewer,
    input: Create,
    slot: Slot,
) -> Result<Outcome> {
    let (url, claimed) = (input.draft.server_url.clone(), input.draft.server_type);
    let checked = attempt(context, viewer, input.clone(), Aim::Check).await?;
    // A used key needs no new inspection.
    if !checked.errors.is_empty() || checked.connector.is_some() {
        return Ok(checked);
    }
    let found = slot.inspect(url.as_deref(), claimed).await?;
    let mut outcome = if is_alive(found.outcome) {
        retry(|| attempt(context, viewer, input.clone(), Aim::Write(Some(&found)))).await?
    } else {
        let message = found.message.as_str();
        let error = UserError::new(UserErrorCode::Invalid, "serverUrl", message);
        refusal(Errors(vec![error]))
    };
    outcome.inspection = Some(Box::new(found));
    Ok(outcome)
}

pub(crate) async fn create(context: &Context, viewer: &Viewer, input: Create) -> Result<Outcome> {
    attempt(context, viewer, input, Aim::Write(None)).await
}

/// The extent of a create: to validate only, or to write.
#[derive(Clone, Copy)]
enum Aim<'a> {
    Check,
    /// Writes the connector, with the inspection of its server.
    Write(Option<&'a Inspection>),
}

/// Validates a create, and writes it if that is the aim.
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
    let own = Ownership {
        r#type: ConnectorType::Custom,
        visibility: ConnectorVisibility::Private,
        organization,
        created_by: Some(&user.id),
    };
    check_visible_to(viewer, own, input.visibility, &mut errors);
    if let Some(key) = &input.idempotency_key {
        errors.take(field_values::idempotency_key(key));
    }
    let idempotency_key = input.idempotency_key.filter(|_| !input.validate_only);

    let mut tx = begin(context, user).await?;
    let (owner, creator) = (organization.unwrap_or_default(), user.id.as_str());
    if let Some(key) = idempotency_key.as_ref().filter(|_| errors.0.is_empty())
        && let Some(used) = find_key(context, &tx, (owner, creator, key)).await?
    {
        let is_same = input_digest::is_of(&used.input_hash, &input.draft, input.visibility);
        return replay(&tx, &used, is_same).await;
    }
    let (most, current) = (context.quota, tx.count_owned(&viewer.own()).await?);
    let another = Action::CreateAnother {
        present: current,
        most,
    };
    if viewer.decide(another).is_err() {
        let clause = format!(
            "your limit of custom connectors is {most}, and you have {current}: delete one first"
        );
        let error = UserError::new(UserErrorCode::LimitExceeded, None, clause);
        errors.0.push(error.over(most, current));
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
    let new = NewConnector {
        id: context.clock.new_connector_id(),
        details,
        visibility: input.visibility,
        organization: user.organization.clone(),
        created_by: user.id.clone(),
    };
    let connector = match tx.insert(new).await? {
        Ok(connector) => connector,
        Err(error) => return Ok(refusal(Errors(vec![error]))),
    };
    if let Some(found) = found {
        let check = Check {
            target: Target::of(&connector),
            found: found.clone(),
        };
        tx.record(&[check], context.schedule).await?;
    }
    if let Some(key) = idempotency_key {
        let kept = idempotency_key::Model {
            organization_id: owner.to_owned(),
            created_by: creator.to_owned(),
            key,
            input_hash: input_digest::digest(&input.draft, input.visibility),
            personal_connector_id: connector.id.clone(),
            created_at: context.key_clock.now().unwrap_or(now),
        };
        tx.keep_key(kept).await?;
    }
    let position = tx.commit().await?;
    Ok(Outcome {
        connector: Some(connector),
        position,
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

/// Answers a used key with the connector that it made, as it is now.
async fn replay(tx: &Tx, used: &idempotency_key::Model, is_same: bool) -> Result<Outcome> {
    const FIELD: &str = "idempotencyKey";
    if !is_same {
        return Ok(refusal(Errors(vec![UserError::new(
            UserErrorCode::Conflict,
            FIELD,
            "must be a new key: this one was used with another input",
        )])));
    }
    // The key belongs to the creator, and so does its connector.
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
            "the connector that was created with this key was deleted: use a new key",
        )],
    };
    Ok(Outcome {
        connector,
        errors,
        ..Outcome::default()
    })
}
