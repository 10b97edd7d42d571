//! A copy of a list that follows its changes.

use super::super::records::{World, a_question, a_write, rows};
use super::pages;
use crate::{
    on_both,
    support::{clients::subscribers::now, model::check, mutations::text},
};
use proptest::{collection::vec, prelude::*};
use serde_json::json;
use std::{collections::BTreeSet, sync::Mutex};

on_both! {
    /// A copy of a list that follows only the list's changes, and queries unknown ones, equals the list. Lists and
    /// changes are random; [`each_flow_is_told_of_the_list_alone`] covers each flow.
    async fn a_copy_that_follows_a_list_is_the_list(server: Server) {
        // Checks change the results of these filters without an event.
        let question = a_question().prop_filter("is told by events", |question| {
            let filter = question.filter.to_string();
            !filter.contains("checkedAt") && !filter.contains("uptime")
        });
        let seen = Mutex::new(BTreeSet::new());
        check(
            32,
            (question, vec(a_write(), 6..16)),
            |(question, writes)| {
                let (server, seen) = (&server, &seen);
                async move {
                    server.clear().await;
                    let token = server.viewer_token(question.viewer);
                    let mut world = World::default();
                    let mut copy = BTreeSet::new();
                    let mut after = now(server, &token).await;
                    let list = json!({ "search": question.search.as_ref().map(|search| &search.text),
                        "filter": question.filter });
                    for write in &writes {
                        world.write(server, write).await;
                        world.rows = rows(server).await;
                        let (told, end) =
                            pages(server, &token, 3, &after, &json!({ "list": list })).await;
                        after = end;
                        let mut unknown = BTreeSet::new();
                        for change in &told {
                            let id = text(&change["personalConnectorId"]).to_owned();
                            let [before, is_in] =
                                ["inListBefore", "inList"].map(|name| change[name].as_bool());
                            seen.lock().unwrap().insert((before, is_in));
                            prop_assert!(
                                before.is_none()
                                    || unknown.contains(&id)
                                    || before == Some(copy.contains(&id)),
                                "{} {:?}",
                                change,
                                write
                            );
                            unknown.remove(&id);
                            match is_in {
                                Some(true) => {
                                    copy.insert(id);
                                }
                                Some(false) => {
                                    copy.remove(&id);
                                }
                                None => {
                                    unknown.insert(id);
                                }
                            }
                        }
                        let present = question.ids(server).await;
                        for id in unknown {
                            if present.contains(&id) {
                                copy.insert(id);
                            } else {
                                copy.remove(&id);
                            }
                        }
                        prop_assert_eq!(&copy, &present, "{:?}", write);
                    }
                    Ok(())
                }
            },
        );
        let seen = seen.into_inner().unwrap();
        assert!(
            !seen.is_empty() && !seen.contains(&(Some(false), Some(false))),
            "{seen:?}"
        );
    }
}
