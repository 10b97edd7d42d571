//! Finds direct queries, which the service answers without the library.

use std::iter;

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType, Selection},
};

use crate::graphql::{DirectQuery, ParsedField, SelectedField};

use super::selections::{collect_fields, directives, selections};

/// Returns the direct query of a document with one operation; none if the library has to execute it.
///
/// The document is not validated yet, and may be refused later.
pub(super) fn query(document: &ExecutableDocument) -> Option<DirectQuery> {
    let mut operations = document.operations.iter();
    let (Some((_, operation)), None) = (operations.next(), operations.next()) else {
        return None;
    };
    let operation = &operation.node;
    if operation.ty != OperationType::Query || !is_plain(document, operation) {
        return None;
    }
    let set = &operation.selection_set.node;
    let mut fields = collect_fields(document, [((), set)], |(), _| (), |_| true);
    let (Some(((), field)), None) = (fields.next(), fields.next()) else {
        return None;
    };
    DirectQuery::of(PlainField { document, field })
}

/// Returns whether every selection always applies: no directives, and fragments only on the type that they are spread
/// in.
fn is_plain(document: &ExecutableDocument, operation: &OperationDefinition) -> bool {
    let fragments = document.fragments.values();
    let of_fragments = fragments.map(|fragment| &fragment.node.directives);
    let mut definitions = iter::once(&operation.directives).chain(of_fragments);
    definitions.all(Vec::is_empty)
        && selections(document).all(|(on, selection)| {
            let condition = match selection {
                Selection::Field(_) => None,
                Selection::InlineFragment(fragment) => fragment.node.type_condition.as_ref(),
                Selection::FragmentSpread(spread) => {
                    let fragment = document.fragments.get(&spread.node.fragment_name.node);
                    fragment.map(|fragment| &fragment.node.type_condition)
                }
            };
            directives(selection).is_empty()
                && condition.is_none_or(|condition| Some(&condition.node.on.node) == on)
        })
}

/// A field of a plain document.
#[derive(Clone, Copy)]
struct PlainField<'a> {
    document: &'a ExecutableDocument,
    field: &'a Positioned<Field>,
}

impl SelectedField for PlainField<'_> {
    fn key(&self) -> &str {
        &self.field.node.response_key().node
    }

    fn name(&self) -> &str {
        &self.field.node.name.node
    }

    fn below(&self) -> impl Iterator<Item = Self> {
        let Self { document, field } = *self;
        let set = [((), &field.node.selection_set.node)];
        let fields = collect_fields(document, set, |(), _| (), |_| true);
        fields.map(move |((), field)| Self { document, field })
    }
}

impl ParsedField for PlainField<'_> {
    fn field(&self) -> &Positioned<Field> {
        self.field
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn one_plain_root_field_of_leaves_is_direct() {
        for (document, is_direct) in [
            ("{ personalConnector(id: 1) { id } }", true),
            (
                "query Q($id: ID!) { c: personalConnector(id: $id) { a: id name name createdBy } }",
                true,
            ),
            (
                "{ ...Q } fragment Q on Query { ... on Query { ... { personalConnectors { ...C } } } }
                 fragment C on PersonalConnectorConnection { __typename nodes { ...N ...N } }
                 fragment N on PersonalConnector { id ... on PersonalConnector { name } }",
                true,
            ),
            (
                "{ personalConnectors(first: 1) { edges { cursor node { id } } pageInfo { endCursor } totalCount } }",
                true,
            ),
            ("{ personalConnectors { facets { type { count } } changesCursor totalCount __typename } }", true),
            // The library executes these.
            ("mutation { personalConnector(id: 1) { id } }", false),
            ("{ viewer { userId } }", false),
            ("{ personalConnector(id: 1) { id } __typename }", false),
            (
                "{ personalConnector(id: 1) { id } personalConnector(id: 1) { name } }",
                false,
            ),
            ("{ personalConnector(id: 1) { id @skip(if: false) } }", false),
            ("{ ... @include(if: true) { personalConnector(id: 1) { id } } }", false),
            ("query @a { personalConnector(id: 1) { id } }", false),
            (
                "{ ...Q } fragment Q on Query @a { personalConnector(id: 1) { id } }",
                false,
            ),
            ("{ personalConnector(id: 1) { ... on Node { id } } }", false),
            ("{ personalConnector(id: 1) { health { outcome } } }", false),
            ("{ personalConnector(id: 1) { unknown } }", false),
            ("{ personalConnectors { pageInfo { endCursor } } }", false),
            ("{ personalConnectors { nodes { id } nodes { name } } }", false),
            ("{ personalConnectors { nodes { id } edges { cursor node { id } } } }", false),
            (
                "{ personalConnectors { nodes { id } pageInfo { endCursor } pageInfo { startCursor } } }",
                false,
            ),
            ("{ personalConnectors { nodes { id } facets { type { count } type: type { count } } } }", false),
            ("{ personalConnectors { nodes { id } facets { type { count } } f: facets { __typename } } }", false),
            ("{ personalConnectors { nodes { id } search { words } } }", false),
            ("query A { personalConnector(id: 1) { id } } query B { viewer { userId } }", false),
            ("{ ...F } fragment F on Query { ...F personalConnector(id: 1) { ...F } }", false),
        ] {
            let parsed = parse_query(document).unwrap();
            assert_eq!(query(&parsed).is_some(), is_direct, "{document}");
        }
    }
}
