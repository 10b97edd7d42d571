//! Connection counts by address.
//!
//! Invariant: an address has a limited number of connections. Beyond it, all addresses share a small number of surplus
//! connections. A new one ends the oldest, so that a probe is answered at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use crate::http::admission::rate_limit::Caller;

/// The connections of all addresses. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::http) struct Addresses(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The most connections of an address.
    each: usize,
    /// The most surplus connections.
    surplus: usize,
    /// Addresses without a limit of their own.
    trusted: Arc<[IpNet]>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    counts: HashMap<Caller, usize>,
    /// The surplus connections, oldest first.
    surplus: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// A connection, counted until drop.
#[derive(Debug)]
pub(in crate::http) struct Slot {
    addresses: Addresses,
    kind: SlotKind,
}

#[derive(Debug)]
enum SlotKind {
    /// The address of a trusted proxy.
    Exempt,
    Counted(Caller),
    Surplus(u64, CancellationToken),
}

impl Addresses {
    pub(in crate::http) fn new(each: usize, surplus: usize, trusted: Arc<[IpNet]>) -> Self {
        Self(Arc::new(Shared {
            each,
            surplus,
            trusted,
            open: Mutex::default(),
        }))
    }

    /// Returns the key by which a peer's connections and bytes are counted; none for a trusted proxy.
    pub(in crate::http) fn key(&self, peer: Peer) -> Option<Caller> {
        let Peer::Address(address) = peer else {
            return None;
        };
        let canonical = address.to_canonical();
        let is_trusted = self.0.trusted.iter().any(|net| net.contains(&canonical));
        (!is_trusted).then(|| Caller::at(peer))
    }

    /// Counts one more connection of an address.
    pub(in crate::http) fn enter(&self, key: Option<Caller>) -> Slot {
        let kind = match key {
            None => SlotKind::Exempt,
            Some(key) => self.lock().enter(key, self.0.each, self.0.surplus),
        };
        Slot {
            addresses: self.clone(),
            kind,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn enter(&mut self, key: Caller, each: usize, surplus: usize) -> SlotKind {
        let count = self.counts.entry(key.clone()).or_default();
        if *count < each {
            *count += 1;
            return SlotKind::Counted(key);
        }
        if self.surplus.len() >= surplus
            && let Some((_, oldest)) = self.surplus.pop_first()
        {
            oldest.cancel();
        }
        let (number, ends) = (self.next, CancellationToken::new());
        self.next += 1;
        self.surplus.insert(number, ends.clone());
        SlotKind::Surplus(number, ends)
    }
}

impl Slot {
    /// Returns whether the address is at its limit without this connection.
    pub(in crate::http) fn is_surplus(&self) -> bool {
        matches!(self.kind, SlotKind::Surplus(..))
    }

    /// Waits until a newer surplus connection replaces this one. Never ends for ordinary connections.
    pub(in crate::http) async fn ended(&self) {
        match &self.kind {
            SlotKind::Surplus(_, ends) => ends.cancelled().await,
            SlotKind::Exempt | SlotKind::Counted(_) => std::future::pending().await,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        match &self.kind {
            SlotKind::Exempt => {}
            SlotKind::Surplus(number, _) => {
                self.addresses.lock().surplus.remove(number);
            }
            SlotKind::Counted(key) => {
                let mut open = self.addresses.lock();
                if let Some(count) = open.counts.get_mut(key) {
                    *count -= 1;
                    if *count == 0 {
                        open.counts.remove(key);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_address_has_its_connections_and_the_newest_surplus_stays() {
        let trusted = Arc::from(["10.0.0.0/8".parse().unwrap()]);
        let addresses = Addresses::new(2, 2, trusted);
        let at = |address: &str| Peer::Address(address.parse().unwrap());
        let enter = |address: &str| addresses.enter(addresses.key(at(address)));
        let first = [enter("2001:db8::1"), enter("2001:db8::2")];
        let surplus = [enter("2001:db8::3"), enter("2001:db8::4")];
        assert!(first.iter().all(|slot| !slot.is_surplus()));
        assert!(surplus.iter().all(Slot::is_surplus), "the same /64");
        assert!(!enter("2001:db8:0:1::1").is_surplus());
        let proxy: Vec<_> = (0..9).map(|_| enter("::ffff:10.0.0.1")).collect();
        assert!(!proxy.iter().any(Slot::is_surplus), "a trusted proxy");
        let local: Vec<_> = (0..9)
            .map(|_| addresses.enter(addresses.key(Peer::Local)))
            .collect();
        assert!(!local.iter().any(Slot::is_surplus), "a Unix socket");
        let newest = enter("2001:db8::5");
        let is_ended = |slot: &Slot| slot.ended().now_or_never().is_some();
        assert!(is_ended(&surplus[0]) && !is_ended(&surplus[1]) && !is_ended(&newest));
        drop(first);
        assert!(!enter("2001:db8::1").is_surplus());
        drop((surplus, newest, proxy, local));
        let open = addresses.lock();
        assert!(
            open.counts.is_empty() && open.surplus.is_empty(),
            "{open:?}"
        );
    }
}
