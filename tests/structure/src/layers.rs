//! The rules about layers: the imports of each layer, and the files that may use a word.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Report,
    graph::Reference,
    list,
    rules::{self, Layer, TABLE},
    source::{self, Modules},
};

fn layer(file: &str) -> Option<&'static Layer> {
    let inside = |layer: &&Layer| layer.paths.iter().any(|path| file.starts_with(path));
    rules::LAYERS.iter().find(inside)
}

/// Returns whether a file is the root of the module that contains another file. Every `crate::` path goes through the
/// roots of both.
fn is_root_of(root: &str, file: &str) -> bool {
    root == "src/lib.rs"
        || root
            .strip_suffix("mod.rs")
            .is_some_and(|folder| file.starts_with(folder))
}

/// Checks the file that defines a name, and the modules on the path. So a re-export hides neither.
pub(crate) fn imports(report: &mut Report, modules: &Modules, references: &[Reference<'_>]) {
    for module in modules
        .values()
        .filter(|module| layer(&module.file).is_none())
    {
        let file = &module.file;
        report.broken.push(format!(
            "{file}: is in no layer. Add its file or folder to LAYERS of {TABLE}."
        ));
    }
    let mut imports = BTreeMap::<&str, BTreeSet<&str>>::new();
    let mut broken = BTreeMap::<(&str, &str), &Reference<'_>>::new();
    for reference in references {
        let own = ["crate", "self", "super"].contains(&&*reference.named.path[0]);
        if own && reference.item.is_none() && reference.through.len() < reference.named.path.len() {
            let (file, line) = (reference.file, reference.named.line);
            report.broken.push(format!(
                "{file}:{line}: `{}`: no file defines it, so no figure counts it. Define it outside a macro.",
                reference.named.path.join("::")
            ));
        }
        let through = reference.through.iter();
        let through = through.filter(|root| !is_root_of(root, reference.file));
        for file in through.copied().chain(reference.item.map(|(_, file)| file)) {
            let (Some(from), Some(to)) = (layer(reference.file), layer(file)) else {
                continue;
            };
            if from.name != to.name {
                imports.entry(from.name).or_default().insert(to.name);
                if to.name != "error" && !from.imports.contains(&to.name) {
                    broken.entry((reference.file, to.name)).or_insert(reference);
                }
            }
        }
    }
    for (from, imported) in imports {
        report.line(&format!("layer {from}"), list(&imported));
    }
    for ((file, imported), reference) in broken {
        let (line, path) = (reference.named.line, reference.named.path.join("::"));
        let from = layer(file).map_or("", |layer| layer.name);
        report.broken.push(format!(
            "{file}:{line}: `{path}`: the layer {from} must not import {imported}, as LAYERS of {TABLE} says. \
             Move the name to a layer that both import, or hand the value in."
        ));
    }
}

/// Checks words in code, in imports and in string literals.
pub(crate) fn words(report: &mut Report, modules: &Modules) {
    for module in modules.values() {
        let file = &module.file;
        let inside = |folder: &&str| file.starts_with(folder);
        let elsewhere = rules::WORDS
            .iter()
            .filter(|(_, folders)| !folders.iter().any(inside));
        let here = rules::FORBIDDEN.iter().filter(|(folder, _)| inside(folder));
        let absent = elsewhere.map(|(word, _)| word);
        for word in absent.chain(here.flat_map(|(_, words)| *words)) {
            let parts = source::words(word);
            for found in module.tokens.windows(parts.len()) {
                if found[0].text == parts[0] && found.iter().map(|token| &token.text).eq(&parts) {
                    let line = found[0].line;
                    report.broken.push(format!(
                        "{file}:{line}: `{word}` must not be named here. WORDS and FORBIDDEN of {TABLE} say where it \
                         may be."
                    ));
                }
            }
        }
    }
}
