//! The one root field of a subscription (GraphQL, section 5.2.4.1).
//!
//! Fragments may bring the field, in parts. The library takes fields alone, and each for a subscription of its own.

use std::collections::HashMap;

use async_graphql::{
    Positioned, ServerError,
    parser::types::{DocumentOperations, ExecutableDocument, Selection},
};

use super::documents::selections::{collect_fields, directives, spreads};

/// Replaces the selection of a subscription with its one root field.
pub(super) fn one_root_field(
    document: &mut ExecutableDocument,
    name: Option<&str>,
) -> Result<(), ServerError> {
    if let DocumentOperations::Multiple(operations) = &mut document.operations {
        operations.retain(|own, _| name.is_none_or(|name| own == name));
    }
    let Some((_, operation)) = document.operations.iter().next() else {
        return Ok(());
    };
    let set = &operation.node.selection_set;
    let refuse = |pos| ServerError::new("a subscription must have one root field", Some(pos));
    let mut directive = None;
    let included = |selection: &Selection| {
        if let Some(first) = directives(selection).first() {
            directive.get_or_insert(first.pos);
        }
        true
    };
    let fields = collect_fields(document, [((), &set.node)], |(), _| (), included);
    let fields: Vec<_> = fields.map(|((), field)| field.clone()).collect();
    if let Some(pos) = directive {
        let message = "a subscription's root field must not be skipped or included";
        return Err(ServerError::new(message, Some(pos)));
    }
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

    // A fragment that nothing spreads must not be there.
    let mut spread: Vec<_> = spreads(&root.node.selection_set.node).cloned().collect();
    let mut kept = HashMap::new();
    while let Some(name) = spread.pop() {
        if let Some(fragment) = document.fragments.remove(&name) {
            spread.extend(spreads(&fragment.node.selection_set.node).cloned());
            kept.insert(name, fragment);
        }
    }
    document.fragments = kept;
    let operation = match &mut document.operations {
        DocumentOperations::Single(operation) => Some(operation),
        DocumentOperations::Multiple(operations) => operations.values_mut().next(),
    };
    if let Some(operation) = operation {
        let pos = root.pos;
        let items = vec![Positioned::new(Selection::Field(root), pos)];
        operation.node.selection_set.node.items = items;
    }
    Ok(())
}
