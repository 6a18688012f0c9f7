//! `roster import`: a small roster end to end, and everything that can be wrong with one.

use std::{fs, path::Path};

use examgate::{
    domain::{CardPseudonym, CardStanding, CredentialProfile, ExamId, Pepper, StudentId},
    store::{KeyFolder, KeyName, Layout, RosterStore, read_secret},
};

use super::{BAD_PHOTOS, Ran, bare, copy, fleet, make_bad_photos};

pub(super) const HEADER: &str = "student_id,given_name,card,room,photos,card_standing\n";

pub(super) fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        "roster",
        "import",
        "--csv",
        "roster.csv",
        "--photos",
        "photos",
        "--exam",
        "MATH-1",
        "--title",
        "Algebra",
        "--opens",
        "2026-12-14T08:30:00-05:00",
        "--closes",
        "2026-12-14T09:15:00-05:00",
        "--store",
        "state",
        "--keys",
        "keys",
    ];
    [&usual[..], more].concat()
}

pub(super) fn import(folder: &Path, csv: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    fs::write(folder.join("roster.csv"), csv).unwrap();
    fs::create_dir_all(folder.join("photos")).unwrap();
    fleet(folder, &args(more))
}

pub(super) fn open(folder: &Path) -> RosterStore {
    let exam = ExamId::new("MATH-1").unwrap();
    let key = KeyFolder::new(folder.join("keys"), None).read(KeyName::Exam(&exam)).unwrap();
    RosterStore::open(&Layout::new(folder.join("state")).exam(&exam), &key).unwrap()
}

pub(super) fn card(folder: &Path, uid: &[u8]) -> CardPseudonym {
    let pepper = Pepper::from_bytes(*read_secret(&folder.join("keys/pepper.key")).unwrap());
    pepper.pseudonym(CredentialProfile::Uid, uid)
}

pub(super) fn written(folder: &Path) -> bool {
    folder.join("state").exists() || folder.join("keys").exists()
}

#[test]
fn a_roster_comes_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (photo, to) in [
        ("obama.jpg", "photos/N1.jpg"),
        ("obama2.jpg", "photos/N1-2.jpg"),
        ("single_face.jpg", "photos/portrait.jpg"),
        ("multi_face.jpg", "photos/N4.jpg"),
        ("biden.jpg", "photos/stranger.jpg"),
    ] {
        copy(photo, here.join(to));
    }
    make_bad_photos(&here.join("photos"));
    let bad = BAD_PHOTOS.map(|(name, ..)| name).join(";");
    let csv = format!(
        "{HEADER}N1,Ada,04A2B3C4,R1,,\nN2,Zoë,04:a2:b3:c4:d5:e6:80,R2,portrait.jpg,revoked\nN3,Bob,04A2B3C5,R1,,\n\
         N4,Eve,04A2B3C6,R1,,\nN5,Max,04A2B3C7,R1,{bad};absent.jpg,active\nN6,Ann,04A2B3C8,R1,,\n"
    );
    fs::copy(here.join("photos/phone.heic"), here.join("photos/N6.HEIC")).unwrap();
    let ran = import(here, &csv, &["--report", "report.json"]).expect(0);

    let store = open(here);
    let exam = store.exam().unwrap().unwrap();
    assert_eq!((exam.title.as_str(), exam.version.0), ("Algebra", 1));
    assert_eq!(exam.window.opens.to_string(), "2026-12-14T13:30:00Z");
    for (uid, id, room, standing, templates) in [
        (&[0x04, 0xA2, 0xB3, 0xC4][..], "N1", "R1", CardStanding::Active, 2),
        (&[0x04, 0xA2, 0xB3, 0xC4, 0xD5, 0xE6, 0x80], "N2", "R2", CardStanding::Revoked, 1),
        (&[0x04, 0xA2, 0xB3, 0xC5], "N3", "R1", CardStanding::Active, 0),
        (&[0x04, 0xA2, 0xB3, 0xC6], "N4", "R1", CardStanding::Active, 0),
        (&[0x04, 0xA2, 0xB3, 0xC7], "N5", "R1", CardStanding::Active, 0),
    ] {
        let found = store.find(&card(here, uid)).unwrap().unwrap();
        assert_eq!(found.entry.student.id, StudentId::new(id).unwrap());
        assert_eq!(
            (found.entry.room.as_str(), found.entry.card.standing, found.templates),
            (room, standing, templates),
            "{id}"
        );
        assert_eq!(store.templates(&found.entry.student.id).unwrap().len(), templates);
    }

    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["students"], &report["students_with_template"]), (&6.into(), &2.into()));
    assert_eq!((&report["photos"], &report["templates"]), (&15.into(), &3.into()), "{report:#}");
    let refused: Vec<_> = report["refused"].as_array().unwrap().iter().map(|r| (&r["photo"], &r["code"])).collect();
    let others = [("N4.jpg", "several_faces"), ("absent.jpg", "missing")];
    for (photo, code) in BAD_PHOTOS.map(|(photo, code, _)| (photo, code)).into_iter().chain(others) {
        assert!(refused.contains(&(&photo.into(), &code.into())), "{photo} is not {code}: {report:#}");
    }
    assert_eq!(report["unclaimed"], serde_json::json!(["stranger.jpg"]));
    assert_eq!(report["without_template"].as_array().unwrap().len(), 4);
    assert!(ran.stdout.contains("MATH-1 version 1: 6 students, 2 with a face"), "{}", ran.stdout);
    assert!(ran.stdout.contains("line 6, N5, empty.jpg: the file has no bytes; save or export"), "{}", ran.stdout);

    // Why somebody has no face: the folder is looked through for the one who names no photo, whatever kind it is.
    for said in [
        "line 4, N3: no photo: the CSV names none, and no file N3*.jpg or .png is left for them",
        "line 5, N4: the photo cannot be used",
        "line 6, N5: none of the 10 photos can be used",
        "line 7, N6: the photo cannot be used",
        "line 7, N6, N6.HEIC: the picture is neither JPEG nor PNG, but HEIC, as iPhones take it; save or export the photo again",
    ] {
        assert!(ran.stdout.contains(said), "without {said:?}: {}", ran.stdout);
    }

    // Neither the cards nor the names are said or lie about.
    let database = fs::read(Layout::new(here.join("state")).exam(&exam.id)).unwrap();
    let said = format!("{}{}{report}", ran.stdout, ran.stderr);
    for secret in ["04A2B3C4", "Zoë"] {
        assert!(!said.contains(secret), "{secret} is said");
        assert!(!database.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} lies about");
    }
}

