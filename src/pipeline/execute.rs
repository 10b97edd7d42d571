//! The gate: what every operation goes through, whatever it arrived by.
//!
//! Invariant: nothing is parsed or walked that was not bounded first; a document is parsed once; nothing is executed of a
//! request whose values are not of their types; every error leaves with a code; an internal one leaves with the request's id,
//! which the log has too, and nothing else.

use std::{fmt, sync::Arc};

use async_graphql::{
    Name, Response, ServerError, Variables,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType},
};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::viewer::Viewer,
    error::{Code, Error},
    graphql::{HeldPlace, Request},
    http::{Routes, admission::concurrency::Place, limits::Limits},
    observability::{request_id::RequestId, request_log},
    store::{Catalog, cancel_on_drop},
};

use super::{
    coerce, complete,
    cost::{self, Cost},
    documents::{Document, Documents, Traits},
    parameters::Parameters,
    unsent_variables,
};

/// An operation that is well-formed and within the limits, and whose values are of their types.
pub(crate) struct Prepared {
    document: Arc<Document>,
    /// What is executed in the document's stead, where it had to be mended.
    mended: Option<ExecutableDocument>,
    operation_name: Option<String>,
    variables: Variables,
    pub(crate) cost: Cost,
    traits: Traits,
    pub(crate) operation_type: OperationType,
}

impl Prepared {
    /// The document to execute.
    fn executed(&self) -> &ExecutableDocument {
        self.mended.as_ref().unwrap_or(&self.document.parsed)
    }

    /// Whether the same viewer gets the same answer as long as nothing changes.
    pub(crate) fn depends_on_state_alone(&self) -> bool {
        self.operation_type == OperationType::Query && !self.traits.reads_what_passes
    }

    fn request(&self, document: &ExecutableDocument) -> async_graphql::Request {
        let mut request =
            async_graphql::Request::new(String::new()).variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        request.set_parsed_query(document.clone());
        request
    }
}

/// Who wants an operation executed, in which request.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) viewer: Viewer,
    pub(crate) request_id: RequestId,
}

/// Nothing was executed, or nothing that the caller waits for any longer: errors, and no `data`.
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) errors: Vec<serde_json::Value>,
    /// What the operation costs, where that is known.
    pub(crate) cost: Option<Cost>,
}

impl Refused {
    pub(crate) fn new(mut error: ServerError, code: Code) -> Self {
        set_code(&mut error, code);
        Self {
            code,
            errors: vec![json!(error)],
            cost: None,
        }
    }

    /// Where it is known what the operation costs.
    fn at(self, cost: Cost) -> Self {
        Self {
            cost: Some(cost),
            ..self
        }
    }
}

impl From<Error> for Refused {
    fn from(Error { code, message, .. }: Error) -> Self {
        Self::new(ServerError::new(message, None), code)
    }
}

/// The errors' messages, on one line.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self
            .errors
            .iter()
            .filter_map(|error| error["message"].as_str());
        f.write_str(&messages.collect::<Vec<_>>().join("; "))
    }
}

/// All that is done without executing or reading anything.
pub(crate) fn prepare(documents: &Documents, parameters: Parameters) -> Result<Prepared, Refused> {
    let Parameters {
        document,
        operation_name,
        mut variables,
    } = parameters;
    let invalid = |error| Refused::new(error, Code::GraphqlValidationFailed);
    let document = documents.get(&document)?;
    let parsed = &document.parsed;
    let name = operation_name.as_deref();
    tell(parsed, name);
    let operation = operation(parsed, name).map_err(invalid)?;
    let operation_type = operation.ty;
    coerce::variables(operation, &mut variables).map_err(invalid)?;
    let cost = cost::cost(parsed, &variables)?;
    cost.within(documents.limits())
        .map_err(|error| Refused::from(error).at(cost))?;
    let traits = document.checked().map_err(invalid)?;
    let mended = unsent_variables::unsent_variables(parsed, name, &variables);
    Ok(Prepared {
        document,
        mended,
        operation_name,
        variables,
        cost,
        traits,
        operation_type,
    })
}

/// Scans, parses and walks a document as every operation's is before it is executed; gives what its dearest operation costs,
/// or why it is refused.
pub fn measure(document: &str, limits: Limits) -> Result<Cost, Code> {
    let document = Document::parse(document, limits).map_err(|refused| refused.code)?;
    let cost = cost::cost(&document.parsed, &Variables::default());
    let within = cost.and_then(|cost| cost.within(limits).map(|()| cost));
    within.map_err(|error| error.code)
}

/// Executes a query or mutation, unless it is no valid one. Answers by the deadline.
pub(crate) async fn execute(
    routes: &Routes,
    caller: Caller,
    place: Place,
    prepared: Prepared,
    deadline: Instant,
) -> Result<Response, Refused> {
    let cost = prepared.cost;
    validate(routes, &caller, &prepared).await?;
    let document = prepared.executed();
    let one_read = prepared.traits.one_read;
    // A mutation's payloads read what it wrote, each in its turn, and hold no connection that the next one waits for.
    let in_snapshot = !one_read && prepared.operation_type != OperationType::Mutation;
    let place = Arc::new(HeldPlace::new(place));
    let request = prepared.request(document).data(Request {
        place: place.clone(),
        ..data(routes, &caller, prepared.traits, in_snapshot)
    });
    let schema = routes.schema.clone();
    let answer = cancel_on_drop(async move {
        let answer = schema.execute(request).await;
        drop(place);
        answer
    });
    let answer = timeout_at(deadline, answer).await;
    let mut response = answer.map_err(|_| took_too_long().at(cost))?;
    // Errors of validation have no path.
    let began =
        response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty());
    if began
        && (!one_read || !response.errors.is_empty())
        && let Some(operation) = chosen(document, prepared.operation_name.as_deref()).next()
    {
        complete::complete(&mut response, document, operation, &prepared.variables);
    }
    for error in &mut response.errors {
        fill_code(error, &caller.request_id);
    }
    if began {
        Ok(response)
    } else {
        Err(invalid(&response.errors, cost))
    }
}

