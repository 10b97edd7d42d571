//! The catalogue that each start loads: the built-in one, or a file.

use std::{fs, sync::Arc};

use fixtures::published;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        harness::{Server, TestDatabase, fixed_clock, rows, timestamp},
        mutations::with,
        process::{program_on, run, run_with},
    },
};

const EVENTS: &str = "SELECT kind, personal_connector_id, changed_fields, revision FROM connector_event ORDER BY \
                      number";
const STATUSES: &str = "SELECT id, status, status_message, replaced_by_id, revision FROM personal_connector ORDER BY \
                        id";

const SET_STATUS: &str = "mutation($input: SetConnectorStatusInput!) {
    setConnectorStatus(input: $input) { userErrors { message } }
}";

/// A database, and a catalogue file for its starts.
struct Starts {
    storage: Arc<TestDatabase>,
    folder: TempDir,
}

impl Starts {
    fn new(storage: TestDatabase) -> Self {
        run(program_on(&storage, &["migrate"])).ok();
        Self {
            storage: Arc::new(storage),
            folder: TempDir::new().unwrap(),
        }
    }

    /// Starts with these entries. Returns the server, and the start's events, one a line.
    async fn with(&self, entries: &[Value]) -> (Server, String) {
        let file = self.folder.path().join("catalogue.json");
        fs::write(&file, json!(entries).to_string()).unwrap();
        let before = self.events().await;
        let flags = ["--catalog", file.to_str().unwrap()];
        let server = Server::start(self.storage.clone(), &flags, fixed_clock()).await;
        let after = server.rows(EVENTS).await;
        let new = after.strip_prefix(&before).unwrap().to_owned();
        (server, new)
    }

    async fn events(&self) -> String {
        rows(&self.storage.url, EVENTS).await
    }

    /// Returns the error of a start with these entries, and checks that the start changed nothing.
    async fn refused(&self, catalogue: &str) -> String {
        let file = self.folder.path().join("wrong.json");
        fs::write(&file, catalogue).unwrap();
        let before = self.events().await;
        let told = run(program_on(
            &self.storage,
            &["--catalog", file.to_str().unwrap()],
        ))
        .failed(1);
        assert_eq!(self.events().await, before, "{catalogue}");
        let (_, error) = told.split_once("error: ").unwrap();
        error.trim().to_owned()
    }
}

fn entry(name: &str) -> Value {
    published::official(name, name)
}

fn replaced(name: &str, by: &str) -> Value {
    with(
        entry(name),
        json!({ "status": "deprecated", "replacedBy": format!("pcon_{by}") }),
    )
}

async fn set_status(server: &Server, input: Value) {
    let admin = server.token("root@aitronos", &["catalog:admin"]);
    let data = server
        .data(&admin, SET_STATUS, json!({ "input": input }))
        .await;
    assert_eq!(data["setConnectorStatus"]["userErrors"], json!([]));
}

