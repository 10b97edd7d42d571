//! Changes the catalogue.
//!
//! Invariant: there is one writer at a time. A transaction first locks the one row of `catalog_state`, and gives each
//! change the next state number. It commits rows, words, events and number together or not at all. So the order of the
//! numbers is the order of the commits, without gaps, on both databases.

mod emit;
mod health_rows;
pub(in crate::store) mod lease;
mod names;
mod profile;
pub(in crate::store) mod record_check;
pub(in crate::store) mod retention;
mod search;
mod side;
mod vocabulary;

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use entity::{
    Timestamp, UserKey, catalog_state, connector_event, idempotency_key,
    personal_connector::{self, Column, Model},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set, sea_query::Expr,
};

use crate::{
    clock::Clock,
    domain::{
        changes::Event,
        connector::{Availability, Edit, Import, NewConnector},
        cursor::LogPosition,
        field::Field,
        viewer::{Owner, Profile, Sight, User},
    },
    error::{Error, Result, UserError},
    store::{
        catalog::{by_id, filter::owned_by, rows, visible},
        changes::events::{event, raising},
        database::{
            connect::Database,
            transaction::{ROWS_A_STATEMENT, Transaction},
        },
        errors::{failed, is_of_conflict, violation},
        memory::catalogue_version::VersionTracker,
        write::{
            side::{At, Found},
            vocabulary::{Fields, Vocabulary},
        },
    },
};

/// The most events that a conflict reports. The writer that reads them delays others.
const CONFLICT_EVENTS: u64 = 100;

/// The author of a change, as its events store it; none for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user's id.
    pub user: Option<String>,
    /// The user's organization. Its members see the author.
    pub organization: Option<String>,
    /// The user's name and picture. The first change with them stores them.
    pub profile: Profile,
}

impl Actor {
    pub(crate) fn of(user: &User) -> Self {
        Self {
            user: Some(user.id.clone()),
            organization: user.organization.clone(),
            profile: user.profile.clone(),
        }
    }

    fn key(&self) -> Option<UserKey> {
        let organization = self.organization.clone();
        let id = self.user.clone()?;
        Some(UserKey { organization, id })
    }
}

/// The `updated_at` of a changed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpdatedAt {
    /// The time of the transaction.
    Now,
    /// The given time. It counts as a change of its own.
    Given,
}

/// The most attempts of a change.
const TRIES: usize = 4;

/// Decides whether a failed change runs again.
#[derive(Debug, Default)]
pub struct Again {
    failures: usize,
}

impl Again {
    /// Returns whether another transaction caused the failure, and attempts are left.
    pub(crate) fn after(&mut self, error: &Error) -> bool {
        self.failures += 1;
        let runs = self.failures < TRIES && is_of_conflict(error);
        if runs {
            tracing::debug!(
                failures = self.failures,
                "a change runs again: another transaction made it fail"
            );
        }
        runs
    }
}

/// Runs a change in a transaction of its own. Runs it again if another transaction made it fail.
pub async fn retry<T, F>(change: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut again = Again::default();
    loop {
        match change().await {
            Err(error) if again.after(&error) => {}
            done => return done,
        }
    }
}

/// A transaction that changes the catalogue. Without a commit it has no effect.
#[derive(Debug)]
pub struct Tx {
    tx: Transaction,
    actor: Actor,
    now: Timestamp,
    /// The time at which it became the writer. Earlier commits have earlier times, if the clocks agree.
    locked: Timestamp,
    state: i64,
    events: Vec<connector_event::ActiveModel>,
    vocabulary: Vocabulary,
    /// Whether nothing is written, and the result is only reported.
    rehearsal: bool,
    /// Notified of the number after the commit.
    known: Arc<VersionTracker>,
}

