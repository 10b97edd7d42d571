//! The table of the schema's output fields: their cost, statements and dependencies.
//!
//! Invariant: every output field of the schema has a row, and every row a field; a test compares them with the SDL. The
//! fields of a connector's row come from [`Field`].

use std::{collections::HashMap, sync::LazyLock};

use crate::domain::{
    field::{Field, Kind},
    field_values::METADATA_BYTES,
    inspection::TOOLS,
    viewer::Right,
};

/// Visits of an introspection, whose long lists are resolved value by value.
const SCHEMA: u64 = 5;

/// Points of an import, which may write as many connectors as a body contains.
const IMPORT: u64 = 1_000;

/// Points of a search among the tools of one connector.
const TOOL_SEARCH: u64 = 10;

/// Points of the matches of a search in one connector.
const MATCHES: u64 = 10;

/// The length of a field's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Items {
    /// No list, or one of scalars.
    One,
    /// A short list that counts as one item.
    Few,
    /// The items of a connection or payload, which its own field counts.
    OfConnection,
    /// The number in the argument `first` or `last`.
    Page,
    /// The number of items in the argument `ids`.
    Ids,
    /// The number of items in the field `ids` of the argument `input`, each a connector to change.
    Changed,
    AtMost(u64),
}

/// Visits of many rows of the catalogue or the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visits {
    Always(u64),
    /// One for the argument `search`, one for `thenBy`, one for `filter`, and one for each tool name in it. A filter
    /// with many conditions counts more often, and so do the visits below.
    OfArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldTraits {
    /// Points besides the one of each field: one for each KiB of metadata, and fewer if most values are far shorter
    /// than the longest.
    pub(crate) weight: u64,
    /// Points of the argument `search`, if it searches a few rows.
    pub(crate) search_weight: u64,
    pub(crate) items: Items,
    pub(crate) visits: Visits,
    /// Whether it needs a statement besides the one for the rows.
    pub(crate) reads: bool,
    /// Whether it changes without a new catalogue state.
    pub(crate) changes_alone: bool,
}

const PLAIN: FieldTraits = FieldTraits {
    weight: 0,
    search_weight: 0,
    items: Items::One,
    visits: Visits::Always(0),
    reads: false,
    changes_alone: false,
};

impl FieldTraits {
    const fn weighs(self, weight: u64) -> Self {
        Self { weight, ..self }
    }

    const fn searches(self, search_weight: u64) -> Self {
        Self {
            search_weight,
            ..self
        }
    }

    const fn has(self, items: Items) -> Self {
        Self { items, ..self }
    }

    const fn visits(self, visits: Visits) -> Self {
        Self { visits, ..self }
    }

    const fn reads(self) -> Self {
        Self {
            reads: true,
            ..self
        }
    }

    const fn changes_alone(self) -> Self {
        Self {
            changes_alone: true,
            ..self
        }
    }
}

const FEW: FieldTraits = PLAIN.has(Items::Few);
const LONG: FieldTraits = PLAIN.weighs(1);
const LONGER: FieldTraits = PLAIN.weighs(4);
const PAGE: FieldTraits = PLAIN.has(Items::Page);
/// A list with as many numbers as buckets.
const OF_BUCKETS: FieldTraits = LONGER;
/// Reads the log for one or more connectors, and skips events that the viewer did not see. Old events are pruned from
/// it.
const OF_LOG: FieldTraits = PLAIN.visits(Visits::Always(1)).reads().changes_alone();
const OF_CONNECTION: FieldTraits = PLAIN.has(Items::OfConnection);
/// Health changes with each check, and the catalogue's state only with the outcome.
const OF_CHECK: FieldTraits = PLAIN.changes_alone();
/// It reads checks of several days.
const OF_WINDOW: FieldTraits = OF_CHECK.weighs(20).reads();
/// A user is pruned with the last event that names them.
const OF_USER: FieldTraits = PLAIN.reads().changes_alone();
/// Reads the log, from which old events are pruned.
const LOG: FieldTraits = PAGE.visits(Visits::Always(1)).reads().changes_alone();

/// Input fields and enum values that make a list depend on checks without a new state.
const OF_CHECKS: [&str; 5] = ["checkedAt", "uptime", "CHECKED_AT", "LATENCY", "UPTIME"];

