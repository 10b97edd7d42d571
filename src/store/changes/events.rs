//! The event log, as one viewer may read it.
//!
//! Invariant: an event is read where the connector was in sight before it, or was after it; which of the two, and what the
//! viewer is told, [`Event::seen_by`] says. A page looks at a bounded span of numbers, whatever is in it.

use entity::{
    catalog_state::{self, Column as State},
    connector_event::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, IntoSimpleExpr, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Func, SimpleExpr},
};

use crate::{
    domain::{
        changes::{Event, Feed, Filter, Log, Page, PageMarks, SCAN, Side, Span},
        cursor::LogPosition,
        viewer::Sight,
    },
    error::{Error, Result},
    store::{
        catalog::{
            Catalog,
            filter::{any_of, stored},
            in_sight,
        },
        database::{
            row::{Cells, Row},
            sqlite_readers::Pace,
        },
    },
};

impl Catalog {
    /// A page of changes. It looks at a bounded part of the log, and may be short although the changes go on beyond it. To be asked
    /// of a snapshot: two connections may be to two histories.
    pub async fn changes(&self, feed: &Feed) -> Result<Page> {
        let (log, marks) = self.log_after(feed.after).await?;
        let span = log.span(feed.after, marks)?;
        let events = self.events(span, &feed.filter, feed.limit + 1).await?;
        Ok(Page::new(feed, self.sight(), log, span, events))
    }

    /// What the log keeps.
    pub async fn log(&self) -> Result<Log> {
        let select = select_log().into_query();
        let rows = self.rows(&select, Pace::Brief, |row| read_log(&mut row.cells(0)));
        one(rows.await?)
    }

    /// The bounds of the log, and the marks of a page after a position, or of the first one.
    pub async fn log_after(&self, after: Option<LogPosition>) -> Result<(Log, PageMarks)> {
        // A number beyond, which is nobody's, has no end.
        let given = after.map(|after| Ord::min(after.number, i64::MAX - SCAN));
        let begin = given.map_or_else(|| State::Forgotten.into_expr(), Expr::value);
        let end = begin.clone().add(SCAN);
        let select = select_log().expr(mark_of(begin)).expr(mark_of(end));
        let select = select.into_query();
        let rows = self.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            let log = read_log(&mut cells)?;
            let (after, end) = (cells.next()?, cells.next()?);
            Ok((log, PageMarks { after, end }))
        });
        one(rows.await?)
    }

    /// The first events from a position on, this one included, up to a number, of all connectors.
    pub(in crate::store) async fn all_events(
        &self,
        from: LogPosition,
        to: i64,
    ) -> Result<Vec<Event>> {
        let select = Entity::find()
            .filter(Column::Number.between(from.number, to))
            .order_by_asc(Column::Number)
            .into_query();
        self.rows(&select, Pace::Brief, |row| event(event_row(row)?))
            .await
    }

    /// The events of a span that somebody of this sight is told of, in order, and no more than `limit` of them.
    pub async fn events(&self, span: Span, filter: &Filter, limit: u64) -> Result<Vec<Event>> {
        let before = Columns {
            r#type: Func::coalesce([
                Column::TypeBefore.into_simple_expr(),
                Column::Type.into_simple_expr(),
            ])
            .into(),
            visibility: Column::VisibilityBefore,
            created_by: Column::CreatedByBefore,
            category: Column::CategoryBefore,
            status: Column::StatusBefore,
        };
        let after = Columns {
            r#type: Column::Type.into_simple_expr(),
            visibility: Column::VisibilityAfter,
            created_by: Column::CreatedByAfter,
            category: Column::CategoryAfter,
            status: Column::StatusAfter,
        };
        let told = Condition::any()
            .add(before.seen(self.sight(), filter))
            .add(after.seen(self.sight(), filter));
        let mut select = Entity::find()
            .filter(Column::Number.gt(span.after.number))
            .filter(Column::Number.lte(span.to.number))
            .filter(told);
        if let Some(ids) = &filter.personal_connector_id {
            select = select.filter(any_of(Column::PersonalConnectorId, ids));
        }
        let select = select
            .order_by_asc(Column::Number)
            .limit(limit)
            .into_query();
        self.rows(&select, Pace::Brief, |row| event(event_row(row)?))
            .await
    }
}

