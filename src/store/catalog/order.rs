//! The order of a list in SQL: its keys, its parts, and the rows beyond a position.
//!
//! Invariant: rows without a value are last in both directions. Rows without a value of the first field are a part of
//! their own, so that an index orders each part.

use std::ops::RangeInclusive;

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, Outcome, connector_health,
    personal_connector::Column,
};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, DbBackend, ExprTrait, IntoSimpleExpr, Iterable, Value,
    sea_query::{Alias, CaseStatement, Expr, Func, SimpleExpr},
};

use crate::{
    domain::order::{Direction, Form, Key, Order, OrderField, Position, SortKey},
    error::{Error, Result},
    store::{
        catalog::{
            filter::{outcome, written},
            search::{Rank, Tier, sorted},
        },
        database::row::Row,
    },
};

/// Less than every number that orders rows. A scan that begins here skips nulls, even in an index that has them first.
const LEAST: i64 = -(1 << 62);

/// A part of a list, by the first field of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    WithValue,
    WithoutValue,
}

/// A part of a list that one statement reads.
pub(super) struct Stretch {
    found: Condition,
    part: Part,
    /// The most rows that the statement visits, if it scans rows in the list's order.
    pub(super) visited: Option<u64>,
    /// Whether the part has few rows, which are found before a filter is applied.
    pub(super) is_of_few: bool,
    /// The tiers of the rows in a list by RELEVANCE; the other keys order the rows within a tier.
    tiers: Option<RangeInclusive<i32>>,
    /// Whether a few values of the first key are shared by many rows.
    has_many_ties: bool,
    keys: Vec<(Key, SimpleExpr)>,
    ties: (SimpleExpr, Direction),
}

/// An expression of `ORDER BY`.
struct Term {
    expr: SimpleExpr,
    direction: Direction,
    of: Of,
}

/// The value of a position that a term is compared with.
enum Of {
    Key(usize),
    /// Whether the key has a value: 0 if it has one, 1 if not.
    IsNone(usize),
    Id,
    /// A value that is the same in all rows of the part.
    Nothing,
}

/// The rows of a stretch that are beyond a position.
pub(super) enum Beyond {
    All,
    None,
    Where(SimpleExpr),
}

impl Stretch {
    /// Returns the part of a list by RELEVANCE with one tier, and its scan of so many rows.
    pub(super) fn of_tier(
        order: &Order,
        tier: Tier,
        visited: Option<u64>,
        backend: DbBackend,
    ) -> (Option<Self>, Self) {
        let Tier {
            found,
            rank,
            is_in_order,
            walked,
        } = tier;
        let (tiers, rank) = match rank {
            Rank::Is(rank) => (Some(rank..=rank), Expr::val(rank)),
            Rank::ByName(tiers, rank) => (Some(tiers), rank),
            Rank::Of(rank) => (None, rank),
        };
        let stretch = |found, is_in_order| Self {
            tiers: tiers.clone(),
            ..Self::new(order, (found, Part::All), |field| match field {
                OrderField::Relevance => rank.clone(),
                field if is_in_order => value(field, backend),
                field => sorted(value(field, backend), backend),
            })
        };
        let walk = walked.filter(|_| visited.is_some()).map(|found| Self {
            visited,
            ..stretch(found, true)
        });
        (walk, stretch(found, is_in_order))
    }

    /// Returns a scan of so many rows of a list.
    pub(super) fn walk(order: &Order, found: Condition, visited: u64, backend: DbBackend) -> Self {
        Self {
            visited: Some(visited),
            ..Self::new(order, (found, Part::All), |field| value(field, backend))
        }
    }

    /// Returns the parts of a list in their order: first the rows with a value of the first field, then those without.
    /// A part has alternative scans, whose results are merged.
    pub(super) fn of_parts(
        order: &Order,
        found: &[Condition],
        value: impl Fn(OrderField) -> SimpleExpr + Copy,
    ) -> Vec<Vec<Self>> {
        let parts: &[Part] = match order.first.field.form() {
            Form::Maybe => &[Part::WithValue, Part::WithoutValue],
            Form::Name | Form::Number | Form::Tier => &[Part::All],
        };
        let first = value(order.first.field);
        let of_part = |part: &Part| {
            let has = match part {
                Part::All | Part::WithValue => Condition::all(),
                Part::WithoutValue => Condition::all().add(first.clone().is_null()),
            };
            let found = found.iter().cloned();
            let found = found.map(|found| has.clone().add(found));
            found
                .map(|found| Self::new(order, (found, *part), value))
                .collect()
        };
        parts.iter().map(of_part).collect()
    }

