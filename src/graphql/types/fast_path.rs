//! Connectors written into the answer as their rows are read.
//!
//! Invariant: what is written is what the resolvers of [`super::PersonalConnector`] give for the same selection, to the byte. It is only
//! done where every selected field is a leaf of the row, and where nothing else is merged into the object; all else is resolved.
//!
//! A resolver is a future for each field of each connector, and its value a tree that is written afterwards.

use std::{
    borrow::Cow,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, SelectionField, ServerResult, Value,
    parser::types::Field as AskedField, registry::Registry,
};
use entity::Timestamp;

use crate::{
    answer_budget::AnswerBudget,
    domain::viewer::{Action, Viewer},
    error::{Error, Result},
    store::{Field, Fields},
};

use super::scalars::raw;

/// A field of a connector that is made of its row alone.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    Typename,
    Object,
    Text(Field),
    /// Published in lower case; in GraphQL in capitals.
    Enum(Field),
    Time(Field),
    /// JSON already.
    Json(Field),
    Integer(Field),
    /// Text that not everyone who sees the connector may read.
    Owner(Field),
    CanUpdate,
    CanDelete,
}

impl Leaf {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "__typename" => Self::Typename,
            "id" => Self::Text(Field::Id),
            "object" => Self::Object,
            "name" => Self::Text(Field::Name),
            "type" => Self::Enum(Field::Type),
            "connectorId" => Self::Text(Field::ConnectorId),
            "description" => Self::Text(Field::Description),
            "iconUrl" => Self::Text(Field::IconUrl),
            "category" => Self::Enum(Field::Category),
            "version" => Self::Text(Field::Version),
            "status" => Self::Enum(Field::Status),
            "statusMessage" => Self::Text(Field::StatusMessage),
            "serverUrl" => Self::Text(Field::ServerUrl),
            "serverType" => Self::Enum(Field::ServerType),
            "metadata" => Self::Json(Field::Metadata),
            "createdAt" => Self::Time(Field::CreatedAt),
            "updatedAt" => Self::Time(Field::UpdatedAt),
            "createdBy" => Self::Owner(Field::CreatedBy),
            "organizationId" => Self::Owner(Field::OrganizationId),
            "visibility" => Self::Enum(Field::Visibility),
            "revision" => Self::Integer(Field::Revision),
            "viewerCanUpdate" => Self::CanUpdate,
            "viewerCanDelete" => Self::CanDelete,
            _ => return None,
        })
    }

    /// The fields of the row that it is made of.
    fn fields(self) -> Vec<Field> {
        match self {
            Self::Typename | Self::Object => Vec::new(),
            Self::Text(field)
            | Self::Enum(field)
            | Self::Time(field)
            | Self::Json(field)
            | Self::Integer(field) => vec![field],
            Self::Owner(_) | Self::CanUpdate | Self::CanDelete => Field::OWNERSHIP.to_vec(),
        }
    }

    fn write(self, row: Fields<'_>, viewer: &Viewer, out: &mut Vec<u8>) -> Result<()> {
        let may = |action| viewer.decide(action).is_ok();
        match self {
            Self::Typename => text(Some("PersonalConnector"), out),
            Self::Object => text(Some("personal_connector"), out),
            Self::Text(field) => text(row.text(field)?, out),
            Self::Enum(field) => {
                let value = row.text(field)?.map(str::to_ascii_uppercase);
                text(value.as_deref(), out)
            }
            Self::Time(field) => {
                let time = row.integer(field)?.map(|at| Timestamp(at).to_string());
                text(time.as_deref(), out)
            }
            Self::Json(field) => {
                out.extend_from_slice(row.text(field)?.unwrap_or("null").as_bytes());
                Ok(())
            }
            Self::Integer(field) => json(&row.integer(field)?, out),
            Self::Owner(field) => {
                let sees = may(Action::SeeOwner(row.ownership()?));
                text(row.text(field)?.filter(|_| sees), out)
            }
            Self::CanUpdate => json(&may(Action::Update(row.ownership()?)), out),
            Self::CanDelete => json(&may(Action::Delete(row.ownership()?)), out),
        }
    }
}

fn text(text: Option<&str>, out: &mut Vec<u8>) -> Result<()> {
    json(&text, out)
}

fn json(value: &impl serde::Serialize, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, value).map_err(Error::internal)
}

/// How an object is written whose selected fields are all leaves: their keys, in the selection's order.
#[derive(Clone, Debug)]
pub(in crate::graphql) struct Plan {
    leaves: Vec<(String, Leaf)>,
}

impl Plan {
    /// None where a field is none of the row's alone.
    pub(in crate::graphql) fn of(connector: SelectionField<'_>) -> Option<Self> {
        let mut leaves: Vec<(String, Leaf)> = Vec::new();
        for field in connector.selection_set() {
            let key = key(field);
            let leaf = Leaf::of(field.name())?;
            // A key that comes again is of the same field.
            if leaves.iter().all(|(other, _)| *other != key) {
                leaves.push((key, leaf));
            }
        }
        Some(Self { leaves })
    }

