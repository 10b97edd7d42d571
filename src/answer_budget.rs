//! Byte budgets of responses: of each one, and of all in progress.
//!
//! Invariant: a response's rows and values count while it is made, and its text until the last byte is sent. A response
//! that exceeded its bytes gets no more. Large responses cannot take the bytes of small ones, nor one caller those of
//! others.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;

use crate::{
    error::{Error, Result},
    fair_budget::{FairBudget, FairShare},
};

/// The first bytes of each response, which come from the budget for small ones: several pages of twenty connectors.
const SMALL: usize = 512 * 1024;

/// Bytes that are reserved at once, so that most responses reserve once.
const STEP: usize = 16 * 1024;

/// Additional bytes of a mutation for short rows and values, because its response shows a change that was made.
const RESERVE: usize = 4 * 1024 * 1024;
const RESERVED_ROW: usize = 32 * 1024;
const RESERVED_VALUE: usize = 1024;

/// Bytes of a row or value besides its text.
pub(crate) const OVERHEAD: usize = 64;

/// The key of a caller, who gets at most half of all bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallerKey(pub u64);

/// The byte budgets of all responses. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    most: usize,
    /// The budget for the first [`SMALL`] bytes of each response.
    small: FairBudget<CallerKey>,
    /// The budget for the other bytes.
    large: FairBudget<CallerKey>,
}

/// The byte budget of one response.
#[derive(Debug)]
pub struct AnswerBudget {
    /// The shared budgets; none for reads outside responses.
    answers: Option<Answers>,
    caller: Option<CallerKey>,
    is_mutation: bool,
    counts: Mutex<Counts>,
    permit: OnceLock<Permit>,
}

/// A permit of any kind, shared by its clones.
pub(crate) type Permit = Arc<dyn Any + Send + Sync>;

#[derive(Debug, Default)]
struct Counts {
    read: usize,
    written: usize,
    share: AnswerShare,
    failure: Option<Failure>,
    /// Bytes used of the [`RESERVE`].
    reserved: usize,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    TooLarge,
    Exhausted,
}

/// A response's share of all bytes, returned on drop.
#[derive(Debug, Default)]
pub(crate) struct AnswerShare {
    small: Option<FairShare<CallerKey>>,
    large: Option<FairShare<CallerKey>>,
}

impl Answers {
    /// A response may read and write up to `most` bytes. All responses share `all` bytes, plus those of a cache.
    ///
    /// Two fifths are for the first bytes of responses, which suffice for small ones. The rest holds two of the
    /// largest. One caller gets half of both.
    pub(crate) fn new(most: usize, all: usize, cached: usize) -> Self {
        let small = all / 5 * 2;
        let large = (all - small).max(most.saturating_mul(4));
        let small = small.saturating_add(cached);
        Self {
            most,
            small: FairBudget::new(small, small / 2, 0),
            large: FairBudget::new(large, large / 2, 0),
        }
    }

    /// Creates the budget of a new response.
    pub(crate) fn begin(&self, caller: Option<CallerKey>, is_mutation: bool) -> Arc<AnswerBudget> {
        Arc::new(AnswerBudget {
            answers: Some(self.clone()),
            caller,
            is_mutation,
            counts: Mutex::default(),
            permit: OnceLock::new(),
        })
    }
}

impl AnswerBudget {
    /// Creates a budget that counts nothing, for reads with other limits.
    pub fn unbounded() -> Arc<Self> {
        Arc::new(Self {
            answers: None,
            caller: None,
            is_mutation: false,
            counts: Mutex::default(),
            permit: OnceLock::new(),
        })
    }

    /// Holds a permit until the last statement of the response has ended, even if no one waits for the response. The
    /// first permit counts.
    pub(crate) fn hold(&self, permit: Permit) {
        let _ = self.permit.set(permit);
    }

    /// Returns the permit that a statement holds until it has ended.
    pub(crate) fn permit(&self) -> Option<Permit> {
        self.permit.get().cloned()
    }

    /// Counts a row with this many bytes of text. Fails with `LIMIT_EXCEEDED` beyond the response's bytes, and with
    /// `UNAVAILABLE` beyond those of all responses.
    pub(crate) fn read(&self, bytes: usize) -> Result<()> {
        self.count(bytes, RESERVED_ROW, |counts| {
            counts.read += bytes + OVERHEAD;
        })
    }

    /// Subtracts rows and the bytes of their text, because their statement runs again.
    pub(crate) fn unread(&self, rows: usize, bytes: usize) {
        let mut counts = self.counts();
        counts.read = counts.read.saturating_sub(bytes + rows * OVERHEAD);
    }

    /// Counts a value with this many bytes of text. Fails like [`Self::read`].
    pub(crate) fn write(&self, bytes: usize) -> Result<()> {
        self.count(bytes, RESERVED_VALUE, |counts| {
            counts.written += bytes + OVERHEAD;
        })
    }

