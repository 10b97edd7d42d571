//! Categories of connectors without one: by rules, for a whole import, by files, and by people.

use std::{fs, path::Path};

use fixtures::published;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both,
    support::{
        harness::{Server, TestDatabase},
        mutations::{CATALOG, USER_ERROR, WRITE, errors, with},
        process::{Done, program_on, run, run_with},
    },
};

const RULES: &str = "[design]\nboard\n[communication]\nname: chat\n";

/// Returns the stored category and its source.
async fn stored(server: &Server, id: &str) -> String {
    let select = format!(
        "SELECT COALESCE(category, '-') || ' ' || COALESCE(category_source, '-') AS kept FROM personal_connector
            WHERE connector_id = '{id}' OR name = '{id}'"
    );
    server.rows(&select).await.trim().to_owned()
}

fn import(storage: &TestDatabase, flags: &[&str], objects: &[Value]) -> Done {
    let mut command = program_on(storage, &["import", "--organization", "acme"]);
    command.args(flags);
    run_with(command, &json!(objects).to_string())
}

/// Imports by the mutation, whose dry run must report the same.
async fn import_by_mutation(server: &Server, more: Value, objects: &[Value]) -> Value {
    let root = server.token("root@acme", CATALOG);
    let document = format!(
        "mutation($input: ImportConnectorsInput!) {{ importConnectors(input: $input) {{
            report {{ created updated unchanged rejected categories {{ category source count }} lines }} userErrors {{ \
            {USER_ERROR} }} }} }}"
    );
    // A client's configuration is a separate file.
    let content = match objects {
        [only] => only.to_string(),
        many => json!(many).to_string(),
    };
    let input =
        json!({ "content": content, "organizationId": "acme", "visibility": "ORGANIZATION" });
    let input = with(input, more);
    let before = server.written().await;
    let dry = with(input.clone(), json!({ "dryRun": true }));
    let dry = server.data(&root, &document, json!({ "input": dry })).await;
    assert_eq!(server.written().await, before);
    let mut done = server
        .data(&root, &document, json!({ "input": input }))
        .await;
    assert_eq!(done, dry);
    done["importConnectors"].take()
}

fn registry(name: &str, description: &str) -> Value {
    json!({ "name": format!("io.example/{name}"), "description": description, "version": "1.0.0" })
}

fn counted(category: Option<&str>, source: Option<&str>, count: u64) -> Value {
    json!({ "category": category, "source": source, "count": count })
}

