//! A queue of targets by host.
//!
//! Invariant: no host has more targets in progress than its limit. Hosts take turns, so that none waits for another's
//! queue.

use std::collections::{HashMap, VecDeque};

use url::Url;

use crate::store::Target;

#[derive(Debug)]
pub(super) struct Queue {
    lines: HashMap<String, Line>,
    /// The hosts with a target that may be checked now, each once.
    turns: VecDeque<String>,
    waiting: usize,
    by_host: usize,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Target>,
    under_way: usize,
}

impl Queue {
    /// Creates a queue that allows this many targets in progress for each host.
    pub(super) fn new(by_host: usize) -> Self {
        Self {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            by_host,
        }
    }

    /// The number of queued targets.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The number of queued targets of a host.
    pub(super) fn waiting_for(&self, host: &str) -> usize {
        self.lines.get(host).map_or(0, |line| line.waiting.len())
    }

    pub(super) fn push(&mut self, host: String, target: Target) {
        let line = self.lines.entry(host.clone()).or_default();
        line.waiting.push_back(target);
        self.waiting += 1;
        if line.waiting.len() == 1 && line.under_way < self.by_host {
            self.turns.push_back(host);
        }
    }

    /// Takes the next target in turn, with its host. It is in progress until [`Queue::done`].
    pub(super) fn next(&mut self) -> Option<(String, Target)> {
        let host = self.turns.pop_front()?;
        let line = self.lines.get_mut(&host)?;
        let target = line.waiting.pop_front()?;
        self.waiting -= 1;
        line.under_way += 1;
        if !line.waiting.is_empty() && line.under_way < self.by_host {
            self.turns.push_back(host.clone());
        }
        Some((host, target))
    }

    /// Records that a target of a host is no longer in progress.
    pub(super) fn done(&mut self, host: String) {
        let Some(line) = self.lines.get_mut(&host) else {
            return;
        };
        line.under_way -= 1;
        if line.waiting.is_empty() {
            if line.under_way == 0 {
                self.lines.remove(&host);
            }
        } else if line.under_way + 1 == self.by_host {
            self.turns.push_back(host);
        }
    }
}

/// Returns the host of a target; empty if its URL has none.
pub(super) fn host(target: &Target) -> String {
    let url = target.server_url.as_deref().map(Url::parse);
    let url = url.and_then(Result::ok);
    let host = url.as_ref().and_then(Url::host_str);
    host.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, n: usize) -> Target {
        Target {
            personal_connector_id: format!("{host}{n}"),
            server_url: Some(format!("https://{host}:{}/mcp", 8000 + n)),
            server_type: None,
        }
    }

    fn queue(hosts: &[(&str, usize)]) -> Queue {
        let mut queue = Queue::new(2);
        for (name, count) in hosts {
            for n in 0..*count {
                let target = target(name, n);
                queue.push(host(&target), target);
            }
        }
        queue
    }

    fn all(queue: &mut Queue) -> Vec<String> {
        let next = || queue.next().map(|(_, target)| target.personal_connector_id);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn hosts_take_turns_within_their_bound() {
        let mut queue = queue(&[("a", 4), ("b", 1), ("c", 3)]);
        assert_eq!((queue.waiting(), queue.waiting_for("a")), (8, 4));
        assert_eq!(all(&mut queue), ["a0", "b0", "c0", "a1", "c1"]);
        assert_eq!(queue.waiting(), 3);
        queue.done("c".to_owned());
        queue.done("b".to_owned());
        assert_eq!(all(&mut queue), ["c2"]);
        queue.done("a".to_owned());
        queue.done("a".to_owned());
        assert_eq!(all(&mut queue), ["a2", "a3"]);
        for host in ["a", "a", "c", "c"] {
            queue.done(host.to_owned());
        }
        assert_eq!((queue.waiting(), queue.lines.len()), (0, 0));
        queue.push("a".to_owned(), target("a", 9));
        assert_eq!(all(&mut queue), ["a9"]);
    }

    #[test]
    fn a_host_is_one_whatever_its_spelling_and_port() {
        let host = |url: &str| {
            host(&Target {
                server_url: Some(url.to_owned()),
                ..target("x", 0)
            })
        };
        for url in [
            "http://MCP.example",
            "wss://mcp.example:9/x",
            "https://ann@mcp.EXAMPLE",
        ] {
            assert_eq!(host(url), "mcp.example");
        }
        assert_eq!(host("http://0x7f.1/"), "127.0.0.1");
        assert_eq!(host("mcp.example"), "");
    }
}
