//! `roster import` of a OneRoster export and of photos in an archive, with the real nets and the real store.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use examgate::domain::CardStanding;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    Ran, fleet,
    import::{card, open, written},
    picture,
};

const USUAL: [&str; 12] = [
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

fn import(here: &Path, more: &[&str]) -> Ran {
    fleet(here, &[&["roster", "import"], &USUAL[..], more].concat())
}

/// Packs these files.
fn pack(path: &Path, files: &[(&str, &[u8])]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// An export of one class: four students, one of them gone, and a teacher.
fn export() -> [(&'static str, &'static [u8]); 5] {
    [
        (
            "manifest.csv",
            b"propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.classes,bulk\nfile.enrollments,bulk\nfile.orgs,bulk\n\
              file.users,bulk\n",
        ),
        ("orgs.csv", b"sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\no1,,,Courant,school,,\n"),
        (
            "users.csv",
            "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,\
             email,sms,phone,agentSourcedIds,grades,password\r\n\
             u1,,,true,o1,student,al1,,Ada,Lovelace,,N1,,,,,,\r\nu2,,,true,o1,student,zs2,,Zoë,\"Smith, Jr.\",,N2,,,,,,\r\n\
             u3,tobedeleted,,true,o1,student,gh3,,Grace,Hopper,,N3,,,,,,\r\nu4,,,true,o1,student,mm4,,Max,Mo,,N4,,,,,,\r\n\
             u9,,,true,o1,teacher,le9,,Leonhard,Euler,,T9,,,,,,\r\n"
                .as_bytes(),
        ),
        (
            "classes.csv",
            b"sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,\
              subjects,subjectCodes,periods\nc1,,,Linear Algebra,,k1,001,scheduled,CIWW 109,o1,t1,,,\n",
        ),
        (
            "enrollments.csv",
            b"sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n\
              e1,,,c1,o1,u1,student,,,\ne2,,,c1,o1,u2,student,,,\ne3,,,c1,o1,u3,student,,,\ne4,,,c1,o1,u4,student,,,\n\
              e9,,,c1,o1,u9,teacher,,,\n",
        ),
    ]
}

#[test]
fn an_export_and_two_archives_become_a_roster() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pack(&here.join("export.zip"), &export());
    let [obama, biden] = ["obama.jpg", "biden.jpg"].map(|name| fs::read(picture(name)).unwrap());
    let photos: [(&str, &[u8]); 6] = [
        ("photos/N1.jpg", &obama),
        ("photos/n2 (1).JPG", &biden),
        ("photos/N9.jpg", &biden),
        ("photos/N4.jpg", b"no picture"),
        ("__MACOSX/photos/._N1.jpg", b"fork"),
        ("photos/", b""),
    ];
    pack(&here.join("photos.zip"), &photos);
    fs::write(here.join("cards.csv"), "Student ID;Card Number;Card Status\nN1;04A2B3C4;\nN2;04A2B3C5;lost\nN8;x;\n")
        .unwrap();
    let from =
        ["--oneroster", "export.zip", "--cards", "cards.csv", "--photos", "photos.zip", "--report", "report.json"];
    import(here, &from)
        .expect(65)
        .says(&["export.zip cannot be used, nothing was written", "classes.csv line 2: `location`"]);
    assert!(!written(here));
    let ran = import(here, &[&from[..], &["--class", "linear algebra", "--room", "CIWW-109"]].concat()).expect(0);

    let store = open(here);
    for (uid, id, name, standing, templates) in [
        ([0x04, 0xA2, 0xB3, 0xC4], "N1", "Ada", CardStanding::Active, 1),
        ([0x04, 0xA2, 0xB3, 0xC5], "N2", "Zoë", CardStanding::Revoked, 1),
    ] {
        let found = store.find(&card(here, &uid)).unwrap().unwrap_or_else(|| panic!("no {id}: {}", ran.stdout));
        let student = &found.entry.student;
        assert_eq!((student.id.as_str(), student.given_name.as_str()), (id, name));
        assert_eq!((found.entry.room.as_str(), found.templates), ("CIWW-109", templates));
        assert_eq!(found.entry.card.standing, standing);
    }
    assert_eq!(store.len().unwrap(), 3, "who has no card is on the roster all the same");
    for said in [
        "MATH-1 version 1: 3 students, 2 with a face (2 templates of 3 photos), 1 without",
        "Left out: 0 classes, 0 enrolments and 1 students marked tobedeleted or inactive; 1 enrolments of other roles than student",
        "users.csv line 5, N4: `identifier` is not in column `student_id` of cards.csv",
        "users.csv line 5, N4, photos/N4.jpg: the picture is neither JPEG nor PNG",
        "Photos of nobody on the roster (1):\n  photos/N9.jpg",
    ] {
        assert!(ran.stdout.contains(said), "without {said:?}: {}", ran.stdout);
    }
    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["left_out"]["users"], 1, "{report:#}");
    assert_eq!(
        (&report["without_card"][0]["file"], &report["without_card"][0]["line"]),
        (&"users.csv".into(), &5.into())
    );
    for secret in ["04A2B3C4", "Zoë", "Smith"] {
        assert!(!format!("{}{report}", ran.stdout).contains(secret), "{secret} is said");
    }
}

#[test]
fn archives_that_cannot_be_used_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("roster.csv"), "student_id,given_name,card,room,photos\nN1,Ada,04A2B3C4,R1,\n").unwrap();
    pack(&here.join("good.zip"), &[("aa/N1.jpg", b"x")]);
    let good = fs::read(here.join("good.zip")).unwrap();
    let patched = |from: &[u8], to: &[u8]| {
        let mut bytes = good.clone();
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from) {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
        }
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("cut.zip", good[..good.len() - 25].to_vec(), "it is no whole ZIP archive"),
        ("out.zip", patched(b"aa/N1.jpg", b"../N1.jpg"), "the name \"../N1.jpg\" inside it leads out of the archive"),
        ("text.zip", b"no archive at all".to_vec(), "it is neither a folder nor a ZIP archive"),
        ("empty.zip", Vec::new(), "it is neither a folder nor a ZIP archive"),
    ];
    for (name, bytes, wanted) in cases {
        fs::write(here.join(name), bytes).unwrap();
        let from = ["--csv", "roster.csv", "--photos", name];
        import(here, &from).expect(64).says(&[&format!("cannot list the photos in {name}"), wanted]);
        assert!(!written(here), "{name}");
    }
    // A photo that unpacks to more than any photo has is that photo's fault alone.
    let zeros = vec![0; 65 * 1024 * 1024];
    pack(&here.join("bomb.zip"), &[("N1.jpg", &zeros)]);
    assert!(here.join("bomb.zip").metadata().unwrap().len() < 200_000);
    let ran = import(here, &["--csv", "roster.csv", "--photos", "bomb.zip"]).expect(0);
    assert!(ran.stdout.contains("line 2, N1, N1.jpg: the file has more than 64 MiB"), "{}", ran.stdout);
    for arguments in [&["--photos", "good.zip"][..], &["--csv", "roster.csv", "--class", "c1", "--photos", "good.zip"]]
    {
        import(here, arguments).expect(64);
    }
}