fn exported(storage: &TestDatabase, flags: &[&str]) -> Vec<Value> {
    let mut export = program_on(storage, &["export"]);
    export.args(flags);
    let lines = run(export).ok();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn rules_file(rules: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rules.txt");
    fs::write(&file, rules).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

on_both! {
    async fn a_higher_source_is_never_replaced_by_a_lower_one(server: Server) {
        let servers = [
            registry("board", ""),
            registry("x", "A board"),
            registry("chat", ""),
            registry("y", "To chat"),
        ];
        let by_rules = json!({ "categoryRules": RULES });
        let done = import_by_mutation(&server, by_rules.clone(), &servers).await;
        let report = &done["report"];
        assert_eq!(report["created"], 4, "{done}");
        let expected = [
            counted(Some("COMMUNICATION"), Some("RULE"), 1),
            counted(Some("DESIGN"), Some("RULE"), 2),
            counted(None, None, 1),
        ];
        assert_eq!(report["categories"], json!(expected));
        let each = async |expected: [&str; 4]| {
            for (name, expected) in ["board", "x", "chat", "y"].into_iter().zip(expected) {
                assert_eq!(
                    stored(&server, &format!("io.example/{name}")).await,
                    expected,
                    "{name}"
                );
            }
        };
        each(["design rule", "design rule", "communication rule", "- -"]).await;
        // The same import changes nothing, and neither does one without rules.
        for rules in [
            by_rules.clone(),
            json!({ "categoryRules": "" }),
            by_rules.clone(),
        ] {
            let state = server.state().await;
            let again = import_by_mutation(&server, rules, &servers).await;
            assert_eq!(
                (
                    &again["report"]["unchanged"],
                    &again["report"]["categories"]
                ),
                (&json!(4), &json!(expected))
            );
            assert_eq!(server.state().await, state);
        }
        let before = server.written().await;
        import_by_mutation(&server, by_rules.clone(), &servers).await;
        assert_eq!(server.written().await, before);

        // A better rule wins, and removes no category for which it has none.
        let better = json!({ "categoryRules": "[development]\nx" });
        let done = import_by_mutation(&server, better, &servers).await;
        assert_eq!(done["report"]["updated"], 1);
        each([
            "design rule",
            "development rule",
            "communication rule",
            "- -",
        ])
        .await;

        // The import's own category takes precedence over rules, and stays.
        let given = json!({ "category": "PRODUCTIVITY" });
        let done = import_by_mutation(
            &server,
            with(given.clone(), by_rules.clone()),
            &servers[1..],
        )
        .await;
        assert_eq!(done["report"]["updated"], 3);
        assert_eq!(
            done["report"]["categories"],
            json!([counted(Some("PRODUCTIVITY"), Some("GIVEN"), 3)])
        );
        import_by_mutation(&server, by_rules.clone(), &servers).await;
        let productive = "productivity given";
        each(["design rule", productive, productive, productive]).await;

        // A more specific file takes precedence, and a later page of the registry clears nothing.
        let rows = exported(&server.storage, &[]);
        let mut said: Vec<_> = rows
            .into_iter()
            .filter(|row| row["connectorId"] == "io.example/chat")
            .collect();
        assert_eq!(said[0]["category"], "productivity");
        said[0]["category"] = json!("custom");
        let done = import_by_mutation(&server, json!({}), &said).await;
        assert_eq!(done["report"]["updated"], 1);
        for more in [by_rules.clone(), given, json!({})] {
            let done = import_by_mutation(&server, more, &servers[2..]).await;
            assert_eq!(done["report"]["updated"], 0);
            assert_eq!(stored(&server, "io.example/chat").await, "custom file");
        }
        // The same holds for a category from before sources were stored.
        server.rows("UPDATE personal_connector SET category_source = NULL, source_hash = NULL WHERE connector_id = \
                     'io.example/chat'").await;
        import_by_mutation(&server, json!({ "category": "DESIGN" }), &servers[2..3]).await;
        assert_eq!(stored(&server, "io.example/chat").await, "custom file");
        run(program_on(&server.storage, &["check-database"])).ok();
    }

    async fn what_administrators_set_goes_before_all(server: Server) {
        let root = server.token("root", CATALOG);
        let by_rules = json!({ "categoryRules": RULES });
        let servers = [registry("board", "")];
        import_by_mutation(&server, by_rules.clone(), &servers).await;
        let id = server
            .rows("SELECT id FROM personal_connector WHERE connector_id = 'io.example/board'")
            .await
            .trim()
            .to_owned();
        let curate = "mutation($ids: [ID!]!, $category: ConnectorCategory) { updateCatalogConnectors(input: {ids: \
            $ids, category: $category}) {
            results { personalConnector { category curatedFields { field fileValue } } userErrors { message } } \
            userErrors { message } } }";
        let set = async |category: Value| {
            let mut data = server
                .data(&root, curate, json!({ "ids": [id], "category": category }))
                .await;
            data["updateCatalogConnectors"]["results"][0]["personalConnector"].take()
        };
        let curated = json!({ "category": "DEVELOPMENT", "curatedFields": [{ "field": "CATEGORY",
            "fileValue": "DESIGN" }] });
        assert_eq!(set(json!("DEVELOPMENT")).await, curated);
        for more in [
            by_rules.clone(),
            json!({ "category": "PRODUCTIVITY" }),
            by_rules,
        ] {
            let done = import_by_mutation(&server, more, &servers).await;
            assert_eq!(
                done["report"]["categories"],
                json!([counted(Some("DEVELOPMENT"), Some("PERSON"), 1)])
            );
        }
        // The value under a curated one is the import's.
        let beneath = json!({ "category": "DEVELOPMENT", "curatedFields": [{ "field": "CATEGORY",
            "fileValue": "PRODUCTIVITY" }] });
        assert_eq!(set(json!("DEVELOPMENT")).await, beneath);
        assert_eq!(
            set(Value::Null).await,
            json!({ "category": "PRODUCTIVITY", "curatedFields": [] })
        );
    }

    async fn custom_connectors_keep_what_people_chose(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let client =
            |name: &str| json!({ "mcpServers": { name: { "command": "npx", "args": ["board"] } } });
        let by_rules = json!({ "categoryRules": RULES });
        // A client's server gets a category, and people change or clear it permanently.
        import_by_mutation(&server, by_rules.clone(), &[client("board")]).await;
        assert_eq!(stored(&server, "board").await, "design rule");
        let id = server
            .rows("SELECT id FROM personal_connector WHERE name = 'board'")
            .await
            .trim()
            .to_owned();
        let root = server.token("boss@acme", &["connectors:write", "connectors:admin"]);
        let change = "mutation($input: UpdateCustomConnectorInput!) { updateCustomConnector(input: $input) { \
                      userErrors { message } } }";
        for (category, kept) in [
            (json!("CUSTOM"), "custom person"),
            (Value::Null, "- person"),
        ] {
            server
                .data(
                    &root,
                    change,
                    json!({ "input": { "id": id, "category": category } }),
                )
                .await;
            assert_eq!(stored(&server, "board").await, kept);
            import_by_mutation(&server, by_rules.clone(), &[client("board")]).await;
            assert_eq!(stored(&server, "board").await, kept);
            import_by_mutation(&server, json!({ "category": "DESIGN" }), &[client("board")]).await;
            assert_eq!(stored(&server, "board").await, kept);
        }
        // A connector made here has its creator's.
        server.create(&ann, "chat", "ORGANIZATION").await;
        assert_eq!(stored(&server, "chat").await, "custom person");

        // An object that this service exported is complete: rules do not change it, but the import's own category does.
        let whole = published::served("z", "The board");
        import_by_mutation(&server, by_rules, std::slice::from_ref(&whole)).await;
        assert_eq!(stored(&server, "The board").await, "- -");
        import_by_mutation(
            &server,
            json!({ "category": "DESIGN" }),
            std::slice::from_ref(&whole),
        )
        .await;
        assert_eq!(stored(&server, "The board").await, "design given");
        run(program_on(&server.storage, &["check-database"])).ok();
    }

    async fn an_export_leaves_out_what_rules_gave(server: Server) {
        let (_folder, rules) = rules_file(RULES);
        let servers = [
            registry("board", ""),
            registry("chat", ""),
            registry("y", ""),
        ];
        let done = import(&server.storage, &["--category-rules", &rules], &servers).ok();
        assert_eq!(
            done,
            "3 objects: 3 created, 0 updated, 0 unchanged, 0 older versions, 0 deleted in the registry, 0 rejected\n\
             categories: 0 productivity, 0 development, 1 communication, 1 design, 0 custom, 1 without; \
             2 by rules, 0 by --category, 0 by files, 0 by people\n"
        );
        let dry = import(
            &server.storage,
            &["--category", "development", "--dry-run"],
            &servers[2..],
        )
        .ok();
        assert!(
            dry.ends_with(
                "1 by --category, 0 by files, 0 by people (dry run: nothing was written)\n"
            ),
            "{dry}"
        );
        import(
            &server.storage,
            &["--category", "development"],
            &servers[2..],
        )
        .ok();
        let category = |rows: &[Value], name: &str| {
            let mut rows = rows.iter();
            rows.find(|row| row["connectorId"] == format!("io.example/{name}"))
                .unwrap()["category"]
                .clone()
        };
        let rows = exported(&server.storage, &[]);
        assert_eq!(
            (category(&rows, "board"), category(&rows, "y")),
            (Value::Null, json!("development"))
        );
        // In another catalogue the rules apply again, and here nothing changes.
        let state = server.state().await;
        let imported: Vec<_> = rows
            .into_iter()
            .filter(|row| {
                row["connectorId"]
                    .as_str()
                    .unwrap()
                    .starts_with("io.example/")
            })
            .collect();
        let again = import(&server.storage, &["--category-rules", "none"], &imported).ok();
        assert!(
            again.starts_with("3 objects: 0 created, 0 updated, 3 unchanged"),
            "{again}"
        );
        assert_eq!(server.state().await, state);
        assert_eq!(stored(&server, "io.example/board").await, "design rule");

        // An export writes a curated category on demand, and never the rule's category under it.
        let root = server.token("root", CATALOG);
        let ids = server
            .rows("SELECT id FROM personal_connector WHERE connector_id = 'io.example/board'")
            .await
            .trim()
            .to_owned();
        let curate = "mutation($ids: [ID!]!) { updateCatalogConnectors(input: {ids: $ids, category: DEVELOPMENT}) { \
                      userErrors { message } } }";
        server.data(&root, curate, json!({ "ids": [ids] })).await;
        assert_eq!(
            category(&exported(&server.storage, &[]), "board"),
            Value::Null
        );
        let curated = exported(&server.storage, &["--curated"]);
        assert_eq!(
            (category(&curated, "board"), category(&curated, "chat")),
            (json!("development"), Value::Null)
        );
    }

    async fn options_that_are_wrong(server: Server) {
        let before = server.written().await;
        let (_folder, rules) = rules_file("[design]\nboard\n[games]\n");
        let told = import(&server.storage, &["--category-rules", &rules], &[]).failed(1);
        assert!(
            told.contains("--category-rules")
                && told.contains("line 3: [games] is no category: expected [productivity], "),
            "{told}"
        );
        let told = import(&server.storage, &["--category-rules", "nowhere.txt"], &[]).failed(1);
        assert!(told.contains("--category-rules nowhere.txt"), "{told}");
        let told = import(&server.storage, &["--category", "games"], &[]).failed(2);
        assert!(
            told.contains(
                "expected one of productivity, development, communication, design, custom"
            ),
            "{told}"
        );
        let refused = import_by_mutation(
            &server,
            json!({ "categoryRules": "board" }),
            &[registry("board", "")],
        )
        .await;
        assert_eq!(
            (errors(&refused), &refused["report"]),
            (vec!["INVALID input.categoryRules".to_owned()], &Value::Null)
        );
        assert!(
            refused["userErrors"][0]["message"]
                .as_str()
                .unwrap()
                .contains("line 1: "),
            "{refused}"
        );
        assert_eq!(server.written().await, before);
    }

    async fn a_schema_without_sources_keeps_the_categories(server: Server) {
        let storage = server.storage.clone();
        let (_folder, rules) = rules_file(RULES);
        let servers = [registry("board", ""), registry("y", "")];
        import(&storage, &["--category-rules", &rules], &servers).ok();
        drop(server);
        let names = migration::names();
        let at = names
            .iter()
            .position(|name| name.ends_with("_category_source"))
            .unwrap();
        run(program_on(&storage, &["migrate", "--to", &names[at - 1]])).ok();
        run(program_on(&storage, &["check-database"])).ok();
        run(program_on(&storage, &["migrate"])).ok();
        let server = Server::start(storage, &[], crate::support::harness::fixed_clock()).await;
        assert_eq!(stored(&server, "io.example/board").await, "design -");
        // Categories without a source count as those of the files.
        import(&server.storage, &["--category", "custom"], &servers).ok();
        assert_eq!(stored(&server, "io.example/board").await, "design file");
        assert_eq!(stored(&server, "io.example/y").await, "custom given");
        server
            .rows(
                "UPDATE personal_connector SET category = NULL WHERE connector_id = 'io.example/y'",
            )
            .await;
        let told = run(program_on(&server.storage, &["check-database"])).failed(1);
        assert!(
            told.contains("the category has a source, but is not there"),
            "{told}"
        );
    }
}

