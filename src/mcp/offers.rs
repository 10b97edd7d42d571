//! Reads a server's description of itself, and requests its lists.
//!
//! Invariant: only this module reads results, part by part. A part that is missing or of the wrong type loses only
//! itself: a tool without a name does not lose the other tools.

mod description;
mod text;
mod tool;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
};

use rmcp::{
    RoleClient,
    model::{
        ClientRequest, CustomResult, ListPromptsRequest, ListResourcesRequest, ListToolsRequest,
        PaginatedRequestParams, ServerResult,
    },
    service::Peer,
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    config::InspectionLimits,
    domain::{inspection::Inspection, tools::BoundedTools},
};

use super::{
    measure::{bounded, bounded_object},
    transport::message,
    wire::Wire,
};

pub(super) use self::description::Description;
use self::description::ttl_ms;

/// The most bytes of a cursor that is sent back.
const CURSOR_BYTES: usize = 8 * 1024;

/// A list that a server may offer.
#[derive(Clone, Copy)]
enum List {
    Tools,
    Prompts,
    Resources,
}

/// The result of a list, read page by page.
struct ListResult {
    /// The number of items, up to the limit.
    count: usize,
    is_whole: bool,
    /// Milliseconds that all pages stay valid; none if a page does not say.
    ttl_ms: Option<u64>,
}

/// The server returned an error, or no list.
struct Unlisted;

impl List {
    /// Returns the name of the capability, which is also the result's member.
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }

    fn request(self, cursor: Option<String>) -> ClientRequest {
        let cursor = cursor.map(Some);
        let params = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(cursor));
        match self {
            Self::Tools => ClientRequest::ListToolsRequest(ListToolsRequest {
                params,
                ..ListToolsRequest::default()
            }),
            Self::Prompts => ClientRequest::ListPromptsRequest(ListPromptsRequest {
                params,
                ..ListPromptsRequest::default()
            }),
            Self::Resources => ClientRequest::ListResourcesRequest(ListResourcesRequest {
                params,
                ..ListResourcesRequest::default()
            }),
        }
    }
}

/// Requests all lists that the server may offer. Each page of tools is stored, even if the next one fails.
pub(super) async fn offers(
    peer: &Peer<RoleClient>,
    wire: &Wire,
    description: &Description,
    kept: &Mutex<BoundedTools>,
    inspection: &mut Inspection,
) {
    if description.may_offer(List::Tools.name()) {
        tools(peer, wire, description, kept, inspection).await;
    } else {
        inspection.tools_listed = true;
        inspection.fresh_for = description.fresh_for(description.ttl_ms);
    }
    let mut counts = [None, None];
    for (list, count) in [List::Prompts, List::Resources]
        .into_iter()
        .zip(&mut counts)
    {
        if description.may_offer(list.name()) {
            let result = read_list(peer, wire, list, description, |_| ()).await;
            *count = result.ok().map(|result| result.count);
        }
    }
    let [prompts, resources] = counts;
    inspection.prompt_count = prompts;
    inspection.resource_count = resources;
}

async fn tools(
    peer: &Peer<RoleClient>,
    wire: &Wire,
    description: &Description,
    kept: &Mutex<BoundedTools>,
    inspection: &mut Inspection,
) {
    let limits = wire.limits();
    let result = read_list(peer, wire, List::Tools, description, |tools| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools.iter().take(limits.items) {
            match tool::read(tool, limits) {
                Some(tool) => kept.add(tool.tool, tool.is_cut),
                None => kept.leave_out(),
            }
        }
    });
    let result = result.await;
    let (is_cut, left_out, notes) = {
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.is_cut(), kept.left_out(), kept.notes())
    };
    inspection.tools_left_out = left_out;
    inspection.tools_listed = result.is_ok();
    for note in notes {
        inspection.note(&note);
    }
    match result {
        Ok(result) => {
            let ttl_ms = description.ttl_ms.min(result.ttl_ms);
            inspection.fresh_for = description.fresh_for(ttl_ms);
            if !result.is_whole {
                inspection.note("It has more tools than this service stores.");
            } else if is_cut {
                inspection.note("Its tools have more text than this service stores.");
            }
        }
        Err(Unlisted) if description.says_capabilities => {
            inspection.note("Its list of tools does not follow the MCP specification.");
        }
        // A server without declared capabilities need not have tools.
        Err(Unlisted) => {}
    }
}

