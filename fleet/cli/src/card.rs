//! `card`: the list of lost cards, which the keeper brings to every box.
//!
//! A card is kept as its pseudonym under the fleet's pepper; no command prints a card's number.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use examgate::{
    domain::{CardPseudonym, DeviceId, ExamId, Pepper, PepperCheck, StudentId, Timestamp},
    exit::Refusal,
    store::{KeyName, Layout, RosterStore, read_secret},
    wire::{
        keys::{PublicKey, SigningKey},
        lost::{LostCards, MAX_LOST},
        reported::Reported,
        uid::UidForm,
    },
};
use examgate_fleet_core::{devices::Devices, stock::Stock};
use serde_json::json;

use crate::{
    keys::{self, KeyArgs},
    roster::pseudonym,
    table::{aligned, row},
};

/// What to do with lost cards.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Reports cards lost: from then on they open no door.
    ///
    /// Boxes that are connected know within seconds, others when they are back. Whoever shows a lost card is sent to the proctor.
    #[command(after_help = "Examples:
  examgate-fleet card lost --card 04A1B2C3D4E5F6 --stock stock --command-key fleet/keys/command.key --keys keys
  examgate-fleet card lost --student N15820347 --exam MATH-UA-120-2026-12-14 --store state --stock stock \\
    --command-key fleet/keys/command.key --keys keys")]
    Lost(Marking),
    /// Takes cards off the list: they open doors again.
    #[command(after_help = "Example:
  examgate-fleet card found --card 04A1B2C3D4E5F6 --stock stock --command-key fleet/keys/command.key --keys keys")]
    Found(Marking),
    /// Signs the list again with another command key, under the next number: after `examgate-fleet trust rotate command`.
    ///
    /// Boxes that have the new trust document take the same list from then on; a box without a root needs the key in its `command_keys`.
    #[command(after_help = "Example:
  examgate-fleet card sign --stock stock --command-key fleet/keys/command.key \\
    --former-public-key 3c569650e1a3dc3c35b1e944bae05b1c5c743bdbf85334e803905e78ccc93fb4")]
    Sign(Desk),
    /// Shows how many cards are on the list, and since when; with --devices also which list each box has.
    #[command(after_help = "Examples:
  examgate-fleet card list --stock stock --command-key fleet/keys/command.key
  examgate-fleet card list --stock stock --command-key fleet/keys/command.key --devices devices.toml --json")]
    List(Listing),
    /// Takes cards off the list that were reported before a day: those that no roster holds any more.
    #[command(after_help = "Example:
  examgate-fleet card forget --before 2026-09-01T00:00:00Z --stock stock --command-key fleet/keys/command.key")]
    Forget(Forgetting),
}

