//! The number of connections of a pool.

use std::ops::AddAssign;

/// The connections of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub open: i64,
    pub idle: i64,
}

impl Pool {
    pub(in crate::store) fn new(open: u32, idle: usize) -> Self {
        let idle = i64::try_from(idle).unwrap_or(i64::MAX);
        Self {
            open: open.into(),
            idle,
        }
    }
}

impl AddAssign for Pool {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.idle += other.idle;
    }
}

impl From<(usize, usize)> for Pool {
    fn from((open, idle): (usize, usize)) -> Self {
        Self::new(u32::try_from(open).unwrap_or(u32::MAX), idle)
    }
}