    /// What is to be selected of the row.
    pub(in crate::graphql) fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        for field in self.leaves.iter().flat_map(|(_, leaf)| leaf.fields()) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        fields
    }

    /// Writes connectors as JSON objects, as a viewer may read them.
    pub(in crate::graphql) fn writer(
        self,
        viewer: Arc<Viewer>,
    ) -> impl Fn(Fields<'_>) -> Result<Written> + Send + Sync + 'static {
        move |row| {
            let mut out = Vec::with_capacity(TYPICAL);
            out.push(b'{');
            for (key, leaf) in &self.leaves {
                if out.len() > 1 {
                    out.push(b',');
                }
                out.extend_from_slice(key.as_bytes());
                leaf.write(row, &viewer, &mut out)?;
            }
            out.push(b'}');
            // A long one has grown by doubling.
            if out.capacity() > 2 * TYPICAL {
                out.shrink_to_fit();
            }
            String::from_utf8(out).map(Written).map_err(Error::internal)
        }
    }
}

/// Bytes of a connector of a dozen fields.
const TYPICAL: usize = 512;

/// Bytes of an edge besides its node.
const TYPICAL_EDGE: usize = 128;

/// A response key as it is written. Names need no escapes (GraphQL, section 2.1.9).
fn key(field: SelectionField<'_>) -> String {
    format!("\"{}\":", field.alias().unwrap_or(field.name()))
}

/// JSON text that goes into the answer as it is.
#[derive(Debug, Default)]
pub(in crate::graphql) struct Written(String);

/// How the rows of a page are written.
#[derive(Clone, Debug)]
pub(in crate::graphql) enum PagePlan {
    Nodes(Plan),
    /// What each edge has, and how its node is written.
    Edges(Vec<(String, EdgeField)>, Plan),
}

#[derive(Clone, Copy, Debug)]
pub(in crate::graphql) enum EdgeField {
    Typename,
    Cursor,
    Node,
}

impl PagePlan {
    /// None where the rows are selected more than once, or by a field that is none of the row's alone.
    pub(in crate::graphql) fn of(connection: SelectionField<'_>) -> Option<Self> {
        let is_of_rows = |field: &SelectionField<'_>| matches!(field.name(), "nodes" | "edges");
        let mut rows = connection.selection_set().filter(is_of_rows);
        let (Some(rows), None) = (rows.next(), rows.next()) else {
            return None;
        };
        if rows.name() == "nodes" {
            return Plan::of(rows).map(Self::Nodes);
        }
        let mut fields: Vec<(String, EdgeField)> = Vec::new();
        let mut node = None;
        for field in rows.selection_set() {
            let kind = match field.name() {
                "__typename" => EdgeField::Typename,
                "cursor" => EdgeField::Cursor,
                "node" if node.is_none() => {
                    node = Some(Plan::of(field)?);
                    EdgeField::Node
                }
                _ => return None,
            };
            let key = key(field);
            if fields.iter().all(|(other, _)| *other != key) {
                fields.push((key, kind));
            }
        }
        Some(Self::Edges(fields, node?))
    }

    pub(in crate::graphql) fn node(&self) -> &Plan {
        match self {
            Self::Nodes(plan) | Self::Edges(_, plan) => plan,
        }
    }

    /// The list that was selected: of nodes, or of edges with these cursors. Each node is dropped once it is in the list.
    pub(in crate::graphql) fn list(
        &self,
        nodes: Vec<Written>,
        cursor: impl Fn(usize) -> String,
        budget: &AnswerBudget,
    ) -> Result<Written> {
        let nodes_bytes: usize = nodes.iter().map(|node| node.0.len() + 1).sum();
        budget.write(nodes_bytes)?;
        let edges = match self {
            Self::Nodes(_) => 0,
            Self::Edges(..) => nodes.len() * TYPICAL_EDGE,
        };
        let mut list = String::with_capacity(nodes_bytes + edges + "[]".len());
        list.push('[');
        for (place, node) in nodes.into_iter().enumerate() {
            if place > 0 {
                list.push(',');
            }
            let Self::Edges(fields, _) = self else {
                list.push_str(&node.0);
                continue;
            };
            let before = list.len();
            for (at, (key, field)) in fields.iter().enumerate() {
                list.push(if at == 0 { '{' } else { ',' });
                list.push_str(key);
                match field {
                    EdgeField::Typename => list.push_str("\"PersonalConnectorEdge\""),
                    // Base64 needs no escapes.
                    EdgeField::Cursor => list.extend(["\"", &cursor(place), "\""]),
                    EdgeField::Node => list.push_str(&node.0),
                }
            }
            list.push('}');
            budget.write((list.len() - before).saturating_sub(node.0.len()))?;
        }
        list.push(']');
        Ok(Written(list))
    }
}

/// A value that is written already, or still to be resolved.
pub(in crate::graphql) enum Answer<T> {
    /// Until it is resolved.
    Written(Mutex<Written>),
    Resolved(T),
}

impl<T> Answer<T> {
    pub(in crate::graphql) fn written(written: Written) -> Self {
        Self::Written(Mutex::new(written))
    }
}

impl<T: OutputType> OutputType for Answer<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<AskedField>,
    ) -> ServerResult<Value> {
        match self {
            Self::Written(written) => {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(raw(mem::take(&mut written.0)))
            }
            Self::Resolved(value) => value.resolve(context, field).await,
        }
    }
}
