//! The keys that tokens are verified with, read again and again in the background.
//!
//! Invariant: no request waits for a JWKS but one whose token says a `kid` that is not known. While the JWKS answers, a key
//! that it no longer has verifies nothing after ten minutes; while it does not, no key does after
//! [`TokenRules::jwks_max_age`](crate::config::TokenRules::jwks_max_age).

use std::{
    future::pending,
    hash::{BuildHasher, Hasher, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use jsonwebtoken::jwk::Jwk;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    clock::{Clock, Moment},
    config::{KeySource, TokenRules},
    error::chain,
    outbound::Outbound,
};

use super::{
    errors::{StartError, Unread},
    jwks::Jwks,
    key_set::KeySet,
    token::{KeyDigest, TokenEnd},
};

/// How often the background task looks whether the JWKS is to be read.
const TICK: Duration = Duration::from_millis(250);
/// The time from one read to the next, less a random part: half of the ten minutes that a withdrawn key may last.
const REFRESH: Duration = Duration::from_mins(5);
/// The time from a read that failed to the next.
const FAILED: Duration = Duration::from_secs(30);
/// The time from one read to the next while there is no key, or while the keys are too old.
const MISSING: Duration = Duration::from_secs(1);
/// An unknown `kid` has the JWKS read again, but not if that was tried less than so long ago.
const RETRY: Duration = Duration::from_mins(1);

/// The keys of now.
pub(super) struct Keys {
    /// None where the key is a secret, which is never read again.
    jwks: Option<Jwks>,
    clock: Clock,
    max_age: Duration,
    current: watch::Sender<Arc<KeySet>>,
    reads: Mutex<Reads>,
    /// Locked during a read while there are keys: a caller that waits for it finds the answer there.
    reading: Arc<AsyncMutex<()>>,
}

/// The reads of a JWKS so far. Those of a secret say nothing.
struct Reads {
    /// The beginning of the last one.
    begun: Moment,
    /// When keys were last looked up for a token.
    looked_up: Option<Moment>,
    /// The time from that beginning to the next one.
    next_in: Duration,
    /// The beginning of the last one that succeeded, or of the first one.
    succeeded: Moment,
    is_failing: bool,
    /// How many have begun.
    count: u64,
    /// The number of the last one that succeeded. One that began earlier has nothing to add.
    newest: u64,
}

impl Keys {
    /// Reads the keys, and starts the task that reads them again for as long as they are used.
    pub(super) async fn new(
        rules: &TokenRules,
        outbound: Outbound,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let (jwks, secret) = match &rules.keys {
            KeySource::Secret(secret) => (None, Some(secret)),
            KeySource::JwksFile(path) => (Some(Jwks::file(path.clone())), None),
            KeySource::JwksUrl(url) => (Some(Jwks::url(url.clone(), outbound)?), None),
        };
        let now = clock.moment();
        let keys = Self {
            jwks,
            clock,
            max_age: rules.jwks_max_age,
            current: watch::Sender::new(Arc::new(match secret {
                Some(secret) => KeySet::secret(secret),
                None => KeySet::jwks(None),
            })),
            reads: Mutex::new(Reads {
                begun: now,
                looked_up: None,
                next_in: MISSING,
                succeeded: now,
                is_failing: false,
                count: 0,
                newest: 0,
            }),
            reading: Arc::default(),
        };
        if let Some(jwks) = &keys.jwks {
            let (number, begun) = keys.begin();
            let answer = jwks.read().await;
            match (&rules.keys, answer) {
                (KeySource::JwksFile(path), Err(cause)) => {
                    let path = path.clone();
                    return Err(StartError::JwksFile { path, cause });
                }
                (_, answer) => keys.end(number, begun, answer),
            }
        }
        match &rules.keys {
            KeySource::JwksFile(path) if keys.current().is_empty() => {
                return Err(StartError::NoKey(path.clone()));
            }
            _ => {}
        }
        let keys = Arc::new(keys);
        if keys.jwks.is_some() {
            tokio::spawn(keep_fresh(Arc::downgrade(&keys)));
        }
        Ok(keys)
    }

    /// The keys as they are known.
    pub(super) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.borrow())
    }

    /// The keys, read again unless that was tried a moment ago. Callers at the same time share one reading.
    pub(super) async fn fresh(self: &Arc<Self>) -> Arc<KeySet> {
        let turn = Arc::clone(&self.reading).lock_owned().await;
        if self.may_look_up()
            && let Some(reading) = self.read(Some(turn))
            && let Err(panic) = reading.await
        {
            tracing::error!(cause = chain(&panic), "reading the JWKS failed");
        }
        self.current()
    }

    /// Whether keys may be read for a token: not where they were read just now, and once in a while.
    fn may_look_up(&self) -> bool {
        let mut reads = self.reads();
        let again = |at: Moment| self.clock.since(at) >= RETRY;
        let may = self.clock.since(reads.begun) >= MISSING && reads.looked_up.is_none_or(again);
        if may {
            reads.looked_up = Some(self.clock.moment());
        }
        may
    }

    /// Whether the last read failed, so that there may be keys that are not known here.
    pub(super) fn is_failing(&self) -> bool {
        self.reads().is_failing
    }

    /// Ends when the key of this digest is one of the keys no more. Never ends without a digest: then no key can go.
    pub(super) fn gone(&self, key: Option<KeyDigest>) -> impl Future<Output = TokenEnd> + use<> {
        let mut current = self.current.subscribe();
        async move {
            let Some(key) = key else {
                return pending().await;
            };
            let gone = current.wait_for(|keys| !keys.has(key)).await;
            let end = gone.map(|keys| match keys.jwks {
                Some(_) => TokenEnd::KeyWithdrawn,
                None => TokenEnd::NoKeys,
            });
            match end {
                Ok(end) => end,
                Err(_) => pending().await,
            }
        }
    }

    /// Reads the keys again if that is due.
    fn read_if_due(self: &Arc<Self>) {
        let keys = self.current();
        let turn = if keys.is_empty() {
            // Beside a read that hangs.
            None
        } else if let Ok(turn) = Arc::clone(&self.reading).try_lock_owned() {
            Some(turn)
        } else {
            return;
        };
        let (begun, next_in) = {
            let reads = self.reads();
            let is_urgent = keys.is_empty() || self.is_too_old(&reads);
            (reads.begun, if is_urgent { MISSING } else { reads.next_in })
        };
        if self.clock.since(begun) >= next_in {
            drop(self.read(turn));
        }
    }

    /// Begins to read the keys again; none where they are a secret.
    ///
    /// In a task of its own, because a caller may hang up: who sent unknown keys and hung up could else keep the new ones out.
    fn read(self: &Arc<Self>, turn: Option<OwnedMutexGuard<()>>) -> Option<JoinHandle<()>> {
        self.jwks.as_ref()?;
        let (number, begun) = self.begin();
        let keys = Arc::clone(self);
        Some(tokio::spawn(async move {
            if let Some(jwks) = &keys.jwks {
                let answer = jwks.read().await;
                keys.end(number, begun, answer);
            }
            drop(turn);
        }))
    }

    /// Notes that a read begins.
    fn begin(&self) -> (u64, Moment) {
        let now = self.clock.moment();
        let mut reads = self.reads();
        reads.begun = now;
        // Until it has succeeded.
        reads.next_in = FAILED.min(self.max_age / 4);
        reads.count += 1;
        (reads.count, now)
    }

    /// Notes what a read gave.
    fn end(&self, number: u64, begun: Moment, answer: Result<Vec<Jwk>, Unread>) {
        let mut reads = self.reads();
        if number < reads.newest {
            return;
        }
        let known = self.current();
        match answer {
            Ok(jwks) => {
                let is_first = reads.newest == 0;
                let was_failing = mem::replace(&mut reads.is_failing, false);
                reads.newest = number;
                reads.succeeded = begun;
                reads.next_in = shortened(REFRESH.min(self.max_age / 2));
                let is_changed = known.jwks.as_ref() != Some(&jwks);
                let new = is_changed.then(|| KeySet::jwks(Some(jwks)));
                let usable_keys = new.as_ref().map_or(known.len(), KeySet::len);
                if was_failing {
                    tracing::info!(usable_keys, "the JWKS is read again");
                } else if is_changed && !is_first {
                    tracing::info!(usable_keys, "the JWKS has changed");
                }
                if usable_keys == 0 && (is_first || is_changed) {
                    tracing::warn!(
                        "the JWKS has no key that verifies RS256, ES256 or EdDSA: requests with a token are UNAVAILABLE"
                    );
                }
                if let Some(new) = new {
                    self.current.send_replace(Arc::new(new));
                }
            }
            Err(unread) => {
                let cause = chain(&unread);
                let was_failing = mem::replace(&mut reads.is_failing, true);
                if !was_failing && known.is_empty() {
                    tracing::warn!(
                        cause,
                        "the JWKS cannot be read: requests with a token are UNAVAILABLE until it can"
                    );
                } else if !was_failing {
                    tracing::warn!(
                        cause,
                        "the JWKS cannot be read: its last keys are used for --jwks-max-age"
                    );
                }
                if !known.is_empty() && self.is_too_old(&reads) {
                    tracing::warn!(
                        cause,
                        "the JWKS could not be read for --jwks-max-age: its keys are dropped, and requests with a token are \
                         UNAVAILABLE until it can"
                    );
                    self.current.send_replace(Arc::new(KeySet::jwks(None)));
                }
            }
        }
    }

    fn is_too_old(&self, reads: &Reads) -> bool {
        self.clock.since(reads.succeeded) >= self.max_age
    }

    fn reads(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the keys read when that is due, as long as somebody else has them.
async fn keep_fresh(keys: Weak<Keys>) {
    loop {
        sleep(TICK).await;
        let Some(keys) = keys.upgrade() else {
            return;
        };
        keys.read_if_due();
    }
}

/// A time less up to a fifth of it at random, so that replicas do not ask all at once.
fn shortened(time: Duration) -> Duration {
    let [random, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    time.saturating_sub(time / 5 * u32::from(random) / 256)
}
