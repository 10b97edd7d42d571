//! A connector that a viewer may not see does not exist for them, in any operation.
//!
//! Every viewer sends each operation while a secret connector exists, and again after its deletion. A viewer who may
//! not see it gets the same bytes both times, and for an id that never existed. A viewer who may see it gets different
//! answers; otherwise the operation would test nothing.

use entity::{ConnectorVisibility, personal_connector::Model};

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors::{
            edit,
            secret::{VIEWERS, furnish, hide},
        },
        harness::Server,
        mutations::{CREATE, WRITE, draft, text},
    },
};

const NEVER: &str = "pcon_00000000000000000000never";

fn may_see(who: &str, visibility: ConnectorVisibility) -> bool {
    matches!(who, "ann@acme" | "boss@acme" | "root@other")
        || (visibility == ConnectorVisibility::Organization && who.ends_with("@acme"))
}

/// The inputs of an operation.
struct Keys {
    /// The secret's id.
    id: String,
    /// The cursors of the secret and of the connector before it, from a viewer who sees them.
    cursor: String,
    cursor_before: String,
    /// The id of a connector that the present viewer owns.
    own: String,
}

async fn remove(server: &Server, row: &Model) {
    let mut tx = server.begin().await;
    tx.delete(row).await.unwrap();
    tx.commit().await.unwrap();
}

/// The cursor of a connector in the plain list, and of the one before it.
async fn cursors(server: &Server, id: &str) -> (String, String) {
    let root = server.token("root", &["catalog:admin"]);
    let query = "{ personalConnectors(first: 100) { edges { cursor node { id } } } }";
    let data = server.data(&root, query, json!({})).await;
    let edges = data["personalConnectors"]["edges"].as_array().unwrap();
    let at = edges
        .iter()
        .position(|edge| edge["node"]["id"] == id)
        .unwrap();
    let cursor = |at: usize| text(&edges[at]["cursor"]).to_owned();
    (cursor(at), cursor(at - 1))
}

/// Returns every viewer's answer to an operation.
async fn answers(
    server: &Server,
    keys: &mut Keys,
    query: &str,
    variables: fn(&Keys) -> Value,
) -> Vec<String> {
    let mut answers = Vec::new();
    for (who, scopes) in VIEWERS {
        let token = if who.is_empty() {
            String::new()
        } else {
            server.token(who, scopes)
        };
        keys.own = format!("pcon_own{}", who.replace('@', ""));
        let body = json!({ "query": query, "variables": variables(keys) });
        let (status, answer) = server.wire(&token, body.to_string()).await;
        answers.push(format!("{status} {answer}"));
    }
    answers
}

/// Tries an operation. The `blind` viewers may see the secret, but not by this operation.
async fn try_door(server: &Server, query: &str, variables: fn(&Keys) -> Value, blind: &[&str]) {
    let old = furnish(server).await;
    for visibility in [
        ConnectorVisibility::Private,
        ConnectorVisibility::Organization,
    ] {
        let secret = hide(server, &old, visibility).await;
        let (cursor, cursor_before) = cursors(server, &secret.id).await;
        let mut keys = Keys {
            id: secret.id.clone(),
            cursor,
            cursor_before,
            own: String::new(),
        };
        let present = answers(server, &mut keys, query, variables).await;
        remove(server, &secret).await;
        let absent = answers(server, &mut keys, query, variables).await;
        NEVER.clone_into(&mut keys.id);
        let never = answers(server, &mut keys, query, variables).await;
        for (index, (who, _)) in VIEWERS.iter().enumerate() {
            let (present, absent) = (&present[index], &absent[index]);
            assert_eq!(
                *absent,
                never[index].replace(NEVER, &secret.id),
                "{who}: gone is as good as never"
            );
            assert!(
                !present.contains("INTERNAL") && !present.contains("FAILED"),
                "{who}: {present}"
            );
            if !may_see(who, visibility) {
                assert_eq!(present, absent, "{who} is told of a {visibility:?} one");
            } else if !blind.contains(who) {
                assert_ne!(
                    present, absent,
                    "{who} may see a {visibility:?} one, but this door shows nothing"
                );
            }
        }
    }
}

