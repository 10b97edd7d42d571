//! A disk that fills and empties: no acknowledged write is lost, and the service recovers by itself when there is
//! space.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use super::{
    Crew, changing_tools, checking,
    disks::{Disk, Small, without_signal},
    is_ready, objects, random, rounds, within,
};
use crate::{
    operate::outage::Cluster,
    support::{
        harness::{TestDatabase, rows},
        process::{Process, Serving, program_on},
    },
};

/// The longest time until readiness is right, and until the service writes again.
const SOON: Duration = Duration::from_secs(5);

/// Objects of the import beside the service.
const OBJECTS: usize = 50;

/// Fills and empties the disk repeatedly, while clients write, check and read, a file is imported, and old events are
/// pruned.
async fn fills_and_empties(storage: TestDatabase, disk: Disk) {
    let mcp = changing_tools().await;
    let mut crew = Crew::new(&storage, &mcp);
    // Longer than any wait in this test, so that TIMEOUT is no response.
    let wait = ["--database-wait", "30s", "--request-timeout", "60s"];
    let start = || {
        let mut command = checking(&storage);
        command.args(wait).args(["--event-retention", "2s"]);
        Serving::start(without_signal(&command))
    };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("objects.jsonl");
    let (mut server, mut cycles, mut slowest) = (start(), 0, Duration::ZERO);
    while cycles < rounds(2) {
        cycles += 1;
        let objects = objects(OBJECTS).replace("Object ", &format!("Object {cycles} "));
        fs::write(&file, objects).unwrap();
        let arguments = ["import", "--organization", "acme", "--database-wait", "30s"];
        let mut import = Process::spawn(program_on(&storage, &arguments).arg(&file));
        let before = crew.refused();
        let full = async {
            tokio::time::sleep(Duration::from_millis(100 + random(300))).await;
            disk.fill(&server, false);
            tokio::time::sleep(Duration::from_millis(random(300))).await;
            disk.fill(&server, true);
            within(SOON, "it is not ready", async || !is_ready(&server).await).await;
        };
        crew.work(&server, full).await;
        if disk.refuses_all() {
            // The service stays unready.
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(500) {
                assert!(!is_ready(&server).await, "it is ready, and cannot write");
            }
            for writer in &mut crew.writers {
                assert_eq!(writer.write_one(&server).await, super::Sent::Refused);
            }
            assert!(crew.refused() > before);
            // The limit applies only to the service, so other processes can write.
            another_process_writes(&storage).await;
            crew.settle(&storage).await;
        }

        disk.empty(&server);
        let back = within(SOON, "it is ready", async || is_ready(&server).await);
        slowest = slowest.max(back.await);
        for writer in &mut crew.writers {
            let back = within(SOON, "it writes", async || {
                writer.write_one(&server).await == super::Sent::Acknowledged
            });
            back.await;
        }
        another_process_writes(&storage).await;
        crew.work(&server, tokio::time::sleep(Duration::from_millis(200)))
            .await;
        let imported = import.wait();
        if imported.code == Some(0) {
            let landed = format!(
                "SELECT COUNT(*) AS n FROM personal_connector WHERE name LIKE 'Object {cycles} %'"
            );
            assert_eq!(rows(&storage.url, &landed).await, format!("{OBJECTS}\n"));
        } else {
            assert_eq!(imported.code, Some(1), "{}", imported.err);
        }
        crew.settle(&storage).await;
        assert_served(&crew, &server).await;

        // Data that only the process held is lost when it ends.
        if cycles % 2 == 0 {
            server.process.kill();
        } else {
            server.stop().ok();
        }
        crew.settle(&storage).await;
        server = start();
        // The lease of the killed process lasts 30 s. Without it the monitor starts at once.
        rows(
            &storage.url,
            "UPDATE check_lease SET holder = NULL, expires_at = 0",
        )
        .await;
    }
    println!(
        "full {cycles} times: {} writes and checks acknowledged, {} refused, 0 lost, {} reads; ready after \
         {slowest:.1?} at most",
        crew.acknowledged(),
        crew.refused(),
        crew.reads
    );
    assert!(crew.refused() > 0 && crew.acknowledged() > 20 && crew.reads > 0);
}

/// Fails if the service holds a lock.
async fn another_process_writes(storage: &TestDatabase) {
    rows(&storage.url, "UPDATE catalog_state SET state = state").await;
}

/// The service lists all acknowledged connectors.
async fn assert_served(crew: &Crew, server: &Serving) {
    const LIST: &str = "query($who: ID!) { personalConnectors(first: 100, filter: { createdBy: [$who] }) { nodes { id \
                        revision } } }";
    for writer in &crew.writers {
        let data = server
            .data(&writer.token, LIST, json!({ "who": writer.name }))
            .await;
        let nodes = data["personalConnectors"]["nodes"].as_array().unwrap();
        let told = nodes.iter().map(|node| {
            let id = node["id"].as_str().unwrap().to_owned();
            (id, node["revision"].as_i64().unwrap())
        });
        assert_eq!(
            told.collect::<std::collections::HashMap<_, _>>(),
            writer.live
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs prlimit (Debian: util-linux)"]
async fn a_limit_of_files_on_sqlite() {
    let prlimit = std::process::Command::new("prlimit").output();
    prlimit.expect("this test needs prlimit: install it (Debian: util-linux)");
    let storage = TestDatabase::sqlite();
    let wal = storage.url.strip_prefix("sqlite://").unwrap().to_owned() + "-wal";
    let disk = Disk::Limit { wal: wal.into() };
    fills_and_empties(storage, disk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root on Linux, to mount file systems"]
async fn a_small_file_system_on_sqlite() {
    let disk = Small::mount(12, "root");
    let url = format!("sqlite://{}/connectors.db", disk.path().display());
    fills_and_empties(TestDatabase::at(url), Disk::Small(disk)).await;
}

/// The tables and indexes are in a full tablespace, and PostgreSQL answers 53100.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root on Linux, to mount file systems, and PostgreSQL's programs"]
async fn a_small_file_system_on_postgres() {
    let disk = Small::mount(32, "postgres");
    let cluster = Cluster::start();
    let main = cluster.database().url.clone();
    let folder = disk.path().display();
    rows(
        &main,
        &format!("CREATE TABLESPACE small LOCATION '{folder}'"),
    )
    .await;
    rows(&main, "CREATE DATABASE torture TABLESPACE small").await;
    let (server, _) = main.rsplit_once('/').unwrap();
    let url = format!("{server}/torture");
    fills_and_empties(TestDatabase::at(url), Disk::Small(disk)).await;
}
