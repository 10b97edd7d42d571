//! Whether a server speaks MCP, and what it says of itself.
//!
//! Invariant: an inspection ends by its time, costs no more than its [`InspectionLimits`], and leaves no session behind that
//! could be ended.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use entity::ServerType;
use futures_util::FutureExt;
use hyper::StatusCode;
use rmcp::{
    RoleClient,
    model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion},
    service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RunningService},
    transport::Transport as Transporting,
};
use tokio::time::timeout;
use url::Url;

use crate::{
    clock::Clock,
    config::InspectionLimits,
    domain::{
        inspection::{Inspection, Outcome, Transport, is_deprecated},
        tools::Kept,
    },
    outbound::{Outbound, proxy::ProxyFailure},
};

use super::{
    authorization,
    failure::Failure,
    guard::Guard,
    memory::Memory,
    offers::{Description, offers},
    transport::{sse::SseTransport, streamable_http, websocket::WebSocketTransport},
    wire::Wire,
};

/// Inspects servers.
#[derive(Clone)]
pub struct Inspector {
    guard: Guard,
    outbound: Outbound,
    memory: Memory,
    limits: InspectionLimits,
    clock: Clock,
}

/// An inspection that found nothing, for a reason that is not the server's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutOff {
    /// It waited for a place of this service all the time that it had for that.
    #[error("this machine had no memory, file or lookup for them")]
    NoPlace,
    #[error(transparent)]
    Proxy(ProxyFailure),
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector")
            .field("guard", &self.guard)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Where an inspection has got to.
struct Progress {
    inspection: Inspection,
    /// Those of the pages that came, whatever becomes of the next one.
    tools: Mutex<Kept>,
    /// Set by any connection that the outbound proxy did not make by its own fault.
    proxy_failure: Arc<OnceLock<ProxyFailure>>,
}

/// What begins a session.
type Session = RunningService<RoleClient, ClientConfig>;

impl Inspector {
    /// All inspectors of a process share its memory.
    pub fn new(
        guard: Guard,
        outbound: Outbound,
        memory: Memory,
        limits: InspectionLimits,
        clock: Clock,
    ) -> Self {
        Self {
            guard,
            outbound,
            memory,
            limits,
            clock,
        }
    }

