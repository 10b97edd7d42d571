//! The catalogue as one viewer sees it.
//!
//! Invariant: `visible()` begins every query of connectors here; there is no other way to read one.

use std::collections::HashMap;

use entity::{
    ConnectorVisibility,
    personal_connector::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseExecutor, DatabaseTransaction, EntityTrait,
    ExprTrait, FromQueryResult, IntoSimpleExpr, QueryFilter, QueryOrder, QueryResult, QuerySelect,
    QueryTrait, Select, Value,
    sea_query::{Expr, Order as SqlOrder, SimpleExpr},
};
use tokio::sync::OnceCell;

use crate::{
    domain::{
        cursor::{Position, SortKey},
        facets::Group,
        listing::{Direction, End, Filter, Listing, OrderField, Page, Search},
        viewer::Sight,
    },
    error::Result,
};

use super::{
    connect::Database,
    errors::failed,
    filter::{self, Lead},
    search, wanted,
};

/// Reads what one viewer sees, for one answer.
#[derive(Debug)]
pub struct Catalog {
    database: Database,
    sight: Sight,
    snapshot: Option<OnceCell<DatabaseTransaction>>,
}

/// A row of a list, and where it stands there.
#[derive(Clone, Debug)]
pub struct Hit {
    pub connector: Model,
    pub position: Position,
}

impl Catalog {
    /// For an answer of one statement.
    pub fn new(database: Database, sight: Sight) -> Self {
        Self {
            database,
            sight,
            snapshot: None,
        }
    }

    /// For an answer of several statements, which all see the same state.
    pub fn snapshot(database: Database, sight: Sight) -> Self {
        Self {
            database,
            sight,
            snapshot: Some(OnceCell::new()),
        }
    }

    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// The connectors of these ids that are in sight, by id.
    pub async fn get(&self, ids: &[String]) -> Result<HashMap<String, Model>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let connectors = by_id(&self.sight, ids)
            .all(&self.connection().await?)
            .await
            .map_err(failed)?;
        Ok(connectors
            .into_iter()
            .map(|connector| (connector.id.clone(), connector))
            .collect())
    }

    /// A page of a list, in the list's order, and whether the list goes on beyond it.
    pub async fn page(&self, listing: &Listing) -> Result<(Vec<Hit>, bool)> {
        let connection = self.connection().await?;
        let backend = connection.get_database_backend();
        let order = listing.order;
        let key = match (order.field, &listing.search) {
            (OrderField::CreatedAt, _) => Column::CreatedAt.into_simple_expr(),
            (OrderField::UpdatedAt, _) => Column::UpdatedAt.into_simple_expr(),
            (OrderField::Relevance, Some(search)) => search::tier(search, backend),
            _ => Column::NameKey.into_simple_expr(),
        };
        let mut keys = vec![(key, order.direction)];
        if order.field == OrderField::Relevance {
            keys.push((Column::NameKey.into_simple_expr(), order.direction));
        }
        // Ties go up by id in the field's natural direction; the other direction is the exact reverse, so that one index
        // serves both.
        let ids = if order.direction == order.field.natural() {
            Direction::Asc
        } else {
            Direction::Desc
        };
        keys.push((Column::Id.into_simple_expr(), ids));

        let Page {
            end,
            limit,
            after,
            before,
        } = &listing.page;
        let mut select = self.list(
            &listing.filter,
            listing.search.as_ref(),
            &connection,
            Lead::to_page(&listing.filter, backend),
        );
        if order.field == OrderField::Relevance {
            select = select.expr_as(keys[0].0.clone(), "tier");
        }
        if let Some(after) = after {
            select = select.filter(beyond(&keys, &after.position, false));
        }
        if let Some(before) = before {
            select = select.filter(beyond(&keys, &before.position, true));
        }
        for (key, direction) in keys {
            let ascending = (direction == Direction::Asc) == (*end == End::First);
            select = select.order_by(
                key,
                if ascending {
                    SqlOrder::Asc
                } else {
                    SqlOrder::Desc
                },
            );
        }
        let rows = connection
            .query_all(select.limit(limit + 1).as_query())
            .await
            .map_err(failed)?;
        let mut hits = Vec::with_capacity(rows.len());
        for row in rows {
            let connector = Model::from_query_result(&row, "").map_err(failed)?;
            let name = connector.name_key.clone();
            let key = match order.field {
                OrderField::Name => SortKey::Name(name),
                OrderField::CreatedAt => SortKey::Time(connector.created_at.0),
                OrderField::UpdatedAt => SortKey::Time(connector.updated_at.0),
                OrderField::Relevance => SortKey::Relevance {
                    tier: row.try_get("", "tier").map_err(failed)?,
                    name,
                },
            };
            let position = Position {
                key,
                id: connector.id.clone(),
            };
            hits.push(Hit {
                connector,
                position,
            });
        }
        let more = hits.len() as u64 > *limit;
        if more {
            hits.pop();
        }
        if *end == End::Last {
            hits.reverse();
        }
        Ok((hits, more))
    }

    /// The list's size.
    pub async fn total(&self, listing: &Listing) -> Result<u64> {
        let connection = self.connection().await?;
        let count = self
            .list(
                &listing.filter,
                listing.search.as_ref(),
                &connection,
                Lead::Any,
            )
            .select_only()
            .column_as(Expr::cust("COUNT(*)"), "count");
        let row = connection
            .query_one(count.as_query())
            .await
            .map_err(failed)?;
        row.map_or(Ok(0), |row| read_count(&row))
    }

    /// The list's groups with the filter's own restrictions of their dimensions left out: of these its facets and size are
    /// made.
    pub async fn groups(&self, listing: &Listing) -> Result<Vec<Group>> {
        let connection = self.connection().await?;
        let dimensions = [
            Column::Category,
            Column::Status,
            Column::Type,
            Column::ServerType,
        ];
        let groups = self
            .list(
                &listing.filter.without_facets(),
                listing.search.as_ref(),
                &connection,
                Lead::Any,
            )
            .select_only()
            .columns(dimensions)
            .column_as(Expr::cust("COUNT(*)"), "count");
        let groups = dimensions.into_iter().fold(groups, QuerySelect::group_by);
        let rows = connection
            .query_all(groups.as_query())
            .await
            .map_err(failed)?;
        let read = |row: &QueryResult| {
            Ok(Group {
                category: row.try_get("", "category").map_err(failed)?,
                status: row.try_get("", "status").map_err(failed)?,
                r#type: row.try_get("", "type").map_err(failed)?,
                server_type: row.try_get("", "server_type").map_err(failed)?,
                count: read_count(row)?,
            })
        };
        rows.iter().map(read).collect()
    }

    fn list(
        &self,
        filter: &Filter,
        search: Option<&Search>,
        connection: &DatabaseExecutor<'_>,
        lead: Lead,
    ) -> Select<Entity> {
        let mut select = visible(&self.sight).filter(filter::condition(filter, &self.sight, lead));
        if let Some(search) = search {
            select = select.filter(search::condition(search, connection.get_database_backend()));
        }
        select
    }

    pub(super) async fn connection(&self) -> Result<DatabaseExecutor<'_>> {
        wanted::check()?;
        Ok(match &self.snapshot {
            None => (&self.database.reader).into(),
            Some(snapshot) => snapshot
                .get_or_try_init(|| self.database.begin_snapshot())
                .await
                .map_err(failed)?
                .into(),
        })
    }
}

