//! A connector that some viewers may not see, and the viewers.

use std::time::Duration;

use entity::{ConnectorCategory, ConnectorStatus, ConnectorVisibility, personal_connector::Model};
use personal_connectors::{
    domain::{inspection::Schedule, viewer::Sight},
    store::{Check, Target},
};

use crate::support::{
    checks::offering,
    connectors::{connector, edit, import},
    harness::Server,
};

/// All viewers, with the scopes of their tokens.
pub const VIEWERS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("cid@other", &["connectors:write"]),
    ("boss@other", &["connectors:admin"]),
    ("bob@acme", &["connectors:write"]),
    ("reader@acme", &[]),
    // The same user id in another organization.
    ("ann@other", &["connectors:write"]),
    ("ann", &["connectors:write"]),
    ("boss", &["connectors:admin"]),
    // The viewers who see it.
    ("ann@acme", &["connectors:write"]),
    ("boss@acme", &["connectors:admin"]),
    ("root@other", &["connectors:write", "catalog:admin"]),
];

/// Creates the permanent connectors: one of each viewer, and a PUBLIC one that the secret replaces.
pub async fn furnish(server: &Server) -> Model {
    let own = VIEWERS
        .iter()
        .filter(|(who, _)| !who.is_empty())
        .map(|(who, _)| {
            let id = format!("own{}", who.replace('@', ""));
            connector(
                &id,
                &format!("Own of {who}"),
                who,
                ConnectorVisibility::Private,
            )
        });
    let mut rows: Vec<_> = own.collect();
    rows.push(connector(
        "old",
        "Old",
        "ann@acme",
        ConnectorVisibility::Public,
    ));
    server.insert(rows).await.pop().unwrap()
}

/// Creates the secret, as the replacement of a given connector.
pub async fn hide(server: &Server, old: &Model, visibility: ConnectorVisibility) -> Model {
    let secret = Model {
        description: Some("Launch in spring".to_owned()),
        category: Some(ConnectorCategory::Design),
        status: ConnectorStatus::Maintenance,
        version: Some("7.0.0".to_owned()),
        ..connector(
            "00000000000000000000secret",
            "Sécret Plans",
            "ann@acme",
            visibility,
        )
    };
    let mut tx = server.begin().await;
    let secret = tx
        .insert_imports(vec![import(&secret)])
        .await
        .unwrap()
        .unwrap()
        .pop()
        .unwrap();
    let check = Check {
        target: Target::of(&secret),
        found: offering(&[("launch_rocket", "Counts down")]),
    };
    tx.record(
        &[check],
        Schedule {
            interval: Duration::from_hours(1),
            history: 1,
        },
    )
    .await
    .unwrap();
    let old = tx
        .get(&Sight::Everything, std::slice::from_ref(&old.id))
        .await
        .unwrap()
        .pop()
        .unwrap();
    let after = Model {
        status: ConnectorStatus::Deprecated,
        replaced_by_id: Some(secret.id.clone()),
        ..old.clone()
    };
    tx.update(&old, edit(&after)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    secret
}
