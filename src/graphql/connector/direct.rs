//! Direct queries, which are executed without the library.
//!
//! Invariant: the response equals the library's, byte for byte, errors included. A query is direct only if it has one
//! root field, and the [fast path](super::fast_path) writes that field's rows. It runs only after the library has
//! validated its document.

use std::{mem, sync::Arc};

use async_graphql::{
    ID, InputType, Name, PathSegment, Pos, Positioned, Response, ServerError, parser::types::Field,
};
use async_graphql_value::{ConstValue, Value as Given};

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        cursor, field_values,
        listing::{Arguments, Listing},
        viewer::Viewer,
    },
    error::{Error, Result},
    graphql::scalars::raw,
    store::Catalog,
};

use super::{
    connection::{Counts, Page},
    facets::FacetsWriter,
    fast_path::{Keyed, ListWriter, RowWriter, SelectedField, add, heap_bytes, json, text},
    inputs::{PersonalConnectorFilter, PersonalConnectorOrder, orders},
};

/// A selected field, from the document.
pub(crate) trait ParsedField: SelectedField {
    fn field(&self) -> &Positioned<Field>;
}

/// A query of one root field, from the document.
#[derive(Debug)]
pub(crate) struct DirectQuery {
    location: Location,
    arguments: AsGiven,
    root: Root,
}

/// Arguments, from the document.
type AsGiven = Vec<(Positioned<Name>, Positioned<Given>)>;

/// The position of a field in its document, for its errors.
#[derive(Clone, Debug)]
struct Location {
    key: String,
    position: Pos,
}

impl Location {
    /// Returns what makes an error one of this field.
    fn failed(&self) -> impl Fn(Error) -> Failed {
        |error| Failed(error, Some(self.clone()))
    }

    fn of(field: &impl ParsedField) -> Self {
        Self {
            key: field.key().to_owned(),
            position: field.field().pos,
        }
    }
}

#[derive(Debug)]
enum Root {
    Connector(Arc<RowWriter>),
    /// The rows are selected, or nothing is read of the page.
    Connectors(Keyed<PagePart>, Option<ListWriter>),
}

/// A field of a page.
#[derive(Debug)]
enum PagePart {
    Typename,
    Rows,
    PageInfo(Keyed<InfoPart>),
    TotalCount(Location),
    Facets(Location, FacetsWriter),
    ChangesCursor(Location),
}

impl PagePart {
    /// Whether it needs the page.
    const fn is_read(&self) -> bool {
        matches!(self, Self::Rows | Self::PageInfo(_))
    }

    /// Whether it is an object with a selection.
    const fn is_object(&self) -> bool {
        matches!(self, Self::PageInfo(_) | Self::Facets(..))
    }
}

/// A field of a page's `pageInfo`.
#[derive(Clone, Copy, Debug)]
enum InfoPart {
    Typename,
    HasPreviousPage,
    HasNextPage,
    StartCursor,
    EndCursor,
}

impl DirectQuery {
    /// Returns none if the library must execute the root field.
    pub(crate) fn of(root: impl ParsedField) -> Option<Self> {
        Some(Self {
            location: Location::of(&root),
            arguments: root.field().node.arguments.clone(),
            root: match root.name() {
                "personalConnector" => Root::Connector(RowWriter::of(root)?),
                "personalConnectors" => {
                    let parts = page_parts(root)?;
                    let is_read = parts.iter().any(|(_, part)| part.is_read());
                    let rows = if is_read {
                        Some(ListWriter::of(root)?)
                    } else {
                        None
                    };
                    Root::Connectors(parts, rows)
                }
                _ => return None,
            },
        })
    }

    pub(crate) fn arguments(&self) -> &AsGiven {
        &self.arguments
    }

    /// Returns the bytes on the heap, without those of the arguments.
    pub(crate) fn heap_bytes(&self) -> usize {
        let root = match &self.root {
            Root::Connector(writer) => writer.heap_bytes(),
            Root::Connectors(parts, rows) => {
                let of_part = |part: &PagePart| match part {
                    PagePart::PageInfo(parts) => heap_bytes(parts),
                    PagePart::TotalCount(location) | PagePart::ChangesCursor(location) => {
                        location.key.capacity()
                    }
                    PagePart::Facets(location, facets) => {
                        location.key.capacity() + facets.heap_bytes()
                    }
                    PagePart::Typename | PagePart::Rows => 0,
                };
                let below = parts.iter().map(|(_, part)| of_part(part));
                let rows = rows.as_ref().map_or(0, ListWriter::heap_bytes);
                heap_bytes(parts) + below.sum::<usize>() + rows
            }
        };
        size_of::<Self>() + self.location.key.capacity() + root
    }

