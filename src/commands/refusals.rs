//! The errors of a command that the policy refuses.

use crate::{
    domain::viewer::{Action, Denial, User, Viewer},
    error::{Code, Error, Result},
};

/// The user, when the policy allows what needs no connector.
pub(in crate::commands) fn allowed<'a>(viewer: &'a Viewer, action: Action<'_>) -> Result<&'a User> {
    viewer.decide(action).map_err(top_level)?;
    viewer.user().ok_or_else(unauthenticated)
}

/// The error of a denial that concerns the token alone.
pub(in crate::commands) fn top_level(denial: Denial) -> Error {
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
