//! Other forms that `import` reads, the parts that it omits, and its warnings.

use std::fs;

use fixtures::published::served;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        process::{Done, Serving, program_on, run, run_with, token},
    },
};

const SERVERS: &str =
    "SELECT name, type, server_type, server_url FROM personal_connector ORDER BY name_key";

fn import(storage: &TestDatabase, flags: &[&str], input: &str) -> Done {
    let mut command = program_on(storage, &["import"]);
    command.args(flags);
    run_with(command, input)
}

fn server(name: &str) -> Value {
    json!({ "name": format!("io.example/{name}"), "description": "", "version": "1.0.0" })
}

on_both_databases! {
    async fn servers_of_a_client_become_the_organizations_without_secrets(storage: TestDatabase) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        let configuration = r#"{
            // A value that is prompted for at start.
            "inputs": [{ "type": "promptString", "id": "key", "password": true }],
            "servers": {
                "remote": {
                    "type": "http", "url": "https://a.example/mcp?api_key=s3cr3t",
                    "headers": { "Authorization": "Bearer s3cr3t" },
                },
                "local": { "command": "npx", "args": ["-y", "x", "--token", "s3cr3t"], "env": { "KEY": "s3cr3t" }, },
            },
        }"#;
        fs::write(&file, configuration).unwrap();
        let path = file.to_str().unwrap();
        let done = import(&storage, &["--organization", "acme", path], "");
        assert_eq!(
            done.err.replace(path, "mcp.json"),
            "warning: mcp.json:5: entry 1 (remote): 1 value of headers is left out; the names stay in the \
             metadata\nwarning: mcp.json:5: entry 1 (remote): a secret is left out of the url: user name, password, \
             parameter or fragment\nwarning: mcp.json:9: entry 2 (local): secrets of the command and its args are left \
             out\nwarning: mcp.json:9: entry 2 (local): 1 value of env is left out; the names stay in the \
             metadata\nwarning: mcp.json: only the servers are read, and these keys left out: inputs\n"
        );
        assert!(
            done.out.starts_with("2 objects: 2 created, ")
                && done.out.ends_with(" 0 rejected; 5 warnings\n"),
            "{}",
            done.out
        );
        assert_eq!(done.code, Some(0));
        let found = rows(&storage.url, SERVERS).await;
        assert_eq!(
            found,
            "local|custom|stdio|\nremote|custom|http|https://a.example/mcp\n"
        );
        let exported = run(program_on(&storage, &["export"])).ok();
        assert!(
            !exported.contains("s3cr3t") && exported.contains(r#""env":["KEY"]"#),
            "{exported}"
        );
        // The same configuration again, or in the form of Claude or Cursor, changes nothing, and neither does its
        // export.
        let cursor = configuration.replace("\"servers\"", "\"mcpServers\"");
        for input in [configuration, &cursor, &exported] {
            let again = import(&storage, &["--organization", "acme"], input);
            assert!(
                again
                    .out
                    .starts_with("2 objects: 0 created, 0 updated, 2 unchanged, "),
                "{}",
                again.out
            );
        }
        // Without an owner, the error gives advice.
        let done = import(&storage, &[], r#"{"mcpServers":{"x":{"command":"npx"}}}"#);
        assert_eq!(
            done.err,
            "rejected: standard input:1: entry 1 (x): organization is required, as the file does not name one: add \
             --organization\n"
        );
        assert_eq!(done.code, Some(3));
    }

    async fn what_people_changed_stays_when_a_client_is_imported_again(storage: TestDatabase) {
        const ROW: &str = "SELECT name, description, visibility, status, metadata, server_url FROM personal_connector \
                           WHERE type = 'custom' ORDER BY id";
        let server = Serving::on(&storage);
        let client =
            |name: &str, server: Value| json!({ "mcpServers": { name: server } }).to_string();
        let acme = |flags: &[&str], input: &str| {
            import(
                &storage,
                &[&["--organization", "acme"], flags].concat(),
                input,
            )
        };
        let docs = |url: &str| {
            client(
                "docs",
                json!({ "url": url, "headers": { "X-Key": "s3cr3t" } }),
            )
        };
        acme(&[], &docs("https://a.example/mcp")).ok();
        let id = rows(
            &storage.url,
            "SELECT id FROM personal_connector WHERE type = 'custom'",
        )
        .await;
        let id = id.trim();
        let ann = token("ann@acme", "connectors:write connectors:admin");
        let change = "mutation($id: ID!) {
            updateCustomConnector(input: { id: $id, description: \"By hand\", visibility: PUBLIC, metadata: { headers: \
            [], team: \"docs\" } }) {
                userErrors { message } }
            setConnectorStatus(input: { id: $id, status: MAINTENANCE }) { userErrors { message } } }";
        let changed = server.data(&ann, change, json!({ "id": id })).await;
        assert_eq!(
            changed,
            json!({ "updateCustomConnector": { "userErrors": [] }, "setConnectorStatus": { "userErrors": [] } })
        );
        // The file has a new URL. Other fields stay as people set them, whatever the defaults for new ones.
        acme(&[], &docs("https://b.example/mcp")).ok();
        let metadata = r#"{"headers":["X-Key"],"team":"docs"}"#;
        let row =
            |name: &str, url: &str| format!("{name}|By hand|public|maintenance|{metadata}|{url}\n");
        assert_eq!(
            rows(&storage.url, ROW).await,
            row("docs", "https://b.example/mcp")
        );
        let again = acme(&["--visibility", "public"], &docs("https://b.example/mcp"));
        assert!(
            again
                .out
                .starts_with("1 objects: 0 created, 0 updated, 1 unchanged, "),
            "{}",
            again.out
        );
        // A name in another case is the same connector, and the file's values apply.
        let said = json!({ "url": "https://c.example/mcp", "description": "By file" });
        acme(&[], &client("Docs", said)).ok();
        // The connector has no headers now, so their names are removed.
        let by_file = format!(
            "docs|By file|public|maintenance|{}|https://c.example/mcp\n",
            r#"{"team":"docs"}"#
        );
        assert_eq!(rows(&storage.url, ROW).await, by_file);
        let twice =
            r#"{"mcpServers":{"two":{"command":"a"},"TWO":{"command":"b"},"two":{"command":"c"}}}"#;
        let done = acme(&["--dry-run"], twice);
        assert_eq!(
            done.err,
            "rejected: standard input:1: entry 2 (TWO): name: an earlier entry has the same name\n\
             rejected: standard input:1: entry 3 (two): name: an earlier entry has the same name\n"
        );
        // A user's own connector is separate.
        let create = "mutation { createCustomConnector(input: { name: \"Mine\", serverUrl: \"https://m.example\", \
            visibility: ORGANIZATION }) {
            personalConnector { id } } }";
        let mine = server.data(&ann, create, json!({})).await;
        let mine = mine["createCustomConnector"]["personalConnector"]["id"]
            .as_str()
            .unwrap();
        let done = acme(&[], &client("mine", json!({ "command": "x" })));
        let expected = format!(
            "(mine): name: the name is taken by {mine}: rename the entry, or delete that connector\n"
        );
        assert!(done.err.ends_with(&expected), "{}", done.err);
    }

    async fn servers_that_a_client_does_not_use_or_nobody_owns(storage: TestDatabase) {
        let input = json!({
            "numStartups": 3,
            "mcpServers": { "off": { "command": "a", "disabled": true }, "on": { "command": "b", "disabled": false } },
            "projects": {
                "/home/a": { "mcpServers": { "here": { "command": "c" } }, "history": [] },
                "/home/b": { "history": [] },
            },
        });
        let done = import(&storage, &["--organization", "acme"], &input.to_string());
        assert_eq!(
            done.err,
            "warning: standard input:1: entry 1 (off): it is skipped, as it is disabled there\n\
             warning: standard input: only the servers are read, and these keys left out: history\n\
             warning: standard input: only the servers are read, and these keys left out: numStartups\n"
        );
        assert!(
            done.out.starts_with("3 objects: 2 created, ")
                && done.out.ends_with(" 0 rejected; 1 disabled; 3 warnings\n"),
            "{}",
            done.out
        );
        assert_eq!(
            rows(&storage.url, SERVERS).await,
            "here|custom|stdio|\non|custom|stdio|\n"
        );

        let published = served("p", "p");
        for (input, expected) in [
            (
                json!({ "mcpServers": { "x": { "command": "x" } } }),
                "(x): visibility must not be private, as the file does not say who \
                created it: give --visibility organization or public\n",
            ),
            (
                published.clone(),
                "(p): createdBy is required, as --visibility private shows a connector to its creator only: give the \
                object a createdBy, or --visibility organization\n",
            ),
            (
                json!({ "mcpServers": { "x": "https://x.example" } }),
                "(x): the entry must be an object such as {\"url\": \"https://…\"} \
                or {\"command\": \"…\"}\n",
            ),
        ] {
            let done = import(
                &storage,
                &["--organization", "acme", "--visibility", "private"],
                &input.to_string(),
            );
            assert!(done.err.ends_with(expected), "{}", done.err);
            assert_eq!(done.code, Some(3));
        }
        let mut owned = published;
        owned["createdBy"] = "ann".into();
        import(
            &storage,
            &["--organization", "acme", "--visibility", "private"],
            &owned.to_string(),
        )
        .ok();
    }

    async fn catalogues_of_others(storage: TestDatabase) {
        let toolhive =
            json!({ "version": "1.0.0", "meta": {}, "data": { "servers": [server("hive")] } });
        let toolhive_map = json!({ "data": { "servers": { "io.example/map": server("map"),
            "fetch": { "image": "a/b", "transport": "stdio" } } } });
        let docker = json!({ "name": "docs", "type": "remote",
            "remote": { "transport_type": "sse", "url": "https://a.example/sse" } });
        let docker_catalogue = json!({ "version": 3, "registry": { "github": { "title": "GitHub",
            "image": "mcp/github" } } });
        let mcpm = json!({ "brave": { "name": "brave", "display_name": "Brave",
            "installations": { "npm": { "command": "npx" } } } });
        let may = json!({
            "servers": [{
                "id": "1", "name": "io.example/may", "description": "",
                "version_detail": { "version": "1.2.3", "is_latest": true },
                "remotes": [{ "transport_type": "sse", "url": "https://may.example/sse" }],
            }],
            "metadata": { "next_cursor": "1" , "count": 1 },
        });
        for input in [&toolhive, &toolhive_map, &docker, &docker_catalogue, &mcpm] {
            let done = import(&storage, &["--organization", "acme"], &input.to_string());
            assert_eq!((&*done.err, done.code), ("", Some(0)), "{input}");
        }
        let done = import(&storage, &[], &may.to_string());
        assert_eq!(
            done.err,
            "warning: standard input: this is one page of a list: fetch the next page with ?cursor=1, and import it \
             too\n"
        );
        assert_eq!(done.code, Some(0));
        assert_eq!(
            rows(&storage.url, SERVERS).await,
            "Brave|custom|stdio|\ndocs|custom|http|https://a.example/sse\nfetch|custom|stdio|\nGitHub|custom|stdio|\n\
             hive|official||\nmap|official||\nmay|official|http|https://may.example/sse\n"
        );
    }

    async fn what_is_not_recognised_is_told_once(storage: TestDatabase) {
        run(program_on(&storage, &["migrate"])).ok();
        for (input, expected) in [
            (
                "name: github\nimage: mcp/github\n",
                "error: standard input cannot be read on: expected ident at line 1 column 2. \
              It is not JSON: it looks like YAML: convert it to JSON first, for example with yq -o json\n",
            ),
            (
                "name,url\na,https://a.example\n",
                "error: standard input cannot be read on: expected ident at line 1 column 2. \
              It is not JSON: it looks like CSV: convert it to JSON first, for example with mlr --icsv --ojson cat\n",
            ),
            (
                "{\"openapi\":\"3.1.0\"}",
                "rejected: standard input:1: entry 1: the entry is neither a personal connector nor an MCP server: it \
                 looks like an OpenAPI document. Give objects that export wrote, servers of an MCP registry, or a \
                 client's mcpServers\n",
            ),
        ] {
            let done = import(&storage, &[], input);
            assert_eq!(done.err, expected);
        }
        // The message is short for any number of objects.
        let many = json!(vec![json!({ "colour": "red" }); 3000]);
        let done = import(&storage, &[], &many.to_string());
        let lines: Vec<_> = done.err.lines().collect();
        assert_eq!(lines.len(), 21, "{}", done.err);
        assert!(
            lines[20].starts_with("rejected: and 2980 more like it: the entry is neither "),
            "{}",
            lines[20]
        );
        assert!(done.out.ends_with(" 3000 rejected\n"), "{}", done.out);
        assert_eq!(
            import(&storage, &[], r#"{"servers":null,"metadata":{"count":0}}"#).ok(),
            "0 objects: 0 created, \
            0 updated, 0 unchanged, 0 older versions, 0 deleted in the registry, 0 rejected\n"
        );
    }

    async fn a_line_that_is_not_json_does_not_stop_the_others(storage: TestDatabase) {
        let input = format!(
            "{}\n{{\"name\": \"io.exam\n{}\nnonsense\n{{}} {{\n{}\n",
            server("a"),
            server("b"),
            server("c")
        );
        let done = import(&storage, &[], &input);
        let lines: Vec<_> = done.err.lines().collect();
        assert_eq!(lines.len(), 4, "{}", done.err);
        assert!(
            lines[0].starts_with("rejected: standard input:2: entry 2: line 2 is not JSON: "),
            "{}",
            lines[0]
        );
        assert!(
            lines[1].starts_with("rejected: standard input:4: entry 4: line 4 is not JSON: "),
            "{}",
            lines[1]
        );
        // The first value of a line is read, and the second one is rejected.
        assert!(
            lines[2].starts_with("rejected: standard input:5: entry 5: the entry is neither "),
            "{}",
            lines[2]
        );
        assert!(
            lines[3].starts_with("rejected: standard input:5: entry 6: line 5 is not JSON: "),
            "{}",
            lines[3]
        );
        assert!(
            done.out.starts_with("7 objects: 3 created, "),
            "{}",
            done.out
        );
        assert_eq!(done.code, Some(3));
        assert_eq!(
            rows(&storage.url, SERVERS).await,
            "a|official||\nb|official||\nc|official||\n"
        );
    }

    async fn the_newest_version_and_the_first_usable_remote_count(storage: TestDatabase) {
        let version = |version: &str, remotes: Value| json!({ "name": "io.example/v", "version": version,
            "remotes": remotes });
        let remote = |url: &str| json!({ "type": "streamable-http", "url": url });
        let input = [
            version("v1.9.0", json!([])),
            version(
                "v1.10.0",
                json!([remote("https://{t}.example/mcp"), { "type": "pigeon" }, remote("https://v.example/mcp")]),
            ),
            version("v1.10.0-rc.1", json!([])),
        ];
        let input: Vec<_> = input.iter().map(Value::to_string).collect();
        let done = import(&storage, &[], &input.join("\n"));
        let at = "warning: standard input:2: entry 2 (io.example/v): ";
        assert_eq!(
            done.err,
            format!(
                "{at}remotes[0] has no usable URL, and stays in the metadata only: https://{{t}}.example/mcp is a \
                 template, and its variables have no values here\n{at}remotes[1] is left out: its type is pigeon; \
                 expected streamable-http, sse, websocket or stdio\n{at}version v1.10.0 is not semantic, and stays in \
                 the metadata only\n"
            )
        );
        assert_eq!(done.code, Some(0));
        assert!(
            done.out
                .starts_with("3 objects: 1 created, 0 updated, 0 unchanged, 2 older versions"),
            "{}",
            done.out
        );
        assert_eq!(
            rows(&storage.url, SERVERS).await,
            "v|official|http|https://v.example/mcp\n"
        );
    }
}
