//! Whatever a card answers, by whatever profile it is asked: the asking ends after a bounded number of commands, takes bounded memory,
//! believes nothing that was changed, and logs no byte of it.
//!
//! The cards are programs in this process, behind the stand-in for a reader; the commands and their judgement are those of the door.

use std::{
    fs, io,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use examgate::{
    app::settings::card_reads,
    config,
    domain::{CardProblem, CredentialProfile, Pepper},
    edge::card::{CardEvent, CardReader, CardReads, FakeHand, Slot},
    rig::{
        cards::{
            Applet, Said,
            desfire::{Access, Application, Desfire, File, Generation, Mode},
            piv::{PivAuthority, PivPlan},
        },
        virtual_reader::surroundings,
    },
    store::KeyFolder,
};
use proptest::prelude::*;

/// Commands of one tap at most: 58 for a PIV card, 7 and an identifier for a DESFire card, two to the secure element, an identifier, and
/// two questions for what makes it up, of four commands each.
const MOST_COMMANDS: usize = 58 + 7 + 4 + 8 + 4 + 8;

/// Bytes of a command at most: short APDUs, ISO/IEC 7816-4.
const LONGEST: usize = 4 + 1 + 255 + 1;

/// Bytes that a tap may hold at a time, beside what OpenSSL holds. A certificate takes at most some kilobytes, also when it is inflated.
const MOST_MEMORY: u64 = 1 << 20;

const KEY: [u8; 16] = [0x5C; 16];
const UID: [u8; 7] = [0x04, 0x9A, 0x8B, 0x7C, 0x6D, 0x5E, 0x4F];
const IDENTITY: [u8; 16] = *b"campus 4711-0815";

/// A site that reads everything.
struct Site {
    reads: CardReads,
    authority: PivAuthority,
    _folder: tempfile::TempDir,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = PivAuthority::new("Campus");
    let anchors = folder.path().join("anchors.pem");
    fs::write(&anchors, authority.certificate()).expect("it can be written");
    let key = folder.path().join("card-desfire.key");
    fs::write(&key, hex::encode(KEY)).expect("it can be written");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let text = format!(
        "profiles = [\"piv\", \"desfire_aes\", \"pacs\", \"uid\"]\n[pacs]\nforms = [\"h10301\"]\n[desfire]\napplication = \"F51CDB\"\n\
         file = 2\nlength = 16\nkey = 1\n[piv]\nanchors = [\"{}\"]\n",
        anchors.display()
    );
    let card: config::Card = toml::from_str(&text).expect("a table [card]");
    let reads = card_reads(&card, &KeyFolder::new(folder.path(), None)).expect("its files are there");
    Site { reads, authority, _folder: folder }
});

fn desfire() -> Desfire {
    let files =
        Application::new([0xF5, 0x1C, 0xDB], &[[0; 16], KEY]).with(2, File::new(Mode::Full, Access::Key(1), &IDENTITY));
    Desfire::new(Generation::Ev2, UID).with(files)
}

fn card(is_piv: bool) -> Box<dyn Applet> {
    if is_piv { Box::new(SITE.authority.card(&PivPlan::default())) } else { Box::new(desfire()) }
}

/// What was logged.
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

/// A tap and what it took.
struct Tap {
    event: CardEvent,
    /// Each command with its answer.
    said: Vec<(Vec<u8>, Vec<u8>)>,
    log: String,
    memory: u64,
}

