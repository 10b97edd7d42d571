//! Writes the rows of a connector's health and tools.

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

/// The most tools that a statement inserts, because their schemas may be long.
const TOOLS_A_STATEMENT: usize = 100;

/// Makes the first checks of new connectors due, if they have a server to check.
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

/// Writes a connector's row, and its words if they changed. Returns its health from the same statement.
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

/// Reads a connector's health.
pub(super) async fn found(tx: &Transaction, seq: i64) -> Result<Found, DbErr> {
    let health = connector_health::Entity::find_by_id(seq).one(tx).await?;
    Ok(health.as_ref().map(Found::of).unwrap_or_default())
}

/// Clears the health and tools of the connector's previous server, and makes a check of the new one due. Returns the
/// fields that changed.
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

/// The change of the last check's outcome.
pub(super) fn changed_health(before: Option<Outcome>, after: Option<Outcome>) -> FieldChange {
    let value = |outcome: Outcome| Value::new(ChangedField::Health, word(outcome));
    FieldChange {
        field: ChangedField::Health,
        before: before.map(value),
        after: after.map(value),
    }
}

/// The change of the tools, which are too large for an event.
pub(super) const TOOLS_CHANGED: FieldChange = FieldChange {
    field: ChangedField::Tools,
    before: None,
    after: None,
};

/// Returns whether the change gives the connector another server.
pub(in crate::store) fn changed(before: &Model, after: &Model) -> bool {
    (&before.server_url, before.server_type) != (&after.server_url, after.server_type)
}

/// Returns the stored tools of a connector.
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

/// Returns the health of a connector that was not checked. Its check is due at once if there is a server to check.
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

/// Replaces the stored tools of a connector, and returns their previous number.
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
        // The rows of a chunk are built right before its statement, so the time between two statements is short.
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