    /// Counts this many values of a list, without their text. Fails like [`Self::read`].
    pub(crate) fn write_values(&self, values: usize) -> Result<()> {
        let bytes = values * OVERHEAD;
        self.count(bytes, RESERVED_ROW, |counts| {
            counts.written += bytes;
        })
    }

    /// Fails after the response exceeded its bytes and its reserve.
    pub(crate) fn check(&self) -> Result<()> {
        let counts = self.counts();
        if self.is_mutation && counts.reserved < RESERVE {
            return Ok(());
        }
        self.error(counts.failure)
    }

    /// Resets the count for the next event of a subscription.
    pub(crate) fn again(&self) {
        *self.counts() = Counts::default();
    }

    /// Returns the bytes of the values.
    pub(crate) fn written(&self) -> usize {
        self.counts().written
    }

    /// Returns the most bytes of the response.
    pub(crate) fn most(&self) -> usize {
        let answers = self.answers.as_ref();
        answers.map_or(usize::MAX, |answers| answers.most)
    }

    /// Returns the most bytes of its text. A mutation's text has no limit.
    pub(crate) fn most_of_text(&self) -> usize {
        if self.is_mutation {
            usize::MAX
        } else {
            self.most()
        }
    }

    /// Returns the share for a response's text of this size. A mutation's text gets one of any size. The count is reset
    /// for a subscription's next event.
    pub(crate) fn of_text(&self, bytes: usize) -> Result<AnswerShare> {
        let mut counts = self.counts();
        if let Some(answers) = &self.answers {
            if bytes > self.most_of_text() {
                return self
                    .error(Some(Failure::TooLarge))
                    .map(|()| AnswerShare::default());
            }
            if counts.share.grow_to(answers, self.caller, bytes).is_none() && !self.is_mutation {
                return self
                    .error(Some(Failure::Exhausted))
                    .map(|()| AnswerShare::default());
            }
        }
        let mut share = std::mem::take(&mut *counts).share;
        share.shrink_to(bytes);
        Ok(share)
    }

    /// Counts bytes, from the reserve if they are at most `reserved`.
    fn count(&self, bytes: usize, reserved: usize, add: impl FnOnce(&mut Counts)) -> Result<()> {
        let Some(answers) = &self.answers else {
            return Ok(());
        };
        let mut counts = self.counts();
        if counts.failure.is_none() {
            add(&mut counts);
            let all = counts.read + counts.written;
            if counts.read.max(counts.written) > answers.most {
                counts.failure = Some(Failure::TooLarge);
            } else if counts.share.grow_to(answers, self.caller, all).is_none() {
                counts.failure = Some(Failure::Exhausted);
            }
        }
        let is_short = bytes <= reserved && counts.reserved + bytes <= RESERVE;
        if counts.failure.is_some() && self.is_mutation && is_short {
            counts.reserved += bytes + OVERHEAD;
            return Ok(());
        }
        self.error(counts.failure)
    }

    fn error(&self, failure: Option<Failure>) -> Result<()> {
        Err(match failure {
            None => return Ok(()),
            Some(Failure::TooLarge) => {
                let of = if self.is_mutation {
                    "bytes: the change was made. Read it with fewer fields"
                } else {
                    "bytes: ask for fewer items or fields"
                };
                Error::limit_exceeded("an answer", self.most() as u64, of)
            }
            Some(Failure::Exhausted) if self.is_mutation => Error::unavailable(
                "unfinished responses use all memory for responses: the change was made. Read it in a while",
            ),
            Some(Failure::Exhausted) => Error::unavailable(
                "unfinished responses use all memory for responses: try again in a while, or ask for fewer items or \
                 fields",
            ),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AnswerShare {
    /// Grows the share; none if the bytes are not free.
    fn grow_to(
        &mut self,
        answers: &Answers,
        caller: Option<CallerKey>,
        bytes: usize,
    ) -> Option<()> {
        let bytes = bytes.checked_next_multiple_of(STEP)?;
        let large = bytes.saturating_sub(SMALL);
        grow(&mut self.small, &answers.small, caller, bytes.min(SMALL))?;
        grow(&mut self.large, &answers.large, caller, large)
    }

    /// Returns all bytes but this many.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(small) = &mut self.small {
            small.shrink_to(bytes.min(SMALL));
        }
        if let Some(large) = &mut self.large {
            large.shrink_to(bytes.saturating_sub(SMALL));
        }
    }
}

/// The JSON text of a response. Its bytes count until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct AnswerText {
    text: Bytes,
    share: AnswerShare,
}

impl AnswerText {
    pub(crate) fn new(text: Vec<u8>, share: AnswerShare) -> Self {
        Self {
            // The text may be cached for long, so it keeps no spare capacity.
            text: text.into_boxed_slice().into(),
            share,
        }
    }

    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Replaces the text by another form, such as a compressed one.
    #[must_use]
    pub(crate) fn replaced(self, text: Bytes) -> Self {
        let mut share = self.share;
        share.shrink_to(text.len());
        Self { text, share }
    }

