//! Asks a server for what it offers, and keeps of it what is wanted.

use std::{collections::HashSet, sync::PoisonError};

use rmcp::{
    RoleClient,
    model::{Cursor, Icon, Implementation, PaginatedRequestParams, ServerPeerInfo},
    service::{Peer, ServiceError},
};

use crate::{
    config::InspectionLimits,
    domain::inspection::{ServerInfo, TOOL_NAME_BYTES, Tool},
};

use super::handshake::Progress;

/// Bytes of a cursor that is sent back to its server.
const CURSOR_BYTES: usize = 8 * 1024;
/// Icons of a server that are kept, and the bytes of all of them.
const ICONS: usize = 10;
const ICON_BYTES: usize = 64 * 1024;
/// One page of a list: how many items it had, and where the next one begins.
struct Page {
    items: usize,
    next: Option<Cursor>,
}

pub(super) async fn offers(
    peer: &Peer<RoleClient>,
    info: &ServerPeerInfo,
    limits: &InspectionLimits,
    progress: &mut Progress,
) {
    if info.capabilities.tools.is_none() {
        progress.inspection.tools_listed = true;
    } else {
        let kept = &progress.tools;
        let walked = walk(limits.items, move |params| async move {
            let page = peer.list_tools(params).await?;
            let items = page.tools.len();
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            for tool in page.tools.into_iter().take(limits.items) {
                kept.add(kept_tool(tool, limits));
            }
            Ok(Page {
                items,
                next: page.next_cursor,
            })
        })
        .await;
        progress.inspection.tools_listed = walked.is_ok();
        let is_cut = {
            let kept = progress.tools.lock();
            kept.unwrap_or_else(PoisonError::into_inner).is_cut()
        };
        match walked {
            Ok((_, true)) if is_cut => {
                progress.note("Its tools have more text than is kept here.");
            }
            Ok((_, true)) => {}
            Ok((_, false)) => progress.note("It has more tools than are kept here."),
            Err(_) => progress.note("It does not list its tools as MCP has it."),
        }
    }
    if info.capabilities.prompts.is_some() {
        let walked = walk(limits.items, move |params| async move {
            let page = peer.list_prompts(params).await?;
            Ok(Page {
                items: page.prompts.len(),
                next: page.next_cursor,
            })
        });
        progress.inspection.prompt_count = walked.await.ok().map(|(count, _)| count);
    }
    if info.capabilities.resources.is_some() {
        let walked = walk(limits.items, move |params| async move {
            let page = peer.list_resources(params).await?;
            Ok(Page {
                items: page.resources.len(),
                next: page.next_cursor,
            })
        });
        progress.inspection.resource_count = walked.await.ok().map(|(count, _)| count);
    }
}

/// How many items the pages of a list have, at most so many, and whether those are all.
async fn walk<F>(
    most: usize,
    page: impl Fn(Option<PaginatedRequestParams>) -> F,
) -> Result<(usize, bool), ServiceError>
where
    F: Future<Output = Result<Page, ServiceError>>,
{
    let mut count = 0;
    let mut cursors = HashSet::new();
    let mut params = None;
    loop {
        let Page { items, next } = page(params).await?;
        count += items;
        let Some(next) = next else {
            return Ok((count.min(most), count <= most));
        };
        // A cursor that comes again leads round in circles, and a long one costs more than it may each time.
        if count >= most || next.len() > CURSOR_BYTES || !cursors.insert(next.clone()) {
            return Ok((count.min(most), false));
        }
        params = Some(PaginatedRequestParams::default().with_cursor(Some(next)));
    }
}

fn kept_tool(tool: rmcp::model::Tool, limits: &InspectionLimits) -> Tool {
    let json = |schema: &rmcp::model::JsonObject| {
        let text = serde_json::to_string(schema).ok()?;
        (text.len() <= limits.schema_bytes).then_some(text)
    };
    let annotations = tool.annotations.as_ref();
    let mut name = clipped(&tool.name, TOOL_NAME_BYTES);
    name.truncate(name.floor_char_boundary(TOOL_NAME_BYTES));
    Tool {
        name,
        title: tool.title.as_deref().map(|text| clip(text, limits)),
        description: tool.description.map(|text| clip(&text, limits)),
        input_schema: json(&tool.input_schema),
        output_schema: tool.output_schema.as_deref().and_then(json),
        annotations: annotations
            .and_then(|annotations| serde_json::to_string(annotations).ok())
            .filter(|text| text.len() <= limits.schema_bytes),
    }
}

pub(super) fn clip(text: &str, limits: &InspectionLimits) -> String {
    clipped(text, limits.characters)
}

/// The beginning of a text, without NUL, which PostgreSQL does not keep.
pub(super) fn clipped(text: &str, characters: usize) -> String {
    let shown = |c| if c == '\0' { '\u{fffd}' } else { c };
    text.chars().map(shown).take(characters).collect()
}

pub(super) fn kept_info(server: &Implementation, limits: &InspectionLimits) -> ServerInfo {
    let optional = |text: &Option<String>| text.as_deref().map(|text| clip(text, limits));
    let icons = server.icons.iter().flatten();
    let shown =
        |icon: &&Icon| icon.src.starts_with("https://") || icon.src.starts_with("data:image/");
    let mut left = ICON_BYTES;
    let fits = |icon: &&Icon| {
        let rest = left.checked_sub(icon.src.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    ServerInfo {
        name: clip(&server.name, limits),
        title: optional(&server.title),
        version: clip(&server.version, limits),
        description: optional(&server.description),
        website_url: optional(&server.website_url),
        icons: icons
            .filter(shown)
            .take(ICONS)
            .filter(fits)
            .map(|icon| icon.src.clone())
            .collect(),
    }
}
