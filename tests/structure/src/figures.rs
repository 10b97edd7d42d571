//! The figures, each with its bound.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
};

use crate::{
    Report,
    graph::{self, Arrows, Reference},
    list, rules,
    source::{Function, Modules, Token},
};

/// Reports files that import each other, directly or through others.
pub(crate) fn circles(report: &mut Report, arrows: &Arrows<'_>) {
    let mut circles = graph::circles(arrows.keys().copied());
    circles.retain(|circle| circle.len() > 1);
    report.line("import circles", circles.len());
    for circle in &circles {
        let size = circle.len();
        report.line("  circle of files", size);
        for ((from, to), names) in arrows {
            if circle.contains(from) && circle.contains(to) {
                _ = writeln!(report.text, "    {from} → {to}: {}", list(names));
            }
        }
        report.broken.push(format!(
            "{}: {size} files import each other in a circle, and none is allowed. \
             Move the names that tie them to a file that both sides import; the list above has them.",
            list(circle),
        ));
    }
}

/// Reports the share of each first-level folder in the lines of `src`.
pub(crate) fn shares(report: &mut Report, lines: &BTreeMap<&str, usize>) {
    let total: usize = lines.values().sum();
    let mut folders = BTreeMap::<&str, usize>::new();
    for (file, lines) in lines {
        // `config.rs` and `config/` are one module.
        let name = file.split(['/', '.']).nth(1).unwrap_or_default();
        *folders.entry(name).or_default() += lines;
    }
    let folders = by_size(folders);
    let permille = |lines: usize| lines * 1000 / total.max(1);
    report.line("lines of src", format!("{total} in {} files", lines.len()));
    let percent = |permille: usize| format!("{}.{} %", permille / 10, permille % 10);
    let shares = folders
        .iter()
        .map(|(name, lines)| format!("{name} {}", percent(permille(*lines))));
    report.list("shares", shares);
    for (name, lines) in folders {
        if permille(lines) > rules::SHARE * 10 {
            report.broken.push(format!(
                "src/{name}: has {lines} of {total} lines of src. Allowed: at most {} %. \
                 Move a subject that stands alone to another folder.",
                rules::SHARE
            ));
        }
    }
}

/// Reports the number of files directly in each folder.
pub(crate) fn folders(report: &mut Report, files: &[String]) {
    let mut folders = BTreeMap::<&Path, usize>::new();
    for folder in files.iter().filter_map(|file| Path::new(file).parent()) {
        if rules::FOLDERS.iter().any(|root| folder.starts_with(root)) {
            *folders.entry(folder).or_default() += 1;
        }
    }
    let folders = by_size(folders);
    let largest = folders.iter().take(8);
    report.list(
        "files in a folder",
        largest.map(|(folder, files)| format!("{} {files}", folder.display())),
    );
    for (folder, files) in folders {
        let mut exempt = rules::LARGE_FOLDERS.iter().map(|(name, _)| name);
        if files > rules::FOLDER_FILES
            && !exempt.any(|name| folder.ends_with(name) || folder.starts_with(name))
        {
            report.broken.push(format!(
                "{}: has {files} files directly in it. Allowed: at most {}. Group them in subfolders by subject.",
                folder.display(),
                rules::FOLDER_FILES
            ));
        }
    }
}

fn by_size<T>(folders: BTreeMap<T, usize>) -> Vec<(T, usize)> {
    let mut folders: Vec<_> = folders.into_iter().collect();
    folders.sort_by_key(|(_, size)| Reverse(*size));
    folders
}

/// Reports the names that `http` imports from the pipeline, and its calls of functions and methods of the pipeline.
pub(crate) fn crossing(
    report: &mut Report,
    modules: &Modules,
    references: &[Reference<'_>],
    arrows: &Arrows<'_>,
) {
    let (http, pipeline) = rules::CROSSING;
    for ((file, to), names) in arrows {
        if !file.starts_with(http) || !to.starts_with(pipeline) {
            continue;
        }
        report.line("http → pipeline", format!("{file} → {to}: {}", list(names)));
    }
    let mut calls = BTreeMap::<String, usize>::new();
    for reference in references
        .iter()
        .filter(|reference| reference.named.call && reference.file.starts_with(http))
    {
        if reference
            .item
            .is_some_and(|(_, file)| file.starts_with(pipeline))
        {
            *calls.entry(reference.named.path.join("::")).or_default() += 1;
        }
    }
    let methods = methods(modules, pipeline);
    for module in modules
        .values()
        .filter(|module| module.file.starts_with(http))
    {
        for (_, name) in called(&module.tokens).filter(|(dot, name)| *dot && methods.contains(name))
        {
            *calls.entry(format!(".{name}")).or_default() += 1;
        }
    }
    // Variants of an enum look like functions.
    let is_variant = |name: &str| {
        let last = name.rsplit("::").next().unwrap_or(name);
        last.starts_with(char::is_uppercase)
    };
    calls.retain(|name, _| !is_variant(name));
    let text = list(calls.iter().map(|(name, times)| format!("{name} {times}")));
    report.line("http → pipeline", format!("calls: {text}"));
    let expected: BTreeMap<_, _> = rules::CROSSING_CALLS
        .iter()
        .map(|(name, times)| ((*name).to_owned(), *times))
        .collect();
    for name in calls
        .keys()
        .chain(expected.keys().filter(|name| !calls.contains_key(*name)))
    {
        let (found, allowed) = (calls.get(name), expected.get(name));
        if found != allowed {
            report.broken.push(format!(
                "{http}: calls `{name}` of {pipeline} {} times; CROSSING_CALLS of {} has it {} times. \
                 Enter the pipeline by a call that is listed there, or move this code into the pipeline.",
                found.unwrap_or(&0),
                rules::TABLE,
                allowed.unwrap_or(&0),
            ));
        }
    }
}

/// Returns the methods that files of the folder define for others and no file outside it defines.
fn methods<'a>(modules: &'a Modules, folder: &str) -> BTreeSet<&'a str> {
    let (mut inside, mut outside) = (BTreeSet::new(), BTreeSet::from(rules::COMMON_METHODS));
    for module in modules.values() {
        for function in &module.functions {
            if !module.file.starts_with(folder) {
                outside.insert(&*function.name);
            } else if function.method {
                inside.insert(&*function.name);
            }
        }
    }
    inside.difference(&outside).copied().collect()
}

