//! One change of many connectors, in one transaction.
//!
//! Invariant: each connector is changed by the same steps as in a mutation of one. The error policy, or `validateOnly`,
//! may leave all of them unchanged.

use std::collections::HashSet;

use crate::{
    commands::{
        connector::{
            change::{begin, change, find},
            delete::{self, Delete},
            outcome::Outcome,
            set_status::{self, SetStatus},
        },
        context::Context,
        refusals::allowed,
    },
    domain::{
        connector::{Curation, Edit, Errors, Patch, StatusChange},
        cursor::LogPosition,
        field_values,
        viewer::{Action, Ownership, Viewer},
    },
    error::{Result, UserError, UserErrorCode},
    store::Tx,
};

/// The most connectors of one mutation.
pub(crate) const MOST: usize = 100;

/// The name of the input field with the connectors' ids.
const IDS: &str = "ids";

/// The change that each connector gets.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Status(StatusChange),
    Delete,
    Curation(Curation),
}

/// The treatment of the other connectors when one cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorPolicy {
    /// They are changed.
    RejectFailed,
    /// They are not changed either.
    RejectAll,
}

#[derive(Clone, Debug)]
pub(crate) struct Bulk {
    /// Ids of connectors; a repeated id counts once.
    pub(crate) ids: Vec<String>,
    pub(crate) change: Change,
    pub(crate) error_policy: ErrorPolicy,
    pub(crate) validate_only: bool,
}

/// The result of the connectors that can be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Others {
    /// They are changed, or were so already.
    #[default]
    Done,
    /// They are not changed, because the input was only checked.
    Valid,
    /// They are not changed, because of others.
    NotWritten,
}

/// The result of a change of many connectors.
#[derive(Clone, Debug, Default)]
pub(crate) struct BulkOutcome {
    /// An outcome for each id, in the order of the input.
    pub(crate) results: Vec<(String, Outcome)>,
    /// The result of the connectors without errors.
    pub(crate) others: Others,
    /// The errors of the input as a whole.
    pub(crate) errors: Vec<UserError>,
    /// The position of the last change that was written, if there is one.
    pub(crate) position: Option<LogPosition>,
}

pub(crate) async fn bulk(context: &Context, viewer: &Viewer, input: Bulk) -> Result<BulkOutcome> {
    let user = allowed(viewer, input.change.action())?;
    let ids = distinct(input.ids);
    let mut errors = Errors(too_many(&ids).into_iter().collect());
    let each = input.change.parse(&mut errors);
    if !errors.0.is_empty() {
        return Ok(BulkOutcome {
            errors: errors.0,
            ..BulkOutcome::default()
        });
    }
    let mut tx = begin(context, user).await?;
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        let mut outcome = each.apply(&mut tx, viewer, &id).await?;
        of_ids(&mut outcome.errors);
        results.push((id, outcome));
    }
    let all = results.len();
    let failed = results
        .iter()
        .filter(|(_, outcome)| !outcome.errors.is_empty())
        .count();
    let is_rejected = input.error_policy == ErrorPolicy::RejectAll && failed > 0;
    if !is_rejected && !input.validate_only {
        let position = tx.commit().await?;
        return Ok(BulkOutcome {
            results,
            others: Others::Done,
            errors: Vec::new(),
            position,
        });
    }
    tx.rollback().await;
    for (_, outcome) in &mut results {
        outcome.connector = None;
    }
    let clause = format!("nothing was changed, because {failed} of {all} connectors cannot be");
    let rejected = is_rejected.then(|| UserError::new(UserErrorCode::Invalid, IDS, clause));
    Ok(BulkOutcome {
        results,
        others: if is_rejected {
            Others::NotWritten
        } else {
            Others::Valid
        },
        errors: rejected.into_iter().collect(),
        position: None,
    })
}

impl Change {
    /// The policy's action for a change that names no connector.
    fn action(&self) -> Action<'static> {
        match self {
            Self::Status(_) => Action::SetStatuses,
            Self::Delete => Action::Create,
            Self::Curation(_) => Action::CurateAny,
        }
    }

    /// Records the errors that every connector would have.
    fn parse(self, errors: &mut Errors) -> Self {
        match self {
            Self::Status(change) => {
                if let Patch::Set(message) = &change.message {
                    errors.take(field_values::status_message(message));
                }
                Self::Status(change)
            }
            Self::Curation(curation) => Self::Curation(curation.parse(errors)),
            Self::Delete => Self::Delete,
        }
    }

    async fn apply(&self, tx: &mut Tx, viewer: &Viewer, id: &str) -> Result<Outcome> {
        let id = id.to_owned();
        let expected_revision = None;
        match self {
            Self::Status(change) => {
                let input = SetStatus {
                    id,
                    change: change.clone(),
                    expected_revision,
                };
                set_status::apply(tx, viewer, input).await
            }
            Self::Delete => {
                let input = Delete {
                    id,
                    expected_revision,
                };
                delete::apply(tx, viewer, input).await
            }
            Self::Curation(curation) => {
                let decide = |target: Ownership<'_>| viewer.decide(Action::Curate(target));
                match find(tx, viewer, &id, decide, expected_revision).await? {
                    Ok(before) => change(tx, &before, Edit::Curation(curation.clone())).await,
                    Err(outcome) => Ok(outcome),
                }
            }
        }
    }
}

/// Returns an error if the list is too long.
pub(super) fn too_many(ids: &[String]) -> Option<UserError> {
    let (most, current) = (MOST as u64, ids.len() as u64);
    let clause = format!("must have at most {most} ids: it has {current}");
    let error = UserError::new(UserErrorCode::LimitExceeded, IDS, clause);
    (current > most).then(|| error.over(most, current))
}

/// Returns each id once, in order of first occurrence.
pub(super) fn distinct(ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let ids = ids.into_iter();
    ids.filter(|id| seen.insert(id.clone())).collect()
}

/// Moves the errors of one connector to the input's list of ids.
pub(super) fn of_ids(errors: &mut [UserError]) {
    for error in errors {
        if error.field == Some("id") {
            error.field = Some(IDS);
        }
    }
}