/// Returns whether an input field or enum value makes a list change without a new catalogue state.
pub(crate) fn is_of_checks(name: &str) -> bool {
    OF_CHECKS.contains(&name)
}

type Fields = &'static [(&'static str, FieldTraits)];

const FACET: Fields = &[("count", PLAIN), ("name", PLAIN), ("value", PLAIN)];

/// The types of the schema, with their fields.
#[rustfmt::skip]
const TABLE: &[(&str, Fields)] = &[
    ("BulkResult", &[("outcome", PLAIN), ("personalConnector", PLAIN), ("personalConnectorId", PLAIN),
        ("userErrors", FEW)]),
    ("CheckConnectorPayload", &[("changesCursor", PLAIN), ("inspection", PLAIN), ("personalConnector", PLAIN),
        ("userErrors", FEW)]),
    ("CheckConnectorsPayload", &[("changesCursor", PLAIN), ("results", OF_CONNECTION), ("userErrors", FEW)]),
    ("ConnectorCategoryFacet", FACET),
    ("ConnectorCheck", &[("checkedAt", PLAIN), ("latencyMs", PLAIN), ("message", PLAIN), ("outcome", PLAIN)]),
    ("ConnectorCheckConnection", &[("edges", OF_CONNECTION), ("nodes", OF_CONNECTION), ("pageInfo", PLAIN)]),
    ("ConnectorCheckEdge", &[("cursor", PLAIN), ("node", PLAIN)]),
    ("ConnectorDraft", &[("description", LONG), ("iconUrl", PLAIN), ("name", PLAIN), ("version", PLAIN)]),
    ("ConnectorHealth", &[
        ("authorizationServers", OF_CHECK),
        ("buckets", OF_WINDOW),
        ("checkedAt", OF_CHECK),
        ("extensions", OF_CHECK),
        ("history", OF_CHECK.has(Items::Page).reads()),
        ("isTransportDeprecated", OF_CHECK),
        ("latencyMs", OF_CHECK),
        ("message", OF_CHECK),
        ("nextCheckAt", OF_CHECK),
        ("outcome", PLAIN),
        ("protocolVersion", OF_CHECK),
        ("serverInfo", OF_CHECK),
        ("since", OF_CHECK),
        ("toolsCheckedAt", OF_CHECK),
        ("transport", OF_CHECK),
        ("uptime", OF_WINDOW),
        ("uptimeHours", OF_WINDOW),
    ]),
    ("ConnectorStatusFacet", FACET),
    ("ConnectorTypeFacet", FACET),
    ("CreateCustomConnectorPayload", &[("changesCursor", PLAIN), ("inspection", PLAIN), ("personalConnector", PLAIN),
        ("userErrors", FEW)]),
    ("CuratedField", &[("field", PLAIN), ("fileValue", LONG)]),
    ("DeleteCustomConnectorPayload", &[("changesCursor", PLAIN), ("deletedId", PLAIN), ("personalConnector", PLAIN),
        ("userErrors", FEW)]),
    ("DeleteCustomConnectorsPayload", &[("changesCursor", PLAIN), ("deletedIds", PLAIN), ("results", OF_CONNECTION),
        ("userErrors", FEW)]),
    // The environment is part of the metadata's bytes, which the packages count.
    ("EnvironmentVariable", &[
        ("default", PLAIN),
        ("description", LONG),
        ("isRequired", PLAIN),
        ("isSecret", PLAIN),
        ("name", PLAIN),
    ]),
    ("Facet", &[("count", PLAIN), ("name", PLAIN)]),
    ("FieldChange", &[
        ("after", LONG),
        ("before", LONG),
        ("field", PLAIN),
        ("isAfterCut", PLAIN),
        ("isBeforeCut", PLAIN),
    ]),
    ("HealthBuckets", &[("checks", OF_BUCKETS), ("from", PLAIN), ("latencyMs", OF_BUCKETS), ("to", PLAIN),
        ("working", OF_BUCKETS)]),
    ("ImportConnectorsPayload", &[("changesCursor", PLAIN), ("report", PLAIN), ("userErrors", FEW)]),
    ("ImportReport", &[
        ("categories", FEW),
        ("created", PLAIN),
        ("deleted", PLAIN),
        ("disabled", PLAIN),
        ("isComplete", PLAIN),
        ("lines", LONGER),
        ("olderVersions", PLAIN),
        ("rejected", PLAIN),
        ("total", PLAIN),
        ("unchanged", PLAIN),
        ("updated", PLAIN),
        ("warnings", PLAIN),
        ("withoutReplacement", PLAIN),
    ]),
    ("ImportedCategory", &[("category", PLAIN), ("count", PLAIN), ("source", PLAIN)]),
    ("InspectServerPayload", &[("draft", PLAIN), ("inspection", PLAIN), ("userErrors", FEW)]),
    ("Inspection", &[
        ("authorizationServers", PLAIN),
        ("capabilities", PLAIN),
        ("checkedAt", PLAIN),
        ("extensions", PLAIN),
        ("instructions", LONG),
        ("isTransportDeprecated", PLAIN),
        ("latencyMs", PLAIN),
        ("message", PLAIN),
        ("outcome", PLAIN),
        ("promptCount", PLAIN),
        ("protocolVersion", PLAIN),
        ("resourceCount", PLAIN),
        ("serverInfo", PLAIN),
        ("tools", PLAIN.has(Items::AtMost(TOOLS as u64))),
        ("toolsLeftOut", PLAIN),
        ("transport", PLAIN),
    ]),
    ("InspectionOutcomeFacet", FACET),
    ("McpServerInfo", &[
        ("description", LONG),
        ("iconUrls", LONGER),
        ("name", PLAIN),
        ("title", PLAIN),
        ("version", PLAIN),
        ("websiteUrl", PLAIN),
    ]),
    ("McpTool", &[
        ("annotations", LONG),
        ("description", LONG),
        ("inputSchema", LONGER),
        ("name", PLAIN),
        ("outputSchema", LONGER),
        ("title", PLAIN),
    ]),
    ("McpToolConnection", &[
        ("edges", OF_CONNECTION),
        ("nodes", OF_CONNECTION),
        ("pageInfo", PLAIN),
        ("totalCount", PLAIN.reads()),
    ]),
    ("McpToolEdge", &[("cursor", PLAIN), ("node", PLAIN)]),
    ("Mutation", &[
        ("checkConnector", PLAIN),
        ("checkConnectors", PLAIN.has(Items::Changed)),
        ("createCustomConnector", PLAIN),
        ("deleteCustomConnector", PLAIN),
        ("deleteCustomConnectors", PLAIN.has(Items::Changed)),
        ("importConnectors", PLAIN.weighs(IMPORT)),
        ("inspectServer", PLAIN),
        ("setConnectorStatus", PLAIN),
        ("setConnectorStatuses", PLAIN.has(Items::Changed)),
        ("updateCatalogConnectors", PLAIN.has(Items::Changed)),
        ("updateCustomConnector", PLAIN),
    ]),
    ("Node", &[("id", PLAIN)]),
    ("OrganizationFacet", FACET),
    ("PageInfo", &[("endCursor", PLAIN), ("hasNextPage", PLAIN), ("hasPreviousPage", PLAIN), ("startCursor", PLAIN)]),
    // Without the fields of its row, and those of the viewer's rights.
    (CONNECTOR, &[
        ("changes", OF_LOG.has(Items::Page)),
        ("creator", PLAIN),
        ("curatedFields", FEW),
        ("health", PLAIN.reads()),
        ("lastChange", OF_LOG),
        ("object", PLAIN),
        ("packages", FEW.weighs(METADATA_BYTES as u64 / 1024)),
        // The metadata is parsed once for each connector, whose bytes the rows of a response bound.
        ("repositoryUrl", PLAIN),
        ("tools", PAGE.searches(TOOL_SEARCH).reads()),
        ("websiteUrl", PLAIN),
    ]),
    ("PersonalConnectorChange", &[
        ("actor", PLAIN),
        ("author", PLAIN),
        ("changedFields", PLAIN),
        // At most as many as there are fields. Those of a connector cost the same.
        ("changes", PAGE.visits(Visits::Always(1)).reads()),
        ("cursor", PLAIN),
        ("inList", PLAIN),
        ("inListBefore", PLAIN),
        ("kind", PLAIN),
        ("occurredAt", PLAIN),
        ("outcomeBefore", PLAIN.reads()),
        ("personalConnector", PLAIN),
        ("personalConnectorId", PLAIN),
        ("revision", PLAIN),
    ]),
    ("PersonalConnectorChangeConnection", &[("edges", OF_CONNECTION), ("nodes", OF_CONNECTION), ("pageInfo", PLAIN)]),
    ("PersonalConnectorChangeEdge", &[("cursor", PLAIN), ("node", PLAIN)]),
    ("PersonalConnectorConnection", &[
        ("changesCursor", PLAIN.reads()),
        ("edges", OF_CONNECTION),
        ("facets", PLAIN.visits(Visits::Always(1)).reads()),
        ("nodes", OF_CONNECTION),
        ("pageInfo", PLAIN),
        ("search", PLAIN),
        ("totalCount", PLAIN.visits(Visits::Always(1)).reads()),
    ]),
    // Each match looks at texts of a connector, and at the words of its tools.
    ("PersonalConnectorEdge", &[("cursor", PLAIN), ("matches", FEW.weighs(MATCHES).reads()), ("node", PLAIN)]),
    // A separate statement counts organizations.
    ("PersonalConnectorFacets", &[
        ("category", FEW),
        ("organizationId", FEW.visits(Visits::Always(1)).reads()),
        ("organizationsLeftOut", PLAIN.visits(Visits::Always(1)).reads()),
        ("outcome", FEW),
        ("serverType", FEW),
        ("status", FEW),
        ("type", FEW),
    ]),
    ("Query", &[
        ("__schema", PLAIN.visits(Visits::Always(SCHEMA))),
        ("__type", PLAIN.visits(Visits::Always(1))),
        ("node", PLAIN),
        ("nodes", PLAIN.has(Items::Ids)),
        ("personalConnector", PLAIN),
        ("personalConnectorChanges", LOG),
        ("personalConnectors", PAGE.visits(Visits::OfArguments)),
        ("viewer", PLAIN),
    ]),
    ("SearchInfo", &[("corrected", PLAIN), ("words", FEW)]),
    ("SearchMatch", &[("field", PLAIN), ("fragments", FEW), ("toolName", PLAIN)]),
    ("SearchWord", &[("replacements", PLAIN), ("word", PLAIN)]),
    ("ServerPackage", &[("environment", FEW), ("identifier", PLAIN), ("registryType", PLAIN), ("version", PLAIN)]),
    ("ServerTypeFacet", FACET),
    ("SetConnectorStatusPayload", &[("changesCursor", PLAIN), ("personalConnector", PLAIN), ("userErrors", FEW)]),
    ("SetConnectorStatusesPayload", &[("changesCursor", PLAIN), ("results", OF_CONNECTION), ("userErrors", FEW)]),
    ("Subscription", &[("personalConnectorChanged", PLAIN)]),
    ("TextFragment", &[("matched", PLAIN), ("text", LONG)]),
    ("UpdateCatalogConnectorsPayload", &[("changesCursor", PLAIN), ("results", OF_CONNECTION), ("userErrors", FEW)]),
    ("UpdateCustomConnectorPayload", &[("changesCursor", PLAIN), ("personalConnector", PLAIN), ("userErrors", FEW)]),
    ("UpdateConflict", &[
        ("actor", PLAIN),
        ("author", PLAIN),
        ("changedFields", PLAIN),
        ("occurredAt", PLAIN),
        ("revision", PLAIN),
    ]),
    ("User", &[("isViewer", PLAIN), ("name", OF_USER), ("pictureUrl", OF_USER), ("userId", PLAIN)]),
    ("UserError", &[
        ("code", PLAIN),
        ("conflict", PLAIN),
        ("current", PLAIN),
        ("field", PLAIN),
        ("limit", PLAIN),
        ("message", PLAIN),
    ]),
    ("Viewer", &[
        ("canCreateCustomConnector", PLAIN.reads()),
        ("cannotCreateCustomConnectorReasons", PLAIN.reads()),
        ("customConnectorCount", PLAIN.reads()),
        ("customConnectorLimit", PLAIN),
        ("organizationId", PLAIN),
        ("readOnly", PLAIN.changes_alone()),
        ("scopes", PLAIN),
        ("user", PLAIN),
        ("userId", PLAIN),
    ]),
];

