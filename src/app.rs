//! Builds the running service from its configuration.

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    task::JoinHandle,
    time::{self, Instant},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    answer_budget::Answers,
    clock::Clock,
    commands,
    config::{Check, DatabaseSettings, OperationLimits, Serve},
    graphql,
    http::{
        self, Background, Probed, Routes, Services,
        admission::{
            Admission, client_address::TrustedProxies, concurrency::ConcurrencyLimit,
            open_streams::OpenStreams, rate_limit::RateLimit,
        },
        auth::Authenticator,
        graphql::response_cache::ResponseCache,
        stopping::{Phase, Stopping},
    },
    interchange::builtin::{self, CatalogFile},
    mcp::{guard::Guard, handshake::Inspector, inspections::Inspections, memory::Memory},
    monitor::{self, Monitor},
    observability::telemetry::{Tracer, Traces},
    outbound::Outbound,
    pipeline::{
        ExpensiveQueries, Pipeline,
        documents::{Documents, Trusted},
    },
    store::{
        ChangeFollower, DamageCheck, Database, OpenError, Retention, State, WriteWatch,
        keep_running,
    },
};

/// The delay before the catalogue file is loaded again, if the database cannot be written.
const LOAD_AGAIN: Duration = Duration::from_secs(1);

/// The running service: its routes and background tasks.
#[derive(Debug)]
pub struct App {
    /// The routes to serve. They own the tasks that poll the database.
    pub routers: Routers,
    database: Database,
    retention: Option<Retention>,
    damage_check: DamageCheck,
    /// The task that stops the monitor when the service stops, and waits for its end.
    monitor: Option<JoinHandle<()>>,
    collector: Option<Traces>,
}

/// The inputs of a start, read before the database is changed.
#[expect(missing_debug_implementations, reason = "the schema has none")]
pub struct Inputs {
    outbound: Outbound,
    catalog: CatalogFile,
    validator: graphql::Schema,
    documents: Documents,
    authenticator: Authenticator,
}

impl Inputs {
    /// Reads the inputs. Creates a missing secret, but not beside another program's file.
    pub async fn read(config: &Serve, clock: &Clock) -> anyhow::Result<Self> {
        let outbound = Outbound::new(&config.outbound.rules()?)?;
        Database::refuse_foreign_file(&config.database()).await?;
        let rules = config.token_rules()?;
        let limits = OperationLimits {
            max_tokens: config.limits.max_tokens,
            max_depth: config.limits.max_depth,
            max_fields: config.limits.max_fields,
            max_complexity: config.limits.max_complexity,
            max_values: config.limits.max_values,
            max_aliases: config.limits.max_aliases,
            max_directives: config.limits.max_directives,
            introspection: config.introspection,
        };
        let validator = graphql::validator(config.introspection);
        let trusted = match &config.trusted_documents {
            Some(file) => Some(Trusted::read(file, limits, &validator).await?),
            None => None,
        };
        Ok(Self {
            catalog: CatalogFile::read(config.catalog.as_deref())?,
            validator,
            documents: Documents::new(config.limits.document_cache_mb << 20, limits, trusted),
            authenticator: Authenticator::new(rules, outbound.clone(), clock.clone()).await?,
            outbound,
        })
    }
}

/// The routers, by listener.
#[derive(Debug)]
pub struct Routers {
    /// All routes. `/metrics` is among them only if the metrics have no listener of their own.
    pub main: Routes,
    /// The metrics, if they have a listener of their own.
    pub metrics: Option<Router>,
    /// The phase of the stop, which all routes follow.
    pub stopping: Stopping,
    /// The inspector for callers. The monitor shares its memory and lookups.
    pub(crate) inspector: Inspector,
}

