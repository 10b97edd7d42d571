//! Pages of lists that change meanwhile.

use std::collections::HashSet;

use entity::personal_connector::Model;
use fixtures::model::{Listing, Order, Viewer};
use personal_connectors::domain::connector::Edit;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors,
        harness::Server,
        model::{self, VIEWERS},
    },
};

/// A concurrent write between two pages.
#[derive(Clone, Debug)]
enum Write {
    Insert(Model),
    Delete(Index),
    /// Gives a row the name, description and times of another.
    Update(Index, Model),
}

/// One client's scan of a list.
#[derive(Clone, Debug)]
struct Walk {
    viewer: Viewer<'static>,
    listing: Listing,
    /// From the end of the list, with `last` and `before`.
    backwards: bool,
    /// The size of each page, and the writes after it. Later on there are no writes.
    pages: Vec<(usize, Vec<Write>)>,
}

fn walk() -> impl Strategy<Value = Walk> {
    let write = prop_oneof![
        model::row().prop_map(Write::Insert),
        any::<Index>().prop_map(Write::Delete),
        (any::<Index>(), model::row()).prop_map(|(index, row)| Write::Update(index, row)),
    ];
    let order = prop_oneof![
        4 => model::orders().prop_map(|orders| (orders, None)),
        1 => (model::orders(), model::search()).prop_map(|(orders, search)| (orders, Some(search))),
        1 => model::search().prop_map(|search| (vec![(Order::Relevance, false)], Some(search))),
    ];
    let pages = vec((1..6_usize, vec(write, 0..4)), 1..8);
    (select(&VIEWERS[..]), order, any::<bool>(), pages).prop_map(
        |(viewer, (mut orders, search), backwards, pages)| {
            let (order, reversed) = orders.remove(0);
            let listing = Listing {
                search,
                filter: Value::Null,
                order,
                reversed,
                then_by: orders,
            };
            Walk {
                viewer,
                listing,
                backwards,
                pages,
            }
        },
    )
}

impl Walk {
    /// Reads one page: the ids, and the cursor to continue from if there are more.
    async fn page(
        &self,
        server: &Server,
        size: usize,
        cursor: Option<&str>,
    ) -> (Vec<String>, Option<String>) {
        const QUERY: &str = "
            query(
                $search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder, $thenBy: \
                [PersonalConnectorOrder!],
                $first: Int, $after: String, $last: Int, $before: String
            ) {
                personalConnectors(
                    search: $search, filter: $filter, orderBy: $order, thenBy: $thenBy,
                    first: $first, after: $after, last: $last, before: $before
                ) {
                    nodes { id }
                    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
                }
            }";
        let mut variables = self.listing.variables();
        let (count, from) = if self.backwards {
            ("last", "before")
        } else {
            ("first", "after")
        };
        variables.insert(count.to_owned(), json!(size));
        variables.insert(from.to_owned(), json!(cursor));
        let token = server.viewer_token(self.viewer);
        let data = server.data(&token, QUERY, variables.into()).await;
        let list = &data["personalConnectors"];
        let ids = connectors::ids(list)
            .into_iter()
            .map(|id| format!("pcon_{id}"))
            .collect();
        let (more, cursor) = if self.backwards {
            ("hasPreviousPage", "startCursor")
        } else {
            ("hasNextPage", "endCursor")
        };
        let page: &Value = &list["pageInfo"];
        let more = page[more].as_bool().unwrap();
        (ids, more.then(|| page[cursor].as_str().unwrap().to_owned()))
    }

