//! What is written beside the source is true: the map names what is there and leaves out no folder, and every decision says
//! when it was made and whether it still holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::root;

/// Longest map, in lines: two printed pages.
const TWO_PAGES: usize = 110;

/// Folders whose every folder has a row in the map.
const MAPPED: [&str; 4] = ["src", "src/edge", "src/app", "lab/src"];

/// Words in backquotes that look like paths; a slash at the end is not part of one.
fn named_paths(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| {
            word.contains('/') && !word.contains([' ', '{', '<', '*', ':', '$']) && !word.starts_with(['/', '-'])
        })
        .map(|word| word.trim_end_matches('/').to_owned())
        .collect()
}

/// The paths that rows of tables begin with.
fn rows(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).flat_map(named_paths).collect()
}

/// Folders of [`MAPPED`] that have no row of their very own, as paths.
fn without_row(map: &str) -> Vec<String> {
    let rows = rows(map);
    let folders = MAPPED.iter().flat_map(|base| {
        let entries = fs::read_dir(root().join(base)).unwrap_or_else(|error| panic!("{base}: {error}"));
        entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(move |entry| format!("{base}/{}", entry.file_name().to_string_lossy()))
    });
    folders.filter(|folder| !rows.contains(folder)).collect()
}

#[test]
fn the_map_is_true() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md exists");
    let gone: Vec<_> = named_paths(&map).into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names what is not there: {gone:?}");
    let missing = without_row(&map);
    assert!(missing.is_empty(), "ARCHITECTURE.md has no row that begins with {missing:?}");
    assert!(map.lines().count() <= TWO_PAGES, "ARCHITECTURE.md is longer than two pages ({TWO_PAGES} lines)");
}

#[test]
fn a_longer_name_is_no_row_of_a_shorter() {
    let map =
        "| `src/edges/` | `src/edge` only named |\n| `src/edge/cardinal`, `src/app` | |\nand `src/wire` in the text\n";
    let missing = without_row(map);
    for folder in ["src/edge", "src/edge/card", "src/wire"] {
        assert!(missing.contains(&folder.to_owned()), "{folder} is taken for named");
    }
    assert!(!missing.contains(&"src/app".to_owned()));
}

/// What a paper names as source or test and is not there: `FOLDER/FILE.rs`, `FILE.rs::TEST`, and paths below the folders of set-up.
fn named_in_vain(paper: &str) -> Vec<String> {
    let words = paper.split('`').skip(1).step_by(2);
    let named = words.filter_map(|word| {
        let (path, test) = word.split_once("::").map_or((word, None), |(path, test)| (path, Some(test)));
        let is_source = path.ends_with(".rs") && path.contains('/');
        let is_path = ["fuzz/", "models/", "provisioning/", "systemd/"].iter().any(|folder| path.starts_with(folder));
        ((is_source || is_path) && !path.contains([' ', '*'])).then_some((word, path, test))
    });
    let missing = named.filter(|(_, path, test)| match test {
        Some(test) => {
            let text = fs::read_to_string(root().join(path)).unwrap_or_default();
            !text.contains(&format!("fn {test}("))
        }
        None => !root().join(path).exists(),
    });
    missing.map(|(word, ..)| word.to_owned()).collect()
}

