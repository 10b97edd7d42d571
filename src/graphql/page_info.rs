//! `PageInfo` of lists that are read forwards alone (Relay, Cursor Connections).

use async_graphql::connection::PageInfo;

/// The position of a page of items that goes on where there are `more`. An empty page keeps the cursor that was given.
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
