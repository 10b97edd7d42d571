//! The stored tools of a server, and pages of them.
//!
//! Invariant: the texts of a server's stored tools are bounded. A [`Listing`] is valid: its constructor refuses invalid
//! arguments.

use std::collections::HashSet;

use crate::error::Result;

use super::{
    cursor::{self, Digest},
    inspection::{TOOLS, TOOLS_BYTES, Tool},
    listing::{Search, limit, limit_within},
};

/// A page of any connector's tools, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Listing {
    /// Words that a tool must have, the last one as a prefix. None means all tools.
    pub(crate) words: Option<Vec<String>>,
    pub(crate) limit: u64,
    /// The name before the page.
    pub(crate) after: Option<String>,
    digest: Digest,
}

/// Tools ordered by name, and whether there are more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) tools: Vec<Tool>,
    pub(crate) more: bool,
}

impl Listing {
    /// Parses the arguments. Errors name the argument: `CURSOR_INVALID` for a cursor, `BAD_USER_INPUT` for others.
    pub(crate) fn parse(
        first: Option<i32>,
        after: Option<&str>,
        search: Option<&str>,
    ) -> Result<Self> {
        let search = Search::parse("search", search)?;
        let words: Option<Vec<_>> = search.map(|search| search.given().cloned().collect());
        let digest = Digest::of(&words);
        let after = after.map(|text| cursor::parse_of_tool("after", text, digest));
        Ok(Self {
            words,
            limit: limit("first", first)?,
            after: after.transpose()?,
            digest,
        })
    }

    /// Parses a part of all tools of an inspection; all by default.
    pub(crate) fn parse_of_all(first: Option<i32>, after: Option<&str>) -> Result<Self> {
        let most = TOOLS as u64;
        let limit = limit_within("first", first, most, most)?;
        let all = Self::parse(None, after, None)?;
        Ok(Self { limit, ..all })
    }

    /// Returns the cursor of a tool in this list.
    pub(crate) fn cursor(&self, name: &str) -> String {
        cursor::of_tool(name, self.digest)
    }
}

/// Bounded tools of a server: at most [`TOOLS`], with at most [`TOOLS_BYTES`] of text.
#[derive(Debug, Default)]
pub(crate) struct BoundedTools {
    tools: Vec<Tool>,
    names: HashSet<String>,
    bytes: usize,
    is_cut: bool,
    /// Listed tools.
    listed: usize,
    nameless: usize,
    repeated: usize,
    /// Tools without a part that was of the wrong type.
    odd: usize,
}

impl BoundedTools {
    /// Adds the next listed tool as far as the bytes allow: otherwise without schemas, with the name only, or not at
    /// all. A repeated name is not a new tool. `is_odd` is whether a part of the wrong type was left out.
    pub(crate) fn add(&mut self, tool: Tool, is_odd: bool) {
        self.listed += 1;
        if self.names.contains(&tool.name) {
            self.repeated += 1;
            return;
        }
        self.odd += usize::from(is_odd);
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

    /// Returns as much of a tool as the bytes allow.
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

    /// Counts a listed tool without a name.
    pub(crate) fn leave_out(&mut self) {
        self.listed += 1;
        self.nameless += 1;
    }

    /// Returns the number of listed tools without a name of their own.
    pub(crate) fn left_out(&self) -> usize {
        self.nameless + self.repeated
    }

    /// Describes how many tools were reduced, and why.
    pub(crate) fn notes(&self) -> Vec<String> {
        let listed = self.listed;
        let counts = [
            (self.nameless, "left out: no name that is a text"),
            (self.repeated, "left out: a name that was listed before"),
            (
                self.odd,
                "kept in part: a part is missing or of a wrong type",
            ),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let note = |(count, why)| {
            format!(
                "{count} of {listed} tools {} {why}.",
                if count == 1 { "is" } else { "are" }
            )
        };
        counts.map(note).collect()
    }

    /// Returns whether a tool or a part of one was left out for lack of bytes.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(crate) fn into_tools(self) -> Vec<Tool> {
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
        let mut kept = BoundedTools::default();
        kept.add(tool("whole", 1000), false);
        assert_eq!((kept.left_out(), kept.notes()), (0, vec![]));
        kept.add(tool("whole", 2000), true);
        kept.leave_out();
        assert!(!kept.is_cut());
        kept.add(tool("without its schema", TOOLS_BYTES), true);
        kept.leave_out();
        assert_eq!(kept.left_out(), 3);
        let notes = [
            "2 of 5 tools are left out: no name that is a text.",
            "1 of 5 tools is left out: a name that was listed before.",
            "1 of 5 tools is kept in part: a part is missing or of a wrong type.",
        ];
        assert_eq!(kept.notes(), notes);
        assert!(kept.is_cut());
        for n in 0..TOOLS {
            kept.add(tool(&format!("{n:0>200}"), TOOLS_BYTES / 10), false);
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