    /// Returns the share, for a copy of the text.
    pub(crate) fn into_share(self) -> AnswerShare {
        self.share
    }

    /// Returns the text as bytes that keep the share until the last of them is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for AnswerText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Converts a small text, which does not count.
impl From<Vec<u8>> for AnswerText {
    fn from(text: Vec<u8>) -> Self {
        Self::new(text, AnswerShare::default())
    }
}

fn grow(
    share: &mut Option<FairShare<CallerKey>>,
    budget: &FairBudget<CallerKey>,
    caller: Option<CallerKey>,
    bytes: usize,
) -> Option<()> {
    if share.is_none() && bytes > 0 {
        *share = Some(budget.open(caller));
    }
    match share {
        Some(share) => share.grow(bytes.saturating_sub(share.bytes())).ok(),
        None => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const MIB: usize = 1 << 20;

    fn code<T>(result: Result<T>) -> Option<Code> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn an_answer_has_so_many_bytes_and_then_none() {
        let answers = Answers::new(MIB, 16 * MIB, 0);
        let answer = answers.begin(None, false);
        answer.read(MIB - OVERHEAD).unwrap();
        answer.write(MIB / 2).unwrap();
        answer.unread(1, MIB - OVERHEAD);
        answer.read(MIB / 2).unwrap();
        assert_eq!(code(answer.read(MIB / 2)), Some(Code::LimitExceeded));
        assert_eq!(code(answer.write(0)), Some(Code::LimitExceeded));
        assert_eq!(code(answer.check()), Some(Code::LimitExceeded));
        let unbounded = AnswerBudget::unbounded();
        unbounded.read(usize::MAX / 2).unwrap();
        unbounded.of_text(usize::MAX).unwrap();
    }

    #[test]
    fn large_answers_leave_small_ones_their_bytes() {
        let answers = Answers::new(2 * MIB, 10 * MIB, 0);
        let large: Vec<_> = (0..7).map(|_| answers.begin(None, false)).collect();
        let made = large
            .iter()
            .filter(|answer| answer.read(2 * MIB - OVERHEAD).is_ok());
        // Eight MiB, less each response's bytes in the budget for small ones.
        assert_eq!(made.count(), 5);
        assert_eq!(code(large[6].check()), Some(Code::Unavailable));
        let small = answers.begin(None, false);
        small.read(100).unwrap();
        let share = small.of_text(100).unwrap();
        drop(large);
        let next = answers.begin(None, false);
        next.read(2 * MIB - OVERHEAD).unwrap();
        drop((share, next, small));
        assert_eq!(answers.small.taken() + answers.large.taken(), 0);
    }

    #[test]
    fn a_caller_leaves_half_to_others() {
        let answers = Answers::new(2 * MIB, 20 * MIB, 0);
        let (one, other) = (Some(CallerKey(1)), Some(CallerKey(2)));
        let unread: Vec<_> = (0..100).map(|_| answers.begin(one, false)).collect();
        let made = unread.iter().filter(|answer| answer.read(MIB / 4).is_ok());
        assert!(made.count() < 20);
        assert_eq!(code(unread[99].check()), Some(Code::Unavailable));
        answers
            .begin(other, false)
            .read(2 * MIB - OVERHEAD)
            .unwrap();
    }

    #[test]
    fn a_mutation_tells_what_it_changed() {
        let answers = Answers::new(MIB, 16 * MIB, 0);
        let answer = answers.begin(None, true);
        assert_eq!(code(answer.write(2 * MIB)), Some(Code::LimitExceeded));
        answer.check().unwrap();
        answer.read(RESERVED_ROW).unwrap();
        answer.write(RESERVED_VALUE).unwrap();
        assert_eq!(
            code(answer.write(RESERVED_VALUE + 1)),
            Some(Code::LimitExceeded)
        );
        let read = (0..1000).take_while(|_| answer.read(RESERVED_ROW).is_ok());
        assert_eq!(read.count(), 126);
    }

    #[test]
    fn a_text_has_its_bytes_until_it_is_sent() {
        let answers = Answers::new(2 * MIB, 10 * MIB, 0);
        let answer = answers.begin(None, false);
        answer.read(MIB).unwrap();
        answer.write(MIB).unwrap();
        let share = answer.of_text(MIB).unwrap();
        drop(answer);
        assert_eq!(answers.small.taken() + answers.large.taken(), MIB);
        drop(share);
        assert_eq!(answers.small.taken() + answers.large.taken(), 0);
        let too_large = answers.begin(None, false).of_text(3 * MIB);
        assert_eq!(code(too_large), Some(Code::LimitExceeded));
        answers.begin(None, true).of_text(3 * MIB).unwrap();
    }
}
