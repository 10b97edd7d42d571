//! Limits on open streams, which are WebSockets and event streams, and on the memory of sockets.
//!
//! Invariant: streams are bounded for each caller and for the process. So are the bytes of unfinished messages and
//! operations of all sockets. An operation's bytes count until its work has ended, even after its socket closed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    byte_budget::{ByteBudget, Share},
    error::{Code, Error},
    http::rejection::Rejection,
};

use super::rate_limit::Caller;

/// The most open streams in total.
const MOST: usize = 20_000;

/// The most bytes of one caller's unfinished messages and operations.
const CALLER_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(crate) struct OpenStreams {
    /// The most streams of a caller; 0 is no limit.
    per_caller: usize,
    /// The most concurrent operations of one socket.
    pub(in crate::http) operations: usize,
    callers: Arc<Callers>,
    permits: Arc<Semaphore>,
    bytes: ByteBudget,
    all_bytes: usize,
}

/// The accounts of callers with open streams or bytes.
type Callers = Mutex<HashMap<Caller, Weak<Account>>>;

/// The reason that no more streams are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum TooManyStreams {
    Caller,
    Process,
}

impl TooManyStreams {
    pub(in crate::http) fn message(self) -> &'static str {
        match self {
            Self::Caller => "too many sockets and event streams are open: close one",
            Self::Process => "too many sockets and event streams are open: try again later",
        }
    }
}

impl From<TooManyStreams> for Rejection {
    fn from(too_many: TooManyStreams) -> Self {
        let code = match too_many {
            TooManyStreams::Caller => Code::RateLimited,
            TooManyStreams::Process => Code::Unavailable,
        };
        Error::new(code, too_many.message()).into()
    }
}

/// The reason that a socket gets no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum TooManyBytes {
    Caller,
    Process,
}

impl TooManyBytes {
    pub(in crate::http) fn message(self) -> &'static str {
        match self {
            Self::Caller => {
                "the operations and messages of your sockets have too many bytes: complete some, or close a socket"
            }
            Self::Process => {
                "the operations and messages of all sockets have too many bytes: try again later"
            }
        }
    }
}

impl OpenStreams {
    /// Limits streams by caller (0 is no limit), operations by socket, and the bytes of unfinished messages and
    /// operations of all sockets.
    pub(crate) fn new(per_caller: usize, operations: usize, bytes: usize) -> Self {
        Self {
            per_caller,
            operations,
            callers: Arc::default(),
            permits: Arc::new(Semaphore::new(MOST)),
            bytes: ByteBudget::new(bytes),
            all_bytes: bytes,
        }
    }

    /// Counts one more stream of a caller.
    pub(in crate::http) fn open(
        &self,
        caller: Option<Caller>,
    ) -> Result<OpenStream, TooManyStreams> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| TooManyStreams::Process)?;
        let account = self.account(caller);
        let open = account.open.fetch_add(1, Ordering::AcqRel);
        // Dropping it ends its count.
        let stream = OpenStream {
            account,
            _permit: permit,
        };
        if stream.account.caller.is_some() && self.per_caller > 0 && open >= self.per_caller {
            return Err(TooManyStreams::Caller);
        }
        Ok(stream)
    }

    fn account(&self, caller: Option<Caller>) -> Arc<Account> {
        let new = |caller: Option<Caller>| {
            let is_bounded = caller.is_some() && self.per_caller > 0;
            Arc::new(Account {
                caller,
                callers: Arc::clone(&self.callers),
                open: AtomicUsize::new(0),
                bytes: ByteBudget::new(if is_bounded {
                    CALLER_BYTES
                } else {
                    self.all_bytes
                }),
                all_bytes: self.bytes.clone(),
            })
        };
        let Some(caller) = caller else {
            return new(None);
        };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = callers.get(&caller).and_then(Weak::upgrade) {
            return account;
        }
        let account = new(Some(caller.clone()));
        callers.insert(caller, Arc::downgrade(&account));
        account
    }
}