    fn new(
        order: &Order,
        (found, part): (Condition, Part),
        value: impl Fn(OrderField) -> SimpleExpr,
    ) -> Self {
        let id = if order.first.field.is_of_health() {
            connector_health::Column::Id.into_simple_expr()
        } else {
            Column::Id.into_simple_expr()
        };
        let keys = order.keys().into_iter();
        Self {
            found,
            part,
            visited: None,
            is_of_few: false,
            tiers: None,
            has_many_ties: order.first.field.has_many_ties(),
            keys: keys.map(|key| (key, value(key.field))).collect(),
            ties: (id, order.ties()),
        }
    }

    /// Returns the columns of a row's position.
    pub(super) fn position(&self) -> impl Iterator<Item = SimpleExpr> {
        let keys = self.keys.iter().map(|(_, value)| value.clone());
        [Column::Id.into_simple_expr()].into_iter().chain(keys)
    }

    /// Returns the condition of the part's rows. `is_bounded` says whether another condition bounds them from below,
    /// because SQLite seeks by only one of two bounds.
    pub(super) fn found(&self, is_bounded: bool) -> Condition {
        let found = self.found.clone();
        match (self.part, self.keys.first()) {
            (Part::WithValue, Some((_, value))) if !is_bounded => {
                found.add(value.clone().gte(written(LEAST)))
            }
            _ => found,
        }
    }

    /// Returns whether a position bounds the first key from below.
    pub(super) fn is_bounded(&self, before: bool) -> bool {
        let first = self.keys.first();
        first.is_some_and(|(key, _)| (key.direction == Direction::Asc) != before)
    }

    /// Returns the terms of `ORDER BY`.
    pub(super) fn order(&self) -> impl Iterator<Item = (SimpleExpr, Direction)> {
        let terms = self.terms().into_iter();
        terms.map(|term| (term.expr, term.direction))
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        for (index, (key, expr)) in self.keys.iter().enumerate() {
            let expr = expr.clone();
            let direction = key.direction;
            if key.field == OrderField::Relevance && self.tiers.is_some() {
                continue;
            }
            let mut add = |expr, direction, of| {
                terms.push(Term {
                    expr,
                    direction,
                    of,
                });
            };
            match (key.field.form(), index, self.part) {
                // Without this, PostgreSQL uses no index for the order.
                (Form::Maybe, 0, Part::WithoutValue) => add(expr, direction, Of::Nothing),
                (Form::Maybe, 1.., _) => {
                    let is_none = CaseStatement::new().case(expr.clone().is_null(), 1);
                    add(is_none.finally(0).into(), Direction::Asc, Of::IsNone(index));
                    let some = Func::coalesce([expr, Expr::val(0)]);
                    add(some.into(), direction, Of::Key(index));
                }
                _ => add(expr, direction, Of::Key(index)),
            }
        }
        let (expr, direction) = self.ties.clone();
        terms.push(Term {
            expr,
            direction,
            of: Of::Id,
        });
        terms
    }

    /// Returns the condition of the rows strictly beyond a position: after it, or `before` it.
    ///
    /// The condition is `k >= v AND (k > v OR …)`, from which a database can seek by the first key. If all keys have
    /// one direction, it is `(k, …) > (v, …)`, from which a database can seek by all keys.
    pub(super) fn beyond(&self, position: &Position, before: bool) -> Beyond {
        if let (Some(tiers), Some(SortKey::Tier(tier))) = (&self.tiers, position.keys.first()) {
            match (tiers.end() < tier, tiers.start() > tier, before) {
                (true, _, false) | (_, true, true) => return Beyond::None,
                (true, _, true) | (_, true, false) => return Beyond::All,
                (false, false, _) => {}
            }
        }
        let is_none = position.keys.first().is_some_and(SortKey::is_none);
        match (self.part, is_none) {
            (Part::WithValue, true) if before => return Beyond::All,
            (Part::WithoutValue, false) if !before => return Beyond::All,
            (Part::WithValue, true) | (Part::WithoutValue, false) => return Beyond::None,
            _ => {}
        }
        let terms = self.terms().into_iter();
        let terms = terms.filter_map(|term| {
            let value = term.of.value(position)?;
            let up = (term.direction == Direction::Asc) != before;
            Some((up, term.expr, value))
        });
        let terms: Vec<_> = terms.collect();
        let is_up = terms.first().is_some_and(|(up, ..)| *up);
        if self.has_many_ties && terms.len() > 1 && terms.iter().all(|(up, ..)| *up == is_up) {
            let keys = Expr::tuple(terms.iter().map(|(_, key, _)| key.clone()));
            let values = Expr::tuple(terms.into_iter().map(|(.., value)| Expr::val(value)));
            return Beyond::Where(if is_up {
                keys.gt(values)
            } else {
                keys.lt(values)
            });
        }
        let mut conditions = terms.into_iter().rev().map(|(up, key, value)| {
            if up {
                (key.clone().gt(value.clone()), key.gte(value))
            } else {
                (key.clone().lt(value.clone()), key.lte(value))
            }
        });
        let (last, _) = conditions
            .next()
            .unwrap_or((Expr::cust("FALSE"), Expr::cust("FALSE")));
        Beyond::Where(conditions.fold(last, |beyond, (strictly, at_least)| {
            at_least.and(strictly.or(beyond))
        }))
    }
}