const WHAT: &str = "fragment What on PersonalConnector { id name status replacedBy { id name health { outcome uptime \
                    history { nodes { message } } } tools { nodes { name } totalCount } } createdBy organizationId \
                    viewerCanUpdate viewerCanDelete }";

on_both! {
    async fn node(server: Server) {
        let query = format!(
            "query($id: ID!) {{ node(id: $id) {{ id ...What }} personalConnector(id: $id) {{ ...What }} }} {WHAT}"
        );
        try_door(&server, &query, |keys| json!({ "id": keys.id }), &[]).await;
    }

    async fn its_history(server: Server) {
        let query = "query($id: ID!) { personalConnector(id: $id) {
            lastChange { cursor kind changedFields changes { field before after } personalConnector { id } actor }
            changes { nodes { kind revision } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }
        } }";
        try_door(&server, query, |keys| json!({ "id": keys.id }), &[]).await;
    }

    async fn nodes(server: Server) {
        let query = format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ id ...What }} }} {WHAT}");
        try_door(
            &server,
            &query,
            |keys| json!({ "ids": ["pcon_jira", keys.id, "pcon_old", keys.id, "pcon_none"] }),
            &[],
        )
        .await;
    }

    async fn the_list(server: Server) {
        let query = format!("{{
            all: personalConnectors(first: 100) {{ edges {{ cursor node {{ ...What }} }} pageInfo {{ hasNextPage \
            hasPreviousPage startCursor endCursor }} }}
            last: personalConnectors(last: 3, orderBy: {{field: CREATED_AT}}) {{ nodes {{ ...What }} pageInfo {{ \
            hasPreviousPage startCursor }} }}
            few: personalConnectors(first: 6) {{ nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }}
        }} {WHAT}");
        try_door(&server, &query, |_| json!({}), &[]).await;
    }

    async fn the_search(server: Server) {
        let query = format!("{{
            name: personalConnectors(search: \"secret\") {{ totalCount nodes {{ ...What }} }}
            prefix: personalConnectors(search: \"plans secr\") {{ totalCount nodes {{ ...What }} }}
            description: personalConnectors(search: \"spring\", orderBy: {{field: NAME}}) {{ totalCount edges {{ \
            cursor }} }}
        }} {WHAT}");
        try_door(&server, &query, |_| json!({}), &[]).await;
    }

    async fn the_orders(server: Server) {
        const FIELDS: [&str; 8] = [
            "STATUS",
            "TYPE",
            "CATEGORY",
            "OUTCOME",
            "CHECKED_AT",
            "LATENCY",
            "UPTIME",
            "TOOL_COUNT",
        ];
        let page = "edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage }";
        let lists = FIELDS.map(|field| format!(
            "{0}: personalConnectors(first: 100, orderBy: {{field: {field}}}) {{ {page} }}
            {0}_last: personalConnectors(last: 3, orderBy: {{field: {field}}}, thenBy: {{field: UPDATED_AT}}) {{ \
            {page} }}",
            field.to_lowercase(),
        ));
        let query = format!(
            "{{ {} pasted: personalConnectors(search: \"https://mcp.example.com\") {{ totalCount {page} }} }}",
            lists.join(" ")
        );
        try_door(&server, &query, |_| json!({}), &[]).await;
    }

    async fn the_filters(server: Server) {
        let query = "query($filters: [PersonalConnectorFilter!]!, $id: [ID!], $by: [ID!], $at: DateTime) {
            id: personalConnectors(filter: {id: $id}) { totalCount nodes { id } }
            by: personalConnectors(filter: {createdBy: $by}) { totalCount nodes { id } }
            notBy: personalConnectors(filter: {not: {createdBy: $by}}) { totalCount nodes { id } }
            private: personalConnectors(filter: {visibility: PRIVATE}) { totalCount nodes { id } }
            shared: personalConnectors(filter: {visibility: [ORGANIZATION], type: CUSTOM}) { totalCount nodes { id } }
            notPublic: personalConnectors(filter: {not: {visibility: PUBLIC}}) { totalCount nodes { id } }
            kind: personalConnectors(filter: {connectorId: \"custom_mcp\"}) { totalCount nodes { id } }
            design: personalConnectors(filter: {category: DESIGN, status: MAINTENANCE, serverType: HTTP}) { totalCount \
            nodes { id } }
            since: personalConnectors(filter: {createdAt: {gte: $at}, updatedAt: {gte: $at}}) { totalCount nodes { id \
            } }
            offers: personalConnectors(filter: {toolName: \"launch_rocket\"}) { totalCount nodes { id } }
            open: personalConnectors(filter: {outcome: OPEN}) { totalCount nodes { id } }
            unchecked: personalConnectors(filter: {not: {outcome: OPEN}}) { totalCount nodes { id } }
            named: personalConnectors(filter: {name: {startsWith: \"secret\"}}) { totalCount nodes { id } }
            there: personalConnectors(filter: {host: \"mcp.example.com\", hasTools: true}) { totalCount nodes { id } }
            lately: personalConnectors(filter: {checkedAt: {gte: \"2000-01-01T00:00:00Z\"}, uptime: {gte: 0.5}}) { \
            totalCount nodes { id } }
            mine: personalConnectors(filter: {mine: true}) { totalCount nodes { id } }
            others: personalConnectors(filter: {mine: false}) { totalCount nodes { id } }
            mayUpdate: personalConnectors(filter: {viewerCanUpdate: true}) { totalCount nodes { id } }
            mayNot: personalConnectors(filter: {viewerCanUpdate: false}) { totalCount nodes { id } }
            acme: personalConnectors(filter: {organizationId: \"acme\"}) { totalCount nodes { id } }
            notAcme: personalConnectors(filter: {not: {organizationId: [\"acme\", \"third\"]}}) { totalCount nodes { \
            id } }
            unknown: personalConnectors(filter: {organizationId: [null, \"third\"]}) { totalCount nodes { id } }
            any: personalConnectors(filter: {or: $filters}) { totalCount nodes { id } }
            none: personalConnectors(filter: {not: {or: $filters}}) { totalCount nodes { id } }
        }";
        let variables = |keys: &Keys| {
            json!({
                "id": keys.id, "by": ["ann", "zoe"], "at": crate::support::harness::NOW,
                "filters": [{ "id": keys.id }, { "createdBy": "ann" }, { "visibility": "PRIVATE" },
                    { "connectorId": "custom_mcp" }],
            })
        };
        try_door(&server, query, variables, &[]).await;
    }

    async fn the_counts(server: Server) {
        let query = "{
            all: personalConnectors { totalCount }
            none: personalConnectors(first: 0) { totalCount pageInfo { hasNextPage } }
            both: personalConnectors(filter: {category: DESIGN}) { totalCount facets { status { value count } } }
        }";
        try_door(&server, query, |_| json!({}), &[]).await;
    }

    async fn the_facets(server: Server) {
        let facets = "facets { category { value count } status { value count } type { value count } serverType { value \
                      count } outcome { value count } organizationId { value count } organizationsLeftOut }";
        let query = format!("{{
            all: personalConnectors {{ {facets} }}
            some: personalConnectors(filter: {{category: PRODUCTIVITY, type: CUSTOM}}) {{ {facets} }}
            acme: personalConnectors(filter: {{organizationId: \"acme\"}}) {{ {facets} }}
            mine: personalConnectors(filter: {{mine: true}}) {{ {facets} }}
            found: personalConnectors(search: \"secret\") {{ {facets} }}
            offered: personalConnectors(search: \"rocket\") {{ {facets} }}
        }}");
        try_door(&server, &query, |_| json!({}), &[]).await;
    }

    /// Words that only the secret has replace nothing: slips, joined and split words, alone and among others.
    async fn corrected_searches(server: Server) {
        let list = "{
            totalCount search { corrected words { word replacements } } pageInfo { hasNextPage endCursor }
            edges { cursor node { id } matches { field toolName fragments { text matched } } }
            facets { type { value count } }
        }";
        let searches = [
            "sercet",
            "secrte plan",
            "se cret",
            "secretplans",
            "old sercet",
            "spirng launch",
            "launch_rokcet",
        ];
        let fields = searches.iter().enumerate();
        let fields = fields.map(|(index, search)| {
            format!("s{index}: personalConnectors(search: \"{search}\", first: 3) {list} ")
        });
        let query = format!("{{
            {}
            alone: personalConnectors(search: \"plnas\", first: 0) {{ search {{ corrected words {{ word replacements \
            }} }} }}
            counted: personalConnectors(search: \"plnas\", filter: {{category: PRODUCTIVITY}}, first: 0) {{ totalCount \
            search {{ corrected }} }}
        }}", fields.collect::<String>());
        try_door(&server, &query, |_| json!({}), &[]).await;
    }

    async fn a_cursor_of_those_who_see_it(server: Server) {
        let page = "{ edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }";
        let query = format!(
            "query($at: String, $before: String) {{
            after: personalConnectors(first: 2, after: $at) {page}
            before: personalConnectors(last: 2, before: $at) {page}
            from: personalConnectors(first: 1, after: $before) {page}
            between: personalConnectors(first: 5, after: $before, before: $at) {page}
            empty: personalConnectors(first: 0, after: $at) {page}
        }}"
        );
        try_door(
            &server,
            &query,
            |keys| json!({ "at": keys.cursor, "before": keys.cursor_before }),
            &[],
        )
        .await;
    }

    /// Between its creation and its deletion, viewers who never saw it get the responses for an id that never existed.
    async fn the_changes(server: Server) {
        let query = "query($after: String, $before: String, $id: [ID!]) {
            own: personalConnectorChanges(after: $after, filter: {personalConnectorId: $id}) { ...All }
            latest: personalConnectorChanges(after: $after, filter: {personalConnectorId: $id}, last: 2) { ...All }
            between: personalConnectorChanges(after: $after, before: $before, last: 5) { ...All }
            few: personalConnectorChanges(after: $after, filter: {personalConnectorId: $id}, first: 1) { ...All }
            design: personalConnectorChanges(after: $after, filter: {category: DESIGN, type: CUSTOM}) { ...All }
            asleep: personalConnectorChanges(after: $after, filter: {status: MAINTENANCE}) { ...All }
            all: personalConnectorChanges(after: $after) { nodes { personalConnectorId } }
            replaced: personalConnector(id: \"pcon_old\") { lastChange { ...One } changes { nodes { ...One } } }
        }
        fragment One on PersonalConnectorChange { kind changedFields changes { field before after } }
        fragment All on PersonalConnectorChangeConnection {
            edges { cursor node { kind personalConnectorId personalConnector { id name } changedFields changes { field \
            before after isBeforeCut isAfterCut } revision actor occurredAt } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }";
        let old = furnish(&server).await;
        for visibility in [
            ConnectorVisibility::Private,
            ConnectorVisibility::Organization,
        ] {
            let data = server
                .data("", "{ personalConnectors { changesCursor } }", json!({}))
                .await;
            let after = text(&data["personalConnectors"]["changesCursor"]).to_owned();
            let secret = hide(&server, &old, visibility).await;
            let data = server
                .data("", "{ personalConnectors { changesCursor } }", json!({}))
                .await;
            let before = text(&data["personalConnectors"]["changesCursor"]).to_owned();
            let mut keys = Keys {
                id: secret.id.clone(),
                cursor: after,
                cursor_before: before,
                own: String::new(),
            };
            let variables = |keys: &Keys| json!({ "after": keys.cursor, "before": keys.cursor_before, "id": keys.id });
            for gone in [false, true] {
                if gone {
                    remove(&server, &secret).await;
                }
                secret.id.clone_into(&mut keys.id);
                let told = answers(&server, &mut keys, query, variables).await;
                NEVER.clone_into(&mut keys.id);
                let never = answers(&server, &mut keys, query, variables).await;
                for (index, (who, _)) in VIEWERS.iter().enumerate() {
                    let answer = &told[index];
                    // The connector that it replaces is public.
                    assert!(
                        answer.starts_with("200") && answer.contains("pcon_old"),
                        "{who}: {answer}"
                    );
                    if may_see(who, visibility) {
                        assert_ne!(*answer, never[index], "{who} may see a {visibility:?} one");
                    } else {
                        assert_eq!(
                            *answer, never[index],
                            "{who} is told of a {visibility:?} one"
                        );
                        assert!(!answer.contains("secret"), "{who}: {answer}");
                        let data: Value = serde_json::from_str(&answer[4..]).unwrap();
                        for alias in ["own", "latest", "few", "design", "asleep"] {
                            assert_eq!(data["data"][alias]["edges"], json!([]), "{who}: {alias}");
                        }
                    }
                }
            }
        }
    }

    async fn what_it_replaces(server: Server) {
        let query = format!("{{
            node(id: \"pcon_old\") {{ ...What }}
            personalConnectors(search: \"old\") {{ nodes {{ ...What replacedBy {{ name replacedBy {{ id }} }} }} }}
        }} {WHAT}");
        try_door(&server, &query, |_| json!({}), &[]).await;
    }

    async fn changes_by_its_id(server: Server) {
        // Viewers who may find it only validated it, or named another revision.
        let errors = "personalConnector { id } userErrors { code field message }";
        let query = format!("mutation($id: ID!) {{
            update: updateCustomConnector(input: {{id: $id, name: \"Mine\", validateOnly: true}}) {{ {errors} }}
            stale: updateCustomConnector(input: {{id: $id, expectedRevision: 99}}) {{ {errors} }}
            delete: deleteCustomConnector(input: {{id: $id, expectedRevision: 99}}) {{ deletedId {errors} }}
            status: setConnectorStatus(input: {{id: $id, status: ACTIVE, expectedRevision: 99}}) {{ {errors} }}
        }}");
        // A token without the scope gets the same error for every id.
        try_door(
            &server,
            &query,
            |keys| json!({ "id": keys.id }),
            &["reader@acme"],
        )
        .await;
    }

    async fn naming_it_as_a_replacement(server: Server) {
        // Each is refused for another reason too, so that nothing is written.
        let query = "mutation($own: ID!, $id: ID!, $message: String!) {
            active: setConnectorStatus(input: {id: $own, status: ACTIVE, replacedById: $id}) {
                personalConnector { id } userErrors { code field message }
            }
            deprecated: setConnectorStatus(
                input: {id: $own, status: DEPRECATED, replacedById: $id, statusMessage: $message}
            ) { personalConnector { id } userErrors { code field message } }
        }";
        let variables =
            |keys: &Keys| json!({ "own": keys.own, "id": keys.id, "message": "x".repeat(1001) });
        try_door(&server, query, variables, &["reader@acme"]).await;
    }

    async fn names_that_are_taken(server: Server) {
        let errors = "{ userErrors { code field message } }";
        let create =
            "createCustomConnector(input: {name: $name, serverType: STDIO, validateOnly: true";
        let update = "updateCustomConnector(input: {id: $own, name: $name, validateOnly: true";
        let query = format!(
            "mutation($own: ID!, $name: String!) {{
            private: {create}}}) {errors}
            shared: {create}, visibility: ORGANIZATION}}) {errors}
            public: {create}, visibility: PUBLIC}}) {errors}
            rename: {update}}}) {errors}
            share: {update}, visibility: ORGANIZATION}}) {errors}
        }}"
        );
        // Its name only conflicts with names of its creator, and of the organization if it is shared.
        let variables = |keys: &Keys| json!({ "own": keys.own, "name": "SECRET plans" });
        try_door(
            &server,
            &query,
            variables,
            &["reader@acme", "boss@acme", "root@other"],
        )
        .await;
    }

    async fn keys_of_other_users(server: Server) {
        let input = |key: &str, name: &str| draft(name, json!({ "idempotencyKey": key }));
        let ann = server.token("ann@acme", WRITE);
        let first = server.change(&ann, CREATE, input("first", "Secret")).await;
        let second = server.change(&ann, CREATE, input("second", "Plans")).await;
        for (who, scopes) in VIEWERS
            .iter()
            .filter(|(who, scopes)| *who != "ann@acme" && !scopes.is_empty())
        {
            let token = server.token(who, scopes);
            // Neither the connector that was created with a key, nor that the key was used with another input.
            let own = server
                .change(&token, CREATE, input("first", "Secret"))
                .await;
            assert_ne!(own["id"], first["id"], "{who}");
            let own = server
                .change(&token, CREATE, input("second", "Others"))
                .await;
            assert_ne!(own["id"], second["id"], "{who}");
        }
        assert_eq!(
            server.change(&ann, CREATE, input("first", "Secret")).await,
            first
        );
    }

    /// The owner of a PUBLIC connector is only visible within the organization.
    async fn owners_of_public_ones(server: Server) {
        let mut old = furnish(&server).await;
        let query = format!("{{
            node(id: \"pcon_old\") {{ ...What }}
            ann: personalConnectors(filter: {{createdBy: \"ann\"}}) {{ totalCount nodes {{ ...What }} }}
            zoe: personalConnectors(filter: {{createdBy: \"zoe\"}}) {{ totalCount nodes {{ ...What }} facets {{ type \
            {{ value count }} }} }}
            notAnn: personalConnectors(filter: {{not: {{createdBy: \"ann\"}}}}) {{ totalCount nodes {{ ...What }} }}
            notZoe: personalConnectors(filter: {{not: {{createdBy: \"zoe\"}}}}) {{ totalCount nodes {{ ...What }} }}
            found: personalConnectors(search: \"zoe third\") {{ totalCount }}
            acme: personalConnectors(filter: {{organizationId: \"acme\"}}) {{ totalCount nodes {{ id }} facets {{ type \
            {{ value count }} }} }}
            third: personalConnectors(filter: {{organizationId: [\"third\"]}}) {{ totalCount nodes {{ id }} }}
            notAcme: personalConnectors(filter: {{not: {{organizationId: \"acme\"}}}}) {{ totalCount nodes {{ id }} }}
            notThird: personalConnectors(filter: {{not: {{organizationId: [\"third\"]}}}}) {{ totalCount nodes {{ id \
            }} }}
            none: personalConnectors(filter: {{organizationId: [null]}}) {{ totalCount nodes {{ id }} }}
            mine: personalConnectors(filter: {{mine: false, viewerCanUpdate: false}}) {{ totalCount nodes {{ id }} }}
            all: personalConnectors {{ facets {{ organizationId {{ value name count }} organizationsLeftOut }} }}
        }} {WHAT}");
        let variables = |_: &Keys| json!({});
        let mut keys = Keys {
            id: String::new(),
            cursor: String::new(),
            cursor_before: String::new(),
            own: String::new(),
        };
        let anns = answers(&server, &mut keys, &query, variables).await;
        let after = Model {
            created_by: Some("zoe".to_owned()),
            organization_id: Some("third".to_owned()),
            ..old.clone()
        };
        let mut tx = server.begin().await;
        old = tx.update(&old, edit(&after)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert_eq!(old.organization_id.as_deref(), Some("third"));
        let zoes = answers(&server, &mut keys, &query, variables).await;
        for (index, (who, _)) in VIEWERS.iter().enumerate() {
            if who.ends_with("@acme") || *who == "root@other" {
                assert_ne!(anns[index], zoes[index], "{who} may know whose it is");
            } else {
                assert_eq!(anns[index], zoes[index], "{who} is told whose it is");
            }
        }
    }
}
