//! What checks of connectors' servers found, and when the next ones are due.
//!
//! Invariant: a check is kept for the server that was checked, as the connector has it, and never over a later one. It changes
//! neither the connector's revision nor when it was updated; a change of the outcome or of the tools is one of the catalogue.

use std::collections::HashMap;

use entity::{
    EventKind, ServerType, Timestamp, connector_check, connector_health, connector_tool,
    personal_connector::{Column, Model},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, IntoActiveModel,
    Iterable, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict, Order},
};
use sha2::{Digest, Sha256};

use crate::store::{
    catalog::{search, visible},
    database::{connect::Database, sqlite_readers::Pace, transaction::Transaction},
    errors::failed,
    write::Tx,
};
use crate::{
    domain::{
        inspection::{BACKOFFS, Inspection, Schedule, ServerInfo, Tool, is_alive, is_checkable},
        viewer::Sight,
    },
    error::{Error, Result},
};

/// Tools that a statement inserts at most: their schemas may be long.
const TOOLS_A_STATEMENT: usize = 100;

/// A server to check: a connector's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub personal_connector_id: String,
    pub server_url: Option<String>,
    pub server_type: Option<ServerType>,
}

impl Target {
    pub fn of(connector: &Model) -> Self {
        Self {
            personal_connector_id: connector.id.clone(),
            server_url: connector.server_url.clone(),
            server_type: connector.server_type,
        }
    }
}

/// What was found of a target.
#[derive(Clone, Debug)]
pub struct Check {
    pub target: Target,
    pub found: Inspection,
}

/// Where a target stands among those that are due: since when it is, and its connector's number.
pub type Place = (Timestamp, i64);

impl Database {
    /// The first targets after a place that are due, those that have waited longest before the others.
    pub async fn due(
        &self,
        now: Timestamp,
        after: Option<Place>,
        limit: u64,
    ) -> Result<Vec<(Place, Target)>> {
        use connector_health::{Column::NextCheckAt, Entity};

        let number = || Expr::col((Entity, connector_health::Column::Seq));
        let mut beyond = Condition::all().add(NextCheckAt.lte(now));
        if let Some((since, seq)) = after {
            beyond = beyond
                .add(NextCheckAt.gte(since))
                .add(NextCheckAt.gt(since).or(number().gt(seq)));
        }
        let select = visible(&Sight::Everything)
            .select_only()
            .columns([Column::Id, Column::ServerUrl, Column::ServerType])
            .filter(beyond)
            .limit(limit)
            .into_query()
            .expr(NextCheckAt.into_expr())
            .expr(number())
            .inner_join(Entity, number().eq(Column::Seq.into_expr()))
            .order_by_expr(NextCheckAt.into_expr(), Order::Asc)
            .order_by_expr(number(), Order::Asc)
            .take();
        let rows = self.reader.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            let target = Target {
                personal_connector_id: cells.next()?,
                server_url: cells.next()?,
                server_type: cells.next()?,
            };
            Ok(((cells.next()?, cells.next()?), target))
        });
        rows.await
    }

    /// When the first target is due that is not yet.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        use connector_health::{Column::NextCheckAt, Entity};

        let select = Entity::find()
            .select_only()
            .column(NextCheckAt)
            .filter(NextCheckAt.gt(now))
            .order_by_asc(NextCheckAt)
            .limit(1)
            .into_query();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next());
        Ok(rows.await?.pop())
    }

    /// Numbers of connectors that would be checked too late, by a clock that says `now`: they were checked in the future, or
    /// are due later than the schedule says. Of those that are due later than `after`.
    pub async fn postponed(
        &self,
        now: Timestamp,
        schedule: Schedule,
        after: Timestamp,
        limit: u64,
    ) -> Result<Vec<i64>> {
        use connector_health::{
            Column::{CheckedAt, Failures, NextCheckAt, Seq},
            Entity,
        };

        let mut postponed = Condition::any()
            .add(CheckedAt.is_null())
            .add(CheckedAt.gt(now));
        for failures in 0..=i64::from(BACKOFFS) {
            let latest = schedule.latest(now, failures);
            let many = if failures < i64::from(BACKOFFS) {
                Failures.eq(failures)
            } else {
                Failures.gte(failures)
            };
            postponed = postponed.add(many.and(NextCheckAt.gt(latest)));
        }
        let select = Entity::find()
            .select_only()
            .column(Seq)
            .filter(NextCheckAt.gt(after))
            .filter(postponed)
            .limit(limit)
            .into_query();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next());
        rows.await
    }
}

impl Tx {
    /// Has connectors checked at once that are checked at all.
    pub async fn make_due(&self, seqs: &[i64]) -> Result<()> {
        use connector_health::{
            Column::{NextCheckAt, Seq},
            Entity,
        };

        let update = Entity::update_many()
            .col_expr(NextCheckAt, Expr::value(self.now()))
            .filter(Seq.is_in(seqs.iter().copied()))
            .filter(NextCheckAt.is_not_null());
        update
            .exec(self.connection())
            .await
            .map(drop)
            .map_err(failed)
    }

