//! The files of an import, and the entries that their objects become.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Seek},
    path::PathBuf,
};

use anyhow::Context;
use tokio::sync::mpsc;

use crate::{
    domain::connector::Entry,
    interchange::{
        ParsedEntry, Rejection, Warning,
        categories::Categories,
        load::Ids,
        named,
        object::{self, Object},
        published::{self, Assumed},
        reader::{self, Element, Event},
        registry::{self, Rank},
        shape::{self, Form},
    },
};

pub(super) const ENTRIES_A_BATCH: usize = 500;

/// An object of the input, or a note about a file.
pub(super) struct Item {
    /// The file and line, the object's number in the file, and its name for people.
    pub(super) at: String,
    pub(super) content: Content,
}

pub(super) enum Content {
    Entry(Box<Entry>, Vec<Warning>),
    OlderVersion,
    Deleted,
    /// The server is disabled in its client's configuration.
    Disabled,
    Rejected(Vec<Rejection>),
    /// A warning about the file.
    Warning(Warning),
}

/// The results of the first reading.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) objects: u64,
    /// The number of the latest version of each registry server.
    latest: HashMap<String, (Rank, u64)>,
    /// The ids of all entries.
    pub(super) ids: Ids,
}

/// A named input that can be read several times.
#[derive(Debug)]
pub struct Source {
    name: String,
    input: Input,
}

#[derive(Debug)]
enum Input {
    File(File),
    Text(String),
}

impl Source {
    /// Creates a source from text.
    pub(crate) fn of_text(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            input: Input::Text(text),
        }
    }
}

/// Opens the files. `-`, or no file at all, means standard input. An input that can be read only once is copied to a
/// temporary file.
pub fn open(files: Vec<PathBuf>) -> anyhow::Result<Vec<Source>> {
    let files = if files.is_empty() {
        vec!["-".into()]
    } else {
        files
    };
    let open = |path: PathBuf| {
        if path.as_os_str() == "-" {
            let file = keep(&mut io::stdin().lock()).context("standard input cannot be read")?;
            let name = "standard input".to_owned();
            let input = Input::File(file);
            return Ok(Source { name, input });
        }
        let opened = File::open(&path).and_then(|mut file| {
            if file.metadata()?.is_file() {
                Ok(file)
            } else {
                keep(&mut file)
            }
        });
        let name = path.display().to_string();
        let file = opened.with_context(|| format!("{name} cannot be read"))?;
        let input = Input::File(file);
        Ok(Source { name, input })
    };
    files.into_iter().map(open).collect()
}

fn keep(input: &mut impl io::Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(input, &mut file)?;
    Ok(file)
}

