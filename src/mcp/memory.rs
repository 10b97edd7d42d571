//! The memory that inspections and checks share.
//!
//! Invariant: all of them together have at most [`ALL`] bytes. Each begins with [`SMALL`]; one whose server sends much takes
//! [`LARGE`] once before it reads on, and waits for nothing more after that, so that no two wait for each other.

use crate::byte_budget::{ByteBudget, Share};

const MIB: usize = 1024 * 1024;

/// Bytes that each inspection has.
pub(crate) const SMALL: usize = MIB;

/// Bytes that an inspection has besides where its server sends more than [`SMALL_BYTES`] in all, or more than [`SMALL_VALUES`] in
/// a message, or compresses by brotli, whose decoder takes up to 16 MiB.
pub(crate) const LARGE: usize = 31 * MIB;

/// Bytes of all inspections and checks of a process.
pub(crate) const ALL: usize = 256 * MIB;

/// The part of [`ALL`] from which each inspection takes [`SMALL`]. Without any left, inspections wait.
const ALL_SMALL: usize = 70 * 1024 * 1024;
const ALL_LARGE: usize = 186 * 1024 * 1024;
const _: () = assert!(ALL_SMALL + ALL_LARGE <= ALL);

/// Bytes received and decoded, in all, that [`SMALL`] is enough for.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;

/// Values of a message's JSON that [`SMALL`] is enough for.
pub(crate) const SMALL_VALUES: usize = 512;

/// The bytes of all inspections. Clones share them.
#[derive(Clone, Debug)]
pub struct Memory {
    small: ByteBudget,
    large: ByteBudget,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            small: ByteBudget::new(ALL_SMALL),
            large: ByteBudget::new(ALL_LARGE),
        }
    }
}

impl Memory {
    /// Waits for the bytes to begin with.
    pub(crate) async fn small(&self) -> Share {
        self.small.take(SMALL).await
    }

    /// Waits for the bytes to read much with.
    pub(crate) async fn large(&self) -> Share {
        self.large.take(LARGE).await
    }
}
