//! `roster import` makes each template once: unchanged photos are not looked at again, an import that was killed goes on, another net makes
//! what is missing, and what the roster does not hold any more is destroyed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use examgate::{
    domain::{ExamId, StudentId},
    store::{KeyFolder, KeyName, Layout},
};
use examgate_fleet_core::enrolments::Enrolments;
use image::{ImageFormat, imageops::FilterType};

use super::{
    PROGRAM, bare, copy, fleet,
    import::{HEADER, args, import, open},
    picture, root,
};

fn report(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// Photos looked at now, and templates from before.
fn counts(folder: &Path) -> [u64; 2] {
    let report = report(folder);
    ["embedded", "reused"].map(|key| report[key].as_u64().unwrap())
}

fn csv(students: &[u8]) -> String {
    let row = |n: &u8| format!("N{n},Ada,04A2B3{n:02X},R1,,\n");
    HEADER.to_owned() + &students.iter().map(row).collect::<String>()
}

fn kept(folder: &Path, exam: &str) -> Option<Enrolments> {
    let exam = ExamId::new(exam).unwrap();
    let key = KeyFolder::new(folder.join("keys"), None).read(KeyName::Exam(&exam)).ok()?;
    Enrolments::look(&Layout::new(folder.join("state")).enrolments(&exam), &key).ok()
}

/// The models of this checkout under the name of another embedding space, as the next net would come.
fn next_models(folder: &Path) {
    let (own, next) = (root().join("models"), folder.join("next/models"));
    fs::create_dir_all(&next).unwrap();
    let manifest = fs::read_to_string(own.join("manifest.toml")).unwrap();
    fs::write(next.join("manifest.toml"), manifest.replace("faceplugin-mobilefacenet-512-v1", "next-512")).unwrap();
    symlink(own.join("ready"), next.join("ready")).unwrap();
    symlink(root().join("runtime"), folder.join("next/runtime")).unwrap();
}

#[test]
fn only_what_is_new_or_changed_is_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (photo, to) in [("obama.jpg", "N1"), ("biden.jpg", "N2"), ("single_face.jpg", "N3")] {
        copy(photo, here.join(format!("photos/{to}.jpg")));
    }
    import(here, csv(&[1, 2, 3]), &["--report", "report.json"]).expect(0);
    assert_eq!(counts(here), [3, 0]);
    let first = open(here).templates(&StudentId::new("N1").unwrap()).unwrap();

    // The same again is the very same edition.
    let said = import(here, csv(&[1, 2, 3]), &["--report", "report.json", "--version", "1"]).expect(0).stdout;
    assert!(
        said.contains("held already, unchanged") && said.contains("Photos embedded now: 0; templates from before: 3"),
        "{said}"
    );
    assert_eq!(counts(here), [0, 3]);

    // A photo is known by its bytes: called otherwise it is the same, replaced it is another.
    fs::rename(here.join("photos/N1.jpg"), here.join("photos/N1-front.JPG")).unwrap();
    copy("obama2.jpg", here.join("photos/N2.jpg"));
    import(here, csv(&[1, 2, 3]), &["--report", "report.json"]).expect(0);
    assert_eq!(counts(here), [1, 2]);
    assert_eq!(open(here).templates(&StudentId::new("N1").unwrap()).unwrap(), first);
    assert_eq!(kept(here, "MATH-1").unwrap().len().unwrap(), 3, "what was replaced is destroyed");

    // Who is withdrawn goes at once; who comes back is looked at again.
    import(here, csv(&[1, 2]), &[]).expect(0);
    assert_eq!(kept(here, "MATH-1").unwrap().len().unwrap(), 2);
    import(here, csv(&[1, 2, 3]), &["--report", "report.json"]).expect(0);
    assert_eq!(counts(here), [1, 2]);

    // Another exam of the same students takes what is there, and keeps its own.
    let usual = args(&["--report", "report.json"]);
    let other: Vec<&str> = usual.into_iter().map(|arg| if arg == "MATH-1" { "BIO-2" } else { arg }).collect();
    fleet(here, &other).expect(0);
    assert_eq!(counts(here), [0, 3]);
    let erase = ["roster", "erase", "--exam", "MATH-1", "--store", "state", "--keys", "keys", "--yes"];
    bare(here, &erase).expect(0);
    assert!(!Layout::new(here.join("state")).enrolments(&ExamId::new("MATH-1").unwrap()).exists());
    assert_eq!(kept(here, "BIO-2").unwrap().len().unwrap(), 3);

    // What lies on the disk is sealed.
    let bytes = fs::read(Layout::new(here.join("state")).enrolments(&ExamId::new("BIO-2").unwrap())).unwrap();
    assert!(!bytes.windows(15).any(|window| window == b"SQLite format 3"));
}