/// The open streams and bytes of one caller, kept while there are any.
#[derive(Debug)]
pub(in crate::http) struct Account {
    caller: Option<Caller>,
    callers: Arc<Callers>,
    open: AtomicUsize,
    bytes: ByteBudget,
    all_bytes: ByteBudget,
}

impl Account {
    /// Returns the error for a lack of bytes.
    pub(in crate::http) fn error(&self, too_many: TooManyBytes) -> Error {
        let message = too_many.message();
        match too_many {
            TooManyBytes::Caller => Error::over(message, self.bytes.most() as u64, None),
            TooManyBytes::Process => Error::unavailable(message),
        }
    }

    /// Takes bytes, if both caller and process have them now.
    pub(in crate::http) fn take(self: &Arc<Self>, bytes: usize) -> Result<Bytes, TooManyBytes> {
        let own = self.bytes.try_take(bytes);
        let own = own.map_err(|_| TooManyBytes::Caller)?;
        let of_all = self.all_bytes.try_take(bytes);
        Ok(Bytes {
            own,
            of_all: of_all.map_err(|_| TooManyBytes::Process)?,
            _account: Arc::clone(self),
        })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some(caller) = &self.caller else { return };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        // The caller may have a new account by now.
        if callers
            .get(caller)
            .is_some_and(|account| account.strong_count() == 0)
        {
            callers.remove(caller);
        }
    }
}

/// Bytes of a caller and of the process, returned on drop.
#[derive(Debug)]
pub(in crate::http) struct Bytes {
    own: Share,
    of_all: Share,
    _account: Arc<Account>,
}

impl Bytes {
    /// Takes more bytes, if both caller and process have them now.
    pub(in crate::http) fn grow(&mut self, bytes: usize) -> Result<(), TooManyBytes> {
        self.own.grow(bytes).map_err(|_| TooManyBytes::Caller)?;
        self.of_all.grow(bytes).map_err(|_| {
            self.own.shrink_to(self.of_all.bytes());
            TooManyBytes::Process
        })
    }

    pub(in crate::http) fn bytes(&self) -> usize {
        self.own.bytes()
    }
}

/// An open stream, counted until drop.
#[derive(Debug)]
pub(in crate::http) struct OpenStream {
    account: Arc<Account>,
    _permit: OwnedSemaphorePermit,
}

impl OpenStream {
    pub(in crate::http) fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.account.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_lasts_as_long_as_its_caller_has_something() {
        let streams = OpenStreams::new(1, 1, 256 << 20);
        let ann = || Some(Caller::User(None, "ann".to_owned()));
        let accounts = || streams.callers.lock().unwrap().len();
        let first = streams.open(ann()).unwrap();
        assert_eq!(streams.open(ann()).err(), Some(TooManyStreams::Caller));
        let kept = first.account().take(20 << 20).unwrap();
        drop(first);
        // A new socket shares the account of the previous one.
        let mut second = streams.open(ann()).unwrap();
        assert_eq!(
            second.account().take(20 << 20).err(),
            Some(TooManyBytes::Caller)
        );
        drop(kept);
        let mut more = second.account().take(20 << 20).unwrap();
        assert_eq!(more.grow(20 << 20), Err(TooManyBytes::Caller));
        assert_eq!((more.bytes(), accounts()), (20 << 20, 1));
        // All callers together have a limit.
        let others: Vec<_> = (0..11)
            .map(|i| {
                let other = Some(Caller::User(None, i.to_string()));
                let stream = streams.open(other).unwrap();
                let bytes = stream.account().take(21 << 20).unwrap();
                (stream, bytes)
            })
            .collect();
        assert_eq!(more.grow(12 << 20), Err(TooManyBytes::Process));
        assert_eq!(more.grow(5 << 20), Ok(()));
        drop((others, more));
        second = {
            drop(second);
            streams.open(ann()).unwrap()
        };
        assert_eq!((streams.bytes.taken(), accounts()), (0, 1));
        drop(second);
        assert_eq!(accounts(), 0);
    }
}
