//! The parts of a response besides connectors: the end of a page, its counts, and errors.

use std::error::Error;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::query::Query;

/// A group of category, status, type and server type, with its count.
pub(crate) type Group = (Option<String>, String, String, Option<String>, i64);

#[derive(Serialize)]
struct Count {
    value: Option<String>,
    count: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facets {
    category: Vec<Count>,
    status: Vec<Count>,
    r#type: Vec<Count>,
    server_type: Vec<Count>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

/// The parts of a page after its nodes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tail {
    page_info: PageInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<Facets>,
}

impl Tail {
    pub(crate) fn new(
        query: &Query,
        has_next_page: bool,
        end_cursor: Option<String>,
        groups: Option<&[Group]>,
    ) -> Self {
        Self {
            page_info: PageInfo {
                has_next_page,
                end_cursor,
            },
            total_count: groups.map(|groups| total(groups, query)),
            facets: groups.map(|groups| facets(groups, query)),
        }
    }
}

/// A failure of the database.
pub(crate) struct Failed(Box<dyn Error>);

impl<E: Error + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

pub(crate) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => sent(json),
        Err(error) => Failed::from(error).into_response(),
    }
}

/// Builds a response from JSON.
pub(crate) fn sent(json: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

fn total(groups: &[Group], query: &Query) -> i64 {
    let listed = groups
        .iter()
        .filter(|group| group.0.as_ref() == Some(&query.category) && group.1 == query.status);
    listed.map(|group| group.4).sum()
}

/// Counts a dimension without the filter's restriction of that dimension.
fn facets(groups: &[Group], query: &Query) -> Facets {
    let category = |group: &Group| group.0.as_ref() == Some(&query.category);
    let status = |group: &Group| group.1 == query.status;
    Facets {
        category: counts(groups, status, |group| group.0.clone()),
        status: counts(groups, category, |group| Some(group.1.clone())),
        r#type: counts(
            groups,
            |group| category(group) && status(group),
            |group| Some(group.2.clone()),
        ),
        server_type: counts(
            groups,
            |group| category(group) && status(group),
            |group| group.3.clone(),
        ),
    }
}

fn counts(
    groups: &[Group],
    listed: impl Fn(&Group) -> bool,
    value: impl Fn(&Group) -> Option<String>,
) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for group in groups.iter().filter(|group| listed(group)) {
        let value = value(group);
        match counts.iter_mut().find(|count| count.value == value) {
            Some(count) => count.count += group.4,
            None => counts.push(Count {
                value,
                count: group.4,
            }),
        }
    }
    counts
}
