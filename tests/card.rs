//! The card edge over a real pcscd with the virtual reader `vpcd` and virtual cards of ours: the contract, case by case.
//!
//! Needs the Debian packages `pcscd` and `vsmartcard-vpcd`. A process reads once where its pcscd is, so every test starts
//! this program again for itself alone. Knows nothing of sessions.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use examgate::{
    domain::{CardProblem, CredentialProfile, Pepper},
    edge::card::{CardError, CardEvent, CardReader, CardReads, PacsReads, PcscCardReader, contract},
    rig::{
        alone::{alone, alone_by},
        cards::{
            Chip,
            desfire::{Access, Application, Desfire, File, Generation, Mode},
        },
        pcscd::{self, Pcscd},
        virtual_card::{Behaviour, VirtualCard},
        virtual_reader::{VirtualReader, surroundings},
    },
    wire::pacs::PacsForm,
};

fn open() -> PcscCardReader {
    open_with(CardReads::default())
}

fn open_with(reads: CardReads) -> PcscCardReader {
    PcscCardReader::open(reads, Pepper::from_bytes([1; 32]), surroundings()).expect("a thread starts")
}

/// Card numbers out of the reader before identifiers.
fn with_numbers() -> CardReads {
    let pacs = PacsReads { forms: vec![PacsForm::H10304], ..PacsReads::default() };
    let profiles = vec![CredentialProfile::Pacs, CredentialProfile::Uid];
    CardReads { profiles, pacs, ..CardReads::default() }
}

/// A Seos card with facility code 587 and card number 50301, of 37 bits.
fn seos() -> Behaviour {
    Behaviour::seos([0xA1, 0xA2, 0xA3], 3, &[0x81, 0x25, 0x8C, 0x47, 0xD0])
}

/// Far more than an event takes.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                alone(stringify!($case), |pcscd| contract::$case(&mut VirtualReader::new(pcscd)));
            }
        )*

        #[test]
        fn no_case_is_forgotten() {
            assert_eq!([$(stringify!($case)),*], contract::CASES.map(|(name, _)| name));
        }
    };
}

cases![
    tap_and_removal,
    every_length_and_order,
    random_identifiers_are_refused,
    numbers_from_the_reader,
    a_card_that_proves_itself,
    a_card_that_does_not_prove_itself,
    a_key_that_is_missing,
    answers_without_sense,
    answers_in_steps_and_with_warnings,
    a_mute_card,
    a_card_pulled_midway,
    a_card_present_at_the_start,
    two_slots,
    an_outage,
    a_hang,
    many_quick_taps,
];

#[test]
fn the_service_may_come_later() {
    alone("the_service_may_come_later", |mut pcscd| {
        pcscd.kill();
        let mut reader = open();
        let error = reader.next(PATIENCE).unwrap_err();
        assert!(matches!(error, CardError::Service { .. }) && error.is_retriable(), "{error}");
        pcscd.restart().unwrap();
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Ready { slots: 2 }));
    });
}

/// Taps a card where /run holds nothing, or (`options` "ro") holds nothing and takes nothing.
fn tap_with_another_run(options: &str, test: &str) {
    let mut namespace = vec!["unshare"];
    if !rustix::process::geteuid().is_root() {
        namespace.extend(["--user", "--map-root-user"]);
    }
    let mount = format!("mount -t tmpfs -o {options} examgate /run && exec \"$@\"");
    namespace.extend(["--mount", "/bin/sh", "-c", &mount, "mount"]);
    let allowed = Command::new(namespace[0]).args(&namespace[1..]).arg("true").output().expect("util-linux is there");
    if !allowed.status.success() {
        // Many containers allow nobody another /run: there every other test here shows what the machine's own does.
        return;
    }
    alone_by(&namespace, test, |pcscd| contract::tap_and_removal(&mut VirtualReader::new(pcscd)));
}

#[test]
fn a_machine_whose_pcscd_never_ran() {
    tap_with_another_run("mode=755", "a_machine_whose_pcscd_never_ran");
}

#[test]
fn a_machine_whose_run_takes_nothing() {
    tap_with_another_run("ro", "a_machine_whose_run_takes_nothing");
}

