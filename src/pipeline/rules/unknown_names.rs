//! Limits the unknown fields and arguments of a document (GraphQL, sections 5.3.1 and 5.4.1).
//!
//! The library reports each one, and compares its name with all siblings for a suggestion. A megabyte of unknown names
//! took four seconds.

use async_graphql::{
    Pos, ServerError,
    parser::types::{ExecutableDocument, Selection},
};

use crate::pipeline::{
    documents::selections::selections,
    schema_types::{field_of, input_of},
};

/// The most unknown names that the library handles.
const MANY: usize = 100;

/// Refuses a document with more than 100 unknown fields and arguments. The library's validation refuses fewer.
pub(crate) fn unknown_names(document: &ExecutableDocument) -> Result<(), ServerError> {
    match unknown(document).nth(MANY) {
        None => Ok(()),
        Some((pos, name)) => {
            let message = format!(
                "the document has more than {MANY} fields and arguments that the schema does not have, such as \
                 {name:.100}"
            );
            Err(ServerError::new(message, Some(pos)))
        }
    }
}

fn unknown(document: &ExecutableDocument) -> impl Iterator<Item = (Pos, &str)> {
    selections(document).flat_map(|(parent, selection)| {
        let (Some(parent), Selection::Field(field)) = (parent, selection) else {
            return Vec::new();
        };
        let name = &field.node.name;
        // The library handles introspection.
        if name.node.starts_with("__") {
            return Vec::new();
        }
        let Some(definition) = field_of(parent, &name.node) else {
            return vec![(name.pos, name.node.as_str())];
        };
        let arguments = field.node.arguments.iter().map(|(name, _)| name);
        arguments
            .filter(|name| input_of(&definition.arguments, &name.node).is_none())
            .map(|name| (name.pos, name.node.as_str()))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn many_unknown_names_are_refused() {
        for (one, count, is_refused) in [
            ("nope ", 100, false),
            ("nope ", 101, true),
            ("viewer { nope } ", 101, true),
            ("viewer(nope: 1) { userId } ", 101, true),
            // Selections below an unknown field are skipped.
            ("nope { nope(nope: 1) } ", 100, false),
            ("__typename viewer { userId } ", 1000, false),
        ] {
            let document = parse_query(format!("{{ {} }}", one.repeat(count))).unwrap();
            assert_eq!(unknown_names(&document).is_err(), is_refused, "{one}");
        }
    }
}
