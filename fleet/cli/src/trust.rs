//! `examgate-fleet trust`: shows the trust document, which lists the fleet's valid keys, and makes new versions of it, signed by the root key.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use examgate::{
    domain::Timestamp,
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
            writeln!(
                io::stdout(),
                "{purpose} {id}\ntrust document {}; restart what reads the {purpose} key",
                document.version
            )?;
            let former = before.current(purpose, crate::now()).first().map(|key| key.key.clone());
            if let Some(former) = former.filter(|_| purpose == Purpose::Command) {
                writeln!(
                    io::stdout(),
                    "the list of lost cards is signed with the key before. When boxes (command_keys) and the keeper (--command-public-key) know the \
                     new one, too:\n  examgate-fleet card sign --stock STOCK --command-key {} --former-public-key {former}",
                    folder.secret(purpose).display()
                )?;
            }
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
                    "not_before": day(key.not_before), "not_after": day(key.not_after),
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
        writeln!(out, "{:<8}  {id}  {from} to {until}  {}", key.purpose.name(), state(key))?;
    }
    Ok(())
}
