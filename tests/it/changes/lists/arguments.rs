//! The fields of the argument `list`.

use super::{LISTED, PAGE, flow, pages};
use crate::{
    on_both,
    support::{
        clients::subscribers::{Socket, now},
        mutations::{WRITE, text},
    },
};
use serde_json::json;

on_both! {
    async fn refusals_name_the_field_of_the_list(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let many = vec!["pcon_a"; 101];
        let empty = vec![json!({}); 100];
        let (invalid, over) = ("BAD_USER_INPUT", "LIMIT_EXCEEDED");
        let mut socket = Socket::of(&server, &ann).await;
        for (list, code, message) in [
            (
                json!({ "search": "x".repeat(257) }),
                invalid,
                "list.search must be at most 256 characters",
            ),
            (
                json!({ "filter": { "id": many } }),
                invalid,
                "the list id of list.filter must have at most 100 items",
            ),
            (
                json!({ "filter": { "host": "a/b" } }),
                invalid,
                "list.filter.host must be hosts such as",
            ),
            (
                json!({ "filter": { "and": [{ "or": empty }, { "or": empty }, { "or": empty }, { "or": empty }] } }),
                over,
                "list of a subscription must have at most 131072 bytes in memory",
            ),
        ] {
            socket.subscribe("1", LISTED, json!({ "list": list })).await;
            let error = socket.next().await["payload"]["errors"][0].clone();
            assert_eq!(error["extensions"]["code"], code, "{error}");
            assert!(text(&error["message"]).starts_with(message), "{error}");
            assert_eq!(socket.next().await["type"], "complete");
            let answer = server.execute(&ann, PAGE, json!({ "list": list })).await;
            let error = &answer["errors"][0];
            let refused = code == invalid && text(&error["message"]).starts_with(message);
            assert!(refused || (code == over && error.is_null()), "{answer}");
        }
        // The largest filter with one level.
        let begun = now(&server, &ann).await;
        let any = vec![json!({ "status": "ACTIVE", "name": { "startsWith": "w" } }); 50];
        socket
            .subscribe(
                "1",
                LISTED,
                json!({ "after": begun, "list": { "filter": { "or": any } } }),
            )
            .await;
        server.create(&ann, "Book", "PRIVATE").await;
        server.create(&ann, "Wiki", "PRIVATE").await;
        let (wiki, expected) = (socket.change().await, "CREATED false true");
        assert_eq!(flow(&wiki), expected);
        let (told, _) = pages(
            &server,
            &ann,
            5,
            &begun,
            &json!({ "list": { "filter": { "or": any } } }),
        )
        .await;
        assert_eq!(told, [wiki]);
    }
}
