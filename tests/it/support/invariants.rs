//! Invariants of the stored rows.

use std::collections::BTreeMap;

use personal_connectors::{domain::inspection::Tool, store};
use sha2::{Digest, Sha256};

use crate::support::harness::{TestDatabase, rows};

/// Statements that find no rows if every change is complete. The command `check-database` has the other ones.
const FLAWS: [(&str, &str); 4] = [
    (
        "an idempotency key stands for a connector that was never created",
        "SELECT key FROM idempotency_key AS k
            WHERE NOT EXISTS (SELECT 1 FROM personal_connector AS c WHERE c.id = k.personal_connector_id)
            AND NOT EXISTS (SELECT 1 FROM connector_event AS e WHERE e.personal_connector_id = k.personal_connector_id)
            AND (SELECT forgotten FROM catalog_state) = 0",
    ),
    (
        "health differs from the last check",
        "SELECT seq FROM connector_health AS h LEFT JOIN connector_check AS c USING (seq)
            WHERE NOT EXISTS (SELECT 1 FROM connector_check AS later
                WHERE later.seq = h.seq AND later.checked_at > c.checked_at)
            AND (h.checked_at IS DISTINCT FROM c.checked_at OR h.outcome IS DISTINCT FROM c.outcome)",
    ),
    (
        "a tool is not found by its words",
        "SELECT seq, name FROM connector_tool AS t WHERE NOT EXISTS (SELECT 1 FROM connector_tool_search AS s
            WHERE s.SEQ_OF_SEARCH = t.seq AND FOUND_BY_WORDS)",
    ),
    (
        "tools are found by a word that none of them has",
        "SELECT word FROM WORDS_OF_TOOLS AS w WHERE word LIKE 'version%' AND NOT EXISTS (SELECT 1 FROM connector_tool \
         AS t
            WHERE t.seq = w.seq AND t.words LIKE '% ' || w.word || ' %')",
    ),
];

/// FTS5's own table of an index's words.
const VOCABULARY: &str =
    "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, connector_tool_search, instance);";

pub async fn assert_whole(storage: &TestDatabase) {
    let settings = storage.settings();
    let sound = store::check(&settings).await.unwrap();
    assert_eq!(sound.findings, Vec::<String>::new());
    let (seq, found, words, before) = if storage.url.starts_with("sqlite") {
        (
            "rowid",
            "s.connector_tool_search MATCH TRIM(t.words)",
            "(SELECT term AS word, doc AS seq FROM vocabulary)",
            VOCABULARY,
        )
    } else {
        (
            "seq",
            "s.words @@ CAST('''' || REPLACE(TRIM(t.words), ' ', ''' & ''') || '''' AS tsquery)",
            "(SELECT UNNEST(tsvector_to_array(words)) AS word, seq FROM connector_tool_search)",
            "",
        )
    };
    // One statement is faster, and reads a snapshot: a service may write meanwhile.
    let all = FLAWS.map(|(flaw, sql)| {
        let sql = sql
            .replace("SEQ_OF_SEARCH", seq)
            .replace("FOUND_BY_WORDS", found)
            .replace("WORDS_OF_TOOLS", words);
        format!("SELECT '{flaw}' AS flaw WHERE EXISTS ({sql})")
    });
    let all = format!("{before}{}", all.join(" UNION ALL "));
    assert_eq!(rows(&storage.url, &all).await, "");
    assert_digests(storage).await;
}

/// Checks that each connector's tool digest matches its stored tools.
async fn assert_digests(storage: &TestDatabase) {
    // One statement reads a snapshot: a service may write meanwhile.
    const TOOLS: &str = "SELECT seq, tools_digest, name, title, description, input_schema, output_schema, annotations
        FROM connector_health LEFT JOIN connector_tool USING (seq) WHERE tools_digest IS NOT NULL ORDER BY seq, name";
    let mut stored: BTreeMap<(String, String), Vec<Tool>> = BTreeMap::new();
    for line in rows(&storage.url, TOOLS).await.lines() {
        let cells: Vec<_> = line.split('|').map(ToOwned::to_owned).collect();
        let text = |cell: usize| Some(cells[cell].clone()).filter(|text| !text.is_empty());
        let tools = stored.entry((cells[0].clone(), cells[1].clone()));
        tools.or_default().extend(text(2).map(|name| Tool {
            name,
            title: text(3),
            description: text(4),
            input_schema: text(5),
            output_schema: text(6),
            annotations: text(7),
        }));
    }
    for ((seq, digest), tools) in stored {
        let stored = Sha256::digest(serde_json::to_vec(&tools).unwrap());
        // The members of these schemas are already ordered.
        let digest = digest.trim_start_matches("canonical:");
        assert_eq!(digest, format!("{stored:x}"), "of {seq}: {tools:?}");
    }
}