on_both_databases! {
    async fn the_built_in_one_is_as_published(storage: TestDatabase) {
        let storage = Arc::new(storage);
        let server = Server::start(storage.clone(), &[], fixed_clock()).await;
        let exported = run(program_on(&storage, &["export"])).ok();
        for published in [
            include_str!("published/github.json"),
            include_str!("published/clickup.json"),
        ] {
            let published = serde_json::from_str::<Value>(published)
                .unwrap()
                .to_string();
            assert!(
                exported.lines().any(|line| line == published),
                "{published}"
            );
        }
        // A second start changes nothing.
        // PostgreSQL has a column that is neither text nor a number.
        let row = if server.storage.url.starts_with("sqlite") {
            "*"
        } else {
            "c::text AS row"
        };
        let everything = &format!("SELECT {row} FROM personal_connector AS c ORDER BY id");
        let (state, rows) = (server.state().await, server.rows(everything).await);
        server.clock.set(timestamp("2026-12-24T18:00:00Z"));
        let again = Server::start(storage, &[], server.clock.clone()).await;
        assert_eq!(
            (again.state().await, again.rows(everything).await),
            (state, rows)
        );
        assert_eq!(state, 5);
    }

    async fn only_what_changed_is_rewritten(storage: TestDatabase) {
        let starts = Starts::new(storage);
        let (server, events) = starts.with(&[entry("a"), entry("b"), entry("c")]).await;
        assert_eq!(
            events,
            "created|pcon_a|[]|1\ncreated|pcon_b|[]|1\ncreated|pcon_c|[]|1\n"
        );
        // The file's layout and order do not matter.
        let a: Value = serde_json::from_str(
            r#"{"status": "active", "connectorId": "a", "name": "a", "type": "official", "object":"personal_connector",
                "id":"pcon_a", "description": null}"#,
        ).unwrap();
        let (server, events) = {
            drop(server);
            starts.with(&[entry("c"), entry("b"), a]).await
        };
        assert_eq!(events, "");
        drop(server);
        let b = with(
            entry("b"),
            json!({ "description": "B", "metadata": { "z": 1, "a": 1.0 } }),
        );
        let (server, events) = starts.with(&[b.clone(), entry("c"), entry("d")]).await;
        assert_eq!(
            events,
            "deleted|pcon_a|[]|1\nupdated|pcon_b|[\"description\",\"metadata\"]|2\ncreated|pcon_d|[]|1\n"
        );
        let times =
            "SELECT id, created_at - updated_at AS age FROM personal_connector WHERE id = 'pcon_b'";
        assert_eq!(server.rows(times).await, "pcon_b|0\n");
        // A released connectorId can be taken by another.
        let e = with(entry("e"), json!({ "connectorId": "c" }));
        let (_server, events) = starts.with(&[b, entry("d"), e]).await;
        assert_eq!(events, "deleted|pcon_c|[]|1\ncreated|pcon_e|[]|1\n");
        let (_server, events) = starts.with(&[]).await;
        assert_eq!(
            events,
            "deleted|pcon_b|[]|2\ndeleted|pcon_d|[]|1\ndeleted|pcon_e|[]|1\n"
        );
    }

    async fn an_administrators_status_stays_until_the_file_has_another(storage: TestDatabase) {
        let starts = Starts::new(storage);
        let (server, _) = starts.with(&[entry("a"), entry("b")]).await;
        let maintenance =
            json!({ "id": "pcon_a", "status": "MAINTENANCE", "statusMessage": "Back at noon" });
        set_status(&server, maintenance).await;
        let (server, events) = starts.with(&[entry("a"), entry("b")]).await;
        assert_eq!(events, "");
        let described = with(entry("a"), json!({ "description": "A" }));
        let (server, events) = {
            drop(server);
            starts.with(&[described.clone(), entry("b")]).await
        };
        assert_eq!(events, "updated|pcon_a|[\"description\"]|3\n");
        assert_eq!(
            server.rows(STATUSES).await,
            "pcon_a|maintenance|Back at noon||3\npcon_b|active|||1\n"
        );
        let deprecated = with(
            described,
            json!({ "status": "deprecated", "replacedBy": "pcon_b" }),
        );
        let (server, _) = starts.with(&[deprecated.clone(), entry("b")]).await;
        assert_eq!(
            server.rows(STATUSES).await,
            "pcon_a|deprecated||pcon_b|4\npcon_b|active|||1\n"
        );
        // A status that was changed by hand stays, and does not prevent the start.
        set_status(&server, json!({ "id": "pcon_a", "status": "ACTIVE" })).await;
        let round = json!({ "id": "pcon_b", "status": "DEPRECATED", "replacedById": "pcon_a" });
        set_status(&server, round).await;
        let (server, events) = starts.with(&[deprecated.clone(), entry("b")]).await;
        assert_eq!(events, "");
        drop(server);
        let renamed = with(deprecated, json!({ "name": "A" }));
        let (server, events) = starts.with(&[renamed, entry("b")]).await;
        assert_eq!(events, "updated|pcon_a|[\"name\"]|6\n");
        assert_eq!(
            server.rows(STATUSES).await,
            "pcon_a|active|||6\npcon_b|deprecated||pcon_a|2\n"
        );
    }

    async fn what_an_import_brought_is_left_alone(storage: TestDatabase) {
        let starts = Starts::new(storage);
        let (server, _) = starts.with(&[entry("a"), entry("b")]).await;
        let imported = json!([
            entry("x"),
            with(entry("a"), json!({ "description": "imported" }))
        ]);
        run_with(
            program_on(&starts.storage, &["import"]),
            &imported.to_string(),
        )
        .ok();
        let (_, events) = starts
            .with(&[with(entry("a"), json!({ "name": "A" })), entry("x")])
            .await;
        assert_eq!(events, "deleted|pcon_b|[]|1\n");
        let (_, events) = starts.with(&[]).await;
        assert_eq!(events, "");
        let rows = server
            .rows("SELECT id, name, description FROM personal_connector ORDER BY id")
            .await;
        assert_eq!(rows, "pcon_a|a|imported\npcon_x|x|\n");
    }

    async fn replacements_within_the_catalogue(storage: TestDatabase) {
        let starts = Starts::new(storage);
        // A replacement may come later in the file.
        let chain = [
            replaced("a", "b"),
            replaced("b", "c"),
            replaced("c", "d"),
            entry("d"),
        ];
        let (server, events) = starts.with(&chain).await;
        assert_eq!(
            events.lines().count(),
            6,
            "four connectors are created, and two are linked afterwards: {events}"
        );
        let statuses = server
            .rows("SELECT id, replaced_by_id FROM personal_connector ORDER BY id")
            .await;
        assert_eq!(
            statuses,
            "pcon_a|pcon_b\npcon_b|pcon_c\npcon_c|pcon_d\npcon_d|\n"
        );
        let (_, events) = starts.with(&chain).await;
        assert_eq!(events, "");

        let told = starts
            .refused(&json!([replaced("a", "b"), replaced("b", "a")]).to_string())
            .await;
        assert_eq!(
            told,
            "the catalogue does not fit the database: pcon_b: replacedBy: replacements must not lead back, nor be more \
             than 32 in a row"
        );
        // The same entries in another order are no cycle, whatever links are stored.
        let other = [
            replaced("b", "a"),
            replaced("a", "c"),
            replaced("c", "d"),
            entry("d"),
        ];
        let (server, _) = starts.with(&other).await;
        assert_eq!(
            server
                .rows("SELECT id, replaced_by_id FROM personal_connector ORDER BY id")
                .await,
            "pcon_a|pcon_c\npcon_b|pcon_a\npcon_c|pcon_d\npcon_d|\n"
        );
        // The replacement must exist.
        let told = starts.refused(&json!([chain[2]]).to_string()).await;
        assert_eq!(
            told,
            "the catalogue does not fit the database: pcon_c: replacedBy: there is no such connector"
        );
        // A connector loses a replacement that is deleted, as a change of its own.
        let replaced_by_d = json!([replaced("x", "d")]).to_string();
        run_with(program_on(&starts.storage, &["import"]), &replaced_by_d).ok();
        let (server, events) = starts.with(&chain[..0]).await;
        assert!(
            events.contains("updated|pcon_x|[\"replacedBy\"]|2\n"),
            "{events}"
        );
        assert_eq!(server.rows(STATUSES).await, "pcon_x|deprecated|||2\n");
    }

    async fn names_change_hands_whatever_the_order(storage: TestDatabase) {
        let starts = Starts::new(storage);
        let as_id = |name: &str, id: &str| with(entry(name), json!({ "connectorId": id }));
        drop(
            starts
                .with(&[entry("a"), entry("b"), entry("c"), entry("d")])
                .await,
        );
        // A swap, a chain whose first name is released, and a new connector with a released name.
        let swapped = [
            as_id("a", "b"),
            as_id("b", "a"),
            as_id("c", "d"),
            as_id("d", "e"),
            as_id("f", "c"),
        ];
        let (server, events) = starts.with(&swapped).await;
        let changed = |id: &str| format!("updated|pcon_{id}|[\"connectorId\"]|2\n");
        let expected = ["a", "b", "c", "d"].map(changed).concat() + "created|pcon_f|[]|1\n";
        assert_eq!(events, expected);
        let ids = "SELECT id, connector_id, revision FROM personal_connector ORDER BY id";
        assert_eq!(
            server.rows(ids).await,
            "pcon_a|b|2\npcon_b|a|2\npcon_c|d|2\npcon_d|e|2\npcon_f|c|1\n"
        );
        drop(server);
        let (_, events) = starts.with(&swapped).await;
        assert_eq!(events, "");
        // A connector of an import releases nothing.
        run_with(
            program_on(&starts.storage, &["import"]),
            &entry("x").to_string(),
        )
        .ok();
        let told = starts
            .refused(&json!([as_id("a", "x"), as_id("x", "z")]).to_string())
            .await;
        assert!(told.ends_with("pcon_a: connectorId: the connectorId is taken by pcon_x: change it, or delete that \
                                connector"), "{told}");
    }

    async fn a_wrong_entry_is_named_and_nothing_is_loaded(storage: TestDatabase) {
        let starts = Starts::new(storage);
        let (server, _) = starts.with(&[entry("a")]).await;
        let custom = with(
            published::served("x", "x"),
            json!({ "organization": "acme" }),
        );
        run_with(
            program_on(&starts.storage, &["import"]),
            &custom.to_string(),
        )
        .ok();
        let good = entry("good");
        let wrong = [
            (
                json!([good, with(entry("b"), json!({ "name": " " }))]),
                "entry 2: name must not be blank",
            ),
            (
                json!([with(entry("b"), json!({ "status": "gone" }))]),
                "entry 1: status must be one of active, deprecated, maintenance",
            ),
            (
                json!([with(entry("b"), json!({ "colour": 1 }))]),
                "entry 1: colour is not a key of a personal connector",
            ),
            (
                json!([with(entry("b"), json!({ "id": "b", "serverUrl": "x" }))]),
                "entry 1: id must be",
            ),
            (json!([good, 7]), "entry 2: the entry must be a JSON object"),
            (json!([good, custom]), "entry 2: type must not be custom"),
            (
                json!([good, good]),
                "pcon_good: id: an earlier entry has the same id",
            ),
            (
                json!([good, with(entry("b"), json!({ "connectorId": "good" }))]),
                "pcon_b: connectorId: the connectorId is taken",
            ),
            (
                json!([good, entry("x")]),
                "pcon_x: id: the id belongs to a connector of another type",
            ),
            (
                json!([good, replaced("b", "nowhere")]),
                "pcon_b: replacedBy: there is no such connector",
            ),
        ];
        for (catalogue, expected) in wrong {
            let told = starts.refused(&catalogue.to_string()).await;
            let why = if expected.starts_with("entry") {
                "no entry was loaded: "
            } else {
                "the catalogue does not fit the database: "
            };
            assert!(told.contains(&format!("{why}{expected}")), "{told}");
        }
        // All errors at once.
        let both = json!([
            with(entry("b"), json!({ "name": "", "iconUrl": "http://x" })),
            with(good, json!({ "version": "1" }))
        ]);
        let told = starts.refused(&both.to_string()).await;
        for expected in ["entry 1: name", "; entry 1: iconUrl", "; entry 2: version"] {
            assert!(told.contains(expected), "{told}");
        }
        // The error names an unsupported form, and is short for any number of errors.
        let server_json = json!({ "name": "io.example/a", "version": "1.0.0" });
        for (catalogue, expected) in [
            (
                json!([server_json]),
                "entry 1: the entry is a server of another catalogue: load it with import",
            ),
            (
                json!([{ "colour": "red" }]),
                "entry 1: the entry is neither a personal connector nor an MCP server: its keys are colour",
            ),
            (
                json!({ "servers": [entry("a")], "metadata": { "nextCursor": "b" } }),
                "it is one page of a list: give the whole list",
            ),
            (
                json!(vec![json!({ "colour": "red" }); 3000]),
                "; and 2980 more",
            ),
        ] {
            let told = starts.refused(&catalogue.to_string()).await;
            assert!(told.contains(expected) && told.len() < 10_000, "{told}");
        }
        let told = starts.refused("[{").await;
        assert!(told.contains("at line 1 column 2"), "{told}");
        let ids = server
            .rows("SELECT id FROM personal_connector ORDER BY id")
            .await;
        assert_eq!(ids, "pcon_a\npcon_x\n");
    }
}
