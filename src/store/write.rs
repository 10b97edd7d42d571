//! Changing the catalogue.
//!
//! Invariant: one writer at a time. A transaction takes the lock of the one `catalog_state` row first, gives each change the
//! next state number, and leaves rows, words, events and number behind together or not at all; so the numbers' order is the
//! commits' order, without gaps, on both databases.

mod names;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use entity::{
    EventKind, Timestamp, catalog_state, connector_event, idempotency_key,
    personal_connector::{self, Column, Model},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, DbErr, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set, sea_query::Expr,
};

use crate::{
    clock::Clock,
    domain::{connector::Availability, cursor::LogPosition, viewer::Sight},
    error::{Error, Result, UserError},
    store::{
        catalog::{by_id, search, visible},
        changes::catalogue_version::VersionTracker,
        checks::health_rows,
        database::{connect::Database, transaction::Transaction},
        errors::{failed, is_of_conflict, violation},
    },
};

/// Rows a statement inserts at most: both databases bound a statement's parameters.
const ROWS_A_STATEMENT: usize = 500;

/// Who makes a change, as its events tell; none for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    pub user: Option<String>,
    pub organization: Option<String>,
}

/// Which `updated_at` a changed row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdatedAt {
    /// The transaction's moment.
    Now,
    /// The one given, which counts as a change of its own.
    Given,
}

/// How often a change runs at most.
const TRIES: usize = 4;

/// Whether a change that failed runs again.
#[derive(Debug, Default)]
pub struct Again {
    failures: usize,
}

