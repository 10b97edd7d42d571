//! The keys that tokens are verified with, and where they come from.
//!
//! Invariant: a key verifies the one algorithm it is bound to, and a token stays cached no longer than the set of keys
//! that verified it.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use reqwest::redirect;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinHandle,
};
use url::Url;

use crate::{
    clock::Clock,
    config::{KeySource, Secret},
    error::chain,
};

use super::{refusal::Refusal, token::Jws, token_cache::TokenCache};

/// Why the service cannot start with these [`TokenRules`](crate::config::TokenRules).
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("tokens verified with a JWKS need an issuer and an audience to be checked against")]
    IssuerAndAudience,
    #[error("the default organization must be 1 to 255 characters without control characters")]
    DefaultOrganization,
    #[error(
        "--jwks: the URL must begin with https:// or http:// and hold no user name or password"
    )]
    JwksUrl,
    #[error("the HTTP client for the JWKS URL cannot be built")]
    HttpClient(#[source] reqwest::Error),
    #[error("--jwks {}", path.display())]
    JwksFile {
        path: PathBuf,
        #[source]
        cause: Unread,
    },
    #[error("--jwks {}: the file has no key that verifies RS256, ES256 or EdDSA", .0.display())]
    NoKey(PathBuf),
}

/// The least modulus of an RSA key (RFC 7518 §3.3).
const RSA_BITS: usize = 2048;

const JWKS_BYTES: usize = 1024 * 1024;
const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
const JWKS_REDIRECTS: usize = 3;
/// An unknown `kid` has the JWKS read again, but not if that was tried less than so long ago.
const RETRY: Duration = Duration::from_mins(1);
/// Keys are read again after so long even if they suffice: a key that was withdrawn shows by nothing else.
const OLD: Duration = Duration::from_mins(10);
/// The least time between two reads of the JWKS while there is no key.
const MISSING: Duration = Duration::from_secs(1);

/// Why a JWKS could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("it cannot be read")]
    File(#[source] io::Error),
    #[error("it cannot be fetched")]
    Fetch(#[source] reqwest::Error),
    #[error("it is larger than {JWKS_BYTES} bytes")]
    TooLarge,
    // Without the parser's words: they may quote what should not have been in there.
    #[error("it is not a JWK Set (RFC 7517 §5)")]
    NotAJwkSet,
}

/// The keys of one reading, and the tokens they verified.
pub(super) struct KeySet {
    algorithms: &'static [Algorithm],
    jwks: Vec<Jwk>,
    keys: Vec<Key>,
    pub(super) tokens: TokenCache,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl KeySet {
    fn secret(secret: &Secret) -> Self {
        // The library refuses an empty secret alone, and a `Secret` is none.
        let key = DecodingKey::from_secret(secret.bytes()).map(|decoding| Key {
            kid: None,
            algorithm: Algorithm::HS256,
            decoding,
        });
        Self {
            algorithms: &[Algorithm::HS256],
            jwks: Vec::new(),
            keys: key.into_iter().collect(),
            tokens: TokenCache::default(),
        }
    }

    fn jwks(jwks: Vec<Jwk>) -> Self {
        Self {
            algorithms: &[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            keys: jwks.iter().filter_map(Key::from_jwk).collect(),
            jwks,
            tokens: TokenCache::default(),
        }
    }

    /// Whether the token is signed by the one key that fits it: by its `kid`, if it says one (RFC 7515 §4.1.4), and by its
    /// algorithm.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), Refusal> {
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let named = || self.keys.iter().filter(|key| key.may_be(jws.kid.as_ref()));
        let mut fitting = named().filter(|key| key.algorithm == jws.algorithm);
        let key = match (fitting.next(), fitting.next()) {
            (Some(key), None) => key,
            (Some(_), Some(_)) => return Err(Refusal::AmbiguousKey),
            (None, _) if named().next().is_some() => return Err(Refusal::Algorithm),
            (None, _) => return Err(Refusal::UnknownKey),
        };
        if jws.is_signed_by(&key.decoding, key.algorithm) {
            Ok(())
        } else {
            Err(Refusal::Signature)
        }
    }
}

impl Key {
    /// The key of a JWK, unless it is of no use for us (RFC 7517 §5: such are ignored), is not meant to verify signatures
    /// (§4.2, §4.3), or is meant for another algorithm than its type's (§4.4).
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let common = &jwk.common;
        let verifies = common
            .key_algorithm
            .is_none_or(|alg| alg == algorithm.into())
            && (common.public_key_use.as_ref())
                .is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
            && (common.key_operations.as_ref())
                .is_none_or(|key_ops| key_ops.contains(&KeyOperations::Verify));
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        // The library takes keys of any length, and panics when it verifies with an Ed25519 key that is too short.
        let sound = match decoding.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } => bits(n) >= RSA_BITS,
            DecodingKeyKind::SecretOrDer(point) if algorithm == Algorithm::ES256 => {
                point.len() == 65
            }
            DecodingKeyKind::SecretOrDer(point) => point.len() == 32,
        };
        (verifies && sound).then(|| Self {
            kid: common.key_id.clone(),
            algorithm,
            decoding,
        })
    }

    /// Whether a token that says `kid` may mean this key.
    fn may_be(&self, kid: Option<&String>) -> bool {
        // The secret is the only key of its set, whatever the issuer calls it.
        kid.is_none() || self.kid.as_ref() == kid || self.algorithm == Algorithm::HS256
    }
}

