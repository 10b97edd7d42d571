//! The `check` command: a manual round of checks.

use serde_json::json;

use crate::{
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        mcp::{Plain, answer, well_behaved},
        objects::{import, object},
        process::{Done, program_on, run},
    },
};

fn check(storage: &TestDatabase, ids: &[&str]) -> Done {
    let mut command = program_on(storage, &["check", "--mcp-allow", "127.0.0.0/8"]);
    command.args(ids);
    run(command)
}

/// Returns the cells of a table, and the text below it.
fn table(out: &str) -> (Vec<Vec<String>>, &str) {
    let (table, summary) = out.split_once("\n\n").unwrap();
    let mut lines = table.lines();
    let head = lines.next().unwrap();
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>(),
        ["NAME", "ID", "OUTCOME", "LATENCY", "TOOLS", "MESSAGE"]
    );
    let cells = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect()
    };
    (lines.map(cells).collect(), summary)
}

on_both_databases! {
    async fn one_round(storage: TestDatabase) {
        run(program_on(&storage, &["migrate"])).ok();
        let nothing = check(&storage, &[]);
        assert_eq!(
            (nothing.err.contains("error"), nothing.ok()),
            (false, "0 checked\n".to_owned())
        );
        let good = Plain::new(well_behaved).await;
        let private = Plain::new(|_| answer(401, "www-authenticate: Bearer\r\n", "")).await;
        let bad = Plain::new(|_| answer(404, "", "")).await;
        import(
            &storage,
            &[
                object(
                    "good",
                    &json!({ "name": "Wéll 漢字", "serverUrl": good.url }),
                ),
                object("private", &json!({ "serverUrl": private.url })),
                object("bad", &json!({ "serverUrl": bad.url })),
                object("program", &json!({ "serverType": "stdio" })),
            ],
        );
        let done = check(&storage, &[]);
        assert_eq!((done.code, &*done.err), (Some(3), ""));
        let (mut found, summary) = table(&done.out);
        let latency = found[2].remove(3);
        assert!(
            latency.strip_suffix(" ms").unwrap().parse::<u64>().is_ok(),
            "{latency}"
        );
        assert_eq!(
            found,
            [
                vec![
                    "bad",
                    "pcon_bad",
                    "NOT_MCP",
                    "The server answers with HTTP status 404 Not Found."
                ],
                vec![
                    "private",
                    "pcon_private",
                    "AUTH_REQUIRED",
                    "The server asks for a sign-in."
                ],
                vec![
                    "Wéll 漢字",
                    "pcon_good",
                    "OPEN",
                    "2",
                    "The server speaks MCP."
                ],
            ]
        );
        assert_eq!(summary, "3 checked: 1 OPEN, 1 AUTH_REQUIRED, 1 NOT_MCP\n");
        // A column is aligned, even with wide letters.
        let widths = |line: &str, cell: &str| {
            line.find(cell).map(|at| {
                line[..at]
                    .chars()
                    .map(|c| 1 + usize::from(c > '\u{2e80}'))
                    .sum::<usize>()
            })
        };
        let lines: Vec<_> = done.out.lines().collect();
        assert_eq!(widths(lines[0], "ID"), widths(lines[3], "pcon_good"));

        // Given connectors are checked once each, due or not.
        let done = check(&storage, &["pcon_private", "pcon_good", "pcon_good"]);
        let some = done.ok();
        assert!(
            some.ends_with("\n\n2 checked: 1 OPEN, 1 AUTH_REQUIRED\n"),
            "{some}"
        );
        let program = check(&storage, &["pcon_program"]).failed(3);
        assert!(
            program.ends_with("\n\n1 checked: 1 NOT_CHECKABLE\n"),
            "{program}"
        );

        // If one is missing, none is checked.
        let asked = good.asked().len();
        let told = check(&storage, &["pcon_none", "pcon_good", "pcon_nobody"]).failed(1);
        assert_eq!(
            told,
            "error: there is no connector pcon_none, pcon_nobody: nothing was checked\n"
        );
        assert_eq!(good.asked().len(), asked);

        // The results are stored.
        let kept = "SELECT personal_connector.id, outcome, failures, (SELECT COUNT(*) FROM connector_check c WHERE \
            c.seq = h.seq) AS checks
            FROM connector_health h JOIN personal_connector USING (seq) ORDER BY 1";
        assert_eq!(
            rows(&storage.url, kept).await,
            "pcon_bad|not_mcp|1|1\npcon_good|open|0|2\npcon_private|auth_required|0|2\npcon_program|not_checkable|1|1\n"
        );
        let tools = "SELECT name FROM connector_tool ORDER BY name";
        assert_eq!(rows(&storage.url, tools).await, "add\nsubtract\n");
    }
}