impl Again {
    /// Whether another transaction made it fail, and not too often yet.
    pub fn after(&mut self, error: &Error) -> bool {
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

/// Runs a change in a transaction of its own, and again where another transaction made it fail.
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

/// A transaction that changes the catalogue. Dropped without a commit it leaves nothing behind.
#[derive(Debug)]
pub struct Tx {
    tx: Transaction,
    actor: Actor,
    now: Timestamp,
    /// When it became the writer: what others have committed was stamped before, if their clocks agree.
    locked: Timestamp,
    state: i64,
    events: Vec<connector_event::ActiveModel>,
    /// Nothing is written: what would be is only told.
    rehearsal: bool,
    /// Told of the number when it is committed.
    known: Arc<VersionTracker>,
}

impl Tx {
    /// Waits for the writer before, if there is one.
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
            rehearsal: false,
            known: Arc::clone(&database.known),
        })
    }

    /// A transaction that tells what would come of its changes and makes none of them; nobody waits for it. To be rolled
    /// back.
    pub async fn rehearse(database: &Database, now: Timestamp) -> Result<Self> {
        Ok(Self {
            tx: database.begin_rehearsal().await.map_err(failed)?,
            actor: Actor::default(),
            now,
            locked: now,
            state: 0,
            events: Vec::new(),
            rehearsal: true,
            known: Arc::clone(&database.known),
        })
    }

    pub(in crate::store) fn connection(&self) -> &Transaction {
        &self.tx
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub(in crate::store) fn locked(&self) -> Timestamp {
        self.locked
    }

    /// The connectors of these ids that are in sight.
    pub async fn get(&self, sight: &Sight, ids: &[String]) -> Result<Vec<Model>> {
        by_id(sight, ids).all(&self.tx).await.map_err(failed)
    }

    /// Inserts rows, all or none, and gives them back with their numbers; a user error when a constraint refuses one.
    pub async fn insert(&mut self, mut rows: Vec<Model>) -> Result<Result<Vec<Model>, UserError>> {
        for row in &mut rows {
            row.seq = self.emit(EventKind::Created, None, row, &[]);
        }
        if self.rehearsal {
            return Ok(Ok(rows));
        }
        for rows in rows.chunks(ROWS_A_STATEMENT) {
            let models = rows
                .iter()
                .cloned()
                .map(|row| row.into_active_model().reset_all());
            let inserted = personal_connector::Entity::insert_many(models)
                .exec_without_returning(&self.tx)
                .await;
            if let Err(error) = inserted {
                return refused(error);
            }
            search::insert(&self.tx, rows).await.map_err(failed)?;
            health_rows::insert(&self.tx, rows, self.now)
                .await
                .map_err(failed)?;
        }
        Ok(Ok(rows))
    }

    /// Turns the row `before` into `after`, one revision on. Without a difference nothing is written. A user error when a
    /// constraint refuses it.
    pub async fn update(
        &mut self,
        before: &Model,
        mut after: Model,
        updated_at: UpdatedAt,
    ) -> Result<Result<Model, UserError>> {
        let mut fields = changed_fields(before, &after);
        match updated_at {
            UpdatedAt::Now if !fields.is_empty() => after.updated_at = self.now,
            UpdatedAt::Given if before.updated_at != after.updated_at => fields.push("updatedAt"),
            _ => {}
        }
        if fields.is_empty() {
            return self.keep_book(before, after).await.map(Ok);
        }
        after.seq = before.seq;
        after.revision = before.revision + 1;
        if self.rehearsal {
            return Ok(Ok(after));
        }
        let updated =
            personal_connector::Entity::update(after.clone().into_active_model().reset_all())
                .exec(&self.tx)
                .await;
        if let Err(error) = updated {
            return refused(error);
        }
        if health_rows::changed(before, &after) {
            let forgotten = health_rows::forget(&self.tx, &after, self.now);
            fields.extend(forgotten.await.map_err(failed)?);
        }
        if search::changed(before, &after) {
            self.index(&after).await.map_err(failed)?;
        }
        self.emit(EventKind::Updated, Some(before), &after, &fields);
        Ok(Ok(after))
    }

    /// Indexes a row's words anew.
    async fn index(&self, row: &Model) -> Result<(), DbErr> {
        search::delete(&self.tx, row.seq).await?;
        search::insert(&self.tx, std::slice::from_ref(row)).await?;
        let tools = health_rows::tools(&self.tx, row.seq).await?;
        search::index_tools(&self.tx, row, &tools).await
    }

    /// Writes what a row's file last brought, which is no change of the connector.
    async fn keep_book(&self, before: &Model, after: Model) -> Result<Model> {
        let book = |row: &Model| {
            (
                row.source,
                row.source_hash.clone(),
                row.source_status.clone(),
            )
        };
        if self.rehearsal || book(before) == book(&after) {
            return Ok(before.clone());
        }
        let row = personal_connector::ActiveModel {
            seq: Set(before.seq),
            source: Set(after.source),
            source_hash: Set(after.source_hash),
            source_status: Set(after.source_status),
            ..Default::default()
        };
        row.update(&self.tx).await.map_err(failed)
    }

    /// Deletes a row; connectors that it replaces lose their replacement, as changes of their own.
    pub async fn delete(&mut self, row: &Model) -> Result<()> {
        let referrers = visible(&Sight::Everything)
            .filter(Column::ReplacedById.eq(&row.id))
            .order_by_asc(Column::Id)
            .all(&self.tx)
            .await
            .map_err(failed)?;
        for before in referrers {
            // What a file said of it no longer is so, and counts as new when the file says it again.
            let source_status = before.source_status.clone();
            let after = Model {
                replaced_by_id: None,
                source_hash: None,
                source_status: source_status.filter(|said| !names(said, &row.id)),
                ..before.clone()
            };
            self.update(&before, after, UpdatedAt::Now)
                .await?
                .map_err(|refused| Error::internal(refused.message))?;
        }
        search::delete(&self.tx, row.seq).await.map_err(failed)?;
        personal_connector::Entity::delete_by_id(row.seq)
            .exec(&self.tx)
            .await
            .map_err(failed)?;
        self.emit(EventKind::Deleted, Some(row), row, &[]);
        Ok(())
    }

    /// How many custom connectors a creator has.
    pub async fn count_created(&self, user: &str, organization: Option<&str>) -> Result<u64> {
        visible(&Sight::Everything)
            .filter(Column::CreatedBy.eq(user))
            .filter(equals(Column::OrganizationId, organization))
            .count(&self.tx)
            .await
            .map_err(failed)
    }

    /// The connectors whose file was the catalogue's.
    pub async fn from_catalog(&self) -> Result<Vec<Model>> {
        visible(&Sight::Everything)
            .filter(Column::Source.eq(entity::ConnectorSource::Catalog))
            .all(&self.tx)
            .await
            .map_err(failed)
    }

    /// What a creator's key made.
    pub async fn find_key(
        &self,
        (organization, user, key): (&str, &str, &str),
    ) -> Result<Option<idempotency_key::Model>> {
        let id = (organization.to_owned(), user.to_owned(), key.to_owned());
        idempotency_key::Entity::find_by_id(id)
            .one(&self.tx)
            .await
            .map_err(failed)
    }

    /// Forgets keys that were made more than `lifetime` before `now`. What is stamped later than `now` counts as made now.
    pub async fn forget_keys(&self, now: Timestamp, lifetime: Duration) -> Result<()> {
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

    /// Keeps a key.
    pub async fn keep_key(&self, key: idempotency_key::Model) -> Result<()> {
        let keep = async {
            idempotency_key::Entity::insert(key.into_active_model().reset_all())
                .exec_without_returning(&self.tx)
                .await
        };
        keep.await.map(drop).map_err(failed)
    }

    /// Makes it all last; gives the catalogue's state number.
    pub async fn commit(mut self) -> Result<i64> {
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
                catalog_state::ActiveModel {
                    id: Set(1),
                    state: Set(self.state),
                    ..Default::default()
                }
                .update(&self.tx)
                .await?;
            }
            self.tx.commit(changes.then_some(self.state)).await
        };
        commit.await.map_err(failed)?;
        if let Some(mark) = last {
            let number = self.state;
            self.known.commit(LogPosition { number, mark });
        }
        Ok(self.state)
    }

    /// Leaves nothing behind, and waits until that is so.
    pub async fn rollback(self) {
        self.tx.rollback().await;
    }

    /// Records a change under the next state number, and gives that.
    pub(in crate::store) fn emit(
        &mut self,
        kind: EventKind,
        before: Option<&Model>,
        row: &Model,
        fields: &[&str],
    ) -> i64 {
        self.state += 1;
        let after = (kind != EventKind::Deleted).then_some(row);
        self.events.push(connector_event::ActiveModel {
            number: Set(self.state),
            kind: Set(kind),
            personal_connector_id: Set(row.id.clone()),
            r#type: Set(row.r#type),
            type_before: Set(before
                .map(|before| before.r#type)
                .filter(|before| *before != row.r#type)),
            organization_id: Set(row.organization_id.clone()),
            changed_fields: Set(serde_json::json!(fields).to_string()),
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
            // Set by the commit.
            mark: NotSet,
        });
        self.state
    }
}

/// Whether a file's word on a status names this replacement.
fn names(source_status: &str, replacement: &str) -> bool {
    serde_json::from_str::<Availability>(source_status)
        .is_ok_and(|said| said.replaced_by.as_deref() == Some(replacement))
}

fn equals(column: Column, value: Option<&str>) -> sea_orm::sea_query::SimpleExpr {
    value.map_or_else(|| column.is_null(), |value| column.eq(value))
}

fn refused<T>(error: DbErr) -> Result<Result<T, UserError>> {
    violation(&error).map_or_else(|| Err(failed(error)), |user_error| Ok(Err(user_error)))
}

/// The GraphQL names of the fields that differ; `revision` follows from them.
fn changed_fields(before: &Model, after: &Model) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("type", before.r#type != after.r#type),
        ("connectorId", before.connector_id != after.connector_id),
        ("description", before.description != after.description),
        ("iconUrl", before.icon_url != after.icon_url),
        ("category", before.category != after.category),
        ("version", before.version != after.version),
        ("status", before.status != after.status),
        (
            "statusMessage",
            before.status_message != after.status_message,
        ),
        ("replacedBy", before.replaced_by_id != after.replaced_by_id),
        ("serverUrl", before.server_url != after.server_url),
        ("serverType", before.server_type != after.server_type),
        ("metadata", before.metadata != after.metadata),
        ("visibility", before.visibility != after.visibility),
        (
            "organizationId",
            before.organization_id != after.organization_id,
        ),
        ("createdBy", before.created_by != after.created_by),
        ("createdAt", before.created_at != after.created_at),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
    .collect()
}
