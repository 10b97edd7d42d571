//! Search: which rows have the words of a search.
//!
//! Invariant: both databases are asked for the same words. How an index is matched differs. `write::search` fills the index.

use entity::{connector_health, personal_connector::Column};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, ExprTrait, IntoSimpleExpr,
    sea_query::{BinOper, CaseStatement, Expr, Query, SimpleExpr},
};

use crate::domain::listing::{Search, SearchTerm, SearchWord};

/// How well a row matches, best first: the tiers of RELEVANCE.
const ADDRESS: i32 = -1;
const EXACT_NAME: i32 = 0;
const NAME: i32 = 1;
const CONNECTOR_ID: i32 = 2;
const DESCRIPTION: i32 = 3;
const TOOLS: i32 = 4;

/// The tiers of a corrected search are so much further down.
const CORRECTED: &str = "10";

/// The rows that have every word of the search, the last one as a beginning, in name, connectorId, description or their tools: by
/// conditions that share no row. A search of no words (`"+"`) finds only what is called just that.
///
/// Each is one list of numbers, from which a database begins where it is short. It would not with both in one condition.
pub(in crate::store) fn conditions(search: &Search, backend: DbBackend) -> Vec<Condition> {
    if search.terms.is_empty() {
        let exact = Column::NameKey.eq(&search.key);
        return vec![Condition::all().add(exact)];
    }
    let own = Condition::all().add(matches(search, backend, DESCRIPTION));
    let found = [own, only_tools(search, backend)];
    let Some(address) = &search.address else {
        return found.into();
    };
    let elsewhere = |found: Condition| found.add(is_at(address).not());
    let there = Condition::all().add(is_at(address));
    [there].into_iter().chain(found.map(elsewhere)).collect()
}

