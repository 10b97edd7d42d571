//! A [`Filter`] as a condition, and a position in an order as one.
//!
//! Invariant: the condition is true for exactly the rows that the filter names, nulls included: `not` is its complement.

use entity::personal_connector::Column;
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ExprTrait, IntoSimpleExpr,
    sea_query::{Expr, Func, SimpleExpr},
};

use crate::domain::{
    listing::{Filter, TimeRange},
    viewer::Sight,
};

/// The rows that `filter` names. `createdBy` names only rows whose creator is in sight.
pub(super) fn condition(filter: &Filter, sight: &Sight) -> Condition {
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
            .map(|values| any_of(Column::Category, &stored(values))),
        filter
            .status
            .as_ref()
            .map(|values| any_of(Column::Status, &stored(values))),
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
            .map(|ids| any_of(Column::ConnectorId, ids)),
        filter.created_by.as_ref().map(|ids| {
            Condition::all()
                .add(any_of(Column::CreatedBy, ids))
                .add(owner_in_sight(sight))
                .into()
        }),
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
                    all.add(condition(filter, sight))
                })
                .add(Expr::cust("TRUE"))
                .into()
        }),
        filter.or.as_ref().map(|filters| {
            filters
                .iter()
                .fold(Condition::any(), |any, filter| {
                    any.add(condition(filter, sight))
                })
                .add(Expr::cust("FALSE"))
                .into()
        }),
        filter.not.as_ref().map(|filter| {
            let excluded: SimpleExpr = condition(filter, sight).add(Expr::cust("TRUE")).into();
            SimpleExpr::from(Func::coalesce([excluded, Expr::cust("FALSE")])).not()
        }),
    ];
    for restriction in restrictions.into_iter().flatten() {
        all = all.add(restriction);
    }
    all
}

fn stored<E: ActiveEnum<Value = String>>(values: &[E]) -> Vec<String> {
    values.iter().map(ActiveEnum::to_value).collect()
}

/// An equality for one value, so that an index on the column also gives the order of the columns behind it.
fn any_of(column: Column, values: &[String]) -> SimpleExpr {
    match values {
        [] => Expr::cust("FALSE"),
        [value] => column.into_simple_expr().eq(value),
        values => column.into_simple_expr().is_in(values),
    }
}

fn within(column: Column, range: TimeRange) -> SimpleExpr {
    let from = range.gte.map(|time| column.gte(time));
    let to = range.lt.map(|time| column.lt(time));
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