#[test]
fn what_the_papers_name_is_there() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("docs")).expect("readable").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "md") {
            let missing = named_in_vain(&fs::read_to_string(&path).expect("readable"));
            assert!(missing.is_empty(), "{} names what is not there: {missing:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 3, "the papers are looked for in another folder");
}

#[test]
fn a_name_in_vain_is_noticed() {
    let good =
        "`tests/tidy/papers.rs::a_name_in_vain_is_noticed`, `tests/tidy/main.rs`, `fuzz/targets`, `exam.rs`, `a/b`";
    assert!(named_in_vain(good).is_empty());
    for bad in ["tests/tidy/papers.rs::no_such_test", "tests/tidy/gone.rs", "src/gone.rs::x", "provisioning/gone"] {
        assert_eq!(named_in_vain(&format!("as `{bad}` shows")), [bad]);
    }
}

/// What is wrong with the head of a decision: its title, a day and a status, one line each, with an empty line after the title.
fn defect(text: &str, numbers: &BTreeSet<String>, own: &str) -> Option<String> {
    let mut lines = text.lines();
    let head: Vec<_> = lines.by_ref().filter(|line| !line.trim().is_empty()).take(3).collect();
    let [title, date, status] = head[..] else { return Some("has no head".into()) };
    if !title.starts_with("# ") {
        return Some("does not open with its title".into());
    }
    let Some(day) = date.strip_prefix("Date: ") else {
        return Some(format!("has {date:?} where `Date: YYYY-MM-DD` belongs"));
    };
    if day.parse::<jiff::civil::Date>().is_err() || day.len() != "YYYY-MM-DD".len() {
        return Some(format!("{day:?} is no day"));
    }
    let Some(status) = status.strip_prefix("Status: ") else {
        return Some(format!("has {status:?} where `Status: accepted` or `Status: superseded by NNNN` belongs"));
    };
    if status == "accepted" {
        return None;
    }
    // What a later decision took over, in whole or in part, names it; what took over may name what it changes.
    let named = [("superseded by ", true), ("accepted, changed by ", true), ("accepted, changes ", false)]
        .into_iter()
        .find_map(|(words, later)| Some((status.strip_prefix(words)?, later)));
    let Some((others, later)) = named else { return Some(format!("knows no status {status:?}")) };
    let wrong = |number: &&str| !numbers.contains(*number) || *number == own || (*number > own) != later;
    let which = if later { "later" } else { "earlier" };
    others.split(", ").find(wrong).map(|number| format!("names {number:?}, which is no {which} decision"))
}

#[test]
fn decisions_are_numbered_once_and_shaped_alike() {
    let mut decisions = BTreeMap::new();
    for entry in fs::read_dir(root().join("docs/decisions")).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        assert!(number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()), "{name}: want NNNN-title.md");
        let text = fs::read_to_string(entry.path()).expect("readable");
        for heading in ["## Problem", "## Solution", "## What it costs"] {
            assert!(text.contains(heading), "{name} has no {heading:?}");
        }
        if let Some((other, _)) = decisions.insert(number, (name.clone(), text)) {
            panic!("{name} and {other} share a number");
        }
    }
    assert!(!decisions.is_empty(), "no decisions are written down");
    let numbers = decisions.keys().cloned().collect();
    let wrong: Vec<_> = decisions
        .iter()
        .filter_map(|(number, (name, text))| Some(format!("{name} {}", defect(text, &numbers, number)?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_head_of_a_decision_is_read() {
    let numbers = ["0002", "0041", "0045"].map(String::from).into();
    let of = |head: &str| defect(&format!("# A title\n\n{head}\n\n## Problem\n"), &numbers, "0002");
    assert_eq!(of("Date: 2026-11-24\nStatus: accepted"), None);
    assert_eq!(of("Date: 2026-11-24\nStatus: superseded by 0041, 0045"), None);
    assert_eq!(of("Date: 2026-11-24\nStatus: accepted, changed by 0041"), None);
    let newer = "# A title\n\nDate: 2026-11-24\nStatus: accepted, changes 0002\n";
    assert_eq!(defect(newer, &numbers, "0041"), None);
    assert!(defect(newer, &numbers, "0002").is_some());
    for wrong in [
        "Status: accepted",
        "Date: 2026-11-24",
        "Date: 2026-11-31\nStatus: accepted",
        "Date: yesterday\nStatus: accepted",
        "Date: 2026-11-24\nStatus: old",
        "Date: 2026-11-24\nStatus: superseded by 0099",
        "Date: 2026-11-24\nStatus: superseded by 0002",
    ] {
        assert!(of(wrong).is_some(), "taken: {wrong:?}");
    }
}
