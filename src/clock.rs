//! Time and new ids.
//!
//! Invariant: nothing else in the project asks the system for the time or makes an id.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use entity::Timestamp;
use ulid::Ulid;

/// Tells the time and makes ids: the system's, or fixed ones for tests.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Fixed>>);

#[derive(Debug)]
struct Fixed {
    micros: AtomicI64,
    connector_ids: AtomicU64,
    request_ids: AtomicU64,
    holder_ids: AtomicU64,
}

impl Clock {
    pub fn system() -> Self {
        Self(None)
    }

    /// Stands still at `at` until it is set, and counts the ids of each kind.
    pub fn fixed(at: Timestamp) -> Self {
        Self(Some(Arc::new(Fixed {
            micros: AtomicI64::new(at.0),
            connector_ids: AtomicU64::new(0),
            request_ids: AtomicU64::new(0),
            holder_ids: AtomicU64::new(0),
        })))
    }

    /// Moves a fixed clock; the system's takes no orders.
    pub fn set(&self, at: Timestamp) {
        if let Some(fixed) = &self.0 {
            fixed.micros.store(at.0, Ordering::Relaxed);
        }
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is where time is told")]
            None => chrono::Utc::now().into(),
            Some(fixed) => Timestamp(fixed.micros.load(Ordering::Relaxed)),
        }
    }

    /// An id for a new connector: `pcon_` and a ULID in lower case.
    pub fn new_connector_id(&self) -> String {
        let ulid = self.new_ulid(|fixed| &fixed.connector_ids);
        format!("pcon_{}", ulid.to_string().to_ascii_lowercase())
    }

    /// An id for a request that brought none.
    pub fn new_request_id(&self) -> String {
        self.new_ulid(|fixed| &fixed.request_ids).to_string()
    }

    /// An id for who holds a lease, unlike all other processes'.
    pub fn new_holder_id(&self) -> String {
        self.new_ulid(|fixed| &fixed.holder_ids).to_string()
    }

    fn new_ulid(&self, counter: impl Fn(&Fixed) -> &AtomicU64) -> Ulid {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is where ids are made")]
            None => Ulid::generate(),
            Some(fixed) => {
                let count = counter(fixed).fetch_add(1, Ordering::Relaxed);
                let millis = u64::try_from(self.now().0 / 1000).unwrap_or(0);
                Ulid::from_parts(millis, u128::from(count))
            }
        }
    }
}
