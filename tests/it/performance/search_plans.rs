//! Searches of 200,000 rows: a page visits few rows, for frequent and rare words, in each order, anywhere in the list.

use serde_json::{Value, json};

use crate::{
    on_both,
    performance::explain::{Explainer, FILL},
    support::harness::Server,
};

/// Words of the descriptions, by the numbers of the rows.
const WORDS: &str = "'reads'
    || CASE WHEN seq % 2 = 0 THEN ' often' ELSE '' END || CASE WHEN seq % 4 = 0 THEN ' half' ELSE '' END
    || CASE WHEN seq % 20 = 0 THEN ' medium' ELSE '' END || CASE WHEN seq % 2000 = 0 THEN ' seldom' ELSE '' END";

/// The number of rows with each of them.
const COUNTS: &str = "('reads', 200000, 0, 0), ('often', 100000, 0, 0), ('half', 50000, 0, 0), ('medium', 10000, 0, 0),
    ('seldom', 100, 0, 0)";

/// Searches, and the number of rows with all their words.
const SEARCHES: [(&str, u64); 9] = [
    ("often", 100_000),
    ("half", 50_000),
    ("medium", 10_000),
    ("seldom", 100),
    ("nothing", 0),
    ("often half", 50_000),
    ("often medium", 10_000),
    ("often seldom", 100),
    ("reads often half medium", 10_000),
];

/// The rows that a page of 20 visits on PostgreSQL in any search: one scan for each tier, which looks up tools too.
const WALKS: u64 = 10_000;

/// The same for rare words, whose rows are looked up.
const FEW: u64 = 500;

/// Steps of SQLite's virtual machine for each row with the words, which are listed once or twice, and for everything
/// else.
const STEPS: (u64, u64) = (30, 100_000);

/// Adds the words to rows, as migrations and writes do.
async fn fill(explainer: &mut Explainer) {
    let tools = "SELECT seq, WORDS FROM personal_connector WHERE seq > 1000000 AND seq % 10 = 0";
    // As many as connectors with tools, so that a look-up is shorter than a scan.
    let others: Vec<_> = (0..150).map(|number| format!("other{number}")).collect();
    let others = others.join(" ");
    match explainer {
        Explainer::Sqlite(_) => {
            explainer.execute(FILL).await;
            let words = format!(
                "INSERT INTO connector_search (rowid, name, connector_id, description)
                    SELECT seq, name_key, 'custom mcp', {WORDS} FROM personal_connector WHERE seq > 1000000"
            );
            explainer.execute(words).await;
            let tools = tools.replace("WORDS", &format!("'reads offers {others}'"));
            let into = "INSERT INTO connector_tool_search (rowid, words)";
            explainer.execute(format!("{into} {tools}")).await;
        }
        Explainer::Postgres(_) => {
            let words = WORDS.replace("seq", "(1000000 + n)");
            let lexemes = format!(
                "array_to_tsvector(string_to_array('n' || replace(lower(name), ' ', ' n') || ' ccustom cmcp d'
                    || replace({words}, ' ', ' d'), ' '))"
            );
            let fill = FILL
                .replace(" revision, source)", " revision, source, search_words)")
                .replace("1, 'import'\n", &format!("1, 'import', {lexemes}\n"));
            explainer.execute(fill).await;
            let tools = tools.replace("WORDS", &format!("'reads offers {others}'::tsvector"));
            let into = "INSERT INTO connector_tool_search (seq, words)";
            explainer.execute(format!("{into} {tools}")).await;
        }
    }
    let counts = format!(
        "INSERT INTO search_word (word, connectors, public_connectors, since) VALUES {COUNTS}"
    );
    explainer.execute(counts).await;
    // As if the rows had been written one by one, and the log pruned.
    explainer.execute("DELETE FROM connector_event").await;
    let state = "UPDATE catalog_state SET state = 1200000, forgotten = 1200000, forgotten_mark = 7";
    explainer.execute(state).await;
    explainer.execute("ANALYZE").await;
}

/// Reads a page. Returns it with the rows or steps that its statements visit, and their plans.
async fn page(server: &Server, explainer: &mut Explainer, arguments: &str) -> (Value, u64, String) {
    // An administrator of the catalogue sees everything.
    let root = server.token("root@acme", &["catalog:admin"]);
    server.forget_reads();
    let query = format!(
        "{{ personalConnectors({arguments}) {{ nodes {{ id description }} pageInfo {{ endCursor startCursor }} }} }}"
    );
    let mut data = server.data(&root, &query, json!({})).await;
    let (mut visited, mut plans) = (0, Vec::new());
    let reads = server.reads.lock().unwrap().clone();
    for read in reads {
        // A statement that sorts all matches is planned for its values.
        if read.sql.contains("COALESCE(\"personal_connector\"") || read.sql.contains("COUNT(*)") {
            explainer.plan_for_values().await;
        } else {
            explainer.plan_once().await;
        }
        let plan = explainer.explain(&read).await;
        visited += plan.visited;
        plans.push(format!("\n{} of {}", plan.visited, plan.text));
    }
    (data["personalConnectors"].take(), visited, plans.concat())
}

on_both! {
    async fn searches_of_200_000_rows_visit_few(server: Server) {
        let mut explainer = Explainer::connect(&server).await;
        fill(&mut explainer).await;
        let server = Server::start(
            server.storage.clone(),
            &["--answer-cache-mb", "0"],
            server.clock.clone(),
        )
        .await;
        let mut slow = Vec::new();
        for order in ["RELEVANCE", "NAME", "CREATED_AT"] {
            for filter in ["{}", "{category: DEVELOPMENT, status: ACTIVE}"] {
                for (search, found) in SEARCHES {
                    let list = format!(
                        "search: \"{search}\", orderBy: {{field: {order}}}, filter: {filter}"
                    );
                    let (far, ..) =
                        page(&server, &mut explainer, &format!("{list}, first: 100")).await;
                    let nodes = far["nodes"].as_array().unwrap().len() as u64;
                    assert!(nodes == found.min(100) || filter != "{}", "{list}: {nodes}");
                    let mut pages = vec![format!("{list}, first: 20"), format!("{list}, last: 20")];
                    if nodes > 0 {
                        pages.push(format!(
                            "{list}, first: 20, after: {}",
                            far["pageInfo"]["endCursor"]
                        ));
                        pages.push(format!(
                            "{list}, last: 20, before: {}",
                            far["pageInfo"]["endCursor"]
                        ));
                    }
                    for asked in pages {
                        let (_, visited, plans) = page(&server, &mut explainer, &asked).await;
                        let most = match explainer {
                            Explainer::Sqlite(_) => STEPS.0 * found + STEPS.1,
                            // A few are looked up, and many are scanned.
                            Explainer::Postgres(_) if found <= 1000 => 6 * found + FEW,
                            Explainer::Postgres(_) if found <= 10_000 => WALKS + 2 * found,
                            Explainer::Postgres(_) => WALKS,
                        };
                        if visited > most {
                            slow.push(format!("{asked}: {visited} of {most}{plans}"));
                        }
                    }
                }
            }
        }
        assert!(slow.is_empty(), "{}", slow.join("\n\n"));
    }
}
