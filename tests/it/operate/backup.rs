//! Backups, checks of databases, and schemas up and down.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    docs::blocks,
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        objects::objects,
        process::{Done, Serving, program, program_on, run, run_with, token},
        random::random,
    },
};

const BEFORE: &str = "m20261122_000003_health";
const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) { personalConnector { id } userErrors { message } }
}";

fn file(storage: &TestDatabase) -> &str {
    storage.url.strip_prefix("sqlite://").unwrap()
}

fn check(storage: &TestDatabase) -> Done {
    run(program_on(storage, &["check-database"]))
}

/// Migrates a database and adds some connectors.
fn filled(storage: &TestDatabase, connectors: usize) {
    let import = program_on(storage, &["import", "--organization", "acme"]);
    run_with(import, &objects(connectors)).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_among_writers_has_all_that_was_acknowledged() {
    let storage = TestDatabase::sqlite();
    filled(&storage, 500);
    // A fast writer creates more than the default quota.
    let flags = ["--max-per-user", "1000000"];
    let server = Arc::new(Serving::start(program_on(&storage, &flags)));
    let (acknowledged, over) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicBool::new(false)),
    );
    let writers: Vec<_> = ["ann", "bob", "cat"]
        .map(|who| {
            let token = token(&format!("{who}@acme"), "connectors:write");
            let (server, acknowledged, over) = (server.clone(), acknowledged.clone(), over.clone());
            tokio::spawn(async move {
                for i in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("{who} {i}");
                    let input = json!({ "input": { "name": name, "serverUrl": "https://x.example.com/mcp" } });
                    let data = server.data(&token, CREATE, input).await;
                    assert_eq!(data["createCustomConnector"]["userErrors"], json!([]));
                    acknowledged.lock().unwrap().push(name);
                }
            })
        })
        .into();
    let folder = TempDir::new().unwrap();
    for i in 0..5 {
        tokio::time::sleep(Duration::from_millis(random(200))).await;
        let before = acknowledged.lock().unwrap().clone();
        let name = format!("backup{i}.db");
        let backup = folder.path().join(&name);
        let said = run(program_on(&storage, &["backup", backup.to_str().unwrap()])).ok();
        assert!(
            said.starts_with("backed up ") && said.lines().count() == 1,
            "{said}"
        );
        let copy = TestDatabase::at(format!("sqlite://{}", backup.display()));
        check(&copy).ok();
        let names = rows(&copy.url, "SELECT name FROM personal_connector").await;
        for name in before {
            assert!(names.lines().any(|line| line == name), "{name} is missing");
        }
    }
    over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(acknowledged.lock().unwrap().len() > 5);
    let names = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let parts = names.filter(|name| name.to_str().unwrap().contains(".part"));
    assert_eq!(parts.count(), 0);
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_is_there_whole_or_not() {
    let storage = TestDatabase::sqlite();
    filled(&storage, 2000);
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup.db");
    let arguments = ["backup", backup.to_str().unwrap()];
    fs::write(&backup, "mine").unwrap();
    let told = run(program_on(&storage, &arguments)).failed(1);
    assert!(
        told.contains(&*backup.to_string_lossy()) && told.contains("exists already"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(&backup).unwrap(), "mine");
    fs::remove_file(&backup).unwrap();
    // A backup that is killed at any moment leaves the complete file, or none.
    for _ in 0..10 {
        let mut command = program_on(&storage, &arguments);
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(random(150))).await;
        process.kill().unwrap();
        process.wait().unwrap();
        if backup.exists() {
            check(&TestDatabase::at(format!("sqlite://{}", backup.display()))).ok();
            fs::remove_file(&backup).unwrap();
        }
    }
    // The source is not written or migrated either.
    run(program_on(&storage, &["migrate", "--to", BEFORE])).ok();
    let before = fs::read(file(&storage)).unwrap();
    run(program_on(&storage, &arguments)).ok();
    check(&storage).ok();
    assert!(fs::read(file(&storage)).unwrap() == before);
}

