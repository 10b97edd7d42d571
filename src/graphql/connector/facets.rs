//! Counts of a list's connectors by the values of their fields.

use async_graphql::{ID, Interface, OutputType, SimpleObject, resolver_utils::EnumType};

use crate::{
    domain::facets::{Facets, Organizations},
    error::{Error, Result},
    graphql::{
        enums::{ConnectorCategory, ConnectorStatus, ConnectorType, ServerType, name},
        inspection::InspectionOutcome,
        list::List,
    },
};

use super::fast_path::{Keyed, SelectedField, add, heap_bytes, json, text};

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

/// Writes facets as a JSON object, equal to the text of the resolvers.
#[derive(Debug)]
pub(super) struct FacetsWriter(Keyed<Part>);

/// A selected field of facets.
#[derive(Debug)]
enum Part {
    Typename,
    Counts(Dimension, Keyed<CountPart>),
    OrganizationsLeftOut,
}

/// A field by which connectors are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    Category,
    Status,
    Type,
    ServerType,
    Outcome,
    Organization,
}

/// A selected field of a count.
#[derive(Clone, Copy, Debug)]
enum CountPart {
    Typename,
    /// The value, whose text is its name.
    Name,
    Count,
}

impl FacetsWriter {
    /// Returns none if two fields have to be merged.
    pub(super) fn of(facets: impl SelectedField) -> Option<Self> {
        let mut parts: Keyed<Part> = Vec::new();
        for field in facets.below() {
            let counts = |dimension| count_parts(field).map(|parts| Part::Counts(dimension, parts));
            let part = match field.name() {
                "__typename" => Part::Typename,
                "category" => counts(Dimension::Category)?,
                "status" => counts(Dimension::Status)?,
                "type" => counts(Dimension::Type)?,
                "serverType" => counts(Dimension::ServerType)?,
                "outcome" => counts(Dimension::Outcome)?,
                "organizationId" => counts(Dimension::Organization)?,
                "organizationsLeftOut" => Part::OrganizationsLeftOut,
                _ => return None,
            };
            let selected = parts.len();
            let has_counts = matches!(part, Part::Counts(..));
            add(&mut parts, &field, part);
            if has_counts && parts.len() == selected {
                return None;
            }
        }
        Some(Self(parts))
    }

    /// Whether counts of the list's groups are selected.
    pub(super) fn has_groups(&self) -> bool {
        self.has(|dimension| dimension != Dimension::Organization)
    }

    /// Whether counts by outcome are selected.
    pub(super) fn has_outcomes(&self) -> bool {
        self.has(|dimension| dimension == Dimension::Outcome)
    }

    /// Whether organizations are selected.
    pub(super) fn has_organizations(&self) -> bool {
        let mut parts = self.0.iter();
        self.has(|dimension| dimension == Dimension::Organization)
            || parts.any(|(_, part)| matches!(part, Part::OrganizationsLeftOut))
    }

    fn has(&self, is: impl Fn(Dimension) -> bool) -> bool {
        let mut parts = self.0.iter();
        parts.any(|(_, part)| matches!(part, Part::Counts(dimension, _) if is(*dimension)))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let counts = self.0.iter().map(|(_, part)| match part {
            Part::Counts(_, parts) => heap_bytes(parts),
            Part::Typename | Part::OrganizationsLeftOut => 0,
        });
        heap_bytes(&self.0) + counts.sum::<usize>()
    }

    pub(super) fn write(&self, facets: &PersonalConnectorFacets) -> Result<String> {
        let mut out = Vec::new();
        for (index, (key, part)) in self.0.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            out.extend_from_slice(key.as_bytes());
            match part {
                Part::Typename => text(Some("PersonalConnectorFacets"), &mut out)?,
                Part::OrganizationsLeftOut => json(&facets.organizations_left_out, &mut out)?,
                Part::Counts(dimension, parts) => match dimension {
                    Dimension::Category => write(&facets.category, parts, &mut out)?,
                    Dimension::Status => write(&facets.status, parts, &mut out)?,
                    Dimension::Type => write(&facets.r#type, parts, &mut out)?,
                    Dimension::ServerType => write(&facets.server_type, parts, &mut out)?,
                    Dimension::Outcome => write(&facets.outcome, parts, &mut out)?,
                    Dimension::Organization => write(&facets.organization_id, parts, &mut out)?,
                },
            }
        }
        out.push(b'}');
        String::from_utf8(out).map_err(Error::internal)
    }
}

fn count_parts(counts: impl SelectedField) -> Option<Keyed<CountPart>> {
    let mut parts = Vec::new();
    for field in counts.below() {
        let part = match field.name() {
            "__typename" => CountPart::Typename,
            "value" | "name" => CountPart::Name,
            "count" => CountPart::Count,
            _ => return None,
        };
        add(&mut parts, &field, part);
    }
    Some(parts)
}

/// Writes counts as a JSON list.
fn write<V: OutputType>(
    counts: &List<Counted<V>>,
    parts: &Keyed<CountPart>,
    out: &mut Vec<u8>,
) -> Result<()>
where
    Counted<V>: OutputType,
{
    out.push(b'[');
    for (index, counted) in counts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        for (index, (key, part)) in parts.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            out.extend_from_slice(key.as_bytes());
            match part {
                CountPart::Typename => text(Some(&Counted::<V>::type_name()), out)?,
                CountPart::Name => text(counted.name.as_deref(), out)?,
                CountPart::Count => json(&counted.count, out)?,
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}