/// Where every query of connectors begins: those in sight.
pub(super) fn visible(sight: &Sight) -> Select<Entity> {
    let columns = [
        Column::Visibility,
        Column::OrganizationId,
        Column::CreatedBy,
    ];
    Entity::find().filter(in_sight(sight, columns))
}

/// [`Sight::sees`] of a connector whose visibility, organization and creator are in these columns.
pub(super) fn in_sight<C: ColumnTrait>(
    sight: &Sight,
    [visibility, organization_id, created_by]: [C; 3],
) -> Condition {
    let public = Condition::any().add(visibility.eq(ConnectorVisibility::Public));
    match sight {
        Sight::Everything => Condition::all(),
        Sight::Public => public,
        Sight::Member {
            user,
            organization,
            private_of_others,
        } => {
            let organization = match organization {
                Some(organization) => organization_id.eq(organization),
                None => organization_id.is_null(),
            };
            let meant_for = if *private_of_others {
                Condition::all()
            } else {
                Condition::any()
                    .add(visibility.eq(ConnectorVisibility::Organization))
                    .add(created_by.eq(user))
            };
            public.add(Condition::all().add(organization).add(meant_for))
        }
    }
}

pub(super) fn by_id(sight: &Sight, ids: &[String]) -> Select<Entity> {
    visible(sight).filter(Column::Id.is_in(ids))
}

/// The rows strictly beyond a position in an order of several keys: after it, or `before` it.
///
/// Written as `k >= v AND (k > v OR …)`, from which a database can seek.
fn beyond(keys: &[(SimpleExpr, Direction)], position: &Position, before: bool) -> SimpleExpr {
    let mut values: Vec<Value> = match &position.key {
        SortKey::Name(name) => vec![name.into()],
        SortKey::Time(micros) => vec![(*micros).into()],
        SortKey::Relevance { tier, name } => vec![(*tier).into(), name.into()],
    };
    values.push((&position.id).into());
    let mut conditions = keys
        .iter()
        .zip(values)
        .rev()
        .map(|((key, direction), value)| {
            let up = (*direction == Direction::Asc) != before;
            let (strictly, at_least) = if up {
                (key.clone().gt(value.clone()), key.clone().gte(value))
            } else {
                (key.clone().lt(value.clone()), key.clone().lte(value))
            };
            (strictly, at_least)
        });
    let (last, _) = conditions
        .next()
        .unwrap_or((Expr::cust("FALSE"), Expr::cust("FALSE")));
    conditions.fold(last, |beyond, (strictly, at_least)| {
        at_least.and(strictly.or(beyond))
    })
}

fn read_count(row: &QueryResult) -> Result<u64> {
    let count: i64 = row.try_get("", "count").map_err(failed)?;
    Ok(count.unsigned_abs())
}
