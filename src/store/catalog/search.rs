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

/// The tiers of a corrected search are so much further down.
const CORRECTED: i32 = 10;

/// The tier of the rows that a statement finds.
#[derive(Clone, Debug)]
pub(in crate::store) enum Rank {
    Is(i32),
    /// It goes up with the name, from the one to the other.
    ByName(RangeInclusive<i32>, SimpleExpr),
    Of(SimpleExpr),
}

impl Rank {
    /// The rank in a corrected search.
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

/// Facts about the matches of a search that are known before any statement finds them.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Found {
    /// Whether they are few enough to be sorted.
    pub(in crate::store) are_few: bool,
    /// Whether those of a tier are ordered by name alone, for which there is an index.
    pub(in crate::store) by_name: bool,
}

/// Rows that a statement finds, best first where there are several statements.
pub(in crate::store) struct Tier {
    pub(in crate::store) found: Condition,
    pub(in crate::store) rank: Rank,
    /// Whether an index has them by name, among few others. Else they are found by their words, and sorted.
    pub(in crate::store) is_in_order: bool,
    /// The same rows for a walk, which looks at each row. None if there is a shorter way, as on SQLite.
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
    WordIndex {
        terms: &search.terms,
        backend,
    }
}

/// The rows that have every word of the search, the last one as a beginning, in name, connectorId, description or their
/// tools: by conditions that share no row. A search of no words (`"+"`) finds only what is called just that.
///
/// Each is one list of numbers, from which a database begins where it is short. It would not with both in one
/// condition.
pub(in crate::store) fn conditions(search: &Search, backend: DbBackend) -> Vec<Condition> {
    if search.terms.is_empty() {
        return vec![Condition::all().add(Column::NameKey.eq(&search.key))];
    }
    let index = index(search, backend);
    let own = Condition::all().add(index.own(Field::Description));
    let found = [own, only_tools(index, index.with_tools())];
    let Some(address) = &search.address else {
        return found.into();
    };
    let elsewhere = |found: Condition| found.add(is_at(address).not());
    let there = Condition::all().add(is_at(address));
    [there].into_iter().chain(found.map(elsewhere)).collect()
}

/// The same rows by one condition, for a scan in the order of a list. A search for an address has none.
pub(in crate::store) fn of_row(search: &Search, backend: DbBackend) -> Condition {
    let index = index(search, backend);
    Condition::any()
        .add(index.own_of_row(Field::Description))
        .add(index.with_tools_of_row())
}

/// The rows that have every word of the search in name, connectorId and description.
pub(in crate::store) fn own(search: &Search, backend: DbBackend) -> Vec<Condition> {
    vec![Condition::all().add(index(search, backend).own(Field::Description))]
}

/// The rows whose server has an address.
fn is_at(address: &str) -> SimpleExpr {
    use connector_health::{Column as Health, Entity};

    let servers = Query::select()
        .column(Health::Seq)
        .from(Entity)
        .and_where(Health::Address.eq(address))
        .take();
    Column::Seq.in_subquery(servers)
}

/// The rows that are found by their tools alone.
fn only_tools(index: WordIndex<'_>, with_tools: SimpleExpr) -> Condition {
    Condition::all()
        .add(with_tools)
        .add(index.own(Field::Description).not())
}

/// The rows whose name is the whole search, or begins with it. With other words in its place, a search has no beginning
/// that stays the same from page to page.
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

/// The conditions of rows by RELEVANCE: the rows of a server's address, then those of words, as in [`conditions`].
///
/// If the rarest word is rare, PostgreSQL ranks all matches in the fields by one statement. Otherwise each tier has its
/// own statement. Few searches reach the last tiers, which have most of the words.
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
    let walks = backend == DbBackend::Postgres;
    let tools = Tier {
        walked: walks.then(|| only_tools(index, index.with_tools_of_row())),
        ..Tier::new(TOOLS, only_tools(index, index.with_tools()))
    };
    if found.are_few && backend == DbBackend::Postgres {
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
    let has_words = index.own_of_row(Field::Name);
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
    let by_words = |rank, found: Condition| Tier {
        walked: walks.then(|| found.clone()),
        ..Tier::new(rank, found)
    };
    let own = Condition::all().add(index.own(Field::Name));
    vec![
        named,
        by_words(NAME, own.add(begins().not())),
        by_words(
            CONNECTOR_ID,
            index.own_except(Field::ConnectorId, Field::Name),
        ),
        by_words(
            DESCRIPTION,
            index.own_except(Field::Description, Field::ConnectorId),
        ),
        tools,
    ]
}

/// A key to sort the rows that were found by. A database would rather scan an index in its order, past all that was not
/// found.
pub(in crate::store) fn sorted(key: SimpleExpr, backend: DbBackend) -> SimpleExpr {
    match backend {
        DbBackend::Postgres => Func::coalesce([key.clone(), key]).into(),
        _ => Expr::cust_with_expr("+?", key),
    }
}
