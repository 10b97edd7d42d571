//! The inspector: finds out whether a server speaks MCP, and reads its description.
//!
//! Invariant: an inspection ends in time, costs no more than its [`InspectionLimits`], and ends every session that it
//! can.

use std::{
    future::ready,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use entity::ServerType;
use futures_util::FutureExt;
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
        tools::BoundedTools,
    },
    outbound::{Outbound, proxy::ProxyFailure},
};

use super::{
    authorization,
    failure::{Failure, NO_ANSWER, NO_ENDPOINT},
    guard::{Guard, Refusal},
    memory::Memory,
    offers::{Description, offers},
    transport::{sse::SseTransport, streamable_http, websocket::WebSocketTransport},
    verdict::{self, Attempt, Claim, Evidence, Verdict},
    wire::Wire,
};

/// Inspects MCP servers.
#[derive(Clone)]
pub struct Inspector {
    guard: Guard,
    outbound: Outbound,
    memory: Memory,
    limits: InspectionLimits,
    clock: Clock,
}

/// An inspection without a result, for a reason that is not the server's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutOff {
    /// It waited in vain for a slot of this service.
    #[error("this process had no memory, file or name look-up for them")]
    Exhausted,
    /// The outbound proxy failed, or its setting is wrong. The server's state is unknown.
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

/// The state of an inspection in progress.
struct Progress {
    claim: Claim,
    inspection: Inspection,
    /// The last attempt over each transport.
    attempts: Vec<(Transport, Wire)>,
    /// The failure that ended the lists of a session; none if they were answered.
    unlisted: Option<Failure>,
    /// The tools of the pages received so far; a failed page does not remove them.
    tools: Mutex<BoundedTools>,
    /// The outbound proxy's fault, set by any of the connections.
    proxy_failure: Arc<OnceLock<ProxyFailure>>,
}

/// An MCP session of the library's client.
type Session = RunningService<RoleClient, ClientConfig>;

impl Inspector {
    /// Creates an inspector. All inspectors of a process share one memory.
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

    /// Returns an inspector with other limits, which shares memory and lookups with this one.
    #[must_use]
    pub(crate) fn within(&self, limits: InspectionLimits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// Inspects the server of a URL and of a claimed type. The wait for slots of this service is bounded, and does not
    /// count as the server's time.
    pub async fn inspect(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
        patience: Duration,
    ) -> Result<Inspection, PutOff> {
        timeout(self.limits.time + patience, self.inspected(url, claimed))
            .await
            .unwrap_or(Err(PutOff::Exhausted))
    }

    async fn inspected(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
    ) -> Result<Inspection, PutOff> {
        // The share is held until the end.
        let _small = self.memory.small().await;
        let mut progress = Progress {
            claim: Claim::default(),
            attempts: Vec::new(),
            unlisted: None,
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
                        "The server is a program on the user's machine, which this service does not run."
                    }
                    _ => "The server has no address to call.",
                },
            );
            return Ok(progress.inspection);
        };
        match self.guard.target(url) {
            Ok(url) => {
                progress.claim = Claim::new(claimed, url.scheme());
                // A server's output passes through several libraries. A panic in one of them must not end the
                // inspector.
                let looking = AssertUnwindSafe(self.look(&url, &mut progress));
                if looking.catch_unwind().await.is_err() {
                    let message = "The server's answer cannot be read.";
                    progress.say(Outcome::NotMcp, message);
                }
            }
            Err(refusal) => progress.end(Outcome::Blocked, Some(refusal.into())),
        }
        if let Some(failure) = progress.proxy_failure.get() {
            return Err(PutOff::Proxy(failure.clone()));
        }
        let kept = progress.tools.into_inner();
        let kept = kept.unwrap_or_else(PoisonError::into_inner);
        progress.inspection.tools = kept.into_tools();
        Ok(progress.inspection)
    }

    async fn look(&self, url: &Url, progress: &mut Progress) {
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
        // Attempts and lists count as late until they end, so a late end needs no record.
        let _ = stopwatch
            .within(talk_time, Box::pin(talk(&wire, url, progress)))
            .await;
        let verdict = progress.verdict();
        if verdict.failure == Some(Failure::Late)
            && progress.inspection.transport.is_none()
            && wire.line().awaits_proxy()
        {
            let message = "The outbound proxy did not connect to the server in time.";
            progress.say(Outcome::Timeout, message);
            return;
        }
        if let Some(outcome) = verdict.with_issuers {
            let (challenges, at) = match &verdict.failure {
                Some(Failure::AuthRequired(challenges, at)) => (&challenges[..], &**at),
                _ => (&[][..], url),
            };
            let left = self.limits.time.saturating_sub(stopwatch.elapsed());
            let attempt = wire.fresh();
            let servers = Box::pin(authorization::servers(&attempt, at, challenges));
            let servers = stopwatch.within(left, servers).await.unwrap_or_default();
            let is_sign_in = outcome == verdict.outcome || !servers.is_empty();
            progress.inspection.authorization_servers = servers;
            if is_sign_in {
                let failure = Failure::AuthRequired(Vec::new(), Box::new(at.clone()));
                progress.end(outcome, Some(failure));
                return;
            }
        }
        progress.end(verdict.outcome, verdict.failure);
    }
}

/// Tries all transports, the claimed ones first, until another one cannot change the result.
async fn talk(wire: &Wire, url: &Url, progress: &mut Progress) {
    for transport in progress.claim.order() {
        let tried = match transport {
            Transport::StreamableHttp => {
                let open = |attempt| ready(http(url).map(|url| streamable_http(attempt, &url)));
                begin(wire, transport, progress, open).await
            }
            Transport::Sse => by_sse(wire, url, progress).await,
            Transport::WebSocket => {
                let open = |attempt| WebSocketTransport::open(attempt, url);
                begin(wire, transport, progress, open).await
            }
        };
        match tried {
            Err(failure) if !verdict::is_final(transport, &failure) => {}
            _ => return,
        }
    }
}

