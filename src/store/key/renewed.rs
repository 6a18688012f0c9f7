//! Certificates that the box renewed, each with its key: one file each, `tls-N.pem`, the newest with the highest number.
//!
//! The key in such a file is locked with a passphrase of [`KeyFolder::passphrase`]; what is in it is for others to read.

use std::{fs, io, path::PathBuf};

use zeroize::Zeroizing;

use super::{Custody, KeyError, KeyFolder, LARGEST, Secret, folder::erase_file, read_bytes, write_new};

/// One renewed certificate and its locked key.
pub struct Renewed {
    /// Its number, from 1.
    pub number: u32,
    /// The file as it is.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl KeyFolder {
    /// All renewed certificates, the newest first.
    ///
    /// # Errors
    /// One can be read by others or is over 64 KiB, or the disk fails.
    pub fn renewed(&self) -> Result<Vec<Renewed>, KeyError> {
        let mut all = Vec::new();
        for number in self.renewed_numbers()? {
            all.push(Renewed { number, bytes: read_bytes(&self.renewed_path(number), Custody::Owner, LARGEST)? });
        }
        Ok(all)
    }

    /// Writes down a new one, whole or not at all; it is the newest from now on. Gives its number.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn add_renewed(&self, bytes: &[u8]) -> Result<u32, KeyError> {
        let number = self.renewed_numbers()?.first().copied().unwrap_or_default().saturating_add(1);
        write_new(&self.renewed_path(number), bytes)?;
        Ok(number)
    }

    /// Erases those with a lower number, and `tls.key` of the folder, whose certificate came before all of them. Returns how many
    /// files there were.
    ///
    /// # Errors
    /// [`KeyError::Erase`].
    pub fn erase_renewed_below(&self, number: u32) -> Result<usize, KeyError> {
        let old = self.renewed_numbers()?.into_iter().filter(|old| *old < number);
        let paths: Vec<_> =
            old.map(|old| self.renewed_path(old)).chain([self.folder().join(Secret::Tls.name())]).collect();
        let mut erased = 0;
        for path in paths {
            erased += usize::from(erase_file(&path)?);
        }
        Ok(erased)
    }

    /// Erases all of them: the box is enrolled anew.
    ///
    /// # Errors
    /// [`KeyError::Erase`].
    pub fn erase_renewed(&self) -> Result<(), KeyError> {
        for number in self.renewed_numbers()? {
            erase_file(&self.renewed_path(number))?;
        }
        Ok(())
    }

    /// Where one lies.
    #[must_use]
    pub fn renewed_path(&self, number: u32) -> PathBuf {
        self.folder().join(format!("tls-{number}.pem"))
    }

    /// The newest first.
    fn renewed_numbers(&self) -> Result<Vec<u32>, KeyError> {
        let failed = |source| KeyError::Read { path: self.folder().into(), source };
        let mut numbers = Vec::new();
        let entries = match fs::read_dir(self.folder()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
            Err(source) => return Err(failed(source)),
        };
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("tls-")?.strip_suffix(".pem"));
            numbers.extend(number.and_then(|number| number.parse().ok()).filter(|number: &u32| *number > 0));
        }
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_ones_are_erased_with_the_key_that_the_box_was_enrolled_with() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path(), None);
        let numbers = || keys.renewed().unwrap().iter().map(|one| one.number).collect::<Vec<_>>();
        write_new(&folder.path().join("tls.key"), b"FIRST").unwrap();
        assert_eq!((keys.add_renewed(b"ONE").unwrap(), keys.add_renewed(b"TWO").unwrap()), (1, 2));
        fs::write(folder.path().join("tls-x.pem"), "").unwrap();
        assert_eq!((numbers(), &**keys.renewed().unwrap()[0].bytes), (vec![2, 1], &b"TWO"[..]));
        assert_eq!(keys.erase_renewed_below(2).unwrap(), 2);
        assert_eq!((numbers(), keys.erase_renewed_below(2).unwrap()), (vec![2], 0));
        assert!(!folder.path().join("tls.key").exists());
        keys.erase_renewed().unwrap();
        assert!(numbers().is_empty());
    }

    #[test]
    fn a_passphrase_belongs_to_its_root_key_and_purpose() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [one, other] = [one.path(), other.path()].map(|path| KeyFolder::new(path, None));
        assert!(matches!(one.passphrase("x"), Err(KeyError::Missing { .. })));
        one.provision().unwrap();
        other.provision().unwrap();
        let passphrase = one.passphrase("x").unwrap();
        assert_eq!((passphrase.len(), &*one.passphrase("x").unwrap()), (64, &*passphrase));
        assert!(*one.passphrase("y").unwrap() != *passphrase && *other.passphrase("x").unwrap() != *passphrase);
    }
}
