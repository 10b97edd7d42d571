//! Benchmarks of the phases of a response, each alone and in a process without a socket.
//!
//! `cargo bench -p benches` runs them on SQLite, and prints the changes since the last run.

use std::{hint::black_box, sync::Arc};

use async_graphql::{Response, Variables};
use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode, header},
};
use clap::Parser;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fixtures::published::{official, with};
use http_body_util::BodyExt;
use mimalloc::MiMalloc;
use personal_connectors::{
    answer_budget::AnswerBudget,
    app,
    clock::Clock,
    commands,
    config::{Cli, OperationLimits},
    domain::viewer::{ProfileParts, Viewer},
    graphql::{self, Schema},
    http::Routes,
    outbound::Outbound,
    pipeline::{encode, measure},
    store::{Catalog, ChangeFollower, Database, State},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The service's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const LIST: &str = "query List($filter: PersonalConnectorFilter, $first: Int) {
  personalConnectors(filter: $filter, first: $first, orderBy: {field: CREATED_AT, direction: DESC}) {
    nodes { id name type connectorId description category version status serverUrl metadata updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}";
const BY_ID: &str = "query ById($id: ID!) {
  personalConnector(id: $id) {
    id object name type connectorId description iconUrl category version status serverUrl serverType metadata \
    createdAt updatedAt
  }
}";

/// A service with a database of its own.
struct Service {
    routes: Routes,
    schema: Schema,
    database: Database,
    commands: commands::Context,
    changes: Arc<ChangeFollower>,
    _state: State,
    _folder: TempDir,
}

impl Service {
    /// Starts a service with one page of connectors in the category development, and as many in each other category.
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let catalog = folder.path().join("catalog.json");
        std::fs::write(&catalog, connectors().to_string())?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let url = format!("sqlite://{}", path("connectors.db"));
        let line = [
            "personal-connectors",
            "--database-url",
            &url,
            "--jwt-secret",
            "a secret of the benches, of 32 bytes at least",
            "--catalog",
            &path("catalog.json"),
        ];
        let config = Cli::try_parse_from(line)?.serve;
        let clock = Clock::system();
        let database = app::open(&config.database()).await?;
        let inputs = app::Inputs::read(&config, &clock).await?;
        let outbound = Outbound::new(&config.outbound.rules()?)?;
        let routers = app::routers(&config, inputs, database.clone(), clock.clone(), None).await?;
        let state = State::poll(database.clone(), config.state_poll);
        Ok(Self {
            routes: routers.main,
            schema: graphql::schema(true),
            commands: commands::Context {
                profile_parts: ProfileParts::default(),
                database: database.clone(),
                key_clock: commands::Context::key_clock(clock.clone()),
                clock,
                quota: 1,
                inspections: Arc::new(app::inspections(&config, outbound, &Clock::system())?),
                schedule: config.mcp.checks.schedule(),
            },
            changes: Arc::new(ChangeFollower::start(database.clone(), &state)),
            database,
            _state: state,
            _folder: folder,
        })
    }

    /// Executes an operation like the pipeline.
    async fn execute(&self, request: async_graphql::Request) -> Response {
        let viewer = Viewer::Anonymous;
        let catalog = Catalog::new(self.database.clone(), viewer.sight());
        let request = request.data(graphql::Request {
            viewer: Arc::new(viewer),
            catalog,
            merges: false,
            commands: self.commands.clone(),
            changes: self.changes.clone(),
            unsubscribed: CancellationToken::new(),
            permit: Arc::default(),
            turn: graphql::Turn::default(),
            event_ids: graphql::EventIds::default(),
            budget: AnswerBudget::unbounded(),
        });
        self.schema.execute(request).await
    }

    /// Answers a complete request, without a socket.
    async fn answer(&self, body: Bytes) -> Bytes {
        let request = Request::post("/graphql")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            // A cached response would skip the other phases.
            .header(header::CACHE_CONTROL, "no-cache")
            .body(Body::from(body))
            .expect("a request");
        let response = self.routes.answer(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await;
        body.expect("a whole answer").to_bytes()
    }
}

fn connectors() -> Value {
    let categories = ["development", "productivity", "communication", "design"];
    let connectors = (0..100).flat_map(|number| {
        categories.map(|category| {
            let id = format!("{category}{number}");
            let more = json!({
                "description": "connects your workspace to the team and keeps records in sync with every change that \
                                people make",
                "category": category,
                "version": "1.2.3",
                "serverUrl": format!("https://mcp-{number}.example.com/v1"),
                "serverType": "http",
                "metadata": {
                    "transport": "sse", "tools": number, "tags": ["calendar", "team", "sync"],
                    "auth": { "kind": "oauth2", "scopes": ["read", "write"] },
                },
                "createdAt": format!("2025-01-01T00:{:02}:{:02}.5Z", number / 60, number % 60),
            });
            with(official(&id, &format!("Calendar {category} {number}")), more)
        })
    });
    Value::Array(connectors.collect())
}

/// An operation in the form that a client sends.
#[derive(Clone)]
struct Operation {
    name: &'static str,
    document: &'static str,
    variables: Value,
}

fn operations() -> [Operation; 2] {
    [
        Operation {
            name: "list",
            document: LIST,
            variables: json!({ "filter": { "category": ["DEVELOPMENT"], "status": ["ACTIVE"] }, "first": 20 }),
        },
        Operation {
            name: "by id",
            document: BY_ID,
            variables: json!({ "id": "pcon_development42" }),
        },
    ]
}

impl Operation {
    fn body(&self) -> Bytes {
        json!({ "query": self.document, "variables": self.variables })
            .to_string()
            .into()
    }

    /// Returns the request with a parsed document, as from the document cache.
    fn request(&self) -> async_graphql::Request {
        let parsed = async_graphql::parser::parse_query(self.document).expect("a document");
        let mut request = async_graphql::Request::new(String::new())
            .variables(Variables::from_json(self.variables.clone()));
        request.set_parsed_query(parsed);
        request
    }
}

fn phases(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let service = runtime.block_on(Service::start()).expect("a service");

    // An uncached document is scanned and parsed, and its cost is computed.
    for Operation { name, document, .. } in operations() {
        criterion.bench_function(&format!("prepare: a new document, {name}"), |bench| {
            bench.iter(|| measure(black_box(document), OperationLimits::default()));
        });
    }
    // HTTP, and the preparation of a document that needs no database.
    let nothing = Bytes::from(r#"{"query":"{ __typename }"}"#);
    criterion.bench_function("prepare: a cached document without a read", |bench| {
        bench
            .to_async(&runtime)
            .iter(|| service.answer(nothing.clone()));
    });

    for operation in operations() {
        let name = operation.name;
        let request = || operation.request();
        let response = runtime.block_on(service.execute(request()));
        assert!(response.errors.is_empty(), "{:?}", response.errors);
        criterion.bench_function(&format!("execute: {name}"), |bench| {
            bench.to_async(&runtime).iter_batched(
                request,
                |request| service.execute(request),
                BatchSize::SmallInput,
            );
        });
        criterion.bench_function(&format!("encode: {name}"), |bench| {
            bench.iter(|| encode(black_box(&response)));
        });
        let body = operation.body();
        criterion.bench_function(&format!("all of them: {name}"), |bench| {
            bench
                .to_async(&runtime)
                .iter(|| service.answer(body.clone()));
        });
    }
}

criterion_group!(benches, phases);
criterion_main!(benches);
