//! The catalogue as one viewer sees it.
//!
//! Invariant: `visible()` begins every query of connectors here; there is no other way to read one.

pub(in crate::store) mod columns;
pub(in crate::store) mod count_cache;
pub(in crate::store) mod filter;
pub(in crate::store) mod rows;
pub(in crate::store) mod search;

use std::{collections::HashMap, sync::Arc};

use entity::{
    ConnectorVisibility, connector_health,
    personal_connector::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, IntoSimpleExpr, Iterable, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select, Value,
    sea_query::{Expr, Order as SqlOrder, SelectStatement, SimpleExpr},
};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        cursor::{Position, SortKey},
        facets::Group,
        listing::{End, Filter, Listing, Page, is_ascending},
        order::{Direction, OrderField},
        viewer::Sight,
    },
    error::{Error, Result},
    store::{
        catalog::{
            columns::{Field, Fields},
            count_cache::CountCache,
            filter::{Lead, any_of, stored},
            search::Tier,
        },
        database::{connect::Database, reader::Snapshot, row::Row, sqlite_readers::Pace},
    },
};

/// Reads what one viewer sees, for one answer.
#[derive(Debug)]
pub struct Catalog {
    database: Database,
    sight: Sight,
    snapshot: Option<OnceCell<Snapshot>>,
    budget: Arc<AnswerBudget>,
}

/// A row of a list, as it was read, and where it stands there.
#[derive(Clone, Debug)]
pub struct Hit<T = Model> {
    pub connector: T,
    pub position: Position,
}

impl Catalog {
    /// For an answer of one statement.
    pub fn new(database: Database, sight: Sight) -> Self {
        Self {
            database,
            sight,
            snapshot: None,
            budget: AnswerBudget::unbounded(),
        }
    }

    /// For an answer of several statements, which all see the same state.
    pub fn snapshot(database: Database, sight: Sight) -> Self {
        Self {
            database,
            sight,
            snapshot: Some(OnceCell::new()),
            budget: AnswerBudget::unbounded(),
        }
    }

