//! The logs of a whole run, at their most talkative, hold no key, no card number, no student and no template, in whatever
//! form. Events and answers on disk and screen are not looked at: they may name a student.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use examgate::{
    domain::ExamId,
    rig::{
        cards::{
            Applet, Chip, Said,
            desfire::{Access, Application, Desfire, File, Generation, Mode},
            piv::{PivAuthority, PivPlan},
        },
        stage::{Enrolled, Programs, Reality, Stage},
        virtual_card::Behaviour,
    },
    store::{KeyFolder, KeyName, Layout, RosterStore},
};

const EXAM: &str = "MATH-UA-120-final";
const PATIENCE: Duration = Duration::from_secs(30);

/// RFC 4648, without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = bytes.chunks(3).flat_map(|chunk| {
        let word = chunk.iter().chain(&[0; 2]).take(3).fold(0_u32, |word, &byte| word << 8 | u32::from(byte));
        (0..=chunk.len()).map(move |n| (word >> (18 - 6 * n)) as usize & 63)
    });
    sextets.map(|sextet| char::from(ALPHABET[sextet])).collect()
}

/// How bytes may be written, in both orders.
fn forms(bytes: &[u8]) -> Vec<String> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut forms = Vec::new();
    for bytes in [bytes, &reversed] {
        let joined =
            |separator: &str, format: fn(&u8) -> String| bytes.iter().map(format).collect::<Vec<_>>().join(separator);
        for separator in ["", " ", ":", "-", ", ", ",", ", 0x"] {
            forms.push(joined(separator, |byte| format!("{byte:02x}")));
            forms.push(joined(separator, |byte| format!("{byte:02X}")));
        }
        forms.push(joined(", ", u8::to_string));
        forms.push(joined(",", u8::to_string));
        // The last character depends on what follows.
        let text = base64(bytes);
        forms.push(text[..text.len() - 1].to_owned());
        forms.push(text.replace('+', "-").replace('/', "_")[..text.len() - 1].to_owned());
    }
    forms
}

/// What no log may hold, and what it is.
#[derive(Default)]
struct Needles(Vec<(String, String)>);

impl Needles {
    fn text(&mut self, what: &str, text: &str) {
        self.0.push((what.to_owned(), text.to_owned()));
    }

    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        for form in forms(bytes) {
            self.text(what, &form);
        }
    }

    /// A file of a key: 32 bytes, or text.
    fn key_file(&mut self, path: &Path) {
        let (what, bytes) = (path.display().to_string(), fs::read(path).expect("readable"));
        if bytes.len() == 32 {
            return self.bytes(&what, &bytes);
        }
        let text = String::from_utf8(bytes).expect("a key that is not 32 bytes is text");
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(['-', '#'])) {
            self.text(&what, line);
        }
    }

    /// What of it is in `log`.
    fn found_in(&self, log: &str) -> Vec<String> {
        self.0.iter().filter(|(_, needle)| log.contains(needle.as_str())).map(|(what, _)| what.clone()).collect()
    }
}

#[test]
fn the_search_finds_what_it_is_for() {
    assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    assert_eq!(base64(b"fooba"), "Zm9vYmE");
    let mut needles = Needles::default();
    needles.bytes("a card", &[0x04, 0xA1, 0xB2, 0xC3]);
    for log in ["uid=04a1b2c3", "C3:B2:A1:04", "[4, 161, 178, 195]", "[0x04, 0xA1, 0xB2, 0xC3]", "\"BKGyww==\""] {
        assert!(!needles.found_in(log).is_empty(), "{log}");
    }
    assert!(needles.found_in("04 a1 b2 c4").is_empty());
}

