//! How the tools of connectors are asked for: search and page.
//!
//! Invariant: a [`Listing`] is right in itself; whatever a client may get wrong was refused when it was made.

use crate::error::Result;

use super::{
    cursor::{self, Digest},
    inspection::Tool,
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
