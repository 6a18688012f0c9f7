//! The keys that the box signs with: the one it was enrolled with (`device.key`), and those that it went over to, `signing-N.key`.
//!
//! A later key is derived from the root key and a random share, as the keys of databases are, so its file alone is worthless to a thief.
//! `signing.now` says which one is in force; `hand-over.json` is a change of keys that has begun and is not finished.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Custody, KeyError, KeyFolder, KeyName, LARGEST, Secret, folder::erase_file, hand_over, read_bytes};
use crate::{
    domain::{Epoch, EventHash, Seq},
    store::owner::sync_folder_of,
};

/// A change to another signing key that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOverNote {
    /// The number of the key that the box goes over to.
    pub number: u32,
    /// The epoch in which the key before signs.
    pub ends: Epoch,
    /// The newest event of it when the change began.
    pub last: Seq,
    /// Its link.
    pub hash: EventHash,
    /// The epoch that begins with the new key.
    pub begins: Epoch,
    /// Whether the fleet believes the new key alone.
    pub accepted: bool,
}

impl KeyFolder {
    /// The number of the signing key in force; 0: the one that the box was enrolled with.
    ///
    /// # Errors
    /// The disk fails, or the file says no number.
    pub fn signing_number(&self) -> Result<u32, KeyError> {
        let path = self.now_path();
        let Some(bytes) = read_if_there(&path)? else { return Ok(0) };
        let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
        number.ok_or(KeyError::Malformed { path })
    }

    /// The seed of the signing key in force.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn signing_seed(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        match self.signing_number()? {
            0 => self.secret(Secret::Device),
            number => self.read(KeyName::Signing(number)).map(|key| Zeroizing::new(*key.expose())),
        }
    }

    /// The number and seed of the key after the one in force; made if it is not there. Asked again, it is the same one.
    ///
    /// # Errors
    /// The disk or the random numbers fail.
    pub fn next_signing_seed(&self) -> Result<(u32, Zeroizing<[u8; 32]>), KeyError> {
        let number = self.signing_number()?.saturating_add(1);
        let name = KeyName::Signing(number);
        let key = if self.holds(name) { self.read(name)? } else { self.make(name)? };
        Ok((number, Zeroizing::new(*key.expose())))
    }

    /// Puts the signing key `number` in force, then erases those before it and the note of the hand-over.
    ///
    /// # Errors
    /// The disk fails. Called again, it goes on where it was.
    pub fn put_signing_in_force(&self, number: u32) -> Result<(), KeyError> {
        if self.signing_number()? != number {
            // That it opens is seen before anything depends on it.
            self.read(KeyName::Signing(number))?;
            replace(&self.now_path(), format!("{number}\n").as_bytes())?;
        }
        for old in 1..number {
            self.erase(KeyName::Signing(old))?;
        }
        erase_file(&self.folder().join(Secret::Device.name()))?;
        self.clear_hand_over()
    }

    /// Forgets that the box ever went over to another key: it is enrolled anew, with `device.key`.
    ///
    /// # Errors
    /// The disk fails.
    pub fn reset_signing(&self) -> Result<(), KeyError> {
        let number = self.signing_number()?;
        self.clear_hand_over()?;
        erase_file(&self.now_path())?;
        for old in 1..=number.saturating_add(1) {
            self.erase(KeyName::Signing(old))?;
        }
        Ok(())
    }

    /// The change of keys that has begun, if one has.
    ///
    /// # Errors
    /// The disk fails, or the note is none.
    pub fn hand_over(&self) -> Result<Option<HandOverNote>, KeyError> {
        let path = self.note_path();
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| KeyError::Malformed { path })
    }

    /// Notes that a change of keys has begun, or that the fleet accepted it.
    ///
    /// # Errors
    /// The disk fails.
    pub fn note_hand_over(&self, note: &HandOverNote) -> Result<(), KeyError> {
        replace(&self.note_path(), &serde_json::to_vec(note).expect("plain values are JSON"))
    }

    fn clear_hand_over(&self) -> Result<(), KeyError> {
        let path = self.note_path();
        match fs::remove_file(&path).and_then(|()| sync_folder_of(&path)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(KeyError::Erase { path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn now_path(&self) -> PathBuf {
        self.folder().join("signing.now")
    }

    fn note_path(&self) -> PathBuf {
        self.folder().join("hand-over.json")
    }
}

fn read_if_there(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    match read_bytes(path, Custody::Owner, LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(KeyError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a file of mode 0600 in place of the one that may be there, whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let aside = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        hand_over(&file, &aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        sync_folder_of(path)
    };
    write().map_err(|source| KeyError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::Key;

    fn note(number: u32) -> HandOverNote {
        let (ends, begins) = (Epoch(Uuid::from_u128(1)), Epoch(Uuid::from_u128(2)));
        HandOverNote { number, ends, last: Seq(3), hash: EventHash::START, begins, accepted: false }
    }

    #[test]
    fn the_box_goes_from_key_to_key_and_forgets_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path(), None);
        keys.provision().unwrap();
        Key::from_bytes([7; 32]).write_new(&folder.path().join("device.key")).unwrap();
        assert_eq!((keys.signing_number().unwrap(), *keys.signing_seed().unwrap()), (0, [7; 32]));

        let (number, next) = keys.next_signing_seed().unwrap();
        assert_eq!((number, &*keys.next_signing_seed().unwrap().1), (1, &*next), "asked again, it is the same");
        assert_eq!((*keys.signing_seed().unwrap(), keys.hand_over().unwrap()), ([7; 32], None), "not in force yet");
        keys.note_hand_over(&note(1)).unwrap();
        keys.note_hand_over(&HandOverNote { accepted: true, ..note(1) }).unwrap();
        assert_eq!(keys.hand_over().unwrap(), Some(HandOverNote { accepted: true, ..note(1) }));

        for _ in 0..2 {
            keys.put_signing_in_force(1).unwrap();
            assert_eq!((keys.signing_number().unwrap(), &*keys.signing_seed().unwrap()), (1, &*next));
            assert!(!folder.path().join("device.key").exists() && keys.hand_over().unwrap().is_none());
        }
        let (number, third) = keys.next_signing_seed().unwrap();
        assert!(number == 2 && third != next);
        assert!(keys.put_signing_in_force(3).is_err(), "there is no such key");
        keys.put_signing_in_force(2).unwrap();
        assert!(*keys.signing_seed().unwrap() == *third && !keys.holds(KeyName::Signing(1)));

        keys.reset_signing().unwrap();
        assert!(matches!(keys.signing_seed(), Err(KeyError::Missing { .. })), "device.key is made anew");
        assert!(!keys.holds(KeyName::Signing(2)));
    }
}
