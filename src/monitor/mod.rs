//! Checks connectors' servers again and again, and once when asked to.
//!
//! Invariant: of all processes on a database one at a time does so, under a lease, and what was found under a lease that is over is
//! not kept. There is nothing in it that a query waits for. Whatever the wall clocks do, a connector is checked as soon as its
//! interval allows.

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

/// How long a lease is good for. Who holds it renews it, and the others ask for it, three times in that time.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Targets that are read at a time, that wait for their turn, and that wait for one host. Those of a host that has more stay where
/// they are, so that the others' are reached.
const PAGE: u64 = 100;
const WAITING: u64 = 1000;
const LINE: usize = 100;

/// The longest time until what is due is looked for again: connectors are added meanwhile.
const LOOK: Duration = Duration::from_secs(2);

/// Doublings of the time until it is tried again after failures, at most.
const DOUBLINGS: u32 = 6;

/// How often connectors are looked for that another process's clock has postponed.
const SWEEP: Duration = Duration::from_mins(1);

/// Connectors that are made due at a time: writers wait for it.
const MADE_DUE: u64 = 1000;

/// The shortest: clocks and timers are not as exact as what is due.
const PAUSE: Duration = Duration::from_millis(20);

/// The bounds and times of the monitor.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many checks are made at once.
    pub bounds: CheckBounds,
    /// When each connector is checked again, and how many checks of it are kept.
    pub schedule: Schedule,
    /// How long a lease is good for.
    pub lease: Duration,
}

/// Checks what is due, as long as it is kept.
#[derive(Debug)]
pub struct Monitor {
    running: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Monitor {
    /// Starts the task that checks connectors. It checks while this process holds the lease, and starts again after a panic.
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

    /// Drops what is under way, and waits until another process may go on.
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
    /// In a row.
    failures: u32,
}

/// The position of the scan among the due checks.
struct DueScan {
    /// None at its beginning.
    after: Option<DuePosition>,
    /// Whether somebody was left standing, whose host's line was full.
    skipped: bool,
    /// When it goes on, or the next one begins, at the latest.
    wake: Instant,
    /// Whether a check was put off by a fault of the outbound proxy. Such connectors are due still, and are not tried again before
    /// the next scan.
    lacks_proxy: bool,
    /// When postponed connectors were last looked for.
    swept: Option<Instant>,
}

impl DueScan {
    /// Whether there may be free slots now for connectors that had none before.
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
            // Servers are not asked again and again for what cannot be kept.
            let doublings = self.failures.saturating_sub(1).min(DOUBLINGS);
            let pause = self.settings.lease / 3 * (1 << doublings);
            tokio::select! {
                _ = runs.changed() => return,
                () = time::sleep(pause) => {}
                () = self.writable_again() => {}
            }
        }
    }

    /// Checks what is due as long as the lease can be had. What is not kept at the end is due still.
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
                    // The proxy is logged once, and not for each check.
                    let is_exhausted = |reason: &&PutOff| **reason == PutOff::Exhausted;
                    let connectors = put_off.iter().filter(is_exhausted).count();
                    scan.lacks_proxy |= connectors < put_off.len();
                    if connectors > 0 {
                        tracing::warn!(connectors, "checks are put off: they had no memory, file or lookup of this process in a minute");
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

    /// Waits until a database that cannot be written can be. Where it can be already, it waits for ever.
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

    /// Goes on with the scan, as far as there are free slots.
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

    /// Makes connectors due that a clock which was set, or another process's, has postponed. Where nothing is new, that is
    /// those that are due later than a server that works, of which there are few.
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
                "checks are due earlier than a clock had put them"
            );
        }
    }
}
