//! The outcome of an inspection, as a function of its attempts. `docs/reference/outcomes.md` has the same table.
//!
//! Invariant: the verdict does not depend on time. Attempts are ordered by [`Claim::order`], not by their ends.

use entity::{Outcome, ServerType, Transport};
use hyper::StatusCode;

use super::failure::Failure;

// WebSocket close codes. The last two are private codes modelled on 401 and 403, which many servers use.
const GOING_AWAY: u16 = 1001;
const POLICY_VIOLATION: u16 = 1008;
const INTERNAL_ERROR: u16 = 1011;
const BAD_GATEWAY: u16 = 1014;
pub(super) const UNAUTHORIZED: u16 = 3000;
const FORBIDDEN: u16 = 3003;
pub(super) const PRIVATE_UNAUTHORIZED: u16 = 4401;
const PRIVATE_FORBIDDEN: u16 = 4403;

/// The transport that a server should speak, from its connector or from its URL's scheme.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim {
    websocket: bool,
    /// Whether the connector says so. Then another transport is `WRONG_TRANSPORT`.
    explicit: bool,
}

impl Claim {
    pub(super) fn new(claimed: Option<ServerType>, scheme: &str) -> Self {
        Self {
            websocket: match claimed {
                Some(claimed) => claimed == ServerType::Websocket,
                None => matches!(scheme, "ws" | "wss"),
            },
            explicit: claimed.is_some(),
        }
    }

    /// Returns all transports, the claimed ones first.
    pub(super) fn order(self) -> [Transport; 3] {
        if self.websocket {
            [
                Transport::WebSocket,
                Transport::StreamableHttp,
                Transport::Sse,
            ]
        } else {
            [
                Transport::StreamableHttp,
                Transport::Sse,
                Transport::WebSocket,
            ]
        }
    }

    fn has(self, transport: Transport) -> bool {
        (transport == Transport::WebSocket) == self.websocket
    }
}

/// The best evidence of an attempt, in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// A response that is not MCP; another transport may be.
    #[default]
    NotHere,
    /// No connection, no response, or an incomplete one.
    Silence,
    /// A status or close code of a server that cannot serve now.
    OutOfOrder,
    /// 403 without a challenge, or its equivalent on a WebSocket.
    Forbidden,
    /// An address that the guard refuses.
    Refused,
    /// An event stream or a WebSocket.
    Channel,
    /// A JSON-RPC message, or an event `endpoint`.
    Message,
    /// 401, or 403 with a challenge.
    SignIn,
}

impl Failure {
    /// Returns the outcome if this is the best evidence.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Blocked(_) => Outcome::Blocked,
            Self::Late => Outcome::Timeout,
            Self::Unreachable(_) | Self::ByProxy(_) | Self::Broken => Outcome::Unreachable,
            Self::AuthRequired(..) => Outcome::AuthRequired,
            Self::Status(_) | Self::Closed(_) | Self::NotMcp(_) | Self::UnknownCoding(_) => {
                match self.evidence() {
                    Evidence::OutOfOrder => Outcome::Unreachable,
                    _ => Outcome::NotMcp,
                }
            }
        }
    }

    pub(super) fn evidence(&self) -> Evidence {
        match self {
            Self::Blocked(_) => Evidence::Refused,
            Self::Late | Self::Unreachable(_) | Self::ByProxy(_) | Self::Broken => {
                Evidence::Silence
            }
            Self::AuthRequired(..) => Evidence::SignIn,
            Self::Status(StatusCode::FORBIDDEN)
            | Self::Closed(POLICY_VIOLATION | FORBIDDEN | PRIVATE_FORBIDDEN) => Evidence::Forbidden,
            Self::Status(status) if is_out_of_order(*status) => Evidence::OutOfOrder,
            Self::Closed(GOING_AWAY | INTERNAL_ERROR..=BAD_GATEWAY) => Evidence::OutOfOrder,
            Self::Status(_) | Self::Closed(_) | Self::NotMcp(_) | Self::UnknownCoding(_) => {
                Evidence::NotHere
            }
        }
    }
}

/// Returns whether the status means that the server, or a gateway before it, is out of order or too busy.
fn is_out_of_order(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(
            status,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::MISDIRECTED_REQUEST
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS
        )
}

/// The end of an attempt over one transport.
#[derive(Debug)]
pub(super) struct Attempt {
    transport: Transport,
    evidence: Evidence,
    failure: Failure,
}

impl Attempt {
    /// `seen` is the best evidence before the failure.
    pub(super) fn new(transport: Transport, seen: Evidence, failure: Failure) -> Self {
        Self {
            transport,
            evidence: seen.max(failure.evidence()),
            failure,
        }
    }
}

#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// The failure to report; none if all requests were answered.
    pub(super) failure: Option<Failure>,
    /// The outcome if the server's metadata names authorization servers (RFC 9728); none if the metadata is not
    /// requested.
    pub(super) with_issuers: Option<Outcome>,
}

