//! The monitor: checks the servers of connectors periodically, and once on request.
//!
//! Invariant: one process of a database runs the monitor at a time, under a lease; results under a lost lease are
//! dropped. No query waits for it. A connector is checked as soon as its interval allows, whatever the wall clocks
//! show.

mod batch;
pub mod check_command;
mod queue;

use std::{future::pending, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{
    clock::{Clock, Steps},
    config::CheckBounds,
    domain::inspection::Schedule,
    error::Result,
    mcp::handshake::{Inspector, PutOff},
    store::{Actor, Candidate, Database, DuePosition, Lease, Tx, keep_running},
};

use self::batch::{Checks, keep};

/// The term of a lease. The holder renews it, and others ask for it, three times in a term.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Targets to read at a time, to queue, and to queue for one host. The other targets of a busy host are left in the
/// database, so that other hosts are reached.
const PAGE: u64 = 100;
const WAITING: u64 = 1000;
const LINE: usize = 100;

/// The longest time between two looks for due connectors, because connectors are added meanwhile.
const LOOK: Duration = Duration::from_secs(2);

/// The most times that the delay after failures is doubled.
const DOUBLINGS: u32 = 6;

/// The time between two looks for connectors that another process's clock postponed.
const SWEEP: Duration = Duration::from_mins(1);

/// Connectors that are made due in one transaction, because writers wait for it.
const MADE_DUE: u64 = 1000;

/// The shortest pause, because clocks and timers are less exact than due times.
const PAUSE: Duration = Duration::from_millis(20);

/// The limits and times of the monitor.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most checks at once.
    pub bounds: CheckBounds,
    /// The times of checks, and the number to store.
    pub schedule: Schedule,
    /// The term of a lease.
    pub lease: Duration,
}

/// The task that checks due connectors.
#[derive(Debug)]
pub struct Monitor {
    running: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Monitor {
    /// Starts the task. It checks while this process holds the lease, and restarts after a panic.
    pub fn start(
        database: Database,
        inspector: Inspector,
        settings: Settings,
        clock: Clock,
    ) -> Self {
        let (running, runs) = watch::channel(());
        let work = move || {
            let worker = Worker {
                database: database.clone(),
                inspector: inspector.clone(),
                settings,
                candidate: Candidate::new(settings.lease, clock.clone()),
                steps: Steps::new(clock.clone()),
                clock: clock.clone(),
                failures: 0,
            };
            worker.run(runs.clone())
        };
        Self {
            running,
            task: keep_running(work),
        }
    }

    /// Cancels the checks in progress, and releases the lease.
    pub async fn stop(self) {
        drop(self.running);
        let _ = self.task.await;
    }
}

struct Worker {
    database: Database,
    inspector: Inspector,
    settings: Settings,
    candidate: Candidate,
    steps: Steps,
    clock: Clock,
    /// Failures in a row.
    failures: u32,
}

/// The position of the scan among the due checks.
struct DueScan {
    /// The position of the last due check read; none at the start.
    after: Option<DuePosition>,
    /// Whether a target was left because its host's queue was full.
    skipped: bool,
    /// The latest time at which the scan continues, or the next one begins.
    wake: Instant,
    /// Whether the outbound proxy failed during a check. Such connectors stay due, and are tried again in the next
    /// scan.
    lacks_proxy: bool,
    /// The time of the last look for postponed connectors.
    swept: Option<Instant>,
}

impl DueScan {
    /// Returns whether connectors that were left before may have a slot now.
    fn goes_on(&self) -> bool {
        self.after.is_some() || (self.skipped && !self.lacks_proxy)
    }
}

impl Worker {
    async fn run(mut self, mut runs: watch::Receiver<()>) {
        loop {
            let tried = self.work(&mut runs).await;
            self.database.check_counters().work(0);
            if let Err(error) = tried {
                if self.failures == 0 {
                    let cause = error.cause();
                    tracing::warn!(cause, "connectors cannot be checked: {error}");
                }
                self.failures += 1;
            }
            // The delay grows, so that servers are not called repeatedly for results that cannot be stored.
            let doublings = self.failures.saturating_sub(1).min(DOUBLINGS);
            let pause = self.settings.lease / 3 * (1 << doublings);
            tokio::select! {
                _ = runs.changed() => return,
                () = time::sleep(pause) => {}
                () = self.writable_again() => {}
            }
        }
    }

