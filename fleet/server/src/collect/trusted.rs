//! Whom the collector believes, what it opens events with, and what it signs receipts with. Read from files, and again when they change, so
//! that an enrolment, a revocation or a rotated key needs no restart.
//!
//! A trust document says which receipt keys count: a receipt is signed with each of them whose secret half is here, the newest first. Boxes
//! that have not heard of the newest key yet believe the one before. It never touches the ledger.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use examgate::{
    domain::Timestamp,
    store::{Credentials, Key},
    wire::{
        keys::{PublicKey, SigningKey},
        seal::Identity,
        trust::{MAX_TRUST, Purpose, TrustDocument},
    },
};
use examgate_fleet_core::devices::Devices;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::health::Board;

/// How often it is looked whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often all is read again though no file has changed: keys begin and end by their dates.
const READ_EVERY: Duration = Duration::from_secs(60);

/// Which files.
#[derive(Clone, Debug, Args)]
pub(super) struct TrustedArguments {
    /// File of the receipt key, which signs receipts: an Ed25519 seed, 32 bytes or 64 hexadecimal digits. With --trust also the keys before,
    /// FILE.old-*, as `examgate-fleet trust rotate` leaves them.
    #[arg(long, value_name = "FILE")]
    receipt_key: PathBuf,
    /// File of the age identity that decrypts events, as age-keygen writes it. With --trust also FILE.old-*.
    #[arg(long, value_name = "FILE")]
    age_identity: PathBuf,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`), read again when it changes.
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// The fleet's trust document (trust.cose of the fleet's folder), read again when it changes. Receipts are signed with every receipt key
    /// that counts by it.
    #[arg(long, value_name = "FILE", requires = "root_public_key")]
    trust: Option<PathBuf>,
    /// Public half of the fleet's root key (64 hexadecimal digits, as root.pub has them), which signed the trust document.
    #[arg(long, value_name = "HEX", requires = "trust")]
    root_public_key: Option<PublicKey>,
}

/// What the files say.
#[derive(Debug)]
pub(super) struct Trusted {
    /// The enrolled boxes.
    pub(super) devices: Devices,
    /// What opens events, the newest first.
    pub(super) identities: Vec<Identity>,
    /// What signs receipts, the newest first; one at least.
    pub(super) receipts: Vec<SigningKey>,
    /// The trust document, where there is one.
    pub(super) document: Option<TrustDocument>,
}

/// What the files say now.
pub(super) type TrustedView = watch::Receiver<Arc<Trusted>>;

/// What tells one state of a file from another; `None`: it is not there.
type Seen = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Reads the files again when they change.
pub(super) struct Following {
    arguments: TrustedArguments,
    credentials: Credentials,
    told: watch::Sender<Arc<Trusted>>,
    seen: Seen,
    read_at: Instant,
    said: String,
}

impl TrustedArguments {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When one cannot be used, or no receipt could be signed.
    pub(super) fn open(&self) -> Result<(Following, TrustedView)> {
        #[expect(clippy::disallowed_methods, reason = "systemd tells only there where its credentials are")]
        let credentials = Credentials::new(env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
        let seen = self.seen();
        let (told, view) = watch::channel(Arc::new(self.read(&credentials, None)?));
        let arguments = self.clone();
        Ok((Following { arguments, credentials, told, seen, read_at: Instant::now(), said: String::new() }, view))
    }

    /// Of every file that is read, whether and how it is there.
    fn seen(&self) -> Seen {
        let secrets = [&self.receipt_key, &self.age_identity].into_iter().flat_map(|path| {
            // A folder that cannot be listed shows when the files are read.
            with_former(path).unwrap_or_else(|_| vec![path.clone()])
        });
        let paths = [&self.devices].into_iter().chain(&self.trust).cloned().chain(secrets);
        let state = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        paths.map(|path| (path.clone(), state(&path))).collect()
    }

    fn read(&self, credentials: &Credentials, held: Option<&TrustDocument>) -> Result<Trusted> {
        let devices = Devices::read(&self.devices)?;
        let receipt = |path: &Path| -> Result<SigningKey> {
            Ok(SigningKey::from_seed(Key::read_given(path, credentials)?.expose()))
        };
        let Some((path, root)) = self.trust.as_ref().zip(self.root_public_key) else {
            let (identities, receipts) = (vec![age_identity(&self.age_identity)?], vec![receipt(&self.receipt_key)?]);
            return Ok(Trusted { devices, identities, receipts, document: None });
        };
        let document = document(path, &root, held)?;
        let identities =
            with_former(&self.age_identity)?.iter().map(|path| age_identity(path)).collect::<Result<_>>()?;
        let here = with_former(&self.receipt_key)?.iter().map(|path| receipt(path)).collect::<Result<Vec<_>>>()?;
        let counting = document.current(Purpose::Receipt, now());
        let signers = counting.iter().filter_map(|key| here.iter().find(|one| one.public().to_string() == key.key));
        let receipts: Vec<_> = signers.cloned().collect();
        if receipts.is_empty() {
            bail!(
                "no receipt key that counts by trust document {} is in {} or its .old-* beside: take the newest file of the fleet's folder, or \
                 make one with `examgate-fleet trust rotate receipt`",
                document.version,
                self.receipt_key.display()
            );
        }
        Ok(Trusted { devices, identities, receipts, document: Some(document) })
    }
}

impl Following {
    /// Looks for changes while it is polled. A file that cannot be used is told to `board`; what was read last stays in use.
    pub(super) async fn run(mut self, board: &Board) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let seen = self.arguments.seen();
            if seen == self.seen && self.read_at.elapsed() < READ_EVERY {
                continue;
            }
            (self.seen, self.read_at) = (seen, Instant::now());
            self.read_again(board);
        }
    }

    fn read_again(&mut self, board: &Board) {
        let before = Arc::clone(&self.told.borrow());
        match self.arguments.read(&self.credentials, before.document.as_ref()) {
            Ok(trusted) => {
                let version = trusted.document.as_ref().map(|document| document.version);
                let (boxes, receipt_keys) = (trusted.devices.ids().len(), trusted.receipts.len());
                tracing::info!(
                    boxes,
                    version,
                    receipt_keys,
                    "the list of devices, the trust document and the keys were read again"
                );
                self.told.send_replace(Arc::new(trusted));
                self.said.clear();
                board.well("trust");
            }
            Err(error) => {
                let error = format!("{error:#}");
                if error != self.said {
                    tracing::error!(
                        error,
                        "the list of devices, the trust document or a key cannot be used: what was read before goes on (said once)"
                    );
                }
                board.trouble("trust", error.as_str());
                self.said = error;
            }
        }
    }
}

/// The document in the file, in place of the one `held`.
fn document(path: &Path, root: &PublicKey, held: Option<&TrustDocument>) -> Result<TrustDocument> {
    let shown = path.display();
    let length = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if length > MAX_TRUST as u64 {
        bail!("{shown} is longer than a trust document");
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    TrustDocument::accept(&bytes, root, held).with_context(|| format!("in {shown}"))
}

/// The file, and those before it beside it: `….old-VERSION`, the newest first.
fn with_former(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let start = format!("{}.old-", path.file_name().unwrap_or_default().to_string_lossy());
    let cannot = || format!("cannot list {}", folder.display());
    let mut former = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name();
        let version: Option<u64> = name.to_str().and_then(|name| name.strip_prefix(&start)?.parse().ok());
        former.extend(version.map(|version| (version, folder.join(name))));
    }
    former.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    Ok([path.to_owned()].into_iter().chain(former.into_iter().map(|(_, path)| path)).collect())
}

/// The identity in a file as age-keygen writes it: comments, then the key.
fn age_identity(path: &Path) -> Result<Identity> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(line) = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')) else {
        bail!("{} holds no age identity", path.display());
    };
    line.parse().with_context(|| format!("in {}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "here the collector reads the clock: keys begin and end by their dates")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Tells an operator what boxes that know no root need.
pub(super) fn introduce(trusted: &Trusted, out: &mut impl io::Write) -> io::Result<()> {
    if let Some(document) = &trusted.document {
        return writeln!(
            out,
            "examgate-fleetd: receipts are signed with {} keys of trust document {}",
            trusted.receipts.len(),
            document.version
        );
    }
    let (Some(identity), Some(receipts)) = (trusted.identities.first(), trusted.receipts.first()) else {
        return Ok(());
    };
    writeln!(
        out,
        "examgate-fleetd: boxes need these under [uplink.collector]:\n  recipient = \"{}\"\n  receipt_key = \"{}\"",
        identity.recipient(),
        receipts.public()
    )
}
