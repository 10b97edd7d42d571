//! A round trip: `import` reads what `export` writes.

use fixtures::published::{served, with};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{
        harness::TestDatabase,
        process::{Serving, program_on, run, run_with, token},
    },
};

const PUBLISHED: [&str; 3] = [
    include_str!("published/github.json"),
    include_str!("published/clickup.json"),
    include_str!("published/custom.json"),
];

/// Returns an object on one line, with its keys in order.
fn compact(json: &str) -> String {
    serde_json::from_str::<Value>(json).unwrap().to_string()
}

fn import(storage: &TestDatabase, flags: &[&str], input: &str) -> String {
    let mut command = program_on(storage, &["import"]);
    command.args(flags);
    run_with(command, input).ok()
}

fn export(storage: &TestDatabase, flags: &[&str]) -> String {
    let mut command = program_on(storage, &["export"]);
    command.args(flags);
    run(command).ok()
}

/// Returns a custom connector with the required keys, and these.
fn custom(name: &str, more: &Value) -> Value {
    let times =
        json!({ "createdAt": "2025-01-01T00:00:00Z", "updatedAt": "2025-02-01T12:30:00.123456Z" });
    with(with(served(name, name), times), more.clone())
}

on_both_databases! {
    async fn the_published_objects_come_out_as_they_went_in(storage: TestDatabase) {
        let said = import(&storage, &["--organization", "acme"], &PUBLISHED.join("\n"));
        assert!(
            said.starts_with("3 objects: 3 created, 0 updated, 0 unchanged"),
            "{said}"
        );
        let out = export(&storage, &["--organization", "acme"]);
        let mut expected = PUBLISHED.map(compact);
        expected.sort_by_key(|line| line.split("\"name\":").nth(1).unwrap().to_lowercase());
        assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    }

    async fn our_keys_stand_only_where_they_differ_from_what_is_assumed(storage: TestDatabase) {
        let replaced =
            json!({ "status": "deprecated", "statusMessage": "Gone", "replacedBy": "pcon_a" });
        let objects = [
            custom("a", &json!({})),
            custom("b", &json!({ "visibility": "public", "createdBy": "ann" })),
            custom("c", &json!({ "visibility": "private", "createdBy": "ann" })),
            custom("d", &json!({ "organization": "globex" })),
            custom(
                "e",
                &json!({ "visibility": "private", "organization": null, "createdBy": "bob" }),
            ),
            custom("f", &replaced),
        ];
        let input = objects.each_ref().map(Value::to_string).join("\n");
        import(&storage, &["--organization", "acme"], &input);

        let (acme, globex) = (json!("acme"), json!("globex"));
        let told = |flags: &[&str]| -> Vec<(String, Value, Value)> {
            let lines = export(&storage, flags);
            let told = lines.lines().map(|line| {
                let mut object: Value = serde_json::from_str(line).unwrap();
                let mut key = |key: &str| match object.as_object_mut().unwrap().shift_remove(key) {
                    Some(Value::Null) => json!("none"),
                    value => value.unwrap_or_default(),
                };
                let (visibility, organization) = (key("visibility"), key("organization"));
                let name = object["name"].as_str().unwrap().to_owned();
                // All other keys are unchanged, including times.
                let mut came = objects
                    .iter()
                    .find(|object| object["name"] == *name)
                    .unwrap()
                    .clone();
                for key in ["visibility", "organization"] {
                    came.as_object_mut().unwrap().shift_remove(key);
                }
                assert_eq!(object, came);
                (name, visibility, organization)
            });
            told.collect()
        };
        let row = |name: &str, visibility: Value, organization: &Value| {
            (name.to_owned(), visibility, organization.clone())
        };
        let null = Value::Null;
        assert_eq!(
            told(&["--organization", "acme"]),
            [
                row("a", null.clone(), &null),
                row("b", json!("public"), &null),
                row("f", null.clone(), &null)
            ]
        );
        assert_eq!(
            told(&["--organization", "globex"]),
            [row("d", null.clone(), &null)]
        );
        // Without an organization, all connectors with their own organization.
        assert_eq!(
            told(&[]),
            [
                row("a", null.clone(), &acme),
                row("b", json!("public"), &acme),
                row("d", null.clone(), &globex),
                row("f", null.clone(), &acme),
            ]
        );
        // Private connectors only on request.
        let private = row("c", json!("private"), &acme);
        let nobodys = row("e", json!("private"), &null);
        assert_eq!(told(&["--visibility", "private"]), [private, nobodys]);
        assert_eq!(
            told(&[
                "--organization",
                "acme",
                "--visibility",
                "private",
                "--visibility",
                "public"
            ]),
            [
                row("b", json!("public"), &null),
                row("c", json!("private"), &null)
            ]
        );
    }

    async fn an_export_is_the_same_from_an_empty_database(storage: TestDatabase) {
        // All kinds of connectors: the catalogue's, various custom ones, changed ones, unusual texts.
        let server = Serving::on(&storage);
        let metadata = r#"{"z":1.0,"a":[1E30,-0,12345678901234567890],"é":"\u00e9\u0000","nested":{"b":null}}"#;
        let odd = custom(
            "odd",
            &json!({ "createdBy": "é \"quoted\"", "description": "tab\tand\nline\u{2028}", "category": "design" }),
        );
        let odd = odd.to_string().replace(
            "\"category\"",
            &format!("\"metadata\":{metadata},\"category\""),
        );
        let input = format!(
            "{odd}\n{}\n{}",
            custom("x", &json!({})),
            custom("y", &json!({ "visibility": "private" }))
        );
        import(&storage, &["--organization", "acme"], &input);
        let ann = token("ann@acme", "connectors:admin connectors:write");
        let create = "mutation($input: CreateCustomConnectorInput!) {
            createCustomConnector(input: $input) { personalConnector { id } userErrors { message } }
        }";
        let stdio = json!({ "name": "Stdio", "serverType": "STDIO", "visibility": "PUBLIC" });
        let made = server.data(&ann, create, json!({ "input": stdio })).await;
        let id = &made["createCustomConnector"]["personalConnector"]["id"];
        let status = "mutation($input: SetConnectorStatusInput!) {
            setConnectorStatus(input: $input) { userErrors { message } }
        }";
        let retired = json!({ "id": id, "status": "DEPRECATED", "statusMessage": "x", "replacedById": "pcon_x" });
        let retired = server.data(&ann, status, json!({ "input": retired })).await;
        assert_eq!(retired["setConnectorStatus"]["userErrors"], json!([]));
        server.stop().ok();

        for flags in [
            &[][..],
            &["--organization", "acme"],
            &[
                "--visibility",
                "private",
                "--visibility",
                "organization",
                "--visibility",
                "public",
            ],
        ] {
            let out = export(&storage, flags);
            assert!(out.contains(metadata), "{out}");
            let other = TestDatabase::sqlite();
            let organization: &[&str] = if flags.contains(&"acme") { flags } else { &[] };
            import(&other, organization, &out);
            assert_eq!(export(&other, flags), out);
            // A second import into the same database changes nothing.
            let said = import(&other, organization, &out);
            assert!(said.contains(" 0 created, 0 updated, "), "{said}");
        }
    }
}
