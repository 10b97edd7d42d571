//! Lists of 200,000 rows: an index gives the order, and a page deep in the list visits as few rows as the first.

use entity::{ConnectorCategory, ConnectorStatus, ConnectorVisibility};
use personal_connectors::domain::{
    changes::SCAN,
    listing::{Arguments, Filter, Listing},
    order::{Direction, OrderField, Position, SortKey},
};
use sea_orm::Statement;
use serde_json::{Value, json};

use crate::{
    on_both,
    performance::explain::{Explainer, FILL, FILL_HEALTH, Plan},
    support::{connection::Other, connectors::custom, harness::Server, mutations::WRITE},
};

/// A long log: PRIVATE connectors of others, each changed a thousand times, after the present rows.
const FILL_LOG: &str = "
    INSERT INTO connector_event (number, kind, personal_connector_id, type, organization_id, changed_fields, revision,
        occurred_at, visibility_before, visibility_after, created_by_before, created_by_after, status_before, \
        status_after)
    WITH RECURSIVE number (n) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < 200000
    )
    SELECT state + n, 'updated', 'pcon_' || (n % 200), 'custom', 'elsewhere', '[\"name\"]', n / 200 + 2,
        1700000000000000 + n, 'private', 'private', 'zoe', 'zoe', 'active', 'active'
    FROM number CROSS JOIN catalog_state";

/// The rows of 200,000 that a page of 20 may visit: a few for each visible one, because most are invisible.
const ROWS_VISITED: u64 = 1000;

/// The same in steps of SQLite's virtual machine, which does not report rows: about 10 for an invisible row, 30 for a
/// visible one.
const STEPS: u64 = 10_000;

/// The orders that have an index: the field, its GraphQL name, and its column.
const ORDERS: [(OrderField, &str, &str); 3] = [
    (OrderField::Name, "NAME", "name_key"),
    (OrderField::CreatedAt, "CREATED_AT", "created_at"),
    (OrderField::UpdatedAt, "UPDATED_AT", "updated_at"),
];

impl Plan {
    fn check(&self, asked: &str, index: &str) {
        // PostgreSQL knows how frequent values are. It may also scan the order's index, and skip a few rows more.
        let walks = if self.text.contains("personal_connector USING INDEX") {
            let step = format!("personal_connector USING INDEX {index}");
            self.text
                .strip_prefix("SEARCH ")
                .or(self.text.strip_prefix("SCAN "))
                .is_some_and(|rest| {
                    rest.strip_prefix(&step)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
                })
                && self.visited <= STEPS
        } else {
            self.text
                .starts_with("Limit ; Index Scan personal_connector_by_")
                && self.visited <= ROWS_VISITED
        };
        assert!(walks, "{asked}\n{self:?}");
    }
}

/// A page's statement, as the server sends it.
async fn statement(server: &Server, token: &str, arguments: &str) -> Statement {
    server.forget_reads();
    // With a column that no index has.
    let nodes = "nodes { id description }";
    let query = format!("{{ personalConnectors({arguments}) {{ {nodes} }} }}");
    let data = server.data(token, &query, json!({})).await;
    let nodes = data["personalConnectors"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 20, "{query}");
    let reads = server.reads.lock().unwrap();
    assert_eq!(reads.len(), 1, "{reads:?}");
    reads[0].clone()
}

/// No token, a member's, an organization administrator's, and a catalogue administrator's.
fn tokens(server: &Server) -> [String; 4] {
    let member = "user7_3@organization7";
    [
        String::new(),
        server.token(member, &[]),
        server.token(member, &["connectors:admin"]),
        server.token(member, &["catalog:admin"]),
    ]
}

/// A position in the middle.
async fn middle(server: &Server, field: OrderField, column: &str) -> Position {
    let sql =
        format!("SELECT {column}, id FROM personal_connector ORDER BY 1, 2 LIMIT 1 OFFSET 100000");
    let row = server.rows(&sql).await;
    let (key, id) = row.trim_end().split_once('|').unwrap();
    Position {
        keys: vec![match field {
            OrderField::Name => SortKey::Name(key.to_owned()),
            _ => SortKey::Number(key.parse().unwrap()),
        }],
        id: id.to_owned(),
    }
}

