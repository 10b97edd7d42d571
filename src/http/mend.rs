//! Variables that were not sent.
//!
//! Invariant: an argument or input field whose variable was not sent and has no default counts as left out
//! (GraphQL specification, sections 6.4.1 and 3.10). The library reads it as null inside an input object, which an update
//! would take for "clear", and passes by an argument's default.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};
use async_graphql_value::Value;

use super::gate::chosen;

/// Leaves out what is bound to a variable that the operation declares, that was not sent, and that may be null.
pub(super) fn unsent_variables(
    document: &mut ExecutableDocument,
    operation: Option<&str>,
    sent: &Variables,
) {
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
        return;
    }
    let mend = |operation: &mut OperationDefinition| {
        // What is no longer used must not be declared.
        operation
            .variable_definitions
            .retain(|definition| !unsent.contains(&definition.node.name.node));
        mend_selections(&mut operation.selection_set, &unsent);
    };
    match &mut document.operations {
        async_graphql::parser::types::DocumentOperations::Single(operation) => {
            mend(&mut operation.node);
        }
        async_graphql::parser::types::DocumentOperations::Multiple(operations) => {
            operations
                .values_mut()
                .map(|operation| &mut operation.node)
                .for_each(mend);
        }
    }
    for fragment in document.fragments.values_mut() {
        mend_selections(&mut fragment.node.selection_set, &unsent);
    }
}

fn mend_selections(set: &mut Positioned<SelectionSet>, unsent: &HashSet<Name>) {
    for selection in &mut set.node.items {
        match &mut selection.node {
            Selection::Field(field) => {
                field
                    .node
                    .arguments
                    .retain_mut(|(_, value)| keep(&mut value.node, unsent));
                mend_selections(&mut field.node.selection_set, unsent);
            }
            Selection::InlineFragment(fragment) => {
                mend_selections(&mut fragment.node.selection_set, unsent);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// Whether a value stays; what is in it is mended.
fn keep(value: &mut Value, unsent: &HashSet<Name>) -> bool {
    match value {
        Value::Variable(name) => !unsent.contains(name),
        Value::Object(fields) => {
            fields.retain(|_, value| keep(value, unsent));
            true
        }
        Value::List(items) => {
            for item in items {
                // A list's items keep their places.
                if !keep(item, unsent) {
                    *item = Value::Null;
                }
            }
            true
        }
        _ => true,
    }
}
