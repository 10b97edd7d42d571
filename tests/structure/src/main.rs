//! Prints the figures of the source's structure. Fails if a bound or a rule of `rules` is broken.
//!
//! `cargo run -p structure` prints all figures; a test of this package checks the same rules.

mod figures;
mod graph;
mod layers;
mod rules;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::{Display, Write},
    fs,
    path::Path,
    process::ExitCode,
};

/// The figures as text, and a sentence for each broken rule.
#[derive(Debug, Default)]
struct Report {
    text: String,
    broken: Vec<String>,
}

impl Report {
    fn line(&mut self, name: &str, value: impl Display) {
        _ = writeln!(self.text, "{name:<22}{value}");
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) {
        self.line(name, list(values));
    }
}

fn list(values: impl IntoIterator<Item = impl Display>) -> String {
    let values = values.into_iter().map(|value| value.to_string());
    values.collect::<Vec<_>>().join(", ")
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let report = report()?;
    print!("{}", report.text);
    for sentence in &report.broken {
        println!("\nBROKEN {sentence}");
    }
    Ok(ExitCode::from(u8::from(!report.broken.is_empty())))
}

fn report() -> Result<Report, Box<dyn Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let files = source::files(root);
    let (mut modules, mut lines) = (source::Modules::new(), BTreeMap::new());
    let (mut wide, mut openings) = (Vec::new(), 0);
    let rust = |file: &&String| Path::new(file).extension().is_some_and(|name| name == "rs");
    for file in files.iter().filter(rust) {
        let text = fs::read_to_string(root.join(file))?;
        source::parse(&mut modules, file, &text).map_err(|error| format!("{file}: {error}"))?;
        wide.extend(figures::wide_lines(file, &text));
        openings += figures::openings(&text);
        if file.starts_with("src/") {
            lines.insert(&**file, text.lines().count());
        }
    }
    let references = graph::references(&modules);
    let arrows = graph::arrows(&references, &modules);
    let mut report = Report::default();
    figures::circles(&mut report, &arrows);
    figures::shares(&mut report, &lines);
    figures::folders(&mut report, &files);
    figures::crossing(&mut report, &modules, &references, &arrows);
    figures::visitors(&mut report, &modules);
    figures::schemas(&mut report, &modules);
    figures::text(&mut report, &wide, openings);
    figures::readme(&mut report, &fs::read_to_string(root.join("README.md"))?);
    layers::imports(&mut report, &modules, &references);
    layers::words(&mut report, &modules);
    Ok(report)
}