    /// Counts the rows that are read as bytes of an answer. Without this, nothing bounds them.
    #[must_use]
    pub fn within(self, budget: Arc<AnswerBudget>) -> Self {
        Self { budget, ..self }
    }

    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// The connectors of these ids that are in sight, by id.
    pub async fn get(&self, ids: &[String]) -> Result<HashMap<String, Model>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let select = by_id(&self.sight, ids).into_query();
        let connectors = self
            .rows(&select, Pace::Brief, |row| rows::connector(row, 0))
            .await?;
        Ok(connectors
            .into_iter()
            .map(|connector| (connector.id.clone(), connector))
            .collect())
    }

    /// Of the connector of an id, where it is in sight, some fields as `read` has them.
    pub async fn get_fields<T: Send + 'static>(
        &self,
        id: String,
        fields: Vec<Field>,
        read: impl Fn(Fields<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Option<T>> {
        let select = by_id(&self.sight, &[id])
            .select_only()
            // Fields may be none.
            .column(Column::Id)
            .columns(fields.iter().map(|field| field.column()))
            .into_query();
        let rows = self.rows(&select, Pace::Brief, move |row| {
            read(Fields::new(row, &fields, 1))
        });
        Ok(rows.await?.pop())
    }

    /// A page of a list, in the list's order, and whether the list goes on beyond it.
    pub async fn page(&self, listing: &Listing) -> Result<(Vec<Hit>, bool)> {
        self.walk(listing, Column::iter(), rows::connector).await
    }

    /// A page of a list, of each connector some fields as `read` has them.
    pub async fn page_fields<T: Send + 'static>(
        &self,
        listing: &Listing,
        fields: Vec<Field>,
        read: impl Fn(Fields<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<(Vec<Hit<T>>, bool)> {
        let columns: Vec<_> = fields.iter().map(|field| field.column()).collect();
        let read = move |row: Row<'_>, from| read(Fields::new(row, &fields, from));
        self.walk(listing, columns, read).await
    }

    /// A page of a list, of each row what `read` makes of the columns, the first of which stands at the place that it is given.
    async fn walk<T: Send + 'static>(
        &self,
        listing: &Listing,
        columns: impl IntoIterator<Item = Column> + Clone,
        read: impl Fn(Row<'_>, usize) -> Result<T> + Send + Sync + 'static,
    ) -> Result<(Vec<Hit<T>>, bool)> {
        let Page { end, limit, .. } = listing.page;
        let field = listing.order.field;
        let read = Arc::new(move |row: Row<'_>| {
            let (position, width) = position(row, field)?;
            let connector = read(row, width)?;
            Ok(Hit {
                connector,
                position,
            })
        });
        // A stack: the one to begin with is taken from its end.
        let mut stretches = self.stretches(listing);
        let in_turn = field == OrderField::Relevance;
        if is_ascending(listing.order.direction, end) {
            stretches.reverse();
        }
        let own;
        let catalog = if stretches.len() > 1 && self.snapshot.is_none() {
            own = Self::snapshot(self.database.clone(), self.sight.clone())
                .within(self.budget.clone());
            &own
        } else {
            self
        };
        let mut hits = Vec::new();
        while let Some(stretch) = stretches.pop()
            && (!in_turn || hits.len() as u64 <= limit)
        {
            let met = if in_turn { hits.len() as u64 } else { 0 };
            let most = limit + 1 - met;
            let select = self.stretch(listing, stretch, columns.clone(), most);
            let read = Arc::clone(&read);
            let rows = catalog.rows(&select, pace(listing), move |row| read(row));
            hits.append(&mut rows.await?);
        }
        if !in_turn {
            hits.sort_by(|a, b| listing.order.compare(&a.position, &b.position, end));
        }
        let more = hits.len() as u64 > limit;
        hits.truncate(usize::try_from(limit).map_err(Error::internal)?);
        if end == End::Last {
            hits.reverse();
        }
        Ok((hits, more))
    }

    /// What a list is read in. By RELEVANCE its tiers, each as a whole before the next one, in the order's ascending direction; else
    /// what is found in one way and in another, which are merged.
    fn stretches(&self, listing: &Listing) -> Vec<Stretch> {
        let backend = self.database.reader.backend();
        let name = || Column::NameKey.into_simple_expr();
        let (found, keys) = match (listing.order.field, &listing.search) {
            (OrderField::Relevance, Some(search)) => {
                let tiers = search::tiers(search, backend).into_iter();
                let stretch = |tier: Tier| Stretch {
                    found: tier.found,
                    keys: vec![tier.rank, search::sorted(name(), backend)],
                };
                return tiers.map(stretch).collect();
            }
            (field, _) => {
                let key = match field {
                    OrderField::CreatedAt => Column::CreatedAt.into_simple_expr(),
                    OrderField::UpdatedAt => Column::UpdatedAt.into_simple_expr(),
                    OrderField::Name | OrderField::Relevance => name(),
                };
                (self.conditions(listing), vec![key])
            }
        };
        let stretch = |found| Stretch {
            found,
            keys: keys.clone(),
        };
        found.into_iter().map(stretch).collect()
    }

    /// The first rows of a stretch on the page: the position, from its last key to its first, then the columns.
    fn stretch(
        &self,
        listing: &Listing,
        stretch: Stretch,
        columns: impl IntoIterator<Item = Column>,
        most: u64,
    ) -> SelectStatement {
        let Listing { order, page, .. } = listing;
        let mut keys: Vec<_> = stretch
            .keys
            .into_iter()
            .map(|key| (key, order.direction))
            .collect();
        keys.push((Column::Id.into_simple_expr(), order.ties()));

        let lead = Lead::to_page(&listing.filter, self.database.reader.backend());
        let mut select = self
            .list(&listing.filter, lead)
            .filter(stretch.found)
            .select_only();
        for (key, _) in keys.iter().rev() {
            select = select.expr(key.clone());
        }
        select = select.columns(columns);
        if let Some(after) = &page.after {
            select = select.filter(beyond(&keys, &after.position, false));
        }
        if let Some(before) = &page.before {
            select = select.filter(beyond(&keys, &before.position, true));
        }
        for (key, direction) in keys {
            let order = if is_ascending(direction, page.end) {
                SqlOrder::Asc
            } else {
                SqlOrder::Desc
            };
            select = select.order_by(key, order);
        }
        select.limit(most).into_query()
    }

    /// The list's size.
    pub async fn total(&self, listing: &Listing) -> Result<u64> {
        let count = async {
            let mut total = 0;
            for found in self.conditions(listing) {
                let count = self
                    .list(&listing.filter, Lead::Any)
                    .filter(found)
                    .select_only()
                    .expr(Expr::cust("COUNT(*)"))
                    .into_query();
                let rows = self.rows(&count, Pace::Long, |row| row.cells(0).next());
                total += rows.await?.iter().sum::<i64>().unsigned_abs();
            }
            Ok(total)
        };
        let asked = (&listing.filter, &listing.search);
        self.counted(&self.database.totals, &asked, count).await
    }

    /// The list's groups with the filter's own restrictions of their dimensions left out: of these its facets and size are
    /// made. By outcome too only where that is asked for, or restricted.
    pub async fn groups(&self, listing: &Listing, by_outcome: bool) -> Result<Vec<Group>> {
        let by_outcome = by_outcome || listing.filter.outcome.is_some();
        let filter = listing.filter.without_facets();
        let count = async {
            let mut groups = Vec::new();
            for found in self.conditions(listing) {
                let list = self.list(&filter, Lead::Any).filter(found);
                groups.append(&mut self.group(list, by_outcome).await?);
            }
            Ok(groups)
        };
        let asked = (&filter, &listing.search, by_outcome);
        self.counted(&self.database.groups, &asked, count).await
    }

    async fn group(&self, list: Select<Entity>, by_outcome: bool) -> Result<Vec<Group>> {
        let dimensions = [
            Column::Category,
            Column::Status,
            Column::Type,
            Column::ServerType,
        ];
        let groups = list
            .select_only()
            .expr(Expr::cust("COUNT(*)"))
            .columns(dimensions);
        let groups = dimensions.into_iter().fold(groups, QuerySelect::group_by);
        let mut groups = groups.into_query();
        if by_outcome {
            let seq = connector_health::Column::Seq.into_expr();
            let outcome = connector_health::Column::Outcome.into_simple_expr();
            groups
                .left_join(connector_health::Entity, seq.eq(Column::Seq.into_expr()))
                .expr(outcome.clone())
                .add_group_by([outcome]);
        }
        let read = move |row: Row<'_>| {
            let mut cells = row.cells(0);
            Ok(Group {
                count: cells.next::<i64>()?.unsigned_abs(),
                category: cells.next()?,
                status: cells.next()?,
                r#type: cells.next()?,
                server_type: cells.next()?,
                outcome: if by_outcome { cells.next()? } else { None },
            })
        };
        self.rows(&groups, Pace::Long, read).await
    }

    /// What `count` gives, where it was not counted in this state before.
    async fn counted<T: Clone>(
        &self,
        counts: &CountCache<T>,
        asked: &impl Serialize,
        count: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // Without a snapshot nobody knows which state it is that is counted.
        if self.snapshot.is_none() {
            return count.await;
        }
        let state = self.log().await?.state;
        counts.get(state, &self.sight, asked, count).await
    }

    fn list(&self, filter: &Filter, lead: Lead) -> Select<Entity> {
        visible(&self.sight).filter(filter::condition(filter, &self.sight, lead))
    }

    /// What a list's search finds, by conditions that share no row; without a search all.
    fn conditions(&self, listing: &Listing) -> Vec<Condition> {
        let backend = self.database.reader.backend();
        match &listing.search {
            None => vec![Condition::all()],
            Some(search) => search::conditions(search, backend),
        }
    }

    /// The rows of a statement, each as `read` has it.
    pub(in crate::store) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let (reader, budget) = (&self.database.reader, &self.budget);
        match &self.snapshot {
            None => reader.rows_within(budget, select, pace, read).await,
            Some(snapshot) => {
                let snapshot = snapshot.get_or_try_init(|| reader.snapshot()).await?;
                snapshot.rows_within(budget, select, pace, read).await
            }
        }
    }
}

