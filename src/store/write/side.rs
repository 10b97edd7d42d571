//! A connector on one side of a change.

use entity::{Outcome, connector_health, personal_connector::Model};

use crate::{
    domain::{
        inspection::is_checkable,
        listing::{Record, Words},
        server_address,
    },
    store::write::search,
};

/// The part of a connector's health that its events contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// None before the first check.
    pub(super) outcome: Option<Outcome>,
    pub(super) has_tools: bool,
}

impl Found {
    pub(super) fn of(health: &connector_health::Model) -> Self {
        Self {
            outcome: health.outcome,
            has_tools: health.tool_count > 0,
        }
    }
}

/// A connector on one side of a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) row: &'a Model,
    pub(super) found: Found,
}

impl At<'_> {
    pub(super) fn words(self) -> Words {
        Words::of(search::fields(self.row).into_iter().flatten())
    }

    pub(super) fn record(self, words: Words) -> Record {
        let Self { row, found } = self;
        let server_url = row.server_url.as_deref();
        let unchecked = !is_checkable(server_url, row.server_type);
        Record {
            server_type: row.server_type,
            connector_id: row.connector_id.clone(),
            name_key: row.name_key.clone(),
            words: Some(words),
            address: server_url.and_then(server_address::of_url),
            created_at: row.created_at,
            updated_at: row.updated_at,
            outcome: found
                .outcome
                .or_else(|| unchecked.then_some(Outcome::NotCheckable)),
            has_tools: found.has_tools,
        }
    }
}