/// The facets of real servers list their categories, and a filter matches each of them.
async fn facets_of_real_servers(server: Server) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let files = [
        "registry-servers-2025-10.json",
        "registry-servers-2025-12.json",
        "registry-v0.1-list-response.json",
    ];
    let files = files.map(|name| folder.join(name).to_str().unwrap().to_owned());
    assert!(
        Path::new(&files[0]).exists(),
        "this test needs ../shared/data"
    );
    let all = files.each_ref().map(String::as_str);
    let mut command = program_on(&server.storage, &["import"]);
    command.args(all);
    let said = run(command).ok();
    assert!(said.contains("categories: "), "{said}");
    let query = "query($filter: PersonalConnectorFilter) { personalConnectors(filter: $filter) { totalCount facets { \
                 category { value count } } } }";
    let imported = json!({ "not": { "id": ["pcon_github", "pcon_clickup", "pcon_figma", "pcon_jira", "pcon_teams"] } });
    let data = server.data("", query, json!({ "filter": imported })).await;
    let list = &data["personalConnectors"];
    assert_eq!(list["totalCount"], 460, "{data}");
    let facets = list["facets"]["category"].as_array().unwrap();
    assert_eq!(facets.len(), 6, "{facets:?}");
    for facet in facets {
        let (value, count) = (&facet["value"], facet["count"].as_u64().unwrap());
        assert!((5..300).contains(&count), "{facets:?}");
        assert!(!value.is_null() || count * 10 <= 460 * 3, "{facets:?}");
        let filter = with(imported.clone(), json!({ "category": [value] }));
        let chosen = server.data("", query, json!({ "filter": filter })).await;
        assert_eq!(chosen["personalConnectors"]["totalCount"], count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real catalogues: ../shared/data"]
async fn categories_of_the_real_files_on_sqlite() {
    facets_of_real_servers(Server::on_sqlite(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and real catalogues: CONNECTORS_TEST_POSTGRES and ../shared/data"]
async fn categories_of_the_real_files_on_postgres() {
    facets_of_real_servers(Server::on_postgres(&[]).await).await;
}
