//! Counts of a list, which are cached and follow the changes of connectors.
//!
//! Invariant: a count equals a new count in its snapshot, however it is obtained.

use entity::{
    connector_health,
    personal_connector::{Column, Entity},
};
use sea_orm::{
    ColumnTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Order as SqlOrder, SelectStatement, UnionType},
};
use serde::Serialize;

use crate::{
    domain::{
        changes::Log,
        cursor::LogPosition,
        facets::{Count, Group, Groups, ORGANIZATIONS, Organizations},
        listing::{Listing, Pass, Restriction},
    },
    error::Result,
    store::{
        catalog::{Catalog, filter},
        database::{row::Row, sqlite_readers::Pace},
        memory::{count_cache::CountCache, recent_states::FOLLOWED},
    },
};

impl Catalog {
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
        let (log, connectors) = self.log_and_connectors().await?;
        let bring = async |last: Option<(LogPosition, T)>| {
            if let Some(last) = last
                && let Some(brought) = self.bring_forward(last, list, log, connectors).await?
            {
                return Ok(brought);
            }
            count.await
        };
        // This is a future of its own because it is large, and most answers count nothing.
        Box::pin(counts.get(log.state, &self.sight, asked, bring)).await
    }

    /// Returns a list's count after the changes since then. None if counting takes less time, if some changes are
    /// deleted, or if one does not contain enough of its connector.
    async fn bring_forward<T: Count>(
        &self,
        (since, mut count): (LogPosition, T),
        list: Restriction<'_>,
        log: Log,
        connectors: u64,
    ) -> Result<Option<T>> {
        let changes = log.state.number - since.number;
        if since.number < log.forgotten.number || !(1..=FOLLOWED).contains(&changes) {
            return Ok(None);
        }
        let Some(counted) = count.counted() else {
            return Ok(None);
        };
        let rows = if list.filter.is_led_alone() && list.search.is_none() {
            Ord::min(counted, connectors)
        } else {
            connectors
        };
        let changes = changes.unsigned_abs();
        let is_worth = |unread| Effort { changes, unread }.is_less_than_counting(rows);
        let read = async |from| self.states_from(from, log).await;
        let recent = &self.database.recent_states;
        let changes = recent.between(since, log.state, is_worth, read).await?;
        let Some(changes) = changes else {
            return Ok(None);
        };
        let sides = changes
            .iter()
            .flat_map(|change| change.states().into_iter().zip([-1, 1]));
        for (state, by) in sides {
            let Some(state) = state else { continue };
            let counted = list.has(state, &self.sight).and_then(|is_in| {
                if is_in {
                    count.add(state, &self.sight, by)
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
}

/// The work of bringing a count forward, in visited rows that take as long when they are counted.
#[derive(Clone, Copy, Debug)]
struct Effort {
    changes: u64,
    /// The changes that are not in memory.
    unread: u64,
}

impl Effort {
    /// A statement that reads changes, besides its rows.
    const STATEMENT: u64 = 200;
    /// A statement that counts, which is planned for its values.
    const COUNT: u64 = 300;
    /// Reading a change, which has the states of its connector as JSON.
    const READ: u64 = 8;

    fn is_less_than_counting(self, rows: u64) -> bool {
        let read = match self.unread {
            0 => 0,
            unread => Self::STATEMENT + Self::READ * unread,
        };
        read + self.changes <= Self::COUNT + rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_list_is_counted_anew_after_many_changes() {
        for (changes, unread, rows, is_brought) in [
            (1, 1, 0, true),
            (11, 11, 0, true),
            (12, 12, 0, false),
            (100, 100, 799, false),
            (100, 100, 800, true),
            // Another list made the changes be read.
            (100, 0, 0, true),
            (1000, 0, 699, false),
            (1000, 0, 700, true),
            (1000, 1000, 8899, false),
            (1000, 1000, 8900, true),
            (1000, 1000, 200_000, true),
        ] {
            let effort = Effort { changes, unread };
            let is_less = effort.is_less_than_counting(rows);
            assert_eq!(is_less, is_brought, "{effort:?} {rows}");
        }
    }
}