#[test]
fn versions_rise() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (one, two) = (format!("{HEADER}N1,Ada,04A2B3C4,R1,,\n"), format!("{HEADER}N1,Ada,04A2B3C4,R2,,\n"));
    import(here, &one, &[]).expect(0);
    assert!(import(here, &two, &[]).expect(0).stdout.contains("version 2:"));
    assert!(import(here, &two, &["--version", "2"]).expect(0).stdout.contains("unchanged"));
    import(here, &one, &["--version", "2"]).expect(64).says(&["with other content: raise the version"]);
    import(here, &one, &["--version", "1"]).expect(64).says(&["older than version 2"]);
    assert_eq!(open(here).exam().unwrap().unwrap().version.0, 2);
    fs::remove_file(here.join("keys/exam-MATH-1.key")).unwrap();
    import(here, &one, &[]).expect(64).says(&["exam-MATH-1.key is not"]);
}

#[test]
fn mixed_up_photos_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (photo, to) in
        [("obama.jpg", "photos/N1.jpg"), ("biden.jpg", "photos/N1-b.jpg"), ("obama2.jpg", "photos/N2.jpg")]
    {
        copy(photo, here.join(to));
    }
    let csv = format!("{HEADER}N1,Ada,04A2B3C4,R1,,\nN2,Bob,04A2B3C5,R1,,\n");
    let said = import(here, &csv, &["--report", "report.json"]).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    let pair = |key: &str| {
        [&report[key][0]["first"]["photo"], &report[key][0]["second"]["photo"]].map(|p| p.as_str().unwrap())
    };
    assert_eq!(pair("unlike"), ["N1-b.jpg", "N1.jpg"]);
    assert_eq!(pair("look_alikes"), ["N1.jpg", "N2.jpg"]);
    assert!(said.contains("check for a mix-up"), "{said}");
}