#[test]
fn no_log_holds_a_secret() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stage =
        Stage::set(project, programs, EXAM, Reality { reader: true, broker: true }).expect("the stage can be set");
    stage.set_environment("RUST_LOG", "trace");
    let students = [
        Enrolled {
            id: "N71828182",
            given_name: "Zebulonia",
            card: "04A1B2C3D4E5F6",
            pictures: &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"],
            language: None,
        },
        Enrolled {
            id: "N27182845",
            given_name: "Quirinus",
            card: "04C0FFEE112233",
            pictures: &["photos/obama.jpg"],
            language: None,
        },
    ];
    let imported = stage
        .enrol(EXAM, "Final", ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00"), &students)
        .expect("the roster is imported");
    stage.collect().expect("the collector starts");
    stage.set_clock("2026-12-14T08:40:00-05:00").expect("the clock is set");
    let door = stage.open_door().expect("the box is ready");
    stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
    let uids = ["04A1B2C3D4E5F6", "04A1B2C3D4E5F6", "04C0FFEE112233", "04DEADBEEF0102", "08A1B2C3"];
    let answers = ["admit", "refer", "deny", "deny", "refer"];
    let mut last = String::new();
    for (uid, answer) in uids.iter().zip(answers) {
        let tapped =
            stage.tap(&Behaviour::Uid(hex::decode(uid).expect("hexadecimal"))).expect("a card can be laid down");
        let said = door.decision(PATIENCE).expect("the box answers");
        assert_eq!(said.decision, answer, "{said:?}");
        last = said.event;
        drop(tapped);
        // pcscd looks for cards every 400 ms.
        let _ = door.decision_within(Duration::from_millis(700)).expect("the box runs");
    }
    let tapped = stage.tap(&Behaviour::Pulled).expect("a card can be laid down");
    assert_eq!(door.decision(PATIENCE).expect("the box answers").reason.as_deref(), Some("card_unreadable"));
    drop(tapped);
    for _ in 0..100 {
        if stage.committed().is_ok_and(|committed| committed.len() == uids.len() + 1) {
            break;
        }
        let _ = door.decision_within(Duration::from_millis(200)).expect("the box runs");
    }
    assert_eq!(stage.committed().expect("readable").len(), uids.len() + 1, "{}", stage.collector_log());
    assert!(door.stop().expect("it stops").success());
    let (door_log, collector_log) = (stage.door_log(), stage.collector_log());
    assert!(door_log.contains(&last) && door_log.contains("\"level\":\"TRACE\""), "the log is as talkative as can be");
    assert!(collector_log.contains("DEBUG"), "the collector tells all it has: {collector_log}");

    let mut needles = Needles::default();
    let (state, keys) = stage.state_and_keys();
    let beside = stage.folder();
    for folder in [keys.as_path(), beside] {
        for entry in fs::read_dir(folder).expect("readable").flatten() {
            if entry.path().extension().is_some_and(|kind| kind == "key" || kind == "age") {
                needles.key_file(&entry.path());
            }
        }
    }
    let exam = ExamId::new(EXAM).expect("valid");
    let folder = KeyFolder::new(keys, None);
    for (what, name) in [("the key of events", KeyName::Events), ("the key of the roster", KeyName::Exam(&exam))] {
        needles.bytes(what, folder.read(name).expect("readable").expose());
    }
    for uid in uids {
        needles.bytes(&format!("card {uid}"), &hex::decode(uid).expect("hexadecimal"));
    }
    let key = folder.read(KeyName::Exam(&exam)).expect("readable");
    let roster = RosterStore::open(&Layout::new(state).exam(&exam), &key).expect("it opens");
    for student in &students {
        needles.text("a student's number", student.id);
        needles.text("a student's name", student.given_name);
        let id = examgate::domain::StudentId::new(student.id).expect("valid");
        let templates = roster.templates(&id).expect("readable");
        assert!(!templates.is_empty(), "{}", student.id);
        for template in templates {
            let first = &template.embedding.as_slice()[..4];
            let bytes: Vec<u8> = first.iter().flat_map(|component| component.to_le_bytes()).collect();
            needles.bytes("a template's bytes", &bytes);
            // More decimals than a log's times have, which may hold any six by chance; without the last, which may be rounded.
            let written = template.embedding.as_slice().iter().map(f32::to_string).filter(|text| text.len() > 11);
            let written: Vec<_> = written.take(4).collect();
            assert_eq!(written.len(), 4, "components with that many digits");
            for text in written {
                needles.text("a template's component", &text[..text.len() - 1]);
            }
        }
    }
    assert!(needles.0.len() > 300, "{} is not all", needles.0.len());
    for (whose, log) in [("box", &door_log), ("collector", &collector_log)] {
        assert!(needles.found_in(log).is_empty(), "the log of the {whose} holds {:?}", needles.found_in(log));
    }
    // Whoever imports may read names; keys and templates are not for anybody.
    let kept: Vec<_> = needles.found_in(&imported).into_iter().filter(|what| !what.starts_with("a student")).collect();
    assert!(kept.is_empty(), "the import tells {kept:?}");
}

/// Every command to a card and what it answered.
type Heard = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

/// A card that is listened to.
struct Overheard<A> {
    card: A,
    heard: Heard,
}

impl<A: Applet> Applet for Overheard<A> {
    fn atr(&self) -> Vec<u8> {
        self.card.atr()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        let said = self.card.answer(command);
        if let Said::Answer(answer) = &said {
            self.heard.lock().expect("no card panics").push((command.to_vec(), answer.clone()));
        }
        said
    }

    fn lose_power(&mut self) {
        self.card.lose_power();
    }
}

