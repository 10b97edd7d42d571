//! Executes a prepared operation, directly or by the library and its resolvers.

use std::sync::Arc;

use async_graphql::{Pos, Response, ServerError, parser::types::OperationType};
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, Either},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    answer_budget::{AnswerBudget, AnswerText},
    domain::viewer::Viewer,
    error::{Code, Error},
    graphql::{EventIds, Permit, Request, Turn},
    observability::request_record::RequestRecord,
    store::{Catalog, finished, may_read_again},
};

use super::{
    Caller, Pipeline,
    complete::Shape,
    documents::{document::Traits, heap_bytes::HeapBytes},
    encode::{encoded, small},
    prepare::{Prepared, operation},
    refused::{Refused, set_extensions},
    subscription_root::one_root_field,
};

/// A response with its budget.
pub(super) struct Executed {
    response: Response,
    budget: Arc<AnswerBudget>,
}

impl Executed {
    pub(super) fn response(&mut self) -> &mut Response {
        &mut self.response
    }

    /// Encodes the response. Fails for a query beyond its byte limit.
    pub(super) fn encoded(self) -> Result<AnswerText, Error> {
        encoded(self.response, &self.budget)
    }
}

/// The most runs of one query.
const TRIES: usize = 3;

impl Pipeline {
    /// Executes a valid query or mutation within the deadline.
    pub(super) async fn execute(
        &self,
        caller: Caller,
        permit: Permit,
        prepared: Prepared,
        deadline: Instant,
    ) -> Result<Executed, Refused> {
        let cost = prepared.cost;
        self.validate(&caller, &prepared).await?;
        let one_read = prepared.traits.one_read;
        // The payloads of a mutation read its writes one after another. A snapshot would hold a connection that the
        // next payload needs.
        let in_snapshot = !one_read && prepared.operation_type != OperationType::Mutation;
        if prepared.operation_type == OperationType::Query && cost.is_expensive() {
            let entered = self.expensive.enter(&permit, deadline).await;
            entered.map_err(|error| Refused::from(error).costing(cost))?;
        }
        let permit = Arc::new(permit);
        let viewer = Arc::new(caller.viewer.clone());
        let mut tries = 1;
        let is_mutation = prepared.operation_type == OperationType::Mutation;
        let (mut response, is_direct, budget) = loop {
            let permit = permit.clone();
            let budget = self.answers.begin(caller.key, is_mutation);
            budget.hold(permit.clone());
            let direct = prepared.direct(&viewer);
            let is_direct = direct.is_some();
            let answering = if let Some(direct) = direct {
                let catalog = self.catalog(&viewer, in_snapshot, budget.clone());
                direct
                    .answer(catalog, viewer.clone(), budget.clone())
                    .boxed()
            } else {
                let data = Request {
                    permit: permit.clone(),
                    ..self.resolver_data(&viewer, prepared.traits, in_snapshot, budget.clone())
                };
                self.by_the_library(&prepared, data)
            };
            let answer = async move {
                let answer = answering.await;
                drop(permit);
                answer
            };
            // A query is cancelled with the future that waits for it.
            let answer = if is_mutation {
                Either::Left(finished(answer))
            } else {
                Either::Right(answer)
            };
            let answer = timeout_at(deadline, answer).await;
            let answer = answer.map_err(|_| {
                let error = match prepared.operation_type {
                    OperationType::Mutation => Error::change_took_too_long(),
                    _ => Error::took_too_long(),
                };
                Refused::from(error).costing(cost)
            })?;
            if !is_mutation {
                budget
                    .check()
                    .map_err(|error| Refused::from(error).costing(cost))?;
            }
            // A statement cannot be repeated in a lost snapshot.
            if !(in_snapshot && tries < TRIES && is_hindered(&answer)) {
                break (answer, is_direct, budget);
            }
            tries += 1;
        };
        drop(permit);
        // Validation errors have no path.
        let began = response.errors.is_empty()
            || response.errors.iter().any(|error| !error.path.is_empty());
        if began
            && !is_direct
            && (!one_read || prepared.traits.skips || !response.errors.is_empty())
            && let Ok(shape) = prepared.shape()
        {
            shape.complete(&mut response);
        }
        fill_codes(&mut response.errors, &caller.record);
        if began {
            Ok(Executed { response, budget })
        } else {
            Err(Refused::invalid(&response.errors).costing(cost))
        }
    }

    /// Executes a valid subscription. It yields a response with an id for each event until `unsubscribed`, or one of
    /// errors if it cannot begin or continue. Each event waits for its turn.
    pub(super) async fn subscribe(
        &self,
        caller: &Caller,
        prepared: Prepared,
        unsubscribed: &CancellationToken,
        turn: &Turn,
    ) -> Result<
        (
            impl Stream<Item = (AnswerText, Option<String>)> + use<>,
            EventIds,
        ),
        Refused,
    > {
        self.validate(caller, &prepared).await?;
        let subscribed = subscribed(&prepared).map_err(|refused| refused.costing(prepared.cost))?;
        let Subscribed {
            shape,
            request,
            traits,
        } = subscribed;
        let budget = self.answers.begin(caller.key, false);
        let viewer = Arc::new(caller.viewer.clone());
        let event_ids = EventIds::after(caller.last_event_id.clone());
        let request = request.data(Request {
            unsubscribed: unsubscribed.clone(),
            turn: turn.clone(),
            event_ids: event_ids.clone(),
            ..self.resolver_data(&viewer, traits, false, budget.clone())
        });
        let record = caller.record.clone();
        let answers = self.schema.execute_stream(request);
        let passed = event_ids.clone();
        let answers = answers.map(move |mut response| {
            let id = event_ids.take();
            if let Err(error) = budget.check() {
                return (of_error(error, &budget, &record), id);
            }
            shape.complete(&mut response);
            fill_codes(&mut response.errors, &record);
            let text = encoded(response, &budget);
            let text = text.unwrap_or_else(|error| of_error(error, &budget, &record));
            (text, id)
        });
        Ok((answers, passed))
    }

