//! Writes connectors into the response while their rows are read.
//!
//! Invariant: the text equals that of the resolvers of [`super::object::PersonalConnector`] for the same selection,
//! byte for byte. It is used only if every selected field is a leaf of the row and nothing else is merged into the
//! object. Other selections use resolvers.
//!
//! A resolver costs a future for each field of each connector, and a tree of values that is written afterwards.

use std::{
    borrow::Cow,
    mem,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, SelectionField, ServerResult, Value,
    parser::types::Field as AskedField, registry::Registry,
};
use entity::Timestamp;

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        field::{Field, Kind},
        viewer::{Action, Right, Viewer},
    },
    error::{Error, Result},
    store::Fields,
};

use crate::graphql::{
    enums::{name, reasons},
    scalars::raw,
};

/// A field of a connector that depends only on its row.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    Typename,
    Object,
    Of(Field),
    Can(Right),
    CannotReasons(Right),
}

impl Leaf {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "__typename" => Self::Typename,
            "object" => Self::Object,
            _ => match Field::from_graphql(name) {
                None => return Self::of_right(name),
                Some(field) if field.kind() == Kind::Connector => return None,
                Some(field) => Self::Of(field),
            },
        })
    }

    fn of_right(name: &str) -> Option<Self> {
        Right::ALL.iter().find_map(|right| {
            let (can, cannot_reasons) = right.graphql_names();
            let can = (name == can).then_some(Self::Can(*right));
            can.or_else(|| (name == cannot_reasons).then_some(Self::CannotReasons(*right)))
        })
    }

    /// Returns the fields of the row that it needs.
    fn fields(self) -> Vec<Field> {
        match self {
            Self::Typename | Self::Object => Vec::new(),
            Self::Of(field) if field.kind() != Kind::Owner => vec![field],
            Self::Of(_) | Self::Can(_) | Self::CannotReasons(_) => Field::OWNERSHIP.to_vec(),
        }
    }

    fn write(self, row: Fields<'_>, viewer: &Viewer, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Typename => text(Some("PersonalConnector"), out),
            Self::Object => text(Some("personal_connector"), out),
            Self::Of(field) => match field.kind() {
                Kind::Text | Kind::LongText => text(row.text(field)?, out),
                Kind::Enum => {
                    out.extend_from_slice(enum_value(field, row.text(field)?)?.as_bytes());
                    Ok(())
                }
                Kind::Time => {
                    let time = row.integer(field)?.map(|at| Timestamp(at).to_string());
                    text(time.as_deref(), out)
                }
                Kind::Json => {
                    out.extend_from_slice(row.text(field)?.unwrap_or("null").as_bytes());
                    Ok(())
                }
                Kind::Integer => json(&row.integer(field)?, out),
                Kind::Owner => {
                    let sees = viewer.decide(Action::SeeOwner(row.ownership()?)).is_ok();
                    text(row.text(field)?.filter(|_| sees), out)
                }
                Kind::Connector => Err(Error::internal("a connector is no leaf")),
            },
            Self::Can(right) => json(&viewer.decide(right.on(row.ownership()?)).is_ok(), out),
            Self::CannotReasons(right) => {
                let reasons = reasons(viewer.decide(right.on(row.ownership()?)));
                let names = reasons.into_iter().map(name);
                json(&names.collect::<Vec<_>>(), out)
            }
        }
    }
}

/// The stored words of each enum field, with their values as JSON.
static ENUM_VALUES: LazyLock<Vec<Vec<(String, String)>>> = LazyLock::new(|| {
    let values = |field: &Field| {
        let words = field.words().into_iter();
        words.map(|word| {
            let value = format!("\"{}\"", word.to_ascii_uppercase());
            (word, value)
        })
    };
    let fields = Field::ALL.iter();
    fields.map(|field| values(field).collect()).collect()
});