/// The length of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros());
    (number.len() - zeros) * 8 - first as usize
}

/// The keys of now, read again when that is due.
pub(super) struct Keys {
    source: Source,
    clock: Clock,
    current: RwLock<Arc<KeySet>>,
    /// When they were last asked for. Locked for as long as that takes: whoever waits for it finds the answer there.
    asked_at: Arc<Mutex<Option<Instant>>>,
}

enum Source {
    Secret,
    File(PathBuf),
    Url { url: Url, client: reqwest::Client },
}

impl Keys {
    pub(super) async fn new(source: &KeySource, clock: Clock) -> Result<Arc<Self>, StartError> {
        let (source, current, asked_at) = match source {
            KeySource::Secret(secret) => (Source::Secret, KeySet::secret(secret), None),
            KeySource::JwksFile(path) => {
                let path = path.clone();
                let jwks = match read(&path).await {
                    Ok(jwks) => jwks,
                    Err(cause) => return Err(StartError::JwksFile { path, cause }),
                };
                let current = KeySet::jwks(jwks);
                if current.keys.is_empty() {
                    return Err(StartError::NoKey(path));
                }
                (Source::File(path), current, Some(clock.monotonic()))
            }
            KeySource::JwksUrl(url) => {
                let client = client(url)?;
                let (current, asked_at) = match fetch(&client, url).await {
                    Ok(jwks) => (KeySet::jwks(jwks), Some(clock.monotonic())),
                    Err(unread) => {
                        warn(&unread);
                        // The first token asks again at once.
                        (KeySet::jwks(Vec::new()), None)
                    }
                };
                let url = url.clone();
                (Source::Url { url, client }, current, asked_at)
            }
        };
        Ok(Arc::new(Self {
            source,
            clock,
            current: RwLock::new(Arc::new(current)),
            asked_at: Arc::new(Mutex::new(asked_at)),
        }))
    }

    /// The keys as they are known; old ones are read again behind the caller's back.
    pub(super) fn current(self: &Arc<Self>) -> Arc<KeySet> {
        if let Ok(asked_at) = Arc::clone(&self.asked_at).try_lock_owned() {
            drop(self.ask_after(OLD, asked_at));
        }
        self.known()
    }