/// The deadline has passed.
pub(crate) fn took_too_long() -> Refused {
    let error = ServerError::new("the answer took too long", None);
    Refused::new(error, Code::Timeout)
}

/// Executes a subscription, unless it is no valid one: an answer for each event until it is `unsubscribed`, or one of errors
/// where it cannot begin or go on.
pub(crate) async fn subscribe(
    routes: &Routes,
    caller: Caller,
    mut prepared: Prepared,
    unsubscribed: CancellationToken,
) -> Result<impl Stream<Item = Response> + use<>, Refused> {
    validate(routes, &caller, &prepared).await?;
    let mut document = prepared.executed().clone();
    unsent_variables::one_root_field(&mut document, prepared.operation_name.as_deref())
        .map_err(|error| Refused::new(error, Code::GraphqlValidationFailed))?;
    let request = prepared.request(&document).data(Request {
        unsubscribed,
        ..data(routes, &caller, prepared.traits, false)
    });
    let answers = routes.schema.execute_stream(request);
    let name = prepared.operation_name.take();
    let variables = std::mem::take(&mut prepared.variables);
    Ok(answers.map(move |mut response| {
        if let Some(operation) = chosen(&document, name.as_deref()).next() {
            complete::complete(&mut response, &document, operation, &variables);
        }
        for error in &mut response.errors {
            fill_code(error, &caller.request_id);
        }
        response
    }))
}

/// Refuses a document that does not fit the schema as it was sent.
async fn validate(routes: &Routes, caller: &Caller, prepared: &Prepared) -> Result<(), Refused> {
    let validated = prepared.document.validated(&routes.validator).await;
    validated.map_err(|mut errors| {
        for error in &mut errors {
            fill_code(error, &caller.request_id);
        }
        invalid(&errors, prepared.cost)
    })
}

/// What resolvers are given.
fn data(routes: &Routes, caller: &Caller, traits: Traits, in_snapshot: bool) -> Request {
    let database = routes.commands.database.clone();
    let sight = caller.viewer.sight();
    Request {
        viewer: Arc::new(caller.viewer.clone()),
        catalog: if in_snapshot {
            Catalog::snapshot(database, sight)
        } else {
            Catalog::new(database, sight)
        },
        merges: traits.merges,
        commands: routes.commands.clone(),
        changes: routes.changes.clone(),
        unsubscribed: CancellationToken::new(),
        place: Arc::default(),
    }
}

/// Validation found these errors.
fn invalid(errors: &[ServerError], cost: Cost) -> Refused {
    Refused {
        code: Code::GraphqlValidationFailed,
        errors: errors.iter().map(|error| json!(error)).collect(),
        cost: Some(cost),
    }
}

/// The operation to execute (GraphQL, section 6.1).
fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&'a str>,
) -> Result<&'a OperationDefinition, ServerError> {
    let mut chosen = chosen(document, name);
    let message = match (chosen.next(), chosen.next(), name) {
        (Some(operation), None, _) => return Ok(operation),
        (_, _, Some(name)) => format!("the document has no operation of the name {name:.100}"),
        _ => "operationName must say which of the document's operations is meant".to_owned(),
    };
    Err(ServerError::new(message, None))
}

/// The operations that a name chooses: the one it names, and without a name all.
pub(crate) fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&'a str>,
) -> impl Iterator<Item = &'a OperationDefinition> {
    let operations = document.operations.iter();
    operations
        .filter(move |(operation, _)| name.is_none() || operation.map(Name::as_str) == name)
        .map(|(_, operation)| &operation.node)
}

/// Has the request's account tell of the operation that is asked for.
fn tell(document: &ExecutableDocument, name: Option<&str>) {
    let mut operations = document.operations.iter();
    let asked = operations.find(|(own, _)| name.is_none() || own.map(Name::as_str) == name);
    if let Some((own, operation)) = asked {
        let kind = match operation.node.ty {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        };
        request_log::operation(kind, own.map(Name::as_str));
    }
}

fn set_code(error: &mut ServerError, code: Code) {
    request_log::error(code);
    error
        .extensions
        .get_or_insert_default()
        .set("code", code.as_str());
}

/// Gives an error its code. Ours know theirs; the library's are about the document and its variables.
fn fill_code(error: &mut ServerError, request_id: &RequestId) {
    let Some(ours) = error.source::<Error>() else {
        return set_code(error, Code::GraphqlValidationFailed);
    };
    let code = ours.code;
    if code == Code::Internal {
        let cause = ours.cause();
        // In the request's span, which has its id.
        tracing::error!(cause, "internal error");
        error
            .extensions
            .get_or_insert_default()
            .set("requestId", request_id.0.as_str());
    }
    set_code(error, code);
}
