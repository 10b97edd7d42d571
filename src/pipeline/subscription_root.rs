//! The single root field of a subscription (GraphQL, section 5.2.4.1), and the parts of its document that are kept.
//!
//! Fragments may contain the field, even in parts. The library accepts only fields, and starts a subscription for each.

use std::collections::HashMap;

use async_graphql::{
    Positioned, ServerError,
    parser::types::{
        DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
    },
};

use super::documents::selections::{collect_fields, directives, spreads};

/// Returns a document with the operation alone. A subscription has its single root field, and the fragments that are
/// spread below it. The operation has no name.
pub(super) fn one_root_field(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
) -> Result<ExecutableDocument, ServerError> {
    let set = &operation.selection_set;
    let refuse = |pos| ServerError::new("a subscription must have one root field", Some(pos));
    let mut directive = None;
    let included = |selection: &Selection| {
        if let Some(first) = directives(selection).first() {
            directive.get_or_insert(first.pos);
        }
        true
    };
    let fields = collect_fields(document, [((), &set.node)], |(), _| (), included);
    let fields: Vec<_> = fields.map(|((), field)| field).collect();
    if let Some(pos) = directive {
        let message = "a subscription's root field must not be skipped or included";
        return Err(ServerError::new(message, Some(pos)));
    }
    let mut fields = fields.into_iter();
    let mut root = fields.next().ok_or_else(|| refuse(set.pos))?.clone();
    for field in fields {
        if field.node.response_key().node != root.node.response_key().node {
            return Err(refuse(field.pos));
        }
        let more = field.node.selection_set.node.items.iter().cloned();
        root.node.selection_set.node.items.extend(more);
    }
    if root.node.name.node.starts_with("__") {
        return Err(refuse(root.pos));
    }

    // An unused fragment must not remain.
    let mut spread: Vec<_> = spreads(&root.node.selection_set.node).cloned().collect();
    let mut fragments = HashMap::new();
    while let Some(name) = spread.pop() {
        if let Some(fragment) = document.fragments.get(&name)
            && !fragments.contains_key(&name)
        {
            spread.extend(spreads(&fragment.node.selection_set.node).cloned());
            fragments.insert(name, fragment.clone());
        }
    }
    let pos = root.pos;
    let items = vec![Positioned::new(Selection::Field(root), pos)];
    let operation = OperationDefinition {
        ty: operation.ty,
        variable_definitions: operation.variable_definitions.clone(),
        directives: operation.directives.clone(),
        selection_set: Positioned::new(SelectionSet { items }, set.pos),
    };
    Ok(ExecutableDocument {
        operations: DocumentOperations::Single(Positioned::new(operation, set.pos)),
        fragments,
    })
}
