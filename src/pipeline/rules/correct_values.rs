//! Values of Correct Type (GraphQL, section 5.6.1), for the arguments of a document.

use async_graphql::{
    ServerError,
    parser::types::{ExecutableDocument, Selection},
};

use crate::pipeline::{
    coerce::{Form, Path, check},
    documents::selections::selections,
    schema_types::{field_of, input_of},
};

/// Refuses a document with an argument of the wrong type.
///
/// Unknown fields and arguments are refused by the library's validation.
pub fn correct_values(document: &ExecutableDocument) -> Result<(), ServerError> {
    for selected in selections(document) {
        let (Some(parent), Selection::Field(field)) = selected else {
            continue;
        };
        let Some(definition) = field_of(parent, &field.node.name.node) else {
            continue;
        };
        for (name, value) in &field.node.arguments {
            if let Some(argument) = input_of(&definition.arguments, &name.node) {
                let path = Path::Argument(&name.node);
                check(&argument.ty.node, &value.node, &path, Form::Written)
                    .map_err(|message| ServerError::new(message, Some(name.pos)))?;
            }
        }
    }
    Ok(())
}
