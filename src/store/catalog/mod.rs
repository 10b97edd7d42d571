//! The catalogue as one viewer sees it.
//!
//! Invariant: every query of connectors here begins with `visible()`.

pub(in crate::store) mod columns;
mod correction;
mod counts;
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
    ConnectorVisibility,
    personal_connector::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Iterable, QueryFilter, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, SelectStatement},
};
use tokio::sync::OnceCell;

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        field::Field,
        listing::{Filter, Listing},
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
        query::{Constant, Query},
    },
};

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

    /// Returns the rows of a statement that is always the same.
    pub(in crate::store) async fn constant_rows<T: Send + 'static>(
        &self,
        statement: &Constant,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let query = statement.query(self.database.reader.backend());
        self.run(query, Pace::Brief, &self.budget, read).await
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