    /// Validates the document as it was sent.
    pub(super) async fn validate(
        &self,
        caller: &Caller,
        prepared: &Prepared,
    ) -> Result<(), Refused> {
        let validated = prepared.document.validated(&self.validator).await;
        validated.map_err(|mut errors| {
            fill_codes(&mut errors, &caller.record);
            Refused::invalid(&errors).costing(prepared.cost)
        })
    }

    /// Executes by the library, with a clone of the document, which the library consumes.
    fn by_the_library(&self, prepared: &Prepared, data: Request) -> BoxFuture<'static, Response> {
        let document = prepared.executed().into_owned();
        let request = prepared.request(document, prepared.operation_name.clone());
        let schema = if prepared.traits.introspects {
            self.introspector.clone()
        } else {
            self.schema.clone()
        };
        async move { schema.execute(request.data(data)).await }.boxed()
    }

    fn catalog(&self, viewer: &Viewer, in_snapshot: bool, budget: Arc<AnswerBudget>) -> Catalog {
        let database = self.commands.database.clone();
        let catalog = if in_snapshot {
            Catalog::snapshot(database, viewer.sight())
        } else {
            Catalog::new(database, viewer.sight())
        };
        catalog.within(budget)
    }

    /// Returns the data of the resolvers.
    fn resolver_data(
        &self,
        viewer: &Arc<Viewer>,
        traits: Traits,
        in_snapshot: bool,
        budget: Arc<AnswerBudget>,
    ) -> Request {
        Request {
            viewer: Arc::clone(viewer),
            catalog: self.catalog(viewer, in_snapshot, budget.clone()),
            merges: traits.merges,
            commands: self.commands.clone(),
            changes: self.changes.clone(),
            unsubscribed: CancellationToken::new(),
            turn: Turn::default(),
            event_ids: EventIds::default(),
            permit: Arc::default(),
            budget,
        }
    }
}

/// The most bytes of a subscription's document and variables. All event fields of the schema with arguments take 20
/// KiB.
const SUBSCRIPTION_BYTES: u64 = 128 * 1024;

/// The parts of an operation that an open subscription keeps.
struct Subscribed {
    shape: Shape,
    request: async_graphql::Request,
    traits: Traits,
}

/// Keeps the needed parts of the document. Fails with `LIMIT_EXCEEDED` if they take more than [`SUBSCRIPTION_BYTES`].
fn subscribed(prepared: &Prepared) -> Result<Subscribed, Refused> {
    let invalid = |error| Refused::new(error, Code::GraphqlValidationFailed);
    let document = prepared.executed();
    let operation = operation(&document, prepared.operation_name.as_deref()).map_err(invalid)?;
    let one = one_root_field(&document, operation).map_err(invalid)?;
    let bytes = one.heap_bytes() + prepared.variables.heap_bytes();
    if bytes as u64 > SUBSCRIPTION_BYTES {
        let most = SUBSCRIPTION_BYTES;
        let error = Error::limit_exceeded(
            "a subscription",
            most,
            "bytes in memory: select fewer fields, or send fewer values",
        );
        return Err(error.into());
    }
    Ok(Subscribed {
        shape: prepared.shape().map_err(invalid)?,
        request: prepared.request(one, None),
        traits: prepared.traits,
    })
}

/// Returns the error for an event with too many bytes. The next event has a new budget.
fn of_error(error: Error, budget: &AnswerBudget, record: &RequestRecord) -> AnswerText {
    let error = async_graphql::Error::from(error).into_server_error(Pos::default());
    let mut response = Response::from_errors(vec![ServerError {
        locations: Vec::new(),
        ..error
    }]);
    fill_codes(&mut response.errors, record);
    budget.again();
    small(&response)
}

/// Returns whether another session, or a broken connection, made a query fail.
fn is_hindered(answer: &Response) -> bool {
    let own = |error: &ServerError| error.source::<Error>().is_some_and(may_read_again);
    answer.errors.iter().any(own)
}

/// Adds codes and numbers to errors. The service's own have them already; the library's errors concern the document and
/// its variables.
fn fill_codes(errors: &mut [ServerError], record: &RequestRecord) {
    for error in errors {
        let of_library = Error::new(Code::GraphqlValidationFailed, "");
        let own = error.source::<Error>().unwrap_or(&of_library);
        let (code, extensions) = (own.code, own.extensions());
        if code == Code::Internal {
            let cause = own.cause();
            // The log line is in the request's span, which has its id.
            tracing::error!(cause, "internal error");
            let request_id = serde_json::Value::from(record.id().0.as_str());
            set_extensions(error, [("requestId", request_id)]);
        }
        record.record_error(code);
        set_extensions(error, extensions);
    }
}
