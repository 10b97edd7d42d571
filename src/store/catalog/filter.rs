//! Turns a [`Filter`] and a position in an order into SQL conditions.
//!
//! Invariant: the condition is true for exactly the rows that match the filter, including nulls: `not` is the
//! complement.

use entity::{
    ConnectorType, Outcome, UserKey, connector_health, connector_tool, personal_connector::Column,
};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, DbBackend, ExprTrait, IntoSimpleExpr, Value,
    sea_query::{CaseStatement, Expr, Func, Query, SimpleExpr},
};

use crate::domain::{
    field_values::CUSTOM_CONNECTOR_ID,
    listing::{Filter, NameMatch},
    order::Order,
    server_address, text,
    viewer::{Owner, Sight},
};

/// The index that a database may use for the rows of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Lead {
    /// Any index.
    Any,
    /// On SQLite, no index that begins with category or status. SQLite would use it for one of them alone, and then
    /// sort the large part of the table that it finds. A scan in the list's order finds a page sooner.
    Order,
}

impl Lead {
    /// The index for a page. One category together with one status has an index for each order.
    pub(in crate::store) fn to_page(filter: &Filter, order: &Order, backend: DbBackend) -> Self {
        let has_index = order.first.field.is_column() && pair(filter).is_some();
        if backend == DbBackend::Postgres || has_index {
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

/// Returns a filter's one category and one status. An index has their rows in the order of each column.
pub(in crate::store) fn pair(filter: &Filter) -> Option<Filter> {
    let has_one = |values: Option<usize>| values == Some(1);
    let is_pair = has_one(filter.category.as_ref().map(Vec::len))
        && has_one(filter.status.as_ref().map(Vec::len));
    is_pair.then(|| Filter {
        category: filter.category.clone(),
        status: filter.status.clone(),
        ..Filter::default()
    })
}

/// The statement that contains a condition.
pub(in crate::store) struct Scope<'a> {
    pub(in crate::store) sight: &'a Sight,
    pub(in crate::store) lead: Lead,
    /// Whether the statement joins health to the rows. Otherwise health is looked up for each row, because most lists
    /// are scanned in their order.
    pub(in crate::store) with_health: bool,
}

impl Scope<'_> {
    /// Returns a condition on a row's health.
    fn health(&self, is: SimpleExpr) -> SimpleExpr {
        use connector_health::{Column as Health, Entity};

        if self.with_health {
            return is;
        }
        let health = Query::select()
            .expr(Expr::cust("1"))
            .from(Entity)
            .and_where(Health::Seq.into_expr().eq(Column::Seq.into_expr()))
            .and_where(is)
            .take();
        Expr::exists(health)
    }
}

/// The number of conditions on health that are looked up separately, so that a database can choose their order.
const LOOK_UPS: usize = 2;

/// Returns the condition of the rows that match `filter`. `createdBy` and `organizationId` match only rows whose owner
/// is visible.
pub(in crate::store) fn condition(filter: &Filter, scope: &Scope<'_>) -> Condition {
    use connector_health::Column as Health;

    if !scope.with_health && filter.conditions_of_health() > LOOK_UPS {
        let (of_health, rest) = filter.split_health();
        let beside = Scope {
            with_health: true,
            ..*scope
        };
        let of_health = condition(&of_health, &beside).into();
        return condition(&rest, scope).add(scope.health(of_health));
    }
    let Scope { sight, lead, .. } = scope;
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
            .map(|values| any_or_none(lead.column(Column::Category), values)),
        filter
            .status
            .as_ref()
            .map(|values| any_of(lead.column(Column::Status), &stored(values))),
        filter
            .server_type
            .as_ref()
            .map(|values| any_or_none(Column::ServerType.into_simple_expr(), values)),
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
        (filter.organization_id)
            .as_ref()
            .map(|ids| organization_of(ids, sight)),
        filter
            .outcome
            .as_ref()
            .map(|values| scope.health(any_or_none(outcome(), values))),
        filter.tool_name.as_ref().map(|names| offers(names)),
        filter.name.as_ref().map(called),
        filter.host.as_ref().map(|hosts| at(hosts)),
        filter.has_tools.map(|has| {
            let count = Health::ToolCount.into_simple_expr();
            let none = written(0);
            scope.health(if has { count.gt(none) } else { count.eq(none) })
        }),
        filter
            .checked_at
            .map(|range| scope.health(within(Health::CheckedAt, range.gte, range.lt))),
        filter
            .uptime
            .map(|range| scope.health(within(Health::Uptime, range.gte, range.lt))),
        filter
            .created_at
            .map(|range| within(Column::CreatedAt, range.gte, range.lt)),
        filter
            .updated_at
            .map(|range| within(Column::UpdatedAt, range.gte, range.lt)),
        filter.and.as_ref().map(|filters| {
            filters
                .iter()
                .fold(Condition::all(), |all, filter| {
                    all.add(condition(filter, scope))
                })
                .add(Expr::cust("TRUE"))
                .into()
        }),
        filter.or.as_ref().map(|filters| {
            filters
                .iter()
                .fold(Condition::any(), |any, filter| {
                    any.add(condition(filter, scope))
                })
                .add(Expr::cust("FALSE"))
                .into()
        }),
        (filter.not.as_ref()).map(|filter| complement(condition(filter, scope))),
    ];
    let owned = filter.owned.iter().map(|(owner, is)| {
        let owned = owned_by(owner);
        if *is { owned.into() } else { complement(owned) }
    });
    for restriction in restrictions.into_iter().flatten().chain(owned) {
        all = all.add(restriction);
    }
    all
}

