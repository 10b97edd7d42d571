//! Field Selection Merging (GraphQL, section 5.3.2).
//!
//! Invariant: in an accepted document, fields with the same key in one object are the same field with the same
//! arguments, so the library finds no conflict. The library examines each selection set alone, and misses conflicts
//! between merged sets. It reports every pair, in every enclosing set, once for each argument: a document of ten
//! thousand tokens made gigabytes of errors.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, ServerError,
    parser::types::{BaseType, ExecutableDocument, Field, SelectionSet, Type, TypeKind},
};
use indexmap::IndexMap;

use crate::pipeline::{
    documents::selections::{collect_fields, roots, type_below},
    schema_types::{field_of, type_of},
};

/// The most fields that are compared. Sets can be merged in more combinations than there are sets.
const COMPARED: usize = 100_000;

/// Refuses a document with conflicting fields. Returns whether there are fields whose selections are merged.
pub fn overlapping_fields(document: &ExecutableDocument) -> Result<bool, ServerError> {
    let mut scopes: Vec<_> = roots(document)
        .map(|(on, set)| Scope {
            sets: vec![(Some(on), set)],
            is_of_shapes: false,
        })
        .collect();
    scopes.reverse();
    let (mut seen, mut merges, mut compared) = (HashSet::new(), false, 0);
    while let Some(scope) = scopes.pop() {
        if !seen.insert(scope.identity()) {
            continue;
        }
        let mut fields = Merged::default();
        let sets = scope.sets.iter().map(|(on, set)| ((*on, None), *set));
        // The library groups by the innermost fragment's type condition, or `None`. A field in another group here would
        // get the library's errors, of which there are too many.
        for ((parent, condition), field) in collect_fields(
            document,
            sets,
            |(parent, _), on| (on.or(parent), on),
            |_| true,
        ) {
            compared += usize::from(scope.sets.len() > 1);
            if compared > COMPARED {
                let message = format!(
                    "fields of one key are merged in more than {COMPARED} ways: give them aliases"
                );
                return Err(ServerError::new(message, Some(field.pos)));
            }
            if let Some(name) = given_twice(&field.node) {
                let message = format!("the argument {name:.100} is given twice");
                return Err(ServerError::new(message, Some(field.pos)));
            }
            let is_same = fields.add(parent, condition, field, scope.is_of_shapes);
            if !is_same {
                let key = &field.node.response_key().node;
                let message = format!(
                    "two fields of the key {key:.100} differ: give one of them another alias"
                );
                return Err(ServerError::new(message, Some(field.pos)));
            }
        }
        for same_key in fields.fields.into_values() {
            compared += same_key.ways();
            merges |= same_key.sets().nth(1).is_some();
            same_key.scopes(scope.is_of_shapes, &mut scopes);
        }
    }
    Ok(merges)
}

/// Selection sets that apply to one object.
struct Scope<'a> {
    /// The sets, with their parent types.
    sets: Vec<(Option<&'a Name>, &'a SelectionSet)>,
    /// Whether the sets belong to objects of different types, so that only the fields' shapes must agree.
    is_of_shapes: bool,
}

impl Scope<'_> {
    fn identity(&self) -> (bool, Vec<*const SelectionSet>) {
        let sets = self.sets.iter().map(|(_, set)| std::ptr::from_ref(*set));
        let mut sets: Vec<_> = sets.collect();
        sets.sort_unstable();
        sets.dedup();
        (self.is_of_shapes, sets)
    }
}

/// The fields of a scope by key, with fragments expanded.
#[derive(Default)]
struct Merged<'a> {
    fields: IndexMap<&'a Name, Fields<'a>>,
    /// The first field of each key, by the innermost fragment's type.
    by_condition: HashMap<(Option<&'a Name>, &'a Name), &'a Field>,
}

impl<'a> Merged<'a> {
    /// Adds a field. Returns whether it can be merged with the others of its key.
    fn add(
        &mut self,
        parent: Option<&'a Name>,
        condition: Option<&'a Name>,
        field: &'a Positioned<Field>,
        is_of_shapes: bool,
    ) -> bool {
        let field = &field.node;
        let key = &field.response_key().node;
        let fields = self.fields.entry(key).or_default();
        if !fields.has_shape_of(parent, field) {
            return false;
        }
        let first = *self.by_condition.entry((condition, key)).or_insert(field);
        if parent.is_some_and(|parent| type_of(parent).is_none()) {
            fields.unknown.push((parent, field));
            return is_of_shapes || is_same_field(first, field);
        }
        let is_same = is_of_shapes
            || is_same_field(first, field)
                && fields
                    .first
                    .iter()
                    .all(|(other, first)| excludes(*other, parent) || is_same_field(first, field));
        fields.add(parent, field);
        is_same
    }
}