    /// Whether there are any. Where there are none, they are read again behind the caller's back, once a second.
    pub(super) fn are_there(self: &Arc<Self>) -> bool {
        let are_there = !self.known().keys.is_empty();
        if !are_there && let Ok(asked_at) = Arc::clone(&self.asked_at).try_lock_owned() {
            drop(self.ask_after(MISSING, asked_at));
        }
        are_there
    }

    /// The keys, read again unless that was tried a moment ago. Callers at the same time share one reading.
    pub(super) async fn fresh(self: &Arc<Self>) -> Arc<KeySet> {
        let asked_at = Arc::clone(&self.asked_at).lock_owned().await;
        if let Some(asking) = self.ask_after(RETRY, asked_at)
            && let Err(panic) = asking.await
        {
            tracing::error!(cause = chain(&panic), "reading the JWKS failed");
        }
        self.known()
    }

    /// Begins to read the keys again if they were last asked for so long ago.
    ///
    /// In a task of its own, because a caller may hang up: who sent unknown keys and hung up could else keep the new ones out.
    fn ask_after(
        self: &Arc<Self>,
        time: Duration,
        mut asked_at: OwnedMutexGuard<Option<Instant>>,
    ) -> Option<JoinHandle<()>> {
        let now = self.clock.monotonic();
        let recently = |at: Instant| now.saturating_duration_since(at) < time;
        if matches!(self.source, Source::Secret) || asked_at.is_some_and(recently) {
            return None;
        }
        *asked_at = Some(now);
        let keys = Arc::clone(self);
        Some(tokio::spawn(async move {
            keys.ask().await;
            drop(asked_at);
        }))
    }

    async fn ask(&self) {
        let answer = match &self.source {
            Source::Secret => return,
            Source::File(path) => read(path).await,
            Source::Url { url, client } => fetch(client, url).await,
        };
        match answer {
            Ok(jwks) if jwks == self.known().jwks => {}
            Ok(jwks) => {
                let new = KeySet::jwks(jwks);
                tracing::info!(usable_keys = new.keys.len(), "the JWKS has changed");
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(new);
            }
            Err(unread) => warn(&unread),
        }
    }

    fn known(&self) -> Arc<KeySet> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

fn warn(unread: &Unread) {
    tracing::warn!(
        cause = chain(unread),
        "no new JWKS: the keys known so far stay"
    );
}

async fn read(path: &PathBuf) -> Result<Vec<Jwk>, Unread> {
    parse(&tokio::fs::read(path).await.map_err(Unread::File)?)
}

async fn fetch(client: &reqwest::Client, url: &Url) -> Result<Vec<Jwk>, Unread> {
    // Without the URL, whose query may hold what is not for the log.
    let failed = |error: reqwest::Error| Unread::Fetch(error.without_url());
    let response = client.get(url.clone()).send().await.map_err(failed)?;
    let mut response = response.error_for_status().map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > JWKS_BYTES {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    parse(&body)
}

/// The JWKs of a JWK Set that can be understood; others are ignored (RFC 7517 §5).
fn parse(json: &[u8]) -> Result<Vec<Jwk>, Unread> {
    #[derive(Deserialize)]
    struct JwkSet {
        keys: Vec<Value>,
    }
    let set: JwkSet = serde_json::from_slice(json).map_err(|_| Unread::NotAJwkSet)?;
    let jwks = set.keys.into_iter().map(serde_json::from_value);
    Ok(jwks.filter_map(Result::ok).collect())
}

/// A client that keeps to https when `url` does, redirects included.
pub(super) fn client(url: &Url) -> Result<reqwest::Client, StartError> {
    let bare = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "https" | "http") || !bare {
        return Err(StartError::JwksUrl);
    }
    // The client takes its cryptography from the process and panics where there is none. An error here says only that
    // somebody has installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(JWKS_TIMEOUT)
        .https_only(url.scheme() == "https")
        .redirect(redirect::Policy::limited(JWKS_REDIRECTS))
        // The environment's proxies: what the environment says is for the configuration to read.
        .no_proxy()
        .build()
        .map_err(StartError::HttpClient)
}
