//! Corrected searches, for words that no visible connector has, and their presentation.

use entity::{ConnectorVisibility, personal_connector::Model};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        checks::offering,
        connectors::{custom, edit, ids, official},
        harness::Server,
        mutations::text,
    },
};

const QUERY: &str = "query($search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder, $after: \
    String, $first: Int) {
    personalConnectors(search: $search, filter: $filter, orderBy: $order, after: $after, first: $first) {
        nodes { id } totalCount search { corrected words { word replacements } }
        facets { type { count } organizationId { count } }
        pageInfo { endCursor hasNextPage }
    }
}";

async fn list(server: &Server, token: &str, variables: Value) -> Value {
    server.fresh(token, QUERY, variables).await["personalConnectors"].take()
}

/// Returns the words of a search, each with its replacements: `gihtub=github|gitub wiki`.
fn words(list: &Value) -> String {
    let words = list["search"]["words"].as_array().unwrap().iter();
    let words = words.map(|word| {
        let replacements = word["replacements"].as_array().unwrap().iter();
        let replacements: Vec<_> = replacements.map(text).collect();
        let replaced = if replacements.is_empty() { "" } else { "=" };
        format!(
            "{}{replaced}{}",
            text(&word["word"]),
            replacements.join("|")
        )
    });
    words.collect::<Vec<_>>().join(" ")
}

async fn fill(server: &Server) {
    let row = |id, name, description: &str| Model {
        description: Some(description.to_owned()),
        ..official(id, name)
    };
    server.clear().await;
    server
        .insert(vec![
            row("github", "GitHub", "Issues and pull requests"),
            row("gitlab", "GitLab Runner", "Pipelines"),
            row("vector", "Vector DB", "Embeddings"),
            row("notes", "Notes", "Markdown files"),
            row("node", "Node.js Runner", "C++ too"),
            custom(
                "mine",
                "Kubernetes",
                "ann@acme",
                ConnectorVisibility::Private,
            ),
        ])
        .await;
    server
        .record(vec![(
            "pcon_notes".to_owned(),
            offering(&[("summarise", "Shortens")]),
        )])
        .await;
}