/// The fields of one key.
#[derive(Default)]
struct Fields<'a> {
    /// The first field of each type.
    first: Vec<(Option<&'a Name>, &'a Field)>,
    /// The fields with selections.
    selecting: Vec<(Option<&'a Name>, &'a Field)>,
    /// The fields of unknown types. They are not merged with others, because a document may name very many types.
    unknown: Vec<(Option<&'a Name>, &'a Field)>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, parent: Option<&'a Name>, field: &'a Field) {
        if !self.first.iter().any(|(other, _)| *other == parent) {
            self.first.push((parent, field));
        }
        if !field.selection_set.node.items.is_empty() {
            self.selecting.push((parent, field));
        }
    }

    fn sets(&self) -> impl Iterator<Item = (Option<&'a Name>, &'a SelectionSet)> {
        self.selecting
            .iter()
            .map(|(parent, field)| (type_below(*parent, field), &field.selection_set.node))
    }

    /// Returns how many sets are compared again because types exclude each other.
    fn ways(&self) -> usize {
        (self.first.len().saturating_sub(1)).saturating_mul(self.selecting.len())
    }

    /// Implements `SameResponseShape` of the specification, without selections. Shapes of unknown fields are not
    /// compared.
    fn has_shape_of(&self, parent: Option<&Name>, field: &Field) -> bool {
        let Some((first_parent, first)) = self.first.first() else {
            return true;
        };
        match (shape(*first_parent, first), shape(parent, field)) {
            (Some(first), Some(other)) => is_same_shape(first, other),
            _ => true,
        }
    }

    /// Adds the nested scopes: one of all fields, or one for each type if types exclude each other.
    fn scopes(&self, is_of_shapes: bool, scopes: &mut Vec<Scope<'a>>) {
        let mut objects: Vec<_> = self.first.iter().map(|(parent, _)| *parent).collect();
        objects.retain(|parent| !is_abstract(*parent));
        let mut add = |sets: Vec<_>, is_of_shapes| {
            if !sets.is_empty() {
                scopes.push(Scope { sets, is_of_shapes });
            }
        };
        for (parent, field) in &self.unknown {
            let set = &field.selection_set.node;
            if !set.items.is_empty() {
                add(vec![(type_below(*parent, field), set)], is_of_shapes);
            }
        }
        if objects.len() < 2 || is_of_shapes {
            add(self.sets().collect(), is_of_shapes);
            return;
        }
        for object in objects {
            let selecting = self.selecting.iter().zip(self.sets());
            let own = selecting.filter(|((parent, _), _)| !excludes(*parent, object));
            add(own.map(|(_, set)| set).collect(), false);
        }
        add(self.sets().collect(), true);
    }
}

/// Returns the name of a repeated argument (section 5.4.2).
fn given_twice(field: &Field) -> Option<&Name> {
    let mut names = HashSet::with_capacity(field.arguments.len());
    let mut given = field.arguments.iter().map(|(name, _)| &name.node);
    given.find(|name| !names.insert(*name))
}

fn is_same_field(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && (one.arguments.iter()).all(|(name, value)| {
            let other = other.get_argument(&name.node);
            other.is_some_and(|other| other.node == value.node)
        })
}

/// Returns whether no object has both types.
fn excludes(one: Option<&Name>, other: Option<&Name>) -> bool {
    one != other && !is_abstract(one) && !is_abstract(other)
}

fn is_abstract(parent: Option<&Name>) -> bool {
    let kind = parent.and_then(type_of);
    matches!(kind, Some(TypeKind::Interface(_) | TypeKind::Union(_)))
}

fn shape(parent: Option<&Name>, field: &Field) -> Option<&'static Type> {
    let definition = field_of(parent?, &field.name.node)?;
    Some(&definition.ty.node)
}

fn is_same_shape(one: &Type, other: &Type) -> bool {
    let is_leaf = |name| {
        !matches!(
            type_of(name),
            Some(TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_))
        )
    };
    one.nullable == other.nullable
        && match (&one.base, &other.base) {
            (BaseType::List(one), BaseType::List(other)) => is_same_shape(one, other),
            (BaseType::Named(one), BaseType::Named(other)) => {
                one == other || !is_leaf(one) && !is_leaf(other)
            }
            _ => false,
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
            ("{ ... on Query { a } ... on Viewer { a(b: 1) } }", false),
            (
                "{ ... on Query { a ... on Viewer { b } ... on Viewer { b: c } } }",
                true,
            ),
            ("{ a ... on Query { ... { a: b } } }", true),
            ("{ ... on Query { a ... { a: b } } }", true),
            (
                "{ ... on Query { a } ...F } fragment F on Query { a: b }",
                true,
            ),
            (
                "{ ...F ...F ...X } fragment F on Query { a ...G } fragment G on Query { a ...F }",
                false,
            ),
            ("{ x { y { a a: b } } }", true),
            ("{ x { a } y { a: b } }", false),
            ("{ x { a } x { a: b } }", true),
            (
                "{ x { y { a } } ...F } fragment F on Query { x { y { a: b } } }",
                true,
            ),
            ("{ x { a } x { b: a } }", false),
            ("{ viewer { a: userId } viewer { a: scopes } }", true),
            (
                "{ nodes(ids: []) { a: id ... on PersonalConnector { a: name } } }",
                true,
            ),
            (
                "{ nodes(ids: []) { a: id ... on PersonalConnector { a: id } } }",
                false,
            ),
            // No object has both types, but the shapes of the key differ.
            (
                "{ node(id: 1) { ... on PersonalConnector { a: name } ... on Viewer { a: userId } } }",
                true,
            ),
            (
                "{ node(id: 1) { ... on PersonalConnector { a: name } ... on Viewer { a: scopes } } }",
                true,
            ),
            (
                "{ node(id: 1) { ... on PersonalConnector { a: version } ... on Viewer { a: organizationId } } }",
                true,
            ),
            ("{ x } fragment F on Query { a a: b }", true),
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
            ("{ a { x } ... on Query { a { y } } }", true),
            ("{ a { x } ...F } fragment F on Query { a { y } }", true),
            ("{ ...F ...F } fragment F on Query { a { y } }", false),
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

    /// Selections of the viewer with few field names, so that they overlap.
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