/// Returns the called functions and methods: whether a dot precedes the name, and the name.
fn called(tokens: &[Token]) -> impl Iterator<Item = (bool, &str)> {
    let call = |three: &[Token]| three[2].text == "(" && three[1].code && three[0].text != "fn";
    let calls = tokens.windows(3).filter(move |three| call(three));
    calls.map(|three| (three[0].text == ".", &*three[1].text))
}

/// Reports functions that visit a document by calling themselves, directly or through other functions of their file.
pub(crate) fn visitors(report: &mut Report, modules: &Modules) {
    let mut visitors = Vec::new();
    for module in modules.values() {
        let functions = &module.functions;
        let mut edges = Vec::new();
        for (from, function) in functions.iter().enumerate() {
            let names: BTreeSet<&str> = called(&function.body).map(|(_, name)| name).collect();
            for (to, other) in functions.iter().enumerate() {
                // A function that calls its own name does not call another function of that name.
                if names.contains(&*other.name) && (to == from || other.name != function.name) {
                    edges.push((from, to));
                }
            }
        }
        let visits = |function: &Function| {
            let mut parameters = function.parameters.iter();
            parameters.any(|token| rules::DOCUMENT_TYPES.contains(&&*token.text))
        };
        for circle in graph::circles(edges) {
            let circle: Vec<&Function> = circle.into_iter().map(|at| &functions[at]).collect();
            if circle.iter().any(|function| visits(function)) {
                let names: Vec<&str> = circle.iter().map(|function| &*function.name).collect();
                visitors.push(format!(
                    "{}:{} {}",
                    module.file,
                    circle[0].line,
                    names.join("+")
                ));
            }
        }
    }
    report.line(
        "document visitors",
        format!("{}: {}", visitors.len(), list(&visitors)),
    );
    bound(
        report,
        "functions that visit a document",
        visitors.len(),
        rules::VISITORS,
    );
}

/// Reports calls that parse the schema or write it as text.
pub(crate) fn schemas(report: &mut Report, modules: &Modules) {
    let mut calls = Vec::new();
    for module in modules.values() {
        let parses =
            |(dot, name): &(bool, &str)| *name == "parse_schema" || (*dot && *name == "sdl");
        calls.extend(
            called(&module.tokens)
                .filter(parses)
                .map(|(_, name)| format!("{} {name}", module.file)),
        );
    }
    report.line(
        "schemas parsed",
        format!("{}: {}", calls.len(), list(&calls)),
    );
    bound(
        report,
        "calls that parse the schema",
        calls.len(),
        rules::SCHEMAS,
    );
}

/// Returns the places of lines that are wider than allowed.
pub(crate) fn wide_lines(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().zip(1..);
    let wide = lines.filter(|(line, _)| line.chars().count() > rules::COLUMNS);
    wide.map(|(_, number)| format!("{file}:{number}")).collect()
}

/// Counts the comments that begin with a word that puts the subject last.
pub(crate) fn openings(text: &str) -> usize {
    let comments = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("//"));
    let opens = |comment: &str| {
        let word = comment
            .trim_start_matches(['/', '!'])
            .split_whitespace()
            .next();
        word.is_some_and(|word| rules::OPENINGS.contains(&word.trim_end_matches([',', ':'])))
    };
    comments.filter(|comment| opens(comment)).count()
}

/// Bounds the width of lines, and the comments that begin with a word of `OPENINGS`.
pub(crate) fn text(report: &mut Report, wide: &[String], openings: usize) {
    report.line("wide lines", wide.len());
    if !wide.is_empty() {
        report.broken.push(format!(
            "{}: wider than {} columns. Break the line. A long string continues after a backslash.",
            list(wide),
            rules::COLUMNS
        ));
    }
    report.line("inverted comments", openings);
    bound(
        report,
        "comments that begin with a word of OPENINGS",
        openings,
        rules::INVERTED,
    );
}

/// Checks that README.md is one screen of text.
pub(crate) fn readme(report: &mut Report, text: &str) {
    let lines = text.lines().count();
    report.line("lines of README.md", lines);
    bound(report, "lines of README.md", lines, rules::README_LINES);
}

fn bound(report: &mut Report, figure: &str, found: usize, most: usize) {
    if found > most {
        report
            .broken
            .push(format!("{found} {figure}: {} allows {most}.", rules::TABLE));
    }
}
