//! The catalogue as one viewer sees it.
//!
//! Invariant: every query of connectors here begins with `visible()`.

pub(in crate::store) mod columns;
mod correction;
pub(in crate::store) mod filter;
mod order;
mod page;
mod profiles;
pub(in crate::store) mod rows;
pub(in crate::store) mod search;
mod selectivity;
pub(in crate::store) mod word_index;

use std::{collections::HashMap, sync::Arc};

use entity::{
    ConnectorVisibility, connector_health,
    personal_connector::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, Iterable, QueryFilter, QuerySelect, QueryTrait,
    Select,
    sea_query::{Expr, Order as SqlOrder, SelectStatement, UnionType},
};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        changes::Log,
        cursor::LogPosition,
        facets::{Count, Group, Groups, ORGANIZATIONS, Organizations},
        field::Field,
        listing::{Filter, Listing, Pass, Restriction},
        order::Position,
        viewer::{Owner, Sight},
    },
    error::Result,
    store::{
        catalog::{
            columns::Fields,
            filter::{Lead, Scope, any_of, is_organization, owned_by, stored},
        },
        database::{connect::Database, reader::Snapshot, row::Row, sqlite_readers::Pace},
        memory::count_cache::CountCache,
        query::Query,
    },
};

/// The most changes by which a cached count is updated. Reading a thousand changes takes less time than counting a list
/// that is worth caching.
const FOLLOWED: i64 = 1000;

/// Reads the visible part of the catalogue, for one answer.
#[derive(Debug)]
pub struct Catalog {
    database: Database,
    sight: Sight,
    snapshot: Option<OnceCell<Snapshot>>,
    budget: Arc<AnswerBudget>,
}

/// A row of a list, and its position there.
#[derive(Clone, Debug)]
pub struct Hit<T = Model> {
    pub(crate) connector: T,
    pub(crate) position: Position,
}

impl Catalog {
    /// Creates a catalogue for answers of one statement.
    pub fn new(database: Database, sight: Sight) -> Self {
        Self {
            database,
            sight,
            snapshot: None,
            budget: AnswerBudget::unbounded(),
        }
    }

    /// Creates a catalogue for answers of several statements, which all read the same snapshot.
    pub fn snapshot(database: Database, sight: Sight) -> Self {
        Self {
            database,
            sight,
            snapshot: Some(OnceCell::new()),
            budget: AnswerBudget::unbounded(),
        }
    }

    /// Counts rows as bytes of an answer. Without this, the rows are not limited.
    #[must_use]
    pub(crate) fn within(self, budget: Arc<AnswerBudget>) -> Self {
        Self { budget, ..self }
    }

    pub(crate) fn sight(&self) -> &Sight {
        &self.sight
    }

    /// Returns the visible connectors with these ids, by id.
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

