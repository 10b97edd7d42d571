//! Several processes on one database.

use std::{fs, sync::Arc, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        clients::writer::Writer,
        harness::rows,
        invariants::assert_whole,
        objects::objects,
        process::{Process, Serving, program_on, run, token},
    },
};

const STATE: &str = "SELECT state FROM catalog_state";

on_both_databases! {
    async fn start_at_once_on_an_empty_database(storage: TestDatabase) {
        let starts = [(); 4].map(|()| {
            Process::spawn(program_on(&storage, &[]).env("CONNECTORS_LISTEN", "127.0.0.1:0"))
        });
        let servers = starts.map(Serving::up);
        for server in &servers {
            let count = server
                .data("", "{ personalConnectors { totalCount } }", json!({}))
                .await;
            assert_eq!(count["personalConnectors"]["totalCount"], 5);
        }
        // One of them loaded the catalogue, and the others found it.
        assert_eq!(rows(&storage.url, STATE).await, "5\n");
        let migrations = rows(&storage.url, "SELECT COUNT(*) AS n FROM seaql_migrations").await;
        assert_eq!(migrations, format!("{}\n", migration::names().len()));

        // A write through one replica is visible through the others.
        let [first, second, ..] = &servers;
        let ann = token("ann@acme", "connectors:write");
        let create = "mutation { createCustomConnector(input: { name: \"Wiki\", serverUrl: \"https://x.example.com\" \
            }) {
            personalConnector { id } } }";
        let made = first.data(&ann, create, json!({})).await;
        let id = &made["createCustomConnector"]["personalConnector"]["id"];
        let found = second
            .data(
                &ann,
                "query($id: ID!) { node(id: $id) { id } }",
                json!({ "id": id }),
            )
            .await;
        assert_eq!(found["node"]["id"], *id);
        for server in servers {
            server.stop().ok();
        }
    }

    async fn the_commands_run_beside_servers_that_write(storage: TestDatabase) {
        const OBJECTS: usize = 1500;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("objects.jsonl");
        fs::write(&file, objects(OBJECTS)).unwrap();
        let servers = [(); 2].map(|()| Arc::new(Serving::on(&storage)));
        let writing: Vec<_> = ["ann", "bob", "cat", "dan"]
            .iter()
            .zip(servers.iter().cycle().cloned())
            .map(|(name, server)| {
                let mut writer = Writer::new(name);
                tokio::spawn(async move {
                    writer.write(&server).await;
                    writer
                })
            })
            .collect();
        // Two equal imports at once, with other writes in between.
        let import = ["import", "--organization", "acme", file.to_str().unwrap()];
        let mut imports = [(); 2].map(|()| Process::spawn(&mut program_on(&storage, &import)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        run(program_on(&storage, &["migrate"])).ok();
        run(program_on(&storage, &["export"])).ok();
        let dry = [&import[..], &["--dry-run"]].concat();
        run(program_on(&storage, &dry)).ok();
        let mut created = 0;
        for import in &mut imports {
            let said = import.wait().ok();
            let (_, rest) = said.split_once("1500 objects: ").unwrap();
            created += rest.split_once(' ').unwrap().0.parse::<usize>().unwrap();
        }
        assert_eq!(created, OBJECTS);
        let beside: usize = rows(&storage.url, STATE).await.trim().parse().unwrap();
        assert!(beside > OBJECTS + 5, "the servers did not write during the imports");
        for server in &servers {
            server.process.signal("KILL");
        }
        for writing in writing {
            // None of their mutations was refused.
            let writer = writing.await.unwrap();
            assert!(writer.count > 0);
        }
        assert_whole(&storage).await;
    }
}
