//! Tests with real keys, and with an issuer on a socket.

mod claims;
mod jwks;
mod tokens;

use std::{
    collections::BTreeSet,
    path::Path,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::Timestamp;
use futures_util::{FutureExt, future::join_all};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use url::Url;

use super::{errors::*, refusal::*, token::*, verify::*, *};
use crate::{
    clock::Clock,
    config::{KeySource, OutboundRules, Secret, TokenRules},
    domain::viewer::{Profile, User, Viewer},
    outbound::Outbound,
};

const SECRET: &[u8; 32] = b"a secret of the tests: 32 bytes.";
/// 2025-01-01T00:00:00Z, in seconds.
const NOW: i64 = 1_735_689_600;
const DAY: i64 = 86_400;
const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn clock() -> Clock {
    Clock::fixed(at(NOW))
}

fn secret() -> Secret {
    Secret::new(*SECRET).unwrap()
}

/// Rules with every check.
fn rules(keys: KeySource) -> TokenRules {
    TokenRules {
        keys,
        jwks_max_age: Duration::from_hours(24),
        leeway: Duration::from_mins(1),
        issuers: vec!["https://issuer.example".to_owned()],
        audiences: vec!["connectors".to_owned()],
        user_claim: "sub".to_owned(),
        organization_claims: vec!["org_id".to_owned()],
        scope_claims: vec!["scope".to_owned()],
        name_claim: None,
        picture_claim: None,
        scope_prefix: None,
        default_organization: None,
        max_token_bytes: 16 * 1024,
        anonymous_read: true,
    }
}

async fn with_secret() -> Authenticator {
    let rules = rules(KeySource::Secret(secret()));
    Authenticator::new(rules, direct(), clock()).await.unwrap()
}

/// Returns claims that [`rules`] accept, with some replaced; null removes one.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example",
        "aud": "connectors",
        "sub": "ann",
        "exp": NOW + 600,
    });
    merge(&mut claims, changes);
    claims
}

fn merge(object: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => object.as_object_mut().unwrap().remove(name),
            value => object
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
}

/// A signer of tokens.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    kid: &'static str,
}

impl Signer {
    fn hs256() -> Self {
        Self {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(SECRET).unwrap(),
            kid: "hs",
        }
    }

    fn rs256() -> Self {
        let pem = include_bytes!("../../../../tests/it/keys/test-only-rsa.pem");
        let key = EncodingKey::from_rsa_der(&der(pem));
        Self {
            algorithm: Algorithm::RS256,
            key,
            kid: "rsa",
        }
    }

    fn rs256_short() -> Self {
        let pem = include_bytes!("../../../../tests/it/keys/test-only-rsa-1024.pem");
        let key = EncodingKey::from_rsa_der(&der(pem));
        Self {
            algorithm: Algorithm::RS256,
            key,
            kid: "short",
        }
    }

    fn es256() -> Self {
        let pem = include_bytes!("../../../../tests/it/keys/test-only-ec-p256.pem");
        let key = EncodingKey::from_ec_der(&der(pem));
        Self {
            algorithm: Algorithm::ES256,
            key,
            kid: "ec",
        }
    }

    fn es256_other() -> Self {
        let pem = include_bytes!("../../../../tests/it/keys/test-only-ec-p256-other.pem");
        let key = EncodingKey::from_ec_der(&der(pem));
        Self {
            algorithm: Algorithm::ES256,
            key,
            kid: "ec-other",
        }
    }

    fn eddsa() -> Self {
        let pem = include_bytes!("../../../../tests/it/keys/test-only-ed25519.pem");
        let key = EncodingKey::from_ed_der(&der(pem));
        Self {
            algorithm: Algorithm::EdDSA,
            key,
            kid: "ed",
        }
    }

    fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        merge(&mut jwk, &json!({"kid": self.kid, "use": "sig"}));
        jwk
    }

    /// Signs a token with any header and a valid signature.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |part| BASE64_URL_SAFE_NO_PAD.encode(part);
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm, "typ": "JWT", "kid": self.kid})
    }

    /// Returns a valid token.
    fn token(&self) -> String {
        self.sign(&self.header(), &claims(&json!({})))
    }
}

fn der(pem: &[u8]) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
    key.secret_der().to_vec()
}

/// Direct connections that trust the built-in authorities.
fn direct() -> Outbound {
    Outbound::new(&OutboundRules::default()).unwrap()
}

fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

/// Returns a token that lasts for three days.
fn long_token(signer: &Signer) -> String {
    let claims = claims(&json!({"exp": NOW + 3 * DAY}));
    signer.sign(&signer.header(), &claims)
}

async fn verified(authenticator: &Authenticator, signer: &Signer) -> Verified {
    let verified = authenticator.viewer(&bearer(&long_token(signer))).await;
    verified.unwrap()
}

/// Returns a future's output, if it is ready within five seconds.
async fn within<T>(future: impl Future<Output = T>) -> Option<T> {
    let given = tokio::time::timeout(Duration::from_secs(5), future).await;
    given.ok()
}

/// Waits up to five seconds for a condition.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(within(waiting).await.is_some(), "{what}");
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<User, Refusal> {
    let verified = authenticator.viewer(&bearer(token)).await?;
    Ok(verified.viewer.user().unwrap().clone())
}

async fn accepts(authenticator: &Authenticator, signer: &Signer) -> bool {
    ask(authenticator, &signer.token()).await.is_ok()
}

/// An issuer's JWKS on a socket, with its response and the number of requests.
struct Issuer {
    url: Url,
    answer: Mutex<(StatusCode, String)>,
    delay: Mutex<Duration>,
    fetches: AtomicUsize,
}

impl Issuer {
    async fn new(signers: &[&Signer]) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = Arc::new(Self {
            url: Url::parse(&format!("http://{address}/jwks")).unwrap(),
            answer: Mutex::new((StatusCode::OK, jwks(signers))),
            delay: Mutex::default(),
            fetches: AtomicUsize::new(0),
        });
        let serve = async |State(issuer): State<Arc<Self>>| {
            let delay = *issuer.delay.lock().unwrap();
            let answer = issuer.answer.lock().unwrap().clone();
            // A request is counted after its response was chosen.
            issuer.fetches.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(delay).await;
            answer
        };
        let router = Router::new()
            .route("/jwks", get(serve))
            .route(
                "/moved",
                get(async || (StatusCode::FOUND, [(header::LOCATION, "/jwks")]).into_response()),
            )
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    fn publish(&self, signers: &[&Signer]) {
        self.answer(StatusCode::OK, jwks(signers));
    }

    fn answer(&self, status: StatusCode, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn slow(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn authenticator(&self, clock: &Clock) -> Authenticator {
        let rules = rules(KeySource::JwksUrl(self.url.clone()));
        Authenticator::new(rules, direct(), clock.clone())
            .await
            .unwrap()
    }
}

fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

async fn with_file(path: &Path, jwks: &str) -> Result<Authenticator, StartError> {
    std::fs::write(path, jwks).unwrap();
    Authenticator::new(
        rules(KeySource::JwksFile(path.to_owned())),
        direct(),
        clock(),
    )
    .await
}

async fn with_jwks(jwks: &str) -> Authenticator {
    let file = tempfile::NamedTempFile::new().unwrap();
    with_file(file.path(), jwks).await.unwrap()
}
