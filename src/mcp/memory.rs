//! The memory budget of inspections and checks.
//!
//! Invariant: together they hold at most [`ALL`] bytes. Each starts with [`SMALL`]. One whose server sends much takes
//! [`LARGE`] once and waits for nothing afterwards, so no two wait for each other.

use crate::byte_budget::{ByteBudget, Share};

const MIB: usize = 1024 * 1024;

/// The bytes of each inspection.
pub(crate) const SMALL: usize = MIB;

/// The additional bytes of an inspection whose server sends more than [`SMALL_BYTES`] in total or more than
/// [`SMALL_VALUES`] in a message. Brotli needs them too, because its decoder takes up to 16 MiB.
pub(crate) const LARGE: usize = 31 * MIB;

/// The bytes of all inspections and checks of a process.
pub(crate) const ALL: usize = 256 * MIB;

/// The part of [`ALL`] for the [`SMALL`] share of each inspection. Inspections wait if none is left.
const ALL_SMALL: usize = 70 * 1024 * 1024;
const ALL_LARGE: usize = 186 * 1024 * 1024;
const _: () = assert!(ALL_SMALL + ALL_LARGE <= ALL);

/// The received and decoded bytes that fit in [`SMALL`].
pub(crate) const SMALL_BYTES: usize = 64 * 1024;

/// The values of a message's JSON that fit in [`SMALL`].
pub(crate) const SMALL_VALUES: usize = 512;

/// The budget of all inspections. Clones share it.
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
    /// Waits for the first share.
    pub(crate) async fn small(&self) -> Share {
        self.small.take(SMALL).await
    }

    /// Waits for the additional share.
    pub(crate) async fn large(&self) -> Share {
        self.large.take(LARGE).await
    }
}
