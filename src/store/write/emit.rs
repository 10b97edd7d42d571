//! Makes the events of changes.
//!
//! Invariant: an event has both sides of its change, in its columns and in its record, as they are when it is made.

use entity::{EventKind, connector_event};
use sea_orm::{ActiveValue::NotSet, Set};

use crate::{
    domain::{
        changes::{FieldChange, Stored},
        listing::Record,
    },
    error::{Error, Result},
    store::write::{Tx, search, side::At},
};

impl Tx {
    /// Records a change of a connector under the next state number, and returns the number. `None` means no connector:
    /// before its creation, or after its deletion.
    pub(super) fn emit(
        &mut self,
        before: Option<At<'_>>,
        after: Option<At<'_>>,
        fields: &[FieldChange],
    ) -> Result<i64> {
        let Some(At { row, .. }) = after.or(before) else {
            return Err(Error::internal("a change of no connector"));
        };
        self.state += 1;
        if self.rehearsal {
            return Ok(self.state);
        }
        let kind = match (before, after) {
            (None, _) => EventKind::Created,
            (Some(_), Some(_)) => EventKind::Updated,
            (Some(_), None) => EventKind::Deleted,
        };
        let record = stored(before, after)?;
        let fields = Stored::of(fields)?;
        let [before, after] = [before, after].map(|side| side.map(|side| side.row));
        self.events.push(connector_event::ActiveModel {
            number: Set(self.state),
            kind: Set(kind),
            personal_connector_id: Set(row.id.clone()),
            r#type: Set(row.r#type),
            type_before: Set(before
                .map(|before| before.r#type)
                .filter(|before| *before != row.r#type)),
            organization_id: Set(row.organization_id.clone()),
            changed_fields: Set(fields.names),
            revision: Set(row.revision),
            actor_id: Set(self.actor.user.clone()),
            actor_organization_id: Set(self.actor.organization.clone()),
            occurred_at: Set(self.now),
            visibility_before: Set(before.map(|row| row.visibility)),
            visibility_after: Set(after.map(|row| row.visibility)),
            created_by_before: Set(before.and_then(|row| row.created_by.clone())),
            created_by_after: Set(after.and_then(|row| row.created_by.clone())),
            category_before: Set(before.and_then(|row| row.category)),
            category_after: Set(after.and_then(|row| row.category)),
            status_before: Set(before.map(|row| row.status)),
            status_after: Set(after.map(|row| row.status)),
            // The commit sets it.
            mark: NotSet,
            changed_values: Set(fields.values),
            record: Set(Some(record)),
        });
        Ok(self.state)
    }
}

/// Returns the stored records of both sides.
fn stored(before: Option<At<'_>>, after: Option<At<'_>>) -> Result<String> {
    let words_after = after.map(At::words);
    let record_before = before.map(|before| {
        // Most changes do not change the words.
        let words = match (after, &words_after) {
            (Some(after), Some(words)) if !search::changed(before.row, after.row) => words.clone(),
            _ => before.words(),
        };
        before.record(words)
    });
    let record_after = after.zip(words_after);
    let record_after = record_after.map(|(after, words)| after.record(words));
    Record::stored(record_before.as_ref(), record_after.as_ref())
}
