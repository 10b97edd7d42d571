//! Pages of the documentation, and their blocks of code.

use std::path::{Path, PathBuf};

/// The checked pages in the repository's root.
const ROOT_PAGES: [&str; 4] = [
    "README.md",
    "BENCHMARKS.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
];

/// A page of the documentation.
pub struct Page {
    /// The path from the repository's root, with slashes.
    pub path: String,
    pub text: String,
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let path = path.to_owned();
        Self { path, text }
    }

    /// Returns the blocks in these languages, in the order of the page.
    pub fn blocks_in(&self, languages: &[&str]) -> Vec<(String, String)> {
        let mut blocks = blocks(&self.text);
        blocks.retain(|(language, _)| languages.contains(&language.as_str()));
        blocks
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the pages of the repository's root, and all pages of `docs/`, ordered by name.
pub fn pages() -> Vec<Page> {
    let docs = markdown(&root().join("docs"));
    let docs = docs.iter().map(|path| {
        let path = path.strip_prefix(root()).unwrap();
        Page::read(path.to_str().unwrap())
    });
    ROOT_PAGES.map(Page::read).into_iter().chain(docs).collect()
}

/// Returns the Markdown files of a folder and its subfolders, ordered by name.
fn markdown(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let within = |path: PathBuf| {
        if path.is_dir() {
            markdown(&path)
        } else {
            vec![path]
        }
    };
    paths.into_iter().flat_map(within).collect()
}

/// Returns the fenced blocks of a page, each with its language.
pub fn blocks(page: &str) -> Vec<(String, String)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            (language.to_owned(), text.to_owned())
        })
        .collect()
}
