//! Which tools of a server are kept, and how they are asked for: search and page.
//!
//! Invariant: the texts of the tools that are kept of a server have a bound. A [`Listing`] is right in itself; whatever a client
//! may get wrong was refused when it was made.

use std::collections::HashSet;

use crate::error::Result;

use super::{
    cursor::{self, Digest},
    inspection::{TOOLS, TOOLS_BYTES, Tool},
    listing::{Search, limit},
};

/// A page of the tools of a connector, whichever it is, by their names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Words that a tool must have, the last one as a beginning; none of a search: all tools.
    pub words: Option<Vec<String>>,
    pub limit: u64,
    /// The name that the page begins after.
    pub after: Option<String>,
    digest: Digest,
}

/// Tools in the order of their names, and whether there are more of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub tools: Vec<Tool>,
    pub more: bool,
}

impl Listing {
    /// Every refusal is `BAD_USER_INPUT` and names the argument.
    pub fn parse(first: Option<i32>, after: Option<&str>, search: Option<&str>) -> Result<Self> {
        let search = search.map(Search::parse).transpose()?.flatten();
        let words = search.map(|search| search.words.into_iter().collect());
        let digest = Digest::of(&words);
        let after = after.map(|text| cursor::parse_of_tool("after", text, &digest));
        Ok(Self {
            words,
            limit: limit("first", first)?,
            after: after.transpose()?,
            digest,
        })
    }

    /// The cursor of a tool of this list.
    pub fn cursor(&self, name: &str) -> String {
        cursor::of_tool(name, &self.digest)
    }
}

/// The tools that are kept of a server: no more than [`TOOLS`], whose texts have no more than [`TOOLS_BYTES`].
#[derive(Debug, Default)]
pub struct Kept {
    tools: Vec<Tool>,
    names: HashSet<String>,
    bytes: usize,
    is_cut: bool,
}

impl Kept {
    /// Adds the next tool that the server lists, as far as there is room for it: else without its schemas, or without all but its
    /// name, or not at all. A name that was listed before is no other tool.
    pub fn add(&mut self, tool: Tool) {
        if self.names.contains(&tool.name) {
            return;
        }
        if self.tools.len() >= TOOLS {
            self.is_cut = true;
            return;
        }
        let whole = tool.text_bytes();
        let tool = self.cut(tool);
        let kept = tool.as_ref().map_or(0, Tool::text_bytes);
        self.is_cut |= kept < whole;
        if let Some(tool) = tool {
            self.bytes += kept;
            self.names.insert(tool.name.clone());
            self.tools.push(tool);
        }
    }

    /// As much of a tool as there is room for.
    fn cut(&self, mut tool: Tool) -> Option<Tool> {
        let fits = |tool: &Tool| self.bytes + tool.text_bytes() <= TOOLS_BYTES;
        if !fits(&tool) {
            (tool.input_schema, tool.output_schema) = (None, None);
        }
        if !fits(&tool) {
            (tool.title, tool.description, tool.annotations) = (None, None, None);
        }
        fits(&tool).then_some(tool)
    }

    /// Whether a tool was not kept, or not all of it.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub fn into_tools(self) -> Vec<Tool> {
        self.tools
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, schema: usize) -> Tool {
        Tool {
            name: name.to_owned(),
            title: None,
            description: Some("d".repeat(100)),
            input_schema: Some("s".repeat(schema)),
            output_schema: None,
            annotations: None,
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut kept = Kept::default();
        kept.add(tool("whole", 1000));
        kept.add(tool("whole", 2000));
        assert!(!kept.is_cut());
        kept.add(tool("without its schema", TOOLS_BYTES));
        assert!(kept.is_cut());
        for n in 0..TOOLS {
            kept.add(tool(&format!("{n:0>200}"), TOOLS_BYTES / 10));
        }
        let tools = kept.into_tools();
        assert_eq!(tools[0].input_schema.as_ref().map(String::len), Some(1000));
        assert_eq!(tools[1].input_schema, None);
        assert!(tools[1].description.is_some());
        assert!(tools.len() <= TOOLS);
        let bytes: usize = tools.iter().map(Tool::text_bytes).sum();
        assert!(
            bytes <= TOOLS_BYTES && bytes > TOOLS_BYTES * 9 / 10,
            "{bytes}"
        );
    }
}
