//! What the source of the workspace keeps to, beside what the compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates of the workspace, by the folder of their source.
const CRATES: [&str; 10] = [
    "benches/src",
    "conformance/src",
    "core/src",
    "fuzz/src",
    "sim/src",
    "src",
    "store-memory/src",
    "store-redis/src",
    "testkit/src",
    "web/src",
];

/// Files by module path: `["log", "delta"]` is `log/delta.rs`, `[]` is `lib.rs`.
type Files = BTreeMap<Vec<String>, String>;

type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_crate(folder: &str) -> Files {
    let mut files = Files::new();
    let root = workspace().join(folder);
    let mut folders = vec![(root, Vec::new())];
    while let Some((folder, module)) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("names are text");
            let mut module: Vec<String> = module.clone();
            if path.is_dir() {
                // Programs of their own.
                if stem != "bin" {
                    module.push(stem.to_owned());
                    folders.push((path, module));
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if stem != "lib" && stem != "main" {
                    module.push(stem.to_owned());
                }
                if stem != "main" || !path.with_file_name("lib.rs").exists() {
                    files.insert(module, source(&path));
                }
            }
        }
    }
    files
}

/// Returns the source of a file, without comments and without its tests.
fn source(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("the file can be read");
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let lines = lines.map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the paths that the `use` lines of a source name.
fn imports(source: &str) -> Vec<Vec<String>> {
    let mut imports = Vec::new();
    for statement in source.split(';') {
        let starts = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
        let line = statement.lines().position(|line| {
            let line = line.trim_start();
            starts.iter().any(|start| line.starts_with(start))
        });
        if let Some(line) = line {
            let tree = statement.lines().skip(line).collect::<Vec<_>>().join(" ");
            let tree = tree.split_once("use ").expect("it is a use").1;
            expand(&[], tree, &mut imports);
        }
    }
    imports
}

/// Expands `a::{b, c::d}` to `a::b` and `a::c::d`.
fn expand(prefix: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((head, rest)) if !head.contains(',') => {
            let mut prefix = prefix.to_vec();
            prefix.extend(segments(head));
            let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
            let (mut depth, mut start) = (0, 0);
            for (at, letter) in inside.char_indices().chain([(inside.len(), ',')]) {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        expand(&prefix, &inside[start..at], paths);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        }
        _ if tree.is_empty() => {}
        _ => {
            let name = tree.split(" as ").next().unwrap_or_default();
            let mut path = prefix.to_vec();
            path.extend(segments(name));
            paths.push(path);
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(ToOwned::to_owned)
}

/// Returns the file that a path of one module leads to, if it is one of the same crate.
fn resolve(files: &Files, module: &[String], path: &[String]) -> Option<Vec<String>> {
    let (mut found, rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (module.to_vec(), &path[1..]),
        "super" => (module[..module.len().checked_sub(1)?].to_vec(), &path[1..]),
        child => {
            let mut inside = module.to_vec();
            inside.push(child.to_owned());
            if !files.contains_key(&inside) {
                return None;
            }
            (module.to_vec(), path)
        }
    };
    for part in rest {
        found.push(part.clone());
        if !files.contains_key(&found) {
            found.pop();
            break;
        }
    }
    Some(found)
}

fn graph(files: &Files) -> Graph {
    let edges = |module: &Vec<String>, source: &String| {
        let targets = imports(source).into_iter();
        let targets = targets.filter_map(|path| resolve(files, module, &path));
        targets.filter(|target| target != module).collect()
    };
    files.iter().map(|(module, source)| (module.clone(), edges(module, source))).collect()
}

/// Returns the files of a circle of imports, if there is one.
fn circle(graph: &Graph) -> Option<Vec<Vec<String>>> {
    // What imports only files that are in no circle is in none.
    let mut left: Graph = graph.clone();
    loop {
        let free: Vec<_> = left
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !left.contains_key(target)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|module| drop(left.remove(module)));
    }
    let mut path = vec![left.keys().next()?.clone()];
    loop {
        let last = path.last().expect("it has a start");
        let next = left[last].iter().find(|target| left.contains_key(*target))?.clone();
        if let Some(start) = path.iter().position(|module| *module == next) {
            return Some(path.split_off(start));
        }
        path.push(next);
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for folder in CRATES {
        let files = read_crate(folder);
        assert!(files.len() > 1, "{folder} has files");
        let found = circle(&graph(&files));
        assert_eq!(found, None, "a circle of files in {folder}");
    }
}

#[test]
fn the_search_for_circles_finds_one() {
    let file = |text: &str| text.to_owned();
    let module = |path: &str| segments(path).collect::<Vec<_>>();
    let mut files = Files::from([
        (module(""), file("mod a;\nmod b;\npub use a::A;")),
        (module("a"), file("use std::fmt;\n\nuse crate::b::{inner::{C, D}, B};")),
        (module("b"), file("pub(crate) mod inner;")),
        (module("b::inner"), file("use super::super::c;")),
    ]);
    assert_eq!(circle(&graph(&files)), None);
    files.insert(module("b::inner"), file("use crate::{\n    a::A,\n};"));
    let found = circle(&graph(&files)).expect("a and b::inner import each other");
    assert_eq!(BTreeSet::from_iter(found), BTreeSet::from([module("a"), module("b::inner")]));
}

/// Returns the public functions of `impl NAME {` blocks in the files of a crate.
fn public_functions(folder: &str, of: &str) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    let files = read_crate(folder);
    let start = format!("\nimpl {of} {{\n");
    for block in files.values().flat_map(|text| text.split(&start).skip(1)) {
        for line in block.lines().take_while(|line| *line != "}") {
            let line = line.trim_start();
            let line = line.strip_prefix("pub ").unwrap_or_default();
            let line = line.trim_start_matches("const ").trim_start_matches("async ");
            let name = line.strip_prefix("fn ").unwrap_or_default();
            let name = name.split(['(', '<']).next().unwrap_or_default();
            functions.extend((!name.is_empty()).then(|| name.to_owned()));
        }
    }
    functions
}

#[test]
fn a_handler_can_do_with_its_session_what_the_engine_can() {
    // Lending out a reference, and what belongs to a driver.
    let not_for_handlers =
        ["commit", "get_mut", "is_of", "is_renewed", "policy", "reject_conflicts", "token_update"];
    let engine = public_functions("core/src", "Session");
    let handle = public_functions("web/src", "WebSession");
    assert!(engine.len() > 30, "{engine:?}");
    let missing: Vec<_> = engine
        .difference(&handle)
        .filter(|name| !not_for_handlers.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "not on the handle of a request: {missing:?}");
}

#[test]
fn the_root_of_the_facade_has_at_most_forty_names() {
    let files = read_crate("src");
    let lib = &files[&Vec::new()];
    let public = lib.split("pub use ").skip(1).map(|rest| format!("use {rest}"));
    let names: Vec<_> = public.flat_map(|text| imports(&text)).collect();
    assert!((30..=40).contains(&names.len()), "{} names: {names:?}", names.len());
}
