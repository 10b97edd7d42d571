//! Variables that were not sent, and roots of subscriptions: what the library would take for something else.
//!
//! Invariant: an argument or input field whose variable was not sent and has no default counts as left out
//! (GraphQL specification, sections 6.4.1 and 3.10). The library reads it as null inside an input object, which an update
//! would take for "clear", and passes by an argument's default.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, ServerError, Variables,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition,
        Selection, SelectionSet,
    },
};
use async_graphql_value::Value;

use super::execute::chosen;

/// Leaves out what is bound to a variable that the chosen operation declares, that was not sent, and that may be null.
/// Where there is one, the other operations go, and what only they spread: they may need a variable of the same name. Gives
/// what is left, where that is another document: what was taken out is to be validated too.
pub(crate) fn unsent_variables(
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
    let mut mend = |operation: &mut OperationDefinition| {
        // What is no longer used must not be declared.
        operation
            .variable_definitions
            .retain(|definition| !unsent.contains(&definition.node.name.node));
        mend_selections(&mut operation.selection_set, &unsent, &mut spread);
    };
    match &mut document.operations {
        DocumentOperations::Single(operation) => mend(&mut operation.node),
        DocumentOperations::Multiple(operations) => {
            operations.retain(|name, _| operation.is_none_or(|operation| name == operation));
            for operation in operations.values_mut() {
                mend(&mut operation.node);
            }
        }
    }
    let mut fragments = std::mem::take(&mut document.fragments);
    while let Some(name) = spread.pop() {
        if let Some(mut fragment) = fragments.remove(&name) {
            mend_selections(&mut fragment.node.selection_set, &unsent, &mut spread);
            document.fragments.insert(name, fragment);
        }
    }
    Some(document)
}

/// Has a subscription's selection be its one root field (GraphQL, section 5.2.4.1), which fragments may bring, in parts: the
/// library takes fields alone, and each for a subscription of its own.
pub(crate) fn one_root_field(
    document: &mut ExecutableDocument,
    name: Option<&str>,
) -> Result<(), ServerError> {
    let fragments = &document.fragments;
    if let DocumentOperations::Multiple(operations) = &mut document.operations {
        operations.retain(|own, _| name.is_none_or(|name| own == name));
    }
    let operation = match &mut document.operations {
        DocumentOperations::Single(operation) => Some(operation),
        DocumentOperations::Multiple(operations) => operations.values_mut().next(),
    };
    let Some(operation) = operation else {
        return Ok(());
    };
    let set = &mut operation.node.selection_set;
    let refuse = |pos| ServerError::new("a subscription must have one root field", Some(pos));
    let mut fields = Vec::new();
    root_fields(&set.node, fragments, &mut fields)?;
    let mut fields = fields.into_iter();
    let mut root = fields.next().ok_or_else(|| refuse(set.pos))?;
    for field in fields {
        if field.node.response_key().node != root.node.response_key().node {
            return Err(refuse(field.pos));
        }
        let more = field.node.selection_set.node.items;
        root.node.selection_set.node.items.extend(more);
    }
    if root.node.name.node.starts_with("__") {
        return Err(refuse(root.pos));
    }
    let pos = root.pos;
    set.node.items = vec![Positioned::new(Selection::Field(root), pos)];

    // A fragment that nothing spreads must not be there.
    let mut spread = Vec::new();
    spreads(&set.node, &mut spread);
    let mut kept = HashMap::new();
    while let Some(name) = spread.pop() {
        if let Some(fragment) = document.fragments.remove(&name) {
            spreads(&fragment.node.selection_set.node, &mut spread);
            kept.insert(name, fragment);
        }
    }
    document.fragments = kept;
    Ok(())
}

/// Adds the names of the fragments that a selection spreads.
fn spreads(set: &SelectionSet, names: &mut Vec<Name>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => spreads(&field.node.selection_set.node, names),
            Selection::InlineFragment(fragment) => {
                spreads(&fragment.node.selection_set.node, names);
            }
            Selection::FragmentSpread(spread) => {
                names.push(spread.node.fragment_name.node.clone());
            }
        }
    }
}

/// The walk has refused fragments that spread themselves.
fn root_fields(
    set: &SelectionSet,
    fragments: &HashMap<Name, Positioned<FragmentDefinition>>,
    fields: &mut Vec<Positioned<Field>>,
) -> Result<(), ServerError> {
    for selection in &set.items {
        let directives = match &selection.node {
            Selection::Field(field) => &field.node.directives,
            Selection::FragmentSpread(spread) => &spread.node.directives,
            Selection::InlineFragment(fragment) => &fragment.node.directives,
        };
        if let Some(directive) = directives.first() {
            let message = "a subscription's root field must not be skipped or included";
            return Err(ServerError::new(message, Some(directive.pos)));
        }
        match &selection.node {
            Selection::Field(field) => fields.push(field.clone()),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                    root_fields(&fragment.node.selection_set.node, fragments, fields)?;
                }
            }
            Selection::InlineFragment(fragment) => {
                root_fields(&fragment.node.selection_set.node, fragments, fields)?;
            }
        }
    }
    Ok(())
}

/// Adds the names of the fragments that it spreads.
fn mend_selections(
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
                mend_selections(&mut field.node.selection_set, unsent, spread);
            }
            Selection::InlineFragment(fragment) => {
                mend_selections(&mut fragment.node.selection_set, unsent, spread);
            }
            Selection::FragmentSpread(fragment) => {
                spread.push(fragment.node.fragment_name.node.clone());
            }
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
