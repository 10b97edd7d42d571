//! How many rows a search finds, before they are looked for.
//!
//! Invariant: the number only chooses between ways to the same rows. It counts rows out of sight too, and is never
//! shown.

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

/// The rows that are looked up and sorted in about the time of a walk past [`WALKED`] rows.
pub(super) const FEW: u64 = 2000;

/// The rows of an order's index that a walk passes at most. A walk that finds no page among them is given up.
pub(super) const WALKED: u64 = 2000;

/// Terms that are counted: the longest, which are the rarest most of the time.
const TERMS: usize = 8;

/// Selects how many rows have the rarest of the terms in their own fields. Of a beginning, [`FEW`] words and one are
/// counted.
pub(super) fn of_rarest(terms: &[SearchTerm]) -> SelectStatement {
    let mut terms: Vec<_> = terms.iter().collect();
    terms.sort_by_key(|term| std::cmp::Reverse(term.words().map(|word| word.text.len()).max()));
    terms.truncate(TERMS);
    let counts = terms.into_iter().map(count);
    let counts = counts.reduce(|mut all, count| all.union(UnionType::All, count).take());
    Query::select()
        .expr(Expr::from(Func::min(Expr::col("n"))).cast_as("BIGINT"))
        .from_subquery(counts.unwrap_or_default(), "counted")
        .take()
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

/// The rows that have one of the term's words, each of which stands for the words beside it in its alternative.
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
