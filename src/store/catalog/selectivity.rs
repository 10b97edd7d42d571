//! Estimates how many rows a search finds, before they are read.
//!
//! Invariant: the number only chooses between ways to the same rows. It counts invisible rows too, and is never shown.

use entity::personal_connector::{Column, Entity};
use sea_orm::{
    Condition, DbBackend, ExprTrait,
    sea_query::{Expr, Func, Query, SelectStatement, SimpleExpr, UnionType},
};

use crate::{
    domain::{
        listing::{SearchTerm, SearchWord},
        order::OrderField,
        text,
    },
    store::catalog::filter::written,
};

/// The most rows that are found and sorted. More are looked for in the order of the list, which takes about as long
/// for this number: PostgreSQL visits [`VISITED`] rows, and SQLite may pass 200,000.
pub(super) const FEW: u64 = 2000;

/// The most rows that PostgreSQL ranks in one statement. The statement ranks rows of later pages too, so that for more
/// rows a statement for each tier is faster.
pub(super) const RANKED: u64 = 200;

/// The most rows that a scan of an order's index visits on PostgreSQL. A scan that finds no page in them is given up.
const VISITED: u64 = 4096;

/// The rows that a scan for a tier visits. Words are counted without their fields, so that a tier may have few of the
/// rows with a frequent word.
pub(super) const VISITED_OF_TIER: u64 = 2048;

/// The numbers of rows to visit are multiples of this one, so that there are few different statements.
const STEP: u64 = 256;

/// The number of terms to count: the longest ones, which are usually the rarest.
const TERMS: usize = 8;

/// Selects how many rows have each term in their own fields, and the highest number of a row. Of the words with a
/// beginning, [`FEW`] and one are counted.
pub(super) fn of_terms(terms: &[SearchTerm]) -> SelectStatement {
    let mut terms: Vec<_> = terms.iter().collect();
    terms.sort_by_key(|term| std::cmp::Reverse(term.words().map(|word| word.text.len()).max()));
    terms.truncate(TERMS);
    let counts = terms.into_iter().map(count);
    let counts = counts.reduce(|mut all, count| all.union(UnionType::All, count).take());
    let rows = Query::select()
        .expr(Func::max(Expr::col(Column::Seq)))
        .from(Entity)
        .take();
    Query::select()
        .expr(Expr::col("n").cast_as("BIGINT"))
        .expr(SimpleExpr::SubQuery(None, Box::new(rows.into())))
        .from_subquery(counts.unwrap_or_default(), "counted")
        .take()
}

/// How many rows a search is expected to find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// The rows with the rarest term.
    rarest: u64,
    /// The rows with all terms, if they are independent of each other.
    together: u64,
    /// The highest number of a row: at least the rows of the catalogue.
    of: u64,
}

impl Expected {
    /// Expects all of so many rows.
    pub(super) const fn all(rows: u64) -> Self {
        Self {
            rarest: rows,
            together: rows,
            of: rows,
        }
    }

    /// Expects rows by the counts of [`of_terms`].
    pub(super) fn of(counts: &[(u64, u64)]) -> Self {
        let all = counts.iter().map(|(found, of)| Self {
            of: *of,
            ..Self::all(*found)
        });
        let with_both = |all: Self, term: Self| {
            let together = u128::from(all.together) * u128::from(term.together);
            let together = together / u128::from(all.of).saturating_add(1);
            Self {
                rarest: Ord::min(all.rarest, term.rarest),
                together: u64::try_from(together).unwrap_or(u64::MAX),
                of: all.of,
            }
        };
        all.reduce(with_both).unwrap_or(Self::all(0))
    }

    /// Returns the number that chooses the way. On PostgreSQL the rarest term decides, because a scan that finds no
    /// page costs little. A scan on SQLite may pass all rows, so that terms count as independent there.
    pub(super) const fn found(self, backend: DbBackend) -> u64 {
        match backend {
            DbBackend::Postgres => self.rarest,
            _ => self.together,
        }
    }

