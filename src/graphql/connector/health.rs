//! Results of the checks of a connector's MCP server.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject, connection::PageInfo};

use crate::{
    domain::{
        check_history::{Bucket, Buckets, History, HistoryPage, PastCheck, Uptime},
        cursor,
        inspection::{Health, is_deprecated},
    },
    error::{Error, Result},
    graphql::Request,
};

use crate::graphql::{
    inspection::{InspectionOutcome, McpServerInfo, McpTransport},
    list::List,
    page_info::forwards,
    scalars::{DateTime, Json, Url},
    text::Text,
};

use super::{inputs::DateTimeRange, loader::Loader};

/// Hours of a day.
const DAY: i32 = 24;

/// The result of the last check of a connector's server.
pub(in crate::graphql) struct ConnectorHealth {
    pub(in crate::graphql) seq: i64,
    pub(in crate::graphql) loader: Arc<Loader>,
    pub(in crate::graphql) health: Arc<Health>,
}

impl ConnectorHealth {
    async fn uptime_of(&self, context: &Context<'_>, hours: Option<i32>) -> Result<Option<Uptime>> {
        let request = Request::of(context);
        let now = request.commands.clock.now();
        let hours = hours.unwrap_or(DAY);
        let uptime = self.loader.uptime(&request.catalog, self.seq, hours, now);
        Ok(uptime.await?.map(|uptime| *uptime))
    }
}

/// The result of the last check of a connector's MCP server. The server's own texts are cut to bounds and are not
/// verified.
#[Object]
impl ConnectorHealth {
    /// The outcome, for programs.
    async fn outcome(&self) -> InspectionOutcome {
        self.health.outcome.into()
    }

    /// Since when the outcome holds: the time of the first check in a row that found it.
    async fn since(&self) -> DateTime {
        DateTime(self.health.since)
    }

    /// The outcome in words, for people.
    async fn message(&self) -> Text<'_> {
        Text::new(&self.health.message)
    }

    /// When it was made.
    async fn checked_at(&self) -> DateTime {
        DateTime(self.health.checked_at)
    }

    /// When the next check is due; null if there is nothing to check. It is made soon after, as far as the operator has servers
    /// checked.
    async fn next_check_at(&self) -> Option<DateTime> {
        self.health.next_check_at.map(DateTime)
    }

    /// Milliseconds until the server had said what it is; null where it did not.
    async fn latency_ms(&self) -> Option<i64> {
        self.health.latency_ms
    }

    /// How the server was spoken to; null where it was not.
    async fn transport(&self) -> Option<McpTransport> {
        self.health.transport.map(Into::into)
    }

    /// Whether MCP has deprecated the transport, as it has HTTP+SSE (MCP 2026-07-28, Deprecated Features).
    async fn is_transport_deprecated(&self) -> bool {
        self.health.transport.is_some_and(is_deprecated)
    }

    /// The revision of MCP that is spoken, such as `2025-11-25`.
    async fn protocol_version(&self) -> Option<Text<'_>> {
        self.health.protocol_version.as_deref().map(Text::new)
    }

    /// The server's name, version and description, as it gives them.
    async fn server_info(&self) -> Option<McpServerInfo<'_>> {
        self.health.server_info.as_ref().map(McpServerInfo)
    }

    /// Settings of the extensions that the server declares, by the extensions' names (MCP 2026-07-28, `extensions`): an object. Null
    /// if it declares none, or more than 16 KiB.
    async fn extensions(&self) -> Option<Text<'_, Json>> {
        self.health.extensions.as_deref().map(Text::new)
    }

    /// When the tools that are kept were listed; null if they never were. It is before `checkedAt` if the last check could not list
    /// them: a server that asks for a sign-in, or does not answer, keeps the tools that it had.
    async fn tools_checked_at(&self) -> Option<DateTime> {
        self.health.tools_checked_at.map(DateTime)
    }

    /// Issuers of the tokens that the server takes, where it asks for a sign-in and names them (RFC 9728).
    async fn authorization_servers(&self) -> List<Text<'_, Url>> {
        Text::list(&self.health.authorization_servers)
    }

    /// The share of the checks of the last hours that found the server OPEN or `AUTH_REQUIRED`, from 0 to 1; null where there was none
    /// in that time. Only checks that are kept count, which may be of fewer hours: see `uptimeHours`.
    async fn uptime(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "How many hours, from 1 to 8760. Null means the default.",
            default_with = "Some(DAY)"
        )]
        hours: Option<i32>,
    ) -> Result<Option<f64>> {
        let uptime = self.uptime_of(context, hours).await?;
        Ok(uptime.map(|uptime| uptime.share))
    }

    /// How many of the last hours `uptime` covers, since only so many checks are kept: up to now from the oldest check that is kept,
    /// or from the beginning of the hours. Null where `uptime` is.
    async fn uptime_hours(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "How many hours, as given to `uptime`. Null means the default.",
            default_with = "Some(DAY)"
        )]
        hours: Option<i32>,
    ) -> Result<Option<f64>> {
        let uptime = self.uptime_of(context, hours).await?;
        Ok(uptime.map(|uptime| uptime.hours))
    }

    /// The kept checks of the last hours, counted in buckets of equal length, for a chart.
    async fn buckets(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "How many hours, from 1 to 8760. Null means the default.",
            default_with = "Some(DAY)"
        )]
        hours: Option<i32>,
        #[graphql(
            desc = "How many buckets, from 1 to 100. Null means the default.",
            default_with = "Some(DAY)"
        )]
        count: Option<i32>,
    ) -> Result<HealthBuckets> {
        let request = Request::of(context);
        let now = request.commands.clock.now();
        let asked = (hours.unwrap_or(DAY), count.unwrap_or(DAY));
        let buckets = self
            .loader
            .buckets(&request.catalog, self.seq, asked, now)
            .await?;
        buckets
            .map(HealthBuckets)
            .ok_or_else(|| Error::internal("the buckets of a connector of another list"))
    }

    /// The last checks, the latest first. Of those that are kept: the operator says how many.
    async fn history(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many to give at most, from 0 to 100. The default is 20.")]
        first: Option<i32>,
        #[graphql(desc = "Give checks after this cursor, which are earlier ones.")] after: Option<
            String,
        >,
        #[graphql(desc = "Give checks that were made in this range.")] range: Option<DateTimeRange>,
    ) -> Result<ConnectorCheckConnection> {
        let page = HistoryPage::parse(first, after.as_deref(), range.map(Into::into))?;
        let catalog = &Request::of(context).catalog;
        let history = self.loader.history(catalog, self.seq, page).await?;
        Ok(ConnectorCheckConnection {
            history: history.unwrap_or_default(),
            page,
        })
    }
}

