//! The schema's input objects, and their conversion to the domain's types.

use std::borrow::Cow;

use async_graphql::{
    ID, InputObject, InputType, InputValueError, InputValueResult, MaybeUndefined, Value,
    registry::Registry,
};

use crate::{
    commands,
    domain::{
        connector::{Change, Draft, Patch, StatusChange},
        listing::{FILTER_VALUES, Filter, NameMatch, TimeRange, UptimeRange},
        order::GivenOrder,
        viewer::Viewer,
    },
};

use crate::graphql::{
    enums::{
        ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, OrderDirection,
        PersonalConnectorOrderField, ServerType,
    },
    inspection::InspectionOutcome,
    scalars::{DateTime, Json},
};

/// The conditions of the list; a connector must meet all of the given ones. A field that is null or left out restricts
/// nothing. An empty list matches nothing; a single value stands for a list of one. Null in a list, `[null]`, stands
/// for connectors without a value. At most 5 levels of `and`, `or` and `not`, 100 fields, and 100 values in a list.
#[derive(InputObject)]
pub(in crate::graphql) struct PersonalConnectorFilter {
    /// Its id is one of these.
    id: Option<Vec<ID>>,
    /// Its type is one of these.
    r#type: Option<Vec<ConnectorType>>,
    /// Its category is one of these. Null in the list stands for connectors without one.
    category: Option<Vec<Option<ConnectorCategory>>>,
    /// Its status is one of these.
    status: Option<Vec<ConnectorStatus>>,
    /// Its server type is one of these. Null in the list stands for connectors without one.
    server_type: Option<Vec<Option<ServerType>>>,
    /// Its visibility is one of these.
    visibility: Option<Vec<ConnectorVisibility>>,
    /// Its connectorId is one of these.
    connector_id: Option<Vec<String>>,
    /// Its creator is one of these, as far as you see creators.
    created_by: Option<Vec<ID>>,
    /// Its organizationId, as you see it, is one of these. Null in the list stands for connectors whose organizationId
    /// is null for you.
    organization_id: Option<Vec<Option<ID>>>,
    /// Whether you added it, as a user of your organization or of none. Without a token, you added none.
    mine: Option<bool>,
    /// Whether you may change it by `updateCustomConnector`: the value of its field `viewerCanUpdate`.
    viewer_can_update: Option<bool>,
    /// The outcome of the last check of its MCP server is one of these. Null in the list stands for connectors without
    /// a first check. `NOT_CHECKABLE` also stands for connectors without a server to check, whose `health` is null.
    outcome: Option<Vec<Option<InspectionOutcome>>>,
    /// Its MCP server offers a tool of one of these names.
    tool_name: Option<Vec<String>>,
    /// Its name, without regard to case and accents.
    name: Option<TextFilter>,
    /// The host of its serverUrl is one of these: `mcp.example.com`, of any port, or `mcp.example.com:8443`. The
    /// default port of the URL's scheme is none.
    host: Option<Vec<String>>,
    /// Whether tools of its MCP server are known.
    has_tools: Option<bool>,
    /// The last check of its MCP server was made in this range.
    checked_at: Option<DateTimeRange>,
    /// Its uptime over all stored checks is in this range, from 0 to 1, as of the last check; six digits count.
    uptime: Option<FloatRange>,
    /// It was created in this range.
    created_at: Option<DateTimeRange>,
    /// It last changed in this range.
    updated_at: Option<DateTimeRange>,
    /// All of these filters match; an empty list matches.
    and: Option<Filters>,
    /// At least one of these filters matches; an empty list does not.
    or: Option<Filters>,
    /// This filter does not match: its exact complement, including connectors without a value.
    not: Option<Box<PersonalConnectorFilter>>,
}

/// A list of filters, which the schema and JSON treat as any other list.
///
/// A parsed filter takes many times the memory of its text. So a list that is too long is cut after the first surplus
/// item, which is enough to refuse it.
struct Filters(Vec<PersonalConnectorFilter>);

