//! Resolves paths to the files that define the names, and finds circles of files.
//!
//! A method call names no file, so it draws no arrow.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Module, Modules, Named};

/// A module, or an item of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) module: &'a str,
    pub(crate) file: &'a str,
    pub(crate) item: Option<&'a str>,
}

/// A location in the source that names something.
#[derive(Debug)]
pub(crate) struct Reference<'a> {
    pub(crate) file: &'a str,
    pub(crate) named: &'a Named,
    /// The item, and the file that defines it.
    pub(crate) item: Option<(&'a str, &'a str)>,
    /// The files of the modules that the path names on its way, before re-exports.
    pub(crate) through: Vec<&'a str>,
}

/// Resolves every import, every path of two or more names, and every call by name.
pub(crate) fn references(modules: &Modules) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    for (key, module) in modules {
        for named in module.imports.iter().chain(&module.paths) {
            let ends = 1..=named.path.len();
            let targets = ends.filter_map(|end| resolve(modules, key, &named.path[..end], 0));
            let targets: Vec<Target<'_>> = targets.collect();
            let through = targets.iter().filter(|target| target.item.is_none());
            let through = through.map(|target| target.file).collect();
            let last = resolve(modules, key, &named.path, 0);
            let glob = Some("*").filter(|name| named.name == *name);
            let item = last.and_then(|target| Some((target.item.or(glob)?, target.file)));
            references.push(Reference {
                file: &module.file,
                named,
                item,
                through,
            });
        }
    }
    references
}

/// The names that a file imports from another, by the pair of files.
pub(crate) type Arrows<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>;

/// Draws an arrow to the file that defines a name. A name that is only re-exported is not needed.
pub(crate) fn arrows<'a>(references: &[Reference<'a>], modules: &Modules) -> Arrows<'a> {
    let used = |file: &str, name: &String| {
        let mut modules = modules.values().filter(|module| module.file == file);
        modules.any(|module| {
            module
                .tokens
                .iter()
                .any(|token| token.code && token.text == *name)
        })
    };
    let mut arrows = Arrows::new();
    for Reference {
        file, named, item, ..
    } in references
    {
        if let Some((name, to)) = item
            && file != to
            && (!named.public || used(file, &named.name))
        {
            arrows.entry((*file, *to)).or_default().insert(*name);
        }
    }
    arrows
}

/// Follows a path from a module. Finds nothing for a name of the standard library, a dependency or a function.
pub(crate) fn resolve<'a>(
    modules: &'a Modules,
    from: &str,
    path: &[String],
    depth: usize,
) -> Option<Target<'a>> {
    let (head, rest) = path.split_first()?;
    let start = match &**head {
        "crate" => from.split("::").next()?,
        "self" => from,
        "super" => from.rsplit_once("::")?.0,
        // A name that the module does not have may be a crate.
        _ => {
            return find(modules, from, path, depth).or_else(|| within(modules, head, rest, depth));
        }
    };
    within(modules, start, rest, depth)
}

fn within<'a>(
    modules: &'a Modules,
    module: &str,
    path: &[String],
    depth: usize,
) -> Option<Target<'a>> {
    match path.first() {
        None => modules
            .get_key_value(module)
            .map(|found| target(found, None)),
        Some(head) if head == "super" => resolve(modules, module, path, depth),
        Some(_) => find(modules, module, path, depth),
    }
}

fn target<'a>(
    (module, Module { file, .. }): (&'a String, &'a Module),
    item: Option<&'a str>,
) -> Target<'a> {
    Target { module, file, item }
}

fn find<'a>(modules: &'a Modules, at: &str, path: &[String], depth: usize) -> Option<Target<'a>> {
    let (name, rest) = path.split_first()?;
    let (found, child) = (modules.get_key_value(at)?, format!("{at}::{name}"));
    // A module and a function may share a name: what follows tells them apart.
    if !rest.is_empty() && modules.contains_key(&child) {
        return within(modules, &child, rest, depth);
    }
    if let Some(item) = found.1.items.get(name) {
        return Some(target(found, Some(item)));
    }
    // `use anyhow::anyhow` would resolve its first name to itself.
    let imports = found.1.imports.iter().filter(|_| depth < 16);
    let imports = imports.filter(|import| import.name == *name);
    let mut imported = imports.map(|import| [&*import.path, rest].concat());
    imported
        .find_map(|path| resolve(modules, at, &path, depth + 1))
        .or_else(|| within(modules, &child, rest, depth))
        .or_else(|| {
            let globs = found
                .1
                .imports
                .iter()
                .filter(|import| import.name == "*" && depth < 16);
            let mut globs = globs.filter_map(|glob| resolve(modules, at, &glob.path, depth + 1));
            globs.find_map(|glob| find(modules, glob.module, path, depth + 1))
        })
}

/// Groups nodes that reach each other, largest group first. A node alone is a circle if it has an edge to itself.
pub(crate) fn circles<T: Ord + Copy>(edges: impl IntoIterator<Item = (T, T)>) -> Vec<Vec<T>> {
    let mut next = BTreeMap::<T, Vec<T>>::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let mut reached = BTreeMap::<T, BTreeSet<T>>::new();
    for &start in next.keys() {
        let (mut open, mut seen) = (vec![start], BTreeSet::new());
        while let Some(node) = open.pop() {
            let following = next.get(&node).into_iter().flatten();
            open.extend(following.copied().filter(|node| seen.insert(*node)));
        }
        reached.insert(start, seen);
    }
    let mut circles = BTreeSet::<Vec<T>>::new();
    for (node, seen) in &reached {
        let back = |other: &T| reached.get(other).is_some_and(|seen| seen.contains(node));
        circles.insert(seen.iter().copied().filter(back).collect());
    }
    let mut circles = Vec::from_iter(circles);
    circles.retain(|circle| !circle.is_empty());
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}
