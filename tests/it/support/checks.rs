//! Records checks of connectors without a real server.

use std::time::Duration;

use entity::{Outcome, Timestamp};
use personal_connectors::{
    domain::{
        inspection::{Inspection, Schedule, Tool},
        viewer::Sight,
    },
    store::{Actor, Check, Target, Tx},
};

use crate::support::harness::{NOW, Server, timestamp};

pub const SCHEDULE: Schedule = Schedule {
    interval: Duration::from_hours(1),
    history: 3,
};

pub const SECOND: i64 = 1_000_000;

/// Returns the moment this many seconds after the start of the tests' clock.
pub fn after(seconds: i64) -> Timestamp {
    Timestamp(timestamp(NOW).0 + seconds * SECOND)
}

/// Returns an inspection with this outcome at the start of the tests' clock, without tools.
pub fn found(outcome: Outcome) -> Inspection {
    Inspection {
        outcome,
        message: format!("It is {outcome:?}."),
        checked_at: after(0),
        latency_ms: None,
        transport: None,
        protocol_version: None,
        server_info: None,
        instructions: None,
        capabilities: Vec::new(),
        tools: Vec::new(),
        tools_listed: false,
        resource_count: None,
        prompt_count: None,
        authorization_servers: Vec::new(),
        tools_left_out: 0,
        extensions: None,
        fresh_for: None,
    }
}

/// Returns the inspection of an open server with tools of these names and descriptions.
pub fn offering(tools: &[(&str, &str)]) -> Inspection {
    let tool = |(name, description): &(&str, &str)| Tool {
        name: (*name).to_owned(),
        title: None,
        description: Some((*description).to_owned()),
        input_schema: None,
        output_schema: None,
        annotations: None,
    };
    Inspection {
        tools: tools.iter().map(tool).collect(),
        tools_listed: true,
        ..found(Outcome::Open)
    }
}

impl Server {
    /// Records inspections of existing connectors. Returns the number stored.
    pub async fn record(&self, checks: Vec<(String, Inspection)>) -> usize {
        // The transaction's time is not before the inspections.
        let found = checks.iter().map(|(_, found)| found.checked_at);
        let now = found.chain([self.clock.now()]).max().unwrap();
        let mut tx = Tx::begin(&self.database, Actor::default(), now)
            .await
            .unwrap();
        let ids: Vec<_> = checks.iter().map(|(id, _)| id.clone()).collect();
        let rows = tx.get(&Sight::Everything, &ids).await.unwrap();
        let check = |(id, found): (String, Inspection)| Check {
            target: Target::of(rows.iter().find(|row| row.id == id).unwrap()),
            found,
        };
        let checks: Vec<_> = checks.into_iter().map(check).collect();
        let kept = tx.record(&checks, SCHEDULE).await.unwrap();
        tx.commit().await.unwrap();
        kept
    }
}
