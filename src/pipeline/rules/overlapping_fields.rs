//! Fields of one key that cannot be merged (GraphQL, section 5.3.2).
//!
//! Invariant: once a document has passed here, the library finds none. It would tell of every pair, in every selection set
//! around it, and once for every argument: a document of ten thousand tokens made gigabytes of errors.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, ServerError,
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet},
};

/// Refuses a document with two fields of one key that are not the same field with the same arguments. Gives whether there are
/// two whose selections are merged.
pub fn conflicts(document: &ExecutableDocument) -> Result<bool, ServerError> {
    let operations = document.operations.iter();
    let operations = operations.map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values();
    let fragments = fragments.map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).try_fold(false, |merges, set| {
        Ok(selections(document, set)? || merges)
    })
}

/// Looks at a selection set as a whole, and at each one in it. A fragment is looked into where it is defined.
fn selections(document: &ExecutableDocument, set: &SelectionSet) -> Result<bool, ServerError> {
    let mut merged = Merged {
        document,
        fields: HashMap::new(),
        selecting: HashSet::new(),
        spread: HashSet::new(),
        merges: false,
    };
    merged.merge(None, set)?;
    set.items.iter().try_fold(merged.merges, |merges, item| {
        let inner = match &item.node {
            Selection::Field(field) => selections(document, &field.node.selection_set.node)?,
            Selection::InlineFragment(inline) => {
                selections(document, &inline.node.selection_set.node)?
            }
            Selection::FragmentSpread(_) => false,
        };
        Ok(inner || merges)
    })
}

/// A selection set, with its fragments written out.
struct Merged<'a> {
    document: &'a ExecutableDocument,
    /// The first field of each key, by the type that the innermost fragment is on: objects of two types are never merged.
    fields: HashMap<(Option<&'a Name>, &'a Name), &'a Field>,
    /// The keys of fields that select something, of whichever type.
    selecting: HashSet<&'a Name>,
    spread: HashSet<&'a Name>,
    merges: bool,
}

impl<'a> Merged<'a> {
    fn merge(&mut self, on: Option<&'a Name>, set: &'a SelectionSet) -> Result<(), ServerError> {
        set.items.iter().try_for_each(|item| match &item.node {
            Selection::Field(field) => self.add(on, field),
            Selection::InlineFragment(inline) => {
                let condition = inline.node.type_condition.as_ref();
                let on = condition.map(|condition| &condition.node.on.node);
                self.merge(on, &inline.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                match self.document.fragments.get(name) {
                    Some(fragment) if self.spread.insert(name) => {
                        let on = &fragment.node.type_condition.node.on.node;
                        self.merge(Some(on), &fragment.node.selection_set.node)
                    }
                    _ => Ok(()),
                }
            }
        })
    }

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
    use async_graphql::parser::parse_query;

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
            assert_eq!(conflicts(&document).is_err(), is_found, "{document:?}");
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
            assert_eq!(conflicts(&document).unwrap(), merges, "{document:?}");
        }
    }
}
