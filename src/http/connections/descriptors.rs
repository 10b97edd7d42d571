//! File descriptors of the process: each connection needs one, and so do files and connections to the database.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The fewest descriptors that the process runs with.
const FEWEST: u64 = 64;

/// The process may have too few descriptors to run at all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the process may open only {0} files: raise the limit to {FEWEST} or more (ulimit -n, or LimitNOFILE of systemd)"
)]
pub struct TooFew(u64);

/// Raises the process's soft limit of descriptors to its hard limit. Returns the limit; `None` is no limit.
///
/// To be called before anything is opened: libraries panic where there is no descriptor for their first pipe.
pub fn raise() -> Result<Option<u64>, TooFew> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
        // Some systems have a hard limit that they do not give.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit.current = limit.maximum;
        }
    }
    match limit.current {
        Some(descriptors) if descriptors < FEWEST => Err(TooFew(descriptors)),
        descriptors => Ok(descriptors),
    }
}

/// The connections that a process may have, of those that are wanted: some descriptors are reserved for all else.
pub fn connections(wanted: usize, reserved: usize, descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors else {
        return wanted;
    };
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    // Half of few: what is reserved is the most that all else may need, and seldom does.
    let free = descriptors.saturating_sub(reserved).max(descriptors / 2);
    wanted.min(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_all_else() {
        assert_eq!(connections(10_000, 500, None), 10_000);
        assert_eq!(connections(10_000, 500, Some(20_000)), 10_000);
        assert_eq!(connections(10_000, 500, Some(4096)), 3596);
        assert_eq!(connections(10_000, 500, Some(600)), 300);
        assert_eq!(connections(100, 500, Some(600)), 100);
    }
}