/// Every page with an index: of the whole list and of one category and status, in each order, direction and end of the
/// list, the first page and one in the middle.
async fn check_indexed_pages(server: &Server, explainer: &mut Explainer) {
    for ((field, order, column), paired) in ORDERS
        .into_iter()
        .flat_map(|order| [(order, false), (order, true)])
    {
        let middle = middle(server, field, column).await;
        let (filter, condition) = if paired {
            let filter = Filter {
                category: Some(vec![Some(ConnectorCategory::Development)]),
                status: Some(vec![ConnectorStatus::Active]),
                ..Filter::default()
            };
            (filter, "filter: {category: DEVELOPMENT, status: ACTIVE}")
        } else {
            (Filter::default(), "filter: {}")
        };
        for (direction, name) in [(Direction::Asc, "ASC"), (Direction::Desc, "DESC")] {
            let listing = Listing::parse(Arguments {
                filter: Some(filter.clone()),
                order: Some((field, Some(direction))),
                ..Arguments::default()
            });
            let cursor = listing.unwrap().cursor(middle.clone());
            let pages = [
                "first: 20".to_owned(),
                "last: 20".to_owned(),
                format!("first: 20, after: \"{cursor}\""),
                format!("last: 20, before: \"{cursor}\""),
            ];
            for (page, token) in pages
                .iter()
                .flat_map(|page| tokens(server).map(|token| (page, token)))
            {
                let arguments =
                    format!("{page}, {condition}, orderBy: {{field: {order}, direction: {name}}}");
                let sql = statement(server, &token, &arguments).await;
                let index = if paired {
                    "personal_connector_by_category_status_"
                } else {
                    "personal_connector_by_"
                };
                let index = format!("{index}{}", column.trim_end_matches("_key"));
                explainer.explain(&sql).await.check(&arguments, &index);
            }
        }
    }
}

/// Filters whose own indexes do not give an order: a scan of the order's index is shorter.
async fn check_walks(server: &Server, explainer: &mut Explainer) {
    for filter in [
        "category: DEVELOPMENT",
        "category: [DEVELOPMENT, DESIGN]",
        "status: ACTIVE",
        "status: [DEPRECATED, MAINTENANCE]",
        "category: DEVELOPMENT, status: [ACTIVE, DEPRECATED]",
        "and: [{category: DEVELOPMENT}]",
        "connectorId: \"custom_mcp\"",
        "type: CUSTOM",
    ] {
        for (_, order, column) in ORDERS {
            let arguments = format!("first: 20, filter: {{{filter}}}, orderBy: {{field: {order}}}");
            let sql = statement(server, "", &arguments).await;
            let index = format!("personal_connector_by_{}", column.trim_end_matches("_key"));
            explainer.explain(&sql).await.check(&arguments, &index);
        }
    }
}

/// A selective filter uses an index of its own; any other scans the index of the order.
async fn check_values(server: &Server, explainer: &mut Explainer) {
    for filter in [
        "category: CUSTOM",
        "createdAt: {gte: \"2023-11-15T00:00:00Z\", lt: \"2023-11-15T01:00:00Z\"}",
        "createdAt: {gte: \"2020-01-01T00:00:00Z\", lt: \"2030-01-01T00:00:00Z\"}",
        "updatedAt: {gte: \"2020-01-01T00:00:00Z\"}",
    ] {
        for (_, order, _) in ORDERS {
            let arguments = format!("first: 20, filter: {{{filter}}}, orderBy: {{field: {order}}}");
            let statement = statement(server, "", &arguments).await;
            let plan = explainer.explain(&statement).await;
            assert!(plan.visited <= ROWS_VISITED, "{arguments}\n{plan:?}");
        }
    }
}

