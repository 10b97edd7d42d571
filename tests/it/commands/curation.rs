//! `updateCatalogConnectors`: values that administrators of the catalogue set over files.

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::{Server, fixed_clock},
        mutations::{ADMIN, CATALOG, NONE, USER_ERROR, WRITE, errors, text, with},
        process::{program_on, run},
    },
};

const SEEN: &str = "id category iconUrl description revision curatedFields { field fileValue }";

async fn curate(server: &Server, token: &str, input: Value) -> Value {
    let document = format!(
        "mutation($input: UpdateCatalogConnectorsInput!) {{ updateCatalogConnectors(input: $input) {{
            results {{ personalConnectorId personalConnector {{ {SEEN} }} userErrors {{ {USER_ERROR} }} }} userErrors \
            {{ {USER_ERROR} }} }} }}"
    );
    let mut data = server
        .data(token, &document, json!({ "input": input }))
        .await;
    data["updateCatalogConnectors"].take()
}

/// Returns the connector of the only result, which has no errors.
async fn curated(server: &Server, token: &str, id: &str, change: Value) -> Value {
    let mut payload = curate(server, token, with(json!({ "ids": [id] }), change)).await;
    assert_eq!(
        (errors(&payload), errors(&payload["results"][0])),
        (vec![], vec![])
    );
    payload["results"][0]["personalConnector"].take()
}

async fn see(server: &Server, id: &str) -> Value {
    let query = format!("query($id: ID!) {{ personalConnector(id: $id) {{ {SEEN} }} }}");
    server.data("", &query, json!({ "id": id })).await["personalConnector"].take()
}

/// Imports registry servers without category rules, and returns the number of changes.
async fn import(server: &Server, root: &str, servers: &[Value]) -> Value {
    let document = "mutation($content: String!) { importConnectors(input: {content: $content, categoryRules: \"\"}) {
        report { created updated unchanged rejected lines } } }";
    let content = json!(servers).to_string();
    let mut data = server
        .data(root, document, json!({ "content": content }))
        .await;
    let report = data["importConnectors"]["report"].take();
    assert_eq!(report["rejected"], 0, "{report}");
    json!([report["created"], report["updated"], report["unchanged"]])
}

fn notes(more: Value) -> Value {
    let server = json!({ "name": "io.example/notes", "description": "Notes", "version": "1.0.0",
        "remotes": [{ "type": "streamable-http", "url": "https://notes.example/mcp" }] });
    with(server, more)
}

async fn id_of(server: &Server, name: &str) -> String {
    let query = "query($name: String!) { personalConnectors(filter: {connectorId: [$name]}) { nodes { id } } }";
    let data = server.data("", query, json!({ "name": name })).await;
    text(&data["personalConnectors"]["nodes"][0]["id"]).to_owned()
}

/// Returns the values that export writes.
fn exported(server: &Server, flags: &[&str], id: &str) -> Value {
    let mut command = program_on(&server.storage, &["export"]);
    command.args(flags);
    let lines = run(command).ok();
    let mut objects = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let object = objects.find(|object| object["id"] == id).unwrap();
    json!([object["description"], object["category"], object["iconUrl"]])
}

