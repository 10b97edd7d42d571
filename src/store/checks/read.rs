//! Reads the results of checks.
//!
//! Invariant: the results are read by the numbers of connectors that came through `visible()`, because every viewer of
//! a connector sees them. One statement reads them for all connectors.

use std::collections::HashMap;

use entity::{Timestamp, connector_check, connector_health, connector_tool};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, IntoSimpleExpr, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Alias, CaseStatement, Expr, Query, SelectStatement, SimpleExpr},
};

use crate::{
    domain::{
        check_history::{Bucket, Buckets, History, HistoryPage, PastCheck, Spans, Uptime},
        inspection::{ALIVE, Health, ServerInfo, Tool},
        listing::SearchWord,
        tools::{Listing, Page},
    },
    error::{Error, Result},
    store::{
        catalog::Catalog,
        database::{
            row::{Cells, Row},
            sqlite_readers::Pace,
        },
    },
};

/// Words that a tool is looked for by.
const MATCHED_WORDS: usize = 64;

impl Catalog {
    /// Returns the last check of each connector.
    pub(crate) async fn health(&self, seqs: &[i64]) -> Result<HashMap<i64, Health>> {
        use connector_health::{Column, Entity};

        let select = Entity::find()
            .select_only()
            .columns([
                Column::Seq,
                Column::Outcome,
                Column::OutcomeSince,
                Column::Message,
                Column::CheckedAt,
                Column::LatencyMs,
                Column::Transport,
                Column::ProtocolVersion,
                Column::ServerInfo,
                Column::Extensions,
                Column::AuthorizationServers,
                Column::ToolsCheckedAt,
                Column::NextCheckAt,
            ])
            .filter(among(Column::Seq, seqs))
            .filter(Column::Outcome.is_not_null())
            .into_query();
        let rows = self.rows_by_seq(&select, |cells| {
            Ok(Health {
                outcome: cells.next()?,
                since: cells.next()?,
                message: cells.next()?,
                checked_at: cells.next()?,
                latency_ms: cells.next()?,
                transport: cells.next()?,
                protocol_version: cells.next()?,
                server_info: json::<Option<ServerInfo>>(cells)?.flatten(),
                extensions: cells.next()?,
                authorization_servers: json(cells)?.unwrap_or_default(),
                tools_checked_at: cells.next()?,
                next_check_at: cells.next()?,
            })
        });
        Ok(rows.await?.into_iter().collect())
    }

    /// Reads a page of the checks of each connector.
    pub(crate) async fn history(
        &self,
        seqs: &[i64],
        page: HistoryPage,
    ) -> Result<HashMap<i64, History>> {
        use connector_check::{Column, Entity};

        let checks = Entity::find()
            .select_only()
            .columns([
                Column::Seq,
                Column::CheckedAt,
                Column::Outcome,
                Column::Message,
                Column::LatencyMs,
            ])
            .filter(among(Column::Seq, seqs))
            .apply_if(page.after, |checks, after| {
                checks.filter(Column::CheckedAt.lt(after))
            })
            .apply_if(page.range.gte, |checks, gte| {
                checks.filter(Column::CheckedAt.gte(gte))
            })
            .apply_if(page.range.lt, |checks, lt| {
                checks.filter(Column::CheckedAt.lt(lt))
            })
            .into_query();
        let order = "PARTITION BY seq ORDER BY checked_at DESC";
        let mut select = first_of_each(
            checks,
            order,
            page.limit + 1,
            ["seq", "checked_at", "outcome", "message", "latency_ms"],
        );
        select.order_by(Alias::new("rank"), sea_orm::Order::Asc);
        let rows = self.rows_by_seq(&select, |cells| {
            Ok(PastCheck {
                checked_at: cells.next()?,
                outcome: cells.next()?,
                message: cells.next()?,
                latency_ms: cells.next()?,
            })
        });
        let histories = grouped(rows.await?).into_iter();
        let cut = |(seq, mut checks): (i64, Vec<PastCheck>)| {
            let more = checks.len() as u64 > page.limit;
            if more {
                checks.pop();
            }
            (seq, History { checks, more })
        };
        Ok(histories.map(cut).collect())
    }

