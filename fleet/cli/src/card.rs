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
    domain::{CardPseudonym, ExamId, Pepper, PepperCheck, StudentId, Timestamp},
    exit::Refusal,
    store::{KeyName, Layout, RosterStore, read_secret},
    wire::{
        keys::SigningKey,
        lost::{LostCards, MAX_LOST},
        uid::UidForm,
    },
};
use examgate_fleet_core::stock::Stock;

use crate::{
    keys::{self, KeyArgs},
    roster::pseudonym,
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
    /// Shows how many cards are on the list, and since when.
    #[command(after_help = "Example:
  examgate-fleet card list --stock stock --command-key fleet/keys/command.key")]
    List(Desk),
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
}

#[derive(clap::Args)]
pub(crate) struct Marking {
    #[command(flatten)]
    desk: Desk,
    /// The number of a card; may be repeated.
    #[arg(long, value_name = "NUMBER", required_unless_present = "student")]
    card: Vec<String>,
    /// How numbers are written: hex, hex-reversed, decimal or decimal-reversed.
    #[arg(long, value_name = "FORM", default_value = "hex")]
    card_form: UidForm,
    /// A student whose card it is, by --exam's roster; may be repeated.
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
        Command::List(desk) => list(desk),
        Command::Forget(forgetting) => forget(forgetting),
    }
}

/// The list as it is in the stock, and what signs the next one.
struct Signing {
    stock: Stock,
    key: SigningKey,
    list: Option<LostCards>,
}

impl Signing {
    fn open(desk: &Desk) -> Result<Self> {
        let refused = || Refusal::Usage("--command-key cannot be used".into());
        let key = SigningKey::from_seed(&*read_secret(&desk.command_key).with_context(refused)?);
        let stock = Stock::open(&desk.stock)?;
        let another = || {
            Refusal::Usage(
                "the list in the stock was not made with this --command-key: use that key, or another --stock".into(),
            )
        };
        let list = stock
            .lost_cards()?
            .map(|bytes| LostCards::decode(&bytes, &[key.public()]).with_context(another))
            .transpose()?;
        Ok(Self { stock, key, list })
    }

    /// Puts `cards` in force under the next serial.
    fn set(&self, pepper: PepperCheck, cards: BTreeMap<CardPseudonym, i64>) -> Result<()> {
        let serial = self.list.as_ref().map_or(1, |list| list.serial + 1);
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
        cards.extend(entries.iter().filter(|entry| entry.student.id == *student).map(|entry| entry.card));
        if cards.len() == before {
            bail!(Refusal::Usage(format!("there is no student {} on the roster of {exam}", student.as_str())));
        }
    }
    Ok(cards)
}

fn list(desk: &Desk) -> Result<()> {
    let signing = Signing::open(desk)?;
    let mut out = io::stdout().lock();
    let Some(list) = &signing.list else {
        writeln!(out, "there is no list yet: no card was reported lost")?;
        return Ok(());
    };
    writeln!(out, "list {}, {}", list.serial, cards_in_words(list.cards.len()))?;
    let mut days: BTreeMap<String, usize> = BTreeMap::new();
    for &since in list.cards.values() {
        let day =
            Timestamp::from_second(since).map_or_else(|_| "at no time".into(), |at| at.strftime("%F").to_string());
        *days.entry(day).or_default() += 1;
    }
    for (day, count) in days {
        writeln!(out, "{day}  {}", cards_in_words(count))?;
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
