//! What mutations do: decide, write, announce.
//!
//! Invariant: one function a mutation; it is given what a client sent, and either all of its change is committed or none.

use std::{collections::HashSet, sync::Arc, time::Duration};

use entity::{
    ConnectorSource, ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType,
    idempotency_key, personal_connector::Model,
};

use crate::{
    clock::{Clock, Settled},
    domain::{
        connector::{
            Availability, Change, Draft, Errors, NameClaim, REPLACED_BY, REPLACEMENTS,
            check_visibility,
        },
        fields,
        inspection::{Inspection, Schedule, is_alive},
        viewer::{Action, Denial, Ownership, Sight, User, Viewer},
    },
    error::{Code, Error, Result, UserError, UserErrorCode},
    mcp::inspections::{Inspections, Slot},
    store::{Actor, Catalog, Check, Database, Target, Tx, UpdatedAt, ownership, taken},
};

/// How long a create's key is kept.
const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// How long a step of the wall clock must last before keys are forgotten by it.
const LASTS: Duration = Duration::from_hours(1);

/// What commands work with.
#[derive(Clone, Debug)]
pub struct Context {
    pub database: Database,
    pub clock: Clock,
    /// Says how old idempotency keys are.
    pub key_clock: Arc<Settled>,
    /// Custom connectors that one user may have.
    pub quota: u64,
    pub inspections: Arc<Inspections>,
    pub schedule: Schedule,
}

impl Context {
    /// The clock that idempotency keys age by.
    pub fn key_clock(clock: Clock) -> Arc<Settled> {
        Arc::new(Settled::new(clock, LASTS))
    }
}

/// What a command came to: the connector as it now is, or what is wrong with the input; both on a conflict.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub connector: Option<Model>,
    pub errors: Vec<UserError>,
    /// Of the server, where it was asked for.
    pub inspection: Option<Box<Inspection>>,
}

/// The input of a create.
#[derive(Clone, Debug)]
pub struct Create {
    pub draft: Draft,
    pub visibility: ConnectorVisibility,
    pub validate_only: bool,
    pub idempotency: Option<Idempotency>,
}

/// A server to look at.
#[derive(Clone, Debug)]
pub struct Inspect {
    pub server_url: String,
    pub server_type: ServerType,
}

/// What a connector to a server could be made of, each value as the rules take it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion {
    pub name: Option<String>,
    pub description: Option<String>,
    pub version: Option<String>,
    pub icon_url: Option<String>,
}

/// A key under which a create is done once.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    /// Digest of the rest of the input.
    pub input_hash: String,
}