#[test]
fn a_card_that_another_program_holds() {
    alone("a_card_that_another_program_holds", |pcscd| {
        use pcsc::{Context, Protocols, Scope, ShareMode};

        let mut reader = open();
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Ready { slots: 2 }));
        let card = VirtualCard::insert(pcscd.port(0), Behaviour::Uid(vec![4, 1, 2, 3, 4, 5, 6])).unwrap();
        let Some(CardEvent::Tapped { slot, read: Ok(named), .. }) = reader.next(PATIENCE).unwrap() else {
            panic!("a tap")
        };
        drop(reader);

        let other = Context::establish(Scope::User).unwrap();
        let name = other.list_readers_owned().unwrap().remove(usize::from(slot.0));
        // The room lets go of the card a moment after it has named it.
        let held = loop {
            match other.connect(&name, ShareMode::Exclusive, Protocols::ANY) {
                Ok(held) => break held,
                Err(error) => assert_eq!(error, pcsc::Error::SharingViolation),
            }
        };
        let mut reader = open();
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Ready { slots: 2 }));
        let unreadable = CardEvent::Tapped { slot, read: Err(CardProblem::Unreadable), took: None };
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(unreadable));

        drop(held);
        drop(card);
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Removed { slot }));
        let _card = VirtualCard::insert(pcscd.port(0), Behaviour::Uid(vec![4, 1, 2, 3, 4, 5, 6])).unwrap();
        let again = reader.next(PATIENCE).unwrap();
        assert!(
            matches!(&again, Some(CardEvent::Tapped { read: Ok(read), took: Some(_), .. }) if *read == named),
            "{again:?}"
        );
    });
}

/// What was logged, by every thread of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_identifier_is_ever_logged() {
    alone("no_identifier_is_ever_logged", |pcscd| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        subscriber.init();

        let mut reader = open_with(with_numbers());
        let mut shown = format!("{reader:?} {:?}", reader.next(PATIENCE));
        // A good card, one whose answer makes no sense, and a made-up number: none may show its bytes, 0xA1 or more each.
        let answers = [
            &[0xA1, 0xA2, 0xA3, 0xA4, 0x90, 0x00][..],
            &[0xA1, 0xA2, 0xA3, 0x90, 0x00],
            &[8, 0xA1, 0xA2, 0xA3, 0x90, 0],
        ];
        let answers = answers.map(|answer| Behaviour::Answer(answer.to_vec()));
        for behaviour in answers.into_iter().chain([seos()]) {
            let card = VirtualCard::insert(pcscd.port(0), behaviour).expect("a card can be laid down");
            shown += &format!("{:?}", reader.next(PATIENCE));
            drop(card);
            shown += &format!("{:?}", reader.next(PATIENCE));
        }
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(
            logged.contains("card reader attached") && logged.contains("the profile gives no number"),
            "logging works: {logged}"
        );
        let read = ["Unreadable", "Unstable", "profile: Uid", "profile: Pacs"];
        assert!(read.iter().all(|how| shown.contains(how)), "the cards were read: {shown}");
        for text in [logged, shown] {
            let text = text.to_lowercase();
            for trace in [
                "a1a2",
                "a1:a2",
                "a1 a2",
                "a1, a2",
                "161, 162",
                "0xa1",
                "2711790500",
                "2762187425",
                "50301",
                "81258c",
                "129, 37, 140",
            ] {
                assert!(!text.contains(trace), "{trace} in {text}");
            }
        }
    });
}

