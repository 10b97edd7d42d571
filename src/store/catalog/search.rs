//! Search: which rows have the words of a search, and how well they match.

use std::ops::RangeInclusive;

use entity::{connector_health, personal_connector::Column};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, ExprTrait, IntoSimpleExpr,
    sea_query::{CaseStatement, Expr, Func, Query, SimpleExpr},
};

use crate::{
    domain::{listing::Search, text},
    store::catalog::{
        filter::written,
        word_index::{Field, WordIndex},
    },
};

/// How well a row matches, best first: the tiers of RELEVANCE.
const ADDRESS: i32 = -1;
const EXACT_NAME: i32 = 0;
const NAME_BEGINS: i32 = 1;
const NAME: i32 = 2;
const CONNECTOR_ID: i32 = 3;
const DESCRIPTION: i32 = 4;
const TOOLS: i32 = 5;

/// Added to each tier of a corrected search.
const CORRECTED: i32 = 10;

/// The tier of the rows that a statement finds.
#[derive(Clone, Debug)]
pub(in crate::store) enum Rank {
    Is(i32),
    /// The tier depends on the name: it is between these two.
    ByName(RangeInclusive<i32>, SimpleExpr),
    Of(SimpleExpr),
}

impl Rank {
    /// Returns the tier in a corrected search.
    fn further_down(self) -> Self {
        let lower = |rank: SimpleExpr| rank.add(written(CORRECTED));
        match self {
            Self::Is(rank) => Self::Is(rank + CORRECTED),
            Self::ByName(tiers, rank) => Self::ByName(
                tiers.start() + CORRECTED..=tiers.end() + CORRECTED,
                lower(rank),
            ),
            Self::Of(rank) => Self::Of(lower(rank)),
        }
    }
}

/// Facts about the matches of a search that are known before any statement runs.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Found {
    /// Whether there are few enough matches to rank each of them.
    pub(in crate::store) are_ranked: bool,
    /// Whether the rows of a tier are ordered by name alone, for which there is an index.
    pub(in crate::store) by_name: bool,
}

/// Rows that a statement finds. With several statements, the best rows are first.
pub(in crate::store) struct Tier {
    pub(in crate::store) found: Condition,
    pub(in crate::store) rank: Rank,
    /// Whether an index has these rows by name, among few others. Otherwise they are found by their words, and sorted.
    pub(in crate::store) is_in_order: bool,
    /// The same rows as a condition for a scan, which tests each row. None if another way is shorter, as on SQLite.
    pub(in crate::store) walked: Option<Condition>,
}

impl Tier {
    fn new(rank: i32, found: Condition) -> Self {
        Self {
            found,
            rank: Rank::Is(rank),
            is_in_order: false,
            walked: None,
        }
    }
}

fn index(search: &Search, backend: DbBackend) -> WordIndex<'_> {
    WordIndex::new(&search.terms, backend)
}

/// Returns disjoint conditions of the rows that have every word of the search in their name, connectorId, description
/// or tools. The last word may be the beginning of a word. A search without words (`"+"`) finds only connectors with
/// exactly that name.
///
/// Each condition is one list of numbers, so that a database begins with the shortest list. It would not do so if both
/// were in one condition.
pub(in crate::store) fn conditions(search: &Search, backend: DbBackend) -> Vec<Condition> {
    if search.terms.is_empty() {
        return vec![Condition::all().add(Column::NameKey.eq(&search.key))];
    }
    let index = index(search, backend);
    let own = Condition::all().add(index.own(Field::Description));
    let found = [own, only_tools(index)];
    let Some(address) = &search.address else {
        return found.into();
    };
    let elsewhere = |found: Condition| found.add(is_at(address).not());
    let there = Condition::all().add(is_at(address));
    [there].into_iter().chain(found.map(elsewhere)).collect()
}

/// The same rows by one condition, for a scan in the order of a list. A search for an address has none.
pub(in crate::store) fn of_row(search: &Search, backend: DbBackend) -> Condition {
    let index = index(search, backend).of_row();
    Condition::any()
        .add(index.own(Field::Description))
        .add(index.with_tools())
}

/// Returns the condition of rows that have every word of the search in name, connectorId and description.
pub(in crate::store) fn own(search: &Search, backend: DbBackend) -> Vec<Condition> {
    vec![Condition::all().add(index(search, backend).own(Field::Description))]
}

/// Returns the condition of rows whose server has an address.
fn is_at(address: &str) -> SimpleExpr {
    use connector_health::{Column as Health, Entity};

    let servers = Query::select()
        .column(Health::Seq)
        .from(Entity)
        .and_where(Health::Address.eq(address))
        .take();
    Column::Seq.in_subquery(servers)
}