#[tokio::test]
async fn a_read_only_file_in_a_read_only_folder() {
    use std::os::unix::process::CommandExt;
    let storage = TestDatabase::sqlite();
    filled(&storage, 10);
    let path = Path::new(file(&storage));
    let folder = path.parent().unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o444)).unwrap();
    fs::set_permissions(folder, PermissionsExt::from_mode(0o555)).unwrap();
    let elsewhere = TempDir::new().unwrap();
    fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o777)).unwrap();
    let backup = elsewhere.path().join("backup.db");
    for arguments in [
        &["check-database"][..],
        &["backup", backup.to_str().unwrap()],
    ] {
        let mut command = program_on(&storage, arguments);
        // The superuser ignores permissions.
        if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
        {
            command.uid(65534).gid(65534);
        }
        run(command).ok();
    }
    check(&TestDatabase::at(format!("sqlite://{}", backup.display()))).ok();
    fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Overwrites the beginning of a page, which has its type.
fn damage(file: &str, page: u64) {
    let file = File::options().write(true).open(file).unwrap();
    file.write_all_at(&[0xff; 16], (page - 1) * 4096).unwrap();
}

#[tokio::test]
async fn damaged_pages_are_found() {
    let storage = TestDatabase::sqlite();
    filled(&storage, 500);
    check(&storage).ok();
    let whole = fs::read(file(&storage)).unwrap();
    let pages = whole.len() as u64 / 4096;
    assert!(pages > 50, "{pages}");
    let folder = TempDir::new().unwrap();
    for page in (0..15).map(|_| 1 + random(pages)).chain([1]) {
        fs::write(file(&storage), &whole).unwrap();
        damage(file(&storage), page);
        let told = check(&storage).failed(1);
        assert!(told.contains("estore"), "page {page}: {told}");
        let backup = folder.path().join("backup.db");
        let told = run(program_on(&storage, &["backup", backup.to_str().unwrap()])).failed(1);
        assert!(
            told.contains("estore") && !backup.exists(),
            "page {page}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_says_that_its_file_is_damaged() {
    let storage = TestDatabase::sqlite();
    filled(&storage, 2000);
    // The service does not read this page when it starts.
    let page = "SELECT pageno FROM dbstat WHERE name = 'connector_event_by_personal_connector_id' AND pagetype = 'leaf'
        ORDER BY pageno DESC LIMIT 1";
    let page = rows(&storage.url, page).await.trim().parse().unwrap();
    damage(file(&storage), page);
    let server = Serving::on(&storage);
    server.data("", "{ viewer { userId } }", json!({})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let logs = server.stop().err;
    let line = logs
        .lines()
        .find(|line| line.contains("ERROR"))
        .unwrap_or_else(|| panic!("{logs}"));
    for told in [
        file(&storage),
        "is damaged",
        "check-database",
        "restore a backup",
    ] {
        assert!(line.contains(told), "{line}");
    }
}

on_both_databases! {
    async fn what_is_half_done_is_found(storage: TestDatabase) {
        filled(&storage, 3);
        check(&storage).ok();
        let sqlite = storage.url.starts_with("sqlite");
        let seq = if sqlite { "rowid" } else { "seq" };
        let unindex = if sqlite {
            "DELETE FROM connector_search WHERE rowid = 2"
        } else {
            "UPDATE personal_connector SET search_words = NULL WHERE seq = 2"
        };
        let flaws = [
            (
                "UPDATE catalog_state SET state = 4",
                "UPDATE catalog_state SET state = 3",
                "catalog_state state 4",
            ),
            (
                "UPDATE catalog_state SET forgotten = 1",
                "UPDATE catalog_state SET forgotten = 0",
                "catalog_state state 3",
            ),
            (
                "UPDATE personal_connector SET revision = 7 WHERE seq = 2",
                "UPDATE personal_connector SET revision = 1",
                "personal_connector pcon_object1: the revision",
            ),
            (
                "UPDATE connector_event SET kind = 'updated' WHERE number = 3",
                "UPDATE connector_event SET kind = 'created'",
                "personal_connector pcon_object2: the event that created it",
            ),
            (
                "UPDATE connector_event SET kind = 'deleted' WHERE number = 3",
                "UPDATE connector_event SET kind = 'created'",
                "connector_event number 3",
            ),
            (
                "UPDATE connector_event SET mark = 7 WHERE number > 1",
                "UPDATE connector_event SET mark = number",
                "connector_event number 3: the mark",
            ),
            (
                "UPDATE connector_event SET revision = 5 WHERE number = 1",
                "UPDATE connector_event SET revision = 1",
                "personal_connector pcon_object0: the event of a revision",
            ),
            (
                "UPDATE connector_health SET next_check_at = NULL WHERE seq = 1",
                "UPDATE connector_health SET next_check_at = 0",
                "connector_health pcon_object0",
            ),
            (
                "UPDATE connector_health SET checked_at = 1 WHERE seq = 1",
                "UPDATE connector_health SET checked_at = NULL",
                "connector_health seq 1",
            ),
            (
                "UPDATE connector_health SET tool_count = 7 WHERE seq = 2",
                "UPDATE connector_health SET tool_count = 0",
                "connector_health seq 2: the id, the address",
            ),
            (
                "UPDATE connector_health SET outcome_since = 1 WHERE seq = 2",
                "UPDATE connector_health SET outcome_since = NULL",
                "connector_health seq 2: an outcome has no beginning",
            ),
            (
                "DELETE FROM connector_health WHERE seq = 1",
                "INSERT INTO connector_health (seq, id, address, failures, next_check_at) VALUES (1, 'pcon_object0', \
                 'x', 0, 0)",
                "connector_health seq 1: the health of a connector is missing",
            ),
            (
                "DELETE FROM check_lease",
                "INSERT INTO check_lease (id, epoch, expires_at) VALUES (1, 0, 0)",
                "check_lease rows 0",
            ),
            (
                "INSERT INTO connector_tool (seq, name, words) VALUES (2, 'x', ' x ')",
                "DELETE FROM connector_tool",
                "connector_tool_search seq 2",
            ),
            (
                unindex,
                "",
                "connector_search seq 2: the words of a connector are missing",
            ),
            (
                "DELETE FROM connector_event WHERE number = 2",
                "",
                "catalog_state state 3",
            ),
        ];
        for (harm, mend, finding) in flaws {
            rows(&storage.url, &harm.replace("{seq}", seq)).await;
            let told = check(&storage).failed(1);
            let line = told.lines().find(|line| line.starts_with(finding));
            assert!(
                line.is_some() && told.contains("Restore a backup"),
                "{finding} in {told}"
            );
            rows(&storage.url, mend).await;
        }
        if sqlite {
            // The check reads the word index; the index's own check commands would write.
            rows(
                &storage.url,
                "DELETE FROM connector_search_data WHERE id > 10",
            )
            .await;
            let told = check(&storage).failed(1);
            assert!(
                told.contains("fts5: ") && told.contains(r#"table "connector_search""#),
                "{told}"
            );
        }
    }

    /// Retention and checks of servers leave a database sound.
    async fn what_is_forgotten_is_not_missed(storage: TestDatabase) {
        filled(&storage, 5);
        rows(
            &storage.url,
            "DELETE FROM connector_event WHERE number <= 3",
        )
        .await;
        rows(&storage.url, "UPDATE catalog_state SET forgotten = 3").await;
        check(&storage).ok();
        rows(&storage.url, "DELETE FROM connector_event").await;
        rows(&storage.url, "UPDATE catalog_state SET forgotten = 5").await;
        check(&storage).ok();
    }

    async fn every_command_refuses_a_newer_version(storage: TestDatabase) {
        filled(&storage, 1);
        rows(&storage.url, "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000001_later', \
                            0)").await;
        let known = rows(
            &storage.url,
            "SELECT version FROM seaql_migrations ORDER BY version DESC LIMIT 1 OFFSET 1",
        )
        .await;
        let folder = TempDir::new().unwrap();
        let backup = folder.path().join("backup.db");
        let mut commands = vec![
            vec![],
            vec!["serve"],
            vec!["migrate"],
            vec!["import"],
            vec!["export"],
            vec!["check"],
            vec!["check-database"],
        ];
        if storage.url.starts_with("sqlite") {
            commands.push(vec!["backup", backup.to_str().unwrap()]);
        }
        for command in commands {
            let done = run(program_on(&storage, &command));
            assert_eq!(done.out, "");
            let told = done.failed(1);
            for part in [
                "m20991231_000001_later",
                env!("CARGO_PKG_VERSION"),
                "run the newer version",
                "migrate --to",
                known.trim(),
            ] {
                assert!(told.contains(part), "{command:?}: {part} in {told}");
            }
            let errors = told.lines().filter(|line| line.starts_with("error: "));
            assert_eq!(errors.count(), 1, "{told}");
        }
    }

    /// The schema of each version is the same on the way down as on the way up, and the remaining data is unchanged.
    async fn schemas_go_down_as_they_came_up(storage: TestDatabase) {
        let known = migration::names();
        let mut schemas = Vec::new();
        for version in &known {
            run(program_on(&storage, &["migrate", "--to", version])).ok();
            schemas.push(schema(&storage).await);
        }
        filled(&storage, 20);
        let connectors =
            "SELECT id || name || revision AS row FROM personal_connector ORDER BY seq";
        let events =
            "SELECT number, personal_connector_id, revision FROM connector_event ORDER BY number";
        let content =
            async || rows(&storage.url, connectors).await + &rows(&storage.url, events).await;
        let before = content().await;
        for (version, schema_of_up) in known.iter().zip(&schemas).rev() {
            run(program_on(&storage, &["migrate", "--to", version])).ok();
            assert_eq!(&schema(&storage).await, schema_of_up, "{version}");
            assert_eq!(content().await, before, "{version}");
            // The check covers every table of the schema.
            check(&storage).ok();
        }
        run(program_on(&storage, &["migrate"])).ok();
        assert_eq!(Some(&schema(&storage).await), schemas.last());
        assert_eq!(content().await, before);
        check(&storage).ok();
        let told = run(program_on(&storage, &["migrate", "--to", "m0"])).failed(2);
        assert!(
            known.iter().all(|name| told.contains(name.as_str())),
            "{told}"
        );
    }

    /// Reverting this version's migrations keeps the data, and the service serves it again.
    async fn data_survives_going_back(storage: TestDatabase) {
        let server = Serving::on(&storage);
        let ann = token("ann@acme", "connectors:write");
        let input =
            json!({ "input": { "name": "Kept", "serverUrl": "https://x.example.com/mcp" } });
        server.data(&ann, CREATE, input).await;
        server.stop();
        let all = "SELECT id, revision FROM personal_connector ORDER BY seq";
        let before = rows(&storage.url, all).await;
        run(program_on(&storage, &["migrate", "--to", BEFORE])).ok();
        let last = rows(
            &storage.url,
            "SELECT version FROM seaql_migrations ORDER BY version DESC LIMIT 1",
        )
        .await;
        assert_eq!(last.trim(), BEFORE);
        assert_eq!(rows(&storage.url, all).await, before);
        let server = Serving::on(&storage);
        let found = server
            .data(
                &ann,
                r#"{ personalConnectors(search: "Kept") { totalCount } }"#,
                json!({}),
            )
            .await;
        assert_eq!(found["personalConnectors"]["totalCount"], 1);
    }
}

/// Returns the schema as text, without differences of white space.
async fn schema(storage: &TestDatabase) -> String {
    let text = if storage.url.starts_with("sqlite") {
        rows(
            &storage.url,
            "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name",
        )
        .await
    } else {
        let dump = Command::new("pg_dump")
            .args(["--schema-only", "--no-owner", &storage.url])
            .output()
            .unwrap();
        assert!(
            dump.status.success(),
            "{}",
            String::from_utf8_lossy(&dump.stderr)
        );
        // The output of newer versions of pg_dump begins and ends with a line that has a random word.
        let text = String::from_utf8(dump.stdout).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('\\'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" ,", ",")
        .replace(" )", ")")
        .replace("( ", "(")
}

#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn amcheck_is_used_where_postgres_has_it() {
    let storage = TestDatabase::postgres().await;
    filled(&storage, 10);
    let told = check(&storage).ok();
    assert!(
        told.contains("not checked: pages: the extension amcheck"),
        "{told}"
    );
    rows(&storage.url, "CREATE EXTENSION amcheck").await;
    let told = check(&storage).ok();
    assert!(!told.contains("not checked"), "{told}");
    // An index without a row of its table.
    let ready = |ready| {
        format!(
            "UPDATE pg_index SET indisready = {ready} WHERE indexrelid = 'personal_connector_by_name'::regclass"
        )
    };
    rows(&storage.url, &ready(false)).await;
    rows(
        &storage.url,
        "UPDATE personal_connector SET name_key = 'another' WHERE seq = 3",
    )
    .await;
    rows(&storage.url, &ready(true)).await;
    let told = check(&storage).failed(1);
    let line = told
        .lines()
        .find(|line| line.starts_with("personal_connector_by_name: "));
    assert!(
        line.is_some() && told.contains("Restore a backup"),
        "{told}"
    );
}

/// Starts and stops the program like a service manager, in the calling folder.
const SYSTEMCTL: &str = r#"#!/bin/bash
set -eu
case $1 in
  start)
    personal-connectors serve >served 2>>log &
    echo $! >pid
    for _ in {1..600}; do grep -q '^GraphQL at' served && exit; sleep 0.05; done
    exit 1 ;;
  stop)
    kill "$(cat pid)"
    while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.05; done ;;
esac
"#;

struct Service<'a> {
    folder: &'a Path,
    url: Option<&'a str>,
}

impl Service<'_> {
    fn shell(&self, script: &str) -> String {
        let mut command = program(&[]);
        command.env_clear();
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", script])
            .env_clear()
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/bin:/usr/bin:/bin",
                    self.folder.join("bin").display()
                ),
            )
            .env("CONNECTORS_LISTEN", "127.0.0.1:0")
            .env("CONNECTORS_MONITOR", "false")
            .current_dir(self.folder);
        if let Some(url) = self.url {
            shell.env("CONNECTORS_DATABASE_URL", url);
            shell.env("CONNECTORS_JWT_SECRET", crate::support::process::SECRET);
        }
        run(shell).ok()
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        let mut pid = String::new();
        if let Ok(mut file) = File::open(self.folder.join("pid")) {
            let _ = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.read_to_string(&mut pid));
            let _ = Command::new("kill")
                .args(["-s", "KILL", pid.trim()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Runs the page's commands for one database in order, and follows their advice.
async fn follow(part: &str, url: Option<&str>) {
    let folder = TempDir::new().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(
        env!("CARGO_BIN_EXE_personal-connectors"),
        bin.join("personal-connectors"),
    )
    .unwrap();
    let mut systemctl = File::create(bin.join("systemctl")).unwrap();
    systemctl.write_all(SYSTEMCTL.as_bytes()).unwrap();
    systemctl
        .set_permissions(PermissionsExt::from_mode(0o755))
        .unwrap();
    drop(systemctl);
    let service = Service {
        folder: folder.path(),
        url,
    };
    let at = url.map_or_else(
        || format!("sqlite://{}/data/connectors.db", folder.path().display()),
        ToOwned::to_owned,
    );
    let names = async || rows(&at, "SELECT name FROM personal_connector ORDER BY seq").await;
    service.shell("systemctl start personal-connectors");

    let page = include_str!("../../../docs/operate/backup.md");
    let part = page
        .split("\n## ")
        .find(|text| text.starts_with(part))
        .unwrap();
    let mut saved = String::new();
    let mut headings = 0;
    for section in part.split("\n### ").skip(1) {
        headings += 1;
        let heading = section.lines().next().unwrap();
        let before = names().await;
        // The page says why a block of the other language is not run.
        let scripts = blocks(section).into_iter();
        for (language, script) in scripts.filter(|(language, _)| language != "console") {
            assert_eq!(language, "sh");
            service.shell(&script);
        }
        match heading {
            "Back up" => {
                saved = before;
                let object = objects(1);
                service.shell(&format!(
                    "personal-connectors import --organization acme <<'X'\n{object}\nX"
                ));
                assert_ne!(names().await, saved);
            }
            "Restore" => assert_eq!(names().await, saved),
            _ => assert_eq!(names().await, before, "{heading}"),
        }
    }
    assert_eq!(headings, 5);
    // The service runs.
    service.shell("systemctl stop personal-connectors");
}

#[tokio::test]
async fn the_page_on_sqlite() {
    follow("SQLite", None).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn the_page_on_postgres() {
    let begun = Instant::now();
    let storage = TestDatabase::postgres().await;
    follow("PostgreSQL", Some(&storage.url)).await;
    assert!(begun.elapsed() < Duration::from_mins(2));
}
