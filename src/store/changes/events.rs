//! The event log, as one viewer may read it.
//!
//! Invariant: an event is read where the connector was in sight before it, or was after it; which of the two, and what the
//! viewer is told, [`Event::seen_by`] says. A page looks at a bounded span of numbers, whatever is in it.

use entity::{
    catalog_state,
    connector_event::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoSimpleExpr, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Func, SimpleExpr},
};

use crate::{
    domain::{
        changes::{Event, Feed, Filter, Log, Page, Side, Span},
        viewer::Sight,
    },
    error::{Error, Result},
    store::{
        catalog::{
            Catalog,
            filter::{any_of, stored},
            in_sight,
        },
        database::{row::Row, sqlite_readers::Pace},
    },
};

impl Catalog {
    /// A page of changes. It looks at a bounded part of the log, and may be short although the changes go on beyond it.
    pub async fn changes(&self, feed: &Feed) -> Result<Page> {
        let log = self.log().await?;
        let span = log.span(feed.after)?;
        let events = self.events(span, &feed.filter, feed.limit + 1).await?;
        Ok(Page::new(feed, self.sight(), log, span, events))
    }

    /// What the log keeps.
    pub async fn log(&self) -> Result<Log> {
        let select = catalog_state::Entity::find_by_id(1)
            .select_only()
            .columns([
                catalog_state::Column::Forgotten,
                catalog_state::Column::State,
            ])
            .into_query();
        let rows = self.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            Ok(Log {
                forgotten: cells.next()?,
                state: cells.next()?,
            })
        });
        let log = rows.await?.pop();
        log.ok_or_else(|| Error::internal("there is no state"))
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
            .filter(Column::Number.gt(span.after))
            .filter(Column::Number.lte(span.to))
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
    Ok(Event {
        number: row.number,
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
    })
}