impl InputType for Filters {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        <Vec<PersonalConnectorFilter> as InputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<PersonalConnectorFilter> as InputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<PersonalConnectorFilter> as InputType>::create_type_info(registry)
    }

    fn parse(mut value: Option<Value>) -> InputValueResult<Self> {
        if let Some(Value::List(items)) = &mut value {
            items.truncate(FILTER_VALUES + 1);
        }
        let filters = Vec::parse(value).map_err(InputValueError::propagate)?;
        Ok(Self(filters))
    }

    fn to_value(&self) -> Value {
        InputType::to_value(&self.0)
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

/// A span of time. An end that is null or left out is open.
#[derive(InputObject)]
pub(super) struct DateTimeRange {
    /// From this moment on.
    gte: Option<DateTime>,
    /// Before this moment.
    lt: Option<DateTime>,
}

/// A range of numbers. An end that is null or left out is open.
#[derive(InputObject)]
struct FloatRange {
    /// From this number on.
    gte: Option<f64>,
    /// Below this number.
    lt: Option<f64>,
}

/// Restricts a text. Both fields must match; one that is null or left out restricts nothing.
#[derive(InputObject)]
struct TextFilter {
    /// It is this text.
    equals: Option<String>,
    /// It begins with this text.
    starts_with: Option<String>,
}

/// How to order a list of connectors.
#[derive(InputObject)]
pub(in crate::graphql) struct PersonalConnectorOrder {
    /// The field to order by.
    field: PersonalConnectorOrderField,
    /// Ascending or descending; each field has a natural one.
    direction: Option<OrderDirection>,
}

/// A new custom connector.
#[derive(InputObject)]
pub(in crate::graphql) struct CreateCustomConnectorInput {
    /// Its name: 1 to 100 characters after trimming, unlike (without regard to case and accents) other connectors' of
    /// the organization, or of yours if it is PRIVATE.
    name: String,
    /// A description, up to 2,000 characters.
    description: Option<String>,
    /// The https address of its icon. Up to 2,048 characters.
    icon_url: Option<String>,
    /// The category; null for none.
    #[graphql(default_with = "Some(ConnectorCategory::Custom)")]
    category: Option<ConnectorCategory>,
    /// Its version, by semantic versioning.
    version: Option<String>,
    /// The address of its MCP server: http(s), and ws(s) too for WEBSOCKET, without credentials. Required unless the
    /// server type is STDIO, which has none.
    server_url: Option<String>,
    /// The protocol of its MCP server. Null means the default.
    #[graphql(default_with = "Some(ServerType::default())")]
    server_type: Option<ServerType>,
    /// More about it: a JSON object, up to 16 KiB and 16 levels deep.
    metadata: Option<Json>,
    /// The visibility. Only administrators of the organization make connectors PUBLIC. Null means the default.
    #[graphql(default_with = "Some(ConnectorVisibility::default())")]
    visibility: Option<ConnectorVisibility>,
    /// Makes a retry safe: within 24 hours the same key with the same input gives the connector that it made. 1 to 255
    /// characters of your choice.
    idempotency_key: Option<String>,
    /// Only check the input: nothing is written and no key is used. Success is no connector and no errors. Null means
    /// the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
    /// Inspect its MCP server first, and create the connector only if that is OPEN or `AUTH_REQUIRED`; otherwise
    /// INVALID on `serverUrl`. Counts as an inspection. Null means the default.
    #[graphql(default_with = "Some(false)")]
    pub(in crate::graphql) verify: Option<bool>,
}

/// A connector whose MCP server to check.
#[derive(InputObject)]
pub(in crate::graphql) struct CheckConnectorInput {
    /// The connector.
    pub(in crate::graphql) id: ID,
}

/// A change of a custom connector. An omitted field stays; null clears a nullable one.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateCustomConnectorInput {
    /// The connector to change.
    id: ID,
    /// Its name, as on create. Not null.
    name: MaybeUndefined<String>,
    /// A description, up to 2,000 characters.
    description: MaybeUndefined<String>,
    /// The https address of its icon. Up to 2,048 characters.
    icon_url: MaybeUndefined<String>,
    /// The category.
    category: MaybeUndefined<ConnectorCategory>,
    /// Its version, by semantic versioning.
    version: MaybeUndefined<String>,
    /// The address of its MCP server, as on create. Only administrators change that of a PUBLIC connector.
    server_url: MaybeUndefined<String>,
    /// The transport of its MCP server; null if it is not known, as of some imported connectors.
    server_type: MaybeUndefined<ServerType>,
    /// More about it: a JSON object that replaces the present one completely.
    metadata: MaybeUndefined<Json>,
    /// The visibility. Only administrators of the organization make connectors PUBLIC. Not null.
    visibility: MaybeUndefined<ConnectorVisibility>,
    /// Change it only if it is at this revision; otherwise CONFLICT, with the connector as it now is.
    expected_revision: Option<i64>,
    /// Only check the input: nothing is written. Success is no connector and no errors. Null means the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
}

/// A custom connector to delete.
#[derive(InputObject)]
pub(in crate::graphql) struct DeleteCustomConnectorInput {
    /// The connector to delete.
    id: ID,
    /// Delete it only if it is at this revision; otherwise CONFLICT, with the connector as it now is.
    expected_revision: Option<i64>,
}

/// A connector's new status. An omitted message or replacement stays; null clears it.
#[derive(InputObject)]
pub(in crate::graphql) struct SetConnectorStatusInput {
    /// The connector.
    id: ID,
    /// Its new status.
    status: ConnectorStatus,
    /// A notice for its users. Up to 1,000 characters.
    status_message: MaybeUndefined<String>,
    /// The connector that replaces this one, with DEPRECATED only. You must see it, and no replacement leads back from
    /// it. Any other status clears it.
    replaced_by_id: MaybeUndefined<ID>,
    /// Change it only if it is at this revision; otherwise CONFLICT, with the connector as it now is.
    expected_revision: Option<i64>,
}

