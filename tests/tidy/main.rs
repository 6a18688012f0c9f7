//! The house rules as a test: who may depend on whom, what every file opens with, and that the papers are true.
//!
//! Parses the source with `syn`, so that paths in expressions and types count as well as `use` lines. It does not see
//! through macros' token streams, nor crates re-exported by other crates.

mod circles;
mod papers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::visit::{self, Visit};

/// Which rooms each room may name with `crate::…`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("session", &["session", "domain"]),
    ("wire", &["wire", "domain"]),
    ("config", &["config", "domain", "wire"]),
    ("vision", &["vision", "domain", "wire"]),
    ("mqtt", &["mqtt", "domain", "wire"]),
    ("store", &["store", "domain"]),
    ("serve", &["serve"]),
    ("flow", &["flow", "domain", "session", "wire", "vision", "store", "edge"]),
];

/// Crates that only these rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("ort", &["vision"]),
    ("rusqlite", &["store"]),
    ("pcsc", &["edge/card"]),
    ("v4l", &["edge/camera"]),
    ("rumqttc", &["mqtt"]),
    ("native_tls", &["mqtt", "edge/mqtt"]),
    ("gpiocdev", &["edge/light"]),
    ("rppal", &["edge/light"]),
    ("sd_notify", &["edge/system"]),
    ("axum", &["edge/console", "edge/enrolment", "edge/screen", "serve"]),
    ("hyper", &["edge/enrolment", "serve"]),
    ("hyper_util", &["edge/enrolment", "serve"]),
    ("tokio_io_timeout", &["serve"]),
    ("openssl", &["edge/card", "edge/console", "edge/enrolment", "mqtt", "rig"]),
    ("tokio_openssl", &["edge/console", "edge/enrolment"]),
    ("anyhow", &["app", "main", "rig"]),
    ("rcgen", &["rig"]),
];

/// Edges that serve pages, and may use `serve`.
const PAGES: &[&str] = &["console", "screen"];

/// Files over 400 lines must say at their top why.
const LONG: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// `src/edge/card/pcsc.rs` -> `edge/card`; `src/flow/verify.rs` -> `flow`; `src/app.rs` -> `app`.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).expect("below src");
    let parts: Vec<_> = inside.iter().map(|p| p.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    match parts.as_slice() {
        [edge, part, ..] if edge == "edge" && part != "mod" => format!("edge/{part}"),
        [room, ..] => room.clone(),
        [] => unreachable!("a file has a name"),
    }
}

