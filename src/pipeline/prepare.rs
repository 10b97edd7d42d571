//! Prepares an operation for execution.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{
    Name, ServerError, Value, Variables,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType},
};

use crate::{
    config::OperationLimits,
    domain::viewer::Viewer,
    error::Code,
    graphql::{DirectRead, field_traits::is_of_checks},
    observability::request_record::RequestRecord,
};

use super::{
    Pipeline, coerce,
    complete::Shape,
    cost::Cost,
    documents::{
        document::{Document, Traits},
        selections::chosen,
    },
    parameters::Parameters,
    refused::Refused,
    rewrite::{skipped, unsent_variables},
    rules::variable_positions::null_positions,
};

/// A well-formed operation within the limits, with values of the right types.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) document: Arc<Document>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
    pub(super) cost: Cost,
    pub(super) traits: Traits,
    pub(super) operation_type: OperationType,
}

impl Prepared {
    /// Returns the document for the library: without the unsent variables, and with placeholders in objects that may be
    /// empty.
    pub(super) fn executed(&self) -> Cow<'_, ExecutableDocument> {
        let document = &self.document.parsed;
        let name = self.operation_name.as_deref();
        let executed = unsent_variables::leave_out(document, name, &self.variables);
        let mut executed = executed.map_or(Cow::Borrowed(document), Cow::Owned);
        if self.traits.skips {
            skipped::keep_objects(executed.to_mut());
        }
        executed
    }

    /// Returns the response's shape, from the document as it was sent. The executed document may have placeholder keys.
    pub(super) fn shape(&self) -> Result<Shape, ServerError> {
        let document = &self.document.parsed;
        let operation = operation(document, self.operation_name.as_deref())?;
        Ok(Shape::of(document, operation, &self.variables))
    }

    /// Returns the read of a direct query; none if the library has to execute it.
    pub(super) fn direct(&self, viewer: &Viewer) -> Option<DirectRead> {
        let query = self.document.direct.as_ref()?;
        query.parse(viewer, |given| {
            unsent_variables::value(given, &self.variables)
        })
    }

    /// Returns the library's request for a named operation of a document, with variables.
    pub(super) fn request(
        &self,
        document: ExecutableDocument,
        operation_name: Option<String>,
    ) -> async_graphql::Request {
        let mut request =
            async_graphql::Request::new(String::new()).variables(self.variables.clone());
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        request
    }
}

impl Pipeline {
    /// Prepares an operation without executing or reading anything.
    pub(super) fn prepare(
        &self,
        parameters: Parameters,
        record: &RequestRecord,
    ) -> Result<Prepared, Refused> {
        let Parameters {
            document,
            operation_name,
            mut variables,
        } = parameters;
        let invalid = |error| Refused::new(error, Code::GraphqlValidationFailed);
        let documents = &self.documents;
        let document = documents.get(&document)?;
        let parsed = &document.parsed;
        let name = operation_name.as_deref();
        record_chosen(record, parsed, name);
        let operation = operation(parsed, name).map_err(invalid)?;
        let operation_type = operation.ty;
        coerce::variables(operation, &mut variables).map_err(invalid)?;
        let cost = document.cost(&variables)?;
        cost.within(documents.limits())
            .map_err(|error| Refused::from(error).costing(cost))?;
        let mut traits = document.checked().map_err(invalid)?;
        traits.changes_without_the_catalogue |= variables.values().any(of_checks);
        null_positions(parsed, operation, &variables).map_err(invalid)?;
        Ok(Prepared {
            document,
            operation_name,
            variables,
            cost,
            traits,
            operation_type,
        })
    }
}

/// Returns whether a variable makes a list depend on checks. Enum values arrive as strings.
fn of_checks(value: &Value) -> bool {
    match value {
        Value::Enum(name) => is_of_checks(name),
        Value::String(text) => is_of_checks(text),
        Value::List(values) => values.iter().any(of_checks),
        Value::Object(fields) => {
            let mut fields = fields.iter();
            fields.any(|(name, value)| is_of_checks(name) || of_checks(value))
        }
        _ => false,
    }
}

/// Limits, parses and costs a document like [`Pipeline::prepare`]. Returns the cost of its most expensive operation, or
/// the refusal's code.
pub fn measure(document: &str, limits: OperationLimits) -> Result<Cost, Code> {
    let document = Document::parse(document, limits).map_err(|refused| refused.code)?;
    let cost = document.cost(&Variables::default());
    let within = cost.and_then(|cost| cost.within(limits).map(|()| cost));
    within.map_err(|error| error.code)
}

/// Returns the operation to execute (GraphQL, section 6.1).
pub(super) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&'a str>,
) -> Result<&'a OperationDefinition, ServerError> {
    let mut chosen = chosen(document, name);
    let message = match (chosen.next(), chosen.next(), name) {
        (Some(operation), None, _) => return Ok(operation),
        (_, _, Some(name)) => format!("the document has no operation with the name {name:.100}"),
        _ => "the document has several operations: name one by operationName".to_owned(),
    };
    Err(ServerError::new(message, None))
}

/// Records the chosen operation.
fn record_chosen(record: &RequestRecord, document: &ExecutableDocument, name: Option<&str>) {
    let mut operations = document.operations.iter();
    let asked = operations.find(|(own, _)| name.is_none() || own.map(Name::as_str) == name);
    if let Some((own, operation)) = asked {
        let kind = match operation.node.ty {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        };
        record.record_operation(kind, own.map(Name::as_str));
    }
}
