//! The card edge over a real pcscd with the virtual reader `vpcd` and virtual cards of ours: the contract, case by case.
//!
//! Needs the Debian packages `pcscd` and `vsmartcard-vpcd`. A process reads once where its pcscd is, so every test starts
//! this program again for itself alone. Knows nothing of sessions.

use std::{
    env,
    error::Error as _,
    io,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use examgate::{
    domain::{CardProblem, Pepper},
    edge::card::{
        CardError, CardEvent, CardReader, PcscCardReader,
        contract::{self, Answer, Bench},
    },
    rig::{
        pcscd::{self, Pcscd},
        virtual_card::{Behaviour, VirtualCard},
    },
    wire::uid::ReaderOrder,
};

struct PcscBench {
    /// Before the daemon, so that cards go first.
    cards: [Option<VirtualCard>; 2],
    pcscd: Pcscd,
}

impl Bench for PcscBench {
    fn quiet(&self) -> Duration {
        // Twice as long as pcscd takes between two looks at the reader.
        Duration::from_millis(800)
    }

    fn open(&mut self, order: ReaderOrder, pepper: Pepper) -> Box<dyn CardReader> {
        Box::new(PcscCardReader::open(order, pepper).expect("a thread starts"))
    }

    fn insert(&mut self, slot: u16, answer: Answer) {
        let behaviour = match answer {
            Answer::Uid(uid) => Behaviour::Uid(uid),
            Answer::Bytes(bytes) => Behaviour::Answer(bytes),
            Answer::Mute => Behaviour::Mute,
            Answer::Pulled => Behaviour::Pulled,
        };
        self.cards[usize::from(slot)] =
            Some(VirtualCard::insert(self.pcscd.port(slot), behaviour).expect("the slot listens"));
    }

    fn remove(&mut self, slot: u16) {
        self.cards[usize::from(slot)] = None;
    }

    fn take_away(&mut self) {
        self.pcscd.kill();
    }

    fn bring_back(&mut self) {
        self.pcscd.restart().expect("it started before");
    }
}

/// Told to a process that is to run one test, with the socket its pcscd is to serve.
const ALONE: &str = "EXAMGATE_CARD_TEST";

/// Runs this `test` in a process of its own, which knows where its pcscd is.
#[expect(clippy::disallowed_methods, reason = "the environment is how a process of its own is told what it is for")]
fn alone(test: &str, run: impl FnOnce(Pcscd)) {
    if let Some(socket) = env::var_os(ALONE) {
        return run(Pcscd::start_at(Path::new(&socket)).unwrap_or_else(|error| panic!("{error}: {:?}", error.source())));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("pcscd.comm");
    let ended = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, &socket)
        .env(pcscd::SOCKET, &socket)
        .output()
        .expect("this program starts again");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

fn open() -> PcscCardReader {
    PcscCardReader::open(ReaderOrder::AsSent, Pepper::from_bytes([1; 32])).expect("a thread starts")
}

/// Far more than an event takes.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                alone(stringify!($case), |pcscd| contract::$case(&mut PcscBench { cards: [None, None], pcscd }));
            }
        )*

        #[test]
        fn no_case_is_forgotten() {
            assert_eq!([$(stringify!($case)),*].len(), contract::CASES.len());
        }
    };
}

cases![
    tap_and_removal,
    every_length_and_order,
    random_identifiers_are_refused,
    answers_without_sense,
    a_mute_card,
    a_card_pulled_midway,
    a_card_present_at_the_start,
    two_slots,
    an_outage,
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

#[test]
fn a_card_that_another_program_holds() {
    alone("a_card_that_another_program_holds", |pcscd| {
        use pcsc::{Context, Protocols, Scope, ShareMode};

        let mut reader = open();
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Ready { slots: 2 }));
        let card = VirtualCard::insert(pcscd.port(0), Behaviour::Uid(vec![4, 1, 2, 3, 4, 5, 6])).unwrap();
        let Some(CardEvent::Tapped { slot, read: Ok(named) }) = reader.next(PATIENCE).unwrap() else { panic!("a tap") };
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
        let unreadable = CardEvent::Tapped { slot, read: Err(CardProblem::Unreadable) };
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(unreadable));

        drop(held);
        drop(card);
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Removed { slot }));
        let _card = VirtualCard::insert(pcscd.port(0), Behaviour::Uid(vec![4, 1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(reader.next(PATIENCE).unwrap(), Some(CardEvent::Tapped { slot, read: Ok(named) }));
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

        let mut reader = open();
        let mut shown = format!("{reader:?} {:?}", reader.next(PATIENCE));
        // A good card, one whose answer makes no sense, and a phone: none may show its bytes, 0xA1 or more each.
        let answers = [
            &[0xA1, 0xA2, 0xA3, 0xA4, 0x90, 0x00][..],
            &[0xA1, 0xA2, 0xA3, 0x90, 0x00],
            &[8, 0xA1, 0xA2, 0xA3, 0x90, 0],
        ];
        for answer in answers {
            let card = VirtualCard::insert(pcscd.port(0), Behaviour::Answer(answer.to_vec())).unwrap();
            shown += &format!("{:?}", reader.next(PATIENCE));
            drop(card);
            shown += &format!("{:?}", reader.next(PATIENCE));
        }
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains("card reader attached") && logged.contains("no identifier"), "logging works: {logged}");
        assert!(shown.contains("Unreadable") && shown.contains("Unstable"), "the cards were read: {shown}");
        for text in [logged, shown] {
            let text = text.to_lowercase();
            for trace in ["a1a2", "a1:a2", "a1 a2", "a1, a2", "161, 162", "0xa1", "2711790500", "2762187425"] {
                assert!(!text.contains(trace), "{trace} in {text}");
            }
        }
    });
}