/// Returns the value of a stored word. A newer version of the service may store unknown words.
fn enum_value(field: Field, stored: Option<&str>) -> Result<&'static str> {
    let Some(stored) = stored else {
        return Ok("null");
    };
    let values = ENUM_VALUES.get(field as usize).into_iter().flatten();
    let mut values = values.filter(|(word, _)| word == stored);
    let value = values.next().map(|(_, value)| value.as_str());
    value.ok_or_else(|| {
        let name = field.graphql_name();
        Error::internal(format!("unknown value of {name} in the database: {stored}"))
    })
}

pub(super) fn text(text: Option<&str>, out: &mut Vec<u8>) -> Result<()> {
    json(&text, out)
}

pub(super) fn json(value: &impl serde::Serialize, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, value).map_err(Error::internal)
}

/// The key of the field that stands in an object whose fields are all skipped. No document and no response has it.
pub(crate) const PLACEHOLDER: &str = "";

/// A field of a selection set, with all fragments written out.
pub(crate) trait SelectedField: Copy {
    /// The key of its value in the response.
    fn key(&self) -> &str;
    fn name(&self) -> &str;
    /// The selections of its value.
    fn below(&self) -> impl Iterator<Item = Self>;
}

impl SelectedField for SelectionField<'_> {
    fn key(&self) -> &str {
        self.alias().unwrap_or(SelectionField::name(self))
    }

    fn name(&self) -> &str {
        SelectionField::name(self)
    }

    fn below(&self) -> impl Iterator<Item = Self> {
        let fields = self.selection_set();
        fields.filter(|field| field.alias() != Some(PLACEHOLDER))
    }
}

/// A value for each field of a selection, with the field's key as JSON text.
pub(super) type Keyed<T> = Vec<(String, T)>;

/// Writes a connector as a JSON object. All its fields are leaves of the row, in the order of the selection.
#[derive(Debug)]
pub(in crate::graphql) struct RowWriter {
    leaves: Keyed<Leaf>,
    /// The fields to select of the row.
    fields: Vec<Field>,
}

impl RowWriter {
    /// Returns none if a field needs more than the row.
    pub(in crate::graphql) fn of(connector: impl SelectedField) -> Option<Arc<Self>> {
        let mut leaves = Vec::new();
        for field in connector.below() {
            add(&mut leaves, &field, Leaf::of(field.name())?);
        }
        let mut fields = Vec::new();
        for field in leaves.iter().flat_map(|(_, leaf)| leaf.fields()) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        Some(Arc::new(Self { leaves, fields }))
    }

    /// The fields to select of the row.
    pub(in crate::graphql) fn fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + heap_bytes(&self.leaves) + self.fields.capacity()
    }

    /// Writes connectors as JSON objects for a viewer.
    pub(in crate::graphql) fn for_viewer(
        self: Arc<Self>,
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
            // A long text has grown by doubling.
            if out.capacity() > 2 * TYPICAL {
                out.shrink_to_fit();
            }
            String::from_utf8(out).map(Written).map_err(Error::internal)
        }
    }
}

/// Bytes of a connector with a dozen fields.
const TYPICAL: usize = 512;

/// Bytes of an edge, without its node.
const TYPICAL_EDGE: usize = 128;

/// Adds a field, unless its key exists. A repeated key belongs to the same field.
pub(super) fn add<T>(fields: &mut Keyed<T>, field: &impl SelectedField, value: T) {
    // Names need no escapes (GraphQL, section 2.1.9).
    let key = format!("\"{}\":", field.key());
    if fields.iter().all(|(other, _)| *other != key) {
        fields.push((key, value));
    }
}

/// Returns the bytes on the heap of the keys and the values, without the bytes that a value counts itself.
pub(super) fn heap_bytes<T>(fields: &Keyed<T>) -> usize {
    let keys: usize = fields.iter().map(|(key, _)| key.capacity()).sum();
    keys + fields.capacity() * size_of::<(String, T)>()
}