/// Where the list is, and who signs it.
#[derive(clap::Args)]
pub(crate) struct Desk {
    /// The folder that `examgate-fleetd keep` sends out of; made if there is none.
    #[arg(long, value_name = "DIR")]
    stock: PathBuf,
    /// The seed of the key that signs the list: 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    command_key: PathBuf,
    /// Public half of the command key before (64 hexadecimal digits), if the list was signed with that one. May be repeated.
    #[arg(long, value_name = "HEX")]
    former_public_key: Vec<PublicKey>,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`): the next list gets a number above what they reported.
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Marking {
    #[command(flatten)]
    desk: Desk,
    /// The number of a card, or what `examgate card` shows: h10301:31-337 (form, facility code, card number), desfire:... or piv:...; may be
    /// repeated.
    #[arg(long, value_name = "NUMBER", required_unless_present = "student")]
    card: Vec<String>,
    /// How numbers are written: hex, hex-reversed, decimal or decimal-reversed.
    #[arg(long, value_name = "FORM", default_value = "hex")]
    card_form: UidForm,
    /// A student whose cards are meant, all of them, by --exam's roster; may be repeated.
    #[arg(long, value_name = "ID", requires = "exam", value_parser = |text: &str| StudentId::new(text))]
    student: Vec<StudentId>,
    /// The exam whose roster says which card a student has.
    #[arg(long, value_name = "ID", requires = "store", value_parser = |text: &str| ExamId::new(text))]
    exam: Option<ExamId>,
    /// The state folder with that roster.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    /// The fleet's pepper [default: pepper.key among the credentials, else in --keys].
    #[arg(long, value_name = "FILE")]
    pepper: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    desk: Desk,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Forgetting {
    #[command(flatten)]
    desk: Desk,
    /// Cards reported lost before this time.
    #[arg(long, value_name = "TIME")]
    before: Timestamp,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Lost(marking) => mark(marking, true),
        Command::Found(marking) => mark(marking, false),
        Command::Sign(desk) => sign(desk),
        Command::List(listing) => list(listing),
        Command::Forget(forgetting) => forget(forgetting),
    }
}

/// The list as it is in the stock, and what signs the next one.
struct Signing {
    stock: Stock,
    key: SigningKey,
    list: Option<LostCards>,
    /// The list is signed with this key, not with one before.
    is_own: bool,
    /// The boxes, and the number of the list that each has, if it said so.
    holds: Vec<(DeviceId, Option<u64>)>,
}

/// Which list each box has, by its last report.
fn holds(stock: &Stock, devices: &Devices) -> Result<Vec<(DeviceId, Option<u64>)>> {
    let mut holds = Vec::new();
    for device in devices.ids() {
        let report = stock.report(&device)?.zip(devices.key(&device));
        let reported = report.and_then(|(bytes, key)| Reported::decode(&bytes, &device, &key).ok());
        holds.push((device, reported.and_then(|reported| reported.lost_cards)));
    }
    Ok(holds)
}

impl Signing {
    fn open(desk: &Desk) -> Result<Self> {
        let refused = || Refusal::Usage("--command-key cannot be used".into());
        let key = SigningKey::from_seed(&*read_secret(&desk.command_key).with_context(refused)?);
        let stock = Stock::open(&desk.stock)?;
        let another = || {
            Refusal::Usage(
                "the list in the stock was not signed with this --command-key: after a rotation name the key before with \
                 --former-public-key (`examgate-fleet trust show --json` has it), or else use the right key or --stock"
                    .into(),
            )
        };
        let mut keys = vec![key.public()];
        keys.extend(&desk.former_public_key);
        let bytes = stock.lost_cards()?;
        let is_own = bytes.as_ref().is_some_and(|bytes| LostCards::decode(bytes, &keys[..1]).is_ok());
        let list = bytes.map(|bytes| LostCards::decode(&bytes, &keys).with_context(another)).transpose()?;
        let holds = match &desk.devices {
            Some(devices) => holds(&stock, &Devices::read(devices)?)?,
            None => Vec::new(),
        };
        Ok(Self { stock, key, list, is_own, holds })
    }

    /// The highest number that a box reported.
    fn highest(&self) -> u64 {
        self.holds.iter().filter_map(|(_, held)| *held).max().unwrap_or(0)
    }

    /// The number of the list in the stock; 0: there is none.
    fn number(&self) -> u64 {
        self.list.as_ref().map_or(0, |list| list.serial)
    }

    /// Puts `cards` in force under the next serial.
    fn set(&self, pepper: PepperCheck, cards: BTreeMap<CardPseudonym, i64>) -> Result<()> {
        if self.stock.awaits_lost_cards() {
            bail!(Refusal::Usage(
                "the stock was restored from a backup, and the broker was not asked yet for a newer list: start `examgate-fleetd keep`, wait \
                 ten seconds, and try again; nothing was changed"
                    .into()
            ));
        }
        if self.highest() > self.number() {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(
                io::stderr(),
                "examgate-fleet: boxes have list {}, the stock had list {}: cards that were reported lost in between are not on the new list, and \
                 open doors again. Report them again",
                self.highest(),
                self.number()
            );
        }
        let serial = self.number().max(self.highest()) + 1;
        let list = LostCards { serial, pepper, cards };
        let full = || {
            Refusal::Usage(format!(
                "the list holds {MAX_LOST} cards: take off those that no roster holds any more with `examgate-fleet card forget`"
            ))
        };
        self.stock.set_lost_cards(&list.encode(&self.key).with_context(full)?)
    }
}

fn mark(marking: &Marking, is_lost: bool) -> Result<()> {
    let signing = Signing::open(&marking.desk)?;
    let missing =
        || Refusal::Usage("there is no pepper.key in --keys, nor among the credentials: name it with --pepper".into());
    let pepper = keys::pepper(&marking.keys.pepper(marking.pepper.as_deref())?.ok_or_else(missing)?);
    if signing.list.as_ref().is_some_and(|list| list.pepper != pepper.check()) {
        bail!(Refusal::Usage(
            "the list was made with another pepper: boxes would not know the card. Name that pepper with --pepper"
                .into()
        ));
    }
    let mut marked = Vec::new();
    for (at, card) in marking.card.iter().enumerate() {
        // The card's number is not printed: messages end up in logs.
        let refused = |why| Refusal::Usage(format!("--card, number {}: {why}", at + 1));
        marked.push(pseudonym(&pepper, marking.card_form, card).map_err(refused)?);
    }
    marked.extend(cards_of(marking, &pepper)?);
    let mut cards = signing.list.as_ref().map(|list| list.cards.clone()).unwrap_or_default();
    let now = crate::now().as_second();
    let before = cards.len();
    for card in &marked {
        if is_lost {
            cards.entry(*card).or_insert(now);
        } else if cards.remove(card).is_none() {
            bail!(Refusal::Usage("one of these cards is not on the list; nothing was changed".into()));
        }
    }
    let mut out = io::stdout().lock();
    if is_lost && cards.len() == before {
        writeln!(out, "on the list before: {} cards", cards.len())?;
        return Ok(());
    }
    let count = cards.len();
    signing.set(pepper.check(), cards)?;
    writeln!(out, "{} on the list now, it was {before}: the keeper brings it to the boxes", cards_in_words(count))?;
    Ok(())
}

/// The cards of the students named, by the exam's roster.
fn cards_of(marking: &Marking, pepper: &Pepper) -> Result<Vec<CardPseudonym>> {
    let (Some(exam), Some(store)) = (&marking.exam, &marking.store) else { return Ok(Vec::new()) };
    let missing = || Refusal::Usage(format!("the roster of {exam} cannot be opened: import it first"));
    let key = marking.keys.folder()?.read(KeyName::Exam(exam)).with_context(missing)?;
    let roster = RosterStore::open(&Layout::new(store).exam(exam), &key).with_context(missing)?;
    if roster.pepper()?.is_some_and(|made_with| made_with != pepper.check()) {
        bail!(Refusal::Usage(format!(
            "the roster of {exam} was made with another pepper: name that pepper with --pepper"
        )));
    }
    let entries = roster.entries()?;
    let mut cards = Vec::new();
    for student in &marking.student {
        let before = cards.len();
        cards.extend(
            entries
                .iter()
                .filter(|entry| entry.student.id == *student)
                .flat_map(|entry| entry.cards().map(|card| card.pseudonym)),
        );
        if cards.len() == before {
            bail!(Refusal::Usage(format!("there is no student {} on the roster of {exam}", student.as_str())));
        }
    }
    Ok(cards)
}

fn sign(desk: &Desk) -> Result<()> {
    let signing = Signing::open(desk)?;
    let mut out = io::stdout().lock();
    match &signing.list {
        None => writeln!(out, "there is no list yet: no card was reported lost")?,
        Some(list) if signing.is_own => {
            writeln!(out, "list {} is signed with this key: nothing was changed", list.serial)?
        }
        Some(list) => {
            signing.set(list.pepper, list.cards.clone())?;
            writeln!(
                out,
                "{} signed anew as list {}: the keeper (--command-public-key {}) brings it to the boxes that know the key",
                cards_in_words(list.cards.len()),
                list.serial.max(signing.highest()) + 1,
                signing.key.public()
            )?;
        }
    }
    Ok(())
}

fn list(listing: &Listing) -> Result<()> {
    let signing = Signing::open(&listing.desk)?;
    let mut out = io::stdout().lock();
    let mut days: BTreeMap<String, usize> = BTreeMap::new();
    for &since in signing.list.iter().flat_map(|list| list.cards.values()) {
        let day =
            Timestamp::from_second(since).map_or_else(|_| "at no time".into(), |at| at.strftime("%F").to_string());
        *days.entry(day).or_default() += 1;
    }
    if listing.json {
        let cards = signing.list.as_ref().map_or(0, |list| list.cards.len());
        let boxes: Vec<_> =
            signing.holds.iter().map(|(device, list)| json!({ "device": device, "list": list })).collect();
        writeln!(out, "{}", json!({ "list": signing.number(), "cards": cards, "days": days, "boxes": boxes }))?;
        return Ok(());
    }
    match &signing.list {
        None => writeln!(out, "there is no list yet: no card was reported lost")?,
        Some(list) => writeln!(out, "list {}, {}", list.serial, cards_in_words(list.cards.len()))?,
    }
    for (day, count) in days {
        writeln!(out, "{day}  {}", cards_in_words(count))?;
    }
    if !signing.holds.is_empty() {
        let mut rows = vec![row(["box", "has", ""])];
        for (device, held) in &signing.holds {
            let number = held.map_or_else(|| "no list".into(), |held| format!("list {held}"));
            let remark = match held {
                Some(held) if *held == signing.number() => "",
                Some(held) if *held > signing.number() => "newer than the stock's: was the stock set back?",
                Some(_) => "older: it has not been reached yet, or does not know the key",
                None => "none reported: is it on, and has it a root, or command_keys?",
            };
            rows.push(row([device.as_str(), &number, remark]));
        }
        write!(out, "\n{}", aligned(&rows))?;
    }
    Ok(())
}

fn forget(forgetting: &Forgetting) -> Result<()> {
    let signing = Signing::open(&forgetting.desk)?;
    let mut out = io::stdout().lock();
    let Some(list) = &signing.list else {
        writeln!(out, "there is no list yet: no card was reported lost")?;
        return Ok(());
    };
    let mut cards = list.cards.clone();
    cards.retain(|_, since| *since >= forgetting.before.as_second());
    let taken = list.cards.len() - cards.len();
    if taken > 0 {
        signing.set(list.pepper, cards)?;
    }
    writeln!(out, "{} taken off the list", cards_in_words(taken))?;
    Ok(())
}

fn cards_in_words(count: usize) -> String {
    format!("{count} {}", if count == 1 { "card" } else { "cards" })
}