on_both! {
    async fn words_that_nobody_has_stand_for_near_ones(server: Server) {
        fill(&server).await;
        for (search, found, told) in [
            // Not replaced.
            ("github", &["github"][..], "github"),
            ("Pull requ", &["github"], "pull requ"),
            // Missing, swapped, wrong and extra letters.
            ("githb", &["github"], "githb=github"),
            ("gihtub", &["github"], "gihtub=github"),
            ("gitgub", &["github"], "gitgub=github"),
            ("githhub", &["github"], "githhub=github"),
            ("GITHÜBB", &["github"], "githubb=github"),
            ("runer", &["gitlab", "node"], "runer=runner"),
            ("runner gitlba", &["gitlab"], "runner gitlba=gitlab"),
            ("rnuner gitlba", &["gitlab"], "rnuner=runner gitlba=gitlab"),
            // Two edits from eight letters on.
            ("embedings", &["vector"], "embedings=embeddings"),
            ("emebdings", &["vector"], "emebdings=embeddings"),
            ("pipelnie", &["gitlab"], "pipelnie=pipelines"),
            ("gtihbu", &[], "gtihbu"),
            // Joined and split words.
            ("git hub", &["github"], "git hub=github"),
            ("vectordb", &["vector"], "vectordb=vector db"),
            (
                "vectordb embedings",
                &["vector"],
                "vectordb=vector db embedings=embeddings",
            ),
            ("nodejs", &["node"], "nodejs=node.js|node js"),
            // One of the words has no replacement, or too many.
            ("github xyzzy", &[], "github xyzzy"),
            ("gihtub xyzzy", &[], "gihtub xyzzy"),
            ("no", &["node", "notes"], "no"),
            ("ntes", &["notes"], "ntes=notes"),
            ("dc", &[], "dc"),
            // Both words exist, but never together. A word of tools is not missing.
            ("github pipelines", &[], "github pipelines"),
            ("summarise gihtub", &[], "summarise gihtub"),
            ("summarise ntoes", &["notes"], "summarise ntoes=notes"),
            ("https://gihtub.example/x", &[], "https gihtub example x"),
            ("++", &[], ""),
        ] {
            for order in [Value::Null, json!({ "field": "NAME" })] {
                let list = list(&server, "", json!({ "search": search, "order": order })).await;
                assert_eq!(ids(&list), found, "{search}");
                assert_eq!(words(&list), told, "{search}");
                assert_eq!(list["search"]["corrected"], told.contains('='), "{search}");
                assert_eq!(list["totalCount"], found.len(), "{search}");
                let counts = list["facets"]["type"].as_array().unwrap().iter();
                let counted: u64 = counts.map(|facet| facet["count"].as_u64().unwrap()).sum();
                assert_eq!(counted, found.len() as u64, "{search}");
            }
        }
        let list = list(&server, "", json!({})).await;
        assert_eq!(list["search"], Value::Null);
    }

    /// The replaced words are independent of the filter: the facets count exactly what the filtered lists contain.
    async fn a_filter_changes_no_words(server: Server) {
        fill(&server).await;
        let none = json!({ "id": ["pcon_notes"] });
        for (search, told) in [("github", "github"), ("gihtub", "gihtub=github")] {
            let list = list(&server, "", json!({ "search": search, "filter": none })).await;
            assert_eq!(
                (words(&list).as_str(), &list["totalCount"]),
                (told, &json!(0)),
                "{search}"
            );
            let query = "query($search: String) { personalConnectors(search: $search, first: 0) { search { corrected \
                         words { word replacements } } totalCount } }";
            let list =
                server.fresh("", query, json!({ "search": search })).await["personalConnectors"]
                    .take();
            assert_eq!(
                (words(&list).as_str(), &list["totalCount"]),
                (told, &json!(1)),
                "{search}"
            );
        }
    }

    /// A cursor identifies the words of its list, whatever is written between its pages.
    async fn pages_stay_with_their_words(server: Server) {
        server.clear().await;
        let rows = ["Wiki A", "Wiki B", "Wiki C", "Wiki D"];
        let rows = rows.map(|name| official(&name.to_lowercase().replace(' ', ""), name));
        server.insert(rows.to_vec()).await;
        for order in [Value::Null, json!({ "field": "NAME" })] {
            let first = list(
                &server,
                "",
                json!({ "search": "wikki", "first": 2, "order": order }),
            )
            .await;
            assert_eq!(ids(&first), ["wikia", "wikib"]);
            let row = server
                .insert(vec![official("slip", "Wikki")])
                .await
                .remove(0);
            let after = &first["pageInfo"]["endCursor"];
            let second = list(
                &server,
                "",
                json!({ "search": "wikki", "first": 2, "after": after, "order": order }),
            )
            .await;
            assert_eq!(ids(&second), ["wikic", "wikid"]);
            assert_eq!(words(&second), "wikki=wikki|wiki");
            assert_eq!(second["totalCount"], 5);
            assert_eq!(
                ids(&list(&server, "", json!({ "search": "wikki", "order": order })).await),
                ["slip"]
            );
            let strict = list(
                &server,
                "",
                json!({ "search": "wik", "first": 1, "order": order }),
            )
            .await;
            let mut tx = server.begin().await;
            tx.delete(&row).await.unwrap();
            tx.commit().await.unwrap();
            let again = list(
                &server,
                "",
                json!({ "search": "wikki", "after": after, "order": order }),
            )
            .await;
            assert_eq!(ids(&again), ["wikic", "wikid"]);
            assert_eq!(words(&again), "wikki=wiki");
            assert_eq!(again["totalCount"], 4);
            // A cursor of one list is not one of the other.
            let both = json!({ "search": "wikki", "after": after, "before": strict["pageInfo"]["endCursor"] });
            let query = "query($search: String, $after: String, $before: String) { personalConnectors(search: $search, \
                         after: $after, before: $before) { nodes { id } } }";
            let answer = server.execute("", query, both).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "CURSOR_INVALID");
        }
    }

    /// The words follow the catalogue, in the process that changes it and in others.
    async fn words_come_and_go(server: Server) {
        server.clear().await;
        let before = server
            .insert(vec![official("a", "Zeppelin"), official("b", "Balloon")])
            .await
            .remove(0);
        let found =
            async |search: &str| words(&list(&server, "", json!({ "search": search })).await);
        assert_eq!(found("zepelin").await, "zepelin=zeppelin");
        assert_eq!(found("ornithoptr").await, "ornithoptr");
        let after = Model {
            name: "Ornithopter".to_owned(),
            name_key: "ornithopter".to_owned(),
            ..before.clone()
        };
        let mut tx = server.begin().await;
        let after = tx.update(&before, edit(&after)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert_eq!(found("zepelin").await, "zepelin");
        assert_eq!(found("ornithoptr").await, "ornithoptr=ornithopter");
        let mut tx = server.begin().await;
        tx.delete(&after).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(found("ornithoptr").await, "ornithoptr");
        assert_eq!(
            server
                .rows("SELECT word, connectors, public_connectors FROM search_word ORDER BY word")
                .await,
            "b|1|1\nballoon|1|1\n"
        );
    }

    /// Words of connectors that only others see replace nothing, and do not disturb.
    async fn others_words_are_not_told(server: Server) {
        server.clear().await;
        let private =
            |id: String, name: String| custom(&id, &name, "ann@acme", ConnectorVisibility::Private);
        // Letters of Yi, which are parts of words.
        let letters = |n: u32| char::from_u32(0xa000 + n).unwrap();
        let mut rows: Vec<_> = (0..1100)
            .map(|n| private(format!("x{n}"), format!("wikipedi{}", letters(n))))
            .collect();
        rows.push(private("nearer".to_owned(), "wikipediz".to_owned()));
        rows.push(official("public", "Wikipedia"));
        rows.push(private("drum".to_owned(), "Xylophone".to_owned()));
        rows.push(custom(
            "bobs",
            "Encyclopaedia",
            "bob@acme",
            ConnectorVisibility::Private,
        ));
        server.insert(rows).await;
        // A word behind all of ann's in the alphabet, which are looked at as far as 1,000 words. It becomes PUBLIC when
        // the words are in memory.
        let far = format!("wikipedi{}", letters(1164));
        let far = custom("far", &far, "cat@acme", ConnectorVisibility::Private);
        let far = server.insert(vec![far]).await.remove(0);
        let list_before = list(&server, "", json!({ "search": "wikipedio" })).await;
        assert_eq!(words(&list_before), "wikipedio=wikipedia");
        let public = Model {
            visibility: ConnectorVisibility::Public,
            ..far.clone()
        };
        let mut tx = server.begin().await;
        tx.update(&far, edit(&public)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        // A word of tools stands for none, also if others have it as their own.
        server
            .record(vec![(
                "pcon_public".to_owned(),
                offering(&[("xylophone", "")]),
            )])
            .await;
        let bob = server.token("bob@acme", &[]);
        let ann = server.token("ann@acme", &[]);
        let replacements = format!("wikipedia|wikipedi{}", letters(1164));
        let near = format!("wikipedio={replacements}");
        let near_to_z = format!("wikipediz={replacements}");
        for (token, search, told, found) in [
            ("", "wikipedio", near.as_str(), &["public", "far"][..]),
            (&bob, "wikipedio", &near, &["public", "far"]),
            ("", "encyclopedia", "encyclopedia", &[]),
            (&ann, "encyclopedia", "encyclopedia", &[]),
            (
                &bob,
                "encyclopedia",
                "encyclopedia=encyclopaedia",
                &["bobs"],
            ),
            ("", "xylophoen", "xylophoen", &[]),
            (&bob, "xylophoen", "xylophoen", &[]),
            (
                &ann,
                "xylophoen",
                "xylophoen=xylophone",
                &["drum", "public"],
            ),
            // A connector with the given word is hidden from others, so the word is corrected for them.
            ("", "wikipediz", &near_to_z, &["public", "far"]),
            (&ann, "wikipediz", "wikipediz", &["nearer"]),
        ] {
            let list = list(&server, token, json!({ "search": search })).await;
            assert_eq!(
                (words(&list).as_str(), ids(&list)),
                (told, found.to_vec()),
                "{search}"
            );
        }
        let answer = list(&server, &ann, json!({ "search": "wikipedio" })).await;
        assert!(answer["totalCount"].as_u64().unwrap() > 30);
    }

    /// A follower of a corrected list sends the original words.
    async fn a_followed_list_has_the_words_as_given(server: Server) {
        fill(&server).await;
        let data = server
            .data("", "{ personalConnectors { changesCursor } }", json!({}))
            .await;
        let after = data["personalConnectors"]["changesCursor"].clone();
        server.insert(vec![official("second", "GitHub Two")]).await;
        for (search, told) in [
            ("githb", json!([])),
            ("github", json!([{ "inListBefore": false, "inList": true }])),
        ] {
            let query = "query($after: String, $search: String) {
                personalConnectorChanges(after: $after, list: {search: $search}) { nodes { inListBefore inList } }
            }";
            let data = server
                .data("", query, json!({ "after": after, "search": search }))
                .await;
            assert_eq!(data["personalConnectorChanges"]["nodes"], told, "{search}");
        }
    }

    async fn matches_say_where(server: Server) {
        server.clear().await;
        let row = |id, name, connector_id: &str, description: &str| Model {
            connector_id: connector_id.to_owned(),
            description: Some(description.to_owned()),
            ..official(id, name)
        };
        let url = Some("https://mcp.example.com/x?y=1".to_owned());
        server
            .insert(vec![
                row(
                    "a",
                    "Pull Réquests",
                    "io.github.pull/bot",
                    "All pull requests, and more.",
                ),
                row(
                    "b",
                    "Zulu",
                    "zulu",
                    &format!("{} requests {}", "a ".repeat(150), "b ".repeat(150)),
                ),
                Model {
                    server_url: url,
                    ..row("c", "Tools", "tools", "")
                },
            ])
            .await;
        server
            .record(vec![(
                "pcon_c".to_owned(),
                offering(&[
                    ("a_first", "Nothing"),
                    ("list_pulls", "Lists them"),
                    ("other", "Sends requests"),
                ]),
            )])
            .await;
        let query = "query($search: String) { personalConnectors(search: $search) { edges { node { id } matches { \
                     field toolName fragments { text matched } } } } }";
        let matches = async |search: Value| {
            let data = server.data("", query, json!({ "search": search })).await;
            let shown = data["personalConnectors"]["edges"]
                .as_array()
                .unwrap()
                .iter()
                .map(|edge| {
                    let matches = edge["matches"].as_array().unwrap().iter().map(|one| {
                        let fragments = one["fragments"].as_array().unwrap().iter();
                        let fragments = fragments.map(|fragment| {
                            let text = text(&fragment["text"]);
                            if fragment["matched"] == true {
                                format!("[{text}]")
                            } else {
                                text.to_owned()
                            }
                        });
                        let tool = one["toolName"]
                            .as_str()
                            .map_or(String::new(), |tool| format!(" {tool}"));
                        format!(
                            "{}{tool}: {}",
                            text(&one["field"]),
                            fragments.collect::<String>()
                        )
                    });
                    format!(
                        "{}\n{}\n",
                        text(&edge["node"]["id"]),
                        matches.collect::<Vec<_>>().join("\n")
                    )
                });
            shown.collect::<String>()
        };
        assert_eq!(
            matches(json!("pull req")).await,
            "pcon_a\nNAME: [Pull] [Réquests]\nCONNECTOR_ID: io.github.[pull]/bot\nDESCRIPTION: All [pull] [requests], \
             and more.\n"
        );
        assert_eq!(
            matches(json!("pulls tools")).await,
            "pcon_c\nNAME: [Tools]\nCONNECTOR_ID: [tools]\nTOOL list_pulls: list_[pulls]\n"
        );
        assert_eq!(
            matches(json!("tools sends")).await,
            "pcon_c\nNAME: [Tools]\nCONNECTOR_ID: [tools]\nTOOL other: [Sends] requests\n"
        );
        assert_eq!(
            matches(json!("https://MCP.example.com/x?y=1")).await,
            "pcon_c\nSERVER_URL: [https://mcp.example.com/x?y=1]\n"
        );
        // Matches of the replacements, for words that no connector has.
        assert_eq!(matches(json!("xyzzy")).await, "");
        assert_eq!(
            matches(json!("zuluu")).await,
            "pcon_b\nNAME: [Zulu]\nCONNECTOR_ID: [zulu]\n"
        );
        let long = matches(json!("zulu requests")).await;
        let description = long.lines().last().unwrap();
        assert!(
            description.starts_with("DESCRIPTION:  a a ") && description.contains(" [requests] b"),
            "{description}"
        );
        assert_eq!(
            description.chars().count(),
            "DESCRIPTION: ".len() + 200 + "[]".len()
        );
        assert_eq!(matches(Value::Null).await, "pcon_a\n\npcon_c\n\npcon_b\n\n");
    }
}