    /// Keeps what was found, unless the connector is gone, has another server, or was checked since. Gives how many were kept.
    ///
    /// A time that is still to come is no check's: what is kept is stamped now at the latest, and takes the place of a check
    /// that is stamped later.
    pub async fn record(&mut self, checks: &[Check], schedule: Schedule) -> Result<usize> {
        let ids = checks
            .iter()
            .map(|check| &check.target.personal_connector_id);
        let rows = visible(&Sight::Everything)
            .filter(Column::Id.is_in(ids))
            .all(self.connection())
            .await
            .map_err(failed)?;
        let seqs = rows.iter().map(|row| row.seq);
        let known = connector_health::Entity::find()
            .filter(connector_health::Column::Seq.is_in(seqs))
            .all(self.connection())
            .await
            .map_err(failed)?;
        let mut known: HashMap<_, _> = known.into_iter().map(|row| (row.seq, row)).collect();
        let rows: HashMap<_, _> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut kept = 0;
        for Check { target, found } in checks {
            let row = rows.get(&target.personal_connector_id);
            let Some(row) = row.filter(|row| Target::of(row) == *target) else {
                continue;
            };
            let before = known.remove(&row.seq);
            let before = before.unwrap_or_else(|| unchecked(row.seq, None));
            let now = self.locked();
            let checked_at = Ord::min(found.checked_at, now);
            if before
                .checked_at
                .is_some_and(|at| checked_at < at && at <= now)
            {
                continue;
            }
            let after = self.keep(row, &before, found, checked_at, schedule).await?;
            known.insert(row.seq, after);
            kept += 1;
        }
        Ok(kept)
    }

    /// Keeps what was found of a connector's server.
    async fn keep(
        &mut self,
        row: &Model,
        before: &connector_health::Model,
        found: &Inspection,
        checked_at: Timestamp,
        schedule: Schedule,
    ) -> Result<connector_health::Model> {
        let after = health(row, before, found, checked_at, schedule)?;
        let mut fields = Vec::new();
        if before.outcome != after.outcome {
            fields.push("health");
        }
        let tools_differ = before.tools_digest != after.tools_digest;
        // That there are none is nothing new where none were known.
        if tools_differ && !(before.tools_digest.is_none() && found.tools.is_empty()) {
            fields.push("tools");
        }
        let check = connector_check::Model {
            seq: row.seq,
            checked_at,
            outcome: found.outcome,
            message: found.message.clone(),
            latency_ms: after.latency_ms,
        };
        let write = async {
            upsert(self.connection(), after.clone()).await?;
            if before.checked_at >= Some(checked_at) {
                // A clock that is before the connector's creation says nothing of the other checks.
                let until = if checked_at >= row.created_at {
                    Timestamp(i64::MAX)
                } else {
                    checked_at
                };
                forget_between(self.connection(), row.seq, checked_at, until).await?;
            }
            remember(self.connection(), check, schedule.history).await?;
            if tools_differ {
                replace_tools(self.connection(), row, &found.tools).await?;
            }
            Ok(())
        };
        write.await.map_err(failed)?;
        if !fields.is_empty() {
            self.emit(EventKind::Updated, Some(row), row, &fields);
        }
        Ok(after)
    }
}

/// Has new connectors' servers checked.
pub(in crate::store) async fn insert(
    tx: &Transaction,
    rows: &[Model],
    now: Timestamp,
) -> Result<(), DbErr> {
    let due: Vec<_> = rows
        .iter()
        .filter(|row| is_checkable(row.server_url.as_deref(), row.server_type))
        .map(|row| unchecked(row.seq, Some(now)))
        .map(|row| row.into_active_model().reset_all())
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    connector_health::Entity::insert_many(due)
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// Forgets what was found of the server that a connector had, and has the new one checked. Gives the GraphQL names of the fields
/// that are others by that.
pub(in crate::store) async fn forget(
    tx: &Transaction,
    row: &Model,
    now: Timestamp,
) -> Result<Vec<&'static str>, DbErr> {
    let before = connector_health::Entity::find_by_id(row.seq)
        .one(tx)
        .await?;
    let is_checkable = is_checkable(row.server_url.as_deref(), row.server_type);
    upsert(tx, unchecked(row.seq, is_checkable.then_some(now))).await?;
    connector_check::Entity::delete_many()
        .filter(connector_check::Column::Seq.eq(row.seq))
        .exec(tx)
        .await?;
    let tools = replace_tools(tx, row, &[]).await?;
    let had_outcome = before.is_some_and(|before| before.outcome.is_some());
    let fields = [("health", had_outcome), ("tools", tools > 0)].into_iter();
    Ok(fields
        .filter_map(|(field, had)| had.then_some(field))
        .collect())
}

/// Whether a change of the row makes it another server's.
pub(in crate::store) fn changed(before: &Model, after: &Model) -> bool {
    (&before.server_url, before.server_type) != (&after.server_url, after.server_type)
}