/// Negates a condition: true for rows where it is false or null.
fn complement(condition: Condition) -> SimpleExpr {
    let excluded: SimpleExpr = condition.add(Expr::cust("TRUE")).into();
    SimpleExpr::from(Func::coalesce([excluded, Expr::cust("FALSE")])).not()
}

/// Returns the [`written`] values of an enum.
pub(in crate::store) fn stored<E: ActiveEnum<Value = String>>(values: &[E]) -> Vec<SimpleExpr> {
    values
        .iter()
        .map(|value| written(value.to_value()))
        .collect()
}

/// Writes a value into the statement's text. PostgreSQL plans a statement without its parameters: it takes all values
/// of a column for equally frequent, and every range for narrow. A value that may match most rows or almost none is
/// therefore no parameter.
pub(in crate::store) fn written(value: impl Into<Value>) -> SimpleExpr {
    SimpleExpr::Constant(value.into())
}

/// Returns an equality for one value, so that an index on the column also orders by the columns after it.
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

/// Returns [`any_of`] for values of an enum, none of which means null.
pub(in crate::store) fn any_or_none<E>(column: SimpleExpr, values: &[Option<E>]) -> SimpleExpr
where
    E: ActiveEnum<Value = String> + Clone,
{
    let given: Vec<_> = values.iter().flatten().cloned().collect();
    if given.len() == values.len() {
        any_of(column, &stored(&given))
    } else if given.is_empty() {
        column.is_null()
    } else {
        any_of(column.clone(), &stored(&given)).or(column.is_null())
    }
}

/// All custom connectors have the same connectorId, so an index on it finds nothing faster. Their type means the same.
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

/// Returns the outcome in a row of health; null before the first check, and `NOT_CHECKABLE` if no check is due.
pub(in crate::store) fn outcome() -> SimpleExpr {
    use connector_health::Column as Health;

    let not_checkable = written(Outcome::NotCheckable.to_value());
    let without_check = CaseStatement::new().case(Health::NextCheckAt.is_null(), not_checkable);
    Func::coalesce([Health::Outcome.into_simple_expr(), without_check.into()]).into()
}

/// Returns whether the server has a tool with one of these names. Most names are rare, so their index leads to the
/// rows.
fn offers(names: &[String]) -> SimpleExpr {
    use connector_tool::{Column as Tool, Entity};

    let tools = Query::select()
        .column(Tool::Seq)
        .from(Entity)
        .and_where(any_of(Tool::Name, names))
        .take();
    Column::Seq.in_subquery(tools)
}