/// JSON text that is copied into the response.
#[derive(Debug, Default)]
pub(in crate::graphql) struct Written(pub(super) String);

/// Writes the connectors of a page as a JSON list.
#[derive(Clone, Debug)]
pub(in crate::graphql) enum ListWriter {
    Nodes(Arc<RowWriter>),
    /// The fields of each edge, and the writer of its node.
    Edges(Keyed<EdgeField>, Arc<RowWriter>),
}

#[derive(Clone, Copy, Debug)]
pub(in crate::graphql) enum EdgeField {
    Typename,
    Cursor,
    Node,
}

impl ListWriter {
    /// Returns none if the rows are selected more than once, or by a field that needs more than the row.
    pub(in crate::graphql) fn of<S: SelectedField>(connection: S) -> Option<Self> {
        let is_of_rows = |field: &S| matches!(field.name(), "nodes" | "edges");
        let mut rows = connection.below().filter(is_of_rows);
        let (Some(rows), None) = (rows.next(), rows.next()) else {
            return None;
        };
        if rows.name() == "nodes" {
            return RowWriter::of(rows).map(Self::Nodes);
        }
        let mut fields = Vec::new();
        let mut node = None;
        for field in rows.below() {
            let kind = match field.name() {
                "__typename" => EdgeField::Typename,
                "cursor" => EdgeField::Cursor,
                "node" if node.is_none() => {
                    node = Some(RowWriter::of(field)?);
                    EdgeField::Node
                }
                _ => return None,
            };
            add(&mut fields, &field, kind);
        }
        Some(Self::Edges(fields, node?))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Nodes(node) => node.heap_bytes(),
            Self::Edges(fields, node) => heap_bytes(fields) + node.heap_bytes(),
        }
    }

    pub(in crate::graphql) fn node(&self) -> &Arc<RowWriter> {
        match self {
            Self::Nodes(node) | Self::Edges(_, node) => node,
        }
    }

    /// Writes the selected list: of nodes, or of edges with these cursors. Drops each node after it is written.
    pub(in crate::graphql) fn write(
        &self,
        nodes: Vec<Written>,
        cursor: impl Fn(usize) -> String,
        budget: &AnswerBudget,
        list: &mut String,
    ) -> Result<()> {
        let nodes_bytes: usize = nodes.iter().map(|node| node.0.len() + 1).sum();
        budget.write(nodes_bytes)?;
        let edges = match self {
            Self::Nodes(_) => 0,
            Self::Edges(..) => nodes.len() * TYPICAL_EDGE,
        };
        list.reserve(nodes_bytes + edges + "[]".len());
        list.push('[');
        for (index, node) in nodes.into_iter().enumerate() {
            if index > 0 {
                list.push(',');
            }
            let Self::Edges(fields, _) = self else {
                list.push_str(&node.0);
                continue;
            };
            let before = list.len();
            for (field_index, (key, field)) in fields.iter().enumerate() {
                list.push(if field_index == 0 { '{' } else { ',' });
                list.push_str(key);
                match field {
                    EdgeField::Typename => list.push_str("\"PersonalConnectorEdge\""),
                    // Base64 needs no escapes.
                    EdgeField::Cursor => list.extend(["\"", &cursor(index), "\""]),
                    EdgeField::Node => list.push_str(&node.0),
                }
            }
            list.push('}');
            budget.write((list.len() - before).saturating_sub(node.0.len()))?;
        }
        list.push(']');
        Ok(())
    }
}

/// A value that is written already, or that must be resolved.
pub(in crate::graphql) enum MaybeWritten<T> {
    /// Until it is resolved.
    Written(Mutex<Written>),
    Resolved(T),
}

impl<T> MaybeWritten<T> {
    pub(in crate::graphql) fn written(written: Written) -> Self {
        Self::Written(Mutex::new(written))
    }
}

impl<T: OutputType> OutputType for MaybeWritten<T> {
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
