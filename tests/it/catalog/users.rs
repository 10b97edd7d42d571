//! Users' names and pictures: where they are stored, and who sees them.

use std::{sync::Arc, time::Duration};

use entity::Timestamp;
use personal_connectors::domain::viewer::{Profile, User};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::Server,
        mutations::{CATALOG, DELETE, UPDATE, WRITE},
    },
};

const CLAIMS: [&str; 4] = ["--jwt-name-claim", "name", "--jwt-picture-claim", "picture"];

impl Server {
    /// Returns a token of a user `USER@ORGANIZATION` with their name and the address of their picture.
    fn named(&self, who: &str, name: &str, picture: Option<&str>) -> String {
        let (id, organization) = who.split_once('@').unwrap();
        let user = User {
            id: id.to_owned(),
            organization: Some(organization.to_owned()),
            scopes: WRITE.iter().map(ToString::to_string).collect(),
            profile: Profile {
                name: Some(name.to_owned()),
                picture_url: picture.map(ToOwned::to_owned),
            },
        };
        self.token_of(&user, Duration::from_hours(1))
    }

    /// Another service on the same database.
    async fn beside(&self, flags: &[&str]) -> Self {
        Self::start(Arc::clone(&self.storage), flags, self.clock.clone()).await
    }

    async fn user_of(&self, token: &str, id: &str) -> [Value; 2] {
        let query = "query($id: ID!) {
            personalConnector(id: $id) { creator { userId name pictureUrl isViewer } }
            personalConnectorChanges(filter: {personalConnectorId: [$id]}, first: 100) { nodes { author { name \
            isViewer } } } }";
        let mut data = self.data(token, query, json!({ "id": id })).await;
        let changes = data["personalConnectorChanges"]["nodes"].as_array_mut();
        let last = changes.unwrap().pop().unwrap_or_default();
        [
            data["personalConnector"]["creator"].take(),
            last["author"].clone(),
        ]
    }
}

const PICTURE: &str = "https://example.com/ann.png";

