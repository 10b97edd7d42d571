//! The results of a search and their order, the same on both databases.

use entity::personal_connector::Model;
use personal_connectors::domain::inspection::Inspection;
use serde_json::json;

use crate::{
    on_both,
    support::{
        checks::offering,
        connectors::{edit, ids, official},
        harness::{Server, fixed_clock},
        invariants::assert_whole,
        process::{program_on, run},
    },
};

/// The rows by tiers of a search for `pull request`, then rows to test letters.
fn catalogue() -> Vec<Model> {
    let row = |id, name, connector_id: &str, description: &str| Model {
        connector_id: connector_id.to_owned(),
        description: Some(description.to_owned()),
        ..official(id, name)
    };
    let han = letters(256);
    vec![
        row("exact", "Pull REQUEST", "x1", ""),
        row("name", "The Pull-Requests Bot", "x2", ""),
        row("another", "A pull/request bot", "x3", ""),
        row("twin", "a PULL/request bot", "x4", ""),
        row("both", "Pull", "acme/request.bot", ""),
        row("all", "Puller", "pull", "One request."),
        row("text", "Zeal", "x5", "Sends a request, then a pull"),
        row("apart", "Request", "x6", "No hauling"),
        row("eclair", "Éclair", "x7", "Crème"),
        row("istanbul", "İstanbul", "x8", ""),
        row("greek", "ΟΔΥΣΣΕΥΣ", "x9", ""),
        row("wide", "ﬁne Ａ１", "x10", ""),
        row("sharp", "Straße", "x11", ""),
        row("han", "日本語", "x12", ""),
        row("hangul", "한국어", "x13", ""),
        row("plus", "+", "x14", "C++"),
        row("rocket", "🚀", "x15", "to the moon 🚀"),
        row("quote", r#"O'Reilly "near" \ or"#, "x16", "not and"),
        row("long", "Long", "x17", &han),
        row("byid", "Zulu", "zulu/wiki", ""),
        row("bytext", "Alpha", "x19", "A wiki"),
        row("word", &"w".repeat(100), "x18", ""),
    ]
}

/// Different words of one letter, with nothing between them.
fn letters(count: u32) -> String {
    (0..count)
        .filter_map(|i| char::from_u32(0x4e00 + i))
        .collect()
}

const PULL_REQUEST: &[&str] = &["exact", "another", "twin", "name", "both", "all", "text"];

/// Searches, and the ids found, best first.
const TABLE: &[(&str, &[&str])] = &[
    // Tiers: exactly the name, the beginning of a name, words of the name (by name, then id), of name and connectorId,
    // and of all fields.
    ("pull request", PULL_REQUEST),
    (
        "request pull",
        &["another", "twin", "exact", "both", "all", "text"],
    ),
    ("wiki", &["byid", "bytext"]),
    // Case, spaces and separators.
    ("  PULL\u{a0}\tRequest  ", PULL_REQUEST_INEXACT),
    // The last word as a prefix, the others as whole words.
    ("pull req", PULL_REQUEST),
    ("req pull", &[]),
    ("puller", &["all"]),
    ("request.b", &["another", "twin", "both"]),
    ("acme/request", &["both"]),
    (
        "r",
        &[
            "apart", "another", "twin", "quote", "exact", "name", "both", "all", "text",
        ],
    ),
    // Folding.
    ("eclair", &["eclair"]),
    ("ÉCLAIR", &["eclair"]),
    ("e\u{301}cl", &["eclair"]),
    ("creme", &["eclair"]),
    ("istanbul", &["istanbul"]),
    ("οδυσσευσ", &["greek"]),
    ("ὀδυσσεύς", &["greek"]),
    ("fine a1", &["wide"]),
    ("ＦＩＮＥ", &["wide"]),
    ("straße", &["sharp"]),
    ("strasse", &[]),
    ("日", &["han"]),
    ("本日", &["han"]),
    ("日 語", &["han"]),
    ("한국", &["hangul"]),
    // Without words, only exactly this name matches.
    ("+", &["plus"]),
    (" + ", &["plus"]),
    ("++", &[]),
    ("🚀", &["rocket"]),
    ("🚀🚀", &["rocket"]),
    ("moon 🚀", &["rocket"]),
    ("*", &[]),
    ("\"", &[]),
    // Operators of FTS5, tsquery and LIKE are read as separators, or as words.
    ("\"pull request\"", PULL_REQUEST_INEXACT),
    ("pull* request", PULL_REQUEST_INEXACT),
    // The last occurrence of a repeated word counts, and is a prefix here.
    (
        "pu request pu",
        &["another", "twin", "exact", "both", "all", "text"],
    ),
    ("pull & request", PULL_REQUEST_INEXACT),
    ("pull:* & request:*", PULL_REQUEST_INEXACT),
    ("!pull <-> request", PULL_REQUEST_INEXACT),
    ("^pull + request", PULL_REQUEST_INEXACT),
    ("-pull, {request}", PULL_REQUEST_INEXACT),
    ("pull'request", PULL_REQUEST_INEXACT),
    ("pull\\request\\", PULL_REQUEST_INEXACT),
    ("'pull':A & 'request", &["another", "twin", "text"]),
    ("pull | request", PULL_REQUEST_INEXACT),
    ("pull AND request", &[]),
    ("pull OR request", &[]),
    ("pull NOT request", &[]),
    ("NEAR(pull request)", &[]),
    ("name : pull", &[]),
    ("near or", &["quote"]),
    ("NOT", &["quote"]),
    ("o'reilly \"near\" \\ or", &["quote"]),
    (
        "pull%",
        &["another", "twin", "both", "exact", "all", "name", "text"],
    ),
    ("p_ll", &[]),
    // PostgreSQL has no text with NUL.
    ("pull\0request", PULL_REQUEST_INEXACT),
    ("\0", &[]),
    // Many words, and long ones.
    ("w", &["word", "byid", "bytext"]),
];

/// Like [`PULL_REQUEST`], without the row whose name equals the search.
const PULL_REQUEST_INEXACT: &[&str] = &["another", "twin", "exact", "name", "both", "all", "text"];

on_both! {
    async fn finds_the_same_in_the_same_order(server: Server) {
        server.clear().await;
        server.insert(catalogue()).await;
        let query =
            "query($search: String) { personalConnectors(search: $search) { nodes { id } } }";
        for (search, found) in TABLE {
            let data = server.data("", query, json!({ "search": search })).await;
            assert_eq!(ids(&data["personalConnectors"]), *found, "{search}");
        }
        let spaced: String = letters(120).chars().flat_map(|c| [c, ' ']).collect();
        for (search, found) in [
            (letters(256), &["long"][..]),
            (spaced.clone(), &["long"]),
            (format!("{spaced} q"), &[]),
            ("w".repeat(100), &["word"]),
            ("w".repeat(256), &["word"]),
            (
                "pull ".repeat(51),
                &["another", "twin", "both", "exact", "all", "name", "text"],
            ),
        ] {
            let data = server.data("", query, json!({ "search": search })).await;
            assert_eq!(ids(&data["personalConnectors"]), found, "{search}");
        }
    }

    /// Every word is in some field, or in one of the tools. Rows that match without their tools come first.
    async fn tools_are_the_last_tier(server: Server) {
        server.clear().await;
        let row = |id: &str, name: &str, description: &str| Model {
            description: Some(description.to_owned()),
            ..official(id, name)
        };
        server
            .insert(vec![
                row("tool", "Alpha", ""),
                row("text", "Zeta", "Renders maps"),
                row("both", "Maps", "For all"),
                row("none", "Beta", "For all"),
            ])
            .await;
        let offered = [
            (
                "tool",
                offering(&[
                    ("render_map", "Draws Maps, and renders them"),
                    ("other", ""),
                ]),
            ),
            ("text", offering(&[("renders", "maps")])),
            ("both", offering(&[("renders", "")])),
        ];
        server
            .record(
                offered
                    .map(|(id, found)| (format!("pcon_{id}"), found))
                    .into(),
            )
            .await;
        let search = async |arguments: &str| {
            let query = format!(
                "{{ personalConnectors({arguments}) {{ nodes {{ id }} totalCount pageInfo {{ endCursor startCursor }} \
                 }} }}"
            );
            server.data("", &query, json!({})).await["personalConnectors"].take()
        };
        for (words, found) in [
            ("renders map", &["text", "tool", "both"][..]),
            ("maps", &["both", "text", "tool"]),
            ("OTHER", &["tool"]),
            ("render map", &["tool"]),
            ("alpha draws", &["tool"]),
            ("renders for", &["both"]),
            ("beta renders", &[]),
            ("alpha", &["tool"]),
        ] {
            let all = search(&format!("search: \"{words}\"")).await;
            assert_eq!(ids(&all), found, "{words}");
            assert_eq!(all["totalCount"], found.len(), "{words}");
            let mut by_name = found.to_vec();
            by_name.sort_by_key(|id| {
                ["tool", "none", "both", "text"]
                    .iter()
                    .position(|other| other == id)
            });
            assert_eq!(
                ids(&search(&format!("search: \"{words}\", orderBy: {{field: NAME}}")).await),
                by_name,
                "{words}"
            );
        }
        // Page by page, forwards and backwards.
        let mut after = String::new();
        for id in ["text", "tool", "both"] {
            let page = search(&format!("search: \"renders map\", first: 1{after}")).await;
            assert_eq!(ids(&page), [id]);
            after = format!(", after: {}", page["pageInfo"]["endCursor"]);
        }
        let mut before = String::new();
        for id in ["both", "tool", "text"] {
            let page = search(&format!("search: \"renders map\", last: 1{before}")).await;
            assert_eq!(ids(&page), [id]);
            before = format!(", before: {}", page["pageInfo"]["startCursor"]);
        }
    }

    /// A search finds only the owner or vendor in a namespace. A whole connectorId matches, and so does its beginning
    /// beyond the slash.
    async fn hosts_of_namespaces_are_no_words(server: Server) {
        server.clear().await;
        let row = |id, name, connector_id: &str| Model {
            connector_id: connector_id.to_owned(),
            ..official(id, name)
        };
        server
            .insert(vec![
                row("wiki", "Pages", "io.github.Acme/wiki-mcp"),
                row("hub", "GitHub", "com.github/server"),
                row("vendor", "Mail", "com.acme/mail"),
                row("plain", "Plain", "dev/io"),
            ])
            .await;
        let query =
            "query($search: String) { personalConnectors(search: $search) { nodes { id } } }";
        for (search, found) in [
            ("github", &["hub"][..]),
            ("io", &["plain"]),
            ("com", &[]),
            ("acme", &["vendor", "wiki"]),
            ("acme mail", &["vendor"]),
            ("io.github.acme/wiki-mcp", &["wiki"]),
            ("IO.GitHub.Acme/wi", &["wiki"]),
            ("com.acme/mail", &["vendor"]),
            ("io.github.acme/", &["vendor", "wiki"]),
            ("io.github.acme", &[]),
            ("com.github/server", &["hub"]),
            ("dev io", &["plain"]),
        ] {
            let data = server.data("", query, json!({ "search": search })).await;
            assert_eq!(ids(&data["personalConnectors"]), found, "{search}");
        }
        assert_whole(&server.storage).await;
    }

    /// Names with punctuation are found by exactly that punctuation, in connectors and in tools.
    async fn whole_names_are_words(server: Server) {
        server.clear().await;
        let names = [
            "C++ Build",
            "C# Build",
            "Clojure",
            "F# and .NET",
            "Network",
            "Node.js Runner",
            "Runner of Nodes",
            "Party 🎉",
        ];
        let ids_of = [
            "cpp", "csharp", "clojure", "fsharp", "network", "node", "nodes", "party",
        ];
        let rows = ids_of
            .iter()
            .zip(names)
            .map(|(id, name)| official(id, name));
        server.insert(rows.collect()).await;
        server
            .record(vec![(
                "pcon_network".to_owned(),
                offering(&[("scan", "Written in C++ 🎉")]),
            )])
            .await;
        let query = "query($search: String) { personalConnectors(search: $search) { nodes { id tools(search: $search) \
                     { totalCount } } } }";
        for (search, found) in [
            ("c++", &["cpp", "network"][..]),
            ("C# build", &["csharp"]),
            ("c#", &["csharp"]),
            ("build c++", &["cpp"]),
            (".net", &["fsharp"]),
            ("net", &["network", "fsharp"]),
            ("f#", &["fsharp"]),
            ("node.js", &["node"]),
            ("js node", &["node"]),
            ("node", &["node", "nodes"]),
            ("🎉", &["party", "network"]),
            ("c", &["csharp", "cpp", "clojure", "network"]),
        ] {
            let data = server.data("", query, json!({ "search": search })).await;
            assert_eq!(ids(&data["personalConnectors"]), found, "{search}");
            let of_tool = data["personalConnectors"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|node| node["id"] == "pcon_network");
            if let Some(node) = of_tool {
                let tools = u64::from(["c++", "c", "🎉"].contains(&search));
                assert_eq!(node["tools"]["totalCount"], tools, "{search}");
            }
        }
        assert_whole(&server.storage).await;
    }

    async fn tools_words_follow_the_row_and_its_tools(server: Server) {
        server.clear().await;
        let before = server.insert(vec![official("a", "Old")]).await.remove(0);
        server
            .record(vec![(before.id.clone(), offering(&[("add", "Adds.")]))])
            .await;
        let search = async |search| {
            let query =
                "query($search: String) { personalConnectors(search: $search) { nodes { id } } }";
            let data = server.fresh("", query, json!({ "search": search })).await;
            ids(&data["personalConnectors"]).len()
        };
        assert_eq!((search("old add").await, search("add").await), (1, 1));
        let after = Model {
            name: "New".to_owned(),
            name_key: "new".to_owned(),
            ..before.clone()
        };
        let mut tx = server.begin().await;
        let after = tx.update(&before, edit(&after)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert_eq!((search("old add").await, search("new add").await), (0, 1));
        let later = Inspection {
            checked_at: crate::support::checks::after(1),
            ..offering(&[("subtract", "")])
        };
        server.record(vec![(after.id.clone(), later)]).await;
        assert_eq!(
            (search("new add").await, search("new subtract").await),
            (0, 1)
        );
        let mut tx = server.begin().await;
        tx.delete(&after).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(search("subtract").await, 0);
        // The most words that are indexed, and more: names come before descriptions.
        let row = server.insert(vec![official("b", "Many")]).await.remove(0);
        let texts: Vec<_> = (0..1000)
            .map(|n| {
                (
                    format!("name{n}"),
                    format!("{} last{n}", "word ".repeat(900)) + &letters(800),
                )
            })
            .collect();
        let tools: Vec<_> = texts
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        server
            .record(vec![(row.id.clone(), offering(&tools))])
            .await;
        assert_eq!(
            (
                search("name999").await,
                search("last0").await,
                search("last999").await
            ),
            (1, 1, 0)
        );
    }

    /// Migrations move the words to the present place of the index, and back.
    async fn words_survive_their_moves(server: Server) {
        server.clear().await;
        server.insert(catalogue()).await;
        server
            .record(vec![(
                "pcon_apart".to_owned(),
                offering(&[("pull_all", "Hauls")]),
            )])
            .await;
        let storage = server.storage.clone();
        drop(server);
        let names = migration::names();
        let before = names
            .iter()
            .position(|name| name.ends_with("words_of_rows"))
            .unwrap()
            - 1;
        for line in [
            &["migrate", "--to", &names[before]][..],
            &["check-database"],
            &["migrate"],
            &["check-database"],
        ] {
            run(program_on(&storage, line)).ok();
        }
        let server = Server::start(storage, &[], fixed_clock()).await;
        let query = "query($search: String) { personalConnectors(search: $search, first: 100) { nodes { id } } }";
        for (search, found) in [
            ("pull request", &[PULL_REQUEST, &["apart"]].concat()[..]),
            ("wiki", &["byid", "bytext"]),
            ("quote", &[]),
        ] {
            let data = server.data("", query, json!({ "search": search })).await;
            // The built-in connectors are there again.
            let mut ids = ids(&data["personalConnectors"]);
            ids.retain(|id| catalogue().iter().any(|row| row.id == format!("pcon_{id}")));
            assert_eq!(ids, found, "{search}");
        }
    }

    async fn a_blank_search_is_none(server: Server) {
        let query = "query($search: String) { personalConnectors(search: $search) { totalCount nodes { id } } }";
        let all = server.data("", query, json!({})).await;
        assert_eq!(all["personalConnectors"]["totalCount"], 5);
        for blank in ["", "  ", "\u{a0}\n"] {
            assert_eq!(
                server.data("", query, json!({ "search": blank })).await,
                all
            );
        }
    }

    async fn words_follow_the_row(server: Server) {
        server.clear().await;
        let before = server.insert(vec![official("a", "Old")]).await.remove(0);
        let search = async |search| {
            let query =
                "query($search: String) { personalConnectors(search: $search) { nodes { id } } }";
            let data = server.data("", query, json!({ "search": search })).await;
            ids(&data["personalConnectors"]).len()
        };
        let after = Model {
            name: "New".to_owned(),
            name_key: "new".to_owned(),
            ..before.clone()
        };
        let mut tx = server.begin().await;
        let after = tx.update(&before, edit(&after)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert_eq!((search("old").await, search("new").await), (0, 1));
        let mut tx = server.begin().await;
        tx.delete(&after).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(search("new").await, 0);
    }
}
