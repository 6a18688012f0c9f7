//! `examgate-fleet backup`: one encrypted file with everything that the fleet side needs to begin again, and a check of such a file.

use std::{
    fs::File,
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use examgate::{
    domain::Timestamp,
    exit::Refusal,
    store::read_secret,
    wire::{keys::PublicKey, keys::SigningKey, trust::Purpose},
};
use examgate_fleet_core::{
    backup::{self, LedgerKept, Lock, Made, Manifest, Opener},
    folder::Folder,
    ledger::Location,
};
use serde_json::{Value, json};

use crate::{
    ledger::{self, LedgerChoice},
    trust::passphrase,
};

/// Longest file of identities, bytes, that is believed to be one.
const IDENTITIES: u64 = 64 * 1024;

/// Backs up the fleet side into one encrypted, signed file: the fleet's folder, the stock and the ledger.
///
/// The copy is of one moment, also while `examgate-fleetd` is running. The file is read back before the command ends. Not in it: the root's
/// secret key (unless --with-root), imported rosters and photos, a PostgreSQL ledger (use pg_dump), and keys of boxes.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  examgate-fleet backup --folder /var/lib/examgate-fleet --stock stock --ledger ledger.db --ledger-key ledger.key \\
    --also pepper.key --to /mnt/backup --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  examgate-fleet backup --folder /var/lib/examgate-fleet --to fleet.age --passphrase-file words
  examgate-fleet backup check /mnt/backup/examgate-fleet-20261214T180000Z.age --identity backup.key

`age-keygen -o backup.key` makes an identity and prints its recipient; keep the identity away from the fleet's machine. `age -d` and `tar` open
the file, too. `examgate-fleet restore` brings it back."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    make: Make,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(Check),
}