/// Returns the URL for HTTP, if it is one for WebSocket.
fn http(url: &Url) -> Result<Url, Failure> {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "wss" | "https" => "https",
        _ => "http",
    };
    url.set_scheme(scheme).map_err(|()| Refusal::NotAUrl)?;
    Ok(url)
}

async fn by_sse(wire: &Wire, url: &Url, progress: &mut Progress) -> Result<(), Failure> {
    let attempt = progress.attempt(Transport::Sse, wire);
    let opening = async { SseTransport::open(attempt.clone(), &http(url)?).await };
    let beginning = wire.limits().beginning;
    let opened = wire.stopwatch().within(beginning, Box::pin(opening)).await;
    let opened = opened.unwrap_or_else(|_| {
        Err(match attempt.evidence() {
            Evidence::Channel => NO_ENDPOINT,
            _ => Failure::Late,
        })
    });
    let transport = opened.map_err(|failure| attempt.fail(failure))?;
    let initialize = ClientLifecycleMode::Initialize;
    converse(&attempt, transport, initialize, Transport::Sse, progress).await
}

/// Begins a session. It sends `server/discover`, and to a server of an earlier revision `initialize` over a new
/// transport: some servers do not survive an unknown first request.
async fn begin<T, F>(
    wire: &Wire,
    kind: Transport,
    progress: &mut Progress,
    open: impl Fn(Wire) -> F,
) -> Result<(), Failure>
where
    T: Transporting<RoleClient> + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    let attempt = progress.attempt(kind, wire);
    let discover = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    let discovering = async {
        let transport = open(attempt.clone()).await;
        let transport = transport.map_err(|failure| attempt.fail(failure))?;
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
    let attempt = progress.attempt(kind, wire);
    let transport = open(attempt.clone()).await;
    let transport = transport.map_err(|failure| attempt.fail(failure))?;
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
        biased;
        failure = wire.failed() => return Err(failure),
        begun = service.serve_with_lifecycle(transport, lifecycle) => begun,
    };
    begun.map_err(|error| wire.fail(unbegun(&error)))
}

/// The name and version of this service as an MCP client.
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
            "speaks only versions of MCP that this service does not know"
        }
        ClientInitializeError::ConnectionClosed(_) => return NO_ANSWER,
        _ => "answers against the MCP specification",
    })
}

/// Stores the server's description, and requests its lists.
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
        .and_then(|info| Description::of(&info, wire));
    let description =
        description.ok_or_else(|| wire.fail(Failure::NotMcp("does not describe itself")))?;
    progress.begun(&description, kind, wire.stopwatch().elapsed());
    progress.unlisted = tokio::select! {
        biased;
        failure = wire.failed() => Some(failure),
        () = offers(&peer, wire, &description, &progress.tools, &mut progress.inspection) => None,
    };
    // This ends the session; a slow server is not waited for.
    let _ = session.close_with_timeout(limits.close).await;
    Ok(())
}

impl Progress {
    /// Begins an attempt over a transport, within the remaining limits. It replaces an earlier one over the same
    /// transport.
    fn attempt(&mut self, transport: Transport, wire: &Wire) -> Wire {
        let attempt = wire.fresh();
        self.attempts.retain(|(earlier, _)| *earlier != transport);
        self.attempts.push((transport, attempt.clone()));
        attempt
    }

    fn verdict(&mut self) -> Verdict {
        if self.inspection.transport.is_some() {
            return verdict::of_session(self.inspection.outcome, self.unlisted.take());
        }
        let attempts = self.attempts.iter().map(|(transport, wire)| {
            let failure = wire.failure().unwrap_or(Failure::Late);
            Attempt::new(*transport, wire.evidence(), failure)
        });
        verdict::of_attempts(self.claim, attempts.collect())
    }

    /// Records that the server speaks MCP.
    fn begun(&mut self, description: &Description, kind: Transport, latency: Duration) {
        let (outcome, message) = verdict::begun(self.claim, kind);
        self.say(outcome, message);
        self.unlisted = Some(Failure::Late);
        let found = &mut self.inspection;
        found.latency_ms = u64::try_from(latency.as_millis()).ok();
        found.transport = Some(kind);
        found.protocol_version = Some(description.protocol_version.clone());
        found.server_info.clone_from(&description.server_info);
        found.instructions.clone_from(&description.instructions);
        found.capabilities.clone_from(&description.capabilities);
        found.extensions.clone_from(&description.extensions);
        if is_deprecated(kind) {
            self.note("It speaks HTTP+SSE, which MCP has deprecated in favour of streamable HTTP.");
        }
    }

    fn note(&mut self, note: &str) {
        self.inspection.note(note);
    }

    fn say(&mut self, outcome: Outcome, message: &str) {
        self.inspection.outcome = outcome;
        message.clone_into(&mut self.inspection.message);
    }

    /// Sets the outcome and message. After a session, the message names the failure that ended its lists.
    fn end(&mut self, outcome: Outcome, failure: Option<Failure>) {
        let has_begun = self.inspection.transport.is_some();
        match failure {
            None => {}
            Some(Failure::AuthRequired(..)) if has_begun && outcome == Outcome::AuthRequired => {
                self.say(
                    outcome,
                    "The server asks for a sign-in before it lists what it offers.",
                );
            }
            Some(failure) if has_begun => {
                self.note(&format!("Its list is incomplete: it {failure}."));
            }
            Some(failure) => self.say(outcome, &format!("The server {failure}.")),
        }
    }
}
