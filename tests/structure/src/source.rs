//! Reads the source: a list of files, and for each module its items, its imports and its tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, ItemUse, UseTree, Visibility, spanned::Spanned, visit::Visit};

/// The crates that are read: a folder or file, and the name that other crates use for it.
const CRATES: [(&str, &str); 4] = [
    ("src/main.rs", "main"),
    ("src/", "personal_connectors"),
    ("entity/src/", "entity"),
    ("migration/src/", "migration"),
];

/// A word, a punctuation mark or a delimiter.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Whether it is not in a literal or an import.
    pub(crate) code: bool,
}

/// A path in an import or in code.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// The name that an import gives; `*` for all names.
    pub(crate) name: String,
    /// Whether an import is a re-export.
    pub(crate) public: bool,
    /// Whether `(` follows.
    pub(crate) call: bool,
}

/// A function, with the tokens of its parameters and of its body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Whether it is a method that other files may call.
    pub(crate) method: bool,
    pub(crate) parameters: Vec<Token>,
    pub(crate) body: Vec<Token>,
}

/// A module outside tests: a file, or an inline module of a file.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Named>,
    pub(crate) paths: Vec<Named>,
    pub(crate) functions: Vec<Function>,
    /// The items without inline modules; of imports, each whole path.
    pub(crate) tokens: Vec<Token>,
}

/// All modules by path, for example `personal_connectors::store::state`.
pub(crate) type Modules = BTreeMap<String, Module>;

/// Lists the repository's files: those that git does not ignore, or without git all but built and downloaded ones.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let mut files = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => walk(root, ""),
    };
    files.retain(|file| root.join(file).is_file());
    files.sort();
    files.dedup();
    files
}

fn walk(root: &Path, folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}{name}");
        if !entry.path().is_dir() {
            files.push(path);
        } else if !name.starts_with('.') && !["target", "node_modules", "dist"].contains(&&*name) {
            files.extend(walk(root, &format!("{path}/")));
        }
    }
    files
}

/// Parses a file into `modules`. Files of tests and of other crates are left out.
pub(crate) fn parse(modules: &mut Modules, file: &str, text: &str) -> syn::Result<()> {
    let Some(path) = module_path(file) else {
        return Ok(());
    };
    let parsed = syn::parse_file(text)?;
    add(modules, &path, file, parsed.items);
    Ok(())
}

fn module_path(file: &str) -> Option<String> {
    let (prefix, name) = CRATES.iter().find(|(prefix, _)| file.starts_with(prefix))?;
    let inner = file
        .strip_suffix(".rs")?
        .get(prefix.len()..)
        .unwrap_or_default();
    if inner.split('/').any(|part| part == "tests") {
        return None;
    }
    let mut parts = vec![*name];
    parts.extend(
        inner
            .split('/')
            .filter(|part| !["", "mod", "lib"].contains(part)),
    );
    Some(parts.join("::"))
}

fn add(modules: &mut Modules, path: &str, file: &str, items: Vec<Item>) {
    let mut module = Module {
        file: file.to_owned(),
        ..Module::default()
    };
    for item in items {
        let (name, attributes) = match &item {
            Item::Const(item) => (Some(&item.ident), &item.attrs),
            Item::Enum(item) => (Some(&item.ident), &item.attrs),
            Item::Fn(item) => (Some(&item.sig.ident), &item.attrs),
            Item::Macro(item) => (item.ident.as_ref(), &item.attrs),
            Item::Mod(item) => (None, &item.attrs),
            Item::Static(item) => (Some(&item.ident), &item.attrs),
            Item::Struct(item) => (Some(&item.ident), &item.attrs),
            Item::Trait(item) => (Some(&item.ident), &item.attrs),
            Item::Type(item) => (Some(&item.ident), &item.attrs),
            Item::Union(item) => (Some(&item.ident), &item.attrs),
            Item::Use(item) => (None, &item.attrs),
            Item::Impl(item) => (None, &item.attrs),
            _ => (None, &Vec::new()),
        };
        if attributes.iter().any(for_tests) {
            continue;
        }
        module.items.extend(name.map(plain));
        module.visit_item(&item);
        match item {
            Item::Use(_) => {}
            Item::Mod(item) => {
                let inner = item.content.map(|(_, items)| items);
                if let Some(items) = inner {
                    add(
                        modules,
                        &format!("{path}::{}", plain(&item.ident)),
                        file,
                        items,
                    );
                }
            }
            item => flatten(item.to_token_stream(), &mut module.tokens),
        }
    }
    module.paths = paths(&module.tokens);
    modules.insert(path.to_owned(), module);
}

fn for_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Path>()
            .is_ok_and(|condition| condition.is_ident("test"))
}