    /// Returns how many rows a scan on PostgreSQL visits to find so many: twice as many as it would need if rows were
    /// spread evenly. Rows with a word in their name are not spread evenly by name, so that a scan finds a page soon or
    /// not at all.
    pub(super) fn visited(self, wanted: u64, order: OrderField) -> u64 {
        let rows = u128::from(wanted) * u128::from(self.of);
        let needed = rows / u128::from(Ord::max(self.together, 1));
        let needed = u64::try_from(needed).unwrap_or(VISITED);
        let more = match order {
            OrderField::Name => needed / 4,
            _ => needed,
        };
        let visited = needed.saturating_add(more).checked_next_multiple_of(STEP);
        Ord::clamp(visited.unwrap_or(VISITED), STEP, VISITED)
    }
}

/// Whether a statement finds a row. PostgreSQL plans EXISTS for the first row: for a word that it has no statistics of,
/// it scans the table. For [`FEW`] rows it asks the index.
pub(super) fn finds_any(mut select: SelectStatement, backend: DbBackend) -> SimpleExpr {
    if backend != DbBackend::Postgres {
        return Expr::exists(select.limit(1).take());
    }
    let first = select.limit(FEW + 1).take();
    let count = Query::select()
        .expr(Expr::cust("COUNT(*)"))
        .from_subquery(first, "first")
        .take();
    SimpleExpr::SubQuery(None, Box::new(count.into())).gt(written(0))
}

/// Returns the condition of rows that have one of the term's words. Each word represents its alternative.
fn count(term: &SearchTerm) -> SelectStatement {
    let firsts = term.alternatives.iter().filter_map(|words| words.first());
    let any = firsts.fold(Condition::any(), |any, word| any.add(is(word)));
    let words = Query::select()
        .column("connectors")
        .from("search_word")
        .cond_where(any)
        .limit(FEW + 1)
        .take();
    let sum = Func::sum(Expr::col("connectors"));
    Query::select()
        .expr_as(Func::coalesce([sum.into(), Expr::val(0)]), "n")
        .from_subquery(words, "words")
        .take()
}

fn is(SearchWord { text, is_prefix }: &SearchWord) -> SimpleExpr {
    let word = || Expr::col("word");
    if !is_prefix {
        return word().eq(text);
    }
    let from = word().gte(text);
    match text::behind(text) {
        Some(end) => from.and(word().lt(end)),
        None => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_are_rarely_together_find_few_on_sqlite() {
        let middle = (6_000, 200_000);
        let frequent = (120_000, 200_000);
        let few = |counts: &[(u64, u64)]| {
            let expected = Expected::of(counts);
            [DbBackend::Sqlite, DbBackend::Postgres].map(|backend| expected.found(backend) <= FEW)
        };
        assert_eq!(few(&[middle]), [false, false]);
        assert_eq!(few(&[middle, frequent]), [false, false]);
        assert_eq!(few(&[middle, middle]), [true, false]);
        assert_eq!(few(&[middle, (FEW, 200_000)]), [true, true]);
        assert_eq!(few(&[]), [true, true]);
    }

    #[test]
    fn a_scan_visits_as_many_rows_as_it_probably_needs() {
        let visited = |found: &[u64], wanted| {
            let counts: Vec<_> = found.iter().map(|found| (*found, 200_000)).collect();
            let expected = Expected::of(&counts);
            [OrderField::Name, OrderField::CreatedAt].map(|field| expected.visited(wanted, field))
        };
        assert_eq!(visited(&[120_000], 21), [256, 256]);
        assert_eq!(visited(&[6_000], 21), [1024, 1536]);
        assert_eq!(visited(&[6_000], 101), [4096, 4096]);
        assert_eq!(visited(&[6_000, 6_000], 21), [4096, 4096]);
        assert_eq!(visited(&[0], u64::MAX), [4096, 4096]);
        let all = Expected::all(u64::MAX);
        assert_eq!(all.visited(u64::MAX, OrderField::Name), 4096);
    }
}
