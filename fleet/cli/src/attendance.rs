//! `examgate-fleet attendance`: lists who was in an exam, from the ledger; signs a list, and verifies a signed list.

mod print;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use examgate::{
    domain::ExamId,
    exit::Refusal,
    store::read_secret,
    wire::{
        keys::{PublicKey, SigningKey},
        list::SignedList,
    },
};
use examgate_fleet_core::attendance::Fold;
use jiff::tz::TimeZone;

use crate::ledger::{self, LedgerArguments, LedgerChoice};

/// The end of the name of a list's signature.
const SIGNATURE: &str = "sig";

/// Lists who was in an exam: each student's first admission (time and box), proctors' rulings, and refusals with their reasons.
///
/// The list contains what the ledger contains now. Events that a box has not delivered yet are missing from it; `examgate-fleet incidents`
/// shows what is known to be missing. The list is personal data: keep it as long as your rules for exam records say.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  examgate-fleet attendance --exam MATH-UA-120-final --ledger ledger.db --ledger-key ledger.key
  examgate-fleet attendance --exam MATH-UA-120-final --ledger ledger.db --ledger-key ledger.key \\
    --csv --out attendance.csv --sign-key list.key
  examgate-fleet attendance check attendance.csv --public-key 3c569650e1a3dc3c35b1e944bae05b1c5c743bdbf85334e803905e78ccc93fb4"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(Check),
}

/// Which list, and how.
#[derive(Args)]
struct List {
    /// The exam.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: Option<ExamId>,
    #[command(flatten)]
    ledger: LedgerChoice,
    /// Prints CSV with one row per student, for a spreadsheet.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Prints everything as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the list to this file, which must not exist yet [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Signs the list with this Ed25519 seed (32 bytes or 64 hexadecimal digits). The signature goes to the file of `--out` with `.sig`
    /// appended to its name.
    #[arg(long, value_name = "FILE", requires = "out")]
    sign_key: Option<PathBuf>,
    /// Time zone of the table and the CSV, an IANA name such as America/New_York [default: this machine's]. JSON is in UTC.
    #[arg(long, value_name = "ZONE", value_parser = |text: &str| TimeZone::get(text))]
    time_zone: Option<TimeZone>,
}

/// Verifies the signature of a list: exit code 0 if it is unchanged, 65 if not.
#[derive(Args)]
#[command(after_help = "Example:
  examgate-fleet attendance check attendance.csv \\
    --public-key 3c569650e1a3dc3c35b1e944bae05b1c5c743bdbf85334e803905e78ccc93fb4")]
struct Check {
    /// The list.
    #[arg(value_name = "FILE")]
    list: PathBuf,
    /// The signature file [default: the list's name with `.sig` appended].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The public key (64 hexadecimal digits), as `attendance --sign-key` printed it.
    #[arg(long, value_name = "KEY")]
    public_key: PublicKey,
}

/// Lists, or checks a list.
///
/// # Errors
/// When the ledger, a key or a file cannot be used; of a check, when the list is not the one that was signed.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(Command::Check(check)) = &arguments.command {
        return verify(check);
    }
    let Some((exam, ledger)) = arguments.list.exam.as_ref().zip(arguments.list.ledger.complete()) else {
        bail!(Refusal::Usage("which exam? --exam ID --ledger FILE --ledger-key FILE; --help has examples".into()))
    };
    list(&arguments.list, exam, &ledger)
}

fn list(wanted: &List, exam: &ExamId, ledger: &LedgerArguments) -> anyhow::Result<()> {
    let mut ledger = ledger::open(ledger)?;
    let mut fold = Fold::new(exam.clone());
    ledger.each(|entry| {
        fold.take(&entry.device, entry.confirmed, &entry.body);
        Ok(())
    })??;
    let attendance = fold.finish();
    let zone = wanted.time_zone.clone().unwrap_or_else(TimeZone::system);
    let text = match (wanted.json, wanted.csv) {
        (true, _) => serde_json::to_string_pretty(&attendance)? + "\n",
        (_, true) => print::csv(&attendance, &zone)?,
        _ => print::table(&attendance, &zone),
    };
    for remark in print::remarks(&attendance) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr(), "examgate-fleet: {remark}");
    }
    let open = ledger.incidents()?.iter().filter(|held| held.ended_at.is_none()).count();
    if open > 0 {
        let _ = writeln!(
            io::stderr(),
            "examgate-fleet: {open} incidents are open: events may be missing. `examgate-fleet incidents` names them"
        );
    }
    let Some(out) = &wanted.out else {
        return io::stdout().lock().write_all(text.as_bytes()).context("cannot write the list");
    };
    write_new(out, text.as_bytes())?;
    if let Some(key) = &wanted.sign_key {
        let key = SigningKey::from_seed(&*read_secret(key).with_context(|| refused(key))?);
        let signed = SignedList { exam: exam.clone(), made_at: crate::now() };
        write_new(&signature_of(out), &signed.sign(text.as_bytes(), &key))?;
        writeln!(
            io::stdout(),
            "{} is signed; check it with\n  examgate-fleet attendance check {} --public-key {}",
            out.display(),
            out.display(),
            key.public()
        )?;
    }
    Ok(())
}

fn refused(path: &Path) -> Refusal {
    Refusal::Usage(format!("the key in {} cannot be used", path.display()))
}

fn signature_of(list: &Path) -> PathBuf {
    let mut name = list.as_os_str().to_owned();
    name.push(".");
    name.push(SIGNATURE);
    name.into()
}

/// Writes a file that only its owner reads. One that is there stays: a signed list is not written over.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(|| {
            Refusal::Usage(format!("{} cannot be made; a list is never written over", path.display()))
        })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
}

fn verify(check: &Check) -> anyhow::Result<()> {
    let signature = check.signature.clone().unwrap_or_else(|| signature_of(&check.list));
    let read =
        |path: &Path| fs::read(path).with_context(|| Refusal::Usage(format!("{} cannot be read", path.display())));
    let said = SignedList::check(&read(&check.list)?, &read(&signature)?, &check.public_key);
    let SignedList { exam, made_at } =
        said.with_context(|| Refusal::Data(format!("{} is not vouched for", check.list.display())))?;
    writeln!(io::stdout(), "{}: the attendance of {exam}, signed {made_at}, unaltered", check.list.display())?;
    Ok(())
}