impl Tx {
    /// Waits for the earlier writer, if there is one.
    pub async fn begin(database: &Database, actor: Actor, now: Timestamp) -> Result<Self> {
        let asked = Instant::now();
        let begin = async {
            let tx = database.begin_write().await?;
            let state = catalog_state::Entity::find_by_id(1)
                .lock_exclusive()
                .one(&tx)
                .await?
                .ok_or(DbErr::RecordNotFound("catalog_state".to_owned()))?
                .state;
            Ok((tx, state))
        };
        let (tx, state) = begin.await.map_err(failed)?;
        Ok(Self {
            tx,
            actor,
            now,
            locked: now.saturating_add(asked.elapsed()),
            state,
            events: Vec::new(),
            vocabulary: Vocabulary::default(),
            rehearsal: false,
            known: Arc::clone(&database.known),
        })
    }

    /// Begins a transaction that reports the result of its changes and makes none of them. Others do not wait for it.
    /// The caller rolls it back.
    pub(crate) async fn rehearse(database: &Database, now: Timestamp) -> Result<Self> {
        Ok(Self {
            tx: database.begin_rehearsal().await.map_err(failed)?,
            actor: Actor::default(),
            now,
            locked: now,
            state: 0,
            events: Vec::new(),
            vocabulary: Vocabulary::default(),
            rehearsal: true,
            known: Arc::clone(&database.known),
        })
    }