#[derive(Clone, Debug)]
pub struct Update {
    pub id: String,
    pub change: Change,
    pub expected_revision: Option<i64>,
    pub validate_only: bool,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub id: String,
    pub expected_revision: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct SetStatus {
    pub id: String,
    pub availability: Availability,
    pub expected_revision: Option<i64>,
}

/// A place to inspect a server from, for whoever may create connectors.
pub async fn inspection(context: &Context, viewer: &Viewer) -> Result<Slot> {
    let user = allowed(viewer, Action::Create)?;
    let organization = user.organization.as_deref();
    context.inspections.enter(organization, &user.id).await
}

/// Looks at a server, and suggests a connector to it. Only the form of the input makes errors: what is wrong with the server is
/// what the inspection came to.
pub async fn inspect(
    slot: &Slot,
    input: Inspect,
) -> Result<(Inspection, Suggestion), Vec<UserError>> {
    let url = match input.server_type {
        ServerType::Stdio => None,
        other => {
            Some(fields::server_url(&input.server_url, Some(other)).map_err(|error| vec![error])?)
        }
    };
    let found = slot.inspect(url.as_deref(), Some(input.server_type)).await;
    let suggestion = suggestion(&found);
    Ok((found, suggestion))
}

/// What of a server's own words the rules let into a connector.
fn suggestion(found: &Inspection) -> Suggestion {
    let Some(server) = &found.server_info else {
        return Suggestion::default();
    };
    let names = server.title.iter().chain([&server.name]);
    let prose = server.description.iter().chain(&found.instructions);
    Suggestion {
        name: names
            .flat_map(|name| fields::name(name))
            .map(|name| name.text)
            .next(),
        description: prose.flat_map(|text| fields::description(text)).next(),
        version: fields::version(&server.version).ok(),
        icon_url: server
            .icons
            .iter()
            .flat_map(|url| fields::icon_url(url))
            .next(),
    }
}

/// Looks at the server of a connector that is in sight, and keeps what was found: no transaction waits for the server.
pub async fn check(context: &Context, viewer: &Viewer, id: String, slot: Slot) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    context.database.check_writes_allowed()?;
    let missing = || -> Result<Outcome> { Ok(refusal(Errors(vec![hidden()?]))) };
    if !fields::is_id(&id) {
        return missing();
    }
    let catalog = Catalog::new(context.database.clone(), viewer.sight());
    let Some(before) = catalog.get(std::slice::from_ref(&id)).await?.remove(&id) else {
        return missing();
    };
    let found = slot
        .inspect(before.server_url.as_deref(), before.server_type)
        .await;
    let check = Check {
        target: Target::of(&before),
        found,
    };
    let mut tx = begin(context, user).await?;
    let outcome = match look_up(&tx, viewer, &id).await? {
        None => missing()?,
        Some(connector) if Target::of(&connector) != check.target => {
            let error = UserError::new(
                UserErrorCode::Conflict,
                "id",
                "the connector was given another server while it was checked",
            );
            Outcome {
                connector: Some(connector),
                ..refusal(Errors(vec![error]))
            }
        }
        Some(connector) => {
            tx.record(std::slice::from_ref(&check), context.schedule)
                .await?;
            tx.commit().await?;
            Outcome {
                connector: Some(connector),
                ..Outcome::default()
            }
        }
    };
    Ok(Outcome {
        inspection: Some(Box::new(check.found)),
        ..outcome
    })
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
    let found = slot.inspect(url.as_deref(), claimed).await;
    let mut outcome = if is_alive(found.outcome) {
        attempt(context, viewer, input, Aim::Write(Some(&found))).await?
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

/// What a used key answers: what it made, as that now is.
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

pub async fn delete(context: &Context, viewer: &Viewer, input: Delete) -> Result<Outcome> {
    let user = allowed(viewer, Action::Create)?;
    let mut tx = begin(context, user).await?;
    let connector = match find(
        &tx,
        viewer,
        &input.id,
        |target| viewer.decide(Action::Delete(target)),
        input.expected_revision,
    )
    .await?
    {
        Ok(connector) => connector,
        Err(outcome) => return Ok(outcome),
    };
    tx.delete(&connector).await?;
    tx.commit().await?;
    Ok(Outcome {
        connector: Some(connector),
        ..Outcome::default()
    })
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

/// The user, when the policy allows what needs no connector.
fn allowed<'a>(viewer: &'a Viewer, action: Action<'_>) -> Result<&'a User> {
    viewer.decide(action).map_err(top_level)?;
    viewer.user().ok_or_else(unauthenticated)
}

async fn begin(context: &Context, user: &User) -> Result<Tx> {
    let actor = Actor {
        user: Some(user.id.clone()),
        organization: user.organization.clone(),
    };
    Tx::begin(&context.database, actor, context.clock.now()).await
}

/// The connector of an id, as the viewer sees it.
async fn look_up(tx: &Tx, viewer: &Viewer, id: &str) -> Result<Option<Model>> {
    if !fields::is_id(id) {
        return Ok(None);
    }
    Ok(tx.get(&viewer.sight(), &[id.to_owned()]).await?.pop())
}

/// The connector that a viewer wants to change, when it is there, theirs, and as they last saw it.
async fn find(
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
async fn save(mut tx: Tx, before: &Model, mut after: Model) -> Result<Outcome> {
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

async fn check_name(
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

fn check_publish(viewer: &Viewer, errors: &mut Errors) {
    if viewer.decide(Action::Publish).is_err() {
        errors.push(
            UserErrorCode::Forbidden,
            "visibility",
            "only an administrator of the organization may make a connector PUBLIC",
        );
    }
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

/// The user error where there is no connector of an id, or none in sight.
fn hidden() -> Result<UserError> {
    denied(Denial::Hidden, "id", "")
}

/// The user error for a denial about a connector; what concerns the token alone is a top-level error.
fn denied(denial: Denial, field: &'static str, not_yours: &str) -> Result<UserError> {
    match denial {
        Denial::Hidden => Ok(UserError::new(
            UserErrorCode::NotFound,
            field,
            "there is no connector of this id",
        )),
        Denial::NotYours => Ok(UserError::new(UserErrorCode::Forbidden, field, not_yours)),
        Denial::Unauthenticated | Denial::Scope(_) => Err(top_level(denial)),
    }
}

fn top_level(denial: Denial) -> Error {
    match denial {
        Denial::Scope(scope) => Error::new(
            Code::Forbidden,
            format!("the token needs the scope {scope}"),
        ),
        _ => unauthenticated(),
    }
}

fn unauthenticated() -> Error {
    Error::new(
        Code::Unauthenticated,
        "this needs a bearer token in the Authorization header",
    )
}

fn refusal(errors: Errors) -> Outcome {
    Outcome {
        connector: None,
        errors: errors.0,
        inspection: None,
    }
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
