//! Checks that users queue.

use super::bounds::{Crowd, slow};
use super::{SECOND, at, candidate, checked_since, made, monitor, put_off, queue, settings, until};
use crate::{
    on_both,
    support::mcp::{Plain, well_behaved},
};
use personal_connectors::{config::CheckBounds, monitor::Settings};
use std::sync::Arc;

on_both! {
    /// Queued checks run before they are due, within the limits. No other checks do.
    async fn queued_checks_are_made_at_once(server: Server) {
        let all = Arc::new(Crowd::default());
        let hosts = [(); 2].map(|()| Arc::new(Crowd::default()));
        let mut rows = Vec::new();
        for (n, host) in hosts.iter().enumerate() {
            let url = slow(&format!("127.0.0.{}", n + 2), [all.clone(), host.clone()]).await;
            rows.extend(["a", "b", "c", "d", "idle"].map(|id| at(&format!("{n}{id}"), &url)));
        }
        let rows = server.put_alone(rows).await;
        put_off(&server).await;
        let settings = Settings {
            bounds: CheckBounds {
                at_once: 3,
                by_host: 2,
            },
            lease: SECOND * 60,
            ..settings()
        };
        let monitor = monitor(&server.database, settings);
        until("it may check", async || {
            server.database.check_counters().holds_lease()
        })
        .await;
        let mut ids: Vec<_> = rows
            .into_iter()
            .map(|row| row.id)
            .filter(|id| !id.contains("idle"))
            .collect();
        queue(&server, &ids).await;
        until("all are checked", async || {
            made(&server.database) >= ids.len() as u64
        })
        .await;
        assert_eq!(all.most(), 3);
        for host in &hosts {
            assert_eq!(host.most(), 2);
        }
        monitor.stop().await;
        ids.sort();
        assert_eq!(checked_since(&server, "h.id").await, ids);
    }

    /// Queued checks become due when they are queued, so connectors that are overdue for longer come first.
    async fn queued_checks_are_made_after_what_waits_for_longer(server: Server) {
        let plain = Plain::new(well_behaved).await;
        server
            .put_alone(
                ["queued", "overdue", "idle"]
                    .map(|id| at(id, &plain.url))
                    .into(),
            )
            .await;
        put_off(&server).await;
        server
            .rows("UPDATE connector_health SET next_check_at = 1 WHERE id = 'pcon_overdue'")
            .await;
        // The process with the monitor continues after they are queued.
        let lease = server
            .database
            .take_lease(&mut candidate(SECOND * 60))
            .await
            .unwrap()
            .unwrap();
        queue(&server, &["pcon_queued".to_owned()]).await;
        server.database.give_up_lease(&lease).await.unwrap();
        let settings = Settings {
            bounds: CheckBounds {
                at_once: 1,
                by_host: 1,
            },
            ..settings()
        };
        let monitor = monitor(&server.database, settings);
        until("both are checked", async || made(&server.database) >= 2).await;
        monitor.stop().await;
        assert_eq!(
            checked_since(&server, "c.checked_at").await,
            ["pcon_overdue", "pcon_queued"]
        );
    }
}