/// The type whose other fields are those of the row.
const CONNECTOR: &str = "PersonalConnector";

/// Fields whose types have fields that differ from others of the same name. A traversal without types identifies them
/// by these.
const LEADS: [(&str, &str); 4] = [
    ("buckets", "HealthBuckets"),
    ("facets", "PersonalConnectorFacets"),
    ("inspection", "Inspection"),
    ("personalConnectors", "PersonalConnectorConnection"),
];

/// Returns whether a traversal without types finds a type's fields only by [`LEADS`]. Other fields of one name cost the
/// same.
fn is_led_to(parent: &str) -> bool {
    LEADS.iter().any(|(_, to)| *to == parent)
}

const fn of_row(field: Field) -> FieldTraits {
    match field.kind() {
        Kind::Json => PLAIN.weighs(METADATA_BYTES as u64 / 1024),
        Kind::LongText => LONG,
        Kind::Connector => PLAIN.reads(),
        Kind::Text | Kind::Enum | Kind::Time | Kind::Integer | Kind::Owner => PLAIN,
    }
}

/// Returns all fields with their types.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, FieldTraits)> {
    let of_types = TABLE.iter().flat_map(|(parent, fields)| {
        fields
            .iter()
            .map(|(name, traits)| (*parent, *name, *traits))
    });
    let of_row = Field::ALL
        .iter()
        .map(|field| (CONNECTOR, field.graphql_name(), of_row(*field)));
    let rights = Right::ALL.iter().flat_map(|right| {
        let (can, cannot_reasons) = right.graphql_names();
        [can, cannot_reasons].map(|name| (CONNECTOR, name, PLAIN))
    });
    of_types.chain(of_row).chain(rights)
}

