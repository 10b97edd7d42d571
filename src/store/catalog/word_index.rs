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
    terms: &'a [SearchTerm],
    backend: DbBackend,
    /// Whether a statement reads rows by another index, and tests each one.
    is_of_row: bool,
}

impl<'a> WordIndex<'a> {
    /// Returns the index for a statement that finds rows by it.
    pub(super) const fn new(terms: &'a [SearchTerm], backend: DbBackend) -> Self {
        Self {
            terms,
            backend,
            is_of_row: false,
        }
    }

    /// The same rows for a statement that reads rows by another index. SQLite lists the found rows, and looks up each
    /// row in the list. PostgreSQL reads the words of each row.
    pub(super) const fn of_row(self) -> Self {
        Self {
            is_of_row: true,
            ..self
        }
    }

    /// Returns the condition of rows that have every term in the fields up to this one.
    pub(super) fn own(self, up_to: Field) -> SimpleExpr {
        match self.backend {
            DbBackend::Postgres => self.column_has(self.tsquery(up_to)),
            _ => self.is_found(self.fts5("connector_search", columns(up_to))),
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
                all.add(self.column_has(format!("{found} & !({but})")))
            }
            _ => all.add(self.own(up_to)).add(self.own(except).not()),
        }
    }

    /// Returns the condition of rows with tools that have every term in their own fields or in those of their tools.
    pub(super) fn with_tools(self) -> SimpleExpr {
        if self.backend != DbBackend::Postgres {
            return self.is_found(self.fts5("connector_tool_search", "words"));
        }
        let query = self.query(expression(self.terms, ["&", "|"], |word| lexeme("", word)));
        if self.is_of_row {
            // Without the OFFSET it would be listed, too.
            let sql = "EXISTS (SELECT 1 FROM connector_tool_search WHERE words @@ $1 \
                       AND seq = \"personal_connector\".\"seq\" OFFSET 0)";
            Expr::cust_with_expr(sql, query)
        } else {
            let sql = "SELECT seq FROM connector_tool_search WHERE words @@ $1";
            self.is_found(Expr::cust_with_expr(sql, query))
        }
    }

    fn column_has(self, tsquery: String) -> SimpleExpr {
        let sql = format!("\"personal_connector\".\"{POSTGRES_COLUMN}\" @@ $1");
        Expr::cust_with_expr(sql, self.query(tsquery))
    }

    /// Returns a `tsquery`. Plans for any parameters would parse it again for each row, but run a subquery once. Plans
    /// for certain parameters need it as a constant to estimate how many rows it finds.
    fn query(self, tsquery: String) -> SimpleExpr {
        let sql = if self.is_of_row {
            "(SELECT CAST($1 AS tsquery))"
        } else {
            "CAST($1 AS tsquery)"
        };
        Expr::cust_with_values(sql, [tsquery])
    }

    fn is_found(self, numbers: SimpleExpr) -> SimpleExpr {
        let seq = Column::Seq.into_simple_expr();
        let seq = if self.is_of_row {
            // This keeps SQLite from using an index of the column.
            Expr::cust_with_expr("+?", seq)
        } else {
            seq
        };
        seq.binary(BinOper::In, numbers)
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
