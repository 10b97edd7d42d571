//! The index of words: which rows have the terms of a search in some fields.
//!
//! Invariant: both databases get the same words, and only the syntax of a match differs. `write::search` fills the
//! index.
//!
//! On PostgreSQL, a column has the row's own words. Each word follows the letter of the first field that contains it
//! ([`letter`]).

use entity::personal_connector::Column;
use sea_orm::{
    Condition, DbBackend, ExprTrait, IntoSimpleExpr,
    sea_query::{BinOper, Expr, SimpleExpr},
};

use crate::domain::listing::{SearchTerm, SearchWord};

/// PostgreSQL's column with a row's own words.
pub(in crate::store) const POSTGRES_COLUMN: &str = "search_words";

/// The fields with words, in the order of the tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Field {
    Name,
    ConnectorId,
    Description,
}

/// Returns the letter of a field, which precedes the words that it is the first to contain.
pub(in crate::store) const fn letter(field: Field) -> char {
    match field {
        Field::Name => 'n',
        Field::ConnectorId => 'c',
        Field::Description => 'd',
    }
}

/// The index of a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct WordIndex<'a> {
    pub(super) terms: &'a [SearchTerm],
    pub(super) backend: DbBackend,
}

impl WordIndex<'_> {
    /// Returns the condition of rows that have every term in the fields up to this one.
    pub(super) fn own(self, up_to: Field) -> SimpleExpr {
        match self.backend {
            DbBackend::Postgres => column_has(&self.tsquery(up_to)),
            _ => is_in(seq(), self.fts5("connector_search", columns(up_to))),
        }
    }

    /// The same rows for a statement that reads rows by another index. SQLite lists the found rows, and looks up each
    /// row in the list.
    pub(super) fn own_of_row(self, up_to: Field) -> SimpleExpr {
        match self.backend {
            DbBackend::Postgres => self.own(up_to),
            _ => is_in(
                without_index(seq()),
                self.fts5("connector_search", columns(up_to)),
            ),
        }
    }

    /// Returns the condition of rows that have every term in the fields up to one of them, but not in those up to an
    /// earlier one.
    ///
    /// On PostgreSQL it is one expression, which the index answers without a visit to the rows that match in the
    /// earlier fields.
    pub(super) fn own_except(self, up_to: Field, except: Field) -> Condition {
        let all = Condition::all();
        match self.backend {
            DbBackend::Postgres => {
                let (found, but) = (self.tsquery(up_to), self.tsquery(except));
                all.add(column_has(&format!("{found} & !({but})")))
            }
            _ => all.add(self.own(up_to)).add(self.own(except).not()),
        }
    }

    /// Returns the condition of rows with tools that have every term in their own fields or in those of their tools.
    pub(super) fn with_tools(self) -> SimpleExpr {
        match self.backend {
            DbBackend::Postgres => {
                let sql =
                    "SELECT seq FROM connector_tool_search WHERE words @@ CAST($1 AS tsquery)";
                is_in(
                    seq(),
                    Expr::cust_with_values(sql, [self.tsquery_of_tools()]),
                )
            }
            _ => is_in(seq(), self.fts5("connector_tool_search", "words")),
        }
    }

    /// The same rows for a statement that reads rows by another index. PostgreSQL reads the words of each row, because
    /// the statement visits few.
    pub(super) fn with_tools_of_row(self) -> SimpleExpr {
        match self.backend {
            // Without the OFFSET it would be listed, too.
            DbBackend::Postgres => Expr::cust_with_values(
                "EXISTS (SELECT 1 FROM connector_tool_search WHERE words @@ CAST($1 AS tsquery) \
                 AND seq = \"personal_connector\".\"seq\" OFFSET 0)",
                [self.tsquery_of_tools()],
            ),
            _ => is_in(
                without_index(seq()),
                self.fts5("connector_tool_search", "words"),
            ),
        }
    }

    /// The query of what a table of words finds.
    fn fts5(self, table: &str, columns: &str) -> SimpleExpr {
        let query = expression(
            self.terms,
            ["AND", "OR"],
            |SearchWord { text, is_prefix }| {
                format!("\"{text}\"{}", if *is_prefix { " *" } else { "" })
            },
        );
        let found = format!("SELECT rowid FROM {table} WHERE {table} MATCH ?");
        Expr::cust_with_values(found, [format!("{{{columns}}} : ({query})")])
    }

    fn tsquery_of_tools(self) -> String {
        expression(self.terms, ["&", "|"], |word| lexeme("", word))
    }

    fn tsquery(self, up_to: Field) -> String {
        let fields = [Field::Name, Field::ConnectorId, Field::Description];
        let fields = fields.into_iter().filter(|field| *field <= up_to);
        let letters: Vec<_> = fields.map(|field| letter(field).to_string()).collect();
        expression(self.terms, ["&", "|"], |word| {
            let lexemes: Vec<_> = letters.iter().map(|letter| lexeme(letter, word)).collect();
            match lexemes.as_slice() {
                [_] => lexemes.concat(),
                _ => format!("({})", lexemes.join(" | ")),
            }
        })
    }
}

fn column_has(tsquery: &str) -> SimpleExpr {
    Expr::cust_with_values(
        format!("\"personal_connector\".\"{POSTGRES_COLUMN}\" @@ CAST($1 AS tsquery)"),
        [tsquery],
    )
}

fn seq() -> SimpleExpr {
    Column::Seq.into_simple_expr()
}

/// Keeps SQLite from using an index of the column.
fn without_index(column: SimpleExpr) -> SimpleExpr {
    Expr::cust_with_expr("+?", column)
}

fn is_in(column: SimpleExpr, query: SimpleExpr) -> SimpleExpr {
    column.binary(BinOper::In, query)
}

/// Returns FTS5's columns up to that of a field.
const fn columns(up_to: Field) -> &'static str {
    match up_to {
        Field::Name => "name",
        Field::ConnectorId => "name connector_id",
        Field::Description => "name connector_id description",
    }
}

/// Returns a word of a `tsquery`, after a letter.
fn lexeme(letter: &str, SearchWord { text, is_prefix }: &SearchWord) -> String {
    format!("'{letter}{text}'{}", if *is_prefix { ":*" } else { "" })
}

/// Joins all terms. A term is any of its alternatives, and an alternative all of its words. No word contains a
/// quotation mark, so `write` may quote it.
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