/// The rows that have every word of the search in name, connectorId and description.
pub(in crate::store) fn own(search: &Search, backend: DbBackend) -> Vec<Condition> {
    vec![Condition::all().add(matches(search, backend, DESCRIPTION))]
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
fn only_tools(search: &Search, backend: DbBackend) -> Condition {
    let matches = |tier| matches(search, backend, tier);
    Condition::all()
        .add(matches(TOOLS))
        .add(matches(DESCRIPTION).not())
}

/// Rows that a statement finds, best first where there are several statements, and how it ranks them.
pub(in crate::store) struct Tier {
    pub(in crate::store) found: Condition,
    /// The row's tier: the first of the fields, taken together in their order, that have every word.
    pub(in crate::store) rank: SimpleExpr,
}

/// The conditions of rows by RELEVANCE: the rows of a server's address, then those of words, as in [`conditions`].
///
/// PostgreSQL ranks what it finds in the fields; its index does not know them, so that a tier alone costs as much. FTS5's does: a
/// tier for itself is found without a look at the others, and few searches come to the last ones, where most of the words are.
pub(in crate::store) fn tiers(search: &Search, backend: DbBackend) -> Vec<Tier> {
    let mut tiers = tiers_of_words(search, backend);
    if search.is_corrected {
        for tier in &mut tiers {
            tier.rank = tier.rank.clone().add(Expr::cust(CORRECTED));
        }
    }
    let Some(address) = &search.address else {
        return tiers;
    };
    let there = Tier {
        found: Condition::all().add(is_at(address)),
        rank: Expr::val(ADDRESS),
    };
    let elsewhere = |tier: Tier| Tier {
        found: tier.found.add(is_at(address).not()),
        ..tier
    };
    let elsewhere = tiers.into_iter().map(elsewhere);
    [there].into_iter().chain(elsewhere).collect()
}

fn tiers_of_words(search: &Search, backend: DbBackend) -> Vec<Tier> {
    let exact = Column::NameKey.eq(&search.key);
    let tier = |rank: i32, found| Tier {
        found,
        rank: Expr::val(rank),
    };
    if search.terms.is_empty() {
        return vec![tier(EXACT_NAME, Condition::all().add(exact))];
    }
    let matches = |tier| matches(search, backend, tier);
    let up_to = |tier| Condition::all().add(matches(tier));
    let tools = tier(TOOLS, only_tools(search, backend));
    if backend == DbBackend::Postgres {
        let rank = CaseStatement::new()
            .case(exact, EXACT_NAME)
            .case(matches(NAME), NAME)
            .case(matches(CONNECTOR_ID), CONNECTOR_ID)
            .finally(DESCRIPTION);
        let own = Tier {
            found: up_to(DESCRIPTION),
            rank: rank.into(),
        };
        return vec![own, tools];
    }
    vec![
        tier(EXACT_NAME, up_to(NAME).add(exact.clone())),
        tier(NAME, up_to(NAME).add(exact.not())),
        tier(CONNECTOR_ID, up_to(CONNECTOR_ID).add(matches(NAME).not())),
        tier(
            DESCRIPTION,
            up_to(DESCRIPTION).add(matches(CONNECTOR_ID).not()),
        ),
        tools,
    ]
}

/// A key to sort the rows that were found by. SQLite would rather scan an index in its order, past all that was not found.
pub(in crate::store) fn sorted(key: SimpleExpr, backend: DbBackend) -> SimpleExpr {
    match backend {
        DbBackend::Postgres => key,
        _ => Expr::cust_with_expr("+?", key),
    }
}

/// The rows whose fields up to `tier` have every term; [`TOOLS`] has the fields' words too, of the rows that have
/// tools.
fn matches(search: &Search, backend: DbBackend, tier: i32) -> SimpleExpr {
    let query = if backend == DbBackend::Postgres {
        let (table, weights) = match tier {
            NAME => ("connector_search", "A"),
            CONNECTOR_ID => ("connector_search", "AB"),
            DESCRIPTION => ("connector_search", "ABC"),
            _ => ("connector_tool_search", ""),
        };
        Expr::cust_with_values(
            format!("SELECT seq FROM {table} WHERE words @@ CAST($1 AS tsquery)"),
            [tsquery(&search.terms, weights)],
        )
    } else {
        let (table, columns) = match tier {
            NAME => ("connector_search", "name"),
            CONNECTOR_ID => ("connector_search", "name connector_id"),
            DESCRIPTION => ("connector_search", "name connector_id description"),
            _ => ("connector_tool_search", "words"),
        };
        Expr::cust_with_values(
            format!("SELECT rowid FROM {table} WHERE {table} MATCH ?"),
            [format!("{{{columns}}} : ({})", fts5(&search.terms))],
        )
    };
    Column::Seq.into_simple_expr().binary(BinOper::In, query)
}

/// The terms as a `tsquery`'s text, of lexemes of these weights.
fn tsquery(terms: &[SearchTerm], weights: &str) -> String {
    expression(terms, ["&", "|"], |SearchWord { text, is_prefix }| {
        match (is_prefix, weights) {
            (true, weights) => format!("'{text}':*{weights}"),
            (false, "") => format!("'{text}'"),
            (false, weights) => format!("'{text}':{weights}"),
        }
    })
}

/// The terms as an expression of FTS5.
fn fts5(terms: &[SearchTerm]) -> String {
    expression(terms, ["AND", "OR"], |SearchWord { text, is_prefix }| {
        format!("\"{text}\"{}", if *is_prefix { " *" } else { "" })
    })
}

/// Every term, each as one of its alternatives, of which every word. No word has a quotation mark, so that `write` may
/// quote it.
fn expression(
    terms: &[SearchTerm],
    [and, or]: [&str; 2],
    write: impl Fn(&SearchWord) -> String,
) -> String {
    let join = |parts: Vec<String>, operator: &str| match parts.as_slice() {
        [_] => parts.concat(),
        _ => format!("({})", parts.join(&format!(" {operator} "))),
    };
    let all = |words: &Vec<SearchWord>| join(words.iter().map(&write).collect(), and);
    let any = |term: &SearchTerm| join(term.alternatives.iter().map(all).collect(), or);
    terms
        .iter()
        .map(any)
        .collect::<Vec<_>>()
        .join(&format!(" {and} "))
}
