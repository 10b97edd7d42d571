//! Objects of which everything may be skipped.
//!
//! Invariant: an object whose every field is skipped is `{}` (GraphQL, section 6.4.4), and null stands for what is not there. The
//! library gives null for both. A selection that may come to nothing is executed with a field more, whose key no document can have;
//! [`complete`](crate::pipeline::complete) leaves it out.

use async_graphql::{
    Name, Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
};

use crate::graphql::PLACEHOLDER;

use crate::pipeline::documents::selections::directives;

/// Adds the placeholder where all may be skipped, except to the root, whose object is always there.
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
