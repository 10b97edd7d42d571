//! The gate: what every operation goes through, whatever it arrived by.
//!
//! Invariant: nothing is parsed or walked that was not bounded first; a document is parsed once; every error leaves with a code; an internal one leaves with a request id that the
//! log has too, and nothing else.

use async_graphql::{
    Name, Response, ServerError, Value, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet},
    },
};
use serde_json::json;

use crate::{
    domain::viewer::Viewer,
    error::{Code, Error},
    graphql::{self, Request},
    store::Catalog,
};

use super::{Routes, body::Operation, mend, scan, walk};

/// What became of an operation.
pub(super) enum Answer {
    /// Its execution began.
    Executed(Box<Response>),
    /// It did not: errors, and no `data`.
    Refused(Vec<serde_json::Value>),
}

pub(super) async fn execute(routes: &Routes, viewer: Viewer, operation: Operation) -> Answer {
    if let Err(error) = scan::scan(&operation.query, routes.limits) {
        return refuse(ServerError::new(error.message, None), error.code);
    }
    let mut document = match parse_query(&operation.query) {
        Ok(document) => document,
        Err(error) => return refuse(ServerError::from(error), Code::GraphqlParseFailed),
    };
    if let Err(error) = walk::cost(&document, &operation.variables, routes.limits) {
        return refuse(ServerError::new(error.message, None), error.code);
    }
    let name = operation.operation_name.as_deref();
    if let Some(error) = missing_variable(&document, name, &operation.variables) {
        return refuse(error, Code::GraphqlValidationFailed);
    }
    mend::unsent_variables(&mut document, name, &operation.variables);

    let database = routes.commands.database.clone();
    let one_read = reads_once(&document);
    // A mutation's payloads read what it wrote, each in its turn, and hold no connection that the next one waits for.
    let writes = chosen(&document, name).any(|operation| operation.ty == OperationType::Mutation);
    let catalog = if one_read || writes {
        Catalog::new(database, viewer.sight())
    } else {
        Catalog::snapshot(database, viewer.sight())
    };
    let mut request = async_graphql::Request::new(operation.query)
        .variables(operation.variables)
        .data(Request {
            viewer,
            catalog,
            commands: routes.commands.clone(),
        });
    request.operation_name.clone_from(&operation.operation_name);
    request.set_parsed_query(document.clone());

    let answer = routes.schema.execute(request);
    let Ok(mut response) = tokio::time::timeout(routes.request_timeout, answer).await else {
        let error = ServerError::new("the answer took too long", None);
        return refuse(error, Code::Timeout);
    };
    let began =
        response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty());
    if began
        && (!one_read || !response.errors.is_empty())
        && let Some(operation) = chosen(&document, operation.operation_name.as_deref()).next()
    {
        graphql::complete(&mut response, &document, operation);
    }
    for error in &mut response.errors {
        fill_code(error, routes);
    }
    if began {
        Answer::Executed(Box::new(response))
    } else {
        Answer::Refused(response.errors.iter().map(|error| json!(error)).collect())
    }
}

fn refuse(mut error: ServerError, code: Code) -> Answer {
    set_code(&mut error, code);
    Answer::Refused(vec![json!(error)])
}

/// The operations that a name chooses: the one it names, and without a name all.
pub(super) fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&'a str>,
) -> impl Iterator<Item = &'a OperationDefinition> {
    let operations = document.operations.iter();
    operations
        .filter(move |(operation, _)| name.is_none() || operation.map(Name::as_str) == name)
        .map(|(_, operation)| &operation.node)
}

/// A required variable that was not sent (section 6.1.2). The library would find out field by field.
fn missing_variable(
    document: &ExecutableDocument,
    name: Option<&str>,
    sent: &Variables,
) -> Option<ServerError> {
    let definitions = chosen(document, name).flat_map(|operation| &operation.variable_definitions);
    let missing = definitions
        .map(|definition| &definition.node)
        .find(|definition| {
            !definition.var_type.node.nullable
                && definition.default_value.is_none()
                && matches!(sent.get(&definition.name.node), None | Some(Value::Null))
        })?;
    let message = format!(
        "the variable ${} of type {} must be sent, and not be null",
        missing.name.node, missing.var_type.node
    );
    Some(ServerError::new(message, Some(missing.name.pos)))
}

/// Whether one statement answers the whole document: else its statements share a snapshot.
fn reads_once(document: &ExecutableDocument) -> bool {
    fn counts_or_follows(set: &SelectionSet) -> bool {
        set.items.iter().any(|item| match &item.node {
            Selection::Field(field) => {
                matches!(
                    field.node.name.node.as_str(),
                    "totalCount" | "facets" | "replacedBy"
                ) || counts_or_follows(&field.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => {
                counts_or_follows(&fragment.node.selection_set.node)
            }
            // Fragments are looked into where they are defined.
            Selection::FragmentSpread(_) => false,
        })
    }
    let fragments = document
        .fragments
        .values()
        .map(|fragment| &fragment.node.selection_set.node);
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node.selection_set.node);
    operations
        .clone()
        .all(|set| set.items.len() == 1 && matches!(set.items[0].node, Selection::Field(_)))
        && !operations.chain(fragments).any(counts_or_follows)
}

fn set_code(error: &mut ServerError, code: Code) {
    error
        .extensions
        .get_or_insert_default()
        .set("code", code.as_str());
}

/// Gives an error its code. Ours know theirs; the library's are about the document and its variables.
fn fill_code(error: &mut ServerError, routes: &Routes) {
    let Some(ours) = error.source::<Error>() else {
        return set_code(error, Code::GraphqlValidationFailed);
    };
    let code = ours.code;
    if code == Code::Internal {
        let request_id = routes.clock.new_request_id();
        let cause = std::error::Error::source(ours).map(ToString::to_string);
        tracing::error!(request_id, cause, "internal error");
        error
            .extensions
            .get_or_insert_default()
            .set("requestId", request_id);
    }
    set_code(error, code);
}