/// What to back up, and where to.
#[derive(Args)]
struct Make {
    /// The fleet's folder.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The file to write, which must not exist yet; or a folder, in which the file is named by the time.
    #[arg(long, value_name = "FILE|DIR")]
    to: Option<PathBuf>,
    /// The stock folder, from which `examgate-fleetd keep` sends: rosters, the list of lost cards, what boxes reported.
    #[arg(long, value_name = "DIR")]
    stock: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerChoice,
    /// Another file to keep, such as pepper.key or list.key. May be repeated.
    #[arg(long, value_name = "FILE")]
    also: Vec<PathBuf>,
    /// Keeps the root's secret key, too, if it is in the folder: locked with its own passphrase. It belongs in a safe instead.
    #[arg(long)]
    with_root: bool,
    /// The seed of the command key, which signs the backup [default: keys/command.key in --folder].
    #[arg(long, value_name = "FILE")]
    command_key: Option<PathBuf>,
    /// Encrypts to the owner of this age recipient. May be repeated.
    #[arg(long, value_name = "AGE1…")]
    recipient: Vec<String>,
    /// File whose first line is the passphrase [default without --recipient: asks for it].
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
    /// Prints the manifest as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What opens a backup, and whose it must be.
#[derive(Args)]
pub(crate) struct Opening {
    /// File with the age identity that the backup was encrypted to.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// File whose first line is the passphrase [default without --identity: asks for it].
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
    /// The root's public key (64 hexadecimal digits), from the paper of the founding ceremony. The backup of another fleet is refused.
    #[arg(long, value_name = "HEX")]
    pub(crate) root: Option<PublicKey>,
}

/// Reads a backup to its end without restoring it: exit code 0 if it is whole and its fleet signed it, 65 if not.
#[derive(Args)]
#[command(after_help = "Example:
  examgate-fleet backup check /mnt/backup/examgate-fleet-20261214T180000Z.age --identity backup.key \\
    --root 6e7b486911129e81efe89bb32a8d4c96303baafc0815e56f5543dba5d78cb2a3")]
struct Check {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    opening: Opening,
    /// Prints the manifest as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Opening {
    /// What opens the backup.
    pub(crate) fn opener(&self) -> anyhow::Result<Opener> {
        let Some(path) = &self.identity else {
            let words = passphrase(self.passphrase_file.as_deref(), "passphrase of the backup", false)?;
            return Ok(Opener::Passphrase(words));
        };
        let unusable = || Refusal::Usage(format!("--identity {} cannot be used", path.display()));
        let is_short = std::fs::metadata(path).with_context(unusable)?.len() <= IDENTITIES;
        let text = if is_short { std::fs::read_to_string(path).with_context(unusable)? } else { String::new() };
        Opener::from_identities(&zeroize::Zeroizing::new(text)).with_context(unusable)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(Command::Check(wanted)) = &arguments.command {
        return check(wanted);
    }
    let wanted = &arguments.make;
    let Some((folder, to)) = wanted.folder.as_ref().zip(wanted.to.as_ref()) else {
        bail!(Refusal::Usage(
            "back up what? --folder DIR --to FILE|DIR, and --stock, --ledger, --ledger-key; --help has examples".into()
        ))
    };
    make(wanted, &Folder::new(folder), to)
}

fn make(wanted: &Make, folder: &Folder, to: &Path) -> anyhow::Result<()> {
    let now = crate::now();
    let command_key = wanted.command_key.clone().unwrap_or_else(|| folder.secret(Purpose::Command));
    let unusable =
        || Refusal::Usage(format!("the command key {} cannot be used; --command-key names it", command_key.display()));
    let key = SigningKey::from_seed(&*read_secret(&command_key).with_context(unusable)?);
    let place = ledger_of(wanted)?;
    let lock = if wanted.recipient.is_empty() {
        Lock::with_passphrase(passphrase(wanted.passphrase_file.as_deref(), "passphrase of the backup", true)?)?
    } else {
        Lock::to_recipients(&wanted.recipient)?
    };
    let to = if to.is_dir() { to.join(name(now)) } else { to.to_owned() };
    let what = backup::Wanted {
        folder,
        stock: wanted.stock.as_deref(),
        ledger: place.as_ref().map(|(location, key)| (location, *key)),
        also: &wanted.also,
        with_root_key: wanted.with_root,
        key: &key,
    };
    let Made { manifest, size } = backup::create(&what, &to, &lock, env!("CARGO_PKG_VERSION"), now)?;
    let mut out = io::stdout().lock();
    if wanted.json {
        writeln!(out, "{}", as_json(&manifest, &to, size))?;
        return Ok(());
    }
    writeln!(out, "{}: {size} bytes, read back and found whole", to.display())?;
    write!(out, "{}", told(&manifest))?;
    writeln!(out, "check it now and then: examgate-fleet backup check {}", to.display())?;
    Ok(())
}

/// The ledger to keep and the file of its key; `None`: no ledger is named.
fn ledger_of(wanted: &Make) -> anyhow::Result<Option<(Location, &Path)>> {
    let environment = ledger::environment();
    if !wanted.ledger.is_named() && environment.is_none() {
        return Ok(None);
    }
    let Some((ledger, key)) = wanted.ledger.complete().zip(wanted.ledger.key_file()) else {
        bail!(Refusal::Usage("a ledger is of no use without its key: name it with --ledger-key".into()))
    };
    let location = ledger.location(environment).context(Refusal::Usage("there is no ledger to back up".into()))?;
    Ok(Some((location, key)))
}

/// The name of a backup that is made `now`: names sort by time.
fn name(now: Timestamp) -> String {
    format!("examgate-fleet-{}.age", now.strftime("%Y%m%dT%H%M%SZ"))
}

fn check(wanted: &Check) -> anyhow::Result<()> {
    let unreadable = || Refusal::Usage(format!("cannot read {}", wanted.file.display()));
    let file = File::open(&wanted.file).with_context(unreadable)?;
    let size = file.metadata().with_context(unreadable)?.len();
    let Opening { root, .. } = &wanted.opening;
    let manifest = backup::check(BufReader::new(file), &wanted.opening.opener()?, root.as_ref())
        .with_context(|| format!("{} cannot be restored", wanted.file.display()))?;
    let mut out = io::stdout().lock();
    if wanted.json {
        writeln!(out, "{}", as_json(&manifest, &wanted.file, size))?;
        return Ok(());
    }
    writeln!(out, "{}: whole, and signed by its fleet", wanted.file.display())?;
    write!(out, "{}", told(&manifest))?;
    if root.is_none() {
        writeln!(out, "compare the root with the paper of the founding ceremony, or name it with --root")?;
    }
    Ok(())
}

/// What is in a backup and what is not, in words.
pub(crate) fn told(manifest: &Manifest) -> String {
    let Manifest { made_at, software, root, trust_version, has_root_key, folder, stock, ledger, .. } = manifest;
    let part = |name: &str, what: String| format!("{name:<8}{what}\n");
    let mut text = part("made", format!("{made_at} by examgate-fleet {software}"));
    text += &part("root", root.to_string());
    text += &part("fleet", format!("{} files of {folder}, trust document {trust_version}", manifest.count("fleet")));
    text += &part(
        "stock",
        match stock {
            Some(from) => format!("{} files of {from}", manifest.count("stock")),
            None => "not in it: rosters are pushed again, and the list of lost cards begins anew".into(),
        },
    );
    text += &part(
        "ledger",
        match ledger {
            LedgerKept::File { from } => format!("{from}, with its key"),
            LedgerKept::Postgres { server } => {
                format!("the key alone: save {server} with `pg_dump --schema=examgate_ledger`")
            }
            LedgerKept::None => "not in it".into(),
        },
    );
    let also: Vec<_> = manifest.files.iter().filter_map(|file| file.path.strip_prefix("also/")).collect();
    if !also.is_empty() {
        text += &part("also", also.join(", "));
    }
    let root_key = if *has_root_key { "" } else { "the root's secret key (it lies in the safes), " };
    text += &part("without", format!("{root_key}imported rosters and photos, keys of boxes"));
    text
}

fn as_json(manifest: &Manifest, file: &Path, size: u64) -> Value {
    json!({ "file": file.display().to_string(), "size": size, "manifest": manifest })
}
