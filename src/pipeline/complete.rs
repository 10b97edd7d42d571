//! Completes a response as the specification demands.
//!
//! Invariant: keys have the order of the selection (GraphQL, section 7.2.2). A failed field is null, and a null that is
//! not allowed propagates to the nearest nullable parent (section 6.4.4).
//!
//! Since version 7.1, the library omits the key of a failed field, and orders keys by completion.

use std::collections::HashMap;

use async_graphql::{
    Name, PathSegment, Response, Value, Variables,
    indexmap::IndexMap,
    parser::types::{
        BaseType, ExecutableDocument, OperationDefinition, Selection, SelectionSet, Type,
    },
};
use async_graphql_value::Value as Given;

use crate::{domain::field_values::RAW_JSON_MARKER, graphql::PLACEHOLDER};

use super::{
    documents::selections::{collect_fields, directives, type_below},
    schema_types::{field_of, root_of},
};

/// The ordered keys of an operation's response, with their types. It is built once for all objects and responses, and
/// keeps only names of the document.
#[derive(Debug)]
pub(super) struct Shape {
    keys: Vec<Key>,
}

/// A key of an object. It has no value in objects of other types.
#[derive(Debug)]
struct Key {
    name: Name,
    /// The type; none for `__typename` and introspection.
    r#type: Option<&'static Type>,
    /// The keys of the value, if it has selections.
    below: Option<Shape>,
}

impl Shape {
    /// Builds the shape of an operation's responses, with its variables and their defaults.
    pub(super) fn of(
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Self {
        let builder = ShapeBuilder {
            document,
            variables,
        };
        let root = root_of(operation.ty);
        builder.shape(vec![(root, &operation.selection_set.node)])
    }

    /// Completes a response of the operation, after its execution began.
    pub(super) fn complete(&self, response: &mut Response) {
        let failures = Failures::of(response.errors.iter().map(|error| error.path.as_slice()));
        let data = std::mem::take(&mut response.data);
        response.data = self.object(data, Some(&failures)).unwrap_or_default();
    }

    /// Completes an object; none if null has to propagate.
    fn object(&self, value: Value, failures: Option<&Failures<'_>>) -> Option<Value> {
        // An object arrives as null if all of its fields failed.
        let mut values = match value {
            Value::Object(values) => values,
            _ => IndexMap::new(),
        };
        let mut completed = IndexMap::with_capacity(values.len());
        for key in &self.keys {
            let present = values.swap_remove(&key.name);
            let failures = failures.and_then(|at| at.below(Step::Field(&key.name)));
            let failed = failures.is_some_and(|at| at.failed);
            // A field without a value and without an error was skipped.
            if present.is_some() || failed {
                completed.insert(key.name.clone(), key.value(present, failures)?);
            }
        }
        Some(Value::Object(completed))
    }
}

impl Key {
    /// Completes a value; none if null has to propagate.
    fn value(&self, present: Option<Value>, failures: Option<&Failures<'_>>) -> Option<Value> {
        let Some(r#type) = self.r#type else {
            return Some(without_placeholders(present.unwrap_or_default()));
        };
        let value = present.and_then(|value| self.of_type(value, r#type, failures));
        or_null(value, r#type)
    }

    fn of_type(
        &self,
        value: Value,
        r#type: &Type,
        failures: Option<&Failures<'_>>,
    ) -> Option<Value> {
        match (&r#type.base, value) {
            (BaseType::List(r#type), Value::List(items)) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    let failures = failures.and_then(|at| at.below(Step::Index(index)));
                    or_null(self.of_type(item, r#type, failures), r#type)
                });
                items.collect::<Option<_>>().map(Value::List)
            }
            (_, Value::Null) if failures.is_none() => None,
            // Raw text is already complete.
            (_, Value::Object(written)) if written.contains_key(RAW_JSON_MARKER) => {
                Some(Value::Object(written))
            }
            (BaseType::Named(_), value) if let Some(below) = &self.below => {
                below.object(value, failures)
            }
            (_, Value::Null) => None,
            (_, value) => Some(value),
        }
    }
}

/// Removes the placeholders of an introspection value, whose keys are not collected.
fn without_placeholders(value: Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            fields.shift_remove(PLACEHOLDER);
            let fields = fields.into_iter();
            let fields = fields.map(|(name, value)| (name, without_placeholders(value)));
            Value::Object(fields.collect())
        }
        Value::List(items) => Value::List(items.into_iter().map(without_placeholders).collect()),
        value => value,
    }
}

/// Returns null for a missing value, if the type is nullable.
fn or_null(value: Option<Value>, r#type: &Type) -> Option<Value> {
    match value {
        None if !r#type.nullable => None,
        value => Some(value.unwrap_or_default()),
    }
}

/// The response positions of failed fields, as a tree of path segments.
#[derive(Debug, Default)]
struct Failures<'a> {
    failed: bool,
    below: HashMap<Step<'a>, Failures<'a>>,
}

/// A path segment, because the library's has no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Failures<'a> {
    fn of(paths: impl Iterator<Item = &'a [PathSegment]>) -> Self {
        let mut failures = Self::default();
        for path in paths {
            let position = path.iter().fold(&mut failures, |at, segment| {
                let step = match segment {
                    PathSegment::Field(name) => Step::Field(name),
                    PathSegment::Index(index) => Step::Index(*index),
                };
                at.below.entry(step).or_default()
            });
            position.failed = true;
        }
        failures
    }

    fn below(&self, step: Step<'a>) -> Option<&Self> {
        self.below.get(&step)
    }
}

/// Selection sets of a value, each with its parent type.
type Selections<'a> = Vec<(&'a Name, &'a SelectionSet)>;

/// Builds the shapes of an operation, with the variables of its conditions.
struct ShapeBuilder<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
}

impl<'a> ShapeBuilder<'a> {
    fn shape(&self, selections: Selections<'a>) -> Shape {
        let mut keys = IndexMap::new();
        let included = |selection: &Selection| self.includes(selection);
        let fields = collect_fields(
            self.document,
            selections,
            |of, on| on.unwrap_or(of),
            included,
        );
        for (parent, field) in fields {
            let field = &field.node;
            let (_, selections) = keys
                .entry(&field.response_key().node)
                .or_insert_with(|| (field_of(parent, &field.name.node), Selections::new()));
            let set = &field.selection_set.node;
            if let Some(r#type) = type_below(Some(parent), field)
                && !set.items.is_empty()
            {
                selections.push((r#type, set));
            }
        }
        let keys = keys.into_iter().map(|(name, (field, selections))| Key {
            name: name.clone(),
            r#type: field.map(|field| &field.ty.node),
            below: (!selections.is_empty()).then(|| self.shape(selections)),
        });
        Shape {
            keys: keys.collect(),
        }
    }

    /// Evaluates `@skip` and `@include` (section 3.13).
    fn includes(&self, selection: &Selection) -> bool {
        directives(selection).iter().all(|directive| {
            let skips = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return true,
            };
            let condition = match directive.node.get_argument("if").map(|value| &value.node) {
                Some(Given::Variable(name)) => self.variables.get(name),
                Some(Given::Boolean(condition)) => return *condition != skips,
                _ => None,
            };
            condition != Some(&Value::Boolean(skips))
        })
    }
}