/// Pages in the orders of other columns: an index gives each part of the list, from either end.
async fn check_other_orders(server: &Server, explainer: &mut Explainer) {
    const FIELDS: [(&str, &str); 8] = [
        ("STATUS", "personal_connector_by_status"),
        ("TYPE", "personal_connector_by_type"),
        ("CATEGORY", "personal_connector_by_category"),
        ("OUTCOME", "connector_health_by_outcome"),
        ("CHECKED_AT", "connector_health_by_checked_at"),
        ("LATENCY", "connector_health_by_latency_ms"),
        ("UPTIME", "connector_health_by_uptime"),
        ("TOOL_COUNT", "connector_health_by_tool_count"),
    ];
    let member = &tokens(server)[1];
    let mut slow = Vec::new();
    for (field, index) in FIELDS {
        for direction in ["ASC", "DESC"] {
            let order = format!("orderBy: {{field: {field}, direction: {direction}}}");
            let page = format!(
                "{{ personalConnectors(first: 100, {order}) {{ pageInfo {{ startCursor endCursor }} }} }}"
            );
            let data = server.data(member, &page, json!({})).await;
            let cursor = data["personalConnectors"]["pageInfo"]["endCursor"]
                .as_str()
                .unwrap();
            for page in [
                "first: 20".to_owned(),
                "last: 20".to_owned(),
                format!("first: 20, after: \"{cursor}\""),
                format!("last: 20, before: \"{cursor}\""),
            ] {
                let arguments = format!("{page}, {order}");
                let statement = statement(server, member, &arguments).await;
                let plan = explainer.explain(&statement).await;
                let most = match explainer {
                    Explainer::Sqlite(_) => 2 * STEPS,
                    Explainer::Postgres(_) => 2 * ROWS_VISITED,
                };
                if plan.visited > most || !plan.text.contains(index) {
                    slow.push(format!("{arguments}: {plan:?}"));
                }
            }
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

/// Filters by results of checks, which are in other tables.
async fn check_found(server: &Server, explainer: &mut Explainer) {
    // The factor for the limit of a page, on SQLite and on PostgreSQL.
    for (filter, sqlite, postgres) in [
        ("outcome: OPEN", 1, 1),
        ("outcome: [TIMEOUT, AUTH_REQUIRED]", 1, 1),
        // PostgreSQL first reads all stored results of checks, of each connector.
        ("not: {outcome: OPEN}", 1, 201),
        // The few matches of a rare tool are found first, then sorted.
        ("toolName: \"rare\"", 1, 1),
        ("toolName: \"some\"", 20, 20),
    ] {
        if filter.starts_with("toolName") {
            explainer.plan_for_values().await;
        }
        for (_, order, _) in ORDERS {
            let arguments = format!("first: 20, filter: {{{filter}}}, orderBy: {{field: {order}}}");
            let statement = statement(server, "", &arguments).await;
            let plan = explainer.explain(&statement).await;
            let most = match explainer {
                Explainer::Sqlite(_) => sqlite * STEPS,
                Explainer::Postgres(_) => postgres * ROWS_VISITED,
            };
            assert!(plan.visited <= most, "{arguments}\n{plan:?}");
        }
    }
}

/// Lists by owner: an index leads to those of one user, and a scan of the order's index skips other organizations.
async fn check_owned(server: &Server, explainer: &mut Explainer) {
    let member = "user7_3@organization7";
    let (write, admin) = (["connectors:write"], ["connectors:admin"]);
    let root = ["catalog:admin", "connectors:write"];
    let of_user = Some("personal_connector_by_created_by");
    for (filter, scopes, index) in [
        ("mine: true", &write[..], of_user),
        ("mine: true", &admin, of_user),
        ("mine: true", &root, of_user),
        ("viewerCanUpdate: true", &write, of_user),
        ("viewerCanUpdate: true", &root, of_user),
        ("viewerCanUpdate: true", &admin, None),
        ("organizationId: \"organization7\"", &admin, None),
        ("organizationId: \"organization7\"", &root, None),
        ("organizationId: [null]", &root, None),
    ] {
        if index.is_some() {
            explainer.plan_once().await;
        } else {
            explainer.plan_for_values().await;
        }
        let token = server.token(member, scopes);
        for (_, order, _) in ORDERS {
            let arguments = format!("first: 20, filter: {{{filter}}}, orderBy: {{field: {order}}}");
            let statement = statement(server, &token, &arguments).await;
            let plan = explainer.explain(&statement).await;
            let most = match explainer {
                Explainer::Sqlite(_) => STEPS,
                Explainer::Postgres(_) => ROWS_VISITED,
            };
            let is_by_index = index.is_none_or(|index| plan.text.contains(index));
            assert!(
                is_by_index && plan.visited <= most,
                "{arguments} {scopes:?}\n{plan:?}"
            );
        }
    }
}

/// Every page of a log without visible events visits as much as the first.
async fn check_feed(server: &Server, explainer: &mut Explainer) {
    let (look, each) = (u64::try_from(SCAN).unwrap(), 30);
    let index = "connector_event_pkey";
    for filter in ["", "filter: {category: DESIGN, status: ACTIVE}"] {
        for token in &tokens(server)[..3] {
            let (mut after, mut pages) = (Value::Null, 0);
            loop {
                server.forget_reads();
                let query = format!(
                    "query($after: String) {{ personalConnectorChanges(after: $after, {filter}) {{
                        nodes {{ kind }} pageInfo {{ hasNextPage endCursor }} }} }}"
                );
                let data = server.data(token, &query, json!({ "after": after })).await;
                let page = &data["personalConnectorChanges"];
                assert!(pages == 0 || page["nodes"] == json!([]), "{page}");
                assert_ne!(after, page["pageInfo"]["endCursor"]);
                after = page["pageInfo"]["endCursor"].clone();
                let sql = server.reads.lock().unwrap()[0].clone();
                if pages % 10 == 1 {
                    let plan = explainer.explain(&sql).await;
                    let bounded = if plan.text.starts_with("SEARCH connector_event USING") {
                        plan.visited <= look * each
                    } else {
                        plan.text.contains(&format!("Index Scan {index}"))
                            && !plan.text.contains("Seq Scan")
                            && plan.visited <= look
                    };
                    assert!(bounded, "{filter}\n{plan:?}");
                }
                pages += 1;
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(pages, 21, "{filter}");
        }
    }
}

