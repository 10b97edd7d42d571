//! The number of connections of a pool.

/// How many connections there are.
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
