//! The shortest test of the whole service.

use serde_json::json;

use crate::on_both;

on_both! {
    async fn lists_the_built_in_catalogue(server: Server) {
        let query = "{ personalConnectors { totalCount nodes { id name } } }";
        let data = server.data("", query, json!({})).await;
        insta::assert_json_snapshot!("built_in", data);
    }

    async fn creates_and_finds_a_custom_connector(server: Server) {
        let ann = server.token("ann@acme", &["connectors:write"]);
        let create = "mutation($input: CreateCustomConnectorInput!) {
            createCustomConnector(input: $input) { personalConnector { id name } userErrors { code field message } }
        }";
        let input = json!({ "name": "Wiki", "serverUrl": "https://wiki.example.com/mcp" });
        let data = server.data(&ann, create, json!({ "input": input })).await;
        let id = &data["createCustomConnector"]["personalConnector"]["id"];
        let found = server
            .data(
                &ann,
                "query($id: ID!) { node(id: $id) { id } }",
                json!({ "id": id }),
            )
            .await;
        assert_eq!(found["node"]["id"], *id);
        assert_eq!(server.state().await, 6);
    }
}
