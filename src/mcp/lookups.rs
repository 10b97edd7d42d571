//! Lookups of names with the system's resolver.
//!
//! Invariant: concurrent lookups never exceed the slots, and each name is looked up once however many wait. A name
//! whose DNS server hangs occupies one thread.

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, ToSocketAddrs, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{sync::Semaphore, time::sleep};

use crate::outbound::connection::is_ours;

use super::stopwatch::Stopwatch;

/// The most names looked up at once: half of the runtime's blocking threads. By default the system's resolver runs up
/// to 20 s, even if nobody waits; an inspection has 8 s. The slots suffice for 100 concurrent inspections whose names
/// all hang.
const SLOTS: usize = 256;

/// The delay before a retry if the process lacked files or memory.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// A resolver of names.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// Returns all addresses of a name. An error means an unknown name, unless it says that this process lacks files or
    /// memory: then the lookup is repeated.
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: its hosts file and name servers.
#[derive(Debug)]
struct System;

impl Lookup for System {
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let ask = move || match (host.as_str(), 0).to_socket_addrs() {
            Ok(found) => Ok(found.map(|found| found.ip()).collect()),
            // The resolver does not always report that it could not open a socket.
            Err(error) => Err(UdpSocket::bind("0.0.0.0:0").err().unwrap_or(error)),
        };
        async move { tokio::task::spawn_blocking(ask).await? }.boxed()
    }
}

/// The addresses; none if the name is unknown.
type Found = Result<Option<Arc<[IpAddr]>>, Exhausted>;

/// The process lacks files or memory.
#[derive(Clone, Copy, Debug)]
struct Exhausted;

/// Lookups in progress, and their slots. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Lookups(Arc<Asked>);

struct Asked {
    lookup: Arc<dyn Lookup>,
    slots: Arc<Semaphore>,
    names: Mutex<HashMap<String, Shared<BoxFuture<'static, Found>>>>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("lookup", &self.lookup)
            .finish_non_exhaustive()
    }
}

impl Lookups {
    pub(super) fn of_the_system() -> Self {
        Self::by(Arc::new(System))
    }

    pub(super) fn by(lookup: Arc<dyn Lookup>) -> Self {
        Self(Arc::new(Asked {
            lookup,
            slots: Arc::new(Semaphore::new(SLOTS)),
            names: Mutex::default(),
        }))
    }

    /// Returns the addresses of a name; none if it is unknown. `held` is dropped when the lookup ends, which may be
    /// long after the last caller stopped waiting.
    pub(super) async fn addresses(
        &self,
        host: &str,
        stopwatch: &Stopwatch,
        held: impl Send + 'static,
    ) -> Option<Arc<[IpAddr]>> {
        let mut held = Some(held);
        loop {
            let asked = if let Some(asked) = self.asked(host) {
                asked
            } else {
                let slot = self.0.slots.clone().acquire_owned();
                let slot = stopwatch.wait(slot).await.ok()?;
                self.ask(host, (slot, held.take()))
            };
            match asked.await {
                Ok(found) => return found,
                Err(Exhausted) => stopwatch.wait(sleep(AGAIN)).await,
            }
        }
    }

    fn asked(&self, host: &str) -> Option<Shared<BoxFuture<'static, Found>>> {
        let names = self.0.names.lock();
        let names = names.unwrap_or_else(PoisonError::into_inner);
        names.get(host).cloned()
    }

    /// Starts the lookup of a name, unless another caller started it meanwhile.
    fn ask(&self, host: &str, held: impl Send + 'static) -> Shared<BoxFuture<'static, Found>> {
        let found = self.0.lookup.addresses(host.to_owned());
        let (lookups, name) = (self.clone(), host.to_owned());
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = names.get(host) {
            return asked.clone();
        }
        // The task continues even if no caller waits.
        let asking = tokio::spawn(async move {
            let _end = (End { lookups, name }, held);
            match found.await {
                Ok(found) => Ok(Some(found.into())),
                Err(error) if is_ours(&error) => Err(Exhausted),
                Err(_) => Ok(None),
            }
        });
        // The only error is a panic of the task.
        let asked = asking.map(|found| found.unwrap_or(Ok(None))).boxed();
        let asked = asked.shared();
        names.insert(host.to_owned(), asked.clone());
        asked
    }
}

/// Ends a lookup on drop.
struct End {
    lookups: Lookups,
    name: String,
}

impl Drop for End {
    fn drop(&mut self) {
        let names = self.lookups.0.names.lock();
        let mut names = names.unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{sync::Notify, time::timeout};

    use super::*;

    /// Hangs for names with this prefix until released, and knows all others.
    #[derive(Debug, Default)]
    struct Slow {
        asked: AtomicUsize,
        go_on: Arc<Notify>,
    }

    impl Lookup for Slow {
        fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let go_on = self.go_on.clone();
            async move {
                if host.starts_with("slow") {
                    go_on.notified().await;
                }
                Ok(vec![[192, 0, 2, 1].into()])
            }
            .boxed()
        }
    }

    const SOON: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_name_that_hangs_has_one_slot() {
        let slow = Arc::new(Slow::default());
        let lookups = Lookups::by(slow.clone());
        let stopwatch = Stopwatch::default();
        for _ in 0..SLOTS + 10 {
            let asked = lookups.addresses("slow.example", &stopwatch, ());
            assert!(timeout(SOON, asked).await.is_err());
        }
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
        assert_eq!(lookups.0.slots.available_permits(), SLOTS - 1);
        let found = lookups.addresses("fast.example", &stopwatch, ()).await;
        assert!(found.is_some());
        slow.go_on.notify_one();
        let found = lookups.addresses("slow.example", &stopwatch, ()).await;
        assert!(found.is_some());
        assert!(lookups.0.names.lock().unwrap().is_empty());
        assert_eq!(lookups.0.slots.available_permits(), SLOTS);
    }

    /// A lookup that waited for a slot has its whole time left.
    #[tokio::test]
    async fn a_wait_for_a_slot_is_not_counted() {
        let slow = Arc::new(Slow::default());
        let lookups = Lookups::by(slow.clone());
        let stopwatch = Stopwatch::default();
        for name in 0..SLOTS {
            let name = format!("slow{name}.example");
            let asked = lookups.addresses(&name, &stopwatch, ());
            assert!(timeout(SOON, asked).await.is_err());
        }
        let later = Stopwatch::default();
        let (waiting, free) = (lookups.clone(), slow.go_on.clone());
        let asked = tokio::spawn(async move {
            let asked = waiting.addresses("fast.example", &later, ());
            later.within(SOON * 200, asked).await
        });
        sleep(SOON * 500).await;
        assert!(!asked.is_finished());
        free.notify_one();
        assert!(asked.await.unwrap().unwrap().is_some());
    }
}