/// A part of a list.
struct Stretch {
    found: Condition,
    /// What its order is by, before ties.
    keys: Vec<SimpleExpr>,
}

/// The position that a row begins with, and how many columns it has.
fn position(row: Row<'_>, field: OrderField) -> Result<(Position, usize)> {
    let mut cells = row.cells(0);
    let id = cells.next()?;
    let (key, width) = match field {
        OrderField::Name => (SortKey::Name(cells.next()?), 2),
        OrderField::CreatedAt | OrderField::UpdatedAt => (SortKey::Time(cells.next()?), 2),
        OrderField::Relevance => {
            let name = cells.next()?;
            let tier: i64 = cells.next()?;
            let tier = i32::try_from(tier).map_err(Error::internal)?;
            (SortKey::Relevance { tier, name }, 3)
        }
    };
    Ok((Position { key, id }, width))
}

/// A search visits all that it finds, to put the best first, and a tool's name leads to as many rows as have the tool.
fn pace(listing: &Listing) -> Pace {
    if listing.search.is_some() || listing.filter.names_tools() {
        Pace::Long
    } else {
        Pace::Brief
    }
}

/// Where every query of connectors begins: those in sight.
pub(in crate::store) fn visible(sight: &Sight) -> Select<Entity> {
    let columns = [
        Column::Visibility,
        Column::OrganizationId,
        Column::CreatedBy,
    ];
    Entity::find().filter(in_sight(sight, columns))
}

/// [`Sight::sees`] of a connector whose visibility, organization and creator are in these columns.
pub(in crate::store) fn in_sight<C: ColumnTrait>(
    sight: &Sight,
    [visibility, organization_id, created_by]: [C; 3],
) -> Condition {
    let is = |value| any_of(visibility, &stored(&[value]));
    let public = Condition::any().add(is(ConnectorVisibility::Public));
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
                    .add(is(ConnectorVisibility::Organization))
                    .add(created_by.eq(user))
            };
            public.add(Condition::all().add(organization).add(meant_for))
        }
    }
}

pub(in crate::store) fn by_id(sight: &Sight, ids: &[String]) -> Select<Entity> {
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