impl Of {
    fn value(&self, position: &Position) -> Option<Value> {
        let value = match self {
            Self::Nothing => return None,
            Self::Id => position.id.clone().into(),
            Self::IsNone(index) => i64::from(position.keys.get(*index)?.is_none()).into(),
            Self::Key(index) => match position.keys.get(*index)? {
                SortKey::Name(name) => name.into(),
                SortKey::Number(number) => (*number).into(),
                SortKey::Maybe(number) => number.unwrap_or_default().into(),
                SortKey::Tier(tier) => (*tier).into(),
            },
        };
        Some(value)
    }
}

/// Returns the value by which a row is ordered; null if it has none.
pub(super) fn value(field: OrderField, backend: DbBackend) -> SimpleExpr {
    use connector_health::Column as Health;

    match field {
        // RELEVANCE orders by tiers. Without a search, RELEVANCE alone is refused.
        OrderField::Name | OrderField::Relevance => Column::NameKey.into_simple_expr(),
        OrderField::CreatedAt => Column::CreatedAt.into_simple_expr(),
        OrderField::UpdatedAt => Column::UpdatedAt.into_simple_expr(),
        OrderField::Status => {
            rank::<ConnectorStatus>(Column::Status, &Column::Status.into_simple_expr(), backend)
        }
        OrderField::Type => {
            rank::<ConnectorType>(Column::Type, &Column::Type.into_simple_expr(), backend)
        }
        OrderField::Category => rank::<ConnectorCategory>(
            Column::Category,
            &Column::Category.into_simple_expr(),
            backend,
        ),
        OrderField::Outcome => rank::<Outcome>(Health::Outcome, &outcome(), backend),
        OrderField::CheckedAt => Health::CheckedAt.into_simple_expr(),
        OrderField::Latency => Health::LatencyMs.into_simple_expr(),
        OrderField::Uptime => Health::Uptime.into_simple_expr(),
        OrderField::ToolCount => Health::ToolCount.into_simple_expr(),
    }
}

/// Returns the position of a column's value in its enum. PostgreSQL has an index on the same expression. SQLite has a
/// generated column, because it uses an index on an expression only through one. A new value of the enum needs a
/// migration.
fn rank<E: ActiveEnum<Value = String> + Iterable>(
    column: impl ColumnTrait,
    value: &SimpleExpr,
    backend: DbBackend,
) -> SimpleExpr {
    if backend != DbBackend::Postgres {
        let rank = Alias::new(format!("{}_rank", column.as_str()));
        return Expr::col((column.entity_name(), rank));
    }
    let values = (0_i32..).zip(E::iter());
    let rank = values.fold(CaseStatement::new(), |rank, (index, is)| {
        let is = value.clone().eq(written(is.to_value()));
        rank.case(is, written(index))
    });
    rank.into()
}

/// Reads the position at the beginning of a row. Returns it with the number of its columns.
pub(super) fn position(row: Row<'_>, keys: &[Form]) -> Result<(Position, usize)> {
    let mut cells = row.cells(0);
    let id = cells.next()?;
    let keys = keys.iter().map(|form| {
        Ok(match form {
            Form::Name => SortKey::Name(cells.next()?),
            Form::Number => SortKey::Number(cells.next()?),
            Form::Maybe => SortKey::Maybe(cells.next()?),
            Form::Tier => {
                SortKey::Tier(i32::try_from(cells.next::<i64>()?).map_err(Error::internal)?)
            }
        })
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let width = 1 + keys.len();
    Ok((Position { keys, id }, width))
}
