//! The card reader: the whole contract on a real pcscd with virtual cards, or what a hand and one card can try on a real
//! reader.
//!
//! Never shows an identifier: a card is only compared with itself.

use std::{
    env,
    io::{Write as _, stdout},
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result};
use examgate::{
    app::settings::card_reads,
    config::Config,
    domain::{Credential, Pepper},
    edge::card::{CardError, CardEvent, CardReader, PcscCardReader, Slot, contract},
    rig::{
        pcscd::{Pcscd, SOCKET},
        virtual_reader::{VirtualReader, surroundings},
    },
    store::KeyFolder,
};

use crate::report::{Outcome, Report};

/// Told to the process that has a socket of its own.
const OWN: &str = "EXAMGATE_HW_TESTS_SOCKET";

/// How long a hand may take.
const HAND: Duration = Duration::from_secs(30);

/// How long nothing may happen while a card lies there.
const QUIET: Duration = Duration::from_secs(2);

/// Starts this program again in an environment that says where its pcscd is, since that is read once a process. `None`:
/// this is that process.
#[expect(clippy::disallowed_methods, reason = "the environment is how PC/SC clients are told where their service is")]
pub(crate) fn with_a_socket_of_its_own() -> Result<Option<ExitCode>> {
    if env::var_os(OWN).is_some() {
        return Ok(None);
    }
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let socket = folder.path().join("pcscd.comm");
    let status = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(OWN, &socket)
        .env(SOCKET, &socket)
        .status()
        .context("this program cannot be started again")?;
    Ok(Some(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))))
}

/// Every case of the contract, each on a pcscd of its own.
#[expect(clippy::disallowed_methods, reason = "where this process was told its pcscd is")]
pub(crate) fn virtual_reader(report: &mut Report) -> Result<()> {
    let socket = env::var_os(OWN).context("no socket was given")?;
    for (name, case) in contract::CASES {
        let pcscd = Pcscd::start_at(Path::new(&socket)).context("the reader service cannot be started")?;
        report.case(&format!("card, virtual reader: {name}"), || case(&mut VirtualReader::new(pcscd)))?;
    }
    report.tell("card, real reader", &Outcome::Skipped("not tried: name one with --config".into()))
}

/// What one card and a patient hand can show.
pub(crate) fn by_hand(config: &Config, report: &mut Report) -> Result<()> {
    let reads = card_reads(&config.card, &KeyFolder::new(&config.keys, None))?;
    let mut reader = PcscCardReader::open(reads, Pepper::from_bytes([0x5A; 32]), surroundings())?;
    let outcome = match reader.next(HAND) {
        Ok(Some(CardEvent::Ready { .. })) => Outcome::Passed,
        Ok(other) => Outcome::Failed(format!("the first event was {other:?}")),
        Err(error @ (CardError::NoReader | CardError::Service { .. })) => Outcome::Skipped(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    let is_ready = matches!(outcome, Outcome::Passed);
    report.tell("card: a reader answers", &outcome)?;
    if !is_ready {
        return report.tell("card: taps and removals", &Outcome::Skipped("no reader answers".into()));
    }
    let mut first: Option<(Slot, Credential)> = None;
    for round in ["a card is named, lies in peace and goes", "the same card has the same name"] {
        let outcome = match tap(&mut reader, &mut first) {
            Ok(()) => Outcome::Passed,
            Err(outcome) => outcome,
        };
        report.tell(&format!("card: {round}"), &outcome)?;
    }
    let outcome = match outage(&mut reader) {
        Ok(()) => Outcome::Passed,
        Err(outcome) => outcome,
    };
    report.tell("card: an unplugged reader is told and comes back", &outcome)
}

fn ask(what: &str) -> Result<(), Outcome> {
    writeln!(stdout(), "         please {what} (within {HAND:?})").map_err(|error| Outcome::Failed(error.to_string()))
}

/// The next event, which a hand is to bring about.
fn event(reader: &mut PcscCardReader) -> Result<CardEvent, Outcome> {
    match reader.next(HAND) {
        Ok(Some(event)) => Ok(event),
        Ok(None) => Err(Outcome::Skipped(format!("no hand within {HAND:?}"))),
        Err(error) => Err(Outcome::Failed(error.to_string())),
    }
}

fn tap(reader: &mut PcscCardReader, first: &mut Option<(Slot, Credential)>) -> Result<(), Outcome> {
    ask("lay the card on the reader")?;
    let seen = event(reader)?;
    let CardEvent::Tapped { slot, read: Ok(credential), .. } = seen else {
        return Err(Outcome::Failed(format!("the card was not named: {seen:?}")));
    };
    match reader.next(QUIET) {
        Ok(None) => {}
        other => return Err(Outcome::Failed(format!("it does not lie in peace: {other:?}"))),
    }
    ask("take it away")?;
    let seen = event(reader)?;
    if seen != (CardEvent::Removed { slot }) {
        return Err(Outcome::Failed(format!("its removal was not seen: {seen:?}")));
    }
    let named = (slot, credential);
    let known = first.get_or_insert_with(|| named.clone());
    if *known == named { Ok(()) } else { Err(Outcome::Failed("another name or slot than before".into())) }
}

fn outage(reader: &mut PcscCardReader) -> Result<(), Outcome> {
    ask("unplug the reader")?;
    match reader.next(HAND) {
        Err(error) if error.is_retriable() => {}
        Ok(None) => return Err(Outcome::Skipped(format!("no hand within {HAND:?}"))),
        other => return Err(Outcome::Failed(format!("the outage was not told: {other:?}"))),
    }
    ask("plug it in again")?;
    let seen = event(reader)?;
    if matches!(seen, CardEvent::Ready { .. }) {
        Ok(())
    } else {
        Err(Outcome::Failed(format!("it did not come back: {seen:?}")))
    }
}