    /// Returns some fields of one visible connector, as `read` maps them.
    pub(crate) async fn get_fields<T: Send + 'static>(
        &self,
        id: String,
        fields: Vec<Field>,
        read: impl Fn(Fields<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Option<T>> {
        let backend = self.database.reader.backend();
        let build = |ids: &[String]| {
            let select = by_id(&self.sight, ids)
                .select_only()
                // There may be no fields.
                .column(Column::Id)
                .columns(fields.iter().map(|field| rows::column(*field)));
            Query::build(&select.into_query(), backend)
        };
        let query = (self.database.statement_texts).query(&self.sight, &fields, id, build);
        let rows = self.run(query, Pace::Brief, &self.budget, move |row| {
            read(Fields::new(row, &fields, 1))
        });
        Ok(rows.await?.pop())
    }

    /// Returns a page of a list in the list's order, and whether the list continues after it.
    pub async fn page(&self, listing: &Listing) -> Result<(Vec<Hit>, bool)> {
        self.read_page(listing, Column::iter(), rows::connector)
            .await
    }

    /// Returns a page of a list, with the fields of each connector that `read` returns.
    pub(crate) async fn page_fields<T: Send + 'static>(
        &self,
        listing: &Listing,
        fields: Vec<Field>,
        read: impl Fn(Fields<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<(Vec<Hit<T>>, bool)> {
        let columns: Vec<_> = fields.iter().map(|field| rows::column(*field)).collect();
        let read = move |row: Row<'_>, from| read(Fields::new(row, &fields, from));
        self.read_page(listing, columns, read).await
    }

    /// Returns the number of visible connectors of an owner.
    pub(crate) async fn count_owned(&self, owner: &Owner) -> Result<u64> {
        let count = visible(&self.sight)
            .filter(owned_by(owner))
            .select_only()
            .expr(Expr::cust("COUNT(*)"))
            .into_query();
        let rows = self.rows(&count, Pace::Brief, |row| row.cells(0).next());
        Ok(rows.await?.iter().sum::<i64>().unsigned_abs())
    }

    /// Returns the size of the list.
    pub async fn total(&self, listing: &Listing) -> Result<u64> {
        if listing.is_forgiving || listing.pass.get().is_some() {
            self.decide(listing).await?;
            return self.count(listing).await;
        }
        let total = self.count(listing).await?;
        if total > 0 {
            let _ = listing.pass.set(Pass::Strict);
            return Ok(total);
        }
        self.decide(listing).await?;
        match listing.correction() {
            Some(_) => self.count(listing).await,
            None => Ok(total),
        }
    }

    /// Returns the number of connectors in the list, for the words that are decided so far.
    async fn count(&self, listing: &Listing) -> Result<u64> {
        let list = listing.restriction();
        let count = async {
            let mut total = 0;
            for found in self.conditions(listing) {
                let count = self
                    .list(&listing.filter)
                    .filter(found)
                    .select_only()
                    .expr(Expr::cust("COUNT(*)"))
                    .into_query();
                let rows = self.rows(&count, Pace::Long, |row| row.cells(0).next());
                total += rows.await?.iter().sum::<i64>().unsigned_abs();
            }
            Ok(total)
        };
        self.counted(&self.database.totals, list, &list, count)
            .await
    }

    /// Returns the counts for the list's facets and size, without the filter's own restrictions of the counted
    /// dimensions. Counts by outcome are included only if they are requested or restricted.
    pub(crate) async fn groups(&self, listing: &Listing, by_outcome: bool) -> Result<Groups> {
        self.decide(listing).await?;
        let by_outcome = by_outcome || listing.filter.outcome.is_some();
        let filter = listing.filter.without_facets();
        let list = Restriction {
            filter: &filter,
            ..listing.restriction()
        };
        let count = async {
            let mut counts = Vec::new();
            for found in self.conditions(listing) {
                let list = self.list(&filter).filter(found);
                counts.append(&mut self.group(list, by_outcome).await?);
            }
            Ok(Groups { by_outcome, counts })
        };
        self.counted(&self.database.groups, list, &(list, by_outcome), count)
            .await
    }

    async fn group(&self, list: Select<Entity>, by_outcome: bool) -> Result<Vec<(Group, u64)>> {
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
            groups
                .inner_join(connector_health::Entity, seq.eq(Column::Seq.into_expr()))
                .expr_as(filter::outcome(), "found")
                .add_group_by([Expr::col("found")]);
        }
        let read = move |row: Row<'_>| {
            let mut cells = row.cells(0);
            let count = cells.next::<i64>()?.unsigned_abs();
            let group = Group {
                category: cells.next()?,
                status: cells.next()?,
                r#type: cells.next()?,
                server_type: cells.next()?,
                outcome: if by_outcome { cells.next()? } else { None },
            };
            Ok((group, count))
        };
        self.rows(&groups, Pace::Long, read).await
    }