/// Returns the outcome of a server that began a session over a transport.
pub(super) fn begun(claim: Claim, transport: Transport) -> (Outcome, &'static str) {
    if !claim.explicit || claim.has(transport) {
        (Outcome::Open, "The server speaks MCP.")
    } else if claim.websocket {
        (
            Outcome::WrongTransport,
            "The server speaks MCP over HTTP, and not over WebSocket.",
        )
    } else {
        (
            Outcome::WrongTransport,
            "The server speaks MCP over WebSocket, and not over HTTP.",
        )
    }
}

/// Returns the verdict on a server that began a session. `unlisted` ended its lists; none if they were answered.
pub(super) fn of_session(outcome: Outcome, unlisted: Option<Failure>) -> Verdict {
    let evidence = unlisted.as_ref().map(Failure::evidence);
    let is_open = outcome == Outcome::Open;
    let sign_in = if is_open {
        Outcome::AuthRequired
    } else {
        outcome
    };
    let (outcome, with_issuers) = match evidence {
        Some(Evidence::SignIn) => (sign_in, Some(sign_in)),
        Some(Evidence::Forbidden) => (outcome, Some(sign_in)),
        _ => (outcome, None),
    };
    Verdict {
        outcome,
        failure: unlisted,
        with_issuers,
    }
}

/// Returns the verdict on a server without a session. The best evidence counts, and the first of equal ones. An attempt
/// over an unclaimed transport counts only with a message or a sign-in.
pub(super) fn of_attempts(claim: Claim, attempts: Vec<Attempt>) -> Verdict {
    let counting = attempts
        .into_iter()
        .filter(|attempt| claim.has(attempt.transport) || attempt.evidence >= Evidence::Message)
        .rev()
        .max_by_key(|attempt| attempt.evidence);
    let failure = counting.map_or(Failure::Late, |attempt| attempt.failure);
    Verdict {
        outcome: failure.outcome(),
        with_issuers: matches!(failure.evidence(), Evidence::SignIn | Evidence::Forbidden)
            .then_some(Outcome::AuthRequired),
        failure: Some(failure),
    }
}

/// Returns whether a failure over a transport makes the next one pointless.
pub(super) fn is_final(transport: Transport, failure: &Failure) -> bool {
    match failure.evidence() {
        Evidence::SignIn | Evidence::Refused => true,
        // A server may refuse a GET of HTTP+SSE, but accept a WebSocket or a POST.
        Evidence::OutOfOrder => transport != Transport::Sse,
        // Uvicorn and others forbid an upgrade at a URL that only speaks HTTP.
        Evidence::Forbidden => transport == Transport::StreamableHttp,
        Evidence::Silence => matches!(failure, Failure::Unreachable(_) | Failure::ByProxy(_)),
        Evidence::NotHere | Evidence::Channel | Evidence::Message => false,
    }
}

#[cfg(test)]
mod tests {
    use Evidence::{Channel, Message, NotHere};
    use Transport::{Sse, StreamableHttp, WebSocket};
    use url::Url;

    use super::*;
    use crate::mcp::{failure::NOT_JSON_RPC, guard::Refusal};

    fn status(status: u16) -> Failure {
        Failure::Status(StatusCode::from_u16(status).unwrap())
    }

    fn sign_in() -> Failure {
        let url = Url::parse("https://a.example").unwrap();
        Failure::AuthRequired(Vec::new(), Box::new(url))
    }

    const HTTP: Claim = Claim {
        websocket: false,
        explicit: true,
    };
    const SOCKET: Claim = Claim {
        websocket: true,
        explicit: true,
    };
    const BROKEN: Failure = Failure::Broken;

