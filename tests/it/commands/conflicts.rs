//! The content of a CONFLICT on a revision: the user who changed the connector, the time, and the fields.

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::{Server, timestamp},
        mutations::{
            ADMIN, CATALOG, CREATE, DELETE, STATUS, UPDATE, WRITE, draft, errors, text, with,
        },
    },
};

/// Returns a minute of the clock's first hour.
fn minute(minute: u64) -> String {
    format!("2026-11-22T08:{minute:02}:00Z")
}

impl Server {
    /// Returns the conflict of a mutation that expects a revision.
    async fn conflict(&self, token: &str, field: &str, id: &str, expected: i64) -> Value {
        let input = json!({ "id": id, "expectedRevision": expected });
        let input = match field {
            STATUS => with(input, json!({ "status": "MAINTENANCE" })),
            _ => input,
        };
        let mut payload = self.mutate(token, field, input).await;
        assert_eq!(errors(&payload), ["CONFLICT input.expectedRevision"]);
        let conflict = payload["userErrors"][0]["conflict"].take();
        // The conflict and the connector are from one snapshot.
        assert_eq!(
            conflict["revision"],
            payload["personalConnector"]["revision"]
        );
        conflict
    }

    /// Changes a connector at a minute.
    async fn change_at(&self, at: u64, token: &str, id: &str, change: Value) {
        self.clock.set(timestamp(&minute(at)));
        self.change(token, UPDATE, with(change, json!({ "id": id })))
            .await;
    }
}

