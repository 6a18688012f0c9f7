//! `selftest` from the plan to the report, with two people and one attack.

use std::{fs, path::Path};

use super::{copy, lab, liveness::link};

#[test]
fn a_plan_is_made_once_and_says_what_to_record() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["selftest", "plan", "--people", "12", "ours"];
    super::bare(folder.path(), &args).expect(0);
    let page = fs::read_to_string(folder.path().join("ours/PLAN.md")).unwrap();
    for part in ["p001 to p012", "selftest run", "| 10 | 30.8 % |"] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    assert!(folder.path().join("ours/people/p012/look").is_dir());
    super::bare(folder.path(), &args).expect(64).says(&["ours is there already"]);
    // Nothing is recorded yet: what is missing is named.
    lab(folder.path(), &["selftest", "run", "ours"]).expect(65).says(&["p001 has no usable photo"]);
    lab(folder.path(), &["selftest", "run", "."]).expect(64).says(&["people/<who>/"]);
}

fn recorded(folder: &Path) {
    copy("single_face.jpg", folder.join("people/ada/photo/id.jpg"));
    link("clips/single_face", &folder.join("people/ada/look/1"));
    // Her own photo is not there: she is enrolled from a frame of another day, for all the program knows.
    link("clips/WolfgangLanger_Pexels", &folder.join("people/eve/look/1"));
    let frame = super::root().join("tests/pictures/cache/clips/WolfgangLanger_Pexels/0001.jpg");
    fs::create_dir_all(folder.join("people/eve/photo")).unwrap();
    fs::copy(frame, folder.join("people/eve/photo/id.jpg")).unwrap();
    fs::write(folder.join("people/eve/photo/old.jpg"), "no photo").unwrap();
    copy("obama.jpg", folder.join("people/max/photo/id.jpg"));
    link("clips/held_photo", &folder.join("attacks/print/ada"));
    copy("single_face.jpg", folder.join("attacks/print/nobody/x.jpg"));
}

#[test]
fn what_was_recorded_is_counted_with_exact_intervals() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path());
    let json = lab(folder.path(), &["selftest", "run", ".", "--json"]).expect(0).json();
    assert_eq!((&json["people"], &json["comparisons"]), (&2.into(), &2.into()), "{json:#}");
    let looks: Vec<_> = json["looks"].as_array().unwrap().iter().map(|look| (&look["look"], &look["first"])).collect();
    assert_eq!(looks, [(&"ada/1".into(), &true.into()), (&"eve/1".into(), &true.into())]);
    assert!(json["looks"].as_array().unwrap().iter().all(|look| look["outcome"] != "refused"), "{json:#}");
    // Whoever stands at a neighbour's place is turned away.
    for look in json["neighbours"].as_array().unwrap() {
        assert_eq!(look["decision"], "deny (face_mismatch)", "{json:#}");
    }
    assert_eq!((&json["taken_for"], &json["neighbours"][0]["look"]), (&serde_json::json!([]), &"ada/1 as eve".into()));
    assert_eq!(json["attacks"]["print"]["taps"][0]["outcome"], "refused", "{json:#}");
    assert!(json["frames"]["fit"].as_u64().unwrap() > 20, "{json:#}");
    let missing = json["missing"].to_string();
    for part in ["max has no look", "print/nobody/x is not played: it lies in no folder with the name of a person"] {
        assert!(missing.contains(part), "{part} is not in {missing}");
    }

    let said = lab(folder.path(), &["selftest", "run", "."]).expect(0).stdout;
    for part in [
        "2 people with a usable photo and a look",
        "eve/old.jpg: not used: the picture is neither JPEG nor PNG",
        "print                  admitted 0 of 1 (0.0 to 97.5 %)",
        "Among 2 people, even if nothing goes wrong, what goes wrong for 84.2 % of all",
        "549 people",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}