    /// Returns the share of checks since a moment that found a working server; none without a check.
    pub(crate) async fn uptime(
        &self,
        seqs: &[i64],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<HashMap<i64, Uptime>> {
        use connector_check::{Column, Entity};

        let oldest = "(SELECT MIN(o.checked_at) FROM connector_check AS o WHERE o.seq = connector_check.seq)";
        let select = Entity::find()
            .select_only()
            .column(Column::Seq)
            .expr(working())
            .expr(Expr::cust("COUNT(*)"))
            .expr(Expr::cust(oldest))
            .filter(among(Column::Seq, seqs))
            .filter(Column::CheckedAt.gte(since))
            .group_by(Column::Seq)
            .into_query();
        let rows = self.rows_by_seq(&select, move |cells| {
            let counts = (cells.next()?, cells.next()?);
            Ok(Uptime::new(counts, since, cells.next()?, now))
        });
        Ok(rows.await?.into_iter().collect())
    }

    /// Returns the checks of each connector, with one bucket for each span.
    pub(crate) async fn buckets(
        &self,
        seqs: &[i64],
        spans: Spans,
    ) -> Result<HashMap<i64, Buckets>> {
        use connector_check::{Column, Entity};

        let since = Column::CheckedAt.into_expr().sub(spans.from);
        let latency = "CAST(SUM(latency_ms) AS BIGINT), COUNT(latency_ms)";
        let mut select = Entity::find()
            .select_only()
            .column(Column::Seq)
            .filter(among(Column::Seq, seqs))
            .filter(Column::CheckedAt.gte(spans.from))
            .filter(Column::CheckedAt.lt(spans.end()))
            .group_by(Column::Seq)
            .into_query();
        select
            .expr_as(since.div(spans.length), "span")
            .expr(Expr::cust("COUNT(*)"))
            .expr(working())
            .expr(Expr::cust(latency))
            .add_group_by([Expr::col("span")]);
        let rows = self.rows_by_seq(&select, |cells| {
            let (span, checks, working): (i64, _, _) =
                (cells.next()?, cells.next()?, cells.next()?);
            let (sum, count): (Option<i64>, i64) = (cells.next()?, cells.next()?);
            let latency_ms = sum.map(|sum| (sum + count / 2) / count);
            let bucket = Bucket {
                checks,
                working,
                latency_ms,
            };
            Ok((span, bucket))
        });
        let count = usize::try_from(spans.count).map_err(Error::internal)?;
        let none = Buckets {
            spans,
            buckets: vec![Bucket::default(); count],
        };
        let mut all: HashMap<_, _> = seqs.iter().map(|seq| (*seq, none.clone())).collect();
        for (seq, (span, bucket)) in rows.await? {
            let of_seq = all.get_mut(&seq);
            let span = usize::try_from(span).map_err(Error::internal)?;
            if let Some(of_span) = of_seq.and_then(|all| all.buckets.get_mut(span)) {
                *of_span = bucket;
            }
        }
        Ok(all)
    }

    /// Reads a page of the tools of each connector.
    pub(crate) async fn tools(
        &self,
        seqs: &[i64],
        listing: &Listing,
    ) -> Result<HashMap<i64, Page>> {
        use connector_tool::{Column, Entity};

        let mut names = tools(seqs, listing.words.as_deref());
        names.columns([Column::Seq, Column::Name]);
        if let Some(after) = &listing.after {
            names.and_where(Column::Name.gt(after));
        }
        // Selects by key alone, because the rows of a page may be long.
        let order = "PARTITION BY seq ORDER BY name";
        let page = first_of_each(names, order, listing.limit + 1, ["seq", "name"]);
        let key = [Column::Seq, Column::Name].map(IntoSimpleExpr::into_simple_expr);
        let select = Entity::find()
            .select_only()
            .columns([
                Column::Seq,
                Column::Name,
                Column::Title,
                Column::Description,
                Column::InputSchema,
                Column::OutputSchema,
                Column::Annotations,
            ])
            .filter(Expr::tuple(key).in_subquery(page))
            .order_by_asc(Column::Seq)
            .order_by_asc(Column::Name)
            .into_query();
        let rows = self.rows_by_seq(&select, |cells| {
            Ok(Tool {
                name: cells.next()?,
                title: cells.next()?,
                description: cells.next()?,
                input_schema: cells.next()?,
                output_schema: cells.next()?,
                annotations: cells.next()?,
            })
        });
        let pages = grouped(rows.await?).into_iter().map(|(seq, mut tools)| {
            let more = tools.len() as u64 > listing.limit;
            if more {
                tools.pop();
            }
            (seq, Page { tools, more })
        });
        Ok(pages.collect())
    }

    /// Returns each connector's first tool, by name, that has one of these words, without its schemas.
    pub(crate) async fn matching_tools(
        &self,
        seqs: &[i64],
        words: &[SearchWord],
    ) -> Result<HashMap<i64, Tool>> {
        use connector_tool::{Column, Entity};

        let has_one = words
            .iter()
            .take(MATCHED_WORDS)
            .fold(Condition::any().add(Expr::cust("FALSE")), |has, word| {
                has.add(Column::Words.like(pattern(&word.text, word.is_prefix)))
            });
        let mut names = tools(seqs, None);
        names
            .columns([Column::Seq, Column::Name])
            .cond_where(has_one);
        let first = first_of_each(names, "PARTITION BY seq ORDER BY name", 1, ["seq", "name"]);
        let key = [Column::Seq, Column::Name].map(IntoSimpleExpr::into_simple_expr);
        let select = Entity::find()
            .select_only()
            .columns([
                Column::Seq,
                Column::Name,
                Column::Title,
                Column::Description,
            ])
            .filter(Expr::tuple(key).in_subquery(first))
            .into_query();
        let rows = self.rows_by_seq(&select, |cells| {
            Ok(Tool {
                name: cells.next()?,
                title: cells.next()?,
                description: cells.next()?,
                ..Tool::default()
            })
        });
        Ok(rows.await?.into_iter().collect())
    }

    /// Returns the number of each connector's tools with these words; none without any.
    pub(crate) async fn tool_counts(
        &self,
        seqs: &[i64],
        words: Option<&[String]>,
    ) -> Result<HashMap<i64, u64>> {
        let mut select = tools(seqs, words);
        select
            .column(connector_tool::Column::Seq)
            .expr(Expr::cust("COUNT(*)"))
            .add_group_by([connector_tool::Column::Seq.into_simple_expr()]);
        let rows = self.rows_by_seq(&select, |cells| Ok(cells.next::<i64>()?.unsigned_abs()));
        Ok(rows.await?.into_iter().collect())
    }

    /// Runs a statement whose first column is a connector's number.
    async fn rows_by_seq<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        read: impl Fn(&mut Cells<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<(i64, T)>> {
        let read = move |row: Row<'_>| {
            let mut cells = row.cells(0);
            Ok((cells.next()?, read(&mut cells)?))
        };
        self.rows(select, Pace::Brief, read).await
    }
}

/// The number of checks that found a working server.
pub(in crate::store) fn working() -> SimpleExpr {
    let alive = connector_check::Column::Outcome.is_in(ALIVE);
    let alive: SimpleExpr = CaseStatement::new().case(alive, 1).finally(0).into();
    alive.sum()
}

fn among(seq: impl ColumnTrait, seqs: &[i64]) -> SimpleExpr {
    seq.is_in(seqs.iter().copied())
}

/// Selects the tools that have every word, the last one as a prefix.
fn tools(seqs: &[i64], words: Option<&[String]>) -> SelectStatement {
    use connector_tool::Column;

    let mut select = Query::select();
    select
        .from(connector_tool::Entity)
        .and_where(among(Column::Seq, seqs));
    match words {
        None => {}
        // No tool has such a name.
        Some([]) => drop(select.and_where(Expr::cust("FALSE"))),
        Some([whole @ .., last]) => {
            for word in whole {
                select.and_where(Column::Words.like(pattern(word, false)));
            }
            select.and_where(Column::Words.like(pattern(last, true)));
        }
    }
    select
}

/// Returns the pattern of a tool's words that contain this one. No character of a word is special in a pattern.
fn pattern(word: &str, is_prefix: bool) -> String {
    let end = if is_prefix { "" } else { " " };
    format!("% {word}{end}%")
}

/// Selects the first rows of each connector, in a window's order.
fn first_of_each<const N: usize>(
    mut select: SelectStatement,
    order: &str,
    most: u64,
    columns: [&'static str; N],
) -> SelectStatement {
    let rank = Alias::new("rank");
    let number = Expr::cust(format!("ROW_NUMBER() OVER ({order})"));
    select.expr_as(number, rank.clone());
    Query::select()
        .columns(columns.map(Alias::new))
        .from_subquery(select, Alias::new("ranked"))
        .and_where(Expr::col(rank).lte(most))
        .take()
}

fn grouped<T>(rows: Vec<(i64, T)>) -> HashMap<i64, Vec<T>> {
    let mut grouped: HashMap<_, Vec<_>> = HashMap::new();
    for (seq, row) in rows {
        grouped.entry(seq).or_default().push(row);
    }
    grouped
}

/// Reads a column of JSON that this service wrote.
fn json<T: serde::de::DeserializeOwned>(cells: &mut Cells<'_>) -> Result<Option<T>> {
    let text: Option<String> = cells.next()?;
    text.map(|text| serde_json::from_str(&text).map_err(Error::internal))
        .transpose()
}
