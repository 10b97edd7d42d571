//! Completing an answer as the specification has it.
//!
//! Invariant: keys stand in the order of the selection (GraphQL, section 7.2.2); where a field failed stands null, and where
//! it must not be null, null goes up to the nearest parent that may be (section 6.4.4).
//!
//! The library, since its version 7.1, leaves out the key of a field that failed, and orders keys by which was ready first.

use async_graphql::{
    Name, PathSegment, Response, Value, Variables,
    indexmap::IndexMap,
    parser::types::{
        BaseType, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet, Type,
    },
};
use async_graphql_value::Value as Given;

use crate::domain::fields::RAW_JSON_MARKER;

use super::{
    documents::selections::{collect_fields, directives, type_below},
    schema_types::{field_of, root_of},
};

/// Selections of a value, each with the type that it selects of.
type Selections<'a> = Vec<(&'a Name, &'a SelectionSet)>;

/// A key of an answer: the field that it is of, with the type that has the field, and what is selected of its value.
struct Key<'a> {
    parent: &'a Name,
    field: &'a Field,
    selections: Selections<'a>,
}

struct Completion<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// Where fields failed.
    failures: Vec<&'a [PathSegment]>,
}

/// Completes the answer to an operation whose execution began, with its variables and their defaults.
pub(super) fn complete(
    response: &mut Response,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) {
    let completion = Completion {
        document,
        variables,
        failures: response
            .errors
            .iter()
            .map(|error| error.path.as_slice())
            .collect(),
    };
    let root = root_of(operation.ty);
    let selections = vec![(root, &operation.selection_set.node)];
    let data = std::mem::take(&mut response.data);
    let object = completion.object(data, selections, &mut Vec::new());
    response.data = object.unwrap_or_default();
}

impl<'a> Completion<'a> {
    /// None stands for a null that has to go up.
    fn object(
        &self,
        value: Value,
        selections: Selections<'a>,
        path: &mut Vec<PathSegment>,
    ) -> Option<Value> {
        // An object whose every field failed arrives as null.
        let mut values = match value {
            Value::Object(values) => values,
            _ => IndexMap::new(),
        };
        let keys = self.collect(selections);
        let mut completed = IndexMap::with_capacity(values.len());
        for (name, key) in keys {
            path.push(PathSegment::Field(name.to_string()));
            let present = values.swap_remove(name);
            let failed = present.is_none() && self.failures.contains(&path.as_slice());
            // What is neither there nor failed was skipped.
            let value = (present.is_some() || failed).then(|| {
                let definition = field_of(key.parent, &key.field.name.node);
                let r#type = definition.map(|definition| &definition.ty.node);
                let value = match (present, r#type) {
                    (Some(value), Some(r#type)) => self.value(value, r#type, &key.selections, path),
                    // `__typename` and introspection.
                    (present, _) => present,
                };
                match value {
                    None if r#type.is_some_and(|r#type| !r#type.nullable) => None,
                    value => Some(value.unwrap_or_default()),
                }
            });
            path.pop();
            if let Some(value) = value {
                completed.insert(name.clone(), value?);
            }
        }
        Some(Value::Object(completed))
    }

    fn value(
        &self,
        value: Value,
        r#type: &Type,
        selections: &Selections<'a>,
        path: &mut Vec<PathSegment>,
    ) -> Option<Value> {
        match (&r#type.base, value) {
            (BaseType::List(r#type), Value::List(items)) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    path.push(PathSegment::Index(index));
                    let item = self.value(item, r#type, selections, path);
                    path.pop();
                    if item.is_none() && !r#type.nullable {
                        None
                    } else {
                        Some(item.unwrap_or_default())
                    }
                });
                items.collect::<Option<_>>().map(Value::List)
            }
            (_, Value::Null)
                if !self
                    .failures
                    .iter()
                    .any(|failure| failure.starts_with(path)) =>
            {
                None
            }
            // Written as it goes out, it is complete.
            (_, Value::Object(written)) if written.contains_key(RAW_JSON_MARKER) => {
                Some(Value::Object(written))
            }
            (BaseType::Named(_), value) if !selections.is_empty() => {
                self.object(value, selections.clone(), path)
            }
            (_, Value::Null) => None,
            (_, value) => Some(value),
        }
    }

    /// What `@skip` and `@include` say (section 3.13).
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

    /// The keys of an object, in order. A key of another type's field has no value here.
    fn collect(&self, selections: Selections<'a>) -> IndexMap<&'a Name, Key<'a>> {
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
            let key = keys
                .entry(&field.response_key().node)
                .or_insert_with(|| Key {
                    parent,
                    field,
                    selections: Vec::new(),
                });
            let set = &field.selection_set.node;
            if let Some(r#type) = type_below(Some(parent), field)
                && !set.items.is_empty()
            {
                key.selections.push((r#type, set));
            }
        }
        keys
    }
}