    /// Parses a viewer's arguments. `value` returns the value of an argument, or none if it is omitted. Returns none if
    /// a value has another type, because the library makes that error.
    pub(crate) fn parse(
        self: &Arc<Self>,
        viewer: &Viewer,
        value: impl Fn(&Given) -> Option<ConstValue>,
    ) -> Option<DirectRead> {
        let argument = Argument {
            given: &self.arguments,
            value,
        };
        let arguments = match self.root {
            Root::Connector(_) => RootArguments::Connector(argument.parse::<ID>("id")?.0),
            Root::Connectors(..) => RootArguments::Connectors(Box::new(Arguments {
                search: argument.parse("search")?,
                filter: argument
                    .parse::<Option<PersonalConnectorFilter>>("filter")?
                    .map(|filter| filter.of_viewer(viewer)),
                order: argument
                    .parse::<Option<PersonalConnectorOrder>>("orderBy")?
                    .map(Into::into),
                then_by: orders(argument.parse("thenBy")?),
                first: argument.parse("first")?,
                after: argument.parse("after")?,
                last: argument.parse("last")?,
                before: argument.parse("before")?,
            })),
        };
        Some(DirectRead {
            query: Arc::clone(self),
            arguments,
        })
    }
}

fn page_parts<S: ParsedField>(connection: S) -> Option<Keyed<PagePart>> {
    let mut parts: Keyed<PagePart> = Vec::new();
    for field in connection.below() {
        let part = match field.name() {
            "__typename" => PagePart::Typename,
            "nodes" | "edges" => PagePart::Rows,
            "totalCount" => PagePart::TotalCount(Location::of(&field)),
            "changesCursor" => PagePart::ChangesCursor(Location::of(&field)),
            "pageInfo" => PagePart::PageInfo(info_parts(field)?),
            "facets" => PagePart::Facets(Location::of(&field), FacetsWriter::of(field)?),
            _ => return None,
        };
        // Two fields with one key may have to be merged.
        let is_of_its_kind = |(_, other): &(String, PagePart)| {
            part.is_object() && mem::discriminant(other) == mem::discriminant(&part)
        };
        if parts.iter().any(is_of_its_kind) {
            return None;
        }
        add(&mut parts, &field, part);
    }
    Some(parts)
}

fn info_parts(info: impl SelectedField) -> Option<Keyed<InfoPart>> {
    let mut parts = Vec::new();
    for field in info.below() {
        let part = match field.name() {
            "__typename" => InfoPart::Typename,
            "hasPreviousPage" => InfoPart::HasPreviousPage,
            "hasNextPage" => InfoPart::HasNextPage,
            "startCursor" => InfoPart::StartCursor,
            "endCursor" => InfoPart::EndCursor,
            _ => return None,
        };
        add(&mut parts, &field, part);
    }
    Some(parts)
}

/// The arguments of a field.
struct Argument<'a, F> {
    given: &'a AsGiven,
    value: F,
}

impl<F: Fn(&Given) -> Option<ConstValue>> Argument<'_, F> {
    fn parse<T: InputType>(&self, name: &str) -> Option<T> {
        let given = self.given.iter().find(|(given, _)| given.node == name);
        T::parse(given.and_then(|(_, value)| (self.value)(&value.node))).ok()
    }
}

/// A direct query with its arguments.
#[derive(Debug)]
pub(crate) struct DirectRead {
    query: Arc<DirectQuery>,
    arguments: RootArguments,
}

#[derive(Debug)]
enum RootArguments {
    Connector(String),
    Connectors(Box<Arguments>),
}

/// An error, and the field below the root where it occurred.
struct Failed(Error, Option<Location>);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error, None)
    }
}

impl DirectRead {
    /// Reads and writes the response, whose data is JSON text. After an error, the nearest nullable field becomes null
    /// (GraphQL, section 6.4.4).
    pub(crate) async fn answer(
        self,
        catalog: Catalog,
        viewer: Arc<Viewer>,
        budget: Arc<AnswerBudget>,
    ) -> Response {
        let Self { query, arguments } = self;
        let mut data = format!("{{\"{}\":", query.location.key);
        let written = match (&query.root, arguments) {
            (Root::Connector(writer), RootArguments::Connector(id)) => {
                connector(writer, id, &catalog, viewer, &mut data).await
            }
            (Root::Connectors(parts, rows), RootArguments::Connectors(arguments)) => {
                let parts = (parts.as_slice(), rows.as_ref());
                // The box keeps the state of a read of one connector small.
                let page = page(parts, *arguments, &catalog, viewer, &budget, &mut data);
                Box::pin(page).await
            }
            _ => Err(Error::internal("a query with the arguments of another").into()),
        };
        match written {
            Ok(()) => {
                data.push('}');
                Response::new(raw(data))
            }
            Err(Failed(error, below)) => {
                let null = match query.root {
                    Root::Connector(_) => raw(format!("{data}null}}")),
                    Root::Connectors(..) => ConstValue::Null,
                };
                let mut response = Response::new(null);
                response.errors.push(located(&query, error, below));
                response
            }
        }
    }
}

