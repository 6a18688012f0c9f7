//! How long a card takes to be read, by profile, and how much of it is the box's own doing.
//!
//! `card_*_ms`: one reading of a virtual card by a real pcscd, with the connection and all commands; pcscd, its driver and the virtual
//! card's answers are in it, the air between a real card and its reader is not. `card_*_own_share`: what the box computes for that reading
//! (measured with the card in this process, its answers taken off), over the time that the same bytes take between a card and a reader at
//! 106 kbit/s. A real card computes besides, so the true share is smaller.
//!
//! Needs the Debian packages `pcscd` and `vsmartcard-vpcd`. Writes into `target/bench/summary.json`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads the clock, and is told by the environment where its pcscd is"
)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use examgate::{
    app::settings::card_reads,
    config,
    domain::Pepper,
    edge::card::{self, CardEvent, CardReader, CardReads, FakeHand, Slot},
    rig::{
        cards::{
            Applet, Chip, Said,
            desfire::{Access, Application, Desfire, File, Generation, Mode},
            piv::{PivAuthority, PivPlan},
        },
        pcscd::{Pcscd, SOCKET},
        summary,
        virtual_card::{Behaviour, VirtualCard},
        virtual_reader::surroundings,
    },
    store::KeyFolder,
};

/// Readings of each card.
const ROUNDS: usize = 200;

/// How long the first may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

const KEY: [u8; 16] = [0x5C; 16];

/// Between card and reader a byte takes its eight bits and a parity bit, at the carrier of 13.56 MHz over 128 (ISO/IEC 14443-2 and -3).
const BYTE: Duration = Duration::from_nanos(9 * 128 * 1_000_000_000 / 13_560_000);

/// Bytes of a command or an answer beside its own: the block's first byte and the CRC of ISO/IEC 14443-4.
const BLOCK: usize = 3;

/// Bytes until a card of a double identifier is selected: REQA and ATQA, and two levels of anticollision (ISO/IEC 14443-3).
const SELECTED: usize = 1 + 2 + 2 * (2 + 5 + 9 + 3);

/// A card that can only be read.
struct Plain;

impl Applet for Plain {
    fn atr(&self) -> Vec<u8> {
        [
            &[0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06, 0x03, 0x00, 0x01][..],
            &[0, 0, 0, 0, 0x6A],
        ]
        .concat()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        let is_asked = command.starts_with(&[0xFF, 0xCA]);
        Said::Answer(if is_asked { vec![4, 1, 2, 3, 4, 5, 6, 0x90, 0x00] } else { vec![0x6D, 0x00] })
    }
}

fn main() -> Result<()> {
    let Some(socket) = env::var_os(SOCKET) else {
        // A process reads once where its pcscd is: this one starts again, and is told.
        let folder = tempfile::tempdir()?;
        let again = Command::new(env::current_exe()?).env(SOCKET, folder.path().join("pcscd.comm")).status()?;
        ensure!(again.success(), "the bench failed: {again}");
        return Ok(());
    };
    let pcscd = Pcscd::start_at(Path::new(&socket)).context("the reader service cannot be started")?;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("card-desfire.key");
    fs::write(&key, hex::encode(KEY))?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let authority = PivAuthority::new("Campus");
    let anchors = folder.path().join("anchors.pem");
    fs::write(&anchors, authority.certificate())?;
    let reads = |profile: &str, table: &str| -> Result<CardReads> {
        let card: config::Card = toml::from_str(&format!("profiles = [\"{profile}\"]\n{table}"))?;
        card_reads(&card, &KeyFolder::new(folder.path(), None))
    };
    let file = File::new(Mode::Full, Access::Key(1), b"N10000001 Ada   ");
    let application = Application::new([0xF5, 0x1C, 0xDB], &[[0; 16], KEY]).with(2, file);
    let desfire = Desfire::new(Generation::Ev2, [4, 1, 2, 3, 4, 5, 6]).with(application);
    let layout = "[desfire]\napplication = \"F51CDB\"\nfile = 2\nlength = 16\nkey = 1";
    let anchored = format!("[piv]\nanchors = [\"{}\"]", anchors.display());
    let cards: [(&str, Chip<dyn Applet>, CardReads); 3] = [
        ("uid", Chip::new(Plain).any(), reads("uid", "")?),
        ("desfire_ev2", Chip::new(desfire).any(), reads("desfire_aes", layout)?),
        ("piv_p256", Chip::new(authority.card(&PivPlan::default())).any(), reads("piv", &anchored)?),
    ];
    println!(
        "{:>12} {:>12} {:>9} {:>9} {:>12} {:>12} {:>8}",
        "card", "by pcscd", "commands", "bytes", "own", "on the air", "share"
    );
    let mut numbers = Vec::new();
    for (name, chip, reads) in cards {
        let whole = by_pcscd(&pcscd, &chip, &reads).with_context(|| name.to_owned())?;
        let Own { commands, bytes, own } = in_process(&chip, &reads).with_context(|| name.to_owned())?;
        let air = BYTE * u32::try_from(SELECTED + bytes)?;
        let share = own.as_secs_f64() / air.as_secs_f64();
        println!("{name:>12} {whole:>12.1?} {commands:>9} {bytes:>9} {own:>12.1?} {air:>12.1?} {:>7.2}%", share * 1e2);
        numbers.push((format!("card_{name}_ms"), whole.as_secs_f64() * 1e3));
        numbers.push((format!("card_{name}_own_share"), share));
    }
    let numbers: Vec<_> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    Ok(summary::merge(Path::new(env!("CARGO_MANIFEST_DIR")), &numbers)?)
}

