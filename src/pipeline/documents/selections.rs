//! Iterates over the selections of a document, without recursion.

use std::{collections::HashSet, slice};

use async_graphql::{
    Name, Positioned,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
    },
};

use crate::pipeline::schema_types::{field_of, innermost, root_of};

/// A selection with its parent type; none below an unknown field.
pub(in crate::pipeline) type TypedSelection<'a> = (Option<&'a Name>, &'a Selection);

/// Returns the operation with a name, or all operations without a name.
pub(in crate::pipeline) fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&'a str>,
) -> impl Iterator<Item = &'a OperationDefinition> {
    let operations = document.operations.iter();
    operations
        .filter(move |(operation, _)| name.is_none() || operation.map(Name::as_str) == name)
        .map(|(_, operation)| &operation.node)
}

/// Returns the selection sets of operations and fragments, with their parent types.
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

/// Returns every selection of a document, in the order of [`selections_in`]. A fragment is visited at its definition.
pub(in crate::pipeline) fn selections(
    document: &ExecutableDocument,
) -> impl Iterator<Item = TypedSelection<'_>> {
    roots(document).flat_map(|(on, set)| selections_in(on, set))
}

/// Returns the selections of a set and of its nested sets, parents first. Fragment spreads are not followed.
pub(in crate::pipeline) fn selections_in<'a>(
    on: &'a Name,
    set: &'a SelectionSet,
) -> impl Iterator<Item = TypedSelection<'a>> {
    Below {
        sets: vec![(Some(on), set.items.iter())],
    }
}

/// Returns the selection set of a field or inline fragment.
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

/// Returns the names of the fragments that a set and its nested sets spread.
pub(in crate::pipeline) fn spreads(set: &SelectionSet) -> impl Iterator<Item = &Name> {
    let below = Below {
        sets: vec![(None, set.items.iter())],
    };
    below.filter_map(|(_, selection)| match selection {
        Selection::FragmentSpread(spread) => Some(&spread.node.fragment_name.node),
        _ => None,
    })
}

/// Returns the type of a field's value, without its lists.
pub(in crate::pipeline) fn type_below(
    parent: Option<&Name>,
    field: &Field,
) -> Option<&'static Name> {
    let definition = field_of(parent?, &field.name.node)?;
    Some(innermost(&definition.ty.node.base))
}

struct Below<'a> {
    /// The sets being visited, outermost first, with their remaining selections.
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

/// Collects the fields of selection sets with fragments expanded, each fragment once. It is `CollectFields` (GraphQL,
/// section 6.3.2) without type conditions.
///
/// Each set has a value, which its fields inherit; `enter` maps it for a fragment's type condition. `included` is
/// called for each selection, in order.
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