on_both! {
    async fn a_conflict_says_who_when_and_which_fields(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let id = &server.create(&ann, "Wiki", "ORGANIZATION").await;
        server
            .change_at(
                1,
                &ann,
                id,
                json!({ "version": "1.0.0", "description": "Pages" }),
            )
            .await;
        server
            .change_at(
                2,
                &boss,
                id,
                json!({ "category": "DESIGN", "version": "2.0.0" }),
            )
            .await;
        server.clock.set(timestamp(&minute(3)));
        server
            .change(&ann, STATUS, json!({ "id": id, "status": "MAINTENANCE" }))
            .await;
        for field in [UPDATE, STATUS, DELETE] {
            for (expected, fields) in [
                (1, json!(["DESCRIPTION", "VERSION", "CATEGORY", "STATUS"])),
                (2, json!(["CATEGORY", "VERSION", "STATUS"])),
                (3, json!(["STATUS"])),
                // The connector never had these revisions.
                (0, json!(null)),
                (-1, json!(null)),
                (5, json!(null)),
                (i64::from(i32::MAX), json!(null)),
                (i64::from(i32::MIN), json!(null)),
            ] {
                let mut conflict = server.conflict(&ann, field, id, expected).await;
                let mut changed = conflict["changedFields"].take();
                // The fields of one change have the order of the table of fields.
                let sorted = |fields: &mut Value| {
                    let Some(fields) = fields.as_array_mut() else {
                        return;
                    };
                    fields.sort_by_key(|field| text(field).to_owned());
                };
                let mut fields = fields;
                sorted(&mut changed);
                sorted(&mut fields);
                assert_eq!(changed, fields, "{field} {expected}");
                assert_eq!(
                    conflict,
                    json!({ "revision": 4, "actor": "ann", "occurredAt": minute(3), "changedFields": null }),
                    "{expected}"
                );
            }
        }
    }

    /// A check raises no revision, so it causes no conflict.
    async fn checks_are_left_out(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let program = json!({ "name": "Program", "serverType": "STDIO" });
        let made = server.change(&ann, CREATE, program).await;
        let id = text(&made["id"]);
        server
            .change_at(1, &ann, id, json!({ "version": "1.0.0" }))
            .await;
        server.clock.set(timestamp(&minute(2)));
        let bob = server.token("bob@acme", ADMIN);
        let check =
            "mutation($id: ID!) { checkConnector(input: { id: $id }) { userErrors { code } } }";
        server.data(&bob, check, json!({ "id": id })).await;
        let events = "SELECT changed_fields FROM connector_event ORDER BY number DESC LIMIT 1";
        assert_eq!(server.rows(events).await, "[\"health\"]\n");
        let expected = json!({ "revision": 2, "actor": "ann", "occurredAt": minute(1), "changedFields": ["VERSION"] });
        assert_eq!(server.conflict(&ann, UPDATE, id, 1).await, expected);
    }

    /// An administrator of the catalogue may be in another organization.
    async fn who_is_not_seen_is_not_told(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let jira = "pcon_jira";
        let [root, other] = ["root@globex", "other@acme"].map(|who| server.token(who, CATALOG));
        let revision = server.see(&ann, jira).await["revision"].as_i64().unwrap();
        server.clock.set(timestamp(&minute(1)));
        server
            .change(
                &root,
                STATUS,
                json!({ "id": jira, "status": "MAINTENANCE" }),
            )
            .await;
        // Administrators of the catalogue see all users.
        let told = server.conflict(&other, STATUS, jira, revision).await;
        assert_eq!(
            (&told["actor"], &told["changedFields"]),
            (&json!("root"), &json!(["STATUS"]))
        );

        // A connector without an organization belongs to its creator only, and users of other organizations are
        // invisible.
        let alone = server.token("dan", &["connectors:write", "catalog:admin"]);
        let id = &server.create(&alone, "Mine", "PRIVATE").await;
        server
            .change_at(2, &alone, id, json!({ "version": "1.0.0" }))
            .await;
        let told = server
            .conflict(&server.token("dan", WRITE), UPDATE, id, 1)
            .await;
        assert_eq!(told["actor"], "dan");
    }

    async fn what_was_out_of_sight_is_not_told(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let bob = server.token("bob@acme", &["connectors:write", "catalog:admin"]);
        let id = &server.create(&ann, "Wiki", "PRIVATE").await;
        server
            .change_at(
                1,
                &ann,
                id,
                json!({ "visibility": "ORGANIZATION", "version": "1.0.0" }),
            )
            .await;
        // The creator and those who see everything saw all changes.
        for token in [&ann, &boss] {
            let told = server.conflict(token, UPDATE, id, 1).await;
            assert_eq!(told["changedFields"].as_array().unwrap().len(), 2, "{told}");
        }
        // Others may not change it, so they get no conflict.
        let input = json!({ "id": id, "expectedRevision": 1, "version": "2.0.0" });
        assert_eq!(
            server.errors(&bob, UPDATE, input).await,
            ["FORBIDDEN input.id"]
        );
    }

    async fn a_log_that_no_longer_goes_back_says_so(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let id = &server.create(&ann, "Wiki", "PRIVATE").await;
        server
            .change_at(1, &ann, id, json!({ "version": "1.0.0" }))
            .await;
        server
            .change_at(10, &ann, id, json!({ "version": "2.0.0" }))
            .await;
        let forget = async |until: u64| {
            let (until, now) = (timestamp(&minute(until)), timestamp(&minute(30)));
            while server.database.forget_events(until, now).await.unwrap() > 0 {}
        };
        let told = json!({ "revision": 3, "actor": "ann", "occurredAt": minute(10), "changedFields": ["VERSION"] });
        assert_eq!(server.conflict(&ann, UPDATE, id, 1).await, told);
        forget(5).await;
        assert_eq!(server.conflict(&ann, UPDATE, id, 2).await, told);
        let cut = with(told, json!({ "changedFields": null }));
        assert_eq!(server.conflict(&ann, UPDATE, id, 1).await, cut);
        forget(20).await;
        let none = json!({ "revision": 3, "actor": null, "occurredAt": minute(10), "changedFields": null });
        assert_eq!(server.conflict(&ann, UPDATE, id, 2).await, none);
    }

    async fn the_changes_that_are_read_are_bounded(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let id = &server.create(&ann, "Wiki", "PRIVATE").await;
        for patch in 0..101 {
            server
                .change(
                    &ann,
                    UPDATE,
                    json!({ "id": id, "version": format!("1.0.{patch}") }),
                )
                .await;
        }
        let fields = async |expected| {
            server.conflict(&ann, UPDATE, id, expected).await["changedFields"].take()
        };
        assert_eq!(fields(2).await, json!(["VERSION"]));
        assert_eq!(fields(1).await, json!(null));
    }

    /// A key that was used with another input is no conflict of changes.
    async fn a_key_has_no_changes(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server
            .change(
                &ann,
                CREATE,
                draft("Wiki", json!({ "idempotencyKey": "k" })),
            )
            .await;
        let mut payload = server
            .mutate(
                &ann,
                CREATE,
                draft("Other", json!({ "idempotencyKey": "k" })),
            )
            .await;
        assert_eq!(errors(&payload), ["CONFLICT input.idempotencyKey"]);
        assert_eq!(payload["userErrors"][0]["conflict"].take(), Value::Null);
    }
}
