//! The box's prekeys: to which one bundles are sealed from now on, which ones may still be needed, and which have served their time.
//!
//! The newest was never used: before a bundle that was sealed to it comes into force, another one is made. So with all others
//! everything is destroyed that a bundle in force was sealed to. When that is due says `plan`.

use std::str;

use crate::{
    domain::WithSources,
    store::{KeyError, KeyFolder},
    wire::{
        bundle::MAX_BUNDLE,
        reported::RefusalReason,
        seal::{Identity, OpenError},
    },
};
use zeroize::Zeroizing;

/// Why prekeys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrekeyError {
    /// Reading, making or erasing one failed.
    #[error("the keys that rosters are sealed to cannot be kept")]
    Key(#[from] KeyError),
    /// One is no age identity.
    #[error(
        "prekey {number} of the key folder is no age identity: remove `prekey-{number}.age`; what is sealed to it must be pushed again"
    )]
    NoIdentity {
        /// Which.
        number: u32,
    },
}

/// The prekeys of one box.
#[derive(Clone, Debug)]
pub struct Prekeys {
    keys: KeyFolder,
}

impl Prekeys {
    /// Those in the key folder; the first one is made.
    ///
    /// # Errors
    /// When they cannot be read, or none can be made.
    pub fn open(keys: KeyFolder) -> Result<Self, PrekeyError> {
        let prekeys = Self { keys };
        // Number 0 is of before a used one was replaced.
        if prekeys.identities()?.first().is_none_or(|(number, _)| *number == 0) {
            prekeys.renew()?;
        }
        Ok(prekeys)
    }

    /// Whom bundles are to be sealed to, `age1…`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn recipient(&self) -> Result<String, PrekeyError> {
        let newest = self.identities()?.into_iter().next();
        Ok(newest.map(|(_, identity)| identity.recipient().to_string()).unwrap_or_default())
    }

    /// Opens a bundle that is about to come into force, and makes another prekey if it was sealed to the newest.
    pub(super) fn open_bundle(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, RefusalReason> {
        let failed = |error: PrekeyError| {
            tracing::error!(error = %WithSources(&error), "a bundle cannot be opened");
            RefusalReason::Storage
        };
        let identities = self.identities().map_err(failed)?;
        let newest = identities.first().map_or(0, |(number, _)| *number);
        for (number, identity) in identities {
            match identity.open(sealed, MAX_BUNDLE) {
                Ok(opened) if number == newest => return self.renew().map(|()| opened).map_err(failed),
                Ok(opened) => return Ok(opened),
                Err(OpenError::TooLong { .. }) => return Err(RefusalReason::Damaged),
                Err(OpenError::Closed) => {}
            }
        }
        Err(RefusalReason::OtherPrekey)
    }

    /// Destroys all but the newest.
    pub(super) fn destroy_used(&self) -> Result<(), PrekeyError> {
        let newest = self.identities()?.first().map_or(0, |(number, _)| *number);
        let destroyed = self.keys.erase_prekeys_below(newest)?;
        if destroyed > 0 {
            tracing::info!(destroyed, "keys that rosters were sealed to were destroyed");
        }
        Ok(())
    }

    /// Makes a new one, whether or not the newest was used. Gives whom bundles are to be sealed to.
    pub(super) fn rotate(&self) -> Result<String, PrekeyError> {
        self.renew()?;
        self.recipient()
    }

    fn renew(&self) -> Result<(), PrekeyError> {
        self.keys.add_prekey(&Identity::generate().to_text())?;
        Ok(())
    }

    /// The newest first.
    fn identities(&self) -> Result<Vec<(u32, Identity)>, PrekeyError> {
        let parse = |prekey: crate::store::Prekey| {
            let number = prekey.number;
            let text = str::from_utf8(&prekey.secret).ok();
            let identity = text.and_then(|text| text.parse().ok()).ok_or(PrekeyError::NoIdentity { number })?;
            Ok((number, identity))
        };
        self.keys.prekeys()?.into_iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seal::Recipient;

    #[test]
    fn a_prekey_that_was_used_is_replaced_and_destroyed_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path(), None);
        let prekeys = Prekeys::open(keys.clone()).unwrap();
        let first = prekeys.recipient().unwrap();
        let seal = |recipient: &str| recipient.parse::<Recipient>().unwrap().seal(b"a roster");
        let (one, two) = (seal(&first), seal(&first));
        assert_eq!(prekeys.open_bundle(&one).map(|text| text.to_vec()), Ok(b"a roster".to_vec()));
        let second = prekeys.recipient().unwrap();
        assert_ne!(first, second);
        // Pushed before the fleet heard of the second: it opens, and the second stays unused.
        assert_eq!(prekeys.open_bundle(&two).map(drop), Ok(()));
        assert_eq!(prekeys.recipient().unwrap(), second);
        prekeys.destroy_used().unwrap();
        assert_eq!(prekeys.open_bundle(&one).map(drop), Err(RefusalReason::OtherPrekey));
        assert_eq!(Prekeys::open(keys).unwrap().recipient().unwrap(), second, "it outlives a restart");
    }

    #[test]
    fn a_prekey_that_is_rotated_still_opens_what_is_on_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let prekeys = Prekeys::open(KeyFolder::new(folder.path(), None)).unwrap();
        let first = prekeys.recipient().unwrap();
        let on_its_way = first.parse::<Recipient>().unwrap().seal(b"a roster");
        let second = prekeys.rotate().unwrap();
        assert!(second != first && prekeys.recipient().unwrap() == second);
        assert_eq!(prekeys.open_bundle(&on_its_way).map(drop), Ok(()));
        assert_eq!(prekeys.recipient().unwrap(), second, "which is still unused");
    }

    #[test]
    fn the_prekey_of_before_there_were_several_is_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path(), None);
        let old = Identity::generate();
        crate::store::write_secret(&folder.path().join("prekey.age"), old.to_text().as_bytes()).unwrap();
        let prekeys = Prekeys::open(keys).unwrap();
        assert_ne!(prekeys.recipient().unwrap(), old.recipient().to_string());
        assert_eq!(prekeys.open_bundle(&old.recipient().seal(b"x")).map(drop), Ok(()));
    }
}