    /// An inspector with other bounds, which shares memory and lookups with this one.
    #[must_use]
    pub fn within(&self, limits: InspectionLimits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// Looks at the server of a URL, which is said to be of a type. Waits for places of this service so long at most, which takes
    /// nothing from the time that the server has.
    pub async fn inspect(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
        patience: Duration,
    ) -> Result<Inspection, PutOff> {
        timeout(self.limits.time + patience, self.inspected(url, claimed))
            .await
            .unwrap_or(Err(PutOff::NoPlace))
    }

    async fn inspected(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
    ) -> Result<Inspection, PutOff> {
        // Until the end.
        let _small = self.memory.small().await;
        let mut progress = Progress {
            tools: Mutex::default(),
            proxy_failure: Arc::default(),
            inspection: Inspection {
                outcome: Outcome::NotCheckable,
                message: String::new(),
                checked_at: self.clock.now(),
                latency_ms: None,
                transport: None,
                protocol_version: None,
                server_info: None,
                instructions: None,
                capabilities: Vec::new(),
                tools: Vec::new(),
                tools_listed: false,
                resource_count: None,
                prompt_count: None,
                authorization_servers: Vec::new(),
                tools_left_out: 0,
                extensions: None,
                fresh_for: None,
            },
        };
        let Some(url) = url.filter(|_| claimed != Some(ServerType::Stdio)) else {
            progress.say(
                Outcome::NotCheckable,
                match claimed {
                    Some(ServerType::Stdio) => {
                        "The server is a program that is run where it is used, and not by this service."
                    }
                    _ => "There is no address to call.",
                },
            );
            return Ok(progress.inspection);
        };
        match self.guard.target(url) {
            Ok(url) => {
                // What a server sends goes through much that others wrote, and none of it may end who checks the next one.
                let looking = AssertUnwindSafe(self.look(&url, claimed, &mut progress));
                if looking.catch_unwind().await.is_err() {
                    let message = "The server answers with what this service cannot read.";
                    progress.say(Outcome::NotMcp, message);
                }
            }
            Err(refusal) => progress.end(Outcome::Blocked, &refusal.into()),
        }
        if let Some(failure) = progress.proxy_failure.get() {
            return Err(PutOff::Proxy(failure.clone()));
        }
        let kept = progress.tools.into_inner();
        let kept = kept.unwrap_or_else(PoisonError::into_inner);
        progress.inspection.tools = kept.into_tools();
        Ok(progress.inspection)
    }

    async fn look(&self, url: &Url, claimed: Option<ServerType>, progress: &mut Progress) {
        let wire = Wire::new(
            self.guard.clone(),
            self.outbound.clone(),
            progress.proxy_failure.clone(),
            self.limits.clone(),
            self.memory.clone(),
        );
        let _inspection = wire.inspection();
        let stopwatch = wire.stopwatch();
        let talk_time = self.limits.time.saturating_sub(self.limits.close);
        let talking = stopwatch.within(talk_time, Box::pin(talk(&wire, url, claimed, progress)));
        let Ok(ended) = talking.await else {
            // Whoever said enough before is not late.
            if progress.inspection.transport.is_some() {
                progress.note("It did not list all that it offers in time.");
            } else if wire.line().awaits_proxy() {
                let message = "The outbound proxy did not connect to the server in time.";
                progress.say(Outcome::Timeout, message);
            } else {
                progress.say(Outcome::Timeout, "The server did not answer in time.");
            }
            return;
        };
        let Err(failure) = ended else { return };
        let (outcome, challenge, at) = match &failure {
            Failure::Blocked(_) => (Outcome::Blocked, None, None),
            Failure::Unreachable(_) | Failure::ByProxy(_) | Failure::Broken => {
                (Outcome::Unreachable, None, None)
            }
            Failure::AuthRequired(challenge, at) => {
                (Outcome::AuthRequired, challenge.as_deref(), Some(&**at))
            }
            Failure::Status(status) if is_out_of_order(*status) => {
                (Outcome::Unreachable, None, None)
            }
            // Some ask for a sign-in by forbidding.
            Failure::Status(StatusCode::FORBIDDEN) => (Outcome::NotMcp, None, Some(url)),
            Failure::Status(_) | Failure::NotMcp(_) | Failure::UnknownCoding(_) => {
                (Outcome::NotMcp, None, None)
            }
        };
        progress.end(outcome, &failure);
        let Some(at) = at else { return };
        let left = self.limits.time.saturating_sub(stopwatch.elapsed());
        let attempt = wire.fresh();
        let servers = Box::pin(authorization::servers(&attempt, at, challenge));
        let servers = stopwatch.within(left, servers).await.unwrap_or_default();
        if outcome == Outcome::AuthRequired || !servers.is_empty() {
            let at = Failure::AuthRequired(None, Box::new(at.clone()));
            progress.end(Outcome::AuthRequired, &at);
        }
        progress.inspection.authorization_servers = servers;
    }
}

/// Such a status tells of a server that is out of order, or too busy, and nothing of what it speaks.
fn is_out_of_order(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || status == StatusCode::TOO_MANY_REQUESTS
}

/// Begins by the transport that is claimed, and by the other one where that finds nothing.
async fn talk(
    wire: &Wire,
    url: &Url,
    claimed: Option<ServerType>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let websocket_first = claimed == Some(ServerType::Websocket)
        || (claimed.is_none() && matches!(url.scheme(), "ws" | "wss"));
    let first = if websocket_first {
        by_websocket(wire, url, progress).await
    } else {
        by_http(wire, url, progress).await
    };
    let Err(failure) = first else { return Ok(()) };
    // Uvicorn and others forbid the handshake where there is no WebSocket.
    let is_forbidden_handshake =
        websocket_first && matches!(failure, Failure::Status(StatusCode::FORBIDDEN));
    if !(may_be_another(&failure) || is_forbidden_handshake)
        || progress.inspection.transport.is_some()
    {
        return Err(failure);
    }
    let second = if websocket_first {
        by_http(wire, url, progress).await
    } else {
        by_websocket(wire, url, progress).await
    };
    match second {
        Ok(()) | Err(Failure::AuthRequired(..)) => {}
        // The transport that is claimed is what counts.
        Err(_) if progress.inspection.transport.is_none() => return Err(failure),
        Err(_) => {}
    }
    if let Err(sign_in) = second
        && progress.inspection.transport.is_none()
    {
        return Err(sign_in);
    }
    if claimed.is_some() {
        let message = if websocket_first {
            "The server speaks MCP over HTTP, and not over WebSocket."
        } else {
            "The server speaks MCP over WebSocket, and not over HTTP."
        };
        progress.say(Outcome::WrongTransport, message);
    }
    Ok(())
}

/// Whether another transport may find what this one did not.
fn may_be_another(failure: &Failure) -> bool {
    match failure {
        Failure::NotMcp(_) | Failure::UnknownCoding(_) | Failure::Broken => true,
        Failure::Status(status) => !is_out_of_order(*status) && *status != StatusCode::FORBIDDEN,
        _ => false,
    }
}

async fn by_http(wire: &Wire, url: &Url, progress: &mut Progress) -> Result<(), Failure> {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "wss" | "https" => "https",
        _ => "http",
    };
    url.set_scheme(scheme)
        .map_err(|()| super::guard::Refusal::NotAUrl)?;
    let streamable = |attempt: &Wire| {
        let transport = streamable_http(attempt.clone(), &url);
        std::future::ready(Ok(transport))
    };
    let begun = begin(wire, Transport::StreamableHttp, progress, streamable).await;
    let Err(failure) = begun else { return Ok(()) };
    if !may_be_another(&failure) || progress.inspection.transport.is_some() {
        return Err(failure);
    }
    let attempt = wire.fresh();
    let opening = wire.stopwatch().within(
        wire.limits().beginning,
        Box::pin(SseTransport::open(attempt.clone(), &url)),
    );
    match opening.await {
        Ok(Ok(transport)) => {
            let initialize = ClientLifecycleMode::Initialize;
            converse(&attempt, transport, initialize, Transport::Sse, progress).await
        }
        Ok(Err(sign_in @ Failure::AuthRequired(..))) => Err(sign_in),
        _ => Err(failure),
    }
}

