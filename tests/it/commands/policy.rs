//! The policy from end to end: what GraphQL lets through is what `Viewer::decide` says and what `viewerCan…` foretells.

use std::fmt::Write;

use entity::{ConnectorVisibility, personal_connector::Model};
use personal_connectors::{
    domain::viewer::{Action, Denial, User, Viewer},
    store::ownership,
};
use serde_json::{Value, json};

use crate::{on_both, support::connectors::connector};

const VIEWERS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("ann@acme", &[]),
    ("ann@acme", &["connectors:write"]),
    ("ann@acme", &["connectors:admin"]),
    ("ann@acme", &["catalog:admin"]),
    ("ann@acme", &["connectors:write", "catalog:admin"]),
    ("ann@acme", &["connectors:admin", "catalog:admin"]),
    ("boss@acme", &["connectors:admin"]),
    ("ann@other", &["connectors:write"]),
    ("boss@other", &["connectors:admin"]),
    ("ann", &["connectors:write"]),
    ("ann", &["connectors:admin"]),
];

fn connectors() -> Vec<Model> {
    use ConnectorVisibility::{Organization, Private, Public};
    let mut rows = Vec::new();
    for owner in [
        "ann@acme",
        "bob@acme",
        "ann@other",
        "cid@other",
        "ann",
        "dan",
    ] {
        let id = owner.replace('@', "");
        for visibility in [Private, Organization, Public] {
            // An import may bring a PUBLIC one without an organization, and never one of the organization's.
            if visibility != Organization || owner.contains('@') {
                let name = format!("{owner} {visibility:?}");
                rows.push(connector(
                    &format!("{id}{visibility:?}"),
                    &name,
                    owner,
                    visibility,
                ));
            }
        }
    }
    rows
}

fn viewer(who: &str, scopes: &[&str]) -> Viewer {
    if who.is_empty() {
        return Viewer::Anonymous;
    }
    let (id, organization) = who
        .split_once('@')
        .map_or((who, None), |(id, organization)| (id, Some(organization)));
    Viewer::User(User {
        id: id.to_owned(),
        organization: organization.map(ToOwned::to_owned),
        scopes: scopes.iter().map(ToString::to_string).collect(),
    })
}

/// What a mutation answers to those whom a denial is for. The revision is never right, so nothing is written.
fn expected(decision: Result<(), Denial>) -> &'static str {
    match decision {
        Ok(()) => "CONFLICT",
        Err(Denial::Unauthenticated) => "UNAUTHENTICATED, top-level",
        Err(Denial::Scope(_)) => "FORBIDDEN, top-level",
        Err(Denial::Hidden) => "NOT_FOUND",
        Err(Denial::NotYours) => "FORBIDDEN",
    }
}

/// The code of a mutation's one error.
fn answered(answer: &Value, field: &str) -> String {
    let mut top_level = answer["errors"].as_array().into_iter().flatten();
    if let Some(error) = top_level.find(|error| error["path"][0] == field) {
        return format!(
            "{}, top-level",
            error["extensions"]["code"].as_str().unwrap()
        );
    }
    let [error] = answer["data"][field]["userErrors"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("{answer}")
    };
    error["code"].as_str().unwrap().to_owned()
}

on_both! {
    async fn graphql_answers_as_the_policy_decides(server: Server) {
        let mut rows = server.insert(connectors()).await;
        let catalogue = server.begin().await.by_connector_id(&["jira".to_owned(), "github".to_owned()]).await.unwrap();
        rows.extend(catalogue);
        let before = server.written().await;
        let mutations = "mutation($id: ID!) {
            update: updateCustomConnector(input: {id: $id, description: \"x\", expectedRevision: 9}) { userErrors { code } }
            delete: deleteCustomConnector(input: {id: $id, expectedRevision: 9}) { userErrors { code } }
            status: setConnectorStatus(input: {id: $id, status: MAINTENANCE, expectedRevision: 9}) { userErrors { code } }
        }";
        let query = "query($id: ID!) { personalConnector(id: $id) { viewerCanUpdate viewerCanDelete createdBy organizationId } }";
        let mut failures = String::new();
        for (who, scopes) in VIEWERS {
            let token = if who.is_empty() { String::new() } else { server.token(who, scopes) };
            let viewer = viewer(who, scopes);
            for row in &rows {
                let target = ownership(row);
                let decided = [
                    ("update", viewer.decide(Action::Update(target))),
                    ("delete", viewer.decide(Action::Delete(target))),
                    ("status", viewer.decide(Action::SetStatus(target))),
                ];
                let answer = server.execute(&token, mutations, json!({ "id": row.id })).await;
                for (field, decision) in decided {
                    let (expected, answered) = (expected(decision), answered(&answer, field));
                    if expected != answered {
                        writeln!(failures, "{who} {scopes:?}, {}, {field}: {answered}, not {expected}", row.name).unwrap();
                    }
                }
                let seen = &server.data(&token, query, json!({ "id": row.id })).await["personalConnector"];
                let owner = |value: &Option<String>| {
                    value.as_ref().filter(|_| viewer.decide(Action::SeeOwner(target)).is_ok()).map_or(Value::Null, |id| json!(id))
                };
                let foretold = viewer.decide(Action::See(target)).map_or(Value::Null, |()| json!({
                    "viewerCanUpdate": decided[0].1.is_ok(), "viewerCanDelete": decided[1].1.is_ok(),
                    "createdBy": owner(&row.created_by), "organizationId": owner(&row.organization_id),
                }));
                if *seen != foretold {
                    writeln!(failures, "{who} {scopes:?}, {}: {seen}, not {foretold}", row.name).unwrap();
                }
            }
            let can = viewer.decide(Action::Create).is_ok();
            let data = server.data(&token, "{ viewer { canCreateCustomConnector } }", json!({})).await;
            assert_eq!(data["viewer"]["canCreateCustomConnector"], can);
        }
        assert!(failures.is_empty(), "{failures}");
        assert_eq!(server.written().await, before);
    }

    async fn what_is_let_through_is_done(server: Server) {
        let mutations = "mutation($id: ID!) {
            setConnectorStatus(input: {id: $id, status: MAINTENANCE}) { userErrors { code } }
            updateCustomConnector(input: {id: $id, description: \"x\"}) { userErrors { code } }
            deleteCustomConnector(input: {id: $id}) { userErrors { code } }
        }";
        for (round, (who, scopes)) in VIEWERS.iter().enumerate() {
            let mut rows = connectors();
            for row in &mut rows {
                row.id = format!("{}{round}", row.id);
                row.name_key = format!("{} {round}", row.name_key);
            }
            let rows = server.insert(rows).await;
            let (token, viewer) = (if who.is_empty() { String::new() } else { server.token(who, scopes) }, viewer(who, scopes));
            let state = server.state().await;
            let mut expected = String::new();
            for row in &rows {
                server.execute(&token, mutations, json!({ "id": row.id })).await;
                let target = ownership(row);
                for (action, change) in [
                    (Action::SetStatus(target), "updated|[\"status\"]"),
                    (Action::Update(target), "updated|[\"description\"]"),
                    (Action::Delete(target), "deleted|[]"),
                ] {
                    if viewer.decide(action).is_ok() {
                        writeln!(expected, "{}|{change}", row.id).unwrap();
                    }
                }
            }
            let changes = format!("SELECT personal_connector_id, kind, changed_fields FROM connector_event WHERE number > {state} ORDER BY number");
            assert_eq!(server.rows(&changes).await, expected, "{who} {scopes:?}");
        }
    }
}
