//! `PageInfo` of lists that are only read forwards (Relay, Cursor Connections).

use async_graphql::connection::PageInfo;

/// Returns the position of a page, which continues if there are `more`. An empty page keeps the given cursor.
pub(super) fn forwards<T>(
    items: &[T],
    more: bool,
    after: Option<String>,
    cursor: impl Fn(&T) -> String,
) -> PageInfo {
    PageInfo {
        has_previous_page: after.is_some(),
        has_next_page: more,
        start_cursor: items.first().map(&cursor),
        end_cursor: items.last().map(&cursor).or(after),
    }
}