on_both! {
    async fn what_is_curated_outlives_imports(server: Server) {
        let root = server.token("root@platform", CATALOG);
        assert_eq!(
            import(&server, &root, &[notes(json!({}))]).await,
            json!([1, 0, 0])
        );
        let id = id_of(&server, "io.example/notes").await;
        let state = server.state().await;

        let change = json!({ "category": "PRODUCTIVITY", "iconUrl": "https://notes.example/icon.png",
            "description": "Pages and tasks" });
        let done = curated(&server, &root, &id, change.clone()).await;
        let files = |description: Value, icon: Value, category: Value| {
            json!([
                { "field": "DESCRIPTION", "fileValue": description },
                { "field": "ICON_URL", "fileValue": icon },
                { "field": "CATEGORY", "fileValue": category },
            ])
        };
        let expected = with(
            change.clone(),
            json!({
                "id": id, "revision": 2, "curatedFields": files(json!("Notes"), Value::Null, Value::Null),
            }),
        );
        assert_eq!(done, expected);
        assert_eq!(see(&server, &id).await, expected);
        let changed = format!(
            "SELECT kind, changed_fields, actor_id, category_before, category_after FROM connector_event WHERE number \
             > {state}"
        );
        assert_eq!(
            server.rows(&changed).await,
            "updated|[\"description\",\"iconUrl\",\"category\",\"curatedFields\"]|root||productivity\n"
        );
        // Searches find the curated values, and no longer the file's.
        let found = "query($search: String) { personalConnectors(search: $search, filter: {category: PRODUCTIVITY, \
                     connectorId: [\"io.example/notes\"]}) { totalCount } }";
        for (search, count) in [("tasks", 1), ("pages", 1), ("zebra", 0)] {
            let data = server.data("", found, json!({ "search": search })).await;
            assert_eq!(data["personalConnectors"]["totalCount"], count, "{search}");
        }

        // The same mutation again writes nothing, and neither does the same file.
        let before = server.written().await;
        assert_eq!(curated(&server, &root, &id, change).await, expected);
        assert_eq!(
            import(&server, &root, &[notes(json!({}))]).await,
            json!([0, 0, 1])
        );
        assert_eq!(server.written().await, before);

        // If the file changes, only its own values follow.
        let icons = json!([{ "src": "https://files.example/icon.png" }]);
        let newer = notes(json!({ "description": "Zebra", "icons": icons, "version": "1.1.0" }));
        assert_eq!(
            import(&server, &root, std::slice::from_ref(&newer)).await,
            json!([0, 1, 0])
        );
        let files = files(
            json!("Zebra"),
            json!("https://files.example/icon.png"),
            Value::Null,
        );
        let expected = with(expected, json!({ "revision": 3, "curatedFields": files }));
        assert_eq!(see(&server, &id).await, expected);
        assert_eq!(import(&server, &root, &[newer]).await, json!([0, 0, 1]));

        // An export has the files' values, and the curated ones on demand.
        assert_eq!(
            exported(&server, &[], &id),
            json!(["Zebra", null, "https://files.example/icon.png"])
        );
        assert_eq!(
            exported(&server, &["--curated"], &id),
            json!([
                "Pages and tasks",
                "productivity",
                "https://notes.example/icon.png"
            ])
        );

        // Null gives a field back to the file, and an omitted field stays.
        let done = curated(
            &server,
            &root,
            &id,
            json!({ "description": null, "iconUrl": null }),
        )
        .await;
        assert_eq!(
            (&done["description"], &done["iconUrl"]),
            (&json!("Zebra"), &json!("https://files.example/icon.png"))
        );
        assert_eq!(
            (&done["category"], &done["curatedFields"]),
            (
                &json!("PRODUCTIVITY"),
                &json!([{ "field": "CATEGORY", "fileValue": null }])
            )
        );
        let done = curated(&server, &root, &id, json!({ "category": null })).await;
        assert_eq!(
            (&done["category"], &done["curatedFields"]),
            (&Value::Null, &json!([]))
        );
        let before = server.written().await;
        curated(&server, &root, &id, json!({ "category": null })).await;
        assert_eq!(server.written().await, before);

        // A value equal to the file's is curated too: only `curatedFields` changes.
        let state = server.state().await;
        curated(&server, &root, &id, json!({ "description": "Zebra" })).await;
        let changed = format!("SELECT changed_fields FROM connector_event WHERE number > {state}");
        assert_eq!(server.rows(&changed).await, "[\"curatedFields\"]\n");
    }

    async fn a_schema_without_curation_has_the_files_values_at_the_next_import(server: Server) {
        let root = server.token("root", CATALOG);
        import(&server, &root, &[notes(json!({}))]).await;
        let id = id_of(&server, "io.example/notes").await;
        curated(&server, &root, &id, json!({ "description": "Pages" })).await;
        let storage = server.storage.clone();
        drop(server);
        run(program_on(&storage, &["check-database"])).ok();
        let names = migration::names();
        let at = names
            .iter()
            .position(|name| name.ends_with("_curation"))
            .unwrap();
        run(program_on(&storage, &["migrate", "--to", &names[at - 1]])).ok();
        run(program_on(&storage, &["check-database"])).ok();
        run(program_on(&storage, &["migrate"])).ok();
        run(program_on(&storage, &["check-database"])).ok();
        let server = Server::start(storage.clone(), &[], fixed_clock()).await;
        let seen = see(&server, &id).await;
        assert_eq!(
            (&seen["description"], &seen["curatedFields"]),
            (&json!("Pages"), &json!([]))
        );
        assert_eq!(
            import(&server, &root, &[notes(json!({}))]).await,
            json!([0, 1, 0])
        );
        assert_eq!(see(&server, &id).await["description"], "Notes");

        // A custom connector has no curated fields.
        let ann = server.token("ann@acme", WRITE);
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        server
            .rows(&format!(
                "UPDATE personal_connector SET file_details = '{{}}' WHERE id = '{wiki}'"
            ))
            .await;
        let told = run(program_on(&storage, &["check-database"])).failed(1);
        assert!(
            told.contains("curated fields") && told.contains(&wiki),
            "{told}"
        );
    }

    async fn the_built_in_catalogue_is_curated_too(server: Server) {
        let root = server.token("root", CATALOG);
        let before = see(&server, "pcon_jira").await;
        let done = curated(&server, &root, "pcon_jira", json!({ "category": "DESIGN" })).await;
        assert_eq!(done["category"], "DESIGN");
        assert_eq!(
            done["curatedFields"],
            json!([{ "field": "CATEGORY", "fileValue": before["category"] }])
        );
        // A start with the same catalogue keeps the curated values.
        let again = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        assert_eq!(see(&again, "pcon_jira").await, done);
        // A published object is complete, and has the file's values.
        let object = run(program_on(&server.storage, &["export"])).ok();
        let line = object
            .lines()
            .find(|line| line.contains("\"pcon_jira\""))
            .unwrap()
            .replace("\"category\":", "\"version\":\"9.0.0\",\"category\":");
        let mut line: Value = serde_json::from_str(&line).unwrap();
        line["category"] = json!("communication");
        let document = "mutation($content: String!) { importConnectors(input: {content: $content}) { report { updated \
                        lines } } }";
        let data = again
            .data(&root, document, json!({ "content": line.to_string() }))
            .await;
        assert_eq!(data["importConnectors"]["report"]["updated"], 1, "{data}");
        let seen = see(&again, "pcon_jira").await;
        assert_eq!(seen["category"], "DESIGN");
        assert_eq!(
            seen["curatedFields"],
            json!([{ "field": "CATEGORY", "fileValue": "COMMUNICATION" }])
        );
    }

    /// A file's value is public, as its connector is. Curation hides nothing that the file says.
    async fn who_sees_a_connector_sees_the_value_of_its_file(server: Server) {
        let root = server.token("root", CATALOG);
        let before = see(&server, "pcon_jira").await;
        let change = json!({ "description": "Ours" });
        let done = curated(&server, &root, "pcon_jira", change).await;
        let file = json!([{ "field": "DESCRIPTION", "fileValue": before["description"] }]);
        assert_eq!(done["curatedFields"], file);
        let document = "query($id: ID!) {
            personalConnector(id: $id) { curatedFields { field fileValue } }
            personalConnectors(filter: { id: [$id] }) { nodes { curatedFields { field fileValue } } }
        }";
        let variables = json!({ "id": "pcon_jira" });
        for token in [String::new(), server.token("eve@other", &[])] {
            let data = server.data(&token, document, variables.clone()).await;
            assert_eq!(data["personalConnector"]["curatedFields"], file);
            assert_eq!(data["personalConnectors"]["nodes"][0]["curatedFields"], file);
        }
    }

    async fn many_are_curated_and_custom_ones_are_not(server: Server) {
        let (root, ann) = (
            server.token("root", CATALOG),
            server.token("ann@acme", WRITE),
        );
        let custom = server.create(&ann, "Wiki", "ORGANIZATION").await;
        let input = json!({ "ids": ["pcon_jira", custom, "pcon_github", "pcon_none"], "category": "DESIGN" });
        let results = |payload: &Value| -> Vec<String> {
            let results = payload["results"].as_array().unwrap().iter();
            results
                .map(|result| {
                    errors(result).concat()
                        + result["personalConnector"]["category"]
                            .as_str()
                            .unwrap_or("-")
                })
                .collect()
        };
        let before = server.written().await;
        let rejected = curate(
            &server,
            &root,
            with(input.clone(), json!({ "errorPolicy": "REJECT_ALL" })),
        )
        .await;
        assert_eq!(
            results(&rejected),
            ["-", "FORBIDDEN input.ids-", "-", "NOT_FOUND input.ids-"]
        );
        let checked = curate(
            &server,
            &root,
            with(input.clone(), json!({ "validateOnly": true })),
        )
        .await;
        assert_eq!(results(&checked), results(&rejected));
        let wrong =
            json!({ "iconUrl": "http://icons.example/a.png", "description": "x".repeat(2001) });
        let refused = curate(&server, &root, with(input.clone(), wrong)).await;
        assert_eq!(
            errors(&refused),
            ["TOO_LONG input.description", "INVALID input.iconUrl"]
        );
        assert_eq!(results(&refused), NONE);
        let document = "mutation { updateCatalogConnectors(input: {ids: []}) { results { personalConnectorId } } }";
        for (token, code) in [
            (String::new(), "UNAUTHENTICATED"),
            (server.token("boss@acme", ADMIN), "FORBIDDEN"),
        ] {
            assert_eq!(server.error_code(&token, document, json!({})).await, code);
        }
        assert_eq!(server.written().await, before);
        let done = curate(&server, &root, input).await;
        assert_eq!(
            results(&done),
            [
                "DESIGN",
                "FORBIDDEN input.ids-",
                "DESIGN",
                "NOT_FOUND input.ids-"
            ]
        );
    }

    async fn what_registries_say_has_types(server: Server) {
        let root = server.token("root", CATALOG);
        let variables = json!([
            { "name": "API_KEY", "description": "The key", "isRequired": true, "isSecret": true },
            { "name": "LANG", "default": "en" }, { "description": "no name" }, 7,
        ]);
        let servers = [
            notes(json!({
                "repository": { "url": "https://github.com/example/notes", "source": "github" },
                "websiteUrl": "https://notes.example",
                "packages": [
                    { "registryType": "npm", "identifier": "@example/notes", "version": "1.0.0",
                        "transport": { "type": "stdio" },
                      "environmentVariables": variables },
                    { "registryType": "oci", "identifier": "docker.io/example/notes:1.0.0",
                        "transport": { "type": "stdio" } },
                ],
            })),
            // The registry's format of May 2025.
            json!({ "name": "io.example/old", "description": "Old", "version_detail": { "version": "0.1.0" },
                "repository": { "url": "javascript:alert(1)", "source": "x" },
                "packages": [{ "registry_name": "pypi", "name": "old", "version": "0.1.0",
                    "environment_variables": [{ "name": "HOST", "is_required": true }] }] }),
            json!({ "name": "io.example/plain", "description": "Plain", "version": "1.0.0",
                "remotes": [{ "type": "sse", "url": "https://plain.example/sse" }] }),
        ];
        assert_eq!(import(&server, &root, &servers).await, json!([3, 0, 0]));
        let query = "query { personalConnectors(filter: {connectorId: [\"io.example/notes\", \"io.example/old\", \
            \"io.example/plain\"]}) {
            nodes { repositoryUrl websiteUrl packages { registryType identifier version environment { name description \
            isRequired isSecret default } } } } }";
        let data = server.data("", query, json!({})).await;
        let variable = |name: &str,
                        description: Value,
                        required: bool,
                        secret: bool,
                        default: Value| {
            json!({
                "name": name, "description": description, "isRequired": required, "isSecret": secret,
                "default": default,
            })
        };
        assert_eq!(
            data["personalConnectors"]["nodes"],
            json!([
                { "repositoryUrl": "https://github.com/example/notes", "websiteUrl": "https://notes.example",
                    "packages": [
                    { "registryType": "npm", "identifier": "@example/notes", "version": "1.0.0", "environment": [
                        variable("API_KEY", json!("The key"), true, true, Value::Null),
                        variable("LANG", Value::Null, false, false, json!("en")),
                    ] },
                    { "registryType": "oci", "identifier": "docker.io/example/notes:1.0.0", "version": null,
                        "environment": [] },
                ] },
                { "repositoryUrl": null, "websiteUrl": null, "packages": [
                    { "registryType": "pypi", "identifier": "old", "version": "0.1.0",
                      "environment": [variable("HOST", Value::Null, true, false, Value::Null)] },
                ] },
                { "repositoryUrl": null, "websiteUrl": null, "packages": [] },
            ])
        );
    }
}
