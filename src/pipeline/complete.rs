//! Completing an answer as the specification has it.
//!
//! Invariant: keys stand in the order of the selection (GraphQL, section 7.2.2); where a field failed stands null, and where
//! it must not be null, null goes up to the nearest parent that may be (section 6.4.4).
//!
//! The library, since its version 7.1, leaves out the key of a field that failed, and orders keys by which was ready first.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use async_graphql::{
    Name, PathSegment, Response, Value, Variables,
    indexmap::IndexMap,
    parser::{
        parse_schema,
        types::{
            BaseType, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
            SelectionSet, Type, TypeKind, TypeSystemDefinition,
        },
    },
};
use async_graphql_value::Value as Given;

use crate::{domain::fields::RAW_JSON_MARKER, graphql::sdl};

/// The types of the fields of every object and interface, by name.
static FIELDS: LazyLock<HashMap<Name, HashMap<Name, Type>>> = LazyLock::new(|| {
    let definitions = parse_schema(sdl()).map_or_else(|_| Vec::new(), |schema| schema.definitions);
    let fields = |definition| {
        let TypeSystemDefinition::Type(definition) = definition else {
            return None;
        };
        let definition = definition.node;
        let fields = match definition.kind {
            TypeKind::Object(object) => object.fields,
            TypeKind::Interface(interface) => interface.fields,
            _ => return None,
        };
        let types = fields
            .into_iter()
            .map(|field| (field.node.name.node, field.node.ty.node));
        Some((definition.name.node, types.collect()))
    };
    definitions.into_iter().filter_map(fields).collect()
});

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
pub fn complete(
    response: &mut Response,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) {
    let root = Name::new(match operation.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    });
    let completion = Completion {
        document,
        variables,
        failures: response
            .errors
            .iter()
            .map(|error| error.path.as_slice())
            .collect(),
    };
    let selections = vec![(&root, &operation.selection_set.node)];
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
        let mut keys = IndexMap::new();
        self.collect(selections, &mut keys, &mut HashSet::new());
        let mut completed = IndexMap::with_capacity(values.len());
        for (name, key) in keys {
            path.push(PathSegment::Field(name.to_string()));
            let present = values.swap_remove(name);
            let failed = present.is_none() && self.failures.contains(&path.as_slice());
            // What is neither there nor failed was skipped.
            let value = (present.is_some() || failed).then(|| {
                let r#type = FIELDS
                    .get(key.parent)
                    .and_then(|fields| fields.get(&key.field.name.node));
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
        let directives = match selection {
            Selection::Field(field) => &field.node.directives,
            Selection::InlineFragment(fragment) => &fragment.node.directives,
            Selection::FragmentSpread(spread) => &spread.node.directives,
        };
        directives.iter().all(|directive| {
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

    /// `CollectFields` (section 6.3.2). Type conditions are not looked at: a key of another type's has no value here.
    fn collect(
        &self,
        selections: Selections<'a>,
        keys: &mut IndexMap<&'a Name, Key<'a>>,
        visited: &mut HashSet<&'a Name>,
    ) {
        for (parent, set) in selections {
            let included = set.items.iter().map(|selection| &selection.node);
            for selection in included.filter(|selection| self.includes(selection)) {
                match selection {
                    Selection::Field(field) => {
                        let field = &field.node;
                        let key = keys
                            .entry(&field.response_key().node)
                            .or_insert_with(|| Key {
                                parent,
                                field,
                                selections: Vec::new(),
                            });
                        if !field.selection_set.node.items.is_empty() {
                            let r#type = type_of(parent, field);
                            key.selections
                                .extend(r#type.map(|r#type| (r#type, &field.selection_set.node)));
                        }
                    }
                    Selection::InlineFragment(fragment) => {
                        let fragment = &fragment.node;
                        let parent = fragment
                            .type_condition
                            .as_ref()
                            .map_or(parent, |condition| &condition.node.on.node);
                        self.collect(vec![(parent, &fragment.selection_set.node)], keys, visited);
                    }
                    Selection::FragmentSpread(spread) => {
                        let name = &spread.node.fragment_name.node;
                        if let Some(fragment) = self
                            .document
                            .fragments
                            .get(name)
                            .filter(|_| visited.insert(name))
                        {
                            let fragment = &fragment.node;
                            let parent = &fragment.type_condition.node.on.node;
                            self.collect(
                                vec![(parent, &fragment.selection_set.node)],
                                keys,
                                visited,
                            );
                        }
                    }
                }
            }
        }
    }
}

fn type_of(parent: &Name, field: &Field) -> Option<&'static Name> {
    fn named(r#type: &Type) -> &Name {
        match &r#type.base {
            BaseType::Named(name) => name,
            BaseType::List(r#type) => named(r#type),
        }
    }
    FIELDS.get(parent)?.get(&field.name.node).map(named)
}
