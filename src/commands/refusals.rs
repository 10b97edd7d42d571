//! The errors of a command that the policy or the input refuses.

use crate::{
    domain::{
        connector::Errors,
        viewer::{Action, Denial, User, Viewer},
    },
    error::{Code, Error, Result, UserError, UserErrorCode},
};

use super::context::Outcome;

/// The user, when the policy allows what needs no connector.
pub(in crate::commands) fn allowed<'a>(viewer: &'a Viewer, action: Action<'_>) -> Result<&'a User> {
    viewer.decide(action).map_err(top_level)?;
    viewer.user().ok_or_else(unauthenticated)
}

/// The user error where there is no connector of an id, or none in sight.
pub(in crate::commands) fn hidden() -> Result<UserError> {
    denied(Denial::Hidden, "id", "")
}

/// The user error for a denial about a connector; what concerns the token alone is a top-level error.
pub(in crate::commands) fn denied(
    denial: Denial,
    field: &'static str,
    not_yours: &str,
) -> Result<UserError> {
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

pub(in crate::commands) fn refusal(errors: Errors) -> Outcome {
    Outcome {
        connector: None,
        errors: errors.0,
        inspection: None,
    }
}