impl PersonalConnectorFilter {
    /// Returns the filter for a viewer.
    pub(in crate::graphql) fn of_viewer(self, viewer: &Viewer) -> Filter {
        fn list<T: Into<U>, U>(list: Option<Vec<T>>) -> Option<Vec<U>> {
            list.map(|list| list.into_iter().map(Into::into).collect())
        }
        fn maybe<T: Into<U>, U>(list: Option<Vec<Option<T>>>) -> Option<Vec<Option<U>>> {
            list.map(|list| {
                list.into_iter()
                    .map(|value| value.map(Into::into))
                    .collect()
            })
        }
        let filter = self;
        let filters = |Filters(filters): Filters| {
            let filters = filters.into_iter();
            filters.map(|filter| filter.of_viewer(viewer)).collect()
        };
        let mine = filter.mine.map(|is| (viewer.own(), is));
        let updatable = filter.viewer_can_update;
        let updatable = updatable.map(|is| (viewer.updatable(), is));
        Filter {
            id: list(filter.id),
            r#type: list(filter.r#type),
            category: maybe(filter.category),
            status: list(filter.status),
            server_type: maybe(filter.server_type),
            visibility: list(filter.visibility),
            connector_id: filter.connector_id,
            created_by: list(filter.created_by),
            organization_id: maybe(filter.organization_id),
            owned: mine.into_iter().chain(updatable).collect(),
            outcome: maybe(filter.outcome),
            tool_name: filter.tool_name,
            name: filter.name.map(Into::into),
            host: filter.host,
            has_tools: filter.has_tools,
            checked_at: filter.checked_at.map(Into::into),
            uptime: filter.uptime.map(Into::into),
            created_at: filter.created_at.map(Into::into),
            updated_at: filter.updated_at.map(Into::into),
            and: filter.and.map(filters),
            or: filter.or.map(filters),
            not: filter.not.map(|filter| Box::new(filter.of_viewer(viewer))),
        }
    }
}

impl From<DateTimeRange> for TimeRange {
    fn from(range: DateTimeRange) -> Self {
        Self {
            gte: range.gte.map(|time| time.0),
            lt: range.lt.map(|time| time.0),
        }
    }
}

impl From<FloatRange> for UptimeRange {
    fn from(range: FloatRange) -> Self {
        Self::new(range.gte, range.lt)
    }
}

impl From<TextFilter> for NameMatch {
    fn from(text: TextFilter) -> Self {
        Self::new(text.equals.as_deref(), text.starts_with.as_deref())
    }
}

impl From<PersonalConnectorOrder> for GivenOrder {
    fn from(order: PersonalConnectorOrder) -> Self {
        (order.field.into(), order.direction.map(Into::into))
    }
}

/// Returns the orders of `thenBy`.
pub(super) fn orders(given: Option<Vec<PersonalConnectorOrder>>) -> Vec<GivenOrder> {
    given.into_iter().flatten().map(Into::into).collect()
}

impl From<CreateCustomConnectorInput> for commands::connector::Create {
    fn from(input: CreateCustomConnectorInput) -> Self {
        let draft = Draft {
            name: input.name,
            description: input.description,
            icon_url: input.icon_url,
            category: input.category.map(Into::into),
            version: input.version,
            server_url: input.server_url,
            server_type: Some(input.server_type.unwrap_or_default().into()),
            metadata: input.metadata.map(|json| json.0),
        };
        Self {
            draft,
            visibility: input.visibility.unwrap_or_default().into(),
            validate_only: input.validate_only.unwrap_or_default(),
            idempotency_key: input.idempotency_key,
        }
    }
}

/// Converts a field: an omitted one keeps its value, and null clears it.
pub(super) fn patch<T, U>(value: MaybeUndefined<T>, into: impl FnOnce(T) -> U) -> Patch<U> {
    match value {
        MaybeUndefined::Undefined => Patch::Keep,
        MaybeUndefined::Null => Patch::Clear,
        MaybeUndefined::Value(value) => Patch::Set(into(value)),
    }
}

impl From<UpdateCustomConnectorInput> for commands::connector::Update {
    fn from(input: UpdateCustomConnectorInput) -> Self {
        Self {
            id: input.id.0,
            change: Change {
                name: patch(input.name, |name| name),
                description: patch(input.description, |description| description),
                icon_url: patch(input.icon_url, |url| url),
                category: patch(input.category, Into::into),
                version: patch(input.version, |version| version),
                server_url: patch(input.server_url, |url| url),
                server_type: patch(input.server_type, Into::into),
                metadata: patch(input.metadata, |json| json.0),
                visibility: patch(input.visibility, Into::into),
            },
            expected_revision: input.expected_revision,
            validate_only: input.validate_only.unwrap_or_default(),
        }
    }
}

impl From<DeleteCustomConnectorInput> for commands::connector::Delete {
    fn from(input: DeleteCustomConnectorInput) -> Self {
        Self {
            id: input.id.0,
            expected_revision: input.expected_revision,
        }
    }
}

impl From<SetConnectorStatusInput> for commands::connector::SetStatus {
    fn from(input: SetConnectorStatusInput) -> Self {
        Self {
            id: input.id.0,
            change: StatusChange {
                status: input.status.into(),
                message: patch(input.status_message, |message| message),
                replaced_by: patch(input.replaced_by_id, |id| id.0),
            },
            expected_revision: input.expected_revision,
        }
    }
}