impl App {
    /// Opens and migrates the database, and loads the catalogue.
    pub async fn start(config: &Serve, inputs: Inputs, clock: Clock) -> anyhow::Result<Self> {
        let collector = match &config.otlp_endpoint {
            Some(url) => Some(Traces::to(url, inputs.outbound.clone())?),
            None => None,
        };
        let tracer = collector.as_ref().map(Traces::tracer);
        let database = open(&config.database()).await?;
        let routers = routers(config, inputs, database.clone(), clock.clone(), tracer).await?;
        let monitor = if config.mcp.monitor && !config.read_only {
            let inspector = routers.inspector.within(config.mcp.checks.limits());
            let monitor = monitor(config, database.clone(), inspector, clock.clone());
            let stops = routers.stopping.reached(Phase::Draining);
            Some(tokio::spawn(async move {
                stops.await;
                monitor.stop().await;
            }))
        } else {
            None
        };
        let retention = (!config.read_only)
            .then(|| Retention::start(database.clone(), config.event_retention, clock));
        Ok(Self {
            routers,
            damage_check: DamageCheck::start(&database),
            database,
            retention,
            monitor,
            collector,
        })
    }

    /// Closes the database and sends the last spans. Call this after the routers have stopped.
    ///
    /// A change that is unfinished at the deadline is rolled back.
    pub async fn stop(self, deadline: Instant) -> anyhow::Result<()> {
        // The routers own the tasks that poll the database.
        drop((self.routers, self.retention));
        let close = async {
            if let Some(monitor) = self.monitor {
                let _ = monitor.await;
            }
            self.damage_check.stop().await;
            self.database.close().await
        };
        let close = time::timeout_at(deadline, close);
        let flush = async {
            if let Some(collector) = self.collector {
                collector.stop(deadline).await;
            }
        };
        let (closed, ()) = tokio::join!(close, flush);
        closed.unwrap_or_else(|_| {
            tracing::warn!("the database could not be closed within --shutdown-timeout");
            Ok(())
        })?;
        Ok(())
    }
}

/// Loads the catalogue into an open database, and builds the routers.
pub async fn routers(
    config: &Serve,
    inputs: Inputs,
    database: Database,
    clock: Clock,
    tracer: Option<Tracer>,
) -> anyhow::Result<Routers> {
    let Inputs {
        outbound,
        catalog,
        validator,
        documents,
        authenticator,
    } = inputs;
    let background = Background {
        _write_watch: (!config.read_only).then(|| WriteWatch::start(database.clone())),
        loading: load(config, catalog, &database, &clock).await?,
    };
    let state = Arc::new(State::poll(database.clone(), config.state_poll));
    let changes = ChangeFollower::start(database.clone(), &state);
    let stopping = Stopping::default();
    let inspections = inspections(config, outbound, &clock)?;
    let inspector = inspections.inspector().clone();
    let commands = commands::Context {
        database: database.clone(),
        clock: clock.clone(),
        key_clock: commands::Context::key_clock(clock.clone()),
        profile_parts: config.tokens.profile_parts(),
        quota: config.limits.max_per_user,
        inspections: Arc::new(inspections),
        schedule: config.mcp.checks.schedule(),
    };
    let (main, metrics) = http::routes(Services {
        pipeline: Arc::new(Pipeline {
            schema: graphql::schema(config.introspection),
            introspector: graphql::introspector(config.introspection),
            validator,
            documents,
            commands,
            changes: Arc::new(changes),
            answers: Answers::new(
                usize::try_from(config.limits.max_answer_bytes)?,
                usize::try_from(config.limits.answer_memory_mb << 20)?,
                usize::try_from(config.limits.answer_cache_mb << 20)?,
            ),
            expensive: ExpensiveQueries::new(usize::try_from(config.expensive_queries())?),
            timeout: config.limits.request_timeout,
        }),
        admission: Admission::new(
            ConcurrencyLimit::new(usize::try_from(config.max_concurrency())?),
            RateLimit::new(
                config.limits.rate_limit,
                TrustedProxies::new(
                    config.limits.trusted_proxy.clone(),
                    config.limits.proxy_header,
                ),
                clock.clone(),
            ),
            authenticator,
        ),
        responses: ResponseCache::new(config.limits.answer_cache_mb << 20, state.clone()),
        open_streams: OpenStreams::new(
            config.limits.max_sockets as usize,
            config.limits.max_socket_operations as usize,
            (config.limits.socket_memory_mb as usize) << 20,
        ),
        stopping: stopping.clone(),
        max_body_bytes: usize::try_from(config.limits.max_body_bytes)?,
        body_memory: config.limits.body_memory(),
        request_timeout: config.limits.request_timeout,
        has_schema_file: config.schema_file.unwrap_or(config.introspection),
        console: config.console.clone(),
        allowed_origins: config.cors_origin.clone(),
        allowed_headers: config.cors_header.clone(),
        probed: Probed {
            database,
            state,
            state_poll: config.state_poll,
            background,
        },
        tracer,
        clock,
    });
    let (main, metrics) = if config.metrics_listen.is_empty() {
        (main.with(metrics), None)
    } else {
        (main, Some(metrics))
    };
    Ok(Routers {
        main,
        metrics,
        stopping,
        inspector,
    })
}