async fn by_websocket(wire: &Wire, url: &Url, progress: &mut Progress) -> Result<(), Failure> {
    let open = |attempt: &Wire| WebSocketTransport::open(attempt.clone(), url);
    begin(wire, Transport::WebSocket, progress, open).await
}

/// Asks a server of the 2026 revision what it is, and one of an earlier revision, on a new transport, to begin a session: what an
/// earlier one makes of an unknown first request, some do not survive.
async fn begin<T, F>(
    wire: &Wire,
    kind: Transport,
    progress: &mut Progress,
    open: impl Fn(&Wire) -> F,
) -> Result<(), Failure>
where
    T: Transporting<RoleClient> + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    let attempt = wire.fresh();
    let discover = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    let discovering = async {
        let transport = open(&attempt).await?;
        start(&attempt, transport, discover).await
    };
    let beginning = wire.limits().beginning;
    match wire
        .stopwatch()
        .within(beginning, Box::pin(discovering))
        .await
    {
        Ok(Ok(session)) => return list(&attempt, session, kind, progress).await,
        Ok(Err(
            failure @ (Failure::Blocked(_)
            | Failure::Unreachable(_)
            | Failure::ByProxy(_)
            | Failure::AuthRequired(..)),
        )) => return Err(failure),
        Ok(Err(_)) | Err(_) => {}
    }
    let attempt = wire.fresh();
    let transport = open(&attempt).await?;
    converse(
        &attempt,
        transport,
        ClientLifecycleMode::Initialize,
        kind,
        progress,
    )
    .await
}