on_both! {
    async fn a_name_is_kept_by_a_change_of_its_user(server: Server) {
        let server = server.beside(&CLAIMS).await;
        let (nameless, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", &[]),
        );
        let named = server.named("ann@acme", "Ann", Some(PICTURE));
        let viewer = "{ viewer { user { userId name pictureUrl isViewer } } }";
        let ann =
            json!({ "userId": "ann", "name": "Ann", "pictureUrl": PICTURE, "isViewer": true });
        let unknown =
            json!({ "userId": "ann", "name": null, "pictureUrl": null, "isViewer": false });

        let id = &server.create(&nameless, "Wiki", "ORGANIZATION").await;
        assert_eq!(
            server.user_of(&bob, id).await,
            [unknown.clone(), json!({ "name": null, "isViewer": false })]
        );
        // The name in the token is shown only to its user, and no read stores it.
        assert_eq!(
            server.data(&named, viewer, json!({})).await["viewer"]["user"],
            ann
        );
        assert_eq!(
            server.user_of(&named, id).await,
            [ann.clone(), json!({ "name": "Ann", "isViewer": true })]
        );
        assert_eq!(server.user_of(&bob, id).await[0], unknown);
        // Nor does a change that is not made.
        server
            .change(&named, UPDATE, json!({ "id": id, "name": "Wiki" }))
            .await;
        assert_eq!(server.rows("SELECT user_id FROM user_profile").await, "");

        server
            .change(&named, UPDATE, json!({ "id": id, "version": "1.0.0" }))
            .await;
        let mut seen = ann.clone();
        seen["isViewer"] = json!(false);
        assert_eq!(
            server.user_of(&bob, id).await,
            [seen.clone(), json!({ "name": "Ann", "isViewer": false })]
        );
        assert_eq!(server.user_of(&nameless, id).await[0], ann);
        // A token without a picture keeps the known one, and one without name and picture keeps both.
        server
            .change(
                &server.named("ann@acme", "Ann Lee", None),
                UPDATE,
                json!({ "id": id, "version": "2.0.0" }),
            )
            .await;
        server
            .change(&nameless, UPDATE, json!({ "id": id, "version": "3.0.0" }))
            .await;
        seen["name"] = json!("Ann Lee");
        assert_eq!(
            server.user_of(&bob, id).await,
            [seen, json!({ "name": "Ann Lee", "isViewer": false })]
        );
        let conflict =
            "mutation($id: ID!) { updateCustomConnector(input: {id: $id, expectedRevision: 1}) {
            userErrors { conflict { actor author { name } } } } }";
        let conflict = server.data(&nameless, conflict, json!({ "id": id })).await;
        let told = &conflict["updateCustomConnector"]["userErrors"][0]["conflict"];
        assert_eq!(
            *told,
            json!({ "actor": "ann", "author": { "name": "Ann Lee" } })
        );
    }

    async fn names_are_hidden_as_ids_are(server: Server) {
        let server = server.beside(&CLAIMS).await;
        // The same id in another organization is another user.
        let (ann, other) = (
            server.named("ann@acme", "Ann", None),
            server.named("ann@other", "Anna", None),
        );
        let id = &server.create(&ann, "Wiki", "ORGANIZATION").await;
        let theirs = &server.create(&other, "Wiki", "ORGANIZATION").await;
        let admin = server.token("ann@acme", CATALOG);
        assert_eq!(server.user_of(&admin, id).await[0]["name"], "Ann");
        assert_eq!(server.user_of(&admin, theirs).await[0]["name"], "Anna");
        assert_eq!(server.user_of(&admin, theirs).await[0]["isViewer"], false);
        // Both in one list, by two statements.
        server.forget_reads();
        let list = "{ personalConnectors(filter: {type: CUSTOM}) { nodes { creator { name pictureUrl } } } }";
        let both = server.data(&admin, list, json!({})).await;
        let reads = server.reads.lock().unwrap().clone();
        assert_eq!(reads.len(), 2, "{reads:#?}");
        let mut names: Vec<_> = both["personalConnectors"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["creator"]["name"].as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, [Some("Ann"), Some("Anna")]);

        let public = "UPDATE personal_connector SET visibility = 'public'";
        server.rows(public).await;
        let public = server.beside(&CLAIMS).await;
        for token in [String::new(), public.token("cid@third", WRITE)] {
            let creators = public.data(&token, "{ personalConnectors(filter: {type: CUSTOM}) { nodes { creator { \
                                                userId name } } } }", json!({})).await;
            assert_eq!(
                creators["personalConnectors"]["nodes"],
                json!([{ "creator": null }, { "creator": null }])
            );
            let changes = public
                .data(
                    &token,
                    "{ personalConnectorChanges(first: 100) { nodes { author { userId } } } }",
                    json!({}),
                )
                .await;
            let changes = changes["personalConnectorChanges"]["nodes"]
                .as_array()
                .unwrap();
            assert!(
                changes.iter().all(|change| change["author"].is_null()),
                "{changes:?}"
            );
        }
    }

    async fn without_claims_nothing_is_kept_or_shown(server: Server) {
        let with = server.beside(&CLAIMS).await;
        let named = with.named("ann@acme", "Ann", Some(PICTURE));
        let id = &server.create(&named, "Wiki", "ORGANIZATION").await;
        assert_eq!(server.rows("SELECT user_id FROM user_profile").await, "");
        with.change(&named, UPDATE, json!({ "id": id, "version": "1.0.0" }))
            .await;
        let unknown =
            json!({ "userId": "ann", "name": null, "pictureUrl": null, "isViewer": true });
        assert_eq!(server.user_of(&named, id).await[0], unknown);
        let pictures = server.beside(&CLAIMS[2..]).await;
        let shown =
            json!({ "userId": "ann", "name": null, "pictureUrl": PICTURE, "isViewer": true });
        assert_eq!(pictures.user_of(&named, id).await[0], shown);
    }

    async fn a_user_whom_nothing_names_is_forgotten(server: Server) {
        let server = server.beside(&CLAIMS).await;
        let (ann, bob) = (
            server.named("ann@acme", "Ann", None),
            server.named("bob@acme", "Bob", None),
        );
        let (of_ann, of_bob) = (
            server.create(&ann, "A", "PRIVATE").await,
            server.create(&bob, "B", "PRIVATE").await,
        );
        let later = Timestamp(server.clock.now().0 + 1);
        let forget =
            async || while server.database.forget_events(later, later).await.unwrap() > 0 {};
        let kept = async || {
            server
                .rows("SELECT name FROM user_profile ORDER BY name")
                .await
        };
        // Their connectors name them.
        forget().await;
        assert_eq!(kept().await, "Ann\nBob\n");
        // The event names them for a while.
        server.change(&ann, DELETE, json!({ "id": of_ann })).await;
        assert_eq!(kept().await, "Ann\nBob\n");
        forget().await;
        assert_eq!(kept().await, "Bob\n");
        // The profile of a user whose connector another user deleted is deleted too.
        let boss = server.token("boss@acme", crate::support::mutations::ADMIN);
        server.change(&boss, DELETE, json!({ "id": of_bob })).await;
        forget().await;
        assert_eq!(kept().await, "");
    }
}
