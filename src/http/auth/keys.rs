//! The keys that verify tokens, refreshed in the background.
//!
//! Invariant: a request waits for a JWKS only if its token has an unknown `kid`. While the JWKS is readable, a removed
//! key is unusable after ten minutes. While it is not, all keys become unusable after
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

/// The interval at which the background task checks whether a read is due.
const TICK: Duration = Duration::from_millis(250);
/// The interval between reads, less a random part: half of the ten minutes that a removed key may last.
const REFRESH: Duration = Duration::from_mins(5);
/// The delay after a failed read.
const FAILED: Duration = Duration::from_secs(30);
/// The interval between reads while there is no key, or while the keys are too old.
const MISSING: Duration = Duration::from_secs(1);
/// The least time between two reads because of an unknown `kid`.
const RETRY: Duration = Duration::from_mins(1);

/// The current keys.
pub(super) struct Keys {
    /// The source of a JWKS; none for a secret, which is never read again.
    jwks: Option<Jwks>,
    clock: Clock,
    max_age: Duration,
    current: watch::Sender<Arc<KeySet>>,
    reads: Mutex<Reads>,
    /// Locked during a read while there are keys. A caller that waits for it uses the read's result.
    reading: Arc<AsyncMutex<()>>,
}

/// The reads of a JWKS so far. Unused with a secret.
struct Reads {
    /// The start of the last read.
    begun: Moment,
    /// The time of the last lookup of keys for a token.
    looked_up: Option<Moment>,
    /// The time from that start to the next read.
    next_in: Duration,
    /// The start of the last successful read, or of the first read.
    succeeded: Moment,
    is_failing: bool,
    /// The number of started reads.
    count: u64,
    /// The number of the last successful read. Results of earlier reads are ignored.
    newest: u64,
}

impl Keys {
    /// Reads the keys, and starts the task that refreshes them while they are used.
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

    /// Returns the current keys.
    pub(super) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.borrow())
    }

    /// Returns the keys, and reads them again unless that was tried a moment ago. Concurrent callers share one read.
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

    /// Returns whether keys may be read for a token: not right after another read, and at a limited rate.
    fn may_look_up(&self) -> bool {
        let mut reads = self.reads();
        let again = |at: Moment| self.clock.since(at) >= RETRY;
        let may = self.clock.since(reads.begun) >= MISSING && reads.looked_up.is_none_or(again);
        if may {
            reads.looked_up = Some(self.clock.moment());
        }
        may
    }

    /// Returns whether the last read failed, so that unknown keys may exist.
    pub(super) fn is_failing(&self) -> bool {
        self.reads().is_failing
    }

    /// Waits until the key with this digest is removed. Without a digest it never ends, because no key can be removed.
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

    /// Reads the keys again if a read is due.
    fn read_if_due(self: &Arc<Self>) {
        let keys = self.current();
        let turn = if keys.is_empty() {
            // The read runs beside another one that hangs.
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

    /// Starts a read of the keys; none for a secret.
    ///
    /// The read is a task of its own. Otherwise callers who send unknown keys and disconnect could prevent it from
    /// finishing.
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

    /// Records the start of a read.
    fn begin(&self) -> (u64, Moment) {
        let now = self.clock.moment();
        let mut reads = self.reads();
        reads.begun = now;
        // This holds until the read succeeds.
        reads.next_in = FAILED.min(self.max_age / 4);
        reads.count += 1;
        (reads.count, now)
    }

    /// Records the result of a read.
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
                        "the JWKS could not be read for --jwks-max-age: its keys are dropped, and requests with a \
                         token are UNAVAILABLE until it can"
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

/// Reads the keys whenever that is due, while they are used.
async fn keep_fresh(keys: Weak<Keys>) {
    loop {
        sleep(TICK).await;
        let Some(keys) = keys.upgrade() else {
            return;
        };
        keys.read_if_due();
    }
}

/// Shortens a time by up to a fifth at random, so that replicas do not read all at once.
fn shortened(time: Duration) -> Duration {
    let [random, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    time.saturating_sub(time / 5 * u32::from(random) / 256)
}