#[test]
fn a_poor_photo_is_enrolled_and_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    copy("obama.jpg", here.join("photos/N1.jpg"));
    copy("obama_partial_face.jpg", here.join("photos/N2.jpg"));
    let group = image::open(super::picture("multi_face.jpg")).unwrap();
    // The one with sunglasses, and the one behind.
    group.crop_imm(160, 20, 200, 200).save(here.join("photos/N3.png")).unwrap();
    group.crop_imm(385, 160, 200, 200).save(here.join("photos/N4.png")).unwrap();
    let rows = ["N1,Ada,04A2B3C4", "N2,Bob,04A2B3C5", "N3,Eve,04A2B3C6", "N4,Max,04A2B3C7"];
    let csv = HEADER.to_owned() + &rows.map(|row| format!("{row},R1,,\n")).concat();
    let said = import(here, &csv, &["--report", "report.json"]).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["students_with_template"], 4, "{report:#}");
    let poor: Vec<_> = report["poor"].as_array().unwrap().iter().map(|one| (&one["photo"], &one["defect"])).collect();
    assert_eq!(poor, [(&"N2.jpg".into(), &"at_border".into()), (&"N3.png".into(), &"unsure".into())], "{report:#}");
    assert!(said.contains("N3.png: the net is unsure of this face"), "{said}");
    assert_eq!(report["look_at_eyes"], serde_json::json!([]), "{report:#}");
}

#[test]
fn closed_eyes_are_a_remark() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir_all(here.join("photos")).unwrap();
    let clip = super::root().join("tests/pictures/cache/clips/WolfgangLanger_Pexels");
    let frame = |name: &str| {
        image::open(clip.join(name)).unwrap_or_else(|error| panic!("{name}: {error}: run tests/pictures/fetch"))
    };
    let (closed, open) = (frame("0051.jpg"), frame("0146.jpg"));
    closed.save(here.join("photos/N1.png")).unwrap();
    open.save(here.join("photos/N2.png")).unwrap();
    copy("obama.jpg", here.join("photos/N4.jpg"));
    let rows = ["N1,Ada,04A2B3C4", "N2,Eva,04A2B3C5", "N4,Bob,04A2B3C7"];
    let csv = HEADER.to_owned() + &rows.map(|row| format!("{row},R1,,\n")).concat();
    let said = import(here, &csv, &["--report", "report.json"]).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["students_with_template"], 3, "a remark refuses nobody: {report:#}");
    let remarks: Vec<_> = report["look_at_eyes"].as_array().unwrap().iter().map(|one| &one["photo"]).collect();
    assert_eq!(remarks, ["N1.png"], "{report:#}");
    assert!(said.contains("The eyes may be closed: look") && said.contains("line 2, N1, N1.png\n"), "{said}");
    assert_eq!(report["poor"], serde_json::json!([]), "{report:#}");
}

#[test]
fn photos_that_are_not_upright_are_turned_and_stretched_ones_are_poor() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir_all(here.join("photos")).unwrap();
    let (one, other) = ["obama.jpg", "single_face.jpg"].map(|name| image::open(super::picture(name)).unwrap()).into();
    one.rotate270().save(here.join("photos/N1.png")).unwrap();
    other.rotate180().save(here.join("photos/N2.png")).unwrap();
    other.rotate90().save(here.join("photos/N3.png")).unwrap();
    let wider = one.resize_exact(one.width() * 3 / 2, one.height(), image::imageops::FilterType::Triangle);
    wider.save(here.join("photos/N4.png")).unwrap();
    let higher = other.resize_exact(other.width(), other.height() * 3 / 2, image::imageops::FilterType::Triangle);
    higher.save(here.join("photos/N5.png")).unwrap();
    let csv = (1..=5).map(|n| format!("N{n},Ada,04A2B3C{n},R1,,\n")).collect::<String>();
    let said = import(here, HEADER.to_owned() + &csv, &["--report", "report.json"]).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    let named = |key: &str, what: &str| {
        let all = report[key].as_array().unwrap();
        all.iter().map(|one| format!("{} {}", one["photo"], one[what]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(named("turned", "turned"), ["N1.png quarter_right", "N2.png half", "N3.png quarter_left"], "{report:#}");
    assert_eq!(named("poor", "defect"), ["N4.png stretched", "N5.png stretched"], "{report:#}");
    assert!(said.contains("N1.png: turned a quarter to the right") && said.contains("proportions kept"), "{said}");
    // Turned upright, one man's two photos are one face again.
    let alike: Vec<_> = report["look_alikes"].as_array().unwrap().iter().collect();
    let pair = |one: &serde_json::Value| (one["first"]["photo"] == "N2.png") && (one["second"]["photo"] == "N3.png");
    assert!(alike.into_iter().any(|one| pair(one) && one["similarity"].as_f64().unwrap() > 0.9), "{report:#}");
}

#[test]
fn a_bad_csv_is_named_in_full_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let table: &[(&[u8], &[&str])] = &[
        (b"", &["roster.csv cannot be used, nothing was written", "empty"]),
        (b"student_id,given_name,room,photos\nN1,Ada,R1,\n", &["line 1: missing column `card`; found `student_id`"]),
        (b"student_id,given_name,card,room,photos\nN1,Jos\xE9,04A2B3C4,R1,\n", &["line 2: byte 7", "not UTF-8"]),
        (b"\xFF\xFEs\0t\0u", &["UTF-16", "half a character"]),
        (
            b"student_id,given_name,card,room,photos\nN1,Ada,04A2B3C4,R1,\nN1,Bob,04a2b3c4,R1,\nN3,Eve,04A2B3,R1,\nN4,Max,08A2B3C4,R1,\nN5\n",
            &[
                "5 problems",
                "line 3: student `N1` is already on line 2",
                "line 3: the same card is already on line 2",
                "line 4: `card`: there are 6 hexadecimal digits",
                "line 5: `card`: four bytes starting 08",
                "line 6: the header has 5 fields, this line 1",
            ],
        ),
    ];
    for (csv, parts) in table {
        let ran = import(here, csv, &[]).expect(65).says(parts);
        assert!(ran.stdout.is_empty());
        assert!(!written(here), "{:?}", String::from_utf8_lossy(csv));
    }
}

#[test]
fn card_forms_are_one_card() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // 0x04A2B3C4 as each form prints it
    for (form, text) in
        [("hex", "04A2B3C4"), ("hex-reversed", "C4B3A204"), ("decimal", "77771716"), ("decimal-reversed", "3300106756")]
    {
        import(here, format!("{HEADER}N1,Ada,{text},R1,,\n"), &["--card-form", form]).expect(0);
        assert!(open(here).find(&card(here, &[0x04, 0xA2, 0xB3, 0xC4])).unwrap().is_some(), "{form}");
    }
}

