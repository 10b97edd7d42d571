//! Objects whose fields may all be skipped.
//!
//! Invariant: an object whose fields are all skipped is `{}` (GraphQL, section 6.4.4), and a missing object is null.
//! The library returns null for both. So a selection that may be empty gets a placeholder field, whose key no document
//! can have; [`complete`](crate::pipeline::complete) removes it.

use async_graphql::{
    Name, Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
};

use crate::graphql::PLACEHOLDER;

use crate::pipeline::documents::selections::directives;

/// Adds the placeholder to selections that may be empty. The root needs none, because its object always exists.
pub(in crate::pipeline) fn keep_objects(document: &mut ExecutableDocument) {
    match &mut document.operations {
        DocumentOperations::Single(operation) => below(&mut operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                below(&mut operation.node.selection_set.node);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        below(&mut fragment.node.selection_set.node);
    }
}

fn below(set: &mut SelectionSet) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => {
                let set = &mut field.node.selection_set.node;
                below(set);
                let stays = |item: &Positioned<Selection>| {
                    matches!(item.node, Selection::Field(_)) && directives(&item.node).is_empty()
                };
                if !set.items.is_empty() && !set.items.iter().any(stays) {
                    set.items.push(placeholder(field.pos));
                }
            }
            Selection::InlineFragment(fragment) => below(&mut fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn placeholder(pos: async_graphql::Pos) -> Positioned<Selection> {
    let at = |name| Positioned::new(Name::new(name), pos);
    let field = Field {
        alias: Some(at(PLACEHOLDER)),
        name: at("__typename"),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::default(),
    };
    Positioned::new(Selection::Field(Positioned::new(field, pos)), pos)
}