/// Reads all files from the beginning. Each event comes with the file's name and the number of objects before that
/// file.
fn each_event(
    sources: &[Source],
    mut each: impl FnMut(&str, u64, Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut before = 0;
    for Source { name, input } in sources {
        let each = |event| each(name, before, event);
        let count = match input {
            Input::File(file) => {
                let mut file = file;
                file.rewind()?;
                reader::read(BufReader::new(file), each)
            }
            Input::Text(text) => reader::read(text.as_bytes(), each),
        };
        before += count.with_context(|| format!("{name} cannot be read on"))?;
    }
    Ok(())
}

pub(super) fn survey(sources: &[Source], assumed: &Assumed) -> anyhow::Result<Survey> {
    let mut survey = Survey::default();
    each_event(sources, |_, before, event| {
        let Event::Element(element) = event else {
            return Ok(());
        };
        survey.objects = before + element.number;
        let Ok(object) = element.object else {
            return Ok(());
        };
        let Ok(form) = shape::recognise(element.section, &object) else {
            return Ok(());
        };
        let id = match form {
            Form::Published => object::text(&object, "id"),
            Form::Registry => registry::id_of(&object),
            _ => named::id_of(element.name.as_deref(), &object, assumed),
        };
        if let Some(id) = id {
            survey.ids.insert(&id);
        }
        if form == Form::Registry
            && let Ok(version) = registry::identify(&object)
            && !version.deleted
        {
            let number = survey.objects;
            let best = survey
                .latest
                .entry(version.name)
                .or_insert_with(|| (version.rank.clone(), number));
            if version.rank >= best.0 {
                *best = (version.rank, number);
            }
        }
        Ok(())
    })?;
    Ok(survey)
}

pub(super) fn read(
    sources: &[Source],
    survey: &Survey,
    assumed: &Assumed,
    categories: &Categories,
    batches: &mpsc::Sender<Vec<Item>>,
) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    each_event(sources, |file, before, event| {
        batch.push(match event {
            Event::Element(element) => Item {
                at: location(file, &element),
                content: with_category(
                    content(before + element.number, element, survey, assumed),
                    categories,
                ),
            },
            event => Item {
                at: file.to_owned(),
                content: Content::Warning(about_file(event)),
            },
        });
        if batch.len() == ENTRIES_A_BATCH {
            batches.blocking_send(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    batches.blocking_send(batch)?;
    Ok(())
}

/// Converts an event that is no object to a warning.
fn about_file(event: Event) -> Warning {
    match event {
        Event::KeysLeftOut(keys, others) => {
            let others = match others {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            let keys = keys.join(", ");
            let text =
                format!("only the servers are read, and these keys left out: {keys}{others}");
            Warning::new("keys left out", text)
        }
        Event::NextPage(cursor) => {
            let cursor: String = cursor.chars().take(200).collect();
            let text = format!(
                "this is one page of a list: fetch the next page with ?cursor={cursor}, and import it too"
            );
            Warning::new("next page", text)
        }
        // Objects are items of their own.
        Event::Element(_) => Warning::new("", ""),
    }
}

fn with_category(content: Content, categories: &Categories) -> Content {
    match content {
        Content::Entry(entry, warnings) => {
            Content::Entry(Box::new(categories.give(*entry)), warnings)
        }
        other => other,
    }
}

fn content(number: u64, element: Element, survey: &Survey, assumed: &Assumed) -> Content {
    let object = match element.object {
        Ok(object) => object,
        Err(mut rejection) => {
            if element.name.is_some() && rejection.reason == object::NO_OBJECT {
                let expected =
                    r#"must be an object such as {"url": "https://…"} or {"command": "…"}"#;
                expected.clone_into(&mut rejection.reason);
            }
            return Content::Rejected(vec![rejection]);
        }
    };
    let is_latest = |name: &str| {
        let latest = survey.latest.get(name);
        latest.is_none_or(|(_, latest)| *latest == number)
    };
    let parsed = match shape::recognise(element.section, &object) {
        Err(rejection) => Err(vec![rejection]),
        Ok(Form::Published) => published::parse(&object, assumed),
        Ok(Form::Registry) => match registry::identify(&object) {
            Ok(version) if version.deleted => return Content::Deleted,
            Ok(version) if !is_latest(&version.name) => return Content::OlderVersion,
            Ok(_) => registry::parse(&object),
            Err(rejections) => Err(rejections),
        },
        Ok(Form::Client) if named::is_disabled(&object) => return Content::Disabled,
        Ok(form) => named::parse(form, element.name.as_deref(), &object, assumed),
    };
    match parsed {
        Ok(ParsedEntry { entry, warnings }) => Content::Entry(Box::new(entry), warnings),
        Err(rejections) => Content::Rejected(rejections),
    }
}

fn location(file: &str, element: &Element) -> String {
    let Element { number, line, .. } = element;
    match label(element) {
        Some(name) => format!("{file}:{line}: entry {number} ({name})"),
        None => format!("{file}:{line}: entry {number}"),
    }
}

/// Returns the name of an object, or its id.
fn label(element: &Element) -> Option<String> {
    let object: Option<&Object> = element.object.as_ref().ok();
    let name = |object: &Object| object::text(object, "name");
    let of_server = |object: &Object| name(&object::inner(object, "server")?);
    let label = element.name.clone().or_else(|| {
        let object = object?;
        name(object)
            .or_else(|| of_server(object))
            .or_else(|| object::text(object, "id"))
    });
    label.map(|label| label.chars().take(100).collect())
}
