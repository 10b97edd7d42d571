//! The words of connectors, and how many connectors have each.
//!
//! Invariant: when a transaction commits, a word is there with the number of connectors that have it, and gone with the
//! last of them. `since` is the number of the change that brought it, or brought it to the first PUBLIC connector.

use std::collections::{BTreeMap, HashSet};

use entity::{
    ConnectorVisibility,
    personal_connector::Model,
    search_word::{Column, Entity, Model as Row},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    sea_query::{CaseStatement, Expr, OnConflict, SimpleExpr},
};

use crate::store::database::transaction::{ROWS_A_STATEMENT, Transaction};

/// The words of a connector's searched fields.
pub(super) type Fields = [Vec<String>; 3];

/// The changes in a transaction to the number of connectors with each word.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(BTreeMap<String, Difference>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Difference {
    connectors: i64,
    public: i64,
}

impl Vocabulary {
    /// Counts a connector that was added.
    pub(super) fn add(&mut self, row: &Model, fields: &Fields) {
        self.count(row, fields, 1);
    }

    /// Counts a connector that was removed.
    pub(super) fn remove(&mut self, row: &Model, fields: &Fields) {
        self.count(row, fields, -1);
    }

    fn count(&mut self, row: &Model, fields: &Fields, by: i64) {
        let is_public = row.visibility == ConnectorVisibility::Public;
        let words: HashSet<&String> = fields.iter().flatten().collect();
        for word in words {
            let difference = match self.0.get_mut(word) {
                Some(difference) => difference,
                None => self.0.entry(word.clone()).or_default(),
            };
            difference.connectors += by;
            difference.public += if is_public { by } else { 0 };
        }
    }

    /// Writes the differences of a transaction that brings the catalogue to a state.
    pub(super) async fn write(&mut self, tx: &Transaction, state: i64) -> Result<(), DbErr> {
        let mut differences = std::mem::take(&mut self.0);
        differences.retain(|_, difference| *difference != Difference::default());
        let differences: Vec<_> = differences.into_iter().collect();
        for differences in differences.chunks(ROWS_A_STATEMENT) {
            let rows = differences.iter().map(|(word, difference)| {
                let row = Row {
                    word: word.clone(),
                    connectors: difference.connectors,
                    public_connectors: difference.public,
                    since: state,
                };
                row.into_active_model().reset_all()
            });
            let conflict = OnConflict::column(Column::Word)
                .value(Column::Connectors, sum(Column::Connectors))
                .value(Column::PublicConnectors, sum(Column::PublicConnectors))
                .value(Column::Since, since())
                .to_owned();
            Entity::insert_many(rows)
                .on_conflict(conflict)
                .exec_without_returning(tx)
                .await?;
            let fewer = differences.iter().filter(|(_, by)| by.connectors < 0);
            let fewer: Vec<_> = fewer.map(|(word, _)| word.as_str()).collect();
            if !fewer.is_empty() {
                Entity::delete_many()
                    .filter(Column::Word.is_in(fewer))
                    .filter(Column::Connectors.lte(0))
                    .exec(tx)
                    .await?;
            }
        }
        Ok(())
    }
}

/// The inserted state if no connector with the word was PUBLIC before, else the stored one.
fn since() -> SimpleExpr {
    let stored = |column| Expr::col((Entity, column));
    let inserted = |column| Expr::col(("excluded", column));
    let becomes_public =
        (stored(Column::PublicConnectors).lte(0)).and(inserted(Column::PublicConnectors).gt(0));
    CaseStatement::new()
        .case(becomes_public, inserted(Column::Since))
        .finally(stored(Column::Since))
        .into()
}

/// Adds the inserted value to the stored one.
fn sum(column: Column) -> SimpleExpr {
    let stored = Expr::col((Entity, column));
    stored.add(Expr::col(("excluded", column)))
}
