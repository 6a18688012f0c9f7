//! Exports that are read, and everything that can be wrong with one.
//!
//! Longer than one sitting: all cases share the export, and each fault is a row of one table.

use std::{fs, io::Write as _};

use examgate::domain::{CardStanding, Matching};

use super::{super::rows::Row, *};

/// The tables of a small export, as their names and texts.
type Tables = Vec<(&'static str, String)>;

const CARDS: &str = "student_id,card\nN1,04A1\nN2,04A2\nN3,04A3\n";

/// A class of three students and their teacher, as OneRoster 1.1 has it. Its tables are in the order of the specification.
fn export() -> Tables {
    vec![
        (
            "manifest.csv",
            "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.academicSessions,bulk\nfile.categories,absent\n\
             file.classes,bulk\nfile.courses,bulk\nfile.enrollments,bulk\nfile.orgs,bulk\nfile.users,bulk\nsource.systemName,Campus\n"
                .into(),
        ),
        ("orgs.csv", "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\no1,,,Courant,school,,\n".into()),
        (
            "users.csv",
            "\u{feff}sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,\
             identifier,email,sms,phone,agentSourcedIds,grades,password,metadata.cardNumber\r\n\
             u1,,,true,o1,student,al1,\"{LDAP:al1}\",Ada,Lovelace,,N1,,,,,,,04B1\r\n\
             u2,,,true,o1,student,gh2,,Grace,Hopper,,N2,,,,,,,04B2\r\n\
             u3,,,true,\"o1,o2\",student,zs3,,Zoë,\"Smith, Jr.\",,N3,,,,,,,\r\n\
             u4,,,true,o1,teacher,eu4,,Euler,L,,T4,,,,,,,\r\n\
             u5,,,true,o1,student,nb5,,Nobody,Else,,N5,,,,,,,\r\n"
                .into(),
        ),
        (
            "courses.csv",
            "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes\n\
             k1,,,,Linear Algebra,MATH-UA 140,,o1,,\n"
                .into(),
        ),
        (
            "classes.csv",
            "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,\
             subjects,subjectCodes,periods\n\
             c1,,,Linear Algebra  001,,k1,001,scheduled,CIWW-109,o1,t1,,,\n\
             c2,,,Linear Algebra 002,,k1,002,scheduled,CIWW-201,o1,t1,,,\n"
                .into(),
        ),
        (
            "enrollments.csv",
            "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n\
             e1,,,c1,o1,u1,student,false,,\ne2,,,c1,o1,u2,student,false,,\ne3,,,c2,o1,u3,student,false,,\ne4,,,c1,o1,u4,teacher,true,,\n\
             e5,,,c2,o1,u4,teacher,true,,\n"
                .into(),
        ),
    ]
}

/// Replaces a part of one table.
fn altered(file: &str, from: &str, to: &str) -> Tables {
    let mut tables = export();
    let table = &mut tables.iter_mut().find(|(name, _)| *name == file).unwrap().1;
    assert!(table.contains(from), "{from} is not in {file}");
    *table = table.replace(from, to);
    tables
}

fn folder(tables: &Tables) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in tables {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn args(class: &[&str]) -> OneRoster {
    OneRoster {
        oneroster: None,
        class: class.iter().map(|&class| class.into()).collect(),
        course: Vec::new(),
        student_id: IdColumn::Identifier,
        cards: Some("x/cards.csv".into()),
        card_column: Vec::new(),
        room: None,
    }
}

/// Stands for the real forms: a card is its own bytes.
fn card(text: &str) -> Result<CardPseudonym, String> {
    let bytes = hex::decode(text).map_err(|e| format!("not hexadecimal: {e}"))?;
    let mut name = [0; 32];
    name[..bytes.len()].copy_from_slice(&bytes);
    Ok(CardPseudonym::from_bytes(name))
}

fn read_at(args: &OneRoster, path: &Path, cards: &str) -> Result<Taken> {
    let none = |student: &StudentId| {
        let mut name = [0xEE; 32];
        name[..student.as_str().len()].copy_from_slice(student.as_str().as_bytes());
        CardPseudonym::from_bytes(name)
    };
    super::read(args, path, Some(cards.as_bytes()), &Pseudonyms { card: &card, none: &none })
}

fn read(args: &OneRoster, tables: &Tables, cards: &str) -> Result<Taken, String> {
    let taken = read_at(args, folder(tables).path(), cards).map_err(|error| format!("{error:#}"))?;
    let problems = &taken.rows.problems;
    if problems.is_empty() { Ok(taken) } else { Err(Problems(problems.clone()).to_string()) }
}

fn said(taken: &Taken) -> Vec<String> {
    let row = |row: &Row| {
        format!(
            "{} {} {} {}",
            row.line,
            row.entry.student.id.as_str(),
            row.entry.student.called(),
            row.entry.room.as_str()
        )
    };
    taken.rows.rows.iter().map(row).collect()
}

#[test]
fn a_class_is_taken_by_its_identifier_title_or_code() {
    for class in ["c1", "linear algebra 001", "001"] {
        let taken = read(&args(&[class]), &export(), CARDS).unwrap();
        assert_eq!(said(&taken), ["2 N1 Ada CIWW-109", "3 N2 Grace CIWW-109"], "{class}");
        assert_eq!(taken.left_out, LeftOut { other_roles: 1, ..LeftOut::default() });
        assert_eq!(taken.rows.rows[0].entry.card.pseudonym, card("04A1").unwrap());
        assert!(taken.without_card.is_empty() && taken.rows.remarks.is_empty(), "{:?}", taken.rows.remarks);
    }
    let both = read(&args(&["c2", "c1"]), &export(), CARDS).unwrap();
    assert_eq!(said(&both).last().unwrap(), "4 N3 Zoë CIWW-201");
}

#[test]
fn a_course_is_all_its_classes_and_a_lone_class_needs_no_name() {
    for course in ["k1", "Linear Algebra", "math-ua 140"] {
        let args = OneRoster { course: vec![course.into()], ..args(&[]) };
        assert_eq!(said(&read(&args, &export(), CARDS).unwrap()).len(), 3, "{course}");
        let mut without = export();
        without.retain(|(name, _)| *name != "courses.csv");
        without[0].1 = without[0].1.replace("file.courses,bulk", "file.courses,absent");
        let found = read(&args, &without, CARDS);
        assert_eq!(found.is_ok(), course == "k1", "without courses.csv a course is its identifier");
    }
    let lone = altered("classes.csv", "c2,,,Linear Algebra 002,,k1,002,scheduled,CIWW-201,o1,t1,,,\n", "");
    assert_eq!(said(&read(&args(&[]), &lone, CARDS).unwrap()).len(), 2);
}

#[test]
fn release_1_2_is_read_with_its_roles_elsewhere_and_the_name_that_somebody_prefers() {
    let mut tables = altered("manifest.csv", "oneroster.version,1.1", "oneroster.version,1.2\nfile.roles,bulk");
    tables[2].1 = "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,identifier,email,sms,\
        phone,agentSourcedIds,grades,password,userMasterIdentifier,resourceSourcedIds,preferredGivenName,preferredMiddleName,\
        preferredFamilyName,primaryOrgSourcedId,pronouns\n\
        u1,,,true,al1,,Augusta,Lovelace,,N1,,,,,,,,,Ada,,,o1,\nu2,,,true,gh2,,Grace,Hopper,,N2,,,,,,,,,,,,o1,\n"
        .into();
    let taken = read(&args(&["c1"]), &tables, CARDS).unwrap();
    assert_eq!(said(&taken), ["2 N1 Ada CIWW-109", "3 N2 Grace CIWW-109"]);
    assert_eq!(taken.rows.rows[0].entry.student.given_name, "Augusta", "the name on the ID is kept");
}

#[test]
fn what_is_marked_as_gone_is_left_out_and_counted() {
    let mut tables = export();
    tables[2].1 = tables[2]
        .1
        .replace("u2,,,true", "u2,tobedeleted,2026-11-01T00:00:00Z,true")
        .replace("u1,,,true", "u1,active,,true");
    tables[5].1 = tables[5].1.replace("e3,,,c2", "e3,inactive,,c2");
    let taken = read(&args(&["c1", "c2"]), &tables, CARDS).unwrap();
    assert_eq!(said(&taken), ["2 N1 Ada CIWW-109"]);
    assert_eq!(taken.left_out, LeftOut { classes: 0, enrollments: 1, users: 1, other_roles: 2 });
    let gone = altered("classes.csv", "c1,,,", "c1,tobedeleted,,");
    assert!(read(&args(&["c1"]), &gone, CARDS).unwrap_err().contains("marked tobedeleted or inactive"));
    let odd = altered("enrollments.csv", "e1,,", "e1,dropped,");
    let text = "enrollments.csv line 2: `status`: `dropped` is not known: it is empty, active or tobedeleted";
    assert_eq!(read(&args(&["c1"]), &odd, CARDS).unwrap_err(), text);
}

#[test]
fn the_number_is_the_column_that_was_chosen() {
    for (column, cards, wanted) in [
        (IdColumn::Username, "student_id,card\nal1,04A1\ngh2,04A2\n", "al1"),
        (IdColumn::SourcedId, "student_id,card\nu1,04A1\nu2,04A2\n", "u1"),
    ] {
        let args = OneRoster { student_id: column, ..args(&["c1"]) };
        let taken = read(&args, &export(), cards).unwrap();
        assert_eq!(taken.rows.rows[0].entry.student.id.as_str(), wanted);
        assert!(taken.without_card.is_empty());
    }
    let empty = altered("users.csv", ",N1,", ",,");
    let text = read(&args(&["c1"]), &empty, CARDS).unwrap_err();
    assert!(
        text.starts_with("users.csv line 2: `identifier`: empty, and students go by it: fill it in, or choose another"),
        "{text}"
    );
    let mail = OneRoster { student_id: IdColumn::Username, ..args(&["c1"]) };
    let text = read(&mail, &altered("users.csv", "al1", "al1@nyu.edu"), CARDS).unwrap_err();
    assert!(text.contains("users.csv line 2: `username`: \"al1@nyu.edu\" is not an identifier"), "{text}");
}

#[test]
fn who_has_no_card_is_on_the_roster_and_named_by_file_row_and_column() {
    let taken = read(&args(&["c1", "c2"]), &export(), "student_id,card\nN1,04A1\nN2,\n").unwrap();
    let told: Vec<_> = taken.without_card.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
    assert_eq!(
        told,
        [
            "users.csv line 3, N2: `card` is empty on line 3 of cards.csv",
            "users.csv line 4, N3: `identifier` is not in column `student_id` of cards.csv"
        ]
    );
    assert_eq!(said(&taken).len(), 3);
    assert_ne!(taken.rows.rows[1].entry.card, taken.rows.rows[2].entry.card);
    let column = OneRoster { cards: None, card_column: vec!["metadata.cardNumber".into()], ..args(&["c1", "c2"]) };
    let taken = read(&column, &export(), "").unwrap();
    assert_eq!(taken.rows.rows[0].entry.card.pseudonym, card("04B1").unwrap());
    let told: Vec<_> = taken.without_card.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
    assert_eq!(told, ["users.csv line 4, N3: `metadata.cardNumber` is empty"]);
}

#[test]
fn the_card_table_says_room_standing_and_language_where_it_does() {
    let cards = "EMPLID\tCard Number\tCard Status\tRoom\tLanguage\nN1\t04A1\tactive\tR-9\tes\nN2\t04A2\tlost\t\t\nN7\tbroken\t\t\t\n";
    let taken = read(&args(&["c1"]), &export(), cards).unwrap();
    assert_eq!(said(&taken), ["2 N1 Ada R-9", "3 N2 Grace CIWW-109"]);
    let rows = &taken.rows.rows;
    assert_eq!(
        (rows[0].entry.card.standing, rows[1].entry.card.standing),
        (CardStanding::Active, CardStanding::Revoked)
    );
    assert_eq!(rows[0].entry.student.language.as_ref().map(|language| language.as_str()), Some("es"));
    assert!(taken.rows.remarks[0].to_string().starts_with("cards.csv line 1: column `EMPLID` is read as"));
    let room = OneRoster { room: Some(RoomId::new("HALL").unwrap()), ..args(&["c1"]) };
    assert_eq!(said(&read(&room, &export(), cards).unwrap()), ["2 N1 Ada R-9", "3 N2 Grace HALL"]);
}

#[test]
fn a_student_has_a_card_of_each_line_and_column_that_names_one() {
    let cards = "student_id,card,card_standing,card_2,seat,matching\n\
                 N1,04A1,replaced,,12,\nN1,04A4,,04A5,,\nN2,04A2,,,,none\nN1,04A4,active,,12,\n";
    let taken = read(&args(&["c1"]), &export(), cards).unwrap();
    let [ada, grace] = [0, 1].map(|at| &taken.rows.rows[at].entry);
    let held: Vec<_> = ada.cards().map(|card| (card.pseudonym, card.standing)).collect();
    let wanted = [("04A1", CardStanding::Revoked), ("04A4", CardStanding::Active), ("04A5", CardStanding::Active)];
    assert_eq!(held, wanted.map(|(text, standing)| (card(text).unwrap(), standing)));
    assert_eq!((ada.seat.as_ref().map(|seat| seat.as_str()), ada.matching), (Some("12"), Matching::Face));
    assert_eq!((grace.cards().count(), grace.seat.is_some(), grace.matching), (1, false, Matching::None));

    let columns = ["metadata.cardNumber", "username"].map(String::from).to_vec();
    let column = OneRoster { cards: None, card_column: columns, ..args(&["c1"]) };
    let tables = altered("users.csv", "student,al1", "student,04C1");
    let tables: Tables = tables.into_iter().map(|(name, text)| (name, text.replace("gh2", ""))).collect();
    let taken = read(&column, &tables, "").unwrap();
    let held = |at: usize| -> Vec<_> { taken.rows.rows[at].entry.cards().map(|card| card.pseudonym).collect() };
    assert_eq!(held(0), ["04B1", "04C1"].map(|text| card(text).unwrap()));
    assert_eq!(held(1), ["04B2"].map(|text| card(text).unwrap()));
}

#[test]
fn everything_that_is_wrong_is_named_by_file_line_and_column() {
    let c1 = &["c1"][..];
    for (name, class, tables, cards, wanted) in [
        (
            "no such class",
            &["c9"][..],
            export(),
            CARDS,
            "classes.csv: --class `c9`: none has this `sourcedId`, `title` or `classCode`; there are `c1` (Linear Algebra  001), `c2`",
        ),
        ("which class", &[], export(), CARDS, "classes.csv: which class sits the exam? Say --class or --course: `c1`"),
        (
            "a title twice",
            &["Algebra"],
            altered("classes.csv", "Linear Algebra  001", "Algebra")
                .into_iter()
                .map(|(name, text)| (name, text.replace("Linear Algebra 002", "ALGEBRA")))
                .collect(),
            CARDS,
            "2 have this title: say which by its sourcedId: `c1` (Algebra), `c2` (ALGEBRA)",
        ),
        (
            "a delta",
            c1,
            altered("manifest.csv", "file.users,bulk", "file.users,delta"),
            CARDS,
            "manifest.csv line 10: `value`: `file.users` is delta: it holds only what changed; export it as bulk",
        ),
        (
            "absent",
            c1,
            altered("manifest.csv", "file.users,bulk", "file.users,absent"),
            CARDS,
            "manifest.csv line 10: `value`: `file.users` is absent: export it as bulk",
        ),
        (
            "another release",
            c1,
            altered("manifest.csv", "version,1.1", "version,2.0"),
            CARDS,
            "manifest.csv line 3: `value`: OneRoster `2.0` is not read, only 1.1 and 1.2",
        ),
        (
            "a column less",
            c1,
            altered("enrollments.csv", "userSourcedId", "user"),
            CARDS,
            "enrollments.csv line 1: missing column `userSourcedId`; found `sourcedId`",
        ),
        (
            "a user less",
            c1,
            altered("users.csv", "u2,,", "u9,,"),
            CARDS,
            "enrollments.csv line 3: `userSourcedId`: `u2` is not in users.csv: export both together",
        ),
        (
            "a user twice",
            c1,
            altered("users.csv", "u3,,", "u2,,"),
            CARDS,
            "users.csv line 4: `sourcedId`: `u2` is already on line 3",
        ),
        (
            "a number twice",
            c1,
            altered("users.csv", ",N2,", ",n1,"),
            CARDS,
            "users.csv line 3: `identifier`: student `n1` is already on line 2",
        ),
        (
            "a card twice",
            c1,
            export(),
            "student_id,card\nN1,04A1\nN2,04a1\n",
            "cards.csv line 3: the same card is already on line 2 of cards.csv",
        ),
        (
            "a bad card",
            c1,
            export(),
            "student_id,card\nN1,1.3E+15\nN2,04A2\n",
            "cards.csv line 2: `card`: a number in E+ notation",
        ),
        (
            "two standings of one card",
            c1,
            export(),
            "student_id,card,card_standing\nN1,04A1,\nN2,04A2,\nN1,04A1,lost\n",
            "cards.csv line 4: `card_standing`: on line 2 the same card of this student has another standing",
        ),
        (
            "nine cards",
            c1,
            export(),
            "student_id,card\nN2,04A2\nN1,04A1\nN1,01\nN1,02\nN1,03\nN1,04\nN1,05\nN1,06\nN1,07\nN1,08\n",
            "cards.csv line 11: `card`: more than 8 cards of one student",
        ),
        (
            "a card of another one's second line",
            c1,
            export(),
            "student_id,card\nN1,04A1\nN2,04A2\nN2,04a1\n",
            "cards.csv line 4: the same card is already on line 2 of cards.csv",
        ),
        (
            "a bad second card",
            c1,
            export(),
            "student_id,card,card_2\nN1,04A1,1.3E+15\nN2,04A2,\n",
            "cards.csv line 2: `card_2`: a number in E+ notation",
        ),
        (
            "two seats",
            c1,
            export(),
            "student_id,card,seat\nN1,04A1,4\nN2,04A2,\nN1,04A3,5\n",
            "cards.csv line 4: `seat`: something else than on line 2 for the same student",
        ),
        (
            "half opted out",
            c1,
            export(),
            "student_id,card,matching\nN1,04A1,no\nN2,04A2,\n",
            "cards.csv line 2: `matching`: `no` is not known",
        ),
        (
            "lost zeros",
            c1,
            altered("users.csv", ",N1,", ",00123,"),
            "student_id,card\n123,04A1\nN2,04A2\n",
            "users.csv line 2: `identifier`: `00123` is not in cards.csv, but line 2 there has it with other zeros",
        ),
        (
            "no room",
            c1,
            altered("classes.csv", "CIWW-109", ""),
            CARDS,
            "classes.csv line 2: `location`: empty: say the exam room with --room",
        ),
        (
            "a room with a space",
            c1,
            altered("classes.csv", "CIWW-109", "CIWW 109"),
            CARDS,
            "classes.csv line 2: `location`: \"CIWW 109\" is not an identifier",
        ),
        (
            "a name lost",
            c1,
            altered("users.csv", "Ada", "Ad?"),
            CARDS,
            "users.csv line 2: `givenName`: a letter was lost",
        ),
        (
            "a quote",
            c1,
            altered("users.csv", "\"Smith, Jr.\"", "\"Smith, Jr."),
            CARDS,
            "users.csv line 4: the quote that opens in cell 10",
        ),
        (
            "no cards",
            c1,
            export(),
            "number\n1\n",
            "cards.csv line 1: no header: a line with `student_id`, `card` is needed",
        ),
        (
            "an odd column",
            c1,
            export(),
            "student_id,card,lost?\nN1,04A1,x\n",
            "cards.csv line 1: unknown column `lost?`",
        ),
    ] {
        let text = read(&args(class), &tables, cards).err().unwrap_or_else(|| panic!("{name} is read"));
        assert!(text.contains(wanted), "{name}: {text} lacks {wanted:?}");
        assert!(!text.contains("Grace") && !text.contains("04A1") && !text.contains("04a1"), "{name}: {text}");
    }
    for missing in ["manifest.csv", "users.csv", "classes.csv", "enrollments.csv", "courses.csv"] {
        let mut tables = export();
        tables.retain(|(name, _)| *name != missing);
        let text = read(&args(c1), &tables, CARDS).err().unwrap_or_else(|| panic!("{missing} is not missed"));
        assert!(text.starts_with(missing) && text.contains("is not there"), "{missing}: {text}");
    }
    let no_source = OneRoster { cards: None, ..args(c1) };
    assert!(
        read(&no_source, &export(), "").unwrap_err().contains("OneRoster has no column for cards: say --cards FILE")
    );
    let column = OneRoster { cards: None, card_column: vec!["metadata.card".into()], ..args(c1) };
    let text = read(&column, &export(), "").unwrap_err();
    assert!(
        text.contains(
            "users.csv line 1: there is no column `metadata.card` (--card-column); there are metadata.cardNumber"
        ),
        "{text}"
    );
}

/// An archive of the export in the folder `inside`.
fn packed(inside: &str, twice: bool) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let bases = [inside, "other/"];
    for base in &bases[..1 + usize::from(twice)] {
        for (name, text) in export() {
            zip.start_file(format!("{base}{name}"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
    }
    zip.start_file("__MACOSX/._manifest.csv", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    (folder, path)
}

#[test]
fn an_archive_is_read_as_it_was_exported_and_as_a_packed_folder() {
    for inside in ["", "export 2026/"] {
        let (_folder, path) = packed(inside, false);
        assert_eq!(read_at(&args(&["c1"]), &path, CARDS).unwrap().rows.rows.len(), 2, "{inside:?}");
    }
    let (_folder, path) = packed("one/", true);
    let text = format!("{:#}", read_at(&args(&["c1"]), &path, CARDS).err().unwrap());
    assert!(text.contains("there are 2 exports in it"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.csv");
    fs::write(&path, "sourcedId\n").unwrap();
    let text = format!("{:#}", read_at(&args(&["c1"]), &path, CARDS).err().unwrap());
    assert!(text.contains("is neither a folder nor a ZIP archive"), "{text}");
}
