//! `examgate-fleet trust`: shows the trust document, which lists the fleet's valid keys, and makes new versions of it, signed by the root key.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use examgate::{
    domain::{Right, Timestamp},
    exit::Refusal,
    wire::{
        keys::SigningKey,
        trust::{Purpose, TrustedKey},
    },
};
use examgate_fleet_core::{folder::Folder, root, rotation};
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists the keys with their validity periods, and the revoked ones.
    #[command(after_help = "Example:\n  examgate-fleet trust show --folder /var/lib/examgate-fleet --json")]
    Show {
        /// The fleet's folder.
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Generates a new key. The old key stays valid for 30 days; an old issuer stays valid until its certificate expires.
    #[command(
        after_help = "Example, with the medium of the root key mounted:\n  examgate-fleet trust rotate receipt --folder /var/lib/examgate-fleet --root /media/safe/root.age"
    )]
    Rotate {
        /// Purpose of the key.
        key: Named,
        /// Name in the certificate of the new issuer.
        #[arg(long, default_value = "Examgate fleet")]
        name: String,
        #[command(flatten)]
        root: Root,
    },
    /// Generates a command key with limited rights, such as a help desk's. Given again for the same name, it replaces that key; the old one stays valid for 30 days.
    #[command(
        after_help = "Example:\n  examgate-fleet trust grant help-desk --may identify --may doctor --folder /var/lib/examgate-fleet --root /media/safe/root.age\n\nThe rights are lost-cards, identify, doctor, reload, drain (with resume) and rotate. Boxes apply them as soon as they have the new trust document."
    )]
    Grant {
        /// Name of the key's holder, which the record of each command shows.
        name: String,
        /// What the key may do. May be repeated.
        #[arg(long, value_name = "RIGHT", required = true, value_parser = right)]
        may: Vec<Right>,
        #[command(flatten)]
        root: Root,
    },
    /// Revokes a key at once: boxes that have the new trust document reject it.
    #[command(
        after_help = "Example:\n  examgate-fleet trust revoke 5f2c9a01 --folder /var/lib/examgate-fleet --root /media/safe/root.age\n\nRotate the key first; otherwise no valid key is left for its purpose."
    )]
    Revoke {
        /// The first digits of the key's id, at least eight, as `trust show` prints it.
        id: String,
        #[command(flatten)]
        root: Root,
    },
}

/// What a key is for, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Named {
    /// Signs rosters.
    Roster,
    /// Signs commands.
    Command,
    /// Signs receipts.
    Receipt,
    /// Opens events.
    Events,
    /// Issues certificates.
    Issuer,
}

impl From<Named> for Purpose {
    fn from(named: Named) -> Self {
        match named {
            Named::Roster => Self::Roster,
            Named::Command => Self::Command,
            Named::Receipt => Self::Receipt,
            Named::Events => Self::Events,
            Named::Issuer => Self::Issuer,
        }
    }
}

/// A right as it is typed.
fn right(text: &str) -> Result<Right, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Where the root's passphrase comes from.
#[derive(clap::Args)]
pub(crate) struct Passphrase {
    /// File whose first line is the root's passphrase [default: asks for it, or reads the first line of standard input].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    /// The passphrase; a person who chooses one types it twice.
    pub(crate) fn read(&self, is_new: bool) -> anyhow::Result<Zeroizing<String>> {
        passphrase(self.passphrase_file.as_deref(), "passphrase of the root", is_new)
    }
}

/// The passphrase in the first line of `file`, or else typed, or the first line of standard input. `what` it is for; a new one is typed twice.
pub(crate) fn passphrase(file: Option<&Path>, what: &str, is_new: bool) -> anyhow::Result<Zeroizing<String>> {
    if let Some(path) = file {
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.with_context(|| Refusal::Usage(format!("cannot read {}", path.display())))?;
        return Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()));
    }
    let ask = |what: &str| -> anyhow::Result<Zeroizing<String>> {
        if io::stdin().is_terminal() {
            write!(io::stderr(), "{what} (shown as typed): ")?;
        }
        let mut line = Zeroizing::new(String::with_capacity(256));
        io::stdin().lock().read_line(&mut line).context("the passphrase cannot be read")?;
        Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
    };
    let first = ask(what)?;
    if is_new && io::stdin().is_terminal() && *ask("once more")? != *first {
        bail!(Refusal::Usage("the two passphrases differ: nothing was made".into()));
    }
    Ok(first)
}

/// The root's secret key, and the folder whose trust document it signs.
#[derive(clap::Args)]
pub(crate) struct Root {
    /// The fleet's folder.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// File of the root's secret key [default: offline/root.age in --folder].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    #[command(flatten)]
    passphrase: Passphrase,
}