    /// Each row has attempts, the reported failure and the outcome.
    #[test]
    fn the_attempt_with_the_best_evidence_counts() {
        let blocked = || Failure::Blocked(Refusal::NotAUrl);
        #[rustfmt::skip]
        let table = [
            // One transport.
            (HTTP, vec![(StreamableHttp, NotHere, status(404))], status(404), Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(501))], status(501), Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(426))], status(426), Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(503))], status(503), Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, Message, status(429))], status(429), Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, status(421))], status(421), Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, status(407))], status(407), Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, status(403))], status(403), Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, sign_in())], sign_in(), Outcome::AuthRequired),
            (HTTP, vec![(StreamableHttp, NotHere, blocked())], blocked(), Outcome::Blocked),
            (HTTP, vec![(StreamableHttp, NotHere, BROKEN)], BROKEN, Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, Failure::Late)], Failure::Late, Outcome::Timeout),
            (SOCKET, vec![(WebSocket, Channel, Failure::Closed(1013))], Failure::Closed(1013), Outcome::Unreachable),
            (SOCKET, vec![(WebSocket, Channel, Failure::Closed(1008))], Failure::Closed(1008), Outcome::NotMcp),
            // A POST finds nothing, and a GET finds more.
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, NotHere, status(404))], status(405),
                Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, NotHere, status(503))], status(503),
                Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, NotHere, status(403))], status(403),
                Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, NotHere, BROKEN)], BROKEN, Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, NotHere, Failure::Late)], Failure::Late,
                Outcome::Timeout),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, NotHere, blocked())], blocked(),
                Outcome::Blocked),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, Channel, NOT_JSON_RPC)], NOT_JSON_RPC,
                Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(405)), (Sse, Message, status(500))], status(500),
                Outcome::Unreachable),
            // A POST breaks, and a GET is not allowed.
            (HTTP, vec![(StreamableHttp, NotHere, BROKEN), (Sse, NotHere, status(405))], BROKEN, Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, Message, NOT_JSON_RPC), (Sse, NotHere, BROKEN)], NOT_JSON_RPC,
                Outcome::NotMcp),
            // Another transport counts only with a message or a sign-in.
            (HTTP, vec![(StreamableHttp, NotHere, status(404)), (WebSocket, NotHere, status(503))], status(404),
                Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(404)), (WebSocket, Channel, BROKEN)], status(404),
                Outcome::NotMcp),
            (HTTP, vec![(StreamableHttp, NotHere, status(404)), (WebSocket, Message, BROKEN)], BROKEN,
                Outcome::Unreachable),
            (HTTP, vec![(StreamableHttp, NotHere, status(404)), (WebSocket, NotHere, sign_in())], sign_in(),
                Outcome::AuthRequired),
            (SOCKET, vec![(WebSocket, NotHere, NOT_JSON_RPC), (StreamableHttp, NotHere, status(503))], NOT_JSON_RPC,
                Outcome::NotMcp),
            (SOCKET, vec![(WebSocket, NotHere, NOT_JSON_RPC), (StreamableHttp, NotHere, sign_in())], sign_in(),
                Outcome::AuthRequired),
            // No attempt ended.
            (HTTP, vec![], Failure::Late, Outcome::Timeout),
        ];
        for (claim, attempts, failure, outcome) in table {
            let name = format!("{attempts:?}");
            let attempts = attempts
                .into_iter()
                .map(|(transport, seen, failure)| Attempt::new(transport, seen, failure));
            let verdict = of_attempts(claim, attempts.collect());
            assert_eq!(verdict.failure.as_ref(), Some(&failure), "{name}");
            assert_eq!(verdict.outcome, outcome, "{name}");
            let asks =
                failure == sign_in() || failure == status(403) || failure == Failure::Closed(1008);
            let with_issuers = asks.then_some(Outcome::AuthRequired);
            assert_eq!(verdict.with_issuers, with_issuers, "{name}");
        }
    }

    #[test]
    fn a_session_counts_with_what_its_lists_came_to() {
        use Outcome::{AuthRequired, Open, WrongTransport};
        #[rustfmt::skip]
        let table = [
            (HTTP, StreamableHttp, None, Open, None),
            (HTTP, Sse, None, Open, None),
            (HTTP, StreamableHttp, Some(sign_in()), AuthRequired, Some(AuthRequired)),
            (HTTP, StreamableHttp, Some(status(403)), Open, Some(AuthRequired)),
            (HTTP, StreamableHttp, Some(status(404)), Open, None),
            (HTTP, StreamableHttp, Some(status(503)), Open, None),
            (HTTP, StreamableHttp, Some(Failure::Late), Open, None),
            (HTTP, WebSocket, None, WrongTransport, None),
            (HTTP, WebSocket, Some(sign_in()), WrongTransport, Some(WrongTransport)),
            (SOCKET, WebSocket, None, Open, None),
            (SOCKET, Sse, Some(status(403)), WrongTransport, Some(WrongTransport)),
            (Claim::new(None, "wss"), StreamableHttp, None, Open, None),
        ];
        for (claim, transport, unlisted, outcome, with_issuers) in table {
            let name = format!("{claim:?} {transport:?} {unlisted:?}");
            let verdict = of_session(begun(claim, transport).0, unlisted);
            assert_eq!(
                (verdict.outcome, verdict.with_issuers),
                (outcome, with_issuers),
                "{name}"
            );
        }
    }

    #[test]
    fn another_transport_is_tried_where_it_may_find_more() {
        for (transport, failure, is_last) in [
            (StreamableHttp, status(404), false),
            (StreamableHttp, status(426), false),
            (StreamableHttp, NOT_JSON_RPC, false),
            (StreamableHttp, BROKEN, false),
            (StreamableHttp, status(403), true),
            (StreamableHttp, status(503), true),
            (StreamableHttp, sign_in(), true),
            (Sse, status(403), false),
            (Sse, status(503), false),
            (Sse, Failure::Late, false),
            (Sse, sign_in(), true),
            (Sse, Failure::Blocked(Refusal::NotAUrl), true),
            (WebSocket, Failure::Unreachable("x"), true),
            (WebSocket, Failure::Closed(1000), false),
        ] {
            assert_eq!(
                is_final(transport, &failure),
                is_last,
                "{transport:?} {failure:?}"
            );
        }
    }
}
