//! The policy end to end: GraphQL allows an action exactly if `Viewer::decide` does and `viewerCan…` announces it.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use entity::{ConnectorVisibility, personal_connector::Model};
use personal_connectors::{
    clock::Clock,
    domain::viewer::{Action, Denial, Profile, Right, User, Viewer},
    store::{Candidate, ownership},
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors::connector,
        harness::Server,
        mutations::{ADMIN, CATALOG, CREATE, NONE, WRITE, draft},
        schema::field_names,
    },
};

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
            // An import may contain a PUBLIC connector without an organization, but never an ORGANIZATION one.
            if visibility != Organization || owner.contains('@') {
                let name = format!("{owner} {visibility:?}");
                let row = connector(&format!("{id}{visibility:?}"), &name, owner, visibility);
                rows.push(Model {
                    // An address that no check calls.
                    server_url: Some("http://127.0.0.1:9/".to_owned()),
                    ..row
                });
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
        profile: Profile::default(),
    })
}

/// The mutations of one connector, each with the right that it needs, and with an input that writes nothing (except a
/// check).
const MUTATIONS: &[(&str, Right, &str)] = &[
    (
        "update",
        Right::Update,
        "updateCustomConnector(input: {id: $id, description: \"x\", expectedRevision: 9}) { userErrors { code } }",
    ),
    (
        "publish",
        Right::Publish,
        "updateCustomConnector(input: {id: $id, visibility: PUBLIC, validateOnly: true}) { userErrors { code } }",
    ),
    (
        "delete",
        Right::Delete,
        "deleteCustomConnector(input: {id: $id, expectedRevision: 9}) { userErrors { code } }",
    ),
    (
        "status",
        Right::SetStatus,
        "setConnectorStatus(input: {id: $id, status: MAINTENANCE, expectedRevision: 9}) { userErrors { code } }",
    ),
    (
        "deletes",
        Right::Delete,
        "deleteCustomConnectors(input: {ids: [$id], validateOnly: true}) { results { userErrors { code } } }",
    ),
    (
        "statuses",
        Right::SetStatus,
        "setConnectorStatuses(input: {ids: [$id], status: MAINTENANCE, validateOnly: true}) { results { userErrors { \
         code } } }",
    ),
    (
        "curate",
        Right::Curate,
        "updateCatalogConnectors(input: {ids: [$id], category: DESIGN, validateOnly: true}) { results { userErrors { \
         code } } }",
    ),
    (
        "checks",
        Right::Check,
        "checkConnectors(input: {ids: [$id]}) { results { userErrors { code } } }",
    ),
    (
        "check",
        Right::Check,
        "checkConnector(input: {id: $id}) { userErrors { code } }",
    ),
];

/// The mutations that concern no single connector.
const OTHERS: &[&str] = &["createCustomConnector", "importConnectors", "inspectServer"];

/// Lists the connectors that the viewer may update or created, and the others.
const LISTS: &str = "query($ids: [ID!]) {
    may: personalConnectors(first: 100, filter: {id: $ids, viewerCanUpdate: true}) { totalCount nodes { id } }
    mayNot: personalConnectors(first: 100, filter: {id: $ids, viewerCanUpdate: false}) { totalCount nodes { id } }
    not: personalConnectors(first: 100, filter: {id: $ids, not: {viewerCanUpdate: true}}) { totalCount nodes { id } }
    mine: personalConnectors(first: 100, filter: {id: $ids, mine: true}) { totalCount nodes { id } }
    others: personalConnectors(first: 100, filter: {id: $ids, mine: false, viewerCanUpdate: null}) { totalCount nodes \
    { id } }
    either: personalConnectors(first: 100, filter: {id: $ids, or: [{mine: true}, {viewerCanUpdate: true}]}) { \
    totalCount nodes { id } }
}";

/// Returns a mutation's response for a denial.
fn expected(decision: Result<(), Denial>) -> &'static str {
    match decision {
        Ok(()) => "OK",
        Err(Denial::Unauthenticated) => "UNAUTHENTICATED, top-level",
        Err(Denial::Scope(_)) => "FORBIDDEN, top-level",
        Err(Denial::Hidden) => "NOT_FOUND",
        Err(Denial::NotYours | Denial::NotCustom | Denial::IsCustom | Denial::ScopeOfType(_)) => {
            "FORBIDDEN"
        }
        Err(Denial::NoOrganization) => "INVALID",
        Err(Denial::LimitReached) => "LIMIT_EXCEEDED",
    }
}

/// Returns a field's reasons for a denial.
fn reasons(decision: Result<(), Denial>) -> Value {
    match decision {
        Ok(()) => json!([]),
        Err(Denial::Unauthenticated) => json!(["LOGIN_REQUIRED"]),
        Err(Denial::Scope("catalog:admin") | Denial::ScopeOfType("catalog:admin")) => {
            json!(["CATALOG_SCOPE_REQUIRED"])
        }
        Err(Denial::Scope(_) | Denial::ScopeOfType(_)) => json!(["SCOPE_REQUIRED"]),
        Err(Denial::Hidden | Denial::NotYours) => json!(["INSUFFICIENT_ACCESS"]),
        Err(Denial::NotCustom) => json!(["NOT_CUSTOM"]),
        Err(Denial::IsCustom) => json!(["IS_CUSTOM"]),
        Err(Denial::NoOrganization) => json!(["NO_ORGANIZATION"]),
        Err(Denial::LimitReached) => json!(["LIMIT_REACHED"]),
    }
}

