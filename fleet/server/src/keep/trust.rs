//! The fleet's trust document at the keeper: read from its file again and again, and published for every box in its newest version.
//!
//! What the keeper published last stays in the stock, so a file that was set back, or a copy that is old, takes nothing from the boxes. It
//! holds no secret: a document that the root did not sign is never published.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use clap::Args;
use examgate::{
    domain::{Timestamp, WithSources},
    exit::Refusal,
    mqtt::packet::{Publish, QoS},
    wire::{
        digest::Digest,
        keys::PublicKey,
        topic::TRUST,
        trust::{MAX_TRUST, Purpose, TrustDocument, TrustError},
    },
};
use examgate_fleet_core::stock::Stock;

use crate::health::Board;

/// Which document counts, and who signed it.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrustArguments {
    /// The fleet's trust document (trust.cose of the fleet's folder), read again when it changes. Sent to every box; what it lists counts,
    /// so no other public key is given.
    #[arg(long, value_name = "FILE", requires = "root_public_key", conflicts_with_all = ["roster_public_key", "command_public_key"])]
    trust: Option<PathBuf>,
    /// Public half of the fleet's root key (64 hexadecimal digits, as root.pub has them), which signed the trust document.
    #[arg(long, value_name = "HEX", requires = "trust")]
    root_public_key: Option<PublicKey>,
}

impl TrustArguments {
    /// The document that is named, if one is.
    ///
    /// # Errors
    /// When neither the file nor the stock holds a document that the root signed.
    pub(super) fn open(&self, stock: &Stock) -> Result<Option<Trust>> {
        let Some((file, root)) = self.trust.clone().zip(self.root_public_key) else { return Ok(None) };
        let trust = Trust { root, file, kept: Mutex::default() };
        if let Some(bytes) = stock.trust()? {
            // One that another root signed is of a fleet before: what comes from the file takes its place.
            let _ = trust.take(&bytes);
        }
        let looked = trust.look(stock);
        if trust.kept().is_none() {
            looked.context(Refusal::Usage("there is no trust document to send".into()))?;
        }
        Ok(Some(trust))
    }
}

/// What is published only if one of them signed it.
pub(super) struct Keys {
    /// Manifests.
    pub(super) roster: Vec<PublicKey>,
    /// The list of lost cards.
    pub(super) command: Vec<PublicKey>,
    /// The document that lists both instead, and is published itself.
    pub(super) trust: Option<Trust>,
}

impl Keys {
    /// Those of manifests.
    pub(super) fn roster(&self, now: Timestamp) -> Vec<PublicKey> {
        self.trust.as_ref().map_or_else(|| self.roster.clone(), |trust| trust.keys(Purpose::Roster, now))
    }

    /// Those of the list of lost cards.
    pub(super) fn command(&self, now: Timestamp) -> Vec<PublicKey> {
        self.trust.as_ref().map_or_else(|| self.command.clone(), |trust| trust.keys(Purpose::Command, now))
    }

    /// Reads the trust document again, if there is one, and gives what is to be published.
    pub(super) fn look(&self, stock: &Stock, board: &Board) -> Option<Digest> {
        let trust = self.trust.as_ref()?;
        match trust.look(stock) {
            Ok(()) => board.well("trust"),
            Err(error) => board.trouble("trust", format!("{error:#}; the one before is sent on")),
        }
        trust.digest()
    }
}

/// The document that the keeper publishes.
pub(super) struct Trust {
    root: PublicKey,
    file: PathBuf,
    kept: Mutex<Option<Kept>>,
}

/// The newest document, and its bytes.
struct Kept {
    document: TrustDocument,
    bytes: Vec<u8>,
}

impl Trust {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a document that is newer. `false`: it is the one that is held.
    fn take(&self, bytes: &[u8]) -> Result<bool, TrustError> {
        let mut kept = self.kept();
        let document = TrustDocument::accept(bytes, &self.root, kept.as_ref().map(|kept| &kept.document))?;
        if kept.as_ref().is_some_and(|kept| kept.document == document) {
            return Ok(false);
        }
        tracing::info!(version = document.version, "this trust document is sent to the boxes");
        *kept = Some(Kept { document, bytes: bytes.to_vec() });
        Ok(true)
    }

    /// Reads the file again. What is newer in it is kept in the stock.
    ///
    /// # Errors
    /// When the file cannot be used; what was held is published on.
    fn look(&self, stock: &Stock) -> Result<()> {
        let name = || format!("the trust document {}", self.file.display());
        let length = fs::metadata(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?.len();
        anyhow::ensure!(length <= MAX_TRUST as u64, "{} is longer than one", name());
        let bytes = fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        if self.take(&bytes).with_context(name)? {
            stock.set_trust(&bytes)?;
        }
        Ok(())
    }

    /// Another document is at the broker than the one held: a newer one is taken over. Whether what is held must be published again.
    pub(super) fn heard(&self, bytes: &[u8], stock: &Stock) -> bool {
        match self.take(bytes) {
            Ok(false) => false,
            Ok(true) => {
                tracing::warn!(
                    "the broker holds a newer trust document than the file: it is taken over. Is the file a copy that is old?"
                );
                if let Err(error) = stock.set_trust(bytes) {
                    tracing::error!(error = format!("{error:#}"), "the trust document at the broker cannot be kept");
                }
                false
            }
            // Otherwise two keepers would replace each other's document again and again.
            Err(error @ TrustError::Forked { .. }) => {
                tracing::error!(%error, "the trust document at the broker is another one");
                false
            }
            Err(error) => {
                tracing::warn!(error = %WithSources(&error), "the trust document at the broker was not believed, and is replaced");
                true
            }
        }
    }

    /// Of the bytes that are to be published.
    fn digest(&self) -> Option<Digest> {
        self.kept().as_ref().map(|kept| Digest::of(&kept.bytes))
    }

    /// What is to be published, retained.
    pub(super) fn message(&self) -> Option<Publish> {
        let bytes = self.kept().as_ref()?.bytes.clone();
        let mut publish = Publish::new(TRUST, QoS::AtLeastOnce, bytes, None);
        publish.retain = true;
        Some(publish)
    }

    /// The keys of `purpose` that count now.
    fn keys(&self, purpose: Purpose, now: Timestamp) -> Vec<PublicKey> {
        let kept = self.kept();
        let counting = kept.iter().flat_map(|kept| kept.document.current(purpose, now));
        counting.filter_map(|key| key.key.parse().ok()).collect()
    }
}