/// The tools that are kept of a connector.
pub(in crate::store) async fn tools(
    tx: &Transaction,
    seq: i64,
) -> Result<Vec<connector_tool::Model>, DbErr> {
    connector_tool::Entity::find()
        .filter(connector_tool::Column::Seq.eq(seq))
        .order_by_asc(connector_tool::Column::Name)
        .all(tx)
        .await
}

fn unchecked(seq: i64, next_check_at: Option<Timestamp>) -> connector_health::Model {
    connector_health::Model {
        seq,
        outcome: None,
        message: None,
        checked_at: None,
        latency_ms: None,
        transport: None,
        protocol_version: None,
        server_info: None,
        authorization_servers: None,
        tools_digest: None,
        failures: 0,
        next_check_at,
    }
}

/// A connector's health after a check. What could not be listed this time is as it was.
fn health(
    row: &Model,
    before: &connector_health::Model,
    found: &Inspection,
    checked_at: Timestamp,
    schedule: Schedule,
) -> Result<connector_health::Model> {
    let failures = if is_alive(found.outcome) {
        0
    } else {
        before.failures.saturating_add(1)
    };
    let info = |server: &ServerInfo| serde_json::to_string(server).map_err(Error::internal);
    let issuers = serde_json::to_string(&found.authorization_servers).map_err(Error::internal)?;
    let digest = if found.tools_listed {
        Some(digest(&found.tools)?)
    } else {
        before.tools_digest.clone()
    };
    Ok(connector_health::Model {
        seq: row.seq,
        outcome: Some(found.outcome),
        message: Some(found.message.clone()),
        checked_at: Some(checked_at),
        latency_ms: found.latency_ms.and_then(|millis| millis.try_into().ok()),
        transport: found.transport,
        protocol_version: found.protocol_version.clone(),
        server_info: found.server_info.as_ref().map(info).transpose()?,
        authorization_servers: Some(issuers),
        tools_digest: digest,
        failures,
        next_check_at: is_checkable(row.server_url.as_deref(), row.server_type)
            .then(|| schedule.next(row.seq, checked_at, failures)),
    })
}

/// Stands for tools, in whatever order they were listed.
fn digest(tools: &[Tool]) -> Result<String> {
    let mut tools: Vec<_> = tools.iter().collect();
    tools.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let tools = serde_json::to_vec(&tools).map_err(Error::internal)?;
    Ok(format!("{:x}", Sha256::digest(tools)))
}

async fn upsert(tx: &Transaction, row: connector_health::Model) -> Result<(), DbErr> {
    use connector_health::Column;

    let others = Column::iter().filter(|column| !matches!(column, Column::Seq));
    connector_health::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(
            OnConflict::column(Column::Seq)
                .update_columns(others)
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// Deletes a connector's checks with these times, both included: they are from a future that did not come.
async fn forget_between(
    tx: &Transaction,
    seq: i64,
    from: Timestamp,
    until: Timestamp,
) -> Result<(), DbErr> {
    use connector_check::{Column, Entity};

    Entity::delete_many()
        .filter(Column::Seq.eq(seq))
        .filter(Column::CheckedAt.between(from, until))
        .exec(tx)
        .await
        .map(drop)
}

/// Adds to a connector's history, and forgets what is too old for it.
async fn remember(
    tx: &Transaction,
    check: connector_check::Model,
    history: u32,
) -> Result<(), DbErr> {
    use connector_check::{Column, Entity};

    let of_connector = Column::Seq.eq(check.seq);
    Entity::insert(check.into_active_model().reset_all())
        .exec_without_returning(tx)
        .await?;
    let oldest: Option<Timestamp> = Entity::find()
        .select_only()
        .column(Column::CheckedAt)
        .filter(of_connector.clone())
        .order_by_desc(Column::CheckedAt)
        .offset(u64::from(history))
        .limit(1)
        .into_tuple()
        .one(tx)
        .await?;
    if let Some(oldest) = oldest {
        Entity::delete_many()
            .filter(of_connector)
            .filter(Column::CheckedAt.lte(oldest))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Puts tools in the place of those that are kept, and gives how many these were.
async fn replace_tools(tx: &Transaction, row: &Model, tools: &[Tool]) -> Result<u64, DbErr> {
    let deleted = connector_tool::Entity::delete_many()
        .filter(connector_tool::Column::Seq.eq(row.seq))
        .exec(tx)
        .await?
        .rows_affected;
    let kept: Vec<_> = tools
        .iter()
        .cloned()
        .map(|tool| connector_tool::Model {
            words: search::line(&tool),
            seq: row.seq,
            name: tool.name,
            title: tool.title,
            description: tool.description,
            input_schema: tool.input_schema,
            output_schema: tool.output_schema,
            annotations: tool.annotations,
        })
        .collect();
    for tools in kept.chunks(TOOLS_A_STATEMENT) {
        let models = tools
            .iter()
            .cloned()
            .map(|tool| tool.into_active_model().reset_all());
        connector_tool::Entity::insert_many(models)
            .exec_without_returning(tx)
            .await?;
    }
    search::index_tools(tx, row, &kept).await?;
    Ok(deleted)
}