/// Loads the catalogue file. If the database cannot be written, a task retries.
async fn load(
    config: &Serve,
    file: CatalogFile,
    database: &Database,
    clock: &Clock,
) -> anyhow::Result<Option<AbortOnDropHandle<()>>> {
    if config.read_only {
        return Ok(None);
    }
    let Err(error) = builtin::load(database, clock, &file).await else {
        return Ok(None);
    };
    if database.unwritable().is_none() {
        return Err(error);
    }
    let (database, clock) = (database.clone(), clock.clone());
    let loading = keep_running(move || load_later(database.clone(), clock.clone(), file.clone()));
    Ok(Some(AbortOnDropHandle::new(loading)))
}

async fn load_later(database: Database, clock: Clock, file: CatalogFile) {
    let mut logged = String::new();
    loop {
        time::sleep(LOAD_AGAIN).await;
        let Err(error) = builtin::load(&database, &clock, &file).await else {
            return;
        };
        let cause = format!("{error:#}");
        if cause != logged {
            tracing::warn!(
                cause,
                "the catalogue file is not loaded: the service tries again"
            );
            logged = cause;
        }
    }
}

/// Builds the inspector that serves callers.
pub fn inspections(
    config: &Serve,
    outbound: Outbound,
    clock: &Clock,
) -> anyhow::Result<Inspections> {
    let (limits, wait) = config.mcp.limits(config.limits.request_timeout)?;
    let guard = Guard::new(config.mcp.servers.rules());
    Ok(Inspections::new(
        Inspector::new(guard, outbound, Memory::default(), limits, clock.clone()),
        config.mcp.max_inspections.into(),
        wait,
        config.mcp.inspection_rate,
        clock.clone(),
    ))
}

/// Builds the inspector of the `check` command.
pub fn checker(config: &Check, clock: &Clock) -> anyhow::Result<Inspector> {
    let outbound = Outbound::new(&config.outbound.rules()?)?;
    let guard = Guard::new(config.servers.rules());
    let limits = config.checks.limits();
    Ok(Inspector::new(
        guard,
        outbound,
        Memory::default(),
        limits,
        clock.clone(),
    ))
}

fn monitor(config: &Serve, database: Database, inspector: Inspector, clock: Clock) -> Monitor {
    let checks = &config.mcp.checks;
    let settings = monitor::Settings {
        bounds: checks.bounds(),
        schedule: checks.schedule(),
        lease: monitor::LEASE,
    };
    Monitor::start(database, inspector, settings, clock)
}

/// Opens the database and migrates it, or fails if its schema is outdated and the settings forbid that.
pub async fn open(settings: &DatabaseSettings) -> Result<Database, OpenError> {
    let database = Database::open(settings).await?;
    if !settings.migrates {
        database.check_migrated().await?;
        return Ok(database);
    }
    let applied = database.migrate().await?;
    if applied > 0 {
        tracing::info!(applied, "migrated the database");
    }
    Ok(database)
}
