//! Counts of a list's connectors by the values of their fields.

use async_graphql::{ID, Interface, OutputType, SimpleObject, resolver_utils::EnumType};

use crate::domain::facets::{Facets, Organizations};

use crate::graphql::{
    enums::{ConnectorCategory, ConnectorStatus, ConnectorType, ServerType, name},
    inspection::InspectionOutcome,
    list::List,
};

// The library takes names alone for the types of a generic one.
type MaybeCategory = Option<ConnectorCategory>;
type MaybeServerType = Option<ServerType>;
type MaybeOutcome = Option<InspectionOutcome>;
type MaybeId = Option<ID>;

/// Counts of a list's connectors by six of their fields: every value in the published order, zeros included, and null
/// for connectors without one. The counts of a field ignore the filter's own top-level restriction of that field, and
/// apply all others. So they show the result of choosing another value. Each value can be used in the filter, and null
/// as `[null]`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct PersonalConnectorFacets {
    /// Counts by category.
    category: List<Counted<MaybeCategory>>,
    /// Counts by status.
    status: List<Counted<ConnectorStatus>>,
    /// Counts by type.
    r#type: List<Counted<ConnectorType>>,
    /// Counts by server type.
    server_type: List<Counted<MaybeServerType>>,
    /// Counts by the outcome of the last check of the MCP server. `NOT_CHECKABLE` includes connectors without a server
    /// to check; null counts connectors before their first check.
    outcome: List<Counted<MaybeOutcome>>,
    /// Counts by organizationId, as you see it: the 100 organizations with the most connectors, the largest first,
    /// without zeros. The last one, null, counts connectors whose organizationId is null for you.
    organization_id: List<Counted<MaybeId>>,
    /// The number of organizations that `organizationId` omits.
    organizations_left_out: u64,
}

/// The number of a list's connectors with one value of a field.
#[derive(Interface)]
#[graphql(
    field(
        name = "name",
        ty = "&Option<String>",
        desc = "The value's name, such as DESIGN, or an organization's id; null for connectors without one."
    ),
    field(name = "count", ty = "&u64", desc = "How many there are.")
)]
pub(in crate::graphql) enum Facet {
    Category(Counted<MaybeCategory>),
    Status(Counted<ConnectorStatus>),
    Type(Counted<ConnectorType>),
    ServerType(Counted<MaybeServerType>),
    Outcome(Counted<MaybeOutcome>),
    Organization(Counted<MaybeId>),
}

/// The number of a list's connectors with one value of a field.
#[derive(SimpleObject)]
#[graphql(
    concrete(name = "ConnectorCategoryFacet", params(MaybeCategory)),
    concrete(name = "ConnectorStatusFacet", params(ConnectorStatus)),
    concrete(name = "ConnectorTypeFacet", params(ConnectorType)),
    concrete(name = "ServerTypeFacet", params(MaybeServerType)),
    concrete(name = "InspectionOutcomeFacet", params(MaybeOutcome)),
    concrete(name = "OrganizationFacet", params(MaybeId))
)]
pub(in crate::graphql) struct Counted<V: OutputType> {
    /// The value; null, where the field may have none, for connectors without one.
    value: V,
    /// The value's name, such as DESIGN, or an organization's id; null for connectors without one.
    name: Option<String>,
    /// The number of connectors.
    count: u64,
}

/// The counts of a field that may have no value.
fn optional<T, V>(counts: Vec<(Option<T>, u64)>) -> List<Counted<Option<V>>>
where
    V: From<T> + EnumType + OutputType,
{
    let counts = counts.into_iter();
    let counts = counts.map(|(value, count)| {
        let value = value.map(V::from);
        Counted {
            name: value.map(|value| name(value).to_owned()),
            value,
            count,
        }
    });
    counts.collect()
}

/// The counts of a field that has a value.
fn required<T, V>(counts: Vec<(T, u64)>) -> List<Counted<V>>
where
    V: From<T> + EnumType + OutputType,
{
    let counts = counts.into_iter();
    let counts = counts.map(|(value, count)| {
        let value = V::from(value);
        Counted {
            name: Some(name(value).to_owned()),
            value,
            count,
        }
    });
    counts.collect()
}

impl PersonalConnectorFacets {
    pub(super) fn new(facets: Facets, organizations: Organizations) -> Self {
        let counts = organizations.counts.into_iter();
        let counts = counts.map(|(id, count)| Counted {
            name: id.clone(),
            value: id.map(ID),
            count,
        });
        Self {
            organization_id: counts.collect(),
            organizations_left_out: organizations.left_out,
            category: optional(facets.category),
            status: required(facets.status),
            r#type: required(facets.r#type),
            server_type: optional(facets.server_type),
            outcome: optional(facets.outcome),
        }
    }
}