pub(in crate::graphql) struct HealthBuckets(Arc<Buckets>);

impl HealthBuckets {
    fn each<T>(&self, of: impl Fn(&Bucket) -> T) -> List<T> {
        self.0.buckets.iter().map(of).collect()
    }
}

/// Checks counted in buckets of equal length, the earliest first: each list has an item a bucket. A bucket begins at a multiple of
/// its length since 1970, so that the buckets of one request are those of the next; the last one is not over yet.
#[Object]
impl HealthBuckets {
    /// When the first bucket begins.
    async fn from(&self) -> DateTime {
        DateTime(self.0.spans.from)
    }

    /// When the last bucket ends.
    async fn to(&self) -> DateTime {
        DateTime(self.0.spans.end())
    }

    /// How many checks there were.
    async fn checks(&self) -> List<i64> {
        self.each(|bucket| bucket.checks)
    }

    /// How many of the checks found the server OPEN or `AUTH_REQUIRED`.
    async fn working(&self) -> List<i64> {
        self.each(|bucket| bucket.working)
    }

    /// The mean latency of the checks in milliseconds; null for a bucket without one.
    async fn latency_ms(&self) -> List<Option<i64>> {
        self.each(|bucket| bucket.latency_ms)
    }
}

pub(in crate::graphql) struct ConnectorCheckConnection {
    page: HistoryPage,
    history: Arc<History>,
}

/// A page of the checks of a connector's MCP server, the latest first (Relay's Cursor Connections).
#[Object]
impl ConnectorCheckConnection {
    /// The page's checks, each with its cursor.
    async fn edges(&self) -> List<ConnectorCheckEdge<'_>> {
        let checks = self.history.checks.iter();
        let edge = |check: &PastCheck| ConnectorCheckEdge {
            cursor: Text::new(cursor::of_check(check.checked_at)),
            node: check.clone().into(),
        };
        checks.map(edge).collect()
    }

    /// The page's checks.
    async fn nodes(&self) -> List<ConnectorCheck> {
        self.history
            .checks
            .iter()
            .cloned()
            .map(Into::into)
            .collect()
    }

    /// The page's position in the list. `hasPreviousPage` is whether `after` was given. An empty page has the cursor that was
    /// given as its `endCursor`, to go on from later.
    async fn page_info(&self) -> PageInfo {
        let History { checks, more } = &*self.history;
        let after = self.page.after.map(cursor::of_check);
        forwards(checks, *more, after, |check| {
            cursor::of_check(check.checked_at)
        })
    }
}

/// A check in a list.
#[derive(SimpleObject)]
struct ConnectorCheckEdge<'a> {
    /// The check.
    node: ConnectorCheck,
    /// The check's position in the list. Opaque; it is valid with any connector's checks.
    cursor: Text<'a>,
}

/// A check of a connector's MCP server.
#[derive(SimpleObject)]
struct ConnectorCheck {
    /// When it was made.
    checked_at: DateTime,
    /// The outcome, for programs.
    outcome: InspectionOutcome,
    /// The outcome in words, for people.
    message: Text<'static>,
    /// Milliseconds until the server had said what it is; null where it did not.
    latency_ms: Option<i64>,
}

impl From<PastCheck> for ConnectorCheck {
    fn from(check: PastCheck) -> Self {
        Self {
            checked_at: DateTime(check.checked_at),
            outcome: check.outcome.into(),
            message: Text::new(check.message),
            latency_ms: check.latency_ms,
        }
    }
}