    /// Checks due connectors while this process holds the lease. Results that are not stored leave their connectors
    /// due.
    async fn work(&mut self, runs: &mut watch::Receiver<()>) -> Result<()> {
        let Some(lease) = self.take_lease().await? else {
            return Ok(());
        };
        let every = self.settings.lease / 3;
        let mut renewals = time::interval_at(Instant::now() + every, every);
        renewals.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut checks = Checks::new(self.inspector.clone(), self.settings.bounds);
        let mut scan = DueScan {
            after: None,
            skipped: false,
            lacks_proxy: false,
            wake: Instant::now(),
            swept: None,
        };
        loop {
            self.database.check_counters().work(checks.under_way());
            tokio::select! {
                _ = runs.changed() => return self.database.give_up_lease(&lease).await,
                _ = renewals.tick() => if self.take_lease().await?.as_ref() != Some(&lease) {
                    return Ok(());
                },
                found = checks.batch(), if !checks.is_idle() => {
                    let put_off = checks.put_off();
                    // The proxy's failure is logged once, not with each check.
                    let is_exhausted = |reason: &&PutOff| **reason == PutOff::Exhausted;
                    let connectors = put_off.iter().filter(is_exhausted).count();
                    scan.lacks_proxy |= connectors < put_off.len();
                    if connectors > 0 {
                        tracing::warn!(
                            connectors,
                            "checks are postponed: for a minute, this process had no memory, file or look-up for them"
                        );
                    }
                    let schedule = self.settings.schedule;
                    let now = self.clock.now();
                    let kept = keep(&self.database, Some(&lease), &found, schedule, now);
                    if !checks.meanwhile(kept).await? {
                        return Ok(());
                    }
                    self.succeeded();
                    if scan.lacks_proxy {
                        scan.wake = scan.wake.max(Instant::now() + every);
                    }
                    if scan.goes_on() {
                        self.fill(&mut checks, &mut scan).await?;
                    }
                }
                () = time::sleep_until(scan.wake) => {
                    scan.lacks_proxy = false;
                    self.fill(&mut checks, &mut scan).await?;
                    if checks.is_idle() {
                        self.succeeded();
                    }
                }
            }
        }
    }

    async fn take_lease(&mut self) -> Result<Option<Lease>> {
        self.database.take_lease(&mut self.candidate).await
    }

    /// Waits until a read-only database can be written again; for ever if it can be written now.
    async fn writable_again(&self) {
        if self.database.unwritable().is_none() {
            return pending().await;
        }
        while self.database.unwritable().is_some() {
            time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("connectors can be checked again");
        }
    }

    /// Continues the scan as far as slots are free.
    async fn fill(&mut self, checks: &mut Checks, scan: &mut DueScan) -> Result<()> {
        let is_new = self.steps.stepped() || scan.swept.is_none();
        if is_new || scan.swept.is_some_and(|at| at.elapsed() >= SWEEP) {
            self.sweep(is_new).await?;
            scan.swept = Some(Instant::now());
        }
        let now = self.clock.now();
        scan.wake = Instant::now() + LOOK;
        if !self.clock.is_usable() {
            return Ok(());
        }
        if scan.after.is_none() {
            scan.skipped = false;
        }
        while checks.waiting() as u64 + PAGE <= WAITING {
            let due = self.database.due(now, scan.after, PAGE).await?;
            let is_last = (due.len() as u64) < PAGE;
            for (position, target) in due {
                scan.after = Some(position);
                scan.skipped |= target.is_some_and(|target| !checks.offer(target, LINE));
            }
            if is_last {
                scan.after = None;
                if let Some(next) = self.database.next_due(now).await? {
                    scan.wake = Instant::now() + next.since(now).clamp(PAUSE, LOOK);
                }
                break;
            }
        }
        Ok(())
    }

    /// Makes due the connectors that a clock postponed, after it was set or in another process. Unless the lease is
    /// new, it reads only those later than a working server's, which are few.
    async fn sweep(&self, is_new: bool) -> Result<()> {
        loop {
            let (now, schedule) = (self.clock.now(), self.settings.schedule);
            let after = if is_new { now } else { schedule.latest(now, 0) };
            let postponed = self.database.postponed(now, schedule, after, MADE_DUE);
            let postponed = postponed.await?;
            if postponed.is_empty() {
                return Ok(());
            }
            let tx = Tx::begin(&self.database, Actor::default(), now).await?;
            tx.make_due(&postponed).await?;
            tx.commit().await?;
            tracing::info!(
                connectors = postponed.len(),
                "checks are due earlier, because a clock had postponed them too far"
            );
        }
    }
}
