//! File descriptors of the process. Connections, files and the database need them.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The fewest descriptors with which the process runs.
const FEWEST: u64 = 64;

/// The process may open too few files to run at all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the process may open only {0} files: raise the limit to {FEWEST} or more (ulimit -n, or LimitNOFILE of systemd)"
)]
pub struct TooFew(u64);

/// Raises the soft limit of descriptors to the hard limit. Returns the limit; `None` is no limit.
///
/// Call this before anything is opened, because libraries panic without a descriptor for their first pipe.
pub fn raise() -> Result<Option<u64>, TooFew> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
        // Some systems do not grant their own hard limit.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit.current = limit.maximum;
        }
    }
    match limit.current {
        Some(descriptors) if descriptors < FEWEST => Err(TooFew(descriptors)),
        descriptors => Ok(descriptors),
    }
}

/// Returns the allowed number of connections, given the wanted number and the reserved descriptors.
pub fn connections(wanted: usize, reserved: usize, descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors else {
        return wanted;
    };
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    // With few descriptors, half are for connections, because the reserved ones are a rarely reached maximum.
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
