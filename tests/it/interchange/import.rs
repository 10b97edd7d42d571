//! The entries that `import` accepts, those that it rejects, and its report.

use std::{fs, path::Path};

use fixtures::published;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        mutations::with,
        process::{Done, Serving, program_on, run, run_with, token},
    },
};

const NAMES: &str = "SELECT name FROM personal_connector ORDER BY name_key, id";
const STATE: &str = "SELECT state FROM catalog_state";
/// All rows that an import could change.
const EVERYTHING: &str =
    "SELECT state, p.* FROM catalog_state, personal_connector AS p ORDER BY id";

fn import(storage: &TestDatabase, flags: &[&str], input: &str) -> Done {
    let mut command = program_on(storage, &["import", "--organization", "acme"]);
    command.args(flags);
    run_with(command, input)
}

fn custom(name: &str) -> Value {
    published::served(name, name)
}

fn official(name: &str) -> Value {
    published::official(name, name)
}

fn replaced(object: Value, by: &str) -> Value {
    with(
        object,
        json!({ "status": "deprecated", "replacedBy": format!("pcon_{by}") }),
    )
}

fn lines(objects: &[Value]) -> String {
    let lines: Vec<_> = objects.iter().map(Value::to_string).collect();
    lines.join("\n")
}

/// Runs an import as a dry run, which writes nothing, and then for real. Both must report the same.
async fn import_both_ways(storage: &TestDatabase, input: &str) -> Done {
    run(program_on(storage, &["migrate"])).ok();
    let before = rows(&storage.url, EVERYTHING).await;
    let dry = import(storage, &["--dry-run"], input);
    assert_eq!(rows(&storage.url, EVERYTHING).await, before);
    let done = import(storage, &[], input);
    let said = done.out.trim();
    assert_eq!(
        dry.out.trim(),
        format!("{said} (dry run: nothing was written)"),
        "{}",
        dry.err
    );
    assert_eq!((&dry.err, dry.code), (&done.err, done.code));
    done
}

/// Repeats an import, which changes nothing.
async fn import_again(storage: &TestDatabase, input: &str) -> Done {
    let before = rows(&storage.url, EVERYTHING).await;
    let done = import(storage, &[], input);
    assert!(done.out.contains(" 0 created, 0 updated, "), "{}", done.out);
    assert_eq!(rows(&storage.url, EVERYTHING).await, before);
    done
}

