//! The words of a search, and their matches in connectors.

use async_graphql::{Enum, SimpleObject};
use entity::personal_connector::Model;

use crate::{
    domain::{
        inspection::Tool,
        listing::{self, Correction, Fragment, Search},
        server_address, text,
    },
    graphql::{list::List, text::Text},
};

/// The words with which a list was searched.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchInfo {
    /// Whether given words were replaced. They are replaced only if you see no connector with the given words, and see
    /// some with near words.
    corrected: bool,
    /// The given words, without case and accents.
    words: List<SearchWord>,
}

/// A word of a search, or two neighbours that were joined.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchWord {
    /// The word, or both with a space between them.
    word: Text<'static>,
    /// The words that were searched for instead, any of which may be found, the nearest first. Two words with a space
    /// between are found together. Empty if the word was searched for as it is.
    replacements: List<Text<'static>>,
}

impl SearchInfo {
    pub(super) fn of(search: &Search, correction: Option<&Correction>) -> Self {
        let shown = |words: &[String]| {
            let words: Vec<_> = words.iter().map(|word| text::display(word)).collect();
            Text::new(words.join(" "))
        };
        let as_given = search.uncorrected();
        let terms = &correction.unwrap_or(&as_given).terms;
        let word = |term: &listing::CorrectedTerm| SearchWord {
            word: shown(&term.given),
            replacements: term.replacements.iter().map(|words| shown(words)).collect(),
        };
        Self {
            corrected: terms.iter().any(|term| !term.replacements.is_empty()),
            words: terms.iter().map(word).collect(),
        }
    }
}

/// A field of a connector that is searched. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(in crate::graphql) enum SearchField {
    /// The name.
    Name,
    /// The connectorId, without the labels of its namespace that name a host, such as `io.github`.
    ConnectorId,
    /// The description.
    Description,
    /// A tool: its name, or else its title or its description.
    Tool,
    /// The serverUrl, which equals the search.
    ServerUrl,
}

/// A field in which a search found a connector.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchMatch {
    /// The field that has words of the search.
    field: SearchField,
    /// The name of the tool for TOOL; null otherwise.
    tool_name: Option<Text<'static>>,
    /// The field's text in consecutive parts. Of a long text, these are 200 characters around the first match.
    fragments: List<TextFragment>,
}

/// A part of a text.
#[derive(SimpleObject)]
pub(in crate::graphql) struct TextFragment {
    /// The text, with case and accents.
    text: Text<'static>,
    /// Whether the part matches the search. Whole words match, even if only their beginning was searched.
    matched: bool,
}

impl SearchMatch {
    fn new(field: SearchField, fragments: Vec<Fragment>) -> Self {
        let fragments = fragments.into_iter().map(|fragment| TextFragment {
            text: Text::new(fragment.text),
            matched: fragment.is_matched,
        });
        Self {
            field,
            tool_name: None,
            fragments: fragments.collect(),
        }
    }

    /// Returns the matches of a search in a connector's own fields.
    pub(super) fn of(search: &Search, row: &Model) -> Vec<Self> {
        let url = row.server_url.as_ref();
        let url = url.filter(|url| {
            search.address.is_some() && server_address::of_url(url) == search.address
        });
        let description = row.description.as_deref().unwrap_or_default();
        let fields = [
            (SearchField::Name, search.in_name(&row.name)),
            (
                SearchField::ConnectorId,
                search.in_connector_id(&row.connector_id),
            ),
            (SearchField::Description, search.in_text(description)),
            (SearchField::ServerUrl, url.map(|url| listing::all(url))),
        ];
        let matches = fields.into_iter();
        let matches = matches.filter_map(|(field, fragments)| Some(Self::new(field, fragments?)));
        matches.collect()
    }

    /// Returns the match of a search in a tool.
    pub(super) fn of_tool(search: &Search, tool: &Tool) -> Option<Self> {
        let texts = [tool.title.as_deref(), tool.description.as_deref()];
        let mut texts = texts.into_iter().flatten();
        let fragments = search.in_name(&tool.name);
        let fragments = fragments.or_else(|| texts.find_map(|text| search.in_text(text)))?;
        Some(Self {
            tool_name: Some(Text::new(tool.name.clone())),
            ..Self::new(SearchField::Tool, fragments)
        })
    }
}

/// Returns whether the connector's own fields match the whole search, so that no tool is needed.
pub(super) fn needs_no_tool(search: &Search, row: &Model) -> bool {
    let description = row.description.as_deref().unwrap_or_default();
    let mut words = text::words(&row.name);
    words.extend(text::of_connector_id(&row.connector_id));
    words.extend(text::words(description));
    search.is_had_by(&words)
}
