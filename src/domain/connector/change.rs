//! Requested changes of a connector's availability.

use entity::ConnectorStatus;
use serde::{Deserialize, Serialize};

use crate::{domain::field_values, error::UserErrorCode};

use super::{Errors, patch::Patch};

/// The most replacements in a chain.
pub(crate) const REPLACEMENTS: usize = 32;

/// The input field that names a replacement.
pub(crate) const REPLACED_BY: &str = "replacedById";

/// A requested change of a connector's availability.
#[derive(Clone, Debug)]
pub(crate) struct StatusChange {
    pub(crate) status: ConnectorStatus,
    pub(crate) message: Patch<String>,
    pub(crate) replaced_by: Patch<String>,
}

/// A connector's availability, with its notice for users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    pub(crate) status: ConnectorStatus,
    pub(crate) message: Option<String>,
    pub(crate) replaced_by: Option<String>,
}

impl StatusChange {
    /// Applies the change to the present availability. A replacement requires the status DEPRECATED.
    pub(crate) fn apply(&self, present: &Availability) -> Availability {
        let replaced_by = match &self.replaced_by {
            Patch::Keep if self.status != ConnectorStatus::Deprecated => None,
            change => change.apply(present.replaced_by.as_ref()),
        };
        Availability {
            status: self.status,
            message: self.message.apply(present.message.as_ref()),
            replaced_by,
        }
    }
}

impl Availability {
    /// The availability of a new connector: active, without message and replacement.
    pub const ACTIVE: Self = Self {
        status: ConnectorStatus::Active,
        message: None,
        replaced_by: None,
    };

    /// Checks all rules that concern no other connector; `id` is the connector's own.
    pub(crate) fn parse(self, id: &str, errors: &mut Errors) -> Option<Self> {
        let before = errors.0.len();
        if let Some(message) = &self.message {
            errors.take(field_values::status_message(message));
        }
        if let Some(replacement) = &self.replaced_by {
            if self.status != ConnectorStatus::Deprecated {
                errors.push(
                    UserErrorCode::Invalid,
                    REPLACED_BY,
                    "must be left out unless the status is DEPRECATED",
                );
            }
            if replacement == id {
                errors.push(
                    UserErrorCode::Invalid,
                    REPLACED_BY,
                    "must be another connector",
                );
            }
        }
        (errors.0.len() == before).then_some(self)
    }
}
