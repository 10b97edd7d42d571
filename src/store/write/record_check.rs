//! Records the results of checks of connectors' servers.
//!
//! Invariant: a result belongs to the server that was checked, as the connector has it, and never replaces a later one.
//! It changes neither the connector's revision nor the time of its last update. A change of the outcome or of the tools
//! is a change of the catalogue. [`ToolChanges`] limits how often a server's tools are written with an event.

use std::collections::HashMap;

use entity::{
    Timestamp, connector_check, connector_health,
    personal_connector::{Column, Model},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        inspection::{
            Inspection, Schedule, ServerInfo, Tool, ToolChanges, fresh_micros, is_alive,
            is_checkable,
        },
        viewer::Sight,
    },
    error::{Error, Result},
    store::{
        catalog::visible,
        checks::{due::Target, read::working},
        database::transaction::Transaction,
        errors::failed,
        write::{
            Tx,
            health_rows::{TOOLS_CHANGED, changed_health, replace_tools, unchecked, upsert},
            side::{At, Found},
        },
    },
};

/// The beginning of a digest that ignores the order of members.
const CANONICAL: &str = "canonical:";

/// The result of a check of a target.
#[derive(Clone, Debug)]
pub struct Check {
    /// The server that was checked, as the connector had it then.
    pub target: Target,
    /// The result of the check.
    pub found: Inspection,
}

/// The times of a connector's checks.
#[derive(Clone, Copy, Debug)]
pub struct CheckTimes {
    /// The start of the last check; none before the first.
    pub(crate) checked_at: Option<Timestamp>,
    /// The time of the next check; none if there is nothing to check.
    pub(crate) next_check_at: Option<Timestamp>,
}

impl Tx {
    /// Returns the times of these connectors' checks, by the connectors' numbers.
    pub(crate) async fn check_times(&self, seqs: &[i64]) -> Result<HashMap<i64, CheckTimes>> {
        let rows = connector_health::Entity::find()
            .filter(connector_health::Column::Seq.is_in(seqs.iter().copied()))
            .all(self.connection())
            .await
            .map_err(failed)?
            .into_iter();
        let rows = rows.map(|row| {
            let times = CheckTimes {
                checked_at: row.checked_at,
                next_check_at: row.next_check_at,
            };
            (row.seq, times)
        });
        Ok(rows.collect())
    }

    /// Makes checks of these connectors due at once, if they have a server to check.
    pub(crate) async fn make_due(&self, seqs: &[i64]) -> Result<()> {
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

    /// Stores the result, unless the connector was deleted, has another server, or was checked since. Returns how many
    /// results were stored.
    ///
    /// A time in the future belongs to no check. A stored result has at most the present time, and replaces a check
    /// with a later time.
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
            let now = self.locked();
            let before = known.remove(&row.seq);
            let before = before.unwrap_or_else(|| unchecked(row, now));
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

    /// Stores the result of a check of a connector's server.
    async fn keep(
        &mut self,
        row: &Model,
        before: &connector_health::Model,
        found: &Inspection,
        checked_at: Timestamp,
        schedule: Schedule,
    ) -> Result<connector_health::Model> {
        let mut after = health(row, before, found, checked_at, schedule)?;
        let mut fields = Vec::new();
        if before.outcome != after.outcome {
            fields.push(changed_health(before.outcome, after.outcome));
        }
        let mut tools_differ = found.tools_listed && !are_same(before, &after, &found.tools)?;
        // No tools after unknown tools is no change.
        if tools_differ && !(before.tools_digest.is_none() && found.tools.is_empty()) {
            match ToolChanges::new(before.tools_settle_at).count(self.locked()) {
                Ok(settle_at) => {
                    after.tools_settle_at = Some(settle_at);
                    fields.push(TOOLS_CHANGED);
                }
                Err(again) => {
                    tools_differ = false;
                    postpone_tools(&mut after, before, again);
                }
            }
        }
        if tools_differ {
            after.tool_count = i64::try_from(found.tools.len()).map_err(Error::internal)?;
        }
        let check = connector_check::Model {
            seq: row.seq,
            checked_at,
            outcome: found.outcome,
            message: after.message.clone().unwrap_or_default(),
            latency_ms: after.latency_ms,
        };
        let write = async {
            if before.checked_at >= Some(checked_at) {
                // A clock that is earlier than the connector's creation says nothing about other checks.
                let until = if checked_at >= row.created_at {
                    Timestamp(i64::MAX)
                } else {
                    checked_at
                };
                forget_between(self.connection(), row.seq, checked_at, until).await?;
            }
            remember(self.connection(), check, schedule.history).await?;
            after.uptime = kept_uptime(self.connection(), row.seq).await?;
            upsert(self.connection(), after.clone()).await?;
            if tools_differ {
                replace_tools(self.connection(), row, &found.tools).await?;
            }
            Ok(())
        };
        write.await.map_err(failed)?;
        if !fields.is_empty() {
            let [before, after] = [before, &after].map(|health| At {
                row,
                found: Found::of(health),
            });
            self.emit(Some(before), Some(after), &fields)?;
        }
        Ok(after)
    }
}

/// Returns a connector's health after a check. Lists that could not be read this time stay unchanged.
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
    let (digest, tools_checked_at) = if found.tools_listed {
        (Some(digest(&found.tools)?), Some(checked_at))
    } else {
        (before.tools_digest.clone(), before.tools_checked_at)
    };
    let fresh_for = found.fresh_for.filter(|_| failures == 0);
    // The clock may have been set back.
    let since = before.outcome_since.map(|since| since.min(checked_at));
    let since = since.filter(|_| before.outcome == Some(found.outcome));
    Ok(connector_health::Model {
        seq: row.seq,
        id: row.id.clone(),
        address: before.address.clone(),
        outcome: Some(found.outcome),
        outcome_since: Some(since.unwrap_or(checked_at)),
        message: Some(found.message.clone()),
        checked_at: Some(checked_at),
        latency_ms: found.latency_ms.and_then(|millis| millis.try_into().ok()),
        transport: found.transport,
        protocol_version: found.protocol_version.clone(),
        server_info: found.server_info.as_ref().map(info).transpose()?,
        extensions: found.extensions.clone(),
        authorization_servers: Some(issuers),
        tools_digest: digest,
        tools_checked_at,
        tools_settle_at: before.tools_settle_at,
        fresh_for: fresh_for.map(fresh_micros),
        tool_count: before.tool_count,
        uptime: before.uptime,
        failures,
        next_check_at: is_checkable(row.server_url.as_deref(), row.server_type)
            .then(|| schedule.next(row.seq, checked_at, failures, fresh_for)),
    })
}

