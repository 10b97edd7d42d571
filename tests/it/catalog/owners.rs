//! Lists by owner: the viewer's own connectors, those that the viewer may update, and those of an organization.

use entity::{
    ConnectorVisibility::{Private, Public},
    personal_connector::Model,
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors::{custom, ids, official},
        mutations::CATALOG,
    },
};

const LIST: &str = "query($filter: PersonalConnectorFilter, $search: String) {
    personalConnectors(filter: $filter, search: $search) {
        totalCount nodes { id } facets { type { count } organizationId { value name count } organizationsLeftOut }
    }
}";

/// The values and counts of a list's organizations.
fn organizations(list: &Value) -> Vec<(Option<&str>, u64)> {
    let entries = list["facets"]["organizationId"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            assert_eq!(entry["name"], entry["value"]);
            (entry["value"].as_str(), entry["count"].as_u64().unwrap())
        })
        .collect()
}

on_both! {
    /// Administrators of the catalogue see the same connectors, and created different ones.
    async fn viewers_of_one_sight_share_no_list_of_their_own(server: Server) {
        server.clear().await;
        server
            .insert(vec![
                custom("a1", "A1", "ann@acme", Private),
                custom("a2", "A2", "ann@acme", Private),
                custom("b1", "B1", "bob@acme", Private),
                custom("n1", "N1", "ann", Private),
            ])
            .await;
        let viewers = [
            ("ann@acme", CATALOG, ["a1", "a2"].as_slice(), [].as_slice()),
            ("bob@acme", CATALOG, &["b1"], &[]),
            ("ann@other", CATALOG, &[], &[]),
            (
                "ann",
                &["catalog:admin", "connectors:write"],
                &["n1"],
                &["n1"],
            ),
            (
                "bob@acme",
                &["catalog:admin", "connectors:write"],
                &["b1"],
                &["b1"],
            ),
            (
                "bob@acme",
                &["catalog:admin", "connectors:admin"],
                &["b1"],
                &["a1", "a2", "b1"],
            ),
        ];
        for _ in 0..2 {
            for (who, scopes, mine, updatable) in &viewers {
                let token = server.token(who, scopes);
                for (filter, expected) in [
                    (json!({ "mine": true }), mine),
                    (json!({ "viewerCanUpdate": true }), updatable),
                ] {
                    let list = &server
                        .fresh(&token, LIST, json!({ "filter": filter }))
                        .await["personalConnectors"];
                    assert_eq!(ids(list), *expected, "{who} {scopes:?} {filter}");
                    assert_eq!(
                        list["totalCount"],
                        expected.len(),
                        "{who} {scopes:?} {filter}"
                    );
                    let counted: u64 = organizations(list).iter().map(|(_, count)| count).sum();
                    assert_eq!(counted, expected.len() as u64, "{who} {scopes:?} {filter}");
                }
            }
        }
    }

    async fn a_cursor_of_ones_own_is_of_no_others_list(server: Server) {
        server
            .insert(vec![
                custom("a1", "A1", "ann@acme", Private),
                custom("a2", "A2", "ann@acme", Private),
            ])
            .await;
        let query = "query($after: String) { personalConnectors(filter: {mine: true}, first: 1, after: $after) {
            nodes { id } pageInfo { endCursor } } }";
        let (ann, bob) = (
            server.token("ann@acme", CATALOG),
            server.token("bob@acme", CATALOG),
        );
        let first = server.data(&ann, query, json!({})).await;
        let after = json!({ "after": first["personalConnectors"]["pageInfo"]["endCursor"] });
        let next = server.data(&ann, query, after.clone()).await;
        assert_eq!(ids(&next["personalConnectors"]), ["a2"]);
        assert_eq!(
            server.error_code(&bob, query, after).await,
            "CURSOR_INVALID"
        );
    }

    /// A hundred organizations are counted separately, and the others only by their number.
    async fn many_organizations_are_cut_to_the_largest(server: Server) {
        server.clear().await;
        let mut rows: Vec<Model> = (0..103_usize)
            .flat_map(|number| (0..=number % 3).map(move |copy| (number, copy)))
            .map(|(number, copy)| {
                custom(
                    &format!("c{number}x{copy}"),
                    &format!("Wiki {number} {copy}"),
                    &format!("ann@o{number:03}"),
                    Private,
                )
            })
            .collect();
        rows.extend([
            official("wiki", "Wiki"),
            custom("n", "Wiki of none", "ann", Private),
            official("other", "Other"),
        ]);
        server.insert(rows).await;
        let root = server.token("root", CATALOG);
        let ask = async |variables: Value| {
            server.fresh(&root, LIST, variables).await["personalConnectors"].clone()
        };
        let size = |number: usize| (number % 3 + 1) as u64;
        let mut expected: Vec<_> = (0..103)
            .map(|number| (format!("o{number:03}"), size(number)))
            .collect();
        expected.sort_by(|(id, count), (other, than)| than.cmp(count).then(id.cmp(other)));
        for (search, none) in [(Value::Null, 3), (json!("wiki"), 2)] {
            let list = ask(json!({ "search": search })).await;
            let counts = organizations(&list);
            let of_largest = expected[..100]
                .iter()
                .map(|(id, count)| (Some(id.as_str()), *count));
            assert_eq!(counts, of_largest.chain([(None, none)]).collect::<Vec<_>>());
            assert_eq!(list["facets"]["organizationsLeftOut"], 3);
            // Each can be used in the filter, and the counts stay.
            for (id, count) in [
                (json!("o001"), 2),
                (json!(["o001", "o102"]), 3),
                (json!([null]), none),
                (json!(["o000", null, "o999"]), none + 1),
            ] {
                let chosen =
                    ask(json!({ "search": search, "filter": { "organizationId": id } })).await;
                assert_eq!(chosen["totalCount"], count, "{id}");
                assert_eq!(organizations(&chosen), counts, "{id}");
                let others =
                    ask(json!({ "search": search, "filter": { "not": { "organizationId": id } } }))
                        .await;
                let all = list["totalCount"].as_u64().unwrap();
                assert_eq!(others["totalCount"], all - count, "{id}");
            }
        }
        // A restriction below the top level counts, as for other fields.
        let few = ask(json!({ "filter": { "and": [{ "organizationId": ["o001", "o002"] }], "type": "CUSTOM" } })).await;
        assert_eq!(
            organizations(&few),
            [(Some("o002"), 3), (Some("o001"), 2), (None, 0)]
        );
        assert_eq!(few["facets"]["organizationsLeftOut"], 0);
        let nothing = ask(json!({ "filter": { "id": [] } })).await;
        assert_eq!(organizations(&nothing), [(None, 0)]);
    }

    /// They read at most their own organization.
    async fn organizations_are_counted_as_they_are_read(server: Server) {
        server.clear().await;
        server
            .insert(vec![
                custom("a", "A", "ann@acme", Private),
                custom("p", "P", "bob@acme", Public),
                custom("q", "Q", "cid@other", Public),
                custom("n", "N", "ann", Private),
                official("o", "O"),
            ])
            .await;
        let (acme, other) = (Some("acme"), Some("other"));
        for (who, scopes, expected) in [
            ("", &[][..], vec![(None, 3)]),
            ("ann", &[], vec![(None, 4)]),
            ("ann@acme", &[], vec![(acme, 2), (None, 2)]),
            (
                "eve@other",
                &["connectors:admin"],
                vec![(other, 1), (None, 2)],
            ),
            ("eve@third", &[], vec![(None, 3)]),
            ("root", CATALOG, vec![(acme, 2), (other, 1), (None, 2)]),
        ] {
            let token = if who.is_empty() {
                String::new()
            } else {
                server.token(who, scopes)
            };
            let list = server.data(&token, LIST, json!({})).await["personalConnectors"].clone();
            assert_eq!(organizations(&list), expected, "{who}");
            for (id, count) in &expected {
                let filter = json!({ "organizationId": [id] });
                let chosen = server.data(&token, LIST, json!({ "filter": filter })).await["personalConnectors"].clone();
                assert_eq!(chosen["totalCount"], *count, "{who}: {id:?}");
            }
            // They see no organization of a connector that they may not know.
            let seen = expected
                .iter()
                .filter_map(|(id, _)| *id)
                .collect::<Vec<_>>();
            for id in ["acme", "other", "third", "nowhere"]
                .into_iter()
                .filter(|id| !seen.contains(id))
            {
                let all = list["totalCount"].clone();
                for (filter, count) in [
                    (json!({ "organizationId": id }), json!(0)),
                    (json!({ "not": { "organizationId": [id] } }), all),
                ] {
                    let found = server.data(&token, LIST, json!({ "filter": filter })).await;
                    assert_eq!(
                        found["personalConnectors"]["totalCount"], count,
                        "{who}: {filter}"
                    );
                }
            }
        }
    }
}
