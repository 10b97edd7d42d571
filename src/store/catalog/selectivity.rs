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
        text,
    },
    store::catalog::filter::written,
};

/// The most rows that are found and sorted. More are looked for in the order of the list, which takes about as long
/// for this number: PostgreSQL visits [`WALKED`] rows, and SQLite may pass 200,000.
pub(super) const FEW: u64 = 2000;

/// The most rows that PostgreSQL ranks in one statement. The statement ranks rows of later pages too, so that for more
/// rows a statement for each tier is faster.
pub(super) const RANKED: u64 = 200;

/// The most rows that a scan of an order's index visits. A scan that finds no page in them is given up.
pub(super) const WALKED: u64 = 2000;

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

/// Returns the number of rows that are expected, by the counts of [`of_terms`].
///
/// On PostgreSQL the rarest term decides, because a walk that finds no page costs little. A scan on SQLite may pass all
/// rows, so that terms count as independent there.
pub(super) fn expected(counts: &[(u64, u64)], backend: DbBackend) -> u64 {
    let expected = match backend {
        DbBackend::Postgres => counts.iter().map(|(found, _)| *found).min(),
        _ => counts
            .iter()
            .copied()
            .reduce(|(expected, rows), (found, _)| {
                let both =
                    u128::from(expected) * u128::from(found) / u128::from(rows).saturating_add(1);
                (u64::try_from(both).unwrap_or(u64::MAX), rows)
            })
            .map(|(expected, _)| expected),
    };
    expected.unwrap_or_default()
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
            [DbBackend::Sqlite, DbBackend::Postgres].map(|backend| expected(counts, backend) <= FEW)
        };
        assert_eq!(few(&[middle]), [false, false]);
        assert_eq!(few(&[middle, frequent]), [false, false]);
        assert_eq!(few(&[middle, middle]), [true, false]);
        assert_eq!(few(&[middle, (FEW, 200_000)]), [true, true]);
        assert_eq!(few(&[]), [true, true]);
    }
}
