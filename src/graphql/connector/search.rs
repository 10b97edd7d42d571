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

/// The words that a list was searched for.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchInfo {
    /// Whether other words were searched for than those that were given. They are only where no connector that you see
    /// has what was given, and some have what is near to it.
    corrected: bool,
    /// The words that were given, without case and accents.
    words: List<SearchWord>,
}

/// A word of a search, or two neighbours that were joined.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchWord {
    /// The word, or both with a space between.
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
    /// The serverUrl, which was the search.
    ServerUrl,
}

/// A field in which a search found a connector.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchMatch {
    /// The field that has words of the search.
    field: SearchField,
    /// The name of the tool that is meant by TOOL; null otherwise.
    tool_name: Option<Text<'static>>,
    /// The field's text in parts, which make it together. Of a long text they make 200 characters around the first
    /// match.
    fragments: List<TextFragment>,
}

/// A part of a text.
#[derive(SimpleObject)]
pub(in crate::graphql) struct TextFragment {
    /// The text, with case and accents.
    text: Text<'static>,
    /// Whether these are words of the search. A word is matched as a whole, even if only its beginning was searched
    /// for.
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

    /// The matches of a search in a connector's own fields.
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

    /// The match of a search in a tool.
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

/// Whether the connector's own fields have all that was searched for, so that no tool was.
pub(super) fn needs_no_tool(search: &Search, row: &Model) -> bool {
    let description = row.description.as_deref().unwrap_or_default();
    let mut words = text::words(&row.name);
    words.extend(text::of_connector_id(&row.connector_id));
    words.extend(text::words(description));
    search.is_had_by(&words)
}