impl Root {
    fn open(&self) -> anyhow::Result<(Folder, SigningKey)> {
        let folder = Folder::new(&self.folder);
        let path = self.root.clone().unwrap_or_else(|| folder.root_secret());
        let locked = fs::read(&path).with_context(|| {
            Refusal::Usage(format!(
                "cannot read the root's secret key {}: is its medium mounted? --root names it",
                path.display()
            ))
        })?;
        let key = root::open(&locked, &self.passphrase.read(false)?)
            .with_context(|| Refusal::Usage(format!("{} cannot be opened", path.display())))?;
        Ok((folder, SigningKey::from_seed(key.expose())))
    }
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Show { folder, json } => show(&Folder::new(folder), *json, crate::now()),
        Command::Rotate { key, name, root } => {
            let (folder, secret) = root.open()?;
            let (_, before, _) = folder.read_trust()?;
            let id = rotation::rotate(&folder, (*key).into(), name, &secret, crate::now())?;
            let (_, document, _) = folder.read_trust()?;
            let purpose = Purpose::from(*key);
            writeln!(io::stdout(), "{purpose} {id}\ntrust document {}; {}", document.version, then(purpose))?;
            let former = before.current(purpose, crate::now()).into_iter().find(|key| key.name.is_none());
            let Some(former) = former.map(|key| key.key.clone()) else { return Ok(()) };
            if purpose == Purpose::Roster {
                writeln!(
                    io::stdout(),
                    "  examgate-fleet roster push --roster-key {} --former-public-key {former} ...",
                    folder.secret(purpose).display()
                )?;
            }
            if purpose == Purpose::Command {
                writeln!(
                    io::stdout(),
                    "the list of lost cards is signed with the key before, which counts for 30 days. Sign it with the new one before that is over:\n  examgate-fleet card sign --stock STOCK --command-key {} --former-public-key {former}",
                    folder.secret(purpose).display()
                )?;
            }
            Ok(())
        }
        Command::Grant { name, may, root } => {
            let (folder, secret) = root.open()?;
            let (id, path) = rotation::grant(&folder, name, may, &secret, crate::now())?;
            let version = folder.read_trust()?.1.version;
            writeln!(
                io::stdout(),
                "command {id}\ntrust document {version}; give {} to {name} alone, as --command-key",
                path.display()
            )?;
            Ok(())
        }
        Command::Revoke { id, root } => {
            let (folder, secret) = root.open()?;
            let now = crate::now();
            let purpose = rotation::revoke(&folder, id, &secret, now)?;
            let (_, document, _) = folder.read_trust()?;
            writeln!(io::stdout(), "revoked a {purpose} key; trust document {}", document.version)?;
            if document.current(purpose, now).is_empty() {
                writeln!(io::stderr(), "no {purpose} key counts now: `examgate-fleet trust rotate {purpose}`")?;
            }
            Ok(())
        }
    }
}

/// What is to be done after a key of `purpose` was rotated. Boxes, keeper and collector read the document by themselves.
const fn then(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Roster => {
            "push the rosters that are in use again, with the new key, before the old one ends in 30 days"
        }
        Purpose::Command => "command with the new key from now on",
        Purpose::Receipt | Purpose::Events => {
            "give the collector the new file beside the old one, if it does not read this folder; it uses both while both count"
        }
        Purpose::Issuer => "give authorities.pem to brokers, services and boxes, and restart them",
    }
}

fn show(folder: &Folder, json: bool, now: Timestamp) -> anyhow::Result<()> {
    let refused = || Refusal::Usage(format!("{} cannot be read", folder.path().display()));
    let (root, document, _) = folder.read_trust().with_context(refused)?;
    let day = |second: i64| Timestamp::from_second(second).map(|at| at.strftime("%F").to_string()).unwrap_or_default();
    let state = |key: &TrustedKey| match () {
        () if document.revoked.contains(&key.id()) => "revoked",
        () if now.as_second() >= key.not_after => "over",
        () if now.as_second() < key.not_before => "not yet",
        () => "counts",
    };
    let mut out = io::stdout().lock();
    if json {
        let keys: Vec<_> = document
            .keys
            .iter()
            .map(|key| {
                serde_json::json!({
                    "id": key.id().to_string(), "purpose": key.purpose, "state": state(key), "key": key.key,
                    "not_before": day(key.not_before), "not_after": day(key.not_after), "name": key.name, "may": key.may,
                })
            })
            .collect();
        let said = serde_json::json!({
            "root": root, "version": document.version, "issued": day(document.issued), "keys": keys,
        });
        writeln!(out, "{said}")?;
        return Ok(());
    }
    writeln!(out, "root {root}\nversion {} of {}", document.version, day(document.issued))?;
    for key in &document.keys {
        let (id, from, until) = (&key.id().to_string()[..16], day(key.not_before), day(key.not_after));
        let holder = key.name.as_ref().map_or(String::new(), |name| {
            let may: Vec<_> = key.may.iter().flatten().map(|right| serde_json::json!(right)).collect();
            let may: Vec<_> = may.iter().filter_map(|word| word.as_str()).collect();
            format!("  {name}: {}", may.join(", "))
        });
        writeln!(out, "{:<8}  {id}  {from} to {until}  {}{holder}", key.purpose.name(), state(key))?;
    }
    Ok(())
}