/// The fields that are not plain, by name.
static NOTABLE: LazyLock<HashMap<&str, Vec<(&str, FieldTraits)>>> = LazyLock::new(|| {
    let mut notable = HashMap::<_, Vec<_>>::new();
    for (parent, name, traits) in rows() {
        notable.entry(name).or_default().push((parent, traits));
    }
    notable.retain(|_, rows| rows.iter().any(|(_, traits)| *traits != PLAIN));
    notable
});

/// Returns the traits of a type's field. An unknown field is plain.
pub(crate) fn of_type(parent: &str, name: &str) -> FieldTraits {
    let rows = NOTABLE.get(name).into_iter().flatten();
    let mut rows = rows.filter(|(other, _)| *other == parent);
    rows.next().map_or(PLAIN, |(_, traits)| *traits)
}

/// Returns the traits of a field for a traversal without types, which knows at most the parent field or the type of a
/// surrounding fragment. Only the cost is right then.
pub(crate) fn of_name(of: Option<&str>, name: &str) -> FieldTraits {
    let Some(rows) = NOTABLE.get(name) else {
        return PLAIN;
    };
    let lead = LEADS.iter().find(|(field, _)| Some(*field) == of);
    let parent = lead.map(|(_, to)| *to).or(of);
    let of_parent = rows.iter().find(|(other, _)| Some(*other) == parent);
    // `nodes` has ids at the root, but not in a connection.
    let of_name = || {
        let mut rows = rows.iter();
        rows.find(|(other, traits)| !is_led_to(other) && traits.items != Items::OfConnection)
    };
    of_parent
        .or_else(of_name)
        .map_or(PLAIN, |(_, traits)| *traits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_graphql::parser::{
        parse_schema,
        types::{BaseType, FieldDefinition, TypeKind, TypeSystemDefinition},
    };

    use super::*;
    use crate::graphql::type_definitions;

    /// Returns the output fields of the schema with their types, and the types that have fields.
    fn fields() -> (Vec<(String, FieldDefinition)>, BTreeSet<String>) {
        let mut fields = Vec::new();
        let mut types = BTreeSet::new();
        for definition in parse_schema(type_definitions()).unwrap().definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let name = definition.node.name.node.to_string();
            let of = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let of = of.into_iter().map(|field| (name.clone(), field.node));
            fields.extend(of);
            types.insert(name);
        }
        (fields, types)
    }

    fn innermost(base: &BaseType) -> &str {
        match base {
            BaseType::Named(name) => name,
            BaseType::List(item) => innermost(&item.base),
        }
    }

    #[test]
    fn what_depends_on_checks_is_in_the_schema() {
        for name in OF_CHECKS {
            let declared = [
                format!("\n  {name}\n"),
                format!("\n\t{name}\n"),
                format!("{name}: "),
            ];
            assert!(
                declared
                    .iter()
                    .any(|text| type_definitions().contains(text)),
                "{name}"
            );
        }
    }

    #[test]
    fn the_table_has_the_fields_of_the_schema() {
        let (fields, types) = fields();
        let in_schema: BTreeSet<_> = fields
            .iter()
            .map(|(parent, field)| (parent.as_str(), field.name.node.as_str()))
            .collect();
        let rows: Vec<_> = rows()
            .map(|(parent, name, _)| (parent, name))
            .filter(|(_, name)| !name.starts_with("__"))
            .collect();
        let in_table: BTreeSet<_> = rows.iter().copied().collect();
        let without_row: Vec<_> = in_schema.difference(&in_table).collect();
        assert!(
            without_row.is_empty(),
            "fields without a row: {without_row:?}"
        );
        let without_field: Vec<_> = in_table.difference(&in_schema).collect();
        assert!(
            without_field.is_empty(),
            "rows without a field: {without_field:?}"
        );
        assert_eq!(rows.len(), in_table.len(), "a field has two rows");

        for (parent, field) in &fields {
            let is_list_of_objects = matches!(field.ty.node.base, BaseType::List(_))
                && types.contains(innermost(&field.ty.node.base));
            let items = of_type(parent, &field.name.node).items;
            assert!(
                !is_list_of_objects || items != Items::One,
                "{parent}.{} is a list of objects: say how long",
                field.name.node
            );
            let to = innermost(&field.ty.node.base);
            let leads = LEADS.contains(&(field.name.node.as_str(), to));
            assert_eq!(is_led_to(to), leads, "{parent}.{}", field.name.node);
        }
    }

    /// A traversal without types finds the cost of each field.
    #[test]
    fn fields_of_one_name_cost_the_same() {
        let cost = |traits: FieldTraits| {
            let items = match traits.items {
                Items::Few => Items::One,
                items => items,
            };
            (traits.weight, traits.search_weight, items, traits.visits)
        };
        for (parent, name, traits) in rows() {
            let of = LEADS.iter().find(|(_, to)| *to == parent);
            let found = of_name(of.map(|(field, _)| *field), name);
            if traits.items != Items::OfConnection {
                assert_eq!(cost(found), cost(traits), "{parent}.{name}");
            }
        }
    }

    /// A code generator treats an argument as required if its description has a colon.
    #[test]
    fn descriptions_of_arguments_have_no_colon() {
        for (parent, field) in fields().0 {
            for argument in field.arguments {
                let description = argument.node.description.map(|text| text.node);
                let has_colon = description.is_none_or(|text| text.contains(':'));
                assert!(
                    !has_colon,
                    "{parent}.{}({}:)",
                    field.name.node, argument.node.name.node
                );
            }
        }
    }

    #[test]
    fn inputs_have_the_fields_that_they_set() {
        let inputs = ["CreateCustomConnectorInput", "UpdateCustomConnectorInput"];
        let mut seen = 0;
        for definition in parse_schema(type_definitions()).unwrap().definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let name = definition.node.name.node.as_str();
            let TypeKind::InputObject(input) = &definition.node.kind else {
                continue;
            };
            if !inputs.contains(&name) {
                continue;
            }
            seen += 1;
            let of_input: BTreeSet<_> = input
                .fields
                .iter()
                .map(|field| field.node.name.node.as_str())
                .filter_map(Field::from_graphql)
                .filter(|field| *field != Field::Id)
                .map(Field::graphql_name)
                .collect();
            let of_table: BTreeSet<_> = Field::ALL
                .iter()
                .filter(|field| field.is_input())
                .map(|field| field.graphql_name())
                .collect();
            assert_eq!(of_input, of_table, "{name}");
        }
        assert_eq!(seen, inputs.len());
    }
}