/// Requests the pages of a list until the end or the limit, and passes on the items of each page.
async fn read_list(
    peer: &Peer<RoleClient>,
    wire: &Wire,
    list: List,
    description: &Description,
    mut each: impl FnMut(&[Value]),
) -> Result<ListResult, Unlisted> {
    let limits = wire.limits();
    let most = limits.items;
    let (mut count, mut ttl_ms_of_all) = (0, Some(u64::MAX));
    let mut cursors = HashSet::new();
    let mut cursor = None;
    loop {
        let result = ask(peer, wire, list.request(cursor)).await?;
        let Page {
            items,
            listed,
            members: page,
        } = Page::read(&result, list, limits)?;
        each(&items);
        count += listed;
        ttl_ms_of_all = ttl_ms_of_all.min(ttl_ms(&page));
        let finished = |is_whole| ListResult {
            count: count.min(most),
            is_whole,
            ttl_ms: ttl_ms_of_all,
        };
        let next = match page.get("nextCursor") {
            None | Some(Value::Null) => return Ok(finished(count <= most)),
            Some(Value::String(next)) => next.clone(),
            Some(_) => return Ok(finished(false)),
        };
        let is_new = !cursors.contains(&next);
        // Before MCP 2026-07-28, an empty cursor ends a list. Since then it is a valid cursor, and the list ends only
        // if it repeats.
        if next.is_empty() && !(description.is_modern && is_new) {
            return Ok(finished(count <= most));
        }
        // A long cursor would cost too much on each page.
        if count >= most || next.len() > CURSOR_BYTES || !is_new {
            return Ok(finished(false));
        }
        cursors.insert(next.clone());
        cursor = Some(next);
    }
}

/// A page of a list.
struct Page {
    /// The first items, up to the limit. An item beyond the size limits has only its small members.
    items: Vec<Value>,
    listed: usize,
    /// The other members of the result.
    members: Map<String, Value>,
}

impl Page {
    fn read(result: &str, list: List, limits: &InspectionLimits) -> Result<Self, Unlisted> {
        let mut members: BTreeMap<String, &RawValue> =
            serde_json::from_str(result).map_err(|_| Unlisted)?;
        let listed = members.remove(list.name()).ok_or(Unlisted)?;
        // Languages that encode an empty list as null send null.
        let listed: Option<Vec<&RawValue>> =
            serde_json::from_str(listed.get()).map_err(|_| Unlisted)?;
        let listed = listed.unwrap_or_default();
        let mut left = limits.values;
        let items = listed.iter().take(limits.items).map(|item| {
            let whole = bounded(item, limits, &mut left);
            let rest = || bounded_object(item.get(), limits, &mut left).map(Value::Object);
            whole.or_else(rest).unwrap_or_default()
        });
        let items = items.collect();
        let members = members
            .into_iter()
            .filter_map(|(name, member)| Some((name, bounded(member, limits, &mut left)?)));
        Ok(Self {
            items,
            listed: listed.len(),
            members: members.collect(),
        })
    }
}

/// Sends a request, and returns the text of the server's own result.
async fn ask(
    peer: &Peer<RoleClient>,
    wire: &Wire,
    request: ClientRequest,
) -> Result<String, Unlisted> {
    match peer.send_request(request).await {
        Ok(ServerResult::CustomResult(CustomResult(Value::Object(result)))) => {
            let key = message::key(&result);
            key.and_then(|key| wire.result(key)).ok_or(Unlisted)
        }
        _ => Err(Unlisted),
    }
}
