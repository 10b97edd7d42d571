//! The `check` command: one round of checks, due or not.
//!
//! Invariant: memory holds one row for each checked connector, and at most one batch of results.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use anyhow::ensure;
use comfy_table::{CellAlignment, Table, presets};
use entity::Iterable;

use crate::{
    clock::Clock,
    config::CheckBounds,
    domain::{
        inspection::{self, Inspection, Outcome, Schedule, is_alive, is_checkable},
        listing::{Filter, Listing},
        text::name_key,
        viewer::Sight,
    },
    mcp::handshake::Inspector,
    store::{Catalog, Database, Target},
    terminal,
};

use super::batch::{Checks, keep};

const ROWS_A_STATEMENT: usize = 500;

/// The result of one round of checks, in the order of names.
#[derive(Debug)]
pub struct Report {
    rows: Vec<Row>,
    /// The number of connectors that were not checked, by reason.
    put_off: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Row {
    name: String,
    id: String,
    outcome: Outcome,
    latency_ms: Option<u64>,
    /// The number of tools; none if they were not listed.
    tools: Option<usize>,
    message: String,
}

/// Checks these connectors, or all that can be checked if there are no ids, and stores the results.
pub async fn check_all(
    database: &Database,
    inspector: Inspector,
    bounds: CheckBounds,
    schedule: Schedule,
    clock: &Clock,
    ids: &[String],
) -> anyhow::Result<Report> {
    let mut checks = Checks::new(inspector, bounds);
    let catalog = Catalog::snapshot(database.clone(), Sight::Everything);
    let mut names = if ids.is_empty() {
        all(&catalog, &mut checks).await?
    } else {
        some(&catalog, ids, &mut checks).await?
    };
    drop(catalog);
    let progress = terminal::bar(names.len() as u64);
    let mut rows = Vec::with_capacity(names.len());
    let mut put_off = BTreeMap::new();
    while !checks.is_idle() {
        let found = checks.batch().await;
        for reason in checks.put_off() {
            *put_off.entry(reason.to_string()).or_default() += 1;
        }
        let kept = keep(database, None, &found, schedule, clock.now());
        checks.meanwhile(kept).await?;
        progress.inc(found.len() as u64);
        for check in found {
            let id = check.target.personal_connector_id;
            let name = names.remove(&id).unwrap_or_default();
            rows.push(Row::new(name, id, check.found));
        }
    }
    progress.finish_and_clear();
    rows.sort_by_cached_key(|row| (name_key(&row.name), row.id.clone()));
    Ok(Report { rows, put_off })
}

/// Checks all connectors that can be checked. Returns their names by id.
async fn all(catalog: &Catalog, checks: &mut Checks) -> anyhow::Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    let mut listing = Listing::all_by_name(Filter::default(), ROWS_A_STATEMENT as u64);
    loop {
        let (hits, more) = catalog.page(&listing).await?;
        let last = hits.last().map(|hit| hit.position.clone());
        for hit in hits {
            let row = hit.connector;
            if is_checkable(row.server_url.as_deref(), row.server_type) {
                checks.offer(Target::of(&row), usize::MAX);
                names.insert(row.id, row.name);
            }
        }
        match last {
            Some(last) if more => listing.go_on(last),
            _ => return Ok(names),
        }
    }
}

/// Checks the connectors of these ids, if all exist. Returns their names by id.
async fn some(
    catalog: &Catalog,
    ids: &[String],
    checks: &mut Checks,
) -> anyhow::Result<HashMap<String, String>> {
    let mut rows = HashMap::new();
    for ids in ids.chunks(ROWS_A_STATEMENT) {
        rows.extend(catalog.get(ids).await?);
    }
    let unknown: Vec<_> = ids.iter().filter(|id| !rows.contains_key(*id)).collect();
    ensure!(
        unknown.is_empty(),
        "there is no connector {}: nothing was checked",
        unknown
            .iter()
            .map(|id| id.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    for row in rows.values() {
        checks.offer(Target::of(row), usize::MAX);
    }
    Ok(rows.into_iter().map(|(id, row)| (id, row.name)).collect())
}

impl Row {
    fn new(name: String, id: String, found: Inspection) -> Self {
        Self {
            name,
            id,
            outcome: found.outcome,
            latency_ms: found.latency_ms,
            tools: found.tools_listed.then_some(found.tools.len()),
            message: found.message,
        }
    }
}

impl Report {
    /// Returns whether every checked connector works for its users.
    pub fn is_all_alive(&self) -> bool {
        self.put_off.is_empty() && self.rows.iter().all(|row| is_alive(row.outcome))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, put_off } = self;
        if !rows.is_empty() {
            let mut table = Table::new();
            table
                .load_style(presets::NOTHING)
                .set_header(["NAME", "ID", "OUTCOME", "LATENCY", "TOOLS", "MESSAGE"]);
            for index in [3, 4] {
                if let Some(column) = table.column_mut(index) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            for row in rows {
                let latency = row.latency_ms.map(|millis| format!("{millis} ms"));
                table.add_row([
                    &*row.name,
                    &*row.id,
                    inspection::name(row.outcome),
                    &*latency.unwrap_or_default(),
                    &*row.tools.map(|tools| tools.to_string()).unwrap_or_default(),
                    &*row.message,
                ]);
            }
            writeln!(f, "{}\n", table.trim_fmt())?;
        }
        write!(f, "{} checked", rows.len())?;
        let mut before = ": ";
        for outcome in Outcome::iter() {
            let count = rows.iter().filter(|row| row.outcome == outcome).count();
            if count > 0 {
                write!(f, "{before}{count} {}", inspection::name(outcome))?;
                before = ", ";
            }
        }
        for (reason, count) in put_off {
            write!(
                f,
                "; {count} not checked, as {reason}: run the command again"
            )?;
        }
        Ok(())
    }
}
