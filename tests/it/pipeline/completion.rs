//! Keys and nulls of a response, as the specification completes them.

use serde_json::json;

use crate::on_both;

on_both! {
    async fn keys_stand_in_the_order_of_the_selection(server: Server) {
        let query = "query($no: Boolean!) {
            b: personalConnectors(first: 1) { totalCount ...Page }
            viewer { userId @skip(if: $no) scopes }
            a: node(id: \"pcon_jira\") { ... on PersonalConnector { replacedBy { id } name } id __typename }
            __typename
            b: personalConnectors(first: 1) { nodes { id } }
            none: personalConnector(id: \"pcon_none\") { id }
        }
        fragment Page on PersonalConnectorConnection { pageInfo { hasNextPage } facets { type { count } } nodes { name \
        } }";
        let answer = server.execute("", query, json!({ "no": true })).await;
        insta::assert_json_snapshot!("order", answer);
    }

    async fn what_is_skipped_gives_no_place(server: Server) {
        let query = "query($no: Boolean = false) {
            viewer { scopes userId }
            viewer { __typename @skip(if: true) userId @include(if: $no) ... @include(if: $no) { scopes } }
            __typename @include(if: $no)
            none: node(id: \"x\") { id }
            __typename
        }";
        let (_, answer) = server.wire("", json!({ "query": query }).to_string()).await;
        let data = r#"{"viewer":{"scopes":[],"userId":null},"none":null,"__typename":"Query"}"#;
        assert_eq!(answer, format!(r#"{{"data":{data}}}"#));
    }

    async fn null_goes_up_from_what_must_not_be_null(server: Server) {
        let query = "{ viewer { userId } personalConnectors(first: 1000) { totalCount } }";
        let answer = server.execute("", query, json!({})).await;
        insta::assert_json_snapshot!("null_goes_up", answer);
    }

    async fn null_goes_up_to_each_item_of_a_list_for_itself(server: Server) {
        let query = "{ nodes(ids: [\"pcon_github\", \"pcon_jira\", \"pcon_none\"]) {
            id ... on PersonalConnector { tools(after: \"none\") { totalCount } name }
        } }";
        let answer = server.execute("", query, json!({})).await;
        assert_eq!(answer["data"], json!({ "nodes": [null, null, null] }));
        assert_eq!(answer["errors"].as_array().unwrap().len(), 2);
    }

    async fn one_mutations_error_does_not_hide_anothers_write(server: Server) {
        let token = server.token("ann@acme", &["catalog:admin"]);
        let mutation = "mutation {
            first: setConnectorStatus(input: {id: \"pcon_jira\", status: MAINTENANCE}) { personalConnector { status } }
            second: createCustomConnector(input: {name: \"Wiki\", serverUrl: \"https://wiki.example.com\"}) { \
            userErrors { code } }
            third: setConnectorStatus(input: {id: \"pcon_jira\", status: ACTIVE}) { personalConnector { status \
            revision } }
        }";
        let answer = server.execute(&token, mutation, json!({})).await;
        insta::assert_json_snapshot!("mutations", answer);
    }

    async fn a_payload_reads_what_was_written_before_it(server: Server) {
        let token = server.token("ann@acme", &["connectors:write"]);
        let create = "mutation { createCustomConnector(input: {name: \"New\", serverUrl: \"https://new.example.com\"}) {
            personalConnector { id }
        } }";
        let data = server.data(&token, create, json!({})).await;
        let id = &data["createCustomConnector"]["personalConnector"]["id"];
        let catalog = server.token("ann@acme", &["connectors:write", "catalog:admin"]);
        let mutation = "mutation($id: ID!) {
            a: setConnectorStatus(input: {id: \"pcon_jira\", status: DEPRECATED, replacedById: $id}) { ...Replaced }
            updateCustomConnector(input: {id: $id, name: \"Newer\"}) { userErrors { code } }
            b: setConnectorStatus(input: {id: \"pcon_jira\", status: DEPRECATED, replacedById: $id}) { ...Replaced }
        }
        fragment Replaced on SetConnectorStatusPayload { personalConnector { replacedBy { name } } }";
        let data = server.data(&catalog, mutation, json!({ "id": id })).await;
        let name = |field: &str| data[field]["personalConnector"]["replacedBy"]["name"].clone();
        assert_eq!((name("a"), name("b")), (json!("New"), json!("Newer")));
    }

    async fn a_missing_variable_is_refused_before_execution(server: Server) {
        let query = "query($id: ID!) { viewer { userId } personalConnector(id: $id) { id } }";
        for variables in [json!({}), json!({ "id": null })] {
            let answer = server.execute("", query, variables).await;
            assert_eq!(answer.get("data"), None);
            insta::assert_json_snapshot!("missing_variable", answer);
        }
    }
}
