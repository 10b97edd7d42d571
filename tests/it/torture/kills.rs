//! SIGKILL at random moments: acknowledged writes are kept, and every change is complete.

use std::{
    fs,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Crew, assert_whole, changing_tools, checking, objects, random, rounds};
use crate::{
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        process::{Process, Serving, program_on, run},
    },
};

/// Waits until PostgreSQL has closed the client's sessions, because until then it may still commit.
async fn await_end(storage: &TestDatabase) {
    let others = "SELECT COUNT(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while !storage.url.starts_with("sqlite") && rows(&storage.url, others).await != "0\n" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

on_both_databases! {
    async fn a_server_in_the_middle_of_writes_and_checks(storage: TestDatabase) {
        /// The longest time until the service responds again.
        const BACK: Duration = Duration::from_secs(30);
        let mcp = changing_tools().await;
        let mut crew = Crew::new(&storage, &mcp);
        let (mut kills, mut slowest) = (0, Duration::ZERO);
        // A slow machine needs more rounds for enough writes.
        while kills < rounds(4) || crew.acknowledged() < 20 {
            // The lease of the killed process lasts 30 s. Without it the monitor starts at once.
            rows(
                &storage.url,
                "UPDATE check_lease SET holder = NULL, expires_at = 0",
            )
            .await;
            let began = Instant::now();
            let server = Serving::start(checking(&storage));
            slowest = slowest.max(began.elapsed());
            assert!(slowest < BACK, "it serves after {slowest:?}");
            // The monitor stores its results after a second.
            let long = if kills % 4 == 3 { 1000 } else { 100 };
            let kill = async {
                tokio::time::sleep(Duration::from_millis(long + random(300))).await;
                server.process.signal("KILL");
            };
            crew.work(&server, kill).await;
            kills += 1;
            drop(server);
            await_end(&storage).await;
            crew.settle(&storage).await;
        }
        println!(
            "{kills} kills: {} writes and checks acknowledged, 0 lost; it served after {slowest:.1?} at most",
            crew.acknowledged()
        );
    }

    async fn an_import_at_any_moment(storage: TestDatabase) {
        const OBJECTS: usize = 2000;
        const COUNT: &str = "SELECT COUNT(*) AS n FROM personal_connector WHERE source = 'import'";
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("objects.jsonl");
        let arguments = ["import", "--organization", "acme", file.to_str().unwrap()];
        fs::write(&file, objects(OBJECTS)).unwrap();
        run(program_on(&storage, &["migrate"])).ok();
        let (mut kills, mut landed, mut complete) = (0, 0, 0);
        while kills < rounds(4) {
            let mut import = Process::spawn(&mut program_on(&storage, &arguments));
            tokio::time::sleep(Duration::from_millis(50 + random(1500))).await;
            import.kill();
            kills += 1;
            await_end(&storage).await;
            assert_whole(&storage).await;
            let now: usize = rows(&storage.url, COUNT).await.trim().parse().unwrap();
            let now = now - OBJECTS * complete;
            assert!(
                now.is_multiple_of(500) && now >= landed,
                "{now} are no whole batches, after {landed}"
            );
            landed = now;
            if landed == OBJECTS {
                // The next import has other objects.
                complete += 1;
                let other = objects(OBJECTS * (complete + 1));
                let next: Vec<_> = other.lines().skip(OBJECTS * complete).collect();
                fs::write(&file, next.join("\n")).unwrap();
                landed = 0;
            }
        }
        println!(
            "{kills} kills of imports: {} objects landed, in whole batches",
            OBJECTS * complete + landed
        );
        let done = run(program_on(&storage, &arguments)).ok();
        let (new, old) = (OBJECTS - landed, landed);
        assert!(
            done.starts_with(&format!(
                "{OBJECTS} objects: {new} created, 0 updated, {old} unchanged"
            )),
            "{done}"
        );
        assert_whole(&storage).await;
    }
}