/// What `examgate card` prints for a card that lies on the reader of this process's pcscd.
fn at_the_desk(pcscd: &Pcscd, behaviour: Behaviour, arguments: &[&str]) -> String {
    let _card = VirtualCard::insert(pcscd.port(0), behaviour).expect("a card can be laid down");
    let shown = Command::new(env!("CARGO_BIN_EXE_examgate"))
        .args(["card", "--wait", "20"])
        .args(arguments)
        .env(pcscd::SOCKET, pcscd.socket())
        .output()
        .expect("the program starts");
    let [told, failed] = [shown.stdout, shown.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(shown.status.success() && failed.is_empty(), "{told}{failed}");
    told
}

/// A box's configuration in `folder` that reads DESFire cards, and the key of its site.
fn configured(folder: &Path, key: &str) -> String {
    for name in ["keys", "state"] {
        fs::DirBuilder::new().mode(0o700).create(folder.join(name)).expect("writable");
    }
    let path = folder.join("keys/card-desfire.key");
    fs::write(&path, key).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    let file = folder.join("door.toml");
    let shown = folder.display();
    let text = format!(
        "device = \"door-1\"\nroom = \"R\"\nexam = \"E\"\nstate = \"{shown}/state\"\nkeys = \"{shown}/keys\"\nmodels = \"{shown}\"\n\
         [camera]\ndevice = {{ index = 0 }}\nwidth = 640\nheight = 480\n[light]\nkind = \"simulated\"\n\
         [card]\nprofiles = [\"desfire_aes\", \"uid\"]\nslowest_ms = {{ desfire_aes = 2000 }}\n\
         [card.desfire]\napplication = \"F51CDB\"\nfile = 2\nlength = 4\nkey = 1\n"
    );
    fs::write(&file, text).expect("writable");
    file.display().to_string()
}

#[test]
fn the_desk_has_a_card_prove_itself_with_the_boxs_own_keys_and_shows_none() {
    alone("the_desk_has_a_card_prove_itself_with_the_boxs_own_keys_and_shows_none", |pcscd| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = [0xA7; 16];
        let config = configured(folder.path(), &hex::encode(key));
        let card = |key| {
            let identity = File::new(Mode::Full, Access::Key(1), &[0x01, 0x23, 0xAB, 0xCD]);
            let application = Application::new([0xF5, 0x1C, 0xDB], &[[0; 16], key]).with(2, identity);
            let card = Desfire::new(Generation::Ev2, [4, 1, 2, 3, 4, 5, 6]).with(application);
            Behaviour::Applet(Chip::new(card).any())
        };
        let bare = at_the_desk(&pcscd, card(key), &[]);
        let good = at_the_desk(&pcscd, card(key), &["--config", &config]);
        let timed = at_the_desk(&pcscd, card(key), &["--config", &config, "--times", "3"]);
        let other = at_the_desk(&pcscd, card([0xB8; 16]), &["--config", &config]);
        let cases: [(&str, &[&str]); 4] = [
            (&bare, &["DESFire EV2 with F51CDB", "desfire  not asked: it takes --config", "card = 04010203040506"]),
            (
                &good,
                &[
                    "it proved itself as desfire:0123ABCD",
                    "profile  desfire_aes (card-authenticated)",
                    "roster   desfire = desfire:0123ABCD",
                ],
            ),
            (&timed, &["3 times by desfire_aes: median", "slowest_ms = { desfire_aes = ", "now it is 2000 ms"]),
            (&other, &["(card_unproved)", "profile  none: it has desfire_aes and does not prove itself"]),
        ];
        for (told, words) in cases {
            for word in words {
                assert!(told.contains(word), "{word}: {told}");
            }
            assert!(!told.to_lowercase().contains("a7a7"), "the key is in {told}");
        }
        assert!(!other.contains("roster "), "nothing weaker is offered: {other}");
    });
}

#[test]
fn the_desk_sees_what_a_card_says_and_what_to_write_into_the_roster() {
    alone("the_desk_sees_what_a_card_says_and_what_to_write_into_the_roster", |pcscd| {
        let iclass = Behaviour::iclass([0x32, 0x96, 0x62, 0x02, 0xF8, 0xFF, 0x12, 0xE0]);
        let cases: [(Behaviour, &[&str]); 4] = [
            (iclass, &["iCLASS", "secure element refuses (9E, code 0003)", "profile  uid", "card = 32966202F8FF12E0"]),
            (
                seos(),
                &[
                    "processor card",
                    "made up at each tap",
                    "profile  pacs (reader-authenticated)",
                    "pacs = h10304:587-50301",
                ],
            ),
            (Behaviour::wallet([1, 2, 3]), &["a pass in a phone's or watch's wallet", "profile  none"]),
            (Behaviour::Mute, &["it does not answer"]),
        ];
        for (behaviour, words) in cases {
            let told = at_the_desk(&pcscd, behaviour, &[]);
            assert!(told.starts_with("reader   Examgate Virtual"), "{told}");
            for word in words {
                assert!(told.contains(word), "{word}: {told}");
            }
        }
    });
}
