//! Variables that were not sent.
//!
//! Invariant: an argument or input field counts as omitted if its variable was not sent and has no default (GraphQL
//! specification, sections 6.4.1 and 3.10). The library reads null inside an input object, which an update would take
//! for "clear", and ignores an argument's default.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{
        DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
    },
};
use async_graphql_value::{ConstValue, Value};

use crate::pipeline::documents::selections::chosen;

/// Omits inputs that are bound to an unsent, nullable variable of the chosen operation. Other operations and the
/// fragments that only they spread are removed too, because they may need a variable of the same name. Returns the new
/// document; none if nothing changed. Validation uses the document as it was sent.
pub(in crate::pipeline) fn leave_out(
    document: &ExecutableDocument,
    operation: Option<&str>,
    sent: &Variables,
) -> Option<ExecutableDocument> {
    let unsent: HashSet<Name> = chosen(document, operation)
        .flat_map(|operation| &operation.variable_definitions)
        .map(|definition| &definition.node)
        .filter(|definition| {
            definition.var_type.node.nullable
                && definition.default_value.is_none()
                && !sent.contains_key(&definition.name.node)
        })
        .map(|definition| definition.name.node.clone())
        .collect();
    if unsent.is_empty() {
        return None;
    }
    let mut document = document.clone();
    let mut spread = Vec::new();
    let mut leave_out_of = |operation: &mut OperationDefinition| {
        // An unused variable must not be declared.
        operation
            .variable_definitions
            .retain(|definition| !unsent.contains(&definition.node.name.node));
        leave_out_of_set(&mut operation.selection_set, &unsent, &mut spread);
    };
    match &mut document.operations {
        DocumentOperations::Single(operation) => leave_out_of(&mut operation.node),
        DocumentOperations::Multiple(operations) => {
            operations.retain(|name, _| operation.is_none_or(|operation| name == operation));
            for operation in operations.values_mut() {
                leave_out_of(&mut operation.node);
            }
        }
    }
    let mut fragments = std::mem::take(&mut document.fragments);
    while let Some(name) = spread.pop() {
        if let Some(mut fragment) = fragments.remove(&name) {
            leave_out_of_set(&mut fragment.node.selection_set, &unsent, &mut spread);
            document.fragments.insert(name, fragment);
        }
    }
    Some(document)
}

/// Returns the value of an argument or input field, with variables resolved; none if it counts as omitted.
pub(in crate::pipeline) fn value(given: &Value, variables: &Variables) -> Option<ConstValue> {
    match given {
        Value::Variable(name) => variables.get(name).cloned(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields =
                fields.filter_map(|(name, given)| Some((name.clone(), value(given, variables)?)));
            Some(ConstValue::Object(fields.collect()))
        }
        Value::List(items) => {
            let items = items.iter();
            // Items of a list keep their indices.
            let items = items.map(|item| value(item, variables).unwrap_or_default());
            Some(ConstValue::List(items.collect()))
        }
        given => given.clone().into_const(),
    }
}

/// Omits the unsent variables of a set, and collects the names of the fragments that it spreads.
fn leave_out_of_set(
    set: &mut Positioned<SelectionSet>,
    unsent: &HashSet<Name>,
    spread: &mut Vec<Name>,
) {
    for selection in &mut set.node.items {
        match &mut selection.node {
            Selection::Field(field) => {
                field
                    .node
                    .arguments
                    .retain_mut(|(_, value)| keep(&mut value.node, unsent));
                leave_out_of_set(&mut field.node.selection_set, unsent, spread);
            }
            Selection::InlineFragment(fragment) => {
                leave_out_of_set(&mut fragment.node.selection_set, unsent, spread);
            }
            Selection::FragmentSpread(fragment) => {
                spread.push(fragment.node.fragment_name.node.clone());
            }
        }
    }
}

/// Omits the unsent variables in a value. Returns whether the value stays.
fn keep(value: &mut Value, unsent: &HashSet<Name>) -> bool {
    match value {
        Value::Variable(name) => !unsent.contains(name),
        Value::Object(fields) => {
            fields.retain(|_, value| keep(value, unsent));
            true
        }
        Value::List(items) => {
            for item in items {
                // Items of a list keep their indices.
                if !keep(item, unsent) {
                    *item = Value::Null;
                }
            }
            true
        }
        _ => true,
    }
}