/// Changes of named connectors are found by their index, whatever else is in the log. Their first page is full.
async fn check_histories(server: &Server, explainer: &mut Explainer) {
    let index = "connector_event_by_personal_connector_id";
    // Each has a thousand events that only administrators of the catalogue see.
    let (of_one, each) = (1000, 60);
    let page = "nodes { kind } pageInfo { hasNextPage hasPreviousPage }";
    let list = "personalConnectors(first: 100, filter: {createdBy: \"zoe\"}) { nodes";
    for (query, is_of_root, connectors, seen) in [
        (
            format!(
                "personalConnectorChanges(filter: {{personalConnectorId: \"pcon_7\"}}) {{ {page} }}"
            ),
            true,
            1,
            20,
        ),
        (
            format!(
                "personalConnectorChanges(filter: {{personalConnectorId: \"pcon_7\"}}, last: 20) {{ {page} }}"
            ),
            true,
            1,
            20,
        ),
        (
            format!(
                "personalConnectorChanges(filter: {{personalConnectorId: [\"pcon_7\", \"pcon_8\"]}}, last: 20) {{ \
                 {page} }}"
            ),
            true,
            2,
            2000,
        ),
        (
            format!("{list} {{ lastChange {{ kind }} }} }}"),
            false,
            20,
            1,
        ),
        (
            format!("{list} {{ changes(first: 5) {{ {page} }} }} }}"),
            false,
            20,
            5,
        ),
        (
            format!("{list} {{ changes(last: 5) {{ {page} }} }} }}"),
            false,
            20,
            5,
        ),
    ] {
        for (at, token) in tokens(server).iter().enumerate() {
            server.forget_reads();
            let data = server
                .data(token, &format!("{{ {query} }}"), json!({}))
                .await;
            let sees = at == 3;
            let read = &data["personalConnectorChanges"];
            if is_of_root {
                assert_eq!(
                    read["nodes"].as_array().unwrap().len(),
                    if sees { 20 } else { 0 },
                    "{query}"
                );
                let pages = (
                    &read["pageInfo"]["hasNextPage"],
                    &read["pageInfo"]["hasPreviousPage"],
                );
                assert_eq!(pages == (&json!(false), &json!(false)), !sees, "{query}");
            } else {
                let nodes = data["personalConnectors"]["nodes"].as_array().unwrap();
                assert_eq!(nodes.len(), if sees { 20 } else { 0 });
            }
            let sql = server.reads.lock().unwrap().clone();
            let Some(sql) = sql
                .into_iter()
                .find(|read| read.sql.contains("\"visibility_before\""))
            else {
                assert!(!is_of_root && !sees, "{query}");
                continue;
            };
            let plan = explainer.explain(&sql).await;
            // A viewer who sees none of them visits all. A viewer who sees them visits those on the page, and the next
            // one.
            let events = connectors * if sees { seen + 2 } else { of_one + 1 };
            let most = match explainer {
                Explainer::Sqlite(_) => events * each + 2000,
                Explainer::Postgres(_) => 2 * events + 1000,
            };
            let by_index =
                plan.text.contains(index) && !plan.text.contains("Seq Scan connector_event");
            assert!(by_index && plan.visited <= most, "{query}\n{plan:?}");
        }
    }
}

