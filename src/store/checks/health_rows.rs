//! The rows of a connector's health and tools, as writes leave them.

use entity::{
    Timestamp, connector_check, connector_health, connector_tool, personal_connector::Model,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, Iterable, QueryFilter,
    QueryOrder, sea_query::OnConflict,
};

use crate::{
    domain::inspection::{Tool, is_checkable},
    store::{catalog::search, database::transaction::Transaction},
};

/// Tools that a statement inserts at most: their schemas may be long.
const TOOLS_A_STATEMENT: usize = 100;

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

pub(super) fn unchecked(seq: i64, next_check_at: Option<Timestamp>) -> connector_health::Model {
    connector_health::Model {
        seq,
        outcome: None,
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
        failures: 0,
        next_check_at,
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

/// Puts tools in the place of those that are kept, and gives how many these were.
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
