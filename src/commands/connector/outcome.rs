//! The outcome of a connector's command, and its user errors.

use entity::personal_connector::Model;

use crate::{
    commands::refusals::top_level,
    domain::{connector::Errors, cursor::LogPosition, inspection::Inspection, viewer::Denial},
    error::{Result, UserError, UserErrorCode},
};

/// The result of a command: the connector as it is now, or the errors of the input; both on a conflict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connector: Option<Model>,
    pub(crate) errors: Vec<UserError>,
    /// The inspection of the server, if it was asked for.
    pub(crate) inspection: Option<Box<Inspection>>,
    /// The position of the last change that was written, if there is one.
    pub(crate) position: Option<LogPosition>,
}

/// The outcome of an input that is refused.
pub(super) fn refusal(errors: Errors) -> Outcome {
    Outcome {
        connector: None,
        errors: errors.0,
        ..Outcome::default()
    }
}

/// Returns the user error for an unknown or invisible connector.
pub(super) fn hidden() -> Result<UserError> {
    denied(Denial::Hidden, "id", "")
}

/// Returns the user error for a denial about a connector. A denial about the token alone becomes a top-level error.
pub(super) fn denied(denial: Denial, field: &'static str, not_yours: &str) -> Result<UserError> {
    match denial {
        Denial::Hidden => Ok(UserError::new(
            UserErrorCode::NotFound,
            field,
            "there is no connector with this id, or you may not see it",
        )),
        Denial::NotCustom => Ok(UserError::new(
            UserErrorCode::Forbidden,
            field,
            "this mutation changes only custom connectors",
        )),
        Denial::IsCustom => Ok(UserError::new(
            UserErrorCode::Forbidden,
            field,
            "the connector is custom: change its own values by updateCustomConnector",
        )),
        Denial::ScopeOfType(scope) => Ok(UserError::new(
            UserErrorCode::Forbidden,
            field,
            format!("connectors of this type need the scope {scope}"),
        )),
        Denial::NotYours | Denial::NoOrganization | Denial::LimitReached => {
            Ok(UserError::new(UserErrorCode::Forbidden, field, not_yours))
        }
        Denial::Unauthenticated | Denial::Scope(_) => Err(top_level(denial)),
    }
}