#[test]
fn no_log_holds_what_is_said_to_cards_that_prove_themselves() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reality = Reality { reader: true, broker: false };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    stage.set_environment("RUST_LOG", "trace");
    let (_, keys) = stage.state_and_keys();
    let site = *b"sixteen bytes :)";
    let file = keys.join("card-desfire.key");
    fs::write(&file, hex::encode(site)).expect("writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    let authority = PivAuthority::new("Campus");
    let anchors = stage.folder().join("anchors.pem");
    fs::write(&anchors, authority.certificate()).expect("writable");
    // AUTHENTICATE AES makes its session key out of bytes that both drew, so it can be told from outside.
    let tables = format!(
        "[card]\nprofiles = [\"piv\", \"desfire_aes\", \"uid\"]\n[card.desfire]\napplication = \"F51CDB\"\nfile = 2\nlength = 12\n\
         key = 1\nauthentication = \"aes\"\n[card.piv]\nanchors = [\"{}\"]\n",
        anchors.display()
    );
    stage.configure(&tables).expect("writable");
    let identity = *b"0815-4711-xy";
    let uid = [0x04, 0x91, 0x82, 0x73, 0x64, 0x55, 0x46];
    let desfire = |key| {
        let contents = File::new(Mode::Full, Access::Key(1), &identity);
        let application = Application::new([0xF5, 0x1C, 0xDB], &[[0; 16], key]).with(2, contents);
        Desfire::new(Generation::Ev1, uid).with(application)
    };
    let piv = authority.card(&PivPlan::default());
    let number = piv.roster_value().to_owned();
    let shown = hex::encode_upper(identity);
    let students = [("N1", format!("desfire:{shown}")), ("N2", number.clone())];
    let students: Vec<_> = students
        .iter()
        .map(|(id, card)| Enrolled {
            id,
            given_name: "Ada",
            card,
            pictures: &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"],
            language: None,
        })
        .collect();
    let window = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
    stage.enrol(EXAM, "Final", window, &students).expect("the roster is imported");
    stage.set_clock("2026-12-14T08:40:00-05:00").expect("the clock is set");
    let door = stage.open_door().expect("the box is ready");
    let heard = Heard::default();
    let behaviour = |card: Chip<dyn Applet>| Behaviour::Applet(card);
    let listened = |heard: &Heard| Arc::clone(heard);
    let cards = [
        (behaviour(Chip::new(Overheard { card: desfire(site), heard: listened(&heard) }).any()), None),
        (
            behaviour(Chip::new(Overheard { card: desfire([9; 16]), heard: listened(&heard) }).any()),
            Some("card_unproved"),
        ),
        (behaviour(Chip::new(Overheard { card: piv, heard: listened(&heard) }).any()), None),
    ];
    for (card, reason) in cards {
        stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
        let tapped = stage.tap(&card).expect("a card can be laid down");
        let said = door.decision(PATIENCE).expect("the box answers");
        assert_eq!(said.reason.as_deref(), reason, "{}", stage.door_log());
        drop(tapped);
        // pcscd looks for cards every 400 ms.
        let _ = door.decision_within(Duration::from_millis(700)).expect("the box runs");
    }
    assert!(door.stop().expect("it stops").success());
    let log = stage.door_log();
    assert!(log.contains("the card is named") && log.contains("the card did not prove itself"), "{log}");

    let mut needles = Needles::default();
    needles.bytes("the site's key", &site);
    needles.text("the site's key", &hex::encode(site));
    needles.bytes("an identity", &identity);
    needles.text("an identity", std::str::from_utf8(&identity).expect("text"));
    needles.bytes("an identifier", &uid);
    needles.text("a PIV number", number.trim_start_matches("piv:"));
    needles.bytes("a PIV number", &PivPlan::default().uuid);
    let heard = heard.lock().expect("no card panics");
    assert!(heard.len() > 12, "the cards were asked: {heard:?}");
    for (command, answer) in heard.iter() {
        // Names and lengths of commands are no secret; what they carry and bring is.
        let data = answer.split_last_chunk::<2>().map_or(&[][..], |(data, _)| data);
        for bytes in [command.get(5..).unwrap_or_default(), data] {
            for part in [bytes.first_chunk::<8>(), bytes.last_chunk::<8>()].into_iter().flatten() {
                needles.bytes("what was said", part);
            }
        }
    }
    for secret in session(&heard, site) {
        needles.bytes("a session", &secret);
    }
    let found = needles.found_in(&log);
    assert!(found.is_empty(), "the log of the box holds {found:?}");
}

/// What the reader drew, what the card drew, and the session key of the first authentication with AUTHENTICATE AES: all is sent in CBC
/// under the card's key, each part after the one before; the session key is the first and the last four bytes of both.
fn session(heard: &[(Vec<u8>, Vec<u8>)], key: [u8; 16]) -> Vec<Vec<u8>> {
    let begun = heard.iter().position(|(command, _)| command.get(1) == Some(&0xAA)).expect("it was asked");
    let (_, challenge) = &heard[begun];
    let (answer, _) = &heard[begun + 1];
    let ciphered = [&challenge[..16], &answer[5..37]].concat();
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let mut crypter =
        openssl::symm::Crypter::new(cipher, openssl::symm::Mode::Decrypt, &key, Some(&[0; 16])).expect("a cipher");
    crypter.pad(false);
    let mut plain = vec![0; ciphered.len() + 16];
    let length = crypter.update(&ciphered, &mut plain).expect("whole blocks");
    assert!(length >= 48, "whole blocks");
    let [card, reader, turned] = [0, 16, 32].map(|at| plain[at..at + 16].to_vec());
    assert_eq!(turned, [&card[1..], &card[..1]].concat(), "the key and the chain are right");
    let session = [&reader[..4], &card[..4], &reader[12..], &card[12..]].concat();
    vec![reader, card, session]
}