#[test]
fn another_net_makes_what_is_missing_and_both_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    next_models(here);
    for (photo, to) in [("obama.jpg", "N1"), ("biden.jpg", "N2")] {
        copy(photo, here.join(format!("photos/{to}.jpg")));
    }
    import(here, csv(&[1, 2]), &["--report", "report.json"]).expect(0);
    let spaces = |id: &str| -> Vec<String> {
        let templates = open(here).templates(&StudentId::new(id).unwrap()).unwrap();
        templates.into_iter().map(|template| template.space.to_string()).collect()
    };
    assert_eq!(spaces("N1"), ["faceplugin-mobilefacenet-512-v1"]);

    // During the change, with a student who is new.
    copy("single_face.jpg", here.join("photos/N3.jpg"));
    let rollout = ["--report", "report.json", "--also-models", "next/models"];
    let said = import(here, csv(&[1, 2, 3]), &rollout).expect(0).stdout;
    assert!(said.contains("(next-512): 3 templates; photos embedded now: 3"), "{said}");
    assert_eq!((counts(here), report(here)["other_nets"][0]["embedded"].as_u64()), ([1, 2], Some(3)));
    for id in ["N1", "N2", "N3"] {
        assert_eq!(spaces(id), ["faceplugin-mobilefacenet-512-v1", "next-512"]);
    }
    import(here, csv(&[1, 2, 3]), &rollout).expect(0);
    assert_eq!((counts(here), report(here)["other_nets"][0]["reused"].as_u64()), ([0, 3], Some(3)));

    // After it: only the new net, of which all is there; what the old one made is destroyed.
    fs::write(here.join("roster.csv"), csv(&[1, 2, 3])).unwrap();
    bare(here, &args(&["--report", "report.json", "--models", "next/models"])).expect(0);
    assert_eq!(
        (counts(here), spaces("N1"), kept(here, "MATH-1").unwrap().len().unwrap()),
        ([0, 3], vec!["next-512".into()], 3)
    );
    import(here, csv(&[1]), &["--also-models", root().join("models").to_str().unwrap()])
        .expect(64)
        .says(&["two of these nets make templates of one space"]);
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir_all(here.join("photos")).unwrap();
    // Photos of one man, no two alike.
    let face = image::open(picture("obama.jpg")).unwrap();
    let students: Vec<u8> = (1..=24).collect();
    for n in &students {
        let side = 300 + u32::from(*n);
        let photo = face.resize(side, side, FilterType::Triangle);
        photo.save_with_format(here.join(format!("photos/N{n}.jpg")), ImageFormat::Jpeg).unwrap();
    }
    fs::write(here.join("roster.csv"), csv(&students)).unwrap();
    let models = root().join("models");
    let mut child = Command::new(PROGRAM)
        .args(args(&["--threads", "1", "--models", models.to_str().unwrap()]))
        .current_dir(here)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Nothing is sent: it is a pause between looks.
    let (_open, pause) = mpsc::channel::<()>();
    let mut looks = 0;
    while kept(here, "MATH-1").and_then(|kept| kept.len().ok()).unwrap_or(0) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was looked at");
        looks += 1;
        assert!(looks < 6000, "nothing is kept for two minutes");
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!Layout::new(here.join("state")).exam(&ExamId::new("MATH-1").unwrap()).exists(), "no roster yet");
    let ran = import(here, csv(&students), &["--report", "report.json"]).expect(0);
    let [embedded, reused] = counts(here);
    assert!(reused >= 8 && embedded >= 1 && embedded + reused == 24, "{embedded} and {reused}");
    ran.says(&[&format!("{reused} of 24 photos were embedded before")]);
    assert_eq!(report(here)["students_with_template"], 24);
}