/// Returns the condition of rows that match only by their tools.
fn only_tools(index: WordIndex<'_>) -> Condition {
    Condition::all()
        .add(index.with_tools())
        .add(index.own(Field::Description).not())
}

/// Returns the condition of rows whose name is the whole search, or begins with it. A corrected search has no beginning
/// that is the same on each page.
fn name_begins(search: &Search) -> Condition {
    let key = || Column::NameKey.into_simple_expr();
    if search.is_corrected {
        return Condition::all().add(key().eq(&search.key));
    }
    let from = Condition::all().add(key().gte(&search.key));
    match text::behind(&search.key) {
        Some(end) => from.add(key().lt(end)),
        None => from,
    }
}

/// Returns the conditions of rows by RELEVANCE: first the rows with a server's address, then the rows with words, as in
/// [`conditions`].
///
/// If few matches are expected, one statement ranks all matches in the fields on PostgreSQL. Otherwise each tier has
/// its own statement. Few searches reach the last tiers, which have most matches.
pub(in crate::store) fn tiers(search: &Search, backend: DbBackend, found: Found) -> Vec<Tier> {
    let mut tiers = tiers_of_words(search, backend, found);
    if search.is_corrected {
        for tier in &mut tiers {
            tier.rank = tier.rank.clone().further_down();
        }
    }
    let Some(address) = &search.address else {
        return tiers;
    };
    let there = Tier::new(ADDRESS, Condition::all().add(is_at(address)));
    let elsewhere = |tier: Tier| Tier {
        found: tier.found.add(is_at(address).not()),
        walked: None,
        ..tier
    };
    let elsewhere = tiers.into_iter().map(elsewhere);
    [there].into_iter().chain(elsewhere).collect()
}

fn tiers_of_words(search: &Search, backend: DbBackend, found: Found) -> Vec<Tier> {
    let exact = || Column::NameKey.eq(&search.key);
    if search.terms.is_empty() {
        return vec![Tier {
            is_in_order: found.by_name,
            ..Tier::new(EXACT_NAME, Condition::all().add(exact()))
        }];
    }
    let index = index(search, backend);
    let begins = || name_begins(search);
    let by_words = |rank, found: &dyn Fn(WordIndex<'_>) -> Condition| Tier {
        walked: (backend == DbBackend::Postgres).then(|| found(index.of_row())),
        ..Tier::new(rank, found(index))
    };
    let tools = by_words(TOOLS, &only_tools);
    if found.are_ranked && backend == DbBackend::Postgres {
        let rank = CaseStatement::new()
            .case(exact().and(index.own(Field::Name)), EXACT_NAME)
            .case(begins().add(index.own(Field::Name)), NAME_BEGINS)
            .case(index.own(Field::Name), NAME)
            .case(index.own(Field::ConnectorId), CONNECTOR_ID)
            .finally(DESCRIPTION);
        let own = Condition::all().add(index.own(Field::Description));
        let own = Tier {
            rank: Rank::Of(rank.into()),
            ..Tier::new(DESCRIPTION, own)
        };
        return vec![own, tools];
    }
    let rank = CaseStatement::new().case(exact(), EXACT_NAME);
    let rank = rank.finally(NAME_BEGINS).into();
    // Few rows that begin so lack a word. A database would look for all that have it.
    let has_words = index.of_row().own(Field::Name);
    let has_words = match backend {
        DbBackend::Postgres => has_words.is(written(true)),
        _ => has_words,
    };
    let named = Tier {
        rank: if found.by_name {
            Rank::ByName(EXACT_NAME..=NAME_BEGINS, rank)
        } else {
            Rank::Of(rank)
        },
        is_in_order: found.by_name,
        ..Tier::new(NAME_BEGINS, begins().add(has_words))
    };
    vec![
        named,
        by_words(NAME, &|index| {
            Condition::all()
                .add(index.own(Field::Name))
                .add(begins().not())
        }),
        by_words(CONNECTOR_ID, &|index| {
            index.own_except(Field::ConnectorId, Field::Name)
        }),
        by_words(DESCRIPTION, &|index| {
            index.own_except(Field::Description, Field::ConnectorId)
        }),
        tools,
    ]
}

/// Returns a key that sorts the rows after they are found. Otherwise a database would scan an index in its order, and
/// skip all rows that do not match.
pub(in crate::store) fn sorted(key: SimpleExpr, backend: DbBackend) -> SimpleExpr {
    match backend {
        DbBackend::Postgres => Func::coalesce([key.clone(), key]).into(),
        _ => Expr::cust_with_expr("+?", key),
    }
}