    pub(in crate::store) fn connection(&self) -> &Transaction {
        &self.tx
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(in crate::store) fn locked(&self) -> Timestamp {
        self.locked
    }

    /// Returns the visible connectors with these ids.
    pub async fn get(&self, sight: &Sight, ids: &[String]) -> Result<Vec<Model>> {
        by_id(sight, ids).all(&self.tx).await.map_err(failed)
    }

    /// Returns the last events that raised a connector above a revision, in order: at most [`CONFLICT_EVENTS`].
    pub(crate) async fn events_above(&self, id: &str, revision: i64) -> Result<Vec<Event>> {
        let rows = raising(id, revision, CONFLICT_EVENTS).all(&self.tx).await;
        rows.map_err(failed)?.into_iter().rev().map(event).collect()
    }

    /// Inserts a connector. Returns a user error if a constraint refuses it.
    pub(crate) async fn insert(&mut self, new: NewConnector) -> Result<Result<Model, UserError>> {
        let row = rows::created(new, self.now);
        match self
            .insert_rows(vec![row])
            .await?
            .map(|mut rows| rows.pop())
        {
            Ok(Some(row)) => Ok(Ok(row)),
            Ok(None) => Err(Error::internal("an insert without its row")),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Inserts connectors of a file, all or none, and returns them with their numbers. Returns a user error if a
    /// constraint refuses one.
    pub async fn insert_imports(
        &mut self,
        new: Vec<Import>,
    ) -> Result<Result<Vec<Model>, UserError>> {
        let now = self.now;
        let new = new.into_iter();
        let rows = new.map(|import| rows::imported(None, import, now));
        self.insert_rows(rows.collect()).await
    }

    /// Returns the rows with their numbers.
    async fn insert_rows(&mut self, mut rows: Vec<Model>) -> Result<Result<Vec<Model>, UserError>> {
        for row in &mut rows {
            let created = At {
                row,
                found: Found::default(),
            };
            row.seq = self.emit(None, Some(created), &[])?;
        }
        if self.rehearsal {
            return Ok(Ok(rows));
        }
        for rows in rows.chunks(ROWS_A_STATEMENT) {
            let fields: Vec<_> = rows.iter().map(search::fields).collect();
            let backend = self.tx.get_database_backend();
            let insert = search::with_words(rows, &fields, backend).map_err(failed)?;
            if let Err(error) = self.tx.execute(&insert).await {
                return refused(error);
            }
            search::insert(&self.tx, rows, &fields)
                .await
                .map_err(failed)?;
            for (row, fields) in rows.iter().zip(&fields) {
                self.vocabulary.add(row, fields);
            }
            health_rows::insert(&self.tx, rows, self.now)
                .await
                .map_err(failed)?;
        }
        Ok(Ok(rows))
    }

    /// Changes a connector, and raises its revision by one. Writes nothing without a difference. Returns a user error
    /// if a constraint refuses it.
    pub async fn update(&mut self, before: &Model, edit: Edit) -> Result<Result<Model, UserError>> {
        let is_given = match &edit {
            Edit::Import(import) => import.entry.updated_at.is_some(),
            Edit::Link(..) => true,
            Edit::Details(..) | Edit::Availability(_) | Edit::Curation(_) => false,
        };
        let updated_at = if is_given {
            UpdatedAt::Given
        } else {
            UpdatedAt::Now
        };
        let after = rows::edited(before, edit, self.now);
        self.update_row(before, after, updated_at).await
    }

    async fn update_row(
        &mut self,
        before: &Model,
        mut after: Model,
        updated_at: UpdatedAt,
    ) -> Result<Result<Model, UserError>> {
        let mut fields = rows::changed_fields(before, &after);
        match updated_at {
            UpdatedAt::Now if !fields.is_empty() => after.updated_at = self.now,
            UpdatedAt::Given if before.updated_at != after.updated_at => {
                fields.push(rows::changed_field(Field::UpdatedAt, before, &after));
            }
            _ => {}
        }
        if fields.is_empty() {
            return self.update_source(before, after).await.map(Ok);
        }
        after.seq = before.seq;
        after.revision = before.revision + 1;
        if self.rehearsal {
            return Ok(Ok(after));
        }
        let words_changed = search::changed(before, &after);
        let fields_after = search::fields(&after);
        let words = words_changed.then_some(&fields_after);
        let found_before = match health_rows::update(&self.tx, &after, words).await {
            Ok(found) => found,
            Err(error) => return refused(error),
        };
        let mut found = found_before;
        if health_rows::changed(before, &after) {
            let forgotten = health_rows::forget(&self.tx, &after, self.now, found_before);
            fields.extend(forgotten.await.map_err(failed)?);
            found = Found::default();
        }
        if words_changed || before.visibility != after.visibility {
            self.vocabulary.remove(before, &search::fields(before));
            self.vocabulary.add(&after, &fields_after);
            if words_changed {
                self.index(&after, fields_after).await.map_err(failed)?;
            }
        }
        let before = At {
            row: before,
            found: found_before,
        };
        let row = &after;
        self.emit(Some(before), Some(At { row, found }), &fields)?;
        Ok(Ok(after))
    }

    /// Indexes a row's words again.
    async fn index(&self, row: &Model, fields: Fields) -> Result<(), DbErr> {
        search::delete(&self.tx, row.seq).await?;
        search::insert(&self.tx, slice::from_ref(row), &[fields]).await?;
        let tools = health_rows::tools(&self.tx, row.seq).await?;
        search::index_tools(&self.tx, row, &tools).await
    }

    /// Stores the last entry of a row's file, which is no change of the connector.
    async fn update_source(&self, before: &Model, after: Model) -> Result<Model> {
        let source = |row: &Model| {
            (
                row.source,
                row.source_hash.clone(),
                row.source_status.clone(),
                row.category_source,
            )
        };
        if self.rehearsal || source(before) == source(&after) {
            return Ok(before.clone());
        }
        let row = personal_connector::ActiveModel {
            seq: Set(before.seq),
            source: Set(after.source),
            source_hash: Set(after.source_hash),
            source_status: Set(after.source_status),
            category_source: Set(after.category_source),
            ..Default::default()
        };
        row.update(&self.tx).await.map_err(failed)
    }

    /// Deletes a row. Connectors that it replaces lose their replacement, each by a change of its own.
    pub async fn delete(&mut self, row: &Model) -> Result<()> {
        let referrers = visible(&Sight::Everything)
            .filter(Column::ReplacedById.eq(&row.id))
            .order_by_asc(Column::Id)
            .all(&self.tx)
            .await
            .map_err(failed)?;
        for before in referrers {
            // The file's status no longer applies. If the file has it again, it counts as new.
            let source_status = before.source_status.clone();
            let after = Model {
                replaced_by_id: None,
                source_hash: None,
                source_status: source_status.filter(|said| !names(said, &row.id)),
                ..before.clone()
            };
            self.update_row(&before, after, UpdatedAt::Now)
                .await?
                .map_err(|refused| Error::internal(refused.named()))?;
        }
        let found = health_rows::found(&self.tx, row.seq);
        let found = found.await.map_err(failed)?;
        search::delete(&self.tx, row.seq).await.map_err(failed)?;
        self.vocabulary.remove(row, &search::fields(row));
        personal_connector::Entity::delete_by_id(row.seq)
            .exec(&self.tx)
            .await
            .map_err(failed)?;
        self.emit(Some(At { row, found }), None, &[])?;
        Ok(())
    }

    /// Returns the number of an owner's connectors.
    pub(crate) async fn count_owned(&self, owner: &Owner) -> Result<u64> {
        visible(&Sight::Everything)
            .filter(owned_by(owner))
            .count(&self.tx)
            .await
            .map_err(failed)
    }

    /// Returns the connectors that came from the catalogue file.
    pub(crate) async fn of_catalog(&self) -> Result<Vec<Model>> {
        visible(&Sight::Everything)
            .filter(Column::Source.eq(entity::ConnectorSource::Catalog))
            .all(&self.tx)
            .await
            .map_err(failed)
    }

    /// Returns the connector that was created with a creator's key.
    pub(crate) async fn find_key(
        &self,
        (organization, user, key): (&str, &str, &str),
    ) -> Result<Option<idempotency_key::Model>> {
        let id = (organization.to_owned(), user.to_owned(), key.to_owned());
        idempotency_key::Entity::find_by_id(id)
            .one(&self.tx)
            .await
            .map_err(failed)
    }

    /// Deletes keys that are older than `lifetime` at `now`. A time later than `now` counts as now.
    pub(crate) async fn forget_keys(&self, now: Timestamp, lifetime: Duration) -> Result<()> {
        use idempotency_key::{Column::CreatedAt, Entity};

        let forget = async {
            Entity::delete_many()
                .filter(CreatedAt.lte(now.saturating_sub(lifetime)))
                .exec(&self.tx)
                .await?;
            Entity::update_many()
                .col_expr(CreatedAt, Expr::value(now))
                .filter(CreatedAt.gt(now))
                .exec(&self.tx)
                .await
        };
        forget.await.map(drop).map_err(failed)
    }

    /// Stores a key.
    pub(crate) async fn keep_key(&self, key: idempotency_key::Model) -> Result<()> {
        let keep = async {
            idempotency_key::Entity::insert(key.into_active_model().reset_all())
                .exec_without_returning(&self.tx)
                .await
        };
        keep.await.map(drop).map_err(failed)
    }

    /// Commits. Returns the position of the last change, if there is one.
    pub async fn commit(mut self) -> Result<Option<LogPosition>> {
        let changes = !self.events.is_empty();
        let mut last = None;
        for event in &mut self.events {
            let mark = Clock::new_mark().map_err(Error::internal)?;
            event.mark = Set(mark);
            last = Some(mark);
        }
        let commit = async {
            if changes {
                for events in self.events.chunks(ROWS_A_STATEMENT) {
                    connector_event::Entity::insert_many(events.to_vec())
                        .exec_without_returning(&self.tx)
                        .await?;
                }
                self.vocabulary.write(&self.tx, self.state).await?;
                catalog_state::ActiveModel {
                    id: Set(1),
                    state: Set(self.state),
                    ..Default::default()
                }
                .update(&self.tx)
                .await?;
                if let Some(user) = self.actor.key() {
                    profile::keep(&self.tx, &user, &self.actor.profile, self.state).await?;
                }
            }
            self.tx.commit(changes.then_some(self.state)).await
        };
        commit.await.map_err(failed)?;
        let number = self.state;
        let last = last.map(|mark| LogPosition { number, mark });
        if let Some(last) = last {
            self.known.commit(last);
        }
        Ok(last)
    }

    /// Rolls back, and waits for the end.
    pub async fn rollback(self) {
        self.tx.rollback().await;
    }
}

/// Returns whether a file's status names this replacement.
fn names(source_status: &str, replacement: &str) -> bool {
    serde_json::from_str::<Availability>(source_status)
        .is_ok_and(|said| said.replaced_by.as_deref() == Some(replacement))
}

fn refused<T>(error: DbErr) -> Result<Result<T, UserError>> {
    violation(&error).map_or_else(|| Err(failed(error)), |user_error| Ok(Err(user_error)))
}