/// Returns whether the name matches.
fn called(name: &NameMatch) -> SimpleExpr {
    let key = || Column::NameKey.into_simple_expr();
    let equals = name.equals.as_ref().map(|name| key().eq(name));
    let begins = name.starts_with.as_ref().map(|prefix| {
        let from = key().gte(prefix);
        match text::behind(prefix) {
            Some(end) => from.and(key().lt(end)),
            None => from,
        }
    });
    let both = [equals, begins].into_iter().flatten();
    let both = both.fold(Condition::all(), Condition::add);
    both.add(Expr::cust("TRUE")).into()
}

/// Returns whether the server is at one of these hosts. Most hosts have few servers, so an index leads to the rows.
fn at(hosts: &[String]) -> SimpleExpr {
    use connector_health::{Column as Health, Entity};

    let address = || Health::Address.into_simple_expr();
    let ranges = hosts
        .iter()
        .filter_map(|host| server_address::at_host(host));
    let ranges = ranges.flatten();
    let ranges = ranges.map(|range| address().gte(range.start).and(address().lt(range.end)));
    let any = ranges.fold(Condition::any().add(Expr::cust("FALSE")), Condition::add);
    let servers = Query::select()
        .column(Health::Seq)
        .from(Entity)
        .cond_where(any)
        .take();
    Column::Seq.in_subquery(servers)
}

/// Returns whether a value is in a range; false for null.
fn within<V: Into<Value>>(column: impl ColumnTrait, gte: Option<V>, lt: Option<V>) -> SimpleExpr {
    let column = column.into_simple_expr();
    let from = gte.map(|from| column.clone().gte(written(from)));
    let to = lt.map(|to| column.clone().lt(written(to)));
    [from, to]
        .into_iter()
        .flatten()
        .fold(Condition::all(), Condition::add)
        .add(Expr::cust("TRUE"))
        .into()
}

/// Returns the condition of an owner's rows: [`Owner::owns`] in SQL.
pub(in crate::store) fn owned_by(owner: &Owner) -> Condition {
    let all = Condition::all();
    match owner {
        Owner::Nobody => all.add(Expr::cust("FALSE")),
        Owner::User(UserKey { organization, id }) => {
            let organization = is_organization(Column::OrganizationId, organization.as_deref());
            all.add(Column::CreatedBy.eq(id)).add(organization)
        }
        Owner::Organization(id) => all.add(Column::OrganizationId.eq(id)),
    }
}

/// Returns whether the organization is this one, or absent.
pub(in crate::store) fn is_organization(
    column: impl ColumnTrait,
    organization: Option<&str>,
) -> SimpleExpr {
    organization.map_or_else(|| column.is_null(), |id| column.eq(id))
}

/// Returns whether the organization that the viewer may read is one of these. `None` matches rows without one.
fn organization_of(ids: &[Option<String>], sight: &Sight) -> SimpleExpr {
    let given: Vec<_> = ids.iter().flatten().cloned().collect();
    let named = Condition::all()
        .add(any_of(Column::OrganizationId, &given))
        .add(owner_in_sight(sight));
    if given.len() == ids.len() {
        named.into()
    } else {
        let none = organization_shown(sight).is_null();
        Condition::any().add(named).add(none).into()
    }
}

/// Returns the organization of a row that the viewer may read; null if the owner is not visible.
pub(in crate::store) fn organization_shown(sight: &Sight) -> SimpleExpr {
    let organization = Column::OrganizationId.into_simple_expr();
    match sight {
        Sight::Everything => organization,
        _ => CaseStatement::new()
            .case(owner_in_sight(sight), organization)
            .into(),
    }
}

/// Returns the condition of rows whose `createdBy` and `organizationId` the viewer may read: [`Sight::sees_owner`] in
/// SQL.
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