    /// Returns the organizations of the list's connectors, without the filter's own restriction of organizations.
    pub(crate) async fn organizations(&self, listing: &Listing) -> Result<Organizations> {
        self.decide(listing).await?;
        let filter = listing.filter.without_organization();
        let count = async {
            let lists = self.conditions(listing).into_iter().map(|found| {
                let mut list = self.list(&filter).filter(found).select_only().into_query();
                let organization = filter::organization_shown(&self.sight);
                list.expr_as(organization, "organization").take()
            });
            let list = lists.reduce(|mut all, list| all.union(UnionType::All, list).take());
            let organization = || Expr::col("organization");
            let select = SelectStatement::new()
                .expr(organization())
                .expr(Expr::cust("COUNT(*)"))
                // The number of groups with an organization.
                .expr(Expr::cust("COUNT(organization) OVER ()"))
                .from_subquery(list.unwrap_or_default(), "list")
                .add_group_by([organization()])
                .order_by_expr(organization().is_null(), SqlOrder::Desc)
                .order_by_expr(Expr::cust("COUNT(*)"), SqlOrder::Desc)
                .order_by_expr(organization(), SqlOrder::Asc)
                .limit(ORGANIZATIONS as u64 + 1)
                .take();
            let read = |row: Row<'_>| {
                let mut cells = row.cells(0);
                let group = (cells.next()?, cells.next::<i64>()?.unsigned_abs());
                Ok((group, cells.next::<i64>()?.unsigned_abs()))
            };
            let rows = self.rows(&select, Pace::Long, read).await?;
            Ok(Organizations::of(rows))
        };
        let list = Restriction {
            filter: &filter,
            ..listing.restriction()
        };
        self.counted(&self.database.organizations, list, &list, count)
            .await
    }

    /// Returns the cached count of this query at this state, or updates an earlier count by the changes since then.
    /// Otherwise it runs `count`.
    async fn counted<T: Count>(
        &self,
        counts: &CountCache<T>,
        list: Restriction<'_>,
        asked: &impl Serialize,
        count: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // Without a snapshot, the counted state is unknown. A check may change the list without a new state.
        if self.snapshot.is_none() || list.filter.changes_alone() {
            return count.await;
        }
        let log = self.log().await?;
        let bring = async |last: Option<(LogPosition, T)>| {
            if let Some((since, last)) = last
                && let Some(brought) = self.bring_forward(last, since, list, log).await?
            {
                return Ok(brought);
            }
            count.await
        };
        // This is a future of its own because it is large, and most answers count nothing.
        Box::pin(counts.get(log.state, &self.sight, asked, bring)).await
    }

    /// Returns a list's count after the changes since then. None if there are too many changes, some are deleted, or
    /// one does not contain enough of its connector.
    async fn bring_forward<T: Count>(
        &self,
        mut count: T,
        since: LogPosition,
        list: Restriction<'_>,
        log: Log,
    ) -> Result<Option<T>> {
        let changes = log.state.number - since.number;
        if since.number < log.forgotten.number || !(1..=FOLLOWED).contains(&changes) {
            return Ok(None);
        }
        let Some(changes) = self.states_since(since, log).await? else {
            return Ok(None);
        };
        let sides = changes
            .iter()
            .flat_map(|change| change.states().into_iter().zip([-1, 1]));
        for (state, by) in sides {
            let Some(state) = state else { continue };
            let counted = list.has(state, &self.sight).and_then(|is_in| {
                if is_in {
                    count.add(state, by)
                } else {
                    Some(())
                }
            });
            if counted.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(count))
    }

    /// Returns all rows of a list, without an order.
    fn list(&self, filter: &Filter) -> Select<Entity> {
        let scope = Scope {
            sight: &self.sight,
            lead: Lead::Any,
            with_health: false,
        };
        visible(&self.sight).filter(filter::condition(filter, &scope))
    }

    /// Returns the conditions of a list's search, which match disjoint sets of rows. Without a search it is one
    /// condition, which matches all rows.
    fn conditions(&self, listing: &Listing) -> Vec<Condition> {
        let backend = self.database.reader.backend();
        match listing.searched() {
            None => vec![Condition::all()],
            Some(search) => search::conditions(search, backend),
        }
    }

    /// Returns the rows of a statement, as `read` maps them.
    pub(in crate::store) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        self.rows_within(select, pace, &self.budget, read).await
    }

    /// Like [`Self::rows`], counted in bytes of another answer, or of none.
    pub(in crate::store) async fn rows_within<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        budget: &Arc<AnswerBudget>,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let query = Query::build(select, self.database.reader.backend());
        self.run(query, pace, budget, read).await
    }

    async fn run<T: Send + 'static>(
        &self,
        query: Query,
        pace: Pace,
        budget: &Arc<AnswerBudget>,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let reader = &self.database.reader;
        match &self.snapshot {
            None => reader.rows_within(budget, query, pace, read).await,
            Some(snapshot) => {
                let snapshot = snapshot.get_or_try_init(|| reader.snapshot()).await?;
                snapshot.rows_within(budget, query, pace, read).await
            }
        }
    }
}

/// The base of every query of connectors: the visible rows.
pub(in crate::store) fn visible(sight: &Sight) -> Select<Entity> {
    let columns = [
        Column::Visibility,
        Column::OrganizationId,
        Column::CreatedBy,
    ];
    Entity::find().filter(in_sight(sight, columns))
}

/// Returns [`Sight::sees`] as a condition, for a connector whose visibility, organization and creator are in these
/// columns.
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
            let organization = is_organization(organization_id, organization.as_deref());
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
