//! Pages of lists: the statements that read a page, and which of them are needed.

use std::sync::Arc;

use entity::{
    connector_health,
    personal_connector::{Column, Entity},
};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityName, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, Order as SqlOrder, SelectStatement},
};

use crate::{
    domain::{
        listing::{Listing, Page, Pass, Search},
        order::{End, Form, OrderField, is_ascending},
    },
    error::{Error, Result},
    store::{
        catalog::{
            Catalog, Hit,
            filter::{self, Lead, Scope},
            order::{Beyond, Stretch, position, value},
            search::{self, Found, sorted},
            selectivity::{self, Expected, FEW, RANKED, VISITED_OF_TIER},
            visible,
        },
        database::{row::Row, sqlite_readers::Pace},
    },
};

/// A part of a list. It is read completely before the next one.
struct Part {
    /// The statement to try first. Its rows count only if they fill the page.
    walk: Option<Stretch>,
    /// The statements that find all rows of the part. Their results are merged.
    found: Vec<Stretch>,
    /// The pace of these statements, as far as their words determine it.
    pace: Pace,
}

impl Catalog {
    /// Returns a page of a list, with what `read` makes of the columns of each row. `read` gets the index of the first
    /// column.
    pub(super) async fn read_page<T: Send + 'static>(
        &self,
        listing: &Listing,
        columns: impl IntoIterator<Item = Column> + Clone,
        read: impl Fn(Row<'_>, usize) -> Result<T> + Send + Sync + 'static,
    ) -> Result<(Vec<Hit<T>>, bool)> {
        let Page { end, limit, .. } = listing.page;
        let forms: Vec<_> = (listing.order.keys().iter())
            .map(|key| key.field.form())
            .collect();
        let read = Arc::new(move |row: Row<'_>| {
            let (position, width) = position(row, &forms)?;
            let connector = read(row, width)?;
            Ok(Hit {
                connector,
                position,
            })
        });
        let own;
        let catalog = if self.snapshot.is_none() && !is_one_statement(listing) {
            own = Self::snapshot(self.database.clone(), self.sight.clone())
                .within(self.budget.clone());
            &own
        } else {
            self
        };
        if listing.is_forgiving {
            catalog.decide(listing).await?;
        }
        let mut hits = catalog.first_hits(listing, &columns, &read).await?;
        if hits.is_empty() {
            catalog.decide(listing).await?;
            if listing.correction().is_some() {
                hits = catalog.first_hits(listing, &columns, &read).await?;
            }
        } else {
            let _ = listing.pass.set(Pass::Strict);
        }
        let more = hits.len() as u64 > limit;
        hits.truncate(usize::try_from(limit).map_err(Error::internal)?);
        if end == End::Last {
            hits.reverse();
        }
        Ok((hits, more))
    }

    /// Returns the rows of a page from its end of the list, and one more if there is one.
    async fn first_hits<T: Send + 'static>(
        &self,
        listing: &Listing,
        columns: &(impl IntoIterator<Item = Column> + Clone),
        read: &Arc<impl Fn(Row<'_>) -> Result<Hit<T>> + Send + Sync + 'static>,
    ) -> Result<Vec<Hit<T>>> {
        let Page { end, limit, .. } = listing.page;
        // A stack: the next statement is taken from its end.
        let mut parts = self.parts(listing).await?;
        if end == End::First {
            parts.reverse();
        }
        let mut hits = Vec::new();
        while hits.len() as u64 <= limit
            && let Some(Part { walk, found, pace }) = parts.pop()
        {
            let most = limit + 1 - hits.len() as u64;
            let rows = async |stretch: &Stretch, pace| {
                let Some(select) = self.stretch(listing, stretch, columns.clone(), most) else {
                    return Ok(Vec::new());
                };
                let read = Arc::clone(read);
                let pace = if is_long(listing) { Pace::Long } else { pace };
                self.rows(&select, pace, move |row| read(row)).await
            };
            if let Some(walk) = walk {
                let mut walked = rows(&walk, Pace::Walk).await?;
                if walked.len() as u64 == most {
                    hits.append(&mut walked);
                    break;
                }
            }
            let is_merged = found.len() > 1;
            let mut of_part = Vec::new();
            for stretch in found {
                of_part.append(&mut rows(&stretch, pace).await?);
            }
            if is_merged {
                of_part
                    .sort_by(|a: &Hit<T>, b| listing.order.compare(&a.position, &b.position, end));
            }
            hits.append(&mut of_part);
        }
        Ok(hits)
    }

    /// Returns the parts in which a list is read, in order.
    async fn parts(&self, listing: &Listing) -> Result<Vec<Part>> {
        let backend = self.database.reader.backend();
        let order = &listing.order;
        let field = order.first.field;
        let Some(search) = listing.searched() else {
            let parts =
                Stretch::of_parts(order, &[Condition::all()], |field| value(field, backend));
            let parts = parts.into_iter().map(|found| Part {
                walk: None,
                found,
                pace: Pace::Brief,
            });
            return Ok(parts.collect());
        };
        let expected = self.expected(search).await?;
        let are_few = expected.found(backend) <= FEW;
        // On SQLite, a list of all matches is made quickly, and a look-up in it is faster than one in an index.
        // Conditions on health concern more than the row.
        let with_health = order.keys().iter().any(|key| key.field.is_of_health());
        let is_of_few =
            are_few && backend == DbBackend::Postgres && !search.terms.is_empty() && !with_health;
        let scans = !are_few && !order.is_compound();
        if field == OrderField::Relevance {
            let by_name = !order.is_compound();
            let tiers = search::tiers(
                search,
                backend,
                Found {
                    are_ranked: expected.found(backend) <= RANKED,
                    by_name,
                },
            );
            let visited = scans.then_some(VISITED_OF_TIER);
            let parts = tiers.into_iter().map(|tier| {
                let pace = if tier.is_in_order && backend == DbBackend::Postgres {
                    // PostgreSQL expects few of the rows that begin so to have the words, and would sort them all.
                    Pace::Walk
                } else {
                    Pace::Long
                };
                let is_of_few = is_of_few && !tier.is_in_order;
                let (walk, mut found) = Stretch::of_tier(order, tier, visited, backend);
                found.is_of_few = is_of_few;
                Part {
                    walk,
                    found: vec![found],
                    pace,
                }
            });
            return Ok(parts.collect());
        }
        let scans =
            scans && field.is_column() && search.address.is_none() && !search.terms.is_empty();
        let of_row = || search::of_row(search, backend);
        let found = if scans && backend != DbBackend::Postgres {
            // It passes any number of rows soon, so that no look-up follows.
            vec![of_row()]
        } else {
            search::conditions(search, backend)
        };
        let wanted = listing.page.limit.saturating_add(1);
        let visited =
            (scans && backend == DbBackend::Postgres).then(|| expected.visited(wanted, field));
        let parts = Stretch::of_parts(order, &found, |field| {
            let value = value(field, backend);
            match backend {
                DbBackend::Postgres => sorted(value, backend),
                _ => value,
            }
        });
        let parts = parts.into_iter().map(|mut found| {
            for stretch in &mut found {
                stretch.is_of_few = is_of_few;
            }
            Part {
                walk: visited.map(|visited| Stretch::walk(order, of_row(), visited, backend)),
                found,
                pace: Pace::Long,
            }
        });
        Ok(parts.collect())
    }

    /// Returns how many rows a search is expected to find.
    async fn expected(&self, search: &Search) -> Result<Expected> {
        let state = self.database.known.position();
        let rows = state.map_or(u64::MAX, |state| state.number.unsigned_abs());
        if rows <= RANKED || search.terms.is_empty() {
            return Ok(Expected::all(rows));
        }
        let counts = selectivity::of_terms(&search.terms);
        let read = |row: Row<'_>| {
            let mut cells = row.cells(0);
            let found = cells.next::<i64>()?.unsigned_abs();
            let rows = cells.next::<Option<i64>>()?.unwrap_or_default();
            Ok((found, rows.unsigned_abs()))
        };
        let counts = self.rows(&counts, Pace::Brief, read).await?;
        Ok(Expected::of(&counts))
    }

    /// Returns the first rows of a part on the page: the position, then the columns. None if the page has none of its
    /// rows.
    fn stretch(
        &self,
        listing: &Listing,
        stretch: &Stretch,
        columns: impl IntoIterator<Item = Column>,
        most: u64,
    ) -> Option<SelectStatement> {
        let Listing { order, page, .. } = listing;
        let (mut beyond, mut is_bounded) = (Condition::all(), false);
        let ends = [(&page.after, false), (&page.before, true)];
        for (cursor, before) in ends {
            let Some(cursor) = cursor else { continue };
            match stretch.beyond(&cursor.position, before) {
                Beyond::All => {}
                Beyond::None => return None,
                Beyond::Where(rows) => {
                    beyond = beyond.add(rows);
                    is_bounded |= stretch.is_bounded(before);
                }
            }
        }
        let with_health = order.keys().iter().any(|key| key.field.is_of_health());
        let scope = Scope {
            sight: &self.sight,
            lead: Lead::to_page(&listing.filter, order, self.database.reader.backend()),
            with_health,
        };
        let found = stretch.found(is_bounded);
        let mut select = visible(&self.sight)
            .filter(filter::condition(&listing.filter, &scope))
            .select_only();
        if !stretch.is_of_few {
            select = select.filter(found.clone());
        }
        if stretch.visited.is_none() {
            select = select.filter(beyond.clone());
        }
        for value in stretch.position() {
            select = select.expr(value);
        }
        select = select.columns(columns);
        let mut walked = SelectStatement::new();
        for (key, direction) in stretch.order() {
            let order = if is_ascending(direction, page.end) {
                SqlOrder::Asc
            } else {
                SqlOrder::Desc
            };
            walked.order_by_expr(key.clone(), order.clone());
            select = select.order_by(key, order);
        }
        let mut select = select.limit(most).into_query();
        let mut first = None;
        if let Some(visited) = stretch.visited {
            // All conditions that no index has are beside it, so the scan ends.
            let pair = filter::pair(&listing.filter).unwrap_or_default();
            let walked = walked.cond_where(filter::condition(&pair, &scope));
            first = Some(walked.cond_where(beyond).limit(visited).take());
        } else if stretch.is_of_few {
            // OFFSET makes PostgreSQL find these rows separately. It may overestimate their number, compared with that
            // of a filter.
            first = Some(SelectStatement::new().cond_where(found).offset(0).take());
        }
        if let Some(mut first) = first {
            let first = first.expr(Expr::cust("*")).from(Entity).take();
            select
                .from_clear()
                .from_subquery(first, Entity.table_name());
        }
        if with_health {
            let seq = connector_health::Column::Seq.into_expr();
            select.inner_join(connector_health::Entity, seq.eq(Column::Seq.into_expr()));
        }
        Some(select)
    }
}

/// Returns whether a page needs only its own statement.
fn is_one_statement(listing: &Listing) -> bool {
    let search = listing.search.as_ref();
    search.is_none_or(|search| search.terms.is_empty())
        && listing.order.first.field.form() != Form::Maybe
}

/// Returns whether any statement of a list probably visits many rows. A tool's name leads to all connectors with that
/// tool, and several orders sort all rows that tie in the first.
fn is_long(listing: &Listing) -> bool {
    listing.filter.is_selective() || listing.order.is_compound()
}
