//! The connectors of a list, without an order.

use entity::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility};

use crate::{domain::viewer::Sight, error::Result};

use super::{Filter, NameMatch, Restriction, Search, SearchTerm, State};

/// The most bytes of a list that a subscription stores while it is open. Empty filters take many times their text.
pub(crate) const MEMBERS_BYTES: usize = 128 * 1024;

/// The connectors that match a search and a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    search: Option<Search>,
    filter: Filter,
}

impl Members {
    /// Parses the fields of the argument `list`, with the limits of a list's fields. The words of the search are not
    /// replaced, because an event does not show whether they find anything else. `BAD_USER_INPUT` names the fields.
    pub(crate) fn parse(search: Option<&str>, filter: Option<Filter>) -> Result<Self> {
        Ok(Self {
            search: Search::parse("list.search", search)?,
            filter: filter.unwrap_or_default().parse("list.filter")?,
        })
    }

    /// Returns whether a connector is in the list, for a viewer of this sight. None if its event does not contain
    /// enough.
    pub(crate) fn has(&self, state: State<'_>, sight: &Sight) -> Option<bool> {
        let list = Restriction {
            filter: &self.filter,
            search: self.search.as_ref(),
        };
        list.has(state, sight)
    }

    /// Returns the ids of all its connectors, if the filter restricts them.
    pub(crate) fn ids(&self) -> Option<&[String]> {
        self.filter.id.as_deref()
    }

    /// Returns the types of all its connectors, if the filter restricts them.
    pub(crate) fn types(&self) -> Option<&[ConnectorType]> {
        self.filter.r#type.as_deref()
    }

    /// Returns the categories of all its connectors, if the filter restricts them.
    pub(crate) fn categories(&self) -> Option<&[Option<ConnectorCategory>]> {
        self.filter.category.as_deref()
    }

    /// Returns the statuses of all its connectors, if the filter restricts them.
    pub(crate) fn statuses(&self) -> Option<&[ConnectorStatus]> {
        self.filter.status.as_deref()
    }

    /// Returns the visibilities of all its connectors, if the filter restricts them.
    pub(crate) fn visibilities(&self) -> Option<&[ConnectorVisibility]> {
        self.filter.visibility.as_deref()
    }

    /// Returns the creators of all its connectors, if the filter restricts them.
    pub(crate) fn creators(&self) -> Option<&[String]> {
        self.filter.created_by.as_deref()
    }

    /// Returns its bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let terms = self.search.iter().flat_map(|search| &search.terms);
        let words: usize = terms.map(SearchTerm::heap_bytes).sum();
        let key = self.search.as_ref().map_or(0, |search| search.key.len());
        let address = self
            .search
            .as_ref()
            .and_then(|search| search.address.as_ref());
        size_of::<Self>() + words + key + address.map_or(0, String::len) + self.filter.heap_bytes()
    }
}

impl Filter {
    fn heap_bytes(&self) -> usize {
        fn values<T>(list: Option<&Vec<T>>) -> usize {
            list.map_or(0, |list| list.capacity() * size_of::<T>())
        }
        // A new list in the filter does not compile until it is here.
        let Self {
            id,
            r#type,
            category,
            status,
            server_type,
            visibility,
            connector_id,
            created_by,
            organization_id,
            owned,
            outcome,
            tool_name,
            name,
            host,
            has_tools: _,
            checked_at: _,
            uptime: _,
            created_at: _,
            updated_at: _,
            and,
            or,
            not,
        } = self;
        let lists = values(r#type.as_ref())
            + values(category.as_ref())
            + values(status.as_ref())
            + values(server_type.as_ref())
            + values(visibility.as_ref())
            + values(outcome.as_ref())
            + values(organization_id.as_ref())
            + values(Some(owned))
            + values(and.as_ref())
            + values(or.as_ref());
        let ids = organization_id.iter().flatten().flatten();
        let ids: usize = ids.map(String::capacity).sum();
        // Owners come from the token, whose size is limited.
        let of_texts = [id, connector_id, created_by, tool_name, host];
        let texts: usize = of_texts
            .into_iter()
            .map(|list| {
                let texts = list.iter().flatten().map(String::capacity);
                values(list.as_ref()) + texts.sum::<usize>()
            })
            .sum();
        let name = name.as_ref().map_or(
            0,
            |NameMatch {
                 equals,
                 starts_with,
             }| {
                [equals, starts_with]
                    .into_iter()
                    .flatten()
                    .map(String::len)
                    .sum()
            },
        );
        let nested = [and, or].into_iter().flatten().flatten();
        let nested: usize = nested.map(Self::heap_bytes).sum();
        let not = not
            .as_ref()
            .map_or(0, |not| size_of::<Self>() + not.heap_bytes());
        lists + ids + texts + name + nested + not
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_field_of_the_argument() {
        let refusal = |search: Option<&str>, filter: Filter| {
            let refused = Members::parse(search, Some(filter));
            refused.unwrap_err().to_string()
        };
        let long = "x".repeat(257);
        let texts = |text: &str, count| Some(vec![text.to_owned(); count]);
        let mut deep = Filter::default();
        for _ in 0..6 {
            deep = Filter {
                not: Some(Box::new(deep)),
                ..Filter::default()
            };
        }
        let hosts = Filter {
            host: texts("a/b", 1),
            ..Filter::default()
        };
        let many = Filter {
            id: texts("pcon_a", 101),
            ..Filter::default()
        };
        let one = Filter {
            has_tools: Some(true),
            ..Filter::default()
        };
        let two = Filter {
            status: Some(Vec::new()),
            ..one.clone()
        };
        let conditions = Filter {
            and: Some(vec![two; 50]),
            ..one
        };
        for (refused, expected) in [
            (
                refusal(Some(&long), Filter::default()),
                "list.search must be at most 256 characters",
            ),
            (
                refusal(None, deep),
                "list.filter must have at most 5 levels of and, or and not",
            ),
            (
                refusal(None, conditions),
                "list.filter must have at most 100 conditions",
            ),
            (
                refusal(None, many),
                "the list id of list.filter must have at most 100 items",
            ),
            (
                refusal(None, hosts),
                "list.filter.host must be hosts such as mcp.example.com or localhost:8000, not \"a/b\"",
            ),
        ] {
            assert_eq!(refused, expected);
        }
    }

    #[test]
    fn all_parts_take_bytes() {
        let bytes = |filter| Members::parse(Some("a b"), Some(filter)).unwrap().bytes();
        let none = bytes(Filter::default());
        let text = Some(vec!["x".repeat(200)]);
        let nested = Some(vec![Filter::default(); 10]);
        let by_tools = Filter {
            tool_name: text.clone(),
            ..Filter::default()
        };
        let by_host = Filter {
            host: Some(vec!["x".repeat(50)]),
            ..Filter::default()
        };
        let named = Filter {
            name: Some(NameMatch::new(Some(&"x".repeat(200)), None)),
            ..Filter::default()
        };
        let any = Filter {
            or: nested.clone(),
            ..Filter::default()
        };
        let not = Filter {
            not: Some(Box::new(any.clone())),
            ..Filter::default()
        };
        for (filter, least) in [
            (by_tools, 200),
            (by_host, 50),
            (named, 200),
            (any, 3000),
            (not, 3200),
        ] {
            assert!(bytes(filter.clone()) >= none + least, "{filter:?}");
        }
    }
}
