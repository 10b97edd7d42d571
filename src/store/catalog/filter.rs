//! A [`Filter`] as a condition, and a position in an order as one.
//!
//! Invariant: the condition is true for exactly the rows that the filter names, nulls included: `not` is its complement.

use entity::{ConnectorType, connector_health, connector_tool, personal_connector::Column};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, DbBackend, ExprTrait, IntoSimpleExpr, Value,
    sea_query::{Expr, Func, Query, SimpleExpr},
};

use crate::domain::{
    fields::CUSTOM_CONNECTOR_ID,
    listing::{Filter, TimeRange},
    viewer::Sight,
};

/// What leads a database to the rows of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Lead {
    /// Any index that it finds fit.
    Any,
    /// On SQLite none that begins with category or status: it would take one for either alone, and sort the large part of the
    /// table that it finds there, where a walk in the list's order meets a page of them soon.
    Order,
}

impl Lead {
    /// For a page: one category and one status together have an index for each order.
    pub(in crate::store) fn to_page(filter: &Filter, backend: DbBackend) -> Self {
        let one_of_each = [
            filter.category.as_ref().map(Vec::len),
            filter.status.as_ref().map(Vec::len),
        ] == [Some(1); 2];
        if backend == DbBackend::Postgres || one_of_each {
            Self::Any
        } else {
            Self::Order
        }
    }

    fn column(self, column: Column) -> SimpleExpr {
        match self {
            Self::Any => column.into_simple_expr(),
            Self::Order => Expr::cust_with_expr("+?", column.into_simple_expr()),
        }
    }
}

/// The rows that `filter` names. `createdBy` names only rows whose creator is in sight.
pub(in crate::store) fn condition(filter: &Filter, sight: &Sight, lead: Lead) -> Condition {
    let mut all = Condition::all();
    let restrictions = [
        filter.id.as_ref().map(|ids| any_of(Column::Id, ids)),
        filter
            .r#type
            .as_ref()
            .map(|values| any_of(Column::Type, &stored(values))),
        filter
            .category
            .as_ref()
            .map(|values| any_of(lead.column(Column::Category), &stored(values))),
        filter
            .status
            .as_ref()
            .map(|values| any_of(lead.column(Column::Status), &stored(values))),
        filter
            .server_type
            .as_ref()
            .map(|values| any_of(Column::ServerType, &stored(values))),
        filter
            .visibility
            .as_ref()
            .map(|values| any_of(Column::Visibility, &stored(values))),
        filter
            .connector_id
            .as_ref()
            .map(|ids| connector_id_of(ids.as_slice())),
        filter.created_by.as_ref().map(|ids| {
            Condition::all()
                .add(any_of(Column::CreatedBy, ids))
                .add(owner_in_sight(sight))
                .into()
        }),
        filter
            .outcome
            .as_ref()
            .map(|values| came_to(&stored(values))),
        filter.tool_name.as_ref().map(|names| offers(names)),
        filter
            .created_at
            .map(|range| within(Column::CreatedAt, range)),
        filter
            .updated_at
            .map(|range| within(Column::UpdatedAt, range)),
        filter.and.as_ref().map(|filters| {
            filters
                .iter()
                .fold(Condition::all(), |all, filter| {
                    all.add(condition(filter, sight, lead))
                })
                .add(Expr::cust("TRUE"))
                .into()
        }),
        filter.or.as_ref().map(|filters| {
            filters
                .iter()
                .fold(Condition::any(), |any, filter| {
                    any.add(condition(filter, sight, lead))
                })
                .add(Expr::cust("FALSE"))
                .into()
        }),
        filter.not.as_ref().map(|filter| {
            let excluded: SimpleExpr = condition(filter, sight, lead)
                .add(Expr::cust("TRUE"))
                .into();
            SimpleExpr::from(Func::coalesce([excluded, Expr::cust("FALSE")])).not()
        }),
    ];
    for restriction in restrictions.into_iter().flatten() {
        all = all.add(restriction);
    }
    all
}

/// [`written`] values of an enum.
pub(in crate::store) fn stored<E: ActiveEnum<Value = String>>(values: &[E]) -> Vec<SimpleExpr> {
    values
        .iter()
        .map(|value| written(value.to_value()))
        .collect()
}

/// A value in the statement's text. PostgreSQL plans a statement without its parameters, as if each value of a column were as
/// frequent as the next, and a range always narrow: so what may stand for most rows or for hardly any is no parameter.
pub(in crate::store) fn written(value: impl Into<Value>) -> SimpleExpr {
    SimpleExpr::Constant(value.into())
}

/// An equality for one value, so that an index on the column also gives the order of the columns behind it.
pub(in crate::store) fn any_of<V>(column: impl IntoSimpleExpr, values: &[V]) -> SimpleExpr
where
    V: Clone + Into<SimpleExpr>,
{
    match values {
        [] => Expr::cust("FALSE"),
        [value] => column.into_simple_expr().eq(value.clone()),
        values => column.into_simple_expr().is_in(values.iter().cloned()),
    }
}

/// Every custom connector has the one connectorId, for which an index is no short way: their type says the same.
fn connector_id_of(ids: &[String]) -> SimpleExpr {
    let (custom, own): (Vec<_>, Vec<_>) = ids
        .iter()
        .cloned()
        .partition(|id| id == CUSTOM_CONNECTOR_ID);
    let own = any_of(Column::ConnectorId, &own);
    if custom.is_empty() {
        own
    } else {
        any_of(Column::Type, &stored(&[ConnectorType::Custom])).or(own)
    }
}

/// Whether the last check of its server came to one of these, which is looked up row by row: most lists are walked in their order.
fn came_to(outcomes: &[SimpleExpr]) -> SimpleExpr {
    use connector_health::{Column as Health, Entity};

    let health = Query::select()
        .expr(Expr::cust("1"))
        .from(Entity)
        .and_where(Health::Seq.into_expr().eq(Column::Seq.into_expr()))
        .and_where(any_of(Health::Outcome, outcomes))
        .take();
    Expr::exists(health)
}

/// Whether its server offers a tool of one of these names, of which most are rare: their index leads to the rows.
fn offers(names: &[String]) -> SimpleExpr {
    use connector_tool::{Column as Tool, Entity};

    let tools = Query::select()
        .column(Tool::Seq)
        .from(Entity)
        .and_where(any_of(Tool::Name, names))
        .take();
    Column::Seq.in_subquery(tools)
}

fn within(column: Column, range: TimeRange) -> SimpleExpr {
    let column = column.into_simple_expr();
    let from = range.gte.map(|time| column.clone().gte(written(time)));
    let to = range.lt.map(|time| column.clone().lt(written(time)));
    [from, to]
        .into_iter()
        .flatten()
        .fold(Condition::all(), Condition::add)
        .add(Expr::cust("TRUE"))
        .into()
}

/// The rows whose `createdBy` and `organizationId` the viewer may read: [`Sight::sees_owner`] in SQL.
fn owner_in_sight(sight: &Sight) -> Condition {
    let all = Condition::all();
    match sight {
        Sight::Everything => all,
        Sight::Public => all.add(Expr::cust("FALSE")),
        Sight::Member {
            organization: Some(organization),
            ..
        } => all.add(Column::OrganizationId.eq(organization)),
        Sight::Member {
            organization: None,
            user,
            ..
        } => all
            .add(Column::OrganizationId.is_null())
            .add(Column::CreatedBy.eq(user)),
    }
}
