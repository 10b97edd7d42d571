//! The bytes of answers: of one, and of all that are under way.
//!
//! Invariant: an answer is counted while it is made, as its rows are read and its values written, and its text until the last byte is
//! sent. An answer that ran out of bytes gets no more of them. Large answers cannot take the bytes of small ones, and one caller
//! cannot take those of others.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;

use crate::{
    error::{Error, Result},
    fair_budget::{FairBudget, FairShare},
};

/// Bytes of an answer that are taken from those of all answers, small ones included: several pages of twenty connectors.
const SMALL: usize = 512 * 1024;

/// Bytes that are taken at once, so that most answers take them once.
const STEP: usize = 16 * 1024;

/// The bytes that a mutation has besides, for rows and values that are short: its answer shows a change that was made.
const RESERVE: usize = 4 * 1024 * 1024;
const RESERVED_ROW: usize = 32 * 1024;
const RESERVED_VALUE: usize = 1024;

/// Memory of a row or a value besides its text, in bytes.
pub(crate) const OVERHEAD: usize = 64;

/// The key of a caller, who has half of the bytes of all answers at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallerKey(pub u64);

/// The bytes of all answers. Clones share the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    most: usize,
    /// The first [`SMALL`] bytes of each answer.
    small: FairBudget<CallerKey>,
    /// The other bytes of answers.
    large: FairBudget<CallerKey>,
}

/// The bytes of one answer.
#[derive(Debug)]
pub struct AnswerBudget {
    /// None for reads that are for no answer.
    answers: Option<Answers>,
    caller: Option<CallerKey>,
    is_mutation: bool,
    counts: Mutex<Counts>,
    permit: OnceLock<Permit>,
}

/// A permit of any kind, which its clones share.
pub(crate) type Permit = Arc<dyn Any + Send + Sync>;

#[derive(Debug, Default)]
struct Counts {
    read: usize,
    written: usize,
    share: AnswerShare,
    failure: Option<Failure>,
    /// Bytes of the [`RESERVE`] that are taken.
    reserved: usize,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    TooLarge,
    Exhausted,
}

/// Bytes that an answer has of those of all answers. Dropped, it gives them back.
#[derive(Debug, Default)]
pub(crate) struct AnswerShare {
    small: Option<FairShare<CallerKey>>,
    large: Option<FairShare<CallerKey>>,
}

impl Answers {
    /// An answer may read `most` bytes and write as many. All answers together may have `all` bytes, and besides them as many as
    /// are kept in a cache.
    ///
    /// Two fifths are for the beginnings of answers, which small answers fit into. The rest holds two of the largest. One caller
    /// has half of both.
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

    /// The budget of a new answer to a caller.
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
    /// Counts nothing, because the bytes of the reads are bounded otherwise.
    pub fn unbounded() -> Arc<Self> {
        Arc::new(Self {
            answers: None,
            caller: None,
            is_mutation: false,
            counts: Mutex::default(),
            permit: OnceLock::new(),
        })
    }

    /// Holds a permit until the last statement of the answer has ended, also where nobody waits for the answer any more. The
    /// first permit counts.
    pub(crate) fn hold(&self, permit: Permit) {
        let _ = self.permit.set(permit);
    }

    /// The permit that a statement of the answer holds until it has ended.
    pub(crate) fn permit(&self) -> Option<Permit> {
        self.permit.get().cloned()
    }

    /// Counts a row of so many bytes of text. `LIMIT_EXCEEDED` beyond the answer's bytes, `UNAVAILABLE` where all answers together
    /// have too many.
    pub(crate) fn read(&self, bytes: usize) -> Result<()> {
        self.count(bytes, RESERVED_ROW, |counts| {
            counts.read += bytes + OVERHEAD;
        })
    }

    /// Takes back rows whose statement runs again: so many of them, and the bytes of their text.
    pub(crate) fn unread(&self, rows: usize, bytes: usize) {
        let mut counts = self.counts();
        counts.read = counts.read.saturating_sub(bytes + rows * OVERHEAD);
    }

    /// Counts a value whose text has so many bytes. Errors as [`Self::read`].
    pub(crate) fn write(&self, bytes: usize) -> Result<()> {
        self.count(bytes, RESERVED_VALUE, |counts| {
            counts.written += bytes + OVERHEAD;
        })
    }

    /// Counts so many values of a list besides their text. Errors as [`Self::read`].
    pub(crate) fn write_values(&self, values: usize) -> Result<()> {
        let bytes = values * OVERHEAD;
        self.count(bytes, RESERVED_ROW, |counts| {
            counts.written += bytes;
        })
    }

    /// Fails once the answer has run out of bytes, and of those in reserve.
    pub(crate) fn check(&self) -> Result<()> {
        let counts = self.counts();
        if self.is_mutation && counts.reserved < RESERVE {
            return Ok(());
        }
        self.error(counts.failure)
    }

    /// Counts the next event of a subscription from the beginning.
    pub(crate) fn again(&self) {
        *self.counts() = Counts::default();
    }

    /// Bytes of the values.
    pub(crate) fn written(&self) -> usize {
        self.counts().written
    }

    /// The most bytes that an answer may have.
    pub(crate) fn most(&self) -> usize {
        let answers = self.answers.as_ref();
        answers.map_or(usize::MAX, |answers| answers.most)
    }

    /// The most bytes that its text is written to: a mutation's is written whole.
    pub(crate) fn most_of_text(&self) -> usize {
        if self.is_mutation {
            usize::MAX
        } else {
            self.most()
        }
    }

    /// The share of an answer whose text is written and has so many bytes. A mutation's text gets a share whatever its size. The next
    /// event of a subscription is counted from the beginning.
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

    /// Counts so many bytes, from the reserve where they are at most `reserved`.
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
                    "bytes: the change was made, read it with fewer fields"
                } else {
                    "bytes: ask for fewer items or fields"
                };
                Error::limit_exceeded("an answer", self.most() as u64, of)
            }
            Some(Failure::Exhausted) if self.is_mutation => Error::unavailable(
                "too many bytes of answers are under way: the change was made, read it in a while",
            ),
            Some(Failure::Exhausted) => Error::unavailable(
                "too many bytes of answers are under way: try again in a while, or ask for fewer items or fields",
            ),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AnswerShare {
    /// None where the bytes are not free.
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

    /// Gives back all bytes but so many.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(small) = &mut self.small {
            small.shrink_to(bytes.min(SMALL));
        }
        if let Some(large) = &mut self.large {
            large.shrink_to(bytes.saturating_sub(SMALL));
        }
    }
}

/// The text of an answer, as JSON. Its bytes are those of all answers until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct AnswerText {
    text: Bytes,
    share: AnswerShare,
}

impl AnswerText {
    pub(crate) fn new(text: Vec<u8>, share: AnswerShare) -> Self {
        Self {
            // It may be kept for long, and holds no more bytes than it has.
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

    /// The answer with another form of its text, such as a compressed one.
    #[must_use]
    pub(crate) fn replaced(self, text: Bytes) -> Self {
        let mut share = self.share;
        share.shrink_to(text.len());
        Self { text, share }
    }

    /// The bytes that it has of those of all answers, for a copy of the text.
    pub(crate) fn into_share(self) -> AnswerShare {
        self.share
    }

    /// The text as bytes that have its share as long as any of them are there.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for AnswerText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A text that is small.
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
        // Eight MiB, less what each has of the small ones' bytes.
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