on_both_databases! {
    async fn takes_all_forms_from_files_and_standard_input(storage: TestDatabase) {
        let folder = TempDir::new().unwrap();
        let server = |name: &str| json!({ "name": format!("com.example/{name}"), "description": "",
            "version": "1.0.0" });
        let page = json!({ "servers": [{ "server": server("p1") }, { "server": server("p2") }],
            "metadata": { "count": 2 } });
        let files = [
            ("one.json", format!("{:#}", custom("a"))),
            ("array.json", json!([custom("b"), server("c")]).to_string()),
            (
                "lines.jsonl",
                format!("\u{feff}{}\r\n\n{}", custom("d"), server("e")),
            ),
            ("page.json", page.to_string()),
            ("empty.json", String::new()),
        ];
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for (name, text) in &files {
            fs::write(path(name), text).unwrap();
        }
        let paths: Vec<_> = files.iter().map(|(name, _)| path(name)).collect();
        let mut all: Vec<_> = paths.iter().map(String::as_str).collect();
        all.push("-");
        let done = import(&storage, &all, &custom("f").to_string());
        assert_eq!(
            done.ok(),
            "8 objects: 8 created, 0 updated, 0 unchanged, 0 older versions, 0 deleted in the registry, 0 rejected\n"
        );
        assert_eq!(
            rows(&storage.url, NAMES).await,
            "a\nb\nc\nd\ne\nf\np1\np2\n"
        );
        // Objects are numbered in each file. An input that can be read only once works too.
        let done = import(
            &storage,
            &[all[1], "/dev/stdin"],
            &lines(&[custom("g"), with(custom("h"), json!({ "name": " " }))]),
        );
        assert_eq!(
            done.err,
            "rejected: /dev/stdin:2: entry 2 ( ): name must not be blank\n"
        );
        assert!(
            done.out
                .starts_with("4 objects: 1 created, 0 updated, 2 unchanged"),
            "{}",
            done.out
        );
        assert_eq!(done.code, Some(3));

        // A file that cannot be read to its end is not loaded at all.
        let state = rows(&storage.url, STATE).await;
        for (broken, expected) in [
            ("{\"id\":\n 1,", "line 3 column 3"),
            ("[{}", "line 2 column 3"),
        ] {
            let told = import(&storage, &[], &format!("{}\n{broken}", custom("h"))).failed(1);
            assert!(
                told.contains("error: standard input cannot be read on: ")
                    && told.contains(expected),
                "{told}"
            );
        }
        let told = import(&storage, &["nowhere.json"], "").failed(1);
        assert_eq!(
            told,
            "error: nowhere.json cannot be read: No such file or directory (os error 2)\n"
        );
        assert_eq!(rows(&storage.url, STATE).await, state);
    }

    async fn tells_of_each_rejected_entry_and_loads_the_others(storage: TestDatabase) {
        let server = Serving::on(&storage);
        let ann = token("ann@acme", "connectors:write");
        let create = "mutation($input: CreateCustomConnectorInput!) {
            createCustomConnector(input: $input) { userErrors { message } }
        }";
        let wiki = json!({ "name": "Wiki", "serverUrl": "https://x.example.com", "visibility": "ORGANIZATION" });
        server.data(&ann, create, json!({ "input": wiki })).await;
        let globex = with(custom("theirs"), json!({ "organization": "globex" }));
        import(&storage, &[], &globex.to_string()).ok();

        let input = [
            custom("good"),
            with(
                custom("bad"),
                json!({ "name": " ", "iconUrl": "http://x", "\u{1b}[2Jcolour\u{9b}": "red" }),
            ),
            json!("text"),
            custom("theirs"),
            with(custom("good"), json!({ "name": "same id" })),
            with(custom("other"), json!({ "name": "GOOD" })),
            with(custom("wiki"), json!({ "name": "wíki" })),
            with(
                custom("wiki"),
                json!({ "visibility": "private", "createdBy": "ann" }),
            ),
            with(
                custom("theirs2"),
                json!({ "name": "theirs", "organization": "acme" }),
            ),
            with(
                official("github"),
                json!({ "type": "custom", "connectorId": "custom_mcp", "serverUrl": "https://x.example.com" }),
            ),
            with(official("hub"), json!({ "connectorId": "github" })),
            json!({ "name": "com.example/ b", "version": "1" }),
            json!({ "server": { "name": "com.example/b", "version": 1 } }),
        ];
        let wiki = rows(
            &storage.url,
            "SELECT id FROM personal_connector WHERE name = 'Wiki'",
        )
        .await;
        let wiki = wiki.trim();
        let done = import_both_ways(&storage, &lines(&input)).await;
        assert_eq!(
            done.err,
            format!(
                "rejected: standard input:2: entry 2 ( ): \u{fffd}[2Jcolour\u{fffd} is not a key of a personal \
                 connector\nrejected: standard input:2: entry 2 ( ): name must not be blank\nrejected: standard \
                 input:2: entry 2 ( ): iconUrl must be an absolute URL that begins with https://\nrejected: standard \
                 input:3: entry 3: the entry must be a JSON object\nrejected: standard input:4: entry 4 (theirs): id: \
                 the id belongs to another organization\nrejected: standard input:5: entry 5 (same id): id: an earlier \
                 entry has the same id\nrejected: standard input:6: entry 6 (GOOD): name: the name is taken by an \
                 earlier entry: rename the entry\nrejected: standard input:7: entry 7 (wíki): name: the name is taken \
                 by {wiki}: rename the entry, or delete that connector\nrejected: standard input:10: entry 10 \
                 (github): id: the id belongs to a connector of another type\nrejected: standard input:11: entry 11 \
                 (hub): connectorId: the connectorId is taken by pcon_github: change it, or delete that \
                 connector\nrejected: standard input:12: entry 12 (com.example/ b): name must be a namespace, a slash \
                 and a server's name, in up to 200 of a-z A-Z 0-9 . - and _\nrejected: standard input:13: entry 13 \
                 (com.example/b): version must be a string\n"
            )
        );
        assert_eq!(
            done.out,
            "13 objects: 3 created, 0 updated, 0 unchanged, 0 older versions, 0 deleted in the registry, 10 rejected\n"
        );
        assert_eq!(done.code, Some(3));
        let again = import_again(&storage, &lines(&input)).await;
        let stored = done.err.replace(
            "an earlier entry: rename the entry",
            "pcon_good: rename the entry, or delete that connector",
        );
        assert_eq!(again.err, stored);
    }

    async fn replacements_across_batches(storage: TestDatabase) {
        // Two batches of other objects separate the related ones.
        let filler: Vec<_> = (0..600).map(|i| custom(&format!("filler{i}"))).collect();
        let first = [custom("renamed"), official("old"), custom("x")];
        import(&storage, &[], &lines(&first)).ok();
        let head = [
            with(custom("renamed"), json!({ "name": "new name" })),
            replaced(official("a"), "b"),
            replaced(custom("lost"), "nowhere"),
            replaced(official("forward"), "late"),
            replaced(official("old"), "late"),
            replaced(custom("x"), "theirs"),
        ];
        let tail = [
            replaced(official("b"), "a"),
            official("late"),
            with(custom("late2"), json!({ "name": "renamed" })),
            replaced(custom("back"), "renamed"),
            with(custom("theirs"), json!({ "organization": "globex" })),
        ];
        let input = [&head[..], &filler, &tail].concat();
        let done = import_both_ways(&storage, &lines(&input)).await;
        assert_eq!(
            done.err,
            "incomplete: standard input:2: entry 2 (a): replacedBy: replacements must not lead back, nor be more than \
             32 in a row\nincomplete: standard input:3: entry 3 (lost): replacedBy: there is no such \
             connector\nincomplete: standard input:6: entry 6 (x): replacedBy: there is no such connector\n"
        );
        assert_eq!(
            done.out,
            "611 objects: 608 created, 3 updated, 0 unchanged, 0 older versions, 0 deleted in the registry, 0 \
             rejected; 3 without their replacement\n"
        );
        assert_eq!(done.code, Some(3));
        let links = "SELECT id, replaced_by_id FROM personal_connector WHERE status = 'deprecated' ORDER BY id";
        assert_eq!(
            rows(&storage.url, links).await,
            "pcon_a|\npcon_b|pcon_a\npcon_back|pcon_renamed\npcon_forward|pcon_late\n\
             pcon_lost|\npcon_old|pcon_late\npcon_x|\n"
        );
        let again = import_again(&storage, &lines(&input)).await;
        assert_eq!(again.err, done.err);
        // In another order, and in separate files.
        let backwards: Vec<_> = input.iter().rev().cloned().collect();
        import_again(&storage, &lines(&backwards)).await;
        let alone = import_again(&storage, &head[3].to_string()).await;
        assert_eq!(alone.code, Some(0), "{}", alone.err);
    }

    async fn what_people_changed_since(storage: TestDatabase) {
        let server = Serving::on(&storage);
        let times = json!({ "createdAt": "2025-01-01T00:00:00Z", "updatedAt": "2025-01-02T00:00:00Z",
            "createdBy": "bob" });
        let wiki = with(custom("wiki"), times);
        let registry =
            json!({ "name": "com.example/search", "description": "Search", "version": "1.0.0" });
        let input = lines(&[wiki.clone(), registry.clone()]);
        import(&storage, &[], &input).ok();
        let columns = "SELECT name, description, status, created_by, created_at, updated_at, revision FROM \
                       personal_connector WHERE source = 'import' ORDER BY name_key";
        let as_imported = rows(&storage.url, columns).await;
        assert!(
            as_imported.ends_with("wiki||active|bob|1735689600000000|1735776000000000|1\n"),
            "{as_imported}"
        );

        // A status stays until the file's own status changes, whatever else changes in the file.
        let search = "SELECT id FROM personal_connector WHERE name = 'search'";
        let id = rows(&storage.url, search).await.trim().to_owned();
        let root = token("root@aitronos", "catalog:admin");
        let set = "mutation($id: ID!) {
            setConnectorStatus(input: { id: $id, status: MAINTENANCE }) { userErrors { message } }
        }";
        server.data(&root, set, json!({ "id": id })).await;
        import_again(&storage, &input).await;
        let newer = with(
            registry,
            json!({ "description": "Searches", "version": "1.1.0" }),
        );
        let done = import(&storage, &[], &newer.to_string()).ok();
        assert!(
            done.starts_with("1 objects: 0 created, 1 updated"),
            "{done}"
        );
        let status =
            "SELECT description, status, revision FROM personal_connector WHERE name = 'search'";
        assert_eq!(rows(&storage.url, status).await, "Searches|maintenance|3\n");
        let deprecated = with(newer, json!({ "status": "deprecated" }));
        import(&storage, &[], &deprecated.to_string()).ok();
        assert_eq!(rows(&storage.url, status).await, "Searches|deprecated|4\n");

        // A changed custom connector gets the file's values again, with the file's times.
        let ann = token("ann@acme", "connectors:write connectors:admin");
        let update = "mutation { updateCustomConnector(input: { id: \"pcon_wiki\", name: \"Pedia\", description: \"D\" \
            }) {
            personalConnector { revision } userErrors { message } } }";
        let updated = server.data(&ann, update, json!({})).await;
        assert_eq!(
            updated["updateCustomConnector"]["personalConnector"]["revision"],
            2
        );
        let done = import(&storage, &[], &wiki.to_string()).ok();
        assert!(
            done.starts_with("1 objects: 0 created, 1 updated"),
            "{done}"
        );
        let row = rows(&storage.url, columns).await;
        assert!(
            row.ends_with("wiki||active|bob|1735689600000000|1735776000000000|3\n"),
            "{row}"
        );
        import_again(&storage, &wiki.to_string()).await;
        // A deleted connector is created again.
        let delete =
            "mutation { deleteCustomConnector(input: { id: \"pcon_wiki\" }) { deletedId } }";
        server.data(&ann, delete, json!({})).await;
        let done = import(&storage, &[], &wiki.to_string()).ok();
        assert!(done.starts_with("1 objects: 1 created"), "{done}");
    }
}

