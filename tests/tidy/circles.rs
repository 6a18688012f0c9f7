//! No circles of folders: of two folders side by side, directly or by way of others, at most one uses the other.
//!
//! A folder and what is inside it belong together and are no circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{is_test_file, paths_in, root, rust_files};

/// A module by its names from the crate's root: `["edge", "card"]`.
type Module = Vec<String>;

/// Which folder uses which, and one file that does.
type Uses = BTreeMap<Module, BTreeMap<Module, String>>;

/// The module that a file (its path below the source folder) is, and the one that a folder is.
fn module(path: &Path) -> Module {
    let mut names: Module = path.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

/// The absolute path of what a file of `module` names, if it says that it is in this crate.
fn absolute(module: &[String], path: &[String]) -> Option<Module> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat()),
        _ => None,
    }
}

/// What the files, given as module and source, use of one another's folders.
fn uses(files: &[(Module, String)]) -> Uses {
    let folders: BTreeSet<&[String]> =
        files.iter().flat_map(|(module, _)| (1..module.len()).map(|length| &module[..length])).collect();
    let mut uses = Uses::new();
    for (module, source) in files {
        for target in paths_in(source).iter().filter_map(|path| absolute(module, path)) {
            let shared = module.iter().zip(&target).take_while(|(mine, its)| mine == its).count();
            let (Some(from), Some(to)) = (module.get(..=shared), target.get(..=shared)) else { continue };
            if folders.contains(from) && folders.contains(to) {
                uses.entry(from.to_vec()).or_default().entry(to.to_vec()).or_insert_with(|| module.join("/"));
            }
        }
    }
    uses
}

/// A way from `at` back to the first folder of `way`, in words.
fn way_back(uses: &Uses, way: &mut Vec<Module>, seen: &mut BTreeSet<Module>, told: &mut Vec<String>) -> bool {
    let at = way.last().expect("it begins somewhere").clone();
    for (to, file) in uses.get(&at).into_iter().flatten() {
        told.push(format!("{} uses {} in {file}", at.join("/"), to.join("/")));
        if *to == way[0] {
            return true;
        }
        if seen.insert(to.clone()) {
            way.push(to.clone());
            if way_back(uses, way, seen, told) {
                return true;
            }
            way.pop();
        }
        told.pop();
    }
    false
}

fn circles(files: &[(Module, String)]) -> Vec<String> {
    let uses = uses(files);
    uses.keys()
        .filter_map(|start| {
            let mut told = Vec::new();
            way_back(&uses, &mut vec![start.clone()], &mut BTreeSet::new(), &mut told).then(|| told.join(", "))
        })
        .collect()
}

#[test]
fn no_folders_use_each_other_in_a_circle() {
    for package in
        ["src", "enrol/src", "fleet/cli/src", "fleet/core/src", "fleet/server/src", "hw-tests/src", "lab/src"]
    {
        let base = root().join(package);
        let read = |file: &Path| fs::read_to_string(file).expect("readable");
        let files: Vec<_> = rust_files(&base)
            .into_iter()
            .filter(|file| !is_test_file(file))
            .map(|file| (module(file.strip_prefix(&base).expect("below it")), read(&file)))
            .collect();
        let found = circles(&files);
        assert!(found.is_empty(), "{package} has folders that use each other:\n{}", found.join("\n"));
    }
}

#[test]
fn circles_are_seen_and_nothing_else_is() {
    let tree = |files: &[(&str, &str)]| {
        let files: Vec<_> =
            files.iter().map(|(path, source)| (module(Path::new(path)), (*source).to_owned())).collect();
        circles(&files).len()
    };
    let b = ("b/mod.rs", "use crate::c::C;");
    let leaves = [("a/x.rs", ""), ("b/x.rs", ""), ("c/x.rs", "")];
    let with = |more: &[(&'static str, &'static str)]| tree(&[&leaves[..], more].concat());
    assert_eq!(with(&[("a/mod.rs", "use crate::b::B;"), b, ("c/mod.rs", "")]), 0);
    assert_eq!(with(&[("a/mod.rs", "use crate::b::B;"), b, ("c/mod.rs", "fn f() -> crate::a::A { loop {} }")]), 3);
    assert_eq!(with(&[("a/mod.rs", "use super::b::B;"), ("b/deep/mod.rs", "use super::super::a::A;")]), 2);
    // A folder and its own parts, and a test's, are no circle.
    assert_eq!(with(&[("a/mod.rs", "mod x; use x::X;"), ("a/x.rs", "use super::A;")]), 0);
    assert_eq!(
        with(&[("a/mod.rs", "use crate::b::B;"), ("b/mod.rs", "#[cfg(test)] mod tests { use crate::a::A; }")]),
        0
    );
}