/// Keeps the stored tools, adds a note, and schedules the next check for the time at which they may change.
fn postpone_tools(
    after: &mut connector_health::Model,
    before: &connector_health::Model,
    again: Timestamp,
) {
    after.tools_digest.clone_from(&before.tools_digest);
    after.tools_checked_at = before.tools_checked_at;
    after.next_check_at = after.next_check_at.map(|next| next.min(again));
    if let Some(message) = &mut after.message {
        message.push_str(" Its tools change too often: the tools shown are from an earlier check.");
    }
}

/// Returns whether the listed tools are the stored ones.
fn are_same(
    before: &connector_health::Model,
    after: &connector_health::Model,
    tools: &[Tool],
) -> Result<bool> {
    if before.tools_digest == after.tools_digest {
        return Ok(true);
    }
    // A digest of an earlier version is replaced without a change of the tools.
    let former = before.tools_digest.as_ref();
    let former = former.filter(|digest| !digest.starts_with(CANONICAL));
    match former {
        Some(digest) => Ok(*digest == plain_digest(tools.to_vec())?),
        None => Ok(false),
    }
}

/// Returns a digest of tools that is independent of their order and of the order of members in their JSON.
fn digest(tools: &[Tool]) -> Result<String> {
    let canonical = |tool: &Tool| Tool {
        input_schema: tool.input_schema.as_deref().map(sorted),
        output_schema: tool.output_schema.as_deref().map(sorted),
        annotations: tool.annotations.as_deref().map(sorted),
        ..tool.clone()
    };
    let digest = plain_digest(tools.iter().map(canonical).collect())?;
    Ok(format!("{CANONICAL}{digest}"))
}

/// Returns the digest of earlier versions, which depends on the order of members.
fn plain_digest(mut tools: Vec<Tool>) -> Result<String> {
    tools.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let tools = serde_json::to_vec(&tools).map_err(Error::internal)?;
    Ok(format!("{:x}", Sha256::digest(tools)))
}

/// Returns JSON with its members in the order of their names.
fn sorted(json: &str) -> String {
    match serde_json::from_str::<Value>(json) {
        Ok(mut value) => {
            value.sort_all_objects();
            value.to_string()
        }
        Err(_) => json.to_owned(),
    }
}

/// Deletes a connector's checks between these times, inclusive. Their times come from a clock that was ahead.
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

/// Returns the share of a connector's stored checks that found a working server, in millionths, rounded down.
async fn kept_uptime(tx: &Transaction, seq: i64) -> Result<Option<i64>, DbErr> {
    use connector_check::{Column, Entity};

    let counts: Option<(Option<i64>, i64)> = Entity::find()
        .select_only()
        .expr(working())
        .expr(Expr::cust("COUNT(*)"))
        .filter(Column::Seq.eq(seq))
        .into_tuple()
        .one(tx)
        .await?;
    Ok(counts.and_then(|(working, all)| Some(working? * 1_000_000 / all)))
}

/// Adds a check to a connector's history, and deletes those that are too old.
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
