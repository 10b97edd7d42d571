//! Fields of one key that cannot be merged (GraphQL, section 5.3.2).
//!
//! Invariant: once a document has passed here, the library finds none. It would tell of every pair, in every selection set
//! around it, and once for every argument: a document of ten thousand tokens made gigabytes of errors.

use std::{
    collections::{HashMap, HashSet},
    iter,
};

use async_graphql::{
    Name, Positioned, ServerError,
    parser::types::{ExecutableDocument, Field},
};

use crate::pipeline::documents::selections::{collect_fields, roots, selections_in, set_of};

/// Refuses a document with two fields of one key that are not the same field with the same arguments. Returns whether there
/// are two whose selections are merged.
pub fn overlapping_fields(document: &ExecutableDocument) -> Result<bool, ServerError> {
    let sets = roots(document).flat_map(|(on, set)| {
        let below = selections_in(on, set).filter_map(|(_, selection)| set_of(selection));
        iter::once(set).chain(below)
    });
    let mut merges = false;
    for set in sets.filter(|set| !set.items.is_empty()) {
        let mut fields = Merged::default();
        // Grouped as the library does: by the condition of the innermost fragment, `None` for one without. A field that is
        // in another group here gets the library's errors, of which there are too many.
        for (on, field) in collect_fields(document, [(None, set)], |_, on| on, |_| true) {
            fields.add(on, field)?;
        }
        merges |= fields.merges;
    }
    Ok(merges)
}

/// The fields of a selection set, with its fragments written out.
#[derive(Default)]
struct Merged<'a> {
    /// The first field of each key, by the type that the innermost fragment is on.
    fields: HashMap<(Option<&'a Name>, &'a Name), &'a Field>,
    /// The keys of fields that select something, of any type.
    selecting: HashSet<&'a Name>,
    merges: bool,
}

impl<'a> Merged<'a> {
    fn add(
        &mut self,
        on: Option<&'a Name>,
        field: &'a Positioned<Field>,
    ) -> Result<(), ServerError> {
        let key = &field.node.response_key().node;
        let selects = !field.node.selection_set.node.items.is_empty();
        self.merges |= selects && !self.selecting.insert(key);
        let first = *self.fields.entry((on, key)).or_insert(&field.node);
        let same_arguments = first.arguments.len() == field.node.arguments.len()
            && (first.arguments.iter()).all(|(name, value)| {
                let other = field.node.get_argument(&name.node);
                other.is_some_and(|other| other.node == value.node)
            });
        if first.name.node == field.node.name.node && same_arguments {
            return Ok(());
        }
        let message =
            format!("two fields of the key {key:.100} differ: give one of them another alias");
        Err(ServerError::new(message, Some(field.pos)))
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Request, parser::parse_query};
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use crate::graphql;

    use super::*;

    #[test]
    fn finds_fields_that_cannot_be_merged() {
        for (document, is_found) in [
            ("{ a a a(b: 1) }", true),
            ("{ a: b a: c }", true),
            ("{ a: b b }", false),
            ("{ a(b: 1, c: [$x]) a(c: [$x], b: 1) }", false),
            ("{ a(b: 1) a(b: 2) }", true),
            ("{ a(b: 1) a(c: 1) }", true),
            ("{ a ... { a(b: 1) } }", true),
            ("{ ... on A { a } ... on B { a(b: 1) } }", false),
            ("{ ... on A { a ... on B { b } ... on B { b: c } } }", true),
            ("{ a ... on A { ... { a: b } } }", true),
            ("{ ... on A { a ... { a: b } } }", true),
            ("{ ... on A { a } ...F } fragment F on A { a: b }", true),
            (
                "{ ...F ...F ...X } fragment F on A { a ...G } fragment G on A { a ...F }",
                false,
            ),
            ("{ x { y { a a: b } } }", true),
            ("{ x { a } y { a: b } }", false),
            ("{ x } fragment F on A { a a: b }", true),
            ("query A { a } query B { a: b }", false),
        ] {
            let document = parse_query(document).unwrap();
            assert_eq!(
                overlapping_fields(&document).is_err(),
                is_found,
                "{document:?}"
            );
        }
    }

    #[test]
    fn tells_of_selections_that_are_merged() {
        for (document, merges) in [
            ("{ a a b: a }", false),
            ("{ a { x } b: a { x } }", false),
            ("{ a { x } a { y } }", true),
            ("{ a { b { x } b { y } } }", true),
            ("{ a { b { x } } c { b { y } } }", false),
            ("{ a { x } ... on A { a { y } } }", true),
            ("{ a { x } ...F } fragment F on A { a { y } }", true),
            ("{ ...F ...F } fragment F on A { a { y } }", false),
            ("query A { a { x } } query B { a { y } }", false),
        ] {
            let document = parse_query(document).unwrap();
            assert_eq!(
                overlapping_fields(&document).unwrap(),
                merges,
                "{document:?}"
            );
        }
    }

    /// Selections of the viewer, which fields of few names make overlap.
    fn selections() -> impl Strategy<Value = String> {
        let field = ("[ab]: ", prop_oneof![Just("userId"), Just("scopes")]);
        let field = field.prop_map(|(alias, name)| format!("{alias}{name} "));
        let leaf = prop_oneof![field, Just("...F ".to_owned()), Just("...G ".to_owned())];
        let nested = leaf.prop_recursive(4, 16, 4, |inner| {
            let on = prop_oneof![Just(""), Just("on Viewer ")];
            let inner = prop::collection::vec(inner, 1..4);
            (on, inner).prop_map(|(on, inner)| format!("... {on}{{ {} }} ", inner.concat()))
        });
        prop::collection::vec(nested, 1..4).prop_map(|selections| selections.concat())
    }

    proptest! {
        #[test]
        fn the_library_finds_no_more(query in selections(), fragment in selections()) {
            let fragment = fragment.replace("...F ", "b: userId ").replace("...G ", "a: userId ");
            let text = format!(
                "{{ viewer {{ {query} ...F ...G }} viewer {{ {query} }} }}
                 fragment F on Viewer {{ a: userId {fragment} }} fragment G on Viewer {{ b: userId }}"
            );
            let document = parse_query(&text).unwrap();
            if overlapping_fields(&document).is_ok() {
                let mut request = Request::new(String::new());
                request.set_parsed_query(document);
                let answer = graphql::validator(true).execute(request).now_or_never().unwrap();
                prop_assert_eq!(answer.errors, [], "{}", text);
            }
        }
    }
}
