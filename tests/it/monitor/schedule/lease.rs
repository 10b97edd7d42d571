//! The lease of the process that checks.

use super::{SECOND, another, at, candidate, inspector, made, monitor, settings, until};
use crate::{
    on_both,
    support::{
        harness::{NOW, timestamp},
        mcp::{Plain, Reaction, well_behaved},
    },
};
use entity::ServerType;
use personal_connectors::{
    domain::inspection::Schedule,
    monitor::Settings,
    store::{Actor, Check, Target, Tx},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

on_both! {
    async fn a_lease_has_one_holder(server: Server) {
        let (ours, theirs) = (server.database.clone(), another(&server.storage).await);
        let ttl = Duration::from_millis(500);
        let (mut we, mut they) = (candidate(ttl), candidate(ttl));
        let first = ours.take_lease(&mut we).await.unwrap().unwrap();
        assert!(ours.check_counters().holds_lease());
        assert_eq!(theirs.take_lease(&mut they).await.unwrap(), None);
        assert!(!theirs.check_counters().holds_lease());
        // After a renewal, it is the same lease.
        tokio::time::sleep(ttl * 2 / 3).await;
        assert_eq!(ours.take_lease(&mut we).await.unwrap().unwrap(), first);
        tokio::time::sleep(ttl * 2 / 3).await;
        assert_eq!(theirs.take_lease(&mut they).await.unwrap(), None);
        tokio::time::sleep(ttl).await;
        let second = theirs.take_lease(&mut they).await.unwrap().unwrap();
        assert_eq!(ours.take_lease(&mut we).await.unwrap(), None);
        // A lease that is taken again after its release has a new epoch, even for the same process.
        theirs.give_up_lease(&second).await.unwrap();
        let third = theirs.take_lease(&mut they).await.unwrap().unwrap();
        assert_ne!(third, second);
        // Releasing a lost lease has no effect.
        ours.give_up_lease(&first).await.unwrap();
        theirs.give_up_lease(&second).await.unwrap();
        assert_eq!(ours.take_lease(&mut we).await.unwrap(), None);
        assert_eq!(server.rows("SELECT epoch FROM check_lease").await, "3\n");
    }

    /// The lease was lost, for example because an earlier backup was restored, and its epoch repeats.
    async fn a_lease_that_was_lost_is_not_the_next_one(server: Server) {
        let (ours, mut we) = (server.database.clone(), candidate(SECOND * 60));
        let lost = ours.take_lease(&mut we).await.unwrap().unwrap();
        server
            .rows("UPDATE check_lease SET holder = NULL, epoch = epoch - 1, expires_at = 0")
            .await;
        let next = ours.take_lease(&mut we).await.unwrap().unwrap();
        assert_eq!(server.rows("SELECT epoch FROM check_lease").await, "1\n");
        assert_ne!(next, lost);
        let tx = Tx::begin(&ours, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert_eq!(
            (
                tx.holds(&lost).await.unwrap(),
                tx.holds(&next).await.unwrap()
            ),
            (false, true)
        );
        tx.rollback().await;
    }

    async fn what_an_old_holder_found_is_dropped(server: Server) {
        let (ours, theirs) = (server.database.clone(), another(&server.storage).await);
        let connector = server
            .insert(vec![at("x", "http://127.0.0.1:9")])
            .await
            .pop()
            .unwrap();
        let mut found = inspector(SECOND)
            .inspect(None, Some(ServerType::Stdio), SECOND)
            .await
            .unwrap();
        found.checked_at = timestamp(NOW);
        let check = Check {
            target: Target::of(&connector),
            found,
        };
        let old = ours
            .take_lease(&mut candidate(Duration::from_millis(1)))
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        // The lease is over, but no other process took it, so the results are still valid.
        let tx = Tx::begin(&ours, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(tx.holds(&old).await.unwrap());
        // No process takes over until they are stored.
        let taking = {
            let theirs = theirs.clone();
            async move { theirs.take_lease(&mut candidate(SECOND * 60)).await }
        };
        let mut taking = tokio::spawn(taking);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut taking).await;
        assert!(early.is_err(), "{early:?}");
        tx.commit().await.unwrap();
        let new = taking.await.unwrap().unwrap().unwrap();
        let tx = Tx::begin(&ours, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(!tx.holds(&old).await.unwrap());
        tx.rollback().await;
        let mut tx = Tx::begin(&theirs, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(tx.holds(&new).await.unwrap());
        assert_eq!(tx.record(&[check], settings().schedule).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }

    /// A monitor drops its results if another process takes the lease before the check ends.
    async fn a_monitor_that_lost_its_lease_keeps_nothing(server: Server) {
        server
            .put_alone(vec![at("x", &Plain::new(|_| Reaction::Hang).await.url)])
            .await;
        let patient = Settings {
            lease: SECOND * 60,
            ..settings()
        };
        let monitor = monitor(&server.database, patient);
        until("it is checked", async || {
            server.database.check_counters().under_way() > 0
        })
        .await;
        server
            .rows("UPDATE check_lease SET holder = 'they', epoch = epoch + 1")
            .await;
        until("it has no check in progress", async || {
            server.database.check_counters().under_way() == 0
        })
        .await;
        assert_eq!(
            server
                .rows("SELECT COUNT(*) AS n FROM connector_check")
                .await,
            "0\n"
        );
        assert_eq!(made(&server.database), 0);
        // The monitor does not try to get the lease back, and does not release another's.
        monitor.stop().await;
        assert_eq!(
            server.rows("SELECT holder FROM check_lease").await,
            "they\n"
        );
    }

    async fn of_two_processes_one_checks_until_it_is_gone(server: Server) {
        let plain = Plain::new(well_behaved).await;
        let connectors = (0..20).map(|n| at(&format!("x{n}"), &plain.url));
        server.put_alone(connectors.collect()).await;
        let (ours, theirs) = (server.database.clone(), another(&server.storage).await);
        let often = Settings {
            schedule: Schedule {
                interval: SECOND,
                history: 10,
            },
            ..settings()
        };
        let first = monitor(&ours, often);
        until("the first one checks", async || made(&ours) > 0).await;
        let second = monitor(&theirs, often);
        until("all are checked twice", async || made(&ours) > 50).await;
        assert_eq!(made(&theirs), 0);
        assert!(ours.check_counters().holds_lease() && !theirs.check_counters().holds_lease());
        // No connector was checked by two processes at once, or too early.
        let checks = server
            .rows("SELECT seq, checked_at FROM connector_check ORDER BY seq, checked_at")
            .await;
        let mut last = BTreeMap::new();
        for check in checks.lines() {
            let (seq, at) = check.split_once('|').unwrap();
            let at: i64 = at.parse().unwrap();
            if let Some(before) = last.insert(seq.to_owned(), at) {
                assert!(at - before >= 900_000, "{seq} after {} µs", at - before);
            }
        }
        first.stop().await;
        let (before, began) = (made(&ours), Instant::now());
        until("the second one continues", async || made(&theirs) > 20).await;
        assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
        assert_eq!(made(&ours), before);
        second.stop().await;
        // A lease whose holder died expires, and not later than its term.
        let third = another(&server.storage).await;
        third
            .take_lease(&mut candidate(often.lease))
            .await
            .unwrap()
            .unwrap();
        let (before, began) = (made(&theirs), Instant::now());
        let heir = monitor(&theirs, often);
        until("the heir checks", async || made(&theirs) > before).await;
        assert!(
            began.elapsed() > often.lease * 9 / 10,
            "{:?}",
            began.elapsed()
        );
        assert!(began.elapsed() < 6 * SECOND, "{:?}", began.elapsed());
        heir.stop().await;
    }
}