/// Every path a file names, `use` trees spelled out, with `super` and `self` left as they are. Test modules are skipped:
/// a test may look anywhere.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(before, item)),
        }
    }
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes
        .iter()
        .any(|a| a.path().is_ident("cfg") && a.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test"))
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test_only(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

fn paths_in(source: &str) -> Vec<Vec<String>> {
    let mut paths = Paths::default();
    paths.visit_file(&syn::parse_file(source).expect("the compiler accepts it"));
    paths.0
}

/// What is wrong with naming `path` in `room`.
fn trespass(room: &str, path: &[String]) -> Option<String> {
    let [first, rest @ ..] = path else { return None };
    if first == "crate" {
        let [target, inner @ ..] = rest else { return None };
        let top = room.split('/').next().unwrap_or(room);
        if let Some(part) = room.strip_prefix("edge/") {
            let own = target == "edge" && inner.first().is_none_or(|edge| edge == part);
            // Whoever is handed time is handed the `Clock` trait.
            let clock = target == "edge" && inner.iter().take(2).map(String::as_str).eq(["clock", "Clock"]);
            // What serves pages takes connections as every other one does.
            let serve = PAGES.contains(&part) && target == "serve";
            // The line to the broker is that of both sides of the fleet.
            let mqtt = part == "mqtt" && target == "mqtt";
            let fine = own || clock || serve || mqtt || target == "domain" || target == "wire";
            return (!fine)
                .then(|| format!("crate::{}: an edge uses domain and wire, never another edge", rest.join("::")));
        }
        let (_, allowed) = MAY_USE.iter().find(|(name, _)| *name == top)?;
        return (!allowed.contains(&target.as_str())).then(|| format!("crate::{}", rest.join("::")));
    }
    let (_, rooms) = CRATES.iter().find(|(name, _)| name == first)?;
    (!rooms.contains(&room)).then(|| format!("{first}: only {} may", rooms.join(", ")))
}

/// Test-only files are named by a `#[cfg(test)] mod x;` in their folder.
fn is_test_file(file: &Path) -> bool {
    let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = file.parent().expect("has a folder");
    [parent.join("mod.rs"), parent.with_extension("rs")].iter().any(|owner| {
        fs::read_to_string(owner).is_ok_and(|source| {
            syn::parse_file(&source).is_ok_and(|parsed| {
                parsed.items.iter().any(|item| {
                    matches!(item, syn::Item::Mod(m) if m.ident == stem && m.content.is_none() && is_test_only(&m.attrs))
                })
            })
        })
    })
}

#[test]
fn rooms_keep_to_the_table() {
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")).into_iter().filter(|file| !is_test_file(file)) {
        let room = room_of(&file);
        let source = fs::read_to_string(&file).expect("readable");
        for path in paths_in(&source) {
            wrong.extend(trespass(&room, &path).map(|what| format!("{}: {what}", file.display())));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "rooms use what they may not:\n{}", wrong.join("\n"));
}

#[test]
fn the_rule_catches_what_it_is_for() {
    let named = |source: &str| paths_in(source);
    let caught = |room: &str, source: &str| named(source).iter().any(|path| trespass(room, path).is_some());
    assert!(caught("domain", "use crate::store::Key;"));
    assert!(caught("session", "fn f() -> crate::vision::Probe { loop {} }"));
    assert!(caught("edge/card", "use crate::edge::{camera::Frame};"));
    assert!(caught("edge/card", "use crate::flow::verify;"));
    assert!(caught("flow", "fn f(c: &rusqlite::Connection) {}"));
    assert!(caught("store", "fn f() { ort::init(); }"));
    assert!(!caught("edge/card", "use crate::{domain::Pepper, edge::card::CardEvent, wire::apdu};"));
    assert!(caught("edge/light", "use crate::serve::Bounds;"));
    assert!(!caught("edge/screen", "use crate::{edge::clock::Clock, serve::Bounds};"));
    assert!(!caught("domain", "#[cfg(test)] mod tests { use crate::store::Key; }"));
}

/// The workspace's packages beside `examgate`: which of its rooms and which other packages each may name, and which crates it may not.
const PACKAGES: &[(&str, &[&str], &[&str])] = &[
    ("enrol", &["domain", "exit", "vision", "wire"], &[]),
    ("lab", &["domain", "exit", "session", "vision", "wire"], &["examgate_enrol"]),
    ("fleet/core", &["domain", "exit", "store", "wire"], &[]),
    ("fleet/server", &["domain", "exit", "mqtt", "serve", "store", "wire"], &["examgate_fleet_core"]),
    ("fleet/cli", &["domain", "exit", "mqtt", "store", "vision", "wire"], &["examgate_enrol", "examgate_fleet_core"]),
];

/// What is wrong with naming `path` in `package`.
fn strays(package: &str, path: &[String]) -> Option<String> {
    let (_, rooms, packages) = PACKAGES.iter().find(|(name, ..)| *name == package)?;
    let named = path.first()?.as_str();
    let fine = match named {
        "examgate" => path.get(1).is_none_or(|room| rooms.contains(&room.as_str())),
        ours if ours.starts_with("examgate_") => packages.contains(&ours),
        "rumqttc" => package == "fleet/server",
        "rusqlite" | "postgres" => package == "fleet/core",
        _ => true,
    };
    (!fine).then(|| path.join("::"))
}

#[test]
fn packages_keep_to_the_table() {
    let mut wrong = Vec::new();
    for (package, ..) in PACKAGES {
        let files = rust_files(&root().join(package).join("src"));
        assert!(!files.is_empty(), "{package} has no source");
        for file in files.into_iter().filter(|file| !is_test_file(file)) {
            let paths = paths_in(&fs::read_to_string(&file).expect("readable"));
            wrong.extend(paths.iter().filter_map(|p| Some(format!("{}: {}", file.display(), strays(package, p)?))));
        }
    }
    assert!(wrong.is_empty(), "packages use what they may not:\n{}", wrong.join("\n"));
}

#[test]
fn every_package_has_its_place_in_the_table() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("readable");
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).expect("a workspace");
    let members: Vec<_> = members.split('"').skip(1).step_by(2).filter(|name| *name != "hw-tests").collect();
    let mut listed: Vec<_> = PACKAGES.iter().map(|(name, ..)| *name).collect();
    listed.sort_unstable();
    assert_eq!(members, listed);
}

#[test]
fn strays_are_caught() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    for (package, named) in [
        ("fleet/cli", "examgate::edge::card"),
        ("fleet/server", "examgate::vision::Pipeline"),
        ("fleet/server", "examgate_enrol::faces"),
        ("fleet/core", "rumqttc::v5"),
        ("lab", "examgate_fleet_core::ledger"),
        ("lab", "examgate::store::Key"),
    ] {
        assert!(strays(package, &path(named)).is_some(), "{package} may name {named}");
    }
    assert!(strays("lab", &path("examgate::vision::Pipeline")).is_none());
}

#[test]
fn every_file_opens_with_what_it_does_and_is_short_or_says_why() {
    let mut wrong = Vec::new();
    for folder in ["src", "enrol", "fleet", "hw-tests", "lab", "tests", "benches"] {
        for file in rust_files(&root().join(folder)) {
            let source = fs::read_to_string(&file).expect("readable");
            if !source.starts_with("//!") {
                wrong.push(format!("{}: does not open with //!", file.display()));
            }
            let head: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
            if source.lines().count() > LONG && !head.contains("one sitting") {
                wrong.push(format!(
                    "{}: {} lines; split it, or say at its top why it is still read at one sitting",
                    file.display(),
                    source.lines().count()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn secrets_are_not_printable_by_accident() {
    // A newtype around key or template bytes must write its own Debug.
    for (file, name) in [
        ("src/domain/template.rs", "struct Embedding("),
        ("src/domain/pepper.rs", "struct Pepper("),
        ("src/domain/credential.rs", "struct CardPseudonym("),
    ] {
        let source = fs::read_to_string(root().join(file)).expect("readable");
        let before = source.split(name).next().expect("has a beginning");
        let derive = before.rsplit("#[derive(").next().expect("derives something");
        assert!(!derive.split(")]").next().unwrap_or_default().contains("Debug"), "{file}: {name} derives Debug");
    }
}
