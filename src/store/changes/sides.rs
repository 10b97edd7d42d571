//! Conditions on the connector before and after an event.

use entity::connector_event::Column;
use sea_orm::{
    ColumnTrait, Condition, IntoSimpleExpr,
    sea_query::{Func, SimpleExpr},
};

use crate::{
    domain::{changes::Filter, listing::Members, viewer::Sight},
    store::catalog::{
        filter::{any_of, any_or_none, stored},
        in_sight,
    },
};

/// The condition that a viewer sees a side of an event that matches the filter, apart from ids.
pub(super) fn sides_seen(sight: &Sight, filter: &Filter) -> Condition {
    let columns = || Columns::sides().into_iter();
    let sides = columns().map(|side| side.seen(sight).add(side.matching(filter)));
    sides.fold(Condition::any(), Condition::add)
}

/// The condition that a viewer sees a side of an event that may be in the list, apart from ids. The event's values
/// decide the rest.
pub(super) fn sides_listed(sight: &Sight, list: &Members) -> Condition {
    let filter = Filter {
        r#type: list.types().map(<[_]>::to_vec),
        category: list.categories().map(<[_]>::to_vec),
        status: list.statuses().map(<[_]>::to_vec),
        ..Filter::default()
    };
    let sides = Columns::sides().into_iter().map(|side| {
        let visible = list
            .visibilities()
            .map(|list| any_of(side.visibility, &stored(list)));
        let of_users = list.creators().map(|users| any_of(side.created_by, users));
        let more = visible.into_iter().chain(of_users);
        more.fold(side.seen(sight).add(side.matching(&filter)), Condition::add)
    });
    sides.fold(Condition::any(), Condition::add)
}

/// The columns of an event that describe the connector before or after the change.
struct Columns {
    r#type: SimpleExpr,
    visibility: Column,
    created_by: Column,
    category: Column,
    status: Column,
}

impl Columns {
    /// The connector before and after.
    fn sides() -> [Self; 2] {
        let r#type = || Column::Type.into_simple_expr();
        [
            Self {
                r#type: Func::coalesce([Column::TypeBefore.into_simple_expr(), r#type()]).into(),
                visibility: Column::VisibilityBefore,
                created_by: Column::CreatedByBefore,
                category: Column::CategoryBefore,
                status: Column::StatusBefore,
            },
            Self {
                r#type: r#type(),
                visibility: Column::VisibilityAfter,
                created_by: Column::CreatedByAfter,
                category: Column::CategoryAfter,
                status: Column::StatusAfter,
            },
        ]
    }

    /// The condition that the connector existed on this side, visible.
    fn seen(&self, sight: &Sight) -> Condition {
        Condition::all()
            .add(self.visibility.is_not_null())
            .add(in_sight(
                sight,
                [self.visibility, Column::OrganizationId, self.created_by],
            ))
    }

    /// The condition that the connector matches the filter on this side.
    fn matching(&self, filter: &Filter) -> Condition {
        let restrictions = [
            filter
                .r#type
                .as_ref()
                .map(|values| any_of(self.r#type.clone(), &stored(values))),
            filter
                .category
                .as_ref()
                .map(|values| any_or_none(self.category.into_simple_expr(), values)),
            filter
                .status
                .as_ref()
                .map(|values| any_of(self.status, &stored(values))),
        ];
        let restrictions = restrictions.into_iter().flatten();
        restrictions.fold(Condition::all(), Condition::add)
    }
}