on_both! {
    async fn pages_of_a_long_log_look_at_a_part_of_it(server: Server) {
        let mut explainer = Explainer::connect(&server).await;
        explainer.execute(FILL_LOG).await;
        explainer
            .execute("UPDATE catalog_state SET state = state + 200000")
            .await;
        // Some of the connectors exist.
        let rows: Vec<_> = (0..20)
            .map(|n| {
                custom(
                    &n.to_string(),
                    &format!("Zoe {n}"),
                    "zoe@elsewhere",
                    ConnectorVisibility::Private,
                )
            })
            .collect();
        server.insert(rows).await;
        for analyzed in [false, true] {
            if analyzed {
                explainer.execute("ANALYZE").await;
            }
            check_feed(&server, &mut explainer).await;
            check_histories(&server, &mut explainer).await;
        }
    }

    async fn pages_of_200_000_rows_walk_an_index(server: Server) {
        // The same page is read again, because another plan may be used.
        let server = Server::start(
            server.storage.clone(),
            &["--answer-cache-mb", "0"],
            server.clock.clone(),
        )
        .await;
        let mut explainer = Explainer::connect(&server).await;
        explainer.execute(FILL).await;
        for sql in FILL_HEALTH {
            explainer.execute(sql).await;
        }
        if matches!(explainer, Explainer::Sqlite(_)) {
            // The state of an SQLite file after a few writes, which nothing analyzes.
            check_indexed_pages(&server, &mut explainer).await;
            check_walks(&server, &mut explainer).await;
            check_found(&server, &mut explainer).await;
            check_owned(&server, &mut explainer).await;
            check_other_orders(&server, &mut explainer).await;
            // The state after a large import.
            explainer.execute("PRAGMA analysis_limit = 1000").await;
            for sql in [
                "ANALYZE personal_connector",
                "ANALYZE connector_health",
                "ANALYZE connector_tool",
            ] {
                explainer.execute(sql).await;
            }
            check_indexed_pages(&server, &mut explainer).await;
            check_walks(&server, &mut explainer).await;
            check_found(&server, &mut explainer).await;
            check_other_orders(&server, &mut explainer).await;
            explainer.execute("PRAGMA analysis_limit = 0").await;
        }
        explainer.execute("ANALYZE").await;
        check_indexed_pages(&server, &mut explainer).await;
        check_walks(&server, &mut explainer).await;
        if matches!(explainer, Explainer::Postgres(_)) {
            check_values(&server, &mut explainer).await;
        }
        check_found(&server, &mut explainer).await;
        check_owned(&server, &mut explainer).await;
        check_other_orders(&server, &mut explainer).await;
    }
}

/// Shows the planner setting of each statement: a trigger writes it into a row that the list returns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn postgres_plans_pages_once_and_the_rest_for_its_values() {
    let server = Server::on_postgres(&[]).await;
    let mut other = Other::connect(&server).await;
    let note = "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN NEW.description := current_setting(''plan_cache_mode''); RETURN NEW; END';
         CREATE TRIGGER note BEFORE INSERT ON personal_connector FOR EACH ROW EXECUTE FUNCTION note()";
    other.run("", note).await;
    let (once, each) = ("force_generic_plan", "auto");
    let ann = server.token("ann@acme", WRITE);
    server.create(&ann, once, "PRIVATE").await;
    server.create(&ann, each, "PRIVATE").await;
    let show = "ALTER TABLE personal_connector RENAME TO connectors;
         CREATE VIEW personal_connector AS SELECT * FROM connectors WHERE name = current_setting('plan_cache_mode')";
    other.run("", show).await;
    for (arguments, mode) in [
        ("filter: {visibility: PRIVATE}", once),
        ("search: \"auto\"", each),
        (
            "filter: {or: [{toolName: \"x\"}, {not: {toolName: \"x\"}}]}",
            each,
        ),
    ] {
        let list = format!("personalConnectors({arguments}) {{ nodes {{ name description }} }}");
        // A single statement, and several that share a transaction.
        for query in [
            format!("{{ a: {list} }}"),
            format!("{{ a: {list} b: {list} }}"),
        ] {
            let data = server.data(&ann, &query, json!({})).await;
            for list in data.as_object().unwrap().values() {
                assert_eq!(
                    list["nodes"],
                    json!([{ "name": mode, "description": each }]),
                    "{query}"
                );
            }
        }
    }
}