on_both_databases! {
    #![ignore = "needs the real catalogues in ../shared/data"]

    async fn real_catalogues_land_with_every_entry_accounted_for(storage: TestDatabase) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        // The number of objects, and of the resulting connectors.
        let files = [
            ("registry-servers-2025-10.json", 358, 358),
            ("registry-servers-2025-12.json", 4, 3),
            ("registry-v0.1-list-response.json", 100, 100),
        ];
        for (name, objects, servers) in files {
            let input = fs::read_to_string(folder.join(name));
            let input = input
                .unwrap_or_else(|error| panic!("this test needs ../shared/data/{name}: {error}"));
            let done = import_both_ways(&storage, &input).await;
            assert!(
                done.err.lines().all(|line| line.starts_with("warning: ")),
                "{name}: {}",
                done.err
            );
            // Each kind has few lines, for any number of objects.
            assert!(done.err.lines().count() <= 100, "{}", done.err);
            assert_eq!(done.code, Some(0), "{name}");
            let older = objects - servers;
            let counts = done
                .out
                .replace(" created, ", " ")
                .replace(" updated, ", " ");
            let counts: Vec<i32> = counts
                .split([' ', ':', ','])
                .filter_map(|n| n.parse().ok())
                .collect();
            assert_eq!(
                counts.iter().skip(1).take(6).sum::<i32>(),
                objects,
                "{}",
                done.out
            );
            assert!(
                done.out.contains(&format!(
                    " {older} older versions, 0 deleted in the registry, 0 rejected"
                )),
                "{}",
                done.out
            );
            import_again(&storage, &input).await;
        }
        let names = files.map(|(name, ..)| folder.join(name).to_str().unwrap().to_owned());
        let all = names.each_ref().map(String::as_str);
        import(&storage, &all, "").ok();
        let before = rows(&storage.url, EVERYTHING).await;
        let again = import(&storage, &all, "").ok();
        assert!(
            again.starts_with("462 objects: 0 created, 0 updated, 460 unchanged, 2 older versions"),
            "{again}"
        );
        assert_eq!(rows(&storage.url, EVERYTHING).await, before);
    }
}