/// Returns the code of a mutation's only error. It counts as allowed without an error, or with only a wrong revision or
/// too short a time since the last check.
fn answered(answer: &Value, field: &str) -> String {
    let mut top_level = answer["errors"].as_array().into_iter().flatten();
    if let Some(error) = top_level.find(|error| error["path"][0] == field) {
        let code = error["extensions"]["code"].as_str().unwrap();
        return format!("{code}, top-level");
    }
    let payload = &answer["data"][field];
    let result = payload
        .get("results")
        .map_or(payload, |results| &results[0]);
    let errors = result["userErrors"].as_array().unwrap();
    match errors.as_slice() {
        [] => "OK".to_owned(),
        [error] if error["code"] == "CONFLICT" || error["code"] == "TOO_SOON" => "OK".to_owned(),
        [error] => error["code"].as_str().unwrap().to_owned(),
        _ => panic!("{answer}"),
    }
}

#[test]
fn each_mutation_is_walked() {
    let name = |(_, _, selection): &(_, _, &'static str)| selection.split('(').next().unwrap();
    let walked: BTreeSet<_> = MUTATIONS.iter().map(name).collect();
    let of_the_schema = field_names("Mutation").into_iter();
    let of_connectors = of_the_schema.filter(|name| !OTHERS.contains(name));
    assert_eq!(walked, of_connectors.collect());
}

on_both! {
    async fn graphql_answers_as_the_policy_decides(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--inspection-rate", "0"],
            server.clock.clone(),
        )
        .await;
        let mut monitor = Candidate::new(Duration::from_hours(1), Clock::system());
        server
            .database
            .take_lease(&mut monitor)
            .await
            .unwrap()
            .unwrap();
        let mut rows = server.insert(connectors()).await;
        let catalogue = server
            .begin()
            .await
            .by_connector_id(&["jira".to_owned(), "github".to_owned()])
            .await
            .unwrap();
        rows.extend(catalogue);
        let written =
            "SELECT id, visibility, status, revision, (SELECT COUNT(*) FROM connector_event
            WHERE changed_fields NOT LIKE '%health%') FROM personal_connector ORDER BY id";
        let before = server.rows(written).await;
        let mutations: Vec<_> = MUTATIONS
            .iter()
            .map(|(alias, _, selection)| format!("{alias}: {selection}"))
            .collect();
        let mutations = format!("mutation($id: ID!) {{ {} }}", mutations.join(" "));
        let names: Vec<_> = Right::ALL
            .iter()
            .flat_map(|right| <[_; 2]>::from(right.graphql_names()))
            .collect();
        let query = format!(
            "query($id: ID!) {{ personalConnector(id: $id) {{ {} createdBy organizationId }} }}",
            names.join(" ")
        );
        let mut failures = String::new();
        for (who, scopes) in VIEWERS {
            let token = if who.is_empty() {
                String::new()
            } else {
                server.token(who, scopes)
            };
            let viewer = viewer(who, scopes);
            for row in &rows {
                let target = ownership(row);
                let seen = &server.data(&token, &query, json!({ "id": row.id })).await["personalConnector"];
                let answer = server
                    .execute(&token, &mutations, json!({ "id": row.id }))
                    .await;
                for (alias, right, _) in MUTATIONS {
                    let (expected, answered) = (
                        expected(viewer.decide(right.on(target))),
                        answered(&answer, alias),
                    );
                    if expected != answered {
                        writeln!(
                            failures,
                            "{who} {scopes:?}, {}, {alias}: {answered}, not {expected}",
                            row.name
                        )
                        .unwrap();
                    }
                    let foretold = &seen[right.graphql_names().0];
                    if seen.is_object() && *foretold != (answered == "OK") {
                        writeln!(
                            failures,
                            "{who} {scopes:?}, {}, {alias}: {answered}, and {foretold}",
                            row.name
                        )
                        .unwrap();
                    }
                }
                let owner = |value: &Option<String>| {
                    value
                        .as_ref()
                        .filter(|_| viewer.decide(Action::SeeOwner(target)).is_ok())
                        .map_or(Value::Null, |id| json!(id))
                };
                let mut foretold = json!({ "createdBy": owner(&row.created_by),
                    "organizationId": owner(&row.organization_id) });
                for right in Right::ALL {
                    let (can, why) = right.graphql_names();
                    let decision = viewer.decide(right.on(target));
                    foretold[can] = decision.is_ok().into();
                    foretold[why] = reasons(decision);
                }
                let foretold = viewer
                    .decide(Action::See(target))
                    .map_or(Value::Null, |()| foretold);
                if *seen != foretold {
                    writeln!(
                        failures,
                        "{who} {scopes:?}, {}: {seen}, not {foretold}",
                        row.name
                    )
                    .unwrap();
                }
            }
            // The lists of connectors that the viewer may update or created, and of the others.
            let data = server
                .data(
                    &token,
                    LISTS,
                    json!({ "ids": rows.iter().map(|row| &row.id).collect::<Vec<_>>() }),
                )
                .await;
            let seen = || {
                rows.iter()
                    .filter(|row| viewer.decide(Action::See(ownership(row))).is_ok())
            };
            let may = |row: &&Model| viewer.decide(Action::Update(ownership(row))).is_ok();
            let (user, organization) = who
                .split_once('@')
                .map_or((*who, None), |(user, organization)| {
                    (user, Some(organization))
                });
            let mine = |row: &&Model| {
                row.created_by.as_deref() == Some(user)
                    && row.organization_id.as_deref() == organization
            };
            for (list, expected) in [
                ("may", seen().filter(may).collect::<Vec<_>>()),
                ("mayNot", seen().filter(|row| !may(row)).collect()),
                ("not", seen().filter(|row| !may(row)).collect()),
                ("mine", seen().filter(mine).collect()),
                ("others", seen().filter(|row| !mine(row)).collect()),
                (
                    "either",
                    seen().filter(|row| may(row) || mine(row)).collect(),
                ),
            ] {
                let found: BTreeSet<_> = data[list]["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|node| node["id"].as_str().unwrap())
                    .collect();
                assert_eq!(
                    data[list]["totalCount"],
                    found.len(),
                    "{who} {scopes:?}: {list}"
                );
                let expected: BTreeSet<_> = expected.iter().map(|row| row.id.as_str()).collect();
                assert_eq!(found, expected, "{who} {scopes:?}: {list}");
            }
            let created = rows
                .iter()
                .filter(|row| viewer.decide(Action::SeeOwner(ownership(row))).is_ok())
                .filter(|row| {
                    let (id, organization) = who
                        .split_once('@')
                        .map_or((*who, None), |(id, organization)| (id, Some(organization)));
                    (row.created_by.as_deref(), row.organization_id.as_deref())
                        == (Some(id), organization)
                });
            let (present, most) = (created.count() as u64, 100);
            let decision = viewer.decide(Action::CreateAnother { present, most });
            let foretold = json!({
                "canCreateCustomConnector": decision.is_ok(), "cannotCreateCustomConnectorReasons": reasons(decision),
                "customConnectorCount": present, "customConnectorLimit": most,
            });
            let names = "canCreateCustomConnector cannotCreateCustomConnectorReasons customConnectorCount \
                         customConnectorLimit";
            let data = server
                .data(&token, &format!("{{ viewer {{ {names} }} }}"), json!({}))
                .await;
            assert_eq!(data["viewer"], foretold, "{who} {scopes:?}");
        }
        assert!(failures.is_empty(), "{failures}");
        assert_eq!(server.rows(written).await, before);
    }

    async fn at_the_limit_there_is_no_other(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--max-per-user", "2"],
            server.clock.clone(),
        )
        .await;
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let may = "{ viewer { canCreateCustomConnector cannotCreateCustomConnectorReasons customConnectorCount \
                   customConnectorLimit } }";
        let create = async |name: &str| server.errors(&ann, CREATE, draft(name, json!({}))).await;
        for (name, present) in [("A", 0), ("B", 1), ("C", 2)] {
            let is_full = present == 2;
            let reasons = if is_full {
                json!(["LIMIT_REACHED"])
            } else {
                json!([])
            };
            let seen = server.data(&ann, may, json!({})).await;
            assert_eq!(
                seen["viewer"],
                json!({
                    "canCreateCustomConnector": !is_full, "cannotCreateCustomConnectorReasons": reasons,
                    "customConnectorCount": present, "customConnectorLimit": 2,
                })
            );
            assert_eq!(create(name).await.is_empty(), !is_full);
        }
        // These do not count: another user's connectors, the user's own ones in another organization, and those that an
        // administrator sees.
        for (who, scopes) in [
            ("bob@acme", WRITE),
            ("ann@other", WRITE),
            ("ann", WRITE),
            ("boss@acme", ADMIN),
            ("root", CATALOG),
        ] {
            let seen = server
                .data(
                    &server.token(who, scopes),
                    "{ viewer { customConnectorCount } }",
                    json!({}),
                )
                .await;
            assert_eq!(seen["viewer"]["customConnectorCount"], 0, "{who}");
        }
        assert_eq!(
            server.errors(&bob, CREATE, draft("D", json!({}))).await,
            NONE
        );
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
            let (token, viewer) = (
                if who.is_empty() {
                    String::new()
                } else {
                    server.token(who, scopes)
                },
                viewer(who, scopes),
            );
            let state = server.state().await;
            let mut expected = String::new();
            for row in &rows {
                server
                    .execute(&token, mutations, json!({ "id": row.id }))
                    .await;
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
            let changes = format!(
                "SELECT personal_connector_id, kind, changed_fields FROM connector_event WHERE number > {state} ORDER \
                 BY number"
            );
            assert_eq!(server.rows(&changes).await, expected, "{who} {scopes:?}");
        }
    }
}