/// Lays a card with this `atr` down that answers by `program`.
fn tap(atr: &[u8], mut program: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Tap {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let answers = move |command: &[u8]| {
        let answer = program(command);
        heard.lock().expect("no card panics").push((command.to_vec(), answer.clone().unwrap_or_default()));
        answer
    };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let mut hand = FakeHand::new(1);
    let mut reader = hand.open(SITE.reads.clone(), Pepper::from_bytes([7; 32]), surroundings());
    let taken = allocation_counter::measure(|| {
        tracing::subscriber::with_default(subscriber, || hand.insert_program(Slot(0), atr, answers));
    });
    let mut next = || reader.next(Duration::ZERO).expect("no outage");
    assert_eq!(next(), Some(CardEvent::Ready { slots: 1 }));
    let event = next().expect("a tap");
    let said = std::mem::take(&mut *said.lock().expect("no card panics"));
    let log = String::from_utf8(std::mem::take(&mut *log.0.lock().expect("no writer panics"))).expect("text");
    Tap { event, said, log, memory: taken.bytes_max }
}

impl Tap {
    fn is_bounded(&self) -> Result<(), TestCaseError> {
        let longest = self.said.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        prop_assert!(self.said.len() <= MOST_COMMANDS, "{} commands", self.said.len());
        prop_assert!(longest <= LONGEST, "a command of {longest} bytes");
        let kept: usize = self.said.iter().map(|(command, answer)| 2 * (command.len() + answer.len())).sum();
        prop_assert!(self.memory <= MOST_MEMORY + kept as u64, "{} bytes", self.memory);
        Ok(())
    }

    /// Status words may be logged; four bytes in a row of an answer or a command's data may not.
    fn is_unseen(&self) -> Result<(), TestCaseError> {
        let log = self.log.to_lowercase();
        for (command, answer) in &self.said {
            let data = answer.split_last_chunk::<2>().map_or(&[][..], |(data, _)| data);
            for bytes in [command.get(5..).unwrap_or_default(), data] {
                for part in [bytes.first_chunk::<4>(), bytes.last_chunk::<4>()].into_iter().flatten() {
                    // A run of one byte may be anything.
                    if part.iter().all(|byte| *byte == part[0]) {
                        continue;
                    }
                    let numbers = part.map(|byte| byte.to_string()).join(", ");
                    for written in [hex::encode(part), numbers] {
                        prop_assert!(!log.contains(&written), "{written} in {log}");
                    }
                }
            }
        }
        Ok(())
    }
}

const ATRS: [&str; 5] = [
    "3b8f8001804f0ca000000306030001000000006a",
    "3b8180018080",
    "3b80800101",
    "3bfd1300008131fe158073c021c057597562694b657940",
    "",
];

/// What a hostile card may do to one answer.
#[derive(Clone, Debug)]
enum Change {
    /// Flips this bit, counted from the start.
    Flip(usize),
    /// Leaves out so many bytes before the status word.
    Cut(usize),
    /// Adds bytes before the status word.
    Add(Vec<u8>),
    Status([u8; 2]),
    Instead(Vec<u8>),
    /// Says again what it said so many commands before.
    Replay(usize),
    Gone,
}

impl Change {
    fn of(&self, answer: Vec<u8>, before: &[Vec<u8>]) -> Option<Vec<u8>> {
        let (mut data, mut status) = (answer, Vec::new());
        if data.len() >= 2 {
            status = data.split_off(data.len() - 2);
        }
        match self {
            Self::Flip(bit) if data.is_empty() => status[bit / 8 % 2] ^= 1 << (bit % 8),
            Self::Flip(bit) => {
                let at = bit / 8 % data.len();
                data[at] ^= 1 << (bit % 8);
            }
            Self::Cut(bytes) => data.truncate(data.len().saturating_sub(*bytes)),
            Self::Add(bytes) => data.extend(bytes),
            Self::Status(other) => status = other.to_vec(),
            Self::Instead(bytes) => return Some(bytes.clone()),
            Self::Replay(back) => return before.iter().rev().nth(*back).cloned(),
            Self::Gone => return None,
        }
        data.extend(status);
        Some(data)
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0_usize..4096).prop_map(Change::Flip),
        2 => (1_usize..64).prop_map(Change::Cut),
        2 => prop::collection::vec(any::<u8>(), 1..300).prop_map(Change::Add),
        3 => prop::sample::select(vec![[0x90, 0], [0x91, 0], [0x91, 0xAF], [0x91, 0xAE], [0x61, 0], [0x61, 0xFF], [0x6C, 0x10], [0x6D, 0]])
            .prop_map(Change::Status),
        2 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Change::Instead),
        2 => (0_usize..6).prop_map(Change::Replay),
        1 => Just(Change::Gone),
    ]
}

