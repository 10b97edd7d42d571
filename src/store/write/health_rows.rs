//! The rows of a connector's health and tools, as writes leave them.

use entity::{
    Outcome, Timestamp, connector_check, connector_health, connector_tool,
    personal_connector::{self, Model},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, Iterable,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{OnConflict, Query, SimpleExpr},
};

use crate::{
    domain::{
        changes::{FieldChange, Value},
        field::{ChangedField, word},
        inspection::{Tool, is_checkable},
        server_address,
    },
    store::{
        database::transaction::Transaction,
        write::{search, side::Found, vocabulary::Fields},
    },
};

/// Tools that a statement inserts at most: their schemas may be long.
const TOOLS_A_STATEMENT: usize = 100;

/// Has new connectors' servers checked, as far as there are any.
pub(in crate::store) async fn insert(
    tx: &Transaction,
    rows: &[Model],
    now: Timestamp,
) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = rows.iter().map(|row| unchecked(row, now));
    let rows = rows.map(|row| row.into_active_model().reset_all());
    connector_health::Entity::insert_many(rows)
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// Writes a connector's row, with its words where they changed, and returns what was found of its server, by one
/// statement.
pub(super) async fn update(
    tx: &Transaction,
    row: &Model,
    words: Option<&Fields>,
) -> Result<Found, DbErr> {
    use connector_health::{Column, Entity};

    let model = row.clone().into_active_model().reset_all();
    let update = personal_connector::Entity::update(model).validate()?;
    let found = [Column::Outcome, Column::ToolCount].map(|column| {
        let health = Entity::find_by_id(row.seq).select_only().column(column);
        SimpleExpr::SubQuery(None, Box::new(health.into_query().into()))
    });
    let mut update = update.into_query();
    let words = words.and_then(|words| search::column(words, tx.get_database_backend()));
    if let Some((column, words)) = words {
        update.value(column, words);
    }
    update.returning(Query::returning().exprs(found));
    let updated = tx.query_one(&update).await?;
    let updated = updated.ok_or(DbErr::RecordNotUpdated)?;
    let tools: Option<i64> = updated.try_get_by_index(1)?;
    Ok(Found {
        outcome: updated.try_get_by_index(0)?,
        has_tools: tools > Some(0),
    })
}

/// Reads what was found of a connector's server.
pub(super) async fn found(tx: &Transaction, seq: i64) -> Result<Found, DbErr> {
    let health = connector_health::Entity::find_by_id(seq).one(tx).await?;
    Ok(health.as_ref().map(Found::of).unwrap_or_default())
}

/// Forgets what was found of the server that a connector had, and has the new one checked. Gives the fields that are
/// others by that.
pub(super) async fn forget(
    tx: &Transaction,
    row: &Model,
    now: Timestamp,
    before: Found,
) -> Result<Vec<FieldChange>, DbErr> {
    upsert(tx, unchecked(row, now)).await?;
    connector_check::Entity::delete_many()
        .filter(connector_check::Column::Seq.eq(row.seq))
        .exec(tx)
        .await?;
    let tools = replace_tools(tx, row, &[]).await?;
    let health = before
        .outcome
        .map(|outcome| changed_health(Some(outcome), None));
    let tools = (tools > 0).then_some(TOOLS_CHANGED);
    Ok(health.into_iter().chain(tools).collect())
}

/// Another outcome of the last check.
pub(super) fn changed_health(before: Option<Outcome>, after: Option<Outcome>) -> FieldChange {
    let value = |outcome: Outcome| Value::new(ChangedField::Health, word(outcome));
    FieldChange {
        field: ChangedField::Health,
        before: before.map(value),
        after: after.map(value),
    }
}

/// Other tools, which are too much to keep.
pub(super) const TOOLS_CHANGED: FieldChange = FieldChange {
    field: ChangedField::Tools,
    before: None,
    after: None,
};

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

/// The health of a connector that was not checked. A check is due at once if there is anything to check.
pub(super) fn unchecked(row: &Model, now: Timestamp) -> connector_health::Model {
    connector_health::Model {
        seq: row.seq,
        id: row.id.clone(),
        address: row.server_url.as_deref().and_then(server_address::of_url),
        outcome: None,
        outcome_since: None,
        message: None,
        checked_at: None,
        latency_ms: None,
        transport: None,
        protocol_version: None,
        server_info: None,
        extensions: None,
        authorization_servers: None,
        tools_digest: None,
        tools_checked_at: None,
        tools_settle_at: None,
        fresh_for: None,
        tool_count: 0,
        uptime: None,
        failures: 0,
        next_check_at: is_checkable(row.server_url.as_deref(), row.server_type).then_some(now),
    }
}

pub(super) async fn upsert(tx: &Transaction, row: connector_health::Model) -> Result<(), DbErr> {
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

/// Replaces the stored tools of a connector, and returns how many there were.
pub(super) async fn replace_tools(
    tx: &Transaction,
    row: &Model,
    tools: &[Tool],
) -> Result<u64, DbErr> {
    let deleted = connector_tool::Entity::delete_many()
        .filter(connector_tool::Column::Seq.eq(row.seq))
        .exec(tx)
        .await?
        .rows_affected;
    let mut kept = Vec::with_capacity(tools.len());
    for tools in tools.chunks(TOOLS_A_STATEMENT) {
        // Between the statements, so that none is long in coming.
        let tools = tools.iter().map(|tool| model(row.seq, tool));
        let models: Vec<_> = tools.collect();
        let inserted = models
            .iter()
            .cloned()
            .map(|tool| tool.into_active_model().reset_all());
        connector_tool::Entity::insert_many(inserted)
            .exec_without_returning(tx)
            .await?;
        kept.extend(models);
    }
    search::index_tools(tx, row, &kept).await?;
    Ok(deleted)
}

fn model(seq: i64, tool: &Tool) -> connector_tool::Model {
    let words = search::line(tool);
    let tool = tool.clone();
    connector_tool::Model {
        words,
        seq,
        name: tool.name,
        title: tool.title,
        description: tool.description,
        input_schema: tool.input_schema,
        output_schema: tool.output_schema,
        annotations: tool.annotations,
    }
}