/// Returns an error in the form of the library's for a resolver.
fn located(query: &DirectQuery, error: Error, below: Option<Location>) -> ServerError {
    let location = below.as_ref().unwrap_or(&query.location);
    let error = async_graphql::Error::from(error).into_server_error(location.position);
    let root = PathSegment::Field(query.location.key.clone());
    let below = below.map(|location| PathSegment::Field(location.key));
    ServerError {
        path: [root].into_iter().chain(below).collect(),
        ..error
    }
}

async fn connector(
    writer: &Arc<RowWriter>,
    id: String,
    catalog: &Catalog,
    viewer: Arc<Viewer>,
    data: &mut String,
) -> Result<(), Failed> {
    let mut written = None;
    if field_values::is_id(&id) {
        let write = writer.clone().for_viewer(viewer);
        written = catalog.get_fields(id, writer.fields(), write).await?;
    }
    data.push_str(written.as_ref().map_or("null", |written| &written.0));
    Ok(())
}

async fn page(
    (parts, rows): (&[(String, PagePart)], Option<&ListWriter>),
    arguments: Arguments,
    catalog: &Catalog,
    viewer: Arc<Viewer>,
    budget: &AnswerBudget,
    data: &mut String,
) -> Result<(), Failed> {
    let listing = Listing::parse(arguments)?;
    let is_info = |(_, part): &(String, PagePart)| matches!(part, PagePart::PageInfo(_));
    let with_info = parts.iter().any(is_info);
    let (page, mut nodes) = match rows {
        Some(rows) if Page::is_read(&listing, true, with_info) => {
            Page::written(catalog, viewer, listing, rows).await?
        }
        _ => (Page::of_nothing(listing), Vec::new()),
    };
    let facets = parts.iter().find_map(|(_, part)| match part {
        PagePart::Facets(_, writer) => Some(writer),
        _ => None,
    });
    let counts = Counts::new(
        facets.is_some_and(FacetsWriter::has_groups),
        facets.is_some_and(FacetsWriter::has_outcomes),
    );
    for (index, (key, part)) in parts.iter().enumerate() {
        data.push(if index == 0 { '{' } else { ',' });
        data.push_str(key);
        match part {
            PagePart::Typename => data.push_str("\"PersonalConnectorConnection\""),
            PagePart::Rows => {
                let cursor = |index| page.cursor(index).unwrap_or_default();
                if let Some(rows) = rows {
                    rows.write(mem::take(&mut nodes), cursor, budget, data)?;
                }
            }
            PagePart::PageInfo(parts) => data.push_str(&info(parts, &page)?),
            PagePart::TotalCount(location) => {
                let total = counts.total(catalog, &page.listing).await;
                data.push_str(&total.map_err(location.failed())?.to_string());
            }
            PagePart::Facets(location, writer) => {
                let by_organization = writer.has_organizations();
                let facets = counts.facets(catalog, &page.listing, by_organization).await;
                let facets = facets.and_then(|facets| writer.write(&facets));
                let facets = facets.map_err(location.failed())?;
                budget.write(facets.len())?;
                data.push_str(&facets);
            }
            PagePart::ChangesCursor(location) => {
                let log = catalog.log().await.map_err(location.failed())?;
                // Base64 needs no escapes.
                data.extend(["\"", &cursor::of_changes(log.state), "\""]);
            }
        }
    }
    data.push('}');
    Ok(())
}

fn info(parts: &[(String, InfoPart)], page: &Page) -> Result<String> {
    let mut out = Vec::new();
    for (index, (key, part)) in parts.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        out.extend_from_slice(key.as_bytes());
        match part {
            InfoPart::Typename => text(Some("PageInfo"), &mut out),
            InfoPart::HasPreviousPage => json(&page.has_previous(), &mut out),
            InfoPart::HasNextPage => json(&page.has_next(), &mut out),
            InfoPart::StartCursor => text(page.start_cursor().as_deref(), &mut out),
            InfoPart::EndCursor => text(page.end_cursor().as_deref(), &mut out),
        }?;
    }
    out.push(b'}');
    String::from_utf8(out).map_err(Error::internal)
}