proptest! {
    /// Answers without sense, short and long, and such as begin like real ones.
    #[test]
    fn no_answers_without_sense_are_too_much(
        atr in prop::sample::select(ATRS.to_vec()),
        answers in prop::collection::vec(
            prop_oneof![
                4 => (prop::collection::vec(any::<u8>(), 0..300), prop::sample::select(vec!["9000", "9100", "91af", "61ff", "6100", "6c20", ""]))
                    .prop_map(|(data, status)| [data, hex::decode(status).expect("hexadecimal")].concat()),
                1 => prop::collection::vec(any::<u8>(), 60_000..66_000),
                2 => Just(vec![0x90, 0x00]),
            ],
            0..MOST_COMMANDS + 20,
        ),
    ) {
        let mut left = answers.into_iter().cycle();
        let tap = tap(&hex::decode(atr).expect("hexadecimal"), move |_| Some(left.next().unwrap_or_default()));
        tap.is_bounded()?;
        tap.is_unseen()?;
        let CardEvent::Tapped { read, .. } = &tap.event else { return Err(TestCaseError::fail(format!("{:?}", tap.event))) };
        if let Ok(credential) = read {
            prop_assert!(credential.profile <= CredentialProfile::Pacs, "{:?}", tap.event);
        }
    }

    /// A real card, of which one or two answers are changed: its name is told as it is or not at all.
    #[test]
    fn nothing_that_was_changed_is_believed(
        is_piv in any::<bool>(),
        changes in prop::collection::vec((0_usize..40, change()), 1..3),
    ) {
        let profile = if is_piv { CredentialProfile::Piv } else { CredentialProfile::DesfireAes };
        let mut real = card(is_piv);
        let atr = real.atr();
        let whole = tap(&atr, answering(card(is_piv), Vec::new()));
        let CardEvent::Tapped { read: Ok(named), took: Some(_), .. } = whole.event.clone() else {
            return Err(TestCaseError::fail(format!("{:?}: {}", whole.event, whole.log)));
        };
        prop_assert_eq!(named.profile, profile);
        prop_assert!(whole.log.contains("the card is named"), "logging works: {}", whole.log);
        whole.is_bounded()?;
        whole.is_unseen()?;

        real.lose_power();
        let tap = tap(&atr, answering(real, changes));
        tap.is_bounded()?;
        tap.is_unseen()?;
        let CardEvent::Tapped { read, .. } = &tap.event else { return Err(TestCaseError::fail(format!("{:?}", tap.event))) };
        match read {
            // Another card with the same plan has another key, but the same name.
            Ok(other) if other.profile == profile => prop_assert_eq!(other, &named),
            // The application seemed not to be there.
            Ok(other) => prop_assert!(other.profile < CredentialProfile::DesfireAes, "{:?}", other),
            Err(problem) => prop_assert!(
                matches!(problem, CardProblem::Unproved | CardProblem::Unreadable | CardProblem::Expired | CardProblem::Unstable),
                "{:?}", problem
            ),
        }
    }
}

/// The program of a card, some of whose answers are changed.
fn answering(
    mut card: Box<dyn Applet>,
    changes: Vec<(usize, Change)>,
) -> impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static {
    let mut before = Vec::new();
    move |command| {
        let Said::Answer(answer) = card.answer(command) else { return None };
        let nth = before.len();
        before.push(answer.clone());
        match changes.iter().find(|(at, _)| *at == nth) {
            Some((_, change)) => change.of(answer, &before),
            None => Some(answer),
        }
    }
}

#[test]
fn what_is_looked_for_would_be_found() {
    let said = vec![(Vec::new(), vec![0x12, 0x34, 0x56, 0x78, 0x9A, 0x90, 0x00])];
    let event = CardEvent::Removed { slot: Slot(0) };
    for log in ["profile 12345678", "profile 56789A", "profile 18, 52, 86, 120", "profile AB3456789A"] {
        let found = Tap { event: event.clone(), said: said.clone(), log: log.into(), memory: 0 }.is_unseen().is_err();
        assert_eq!(found, log != "profile 56789A", "{log}");
    }
    let status = Tap { event, said, log: "profile: the status word is 9000".into(), memory: 0 };
    assert!(status.is_unseen().is_ok());
}
