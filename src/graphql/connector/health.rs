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

    /// The time of the first check in a row with this outcome.
    async fn since(&self) -> DateTime {
        DateTime(self.health.since)
    }

    /// The outcome in words, for people.
    async fn message(&self) -> Text<'_> {
        Text::new(&self.health.message)
    }

    /// The time of the check.
    async fn checked_at(&self) -> DateTime {
        DateTime(self.health.checked_at)
    }

    /// The time of the next check; null if there is nothing to check. It runs soon afterwards, if the operator enables
    /// checks.
    async fn next_check_at(&self) -> Option<DateTime> {
        self.health.next_check_at.map(DateTime)
    }

    /// Milliseconds until the server's description arrived; null if it did not.
    async fn latency_ms(&self) -> Option<i64> {
        self.health.latency_ms
    }

    /// The transport of the connection; null if there was none.
    async fn transport(&self) -> Option<McpTransport> {
        self.health.transport.map(Into::into)
    }

    /// Whether MCP has deprecated the transport, such as HTTP+SSE (MCP 2026-07-28, Deprecated Features).
    async fn is_transport_deprecated(&self) -> bool {
        self.health.transport.is_some_and(is_deprecated)
    }

    /// The revision of MCP in use, such as `2025-11-25`.
    async fn protocol_version(&self) -> Option<Text<'_>> {
        self.health.protocol_version.as_deref().map(Text::new)
    }

    /// The server's name, version and description, as it gives them.
    async fn server_info(&self) -> Option<McpServerInfo<'_>> {
        self.health.server_info.as_ref().map(McpServerInfo)
    }

    /// Settings of the declared extensions by name (MCP 2026-07-28, `extensions`), as an object. Null if there are
    /// none, or more than 16 KiB.
    async fn extensions(&self) -> Option<Text<'_, Json>> {
        self.health.extensions.as_deref().map(Text::new)
    }

    /// The time at which the stored tools were listed; null if they never were. It is before `checkedAt` if the last
    /// check could not list them: a server that requires a sign-in or does not respond keeps its tools.
    async fn tools_checked_at(&self) -> Option<DateTime> {
        self.health.tools_checked_at.map(DateTime)
    }

    /// The issuers whose tokens the server accepts, if it requires a sign-in and names them (RFC 9728).
    async fn authorization_servers(&self) -> List<Text<'_, Url>> {
        Text::list(&self.health.authorization_servers)
    }

    /// The share of checks in the last hours that found the server OPEN or `AUTH_REQUIRED`, from 0 to 1; null without a
    /// check. Only stored checks count, which may cover fewer hours: see `uptimeHours`.
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

    /// The part of the last hours that `uptime` covers, because a limited number of checks is stored: from the oldest
    /// stored check, or from the beginning of the hours, until now. Null if `uptime` is null.
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

    /// The stored checks of the last hours, counted in buckets of equal length, for a chart.
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

    /// The last checks, latest first. The operator decides how many are stored.
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

/// Checks counted in buckets of equal length, earliest first. Each list has one item for each bucket. A bucket begins
/// at a multiple of its length since 1970, so that successive requests get the same buckets; the last one is not over
/// yet.
#[Object]
impl HealthBuckets {
    /// The start of the first bucket.
    async fn from(&self) -> DateTime {
        DateTime(self.0.spans.from)
    }

    /// The end of the last bucket.
    async fn to(&self) -> DateTime {
        DateTime(self.0.spans.end())
    }

    /// The number of checks.
    async fn checks(&self) -> List<i64> {
        self.each(|bucket| bucket.checks)
    }

    /// The number of checks that found the server OPEN or `AUTH_REQUIRED`.
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

    /// The page's position in the list. `hasPreviousPage` is whether `after` was given. The `endCursor` of an empty
    /// page is the given cursor, to continue from later.
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
    /// The time of the check.
    checked_at: DateTime,
    /// The outcome, for programs.
    outcome: InspectionOutcome,
    /// The outcome in words, for people.
    message: Text<'static>,
    /// Milliseconds until the server's description arrived; null if it did not.
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