/// The median of one reading as a whole.
fn by_pcscd(pcscd: &Pcscd, chip: &Chip<dyn Applet>, reads: &CardReads) -> Result<Duration> {
    // pcscd looks every 400 ms, and takes a card that comes sooner for the one that left.
    thread::sleep(Duration::from_secs(1));
    let _card = VirtualCard::insert(pcscd.port(0), Behaviour::Applet(chip.clone()))?;
    let timed = card::time_proofs(reads, &surroundings(), ROUNDS, PATIENCE)?.context("no card was seen")?;
    ensure!(timed.failed == 0, "{timed:?}");
    timed.whole.context("no reading was good")
}

/// What one reading in this process takes.
struct Own {
    /// Commands that go to the card, not to its reader.
    commands: usize,
    /// Their bytes and those of the answers, as blocks.
    bytes: usize,
    /// The median of what is not the card's time.
    own: Duration,
}

fn in_process(chip: &Chip<dyn Applet>, reads: &CardReads) -> Result<Own> {
    let (mut owns, mut traffic) = (Vec::new(), (0, 0));
    for _ in 0..ROUNDS {
        let mut hand = FakeHand::new(1);
        let mut reader = hand.open(reads.clone(), Pepper::from_bytes([7; 32]), surroundings());
        ensure!(matches!(reader.next(Duration::ZERO)?, Some(CardEvent::Ready { .. })));
        chip.hold().lose_power();
        let atr = chip.hold().atr();
        let seen = Arc::new(Mutex::new((0, 0, Duration::ZERO)));
        let (chip, told) = (chip.clone(), Arc::clone(&seen));
        let program = move |command: &[u8]| {
            let asked = Instant::now();
            let Said::Answer(answer) = chip.hold().answer(command) else { return None };
            let mut told = told.lock().ok()?;
            // What begins with FF is for the reader.
            if command.first() != Some(&0xFF) {
                told.0 += 1;
                told.1 += command.len() + answer.len() + 2 * BLOCK;
            }
            told.2 += asked.elapsed();
            Some(answer)
        };
        let begun = Instant::now();
        hand.insert_program(Slot(0), &atr, program);
        let whole = begun.elapsed();
        let tapped = reader.next(Duration::ZERO)?;
        ensure!(
            matches!(&tapped, Some(CardEvent::Tapped { read: Ok(read), .. }) if reads.profiles == [read.profile]),
            "{tapped:?}"
        );
        let (commands, bytes, card) = *seen.lock().ok().context("no card panics")?;
        owns.push(whole.saturating_sub(card));
        traffic = (commands, bytes);
    }
    owns.sort_unstable();
    Ok(Own { commands: traffic.0, bytes: traffic.1, own: owns[owns.len() / 2] })
}