/// Selects what [`read_log`] reads. All events above the number that is forgotten are kept, so that the state's mark is that of its
/// event, or else the forgotten one's.
pub(in crate::store) fn select_log() -> Select<catalog_state::Entity> {
    let forgotten_mark = State::ForgottenMark.into_simple_expr();
    let mark = mark_of(State::State.into_expr());
    catalog_state::Entity::find_by_id(1)
        .select_only()
        .columns([State::Forgotten, State::ForgottenMark, State::State])
        .expr(Func::coalesce([mark, forgotten_mark]))
}

pub(in crate::store) fn read_log(cells: &mut Cells<'_>) -> Result<Log> {
    let mut position = || {
        let (number, mark) = (cells.next()?, cells.next()?);
        Ok(LogPosition { number, mark })
    };
    Ok(Log {
        forgotten: position()?,
        state: position()?,
    })
}

/// The one row of the state.
pub(in crate::store) fn one<T>(mut rows: Vec<T>) -> Result<T> {
    rows.pop()
        .ok_or_else(|| Error::internal("there is no state"))
}

/// The mark of the event of a number; null where it is not kept.
fn mark_of(number: Expr) -> SimpleExpr {
    let mark = Entity::find()
        .select_only()
        .column(Column::Mark)
        .filter(Column::Number.into_expr().eq(number))
        .into_query();
    SimpleExpr::SubQuery(None, Box::new(mark.into()))
}

/// The columns of an event that tell of the connector before the change, or after it.
struct Columns {
    r#type: SimpleExpr,
    visibility: Column,
    created_by: Column,
    category: Column,
    status: Column,
}

impl Columns {
    /// Whether there was a connector on this side, in sight, and as the filter names it.
    fn seen(self, sight: &Sight, filter: &Filter) -> Condition {
        let restrictions = [
            filter
                .r#type
                .as_ref()
                .map(|values| any_of(self.r#type, &stored(values))),
            filter
                .category
                .as_ref()
                .map(|values| any_of(self.category, &stored(values))),
            filter
                .status
                .as_ref()
                .map(|values| any_of(self.status, &stored(values))),
        ];
        let seen = Condition::all()
            .add(self.visibility.is_not_null())
            .add(in_sight(
                sight,
                [self.visibility, Column::OrganizationId, self.created_by],
            ));
        restrictions
            .into_iter()
            .flatten()
            .fold(seen, Condition::add)
    }
}

fn event(row: Model) -> Result<Event> {
    let side = |r#type, visibility, created_by, category, status: Option<_>| {
        Some(Side {
            r#type,
            visibility: visibility?,
            created_by,
            category,
            status: status?,
        })
    };
    let (number, mark) = (row.number, row.mark);
    Ok(Event {
        position: LogPosition { number, mark },
        personal_connector_id: row.personal_connector_id,
        organization: row.organization_id,
        before: side(
            row.type_before.unwrap_or(row.r#type),
            row.visibility_before,
            row.created_by_before,
            row.category_before,
            row.status_before,
        ),
        after: side(
            row.r#type,
            row.visibility_after,
            row.created_by_after,
            row.category_after,
            row.status_after,
        ),
        fields: serde_json::from_str(&row.changed_fields).map_err(Error::internal)?,
        revision: row.revision,
        actor: row.actor_id,
        actor_organization: row.actor_organization_id,
        occurred_at: row.occurred_at,
    })
}

/// A whole event, its columns in the entity's order.
fn event_row(row: Row<'_>) -> Result<Model> {
    let mut cells = row.cells(0);
    Ok(Model {
        number: cells.next()?,
        kind: cells.next()?,
        personal_connector_id: cells.next()?,
        r#type: cells.next()?,
        type_before: cells.next()?,
        organization_id: cells.next()?,
        changed_fields: cells.next()?,
        revision: cells.next()?,
        actor_id: cells.next()?,
        actor_organization_id: cells.next()?,
        occurred_at: cells.next()?,
        visibility_before: cells.next()?,
        visibility_after: cells.next()?,
        created_by_before: cells.next()?,
        created_by_after: cells.next()?,
        category_before: cells.next()?,
        category_after: cells.next()?,
        status_before: cells.next()?,
        status_after: cells.next()?,
        mark: cells.next()?,
    })
}
