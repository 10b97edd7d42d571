//! Errors of commands that the policy denies.

use crate::{
    domain::viewer::{Action, Denial, User, Viewer},
    error::{Code, Error, Result},
};

/// Returns the user, if the policy allows an action that concerns no connector.
pub(in crate::commands) fn allowed<'a>(viewer: &'a Viewer, action: Action<'_>) -> Result<&'a User> {
    viewer.decide(action).map_err(top_level)?;
    viewer.user().ok_or_else(unauthenticated)
}

/// Returns the top-level error of a denial that concerns the token alone.
pub(in crate::commands) fn top_level(denial: Denial) -> Error {
    match denial {
        Denial::Scope(scope) => Error::new(
            Code::Forbidden,
            format!("the token lacks the scope {scope}: send one that has it"),
        ),
        _ => unauthenticated(),
    }
}

fn unauthenticated() -> Error {
    Error::new(
        Code::Unauthenticated,
        "this operation needs a token: send the header Authorization: Bearer TOKEN",
    )
}