    /// Returns the list by the model.
    fn list(&self, rows: &[Model]) -> Vec<String> {
        let seen = model::seen(self.viewer, rows);
        let list = self.listing.list(&seen).into_iter();
        list.map(|connector| connector.fields["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The catalogue during a scan.
struct Catalogue<'a> {
    server: &'a Server,
    rows: Vec<Model>,
    /// The number of rows that ever existed.
    made: usize,
    /// The ids of rows that changed.
    touched: HashSet<String>,
}

impl Catalogue<'_> {
    /// Writes. A write that a constraint refuses is skipped.
    async fn write(&mut self, write: &Write) {
        match write {
            Write::Insert(row) => {
                let row = Model {
                    id: model::id(self.made),
                    ..row.clone()
                };
                self.made += 1;
                if let Ok(inserted) = self.server.try_insert(vec![row]).await {
                    self.touched
                        .extend(inserted.iter().map(|row| row.id.clone()));
                    self.rows.extend(inserted);
                }
            }
            Write::Delete(index) if !self.rows.is_empty() => {
                let row = self.rows.remove(index.index(self.rows.len()));
                let mut tx = self.server.begin().await;
                tx.delete(&row).await.unwrap();
                tx.commit().await.unwrap();
                self.touched.insert(row.id);
            }
            Write::Update(index, like) if !self.rows.is_empty() => {
                let row = index.get_mut(&mut self.rows);
                let after = Model {
                    name: like.name.clone(),
                    name_key: like.name_key.clone(),
                    description: like.description.clone(),
                    created_at: like.created_at,
                    updated_at: like.updated_at,
                    ..row.clone()
                };
                let mut tx = self.server.begin().await;
                match tx
                    .update(row, Edit::Import(connectors::import(&after)))
                    .await
                    .unwrap()
                {
                    Ok(after) => {
                        tx.commit().await.unwrap();
                        self.touched.insert(after.id.clone());
                        *row = after;
                    }
                    Err(_) => tx.rollback().await,
                }
            }
            Write::Delete(_) | Write::Update(..) => {}
        }
    }
}

on_both! {
    async fn no_row_that_stays_is_skipped_or_doubled(server: Server) {
        meets_all_that_stays(&server, walk(), |_, _| true);
    }
}

on_both! {
    /// Few rows are found and sorted at once, and of many a page is searched for.
    async fn no_row_with_a_frequent_word_is_skipped_or_doubled(server: Server) {
        let searched = (walk(), model::search()).prop_map(|(mut walk, search)| {
            walk.listing.search = Some(search);
            walk
        });
        server.make_words_frequent().await;
        // The counts that make words frequent keep words that no connector has any more. A search that finds nothing
        // would be corrected by other words than those of the model.
        meets_all_that_stays(&server, searched, |walk, rows| {
            let seen = model::seen(walk.viewer, rows);
            let search = walk.listing.search.as_ref().unwrap();
            seen.iter()
                .any(|connector| search.tier(connector).is_some())
        });
    }
}

fn meets_all_that_stays(
    server: &Server,
    walk: impl Strategy<Value = Walk>,
    applies: impl Fn(&Walk, &[Model]) -> bool + Copy,
) {
    let strategy = (model::catalogue(40), walk);
    model::check(48, strategy, |(rows, walk)| async move {
        server.clear().await;
        let rows = server.insert(rows).await;
        if !applies(&walk, &rows) {
            return Ok(());
        }
        server.record(model::checked(&rows)).await;
        let expected = walk.list(&rows);
        let mut catalogue = Catalogue {
            server,
            made: rows.len(),
            rows,
            touched: HashSet::new(),
        };
        let mut met: Vec<String> = Vec::new();
        let mut cursor = None;
        let rest = (7, Vec::new());
        let mut pages = walk.pages.iter();
        loop {
            let (size, writes) = pages.next().unwrap_or(&rest);
            let (ids, more) = walk.page(server, *size, cursor.as_deref()).await;
            prop_assert!(
                ids.len() == *size || more.is_none(),
                "a page is full, or the last"
            );
            if walk.backwards {
                met.splice(0..0, ids);
            } else {
                met.extend(ids);
            }
            let Some(more) = more else { break };
            cursor = Some(more);
            for write in writes {
                catalogue.write(write).await;
            }
        }
        let stayed = |ids: &[String]| -> Vec<String> {
            ids.iter()
                .filter(|id| !catalogue.touched.contains(*id))
                .cloned()
                .collect()
        };
        prop_assert_eq!(stayed(&met), stayed(&expected));
        Ok(())
    });
}