/// Collects imports and functions at any depth of an item, except within inline modules.
impl<'ast> Visit<'ast> for Module {
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let public = public(&item.vis);
        let line = item.span().start().line;
        leaves(&item.tree, &[], &mut |path, name| {
            let glob = if name == "*" { "::*" } else { "" };
            let text = format!("{}{glob};", path.join("::"));
            self.tokens
                .extend(words(&text).into_iter().map(|text| Token {
                    text,
                    line,
                    code: false,
                }));
            self.imports.push(Named {
                path,
                line,
                name,
                public,
                call: false,
            });
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, false, item.block.to_token_stream());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let method = item.sig.receiver().is_some() && public(&item.vis);
        self.function(&item.sig, method, item.block.to_token_stream());
        syn::visit::visit_impl_item_fn(self, item);
    }
}

impl Module {
    fn function(&mut self, signature: &syn::Signature, method: bool, block: TokenStream) {
        let (mut parameters, mut body) = (Vec::new(), Vec::new());
        flatten(signature.inputs.to_token_stream(), &mut parameters);
        flatten(block, &mut body);
        self.functions.push(Function {
            name: plain(&signature.ident),
            line: signature.span().start().line,
            method,
            parameters,
            body,
        });
    }
}

fn leaves(tree: &UseTree, path: &[String], add: &mut impl FnMut(Vec<String>, String)) {
    let with = |ident: &syn::Ident| {
        let mut path = path.to_vec();
        // `{self}` names the module itself.
        if path.is_empty() || ident != "self" {
            path.push(plain(ident));
        }
        path
    };
    match tree {
        UseTree::Path(tree) => leaves(&tree.tree, &with(&tree.ident), add),
        UseTree::Name(tree) => {
            let path = with(&tree.ident);
            let name = path.last().cloned().unwrap_or_default();
            add(path, name);
        }
        UseTree::Rename(tree) => add(with(&tree.ident), plain(&tree.rename)),
        UseTree::Glob(_) => add(path.to_vec(), "*".to_owned()),
        UseTree::Group(tree) => tree.items.iter().for_each(|tree| leaves(tree, path, add)),
    }
}

fn public(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

fn plain(ident: &syn::Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// Appends the tokens without documentation, with `::` as one token and string literals as their words.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let token = |text: String, code| Token { text, line, code };
        match tree {
            TokenTree::Group(group) => {
                let marks = match group.delimiter() {
                    Delimiter::Brace => ["{", "}"],
                    Delimiter::Bracket => ["[", "]"],
                    Delimiter::Parenthesis | Delimiter::None => ["(", ")"],
                };
                tokens.push(token(marks[0].to_owned(), true));
                // `#[doc = "…"]` is a comment.
                let first = group.stream().into_iter().next();
                if first.is_none_or(|first| first.to_string() != "doc") {
                    flatten(group.stream(), tokens);
                }
                tokens.push(token(marks[1].to_owned(), true));
            }
            TokenTree::Ident(ident) => tokens.push(token(plain(&ident), true)),
            TokenTree::Punct(mark) => match tokens.last_mut() {
                Some(last) if last.text == ":" && mark.as_char() == ':' => last.text.push(':'),
                _ => tokens.push(token(mark.as_char().to_string(), true)),
            },
            TokenTree::Literal(literal) => {
                let words = words(&literal.to_string()).into_iter();
                tokens.extend(words.map(|word| token(word, false)));
            }
        }
    }
}

/// Finds `a::b`, `a::b::c`, … and `a(`. Names after a dot are fields and methods.
fn paths(tokens: &[Token]) -> Vec<Named> {
    let word = |token: &&Token| {
        token.code
            && token
                .text
                .starts_with(|c: char| c.is_alphabetic() || c == '_')
    };
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    let (mut paths, mut before, mut at) = (Vec::new(), "", 0);
    while let Some(token) = tokens.get(at) {
        let mut path = vec![token.text.clone()];
        while word(&token)
            && text(at + 1) == "::"
            && tokens.get(at + 2).is_some_and(|next| word(&next))
        {
            at += 2;
            path.push(text(at).to_owned());
        }
        let call = text(at + 1) == "(";
        if word(&token) && (call || path.len() > 1) && ![".", "::", "'", "fn"].contains(&before) {
            paths.push(Named {
                path,
                line: token.line,
                name: String::new(),
                public: false,
                call,
            });
        }
        before = text(at);
        at += 1;
    }
    paths
}

/// Splits text into identifiers, `::` and single marks.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut joins = false;
    for c in text.chars() {
        let part = c.is_alphanumeric() || c == '_';
        match words.last_mut() {
            Some(last) if (part && joins) || (c == ':' && last == ":") => last.push(c),
            _ if !c.is_whitespace() => words.push(c.to_string()),
            _ => {}
        }
        joins = part;
    }
    words
}
