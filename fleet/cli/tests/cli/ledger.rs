//! `ledger restored` from outside: a ledger whose file was copied back says so, and no ledger is made where there is none.

use examgate::domain::{Decision, sample::verified};

use super::{attendance::ledger, *};

const EXAM: &str = "MATH-UA-120-final";

#[test]
fn a_ledger_that_was_copied_back_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let events = [verified(1, EXAM, Some(1), Decision::Admit), verified(2, EXAM, Some(2), Decision::Admit)];
    let other = [verified(3, EXAM, Some(3), Decision::Admit)];
    ledger(here, &[("door-1", &events), ("door-2", &other)]);
    let of = ["--ledger", "ledger.db", "--ledger-key", "ledger.key"];
    let restored = |more: &[&str]| bare(here, &[&["ledger", "restored"][..], &of, more].concat());
    let said = restored(&[]).expect(0).stdout;
    assert!(said.contains("door-1  from event 3 of") && said.contains("door-2  from event 2 of"), "{said}");
    let said = restored(&["--json"]).expect(0).json();
    assert_eq!(
        (said["boxes_to_hear_from"][0]["device"].as_str(), said["boxes_to_hear_from"].as_array().map(Vec::len)),
        (Some("door-1"), Some(2))
    );
    let incidents = bare(here, &[&["events", "--incidents"][..], &of].concat()).expect(0).stdout;
    assert_eq!(incidents.matches("restored from a backup").count(), 2, "{incidents}");

    let nowhere = ["ledger", "restored", "--ledger", "nowhere.db", "--ledger-key", "ledger.key"];
    bare(here, &nowhere).expect(1).says(&["nowhere.db"]);
    assert!(!here.join("nowhere.db").exists(), "no ledger is made");
}