async fn converse<T>(
    wire: &Wire,
    transport: T,
    lifecycle: ClientLifecycleMode,
    kind: Transport,
    progress: &mut Progress,
) -> Result<(), Failure>
where
    T: Transporting<RoleClient> + 'static,
{
    let session = start(wire, transport, lifecycle).await?;
    list(wire, session, kind, progress).await
}

async fn start<T>(
    wire: &Wire,
    transport: T,
    lifecycle: ClientLifecycleMode,
) -> Result<Session, Failure>
where
    T: Transporting<RoleClient> + 'static,
{
    let service = ClientImplementation::describe();
    let begun = tokio::select! {
        begun = service.serve_with_lifecycle(transport, lifecycle) => begun,
        failure = wire.failed() => return Err(failure),
    };
    begun.map_err(|error| wire.failure().unwrap_or_else(|| unbegun(&error)))
}

/// Who the service says it is.
struct ClientImplementation;

impl ClientImplementation {
    fn describe() -> ClientConfig {
        let name = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), name)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}

fn unbegun(error: &ClientInitializeError) -> Failure {
    Failure::NotMcp(match error {
        ClientInitializeError::JsonRpcError(_) => "refuses to begin a session",
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "speaks no revision of MCP that this service knows"
        }
        ClientInitializeError::ConnectionClosed(_) => "ends the connection without an answer",
        _ => "does not answer as MCP has it",
    })
}

/// Keeps what the server says of itself, and asks for what it offers.
async fn list(
    wire: &Wire,
    mut session: Session,
    kind: Transport,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let limits = wire.limits();
    let peer = session.peer().clone();
    let description = peer
        .peer_info()
        .and_then(|info| Description::of(&info, limits));
    let description = description.ok_or(Failure::NotMcp("does not say what it is"))?;
    progress.begun(&description, kind, wire.stopwatch().elapsed());
    let listed = tokio::select! {
        () = offers(&peer, &description, limits, &progress.tools, &mut progress.inspection) => Ok(()),
        failure = wire.failed() => Err(failure),
    };
    // It ends the session; a server that takes its time with it is left.
    let _ = session.close_with_timeout(limits.close).await;
    match listed {
        Err(failure @ Failure::AuthRequired(..)) => Err(failure),
        Err(_) => {
            progress.note("It did not list all that it offers.");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

impl Progress {
    /// The server speaks MCP.
    fn begun(&mut self, description: &Description, kind: Transport, latency: Duration) {
        self.say(Outcome::Open, "The server speaks MCP.");
        let found = &mut self.inspection;
        found.latency_ms = u64::try_from(latency.as_millis()).ok();
        found.transport = Some(kind);
        found.protocol_version = Some(description.protocol_version.clone());
        found.server_info.clone_from(&description.server_info);
        found.instructions.clone_from(&description.instructions);
        found.capabilities.clone_from(&description.capabilities);
        found.extensions.clone_from(&description.extensions);
        if is_deprecated(kind) {
            self.note(
                "It speaks HTTP+SSE, which MCP has deprecated: streamable HTTP takes its place.",
            );
        }
    }

    fn note(&mut self, note: &str) {
        self.inspection.note(note);
    }

    fn say(&mut self, outcome: Outcome, message: &str) {
        self.inspection.outcome = outcome;
        message.clone_into(&mut self.inspection.message);
    }

    fn end(&mut self, outcome: Outcome, failure: &Failure) {
        self.say(outcome, &format!("The server {failure}."));
    }
}
