//! The selections of a document, one by one, without recursion.

use std::{collections::HashSet, slice};

use async_graphql::{
    Name, Positioned,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
    },
};

use crate::pipeline::schema_types::{field_of, innermost, root_of};

/// A selection, with the type that it selects of; `None` below a field that the schema does not have.
pub(in crate::pipeline) type TypedSelection<'a> = (Option<&'a Name>, &'a Selection);

/// The operations that a name chooses: the one of that name, and without a name all.
pub(in crate::pipeline) fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&'a str>,
) -> impl Iterator<Item = &'a OperationDefinition> {
    let operations = document.operations.iter();
    operations
        .filter(move |(operation, _)| name.is_none() || operation.map(Name::as_str) == name)
        .map(|(_, operation)| &operation.node)
}

/// The selection sets of the operations and fragments, with the types that they select of.
pub(in crate::pipeline) fn roots(
    document: &ExecutableDocument,
) -> impl Iterator<Item = (&Name, &SelectionSet)> {
    let operations = document.operations.iter().map(|(_, operation)| {
        let operation = &operation.node;
        (root_of(operation.ty), &operation.selection_set.node)
    });
    let fragments = document.fragments.values().map(|fragment| {
        let fragment = &fragment.node;
        let on = &fragment.type_condition.node.on.node;
        (on, &fragment.selection_set.node)
    });
    operations.chain(fragments)
}

/// Every selection of a document, in the order of [`selections_in`]. A fragment is visited where it is defined.
pub(in crate::pipeline) fn selections(
    document: &ExecutableDocument,
) -> impl Iterator<Item = TypedSelection<'_>> {
    roots(document).flat_map(|(on, set)| selections_in(on, set))
}

/// The selections of a set and of all sets in it, each before those in it. Fragments are not followed.
pub(in crate::pipeline) fn selections_in<'a>(
    on: &'a Name,
    set: &'a SelectionSet,
) -> impl Iterator<Item = TypedSelection<'a>> {
    Below {
        sets: vec![(Some(on), set.items.iter())],
    }
}

/// The selection set of a selection that has one of its own.
pub(in crate::pipeline) fn set_of(selection: &Selection) -> Option<&SelectionSet> {
    match selection {
        Selection::Field(field) => Some(&field.node.selection_set.node),
        Selection::InlineFragment(fragment) => Some(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => None,
    }
}

pub(in crate::pipeline) fn directives(selection: &Selection) -> &[Positioned<Directive>] {
    match selection {
        Selection::Field(field) => &field.node.directives,
        Selection::InlineFragment(fragment) => &fragment.node.directives,
        Selection::FragmentSpread(spread) => &spread.node.directives,
    }
}

/// The names of the fragments that a set spreads, and the sets in it.
pub(in crate::pipeline) fn spreads(set: &SelectionSet) -> impl Iterator<Item = &Name> {
    let below = Below {
        sets: vec![(None, set.items.iter())],
    };
    below.filter_map(|(_, selection)| match selection {
        Selection::FragmentSpread(spread) => Some(&spread.node.fragment_name.node),
        _ => None,
    })
}

/// The type of a field's value, without its lists.
pub(in crate::pipeline) fn type_below(
    parent: Option<&Name>,
    field: &Field,
) -> Option<&'static Name> {
    let definition = field_of(parent?, &field.name.node)?;
    Some(innermost(&definition.ty.node.base))
}

struct Below<'a> {
    /// The sets that are under way, outermost first, with what is left of them.
    sets: Vec<(Option<&'a Name>, slice::Iter<'a, Positioned<Selection>>)>,
}

impl<'a> Iterator for Below<'a> {
    type Item = TypedSelection<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (on, items) = self.sets.last_mut()?;
            let Some(selection) = items.next() else {
                self.sets.pop();
                continue;
            };
            let (on, selection) = (*on, &selection.node);
            let below = match selection {
                Selection::Field(field) => type_below(on, &field.node),
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    on.map(|on| condition.map_or(on, |condition| &condition.node.on.node))
                }
                Selection::FragmentSpread(_) => None,
            };
            if let Some(set) = set_of(selection) {
                self.sets.push((below, set.items.iter()));
            }
            return Some((on, selection));
        }
    }
}

/// The fields of selection sets with their fragments written out, each fragment once: `CollectFields` (GraphQL, section
/// 6.3.2) without the conditions of types.
///
/// Each set comes with a value, which its fields get; `enter` makes the value of a fragment from its type condition.
/// `included` is asked for each selection, in order.
pub(in crate::pipeline) fn collect_fields<'a, T: Copy>(
    document: &'a ExecutableDocument,
    sets: impl IntoIterator<Item = (T, &'a SelectionSet)>,
    mut enter: impl FnMut(T, Option<&'a Name>) -> T,
    mut included: impl FnMut(&'a Selection) -> bool,
) -> impl Iterator<Item = (T, &'a Positioned<Field>)> {
    let sets = sets.into_iter().map(|(of, set)| (of, set.items.iter()));
    let mut sets: Vec<_> = sets.collect();
    sets.reverse();
    let mut spread = HashSet::new();
    std::iter::from_fn(move || {
        loop {
            let (of, items) = sets.last_mut()?;
            let Some(selection) = items.next() else {
                sets.pop();
                continue;
            };
            let (of, selection) = (*of, &selection.node);
            if !included(selection) {
                continue;
            }
            match selection {
                Selection::Field(field) => return Some((of, field)),
                Selection::InlineFragment(fragment) => {
                    let fragment = &fragment.node;
                    let condition = fragment.type_condition.as_ref();
                    let of = enter(of, condition.map(|condition| &condition.node.on.node));
                    sets.push((of, fragment.selection_set.node.items.iter()));
                }
                Selection::FragmentSpread(fragment) => {
                    let name = &fragment.node.fragment_name.node;
                    if let Some(fragment) = document.fragments.get(name)
                        && spread.insert(name)
                    {
                        let of = enter(of, Some(&fragment.node.type_condition.node.on.node));
                        sets.push((of, fragment.node.selection_set.node.items.iter()));
                    }
                }
            }
        }
    })
}
