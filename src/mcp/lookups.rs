//! Asks the system for the addresses of names.
//!
//! Invariant: no more names are asked for at once than there are slots, and each name once, however many wait for it. A name
//! whose name server hangs has one thread.

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

/// Names that are asked for at once: half the threads that the runtime has for what blocks. The system's resolver goes on for up to
/// 20 s with its defaults when nobody waits any more, and an inspection has 8 s: so many are enough for 100 inspections at once
/// whose names all hang.
const SLOTS: usize = 256;

/// The time until something is tried again for which the process had no file or no memory.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// Asks for the addresses of a name.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// All addresses of a host's name. An error means that the name is not known, unless it says that this process has no file
    /// or memory: then the name is asked for again.
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: its hosts file and name servers.
#[derive(Debug)]
struct System;

impl Lookup for System {
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let ask = move || match (host.as_str(), 0).to_socket_addrs() {
            Ok(found) => Ok(found.map(|found| found.ip()).collect()),
            // The resolver does not always say that it could not open a socket.
            Err(error) => Err(UdpSocket::bind("0.0.0.0:0").err().unwrap_or(error)),
        };
        async move { tokio::task::spawn_blocking(ask).await? }.boxed()
    }
}

/// None if the name is not known.
type Found = Result<Option<Arc<[IpAddr]>>, Exhausted>;

/// The process has no file or no memory to spare.
#[derive(Clone, Copy, Debug)]
struct Exhausted;

/// Names that are asked for, and the slots to ask from. Clones share them.
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

    /// The addresses of a name; none if it is not known. What is held is dropped as soon as the name is not asked for any more,
    /// which may be long after nobody waits for it.
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

    /// Asks for a name, unless somebody has begun to meanwhile.
    fn ask(&self, host: &str, held: impl Send + 'static) -> Shared<BoxFuture<'static, Found>> {
        let found = self.0.lookup.addresses(host.to_owned());
        let (lookups, name) = (self.clone(), host.to_owned());
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = names.get(host) {
            return asked.clone();
        }
        // A task of its own goes on when nobody waits.
        let asking = tokio::spawn(async move {
            let _end = (End { lookups, name }, held);
            match found.await {
                Ok(found) => Ok(Some(found.into())),
                Err(error) if is_ours(&error) => Err(Exhausted),
                Err(_) => Ok(None),
            }
        });
        // Only a panic of the task is an error.
        let asked = asking.map(|found| found.unwrap_or(Ok(None))).boxed();
        let asked = asked.shared();
        names.insert(host.to_owned(), asked.clone());
        asked
    }
}

/// The end of a question, however it ends.
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

    /// Hangs for names that begin so, until it is let go on, and knows all others.
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

    /// A look-up that waited for a slot has all of its time left then.
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