#[test]
fn bad_arguments_are_64_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let csv = format!("{HEADER}N1,Ada,04A2B3C4,R1,,\n");
    fs::write(here.join("short.key"), "short").unwrap();
    for (more, part) in [
        (&["--pepper", "absent.key"][..], "absent.key"),
        (&["--pepper", "short.key"], "short.key"),
        (&["--card-form", "octal"], "octal"),
        (&["--version", "0"], "--version"),
        (&["--threads", "0"], "--threads"),
    ] {
        import(here, &csv, more).expect(64).says(&[part]);
    }
    for (at, value, part) in [
        (3, "absent.csv", "cannot read absent.csv"),
        (5, "absent", "cannot list the photos in absent"),
        (7, "a/b", "a/b"),
        (11, "2026-12-14 08:30", "RFC 3339"),
        (13, "2026-12-14T08:00:00-05:00", "before they open"),
    ] {
        let mut changed = args(&[]);
        changed[at] = value;
        fleet(here, &changed).expect(64).says(&[part]);
    }
    bare(here, &args(&[])).expect(64).says(&["the models in models cannot be used"]);
    assert!(!written(here));
}

#[test]
fn a_roster_is_checked_for_one_face_under_two_names() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (photo, to) in [
        ("obama.jpg", "photos/N1.jpg"),
        ("obama.jpg", "photos/N2.jpg"),
        ("obama2.jpg", "photos/N3.jpg"),
        ("biden.jpg", "photos/N4.jpg"),
        ("single_face.jpg", "photos/N4-2.jpg"),
    ] {
        copy(photo, here.join(to));
    }
    let csv =
        format!("{HEADER}N1,Ada,04A2B3C4,R1,,\nN2,Bob,04A2B3C5,R1,,\nN3,Eve,04A2B3C6,R1,,\nN4,Max,04A2B3C7,R1,,\n");
    import(here, &csv, &[]).expect(0);
    let check = ["roster", "check", "--exam", "MATH-1", "--store", "state", "--keys", "keys"];
    let found = fleet(here, &[&check[..], &["--json"]].concat()).expect(0).json();
    assert_eq!((&found["students"], &found["templates"]), (&4.into(), &5.into()));
    let pairs = |kind: &str| -> Vec<_> {
        let pairs = found[kind].as_array().unwrap().iter();
        pairs.map(|pair| format!("{} {}", pair["first"].as_str().unwrap(), pair["second"].as_str().unwrap())).collect()
    };
    assert_eq!(pairs("same_photo"), ["N1 N2"]);
    assert_eq!(pairs("look_alikes").len(), 2, "{found:#}");
    assert_eq!(pairs("unlike"), ["N4 N4"]);
    let check = ["roster", "check", "--exam", "OTHER", "--store", "state", "--keys", "keys"];
    fleet(here, &check).expect(64).says(&["there is no roster", "import it first"]);
}
