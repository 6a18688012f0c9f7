//! `proctor`: who may sign in at a box's console, with which card and PIN.
//!
//! It never keeps a card's number or a PIN, and never prints either.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Args;
use examgate::{
    domain::{ExamId, Proctor, ProctorId},
    store::{KeyName, Layout, Pin, RosterStore},
    wire::uid::UidForm,
};
use serde_json::{Value, json};

use crate::{
    keys::{self, KeyArgs},
    roster::pseudonym,
};
use examgate::exit::Refusal;

/// Longest name, characters.
const LONGEST_NAME: usize = 80;

/// What to do with proctors.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Adds a proctor, who may then sign in to the console of the exam's boxes; or changes their name, card and PIN.
    #[command(after_help = "Example:
  examgate-fleet proctor add --exam MATH-UA-120-2026-12-14 --id aokafor --name 'A. Okafor' \\
    --card 04A1B2C3D4E5F6 --store state --keys keys

The command asks for the PIN (six to twelve digits), or reads it as one line from standard input. Import the exam's roster first;
proctors are kept when it is imported again.")]
    Add(Add),
    /// Removes a proctor.
    #[command(
        after_help = "Example:\n  examgate-fleet proctor remove --exam MATH-UA-120-2026-12-14 --id aokafor --store state --keys keys"
    )]
    Remove(Remove),
    /// Lists the proctors of an exam.
    #[command(
        after_help = "Example:\n  examgate-fleet proctor list --exam MATH-UA-120-2026-12-14 --store state --keys keys --json"
    )]
    List(Listing),
}

/// Which exam, and where it lies.
#[derive(Args)]
pub(crate) struct Place {
    /// The exam's name.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: ExamId,
    /// The state folder with the exam's roster.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Args)]
pub(crate) struct Add {
    #[command(flatten)]
    place: Place,
    /// The proctor's id on campus: letters, digits, '-', '_' and '.'
    #[arg(long, value_name = "ID", value_parser = |text: &str| ProctorId::new(text))]
    id: ProctorId,
    /// Their display name, for the console and the attendance list.
    #[arg(long)]
    name: String,
    /// The number of their card, or what `examgate card` shows: h10301:31-337 (form, facility code, card number), desfire:... or piv:...
    #[arg(long, value_name = "NUMBER")]
    card: String,
    /// Format of the card number: hex, hex-reversed, decimal or decimal-reversed.
    #[arg(long, value_name = "FORM", default_value = "hex")]
    card_form: UidForm,
    /// File of the fleet's pepper [default: pepper.key from the credentials or from --keys].
    #[arg(long, value_name = "FILE")]
    pepper: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    place: Place,
    /// Prints one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    place: Place,
    /// The proctor's id.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ProctorId::new(text))]
    id: ProctorId,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Add(add) => add.run(),
        Command::Remove(Remove { place, id }) => {
            if !place.open()?.remove_proctor(id)? {
                bail!(Refusal::Usage(format!("there is no proctor {} of {}", id.as_str(), place.exam)));
            }
            Ok(())
        }
        Command::List(Listing { place, json }) => {
            let mut out = io::stdout().lock();
            if *json {
                let all: Value = place
                    .open()?
                    .proctors()?
                    .iter()
                    .map(|one| json!({ "id": one.id.as_str(), "name": one.name }))
                    .collect();
                writeln!(out, "{all}")?;
                return Ok(());
            }
            for Proctor { id, name, card: _ } in place.open()?.proctors()? {
                writeln!(out, "{}\t{name}", id.as_str())?;
            }
            Ok(())
        }
    }
}

impl Place {
    fn open(&self) -> anyhow::Result<RosterStore> {
        let keys = self.keys.folder()?;
        let open = || -> anyhow::Result<RosterStore> {
            let key = keys.read(KeyName::Exam(&self.exam))?;
            Ok(RosterStore::open(&Layout::new(&self.store).exam(&self.exam), &key)?)
        };
        open().with_context(|| Refusal::Usage(format!("the roster of {} cannot be opened: import it first", self.exam)))
    }
}

impl Add {
    fn run(&self) -> anyhow::Result<()> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            bail!(Refusal::Usage(format!("--name: 1 to {LONGEST_NAME} characters on one line")));
        }
        let missing = || {
            Refusal::Usage("there is no pepper.key in --keys, nor among the credentials: name it with --pepper".into())
        };
        let pepper = keys::pepper(&self.place.keys.pepper(self.pepper.as_deref())?.ok_or_else(missing)?);
        let card =
            pseudonym(&pepper, self.card_form, &self.card).map_err(|why| Refusal::Usage(format!("--card: {why}")))?;
        let mut roster = self.place.open()?;
        if roster.pepper()?.is_some_and(|made_with| made_with != pepper.check()) {
            bail!(Refusal::Usage(format!(
                "the roster of {} was made with another pepper: the box would not know the proctor's card. Name that pepper with --pepper",
                self.place.exam
            )));
        }
        let pin = ask_pin()?;
        let proctor = Proctor { id: self.id.clone(), name: name.into(), card };
        roster
            .set_proctor(&proctor, &pin.hash()?)
            .with_context(|| Refusal::Usage(format!("proctor {} was not added", self.id.as_str())))
    }
}

/// One line of standard input. A terminal is told what is wanted; it shows what is typed.
fn ask_pin() -> anyhow::Result<Pin> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "PIN (six to twelve digits, shown as typed): ")?;
    }
    let mut line = zeroize::Zeroizing::new(String::with_capacity(64));
    io::stdin().lock().read_line(&mut line).context("the PIN cannot be read")?;
    Pin::new(line.trim_end_matches(['\r', '\n'])).context(Refusal::Usage("that PIN cannot be used".into()))
}
