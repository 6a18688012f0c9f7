//! Prekeys: the secrets that bundles for this box are sealed to, one file each, `prekey-N.age`, the newest with the highest number.
//!
//! It does not know what is in them, nor when one has served its time.

use std::fs;

use zeroize::Zeroizing;

use super::{Custody, KeyError, KeyFolder, LARGEST, folder::erase_file, read_bytes, write_new};

/// One prekey.
pub struct Prekey {
    /// Its number; 0 is that of a box of before there were several.
    pub number: u32,
    /// An age identity as text.
    pub secret: Zeroizing<Vec<u8>>,
}

impl KeyFolder {
    /// All prekeys, the newest first.
    ///
    /// # Errors
    /// One can be read by others or is over 64 KiB, or the disk fails.
    pub fn prekeys(&self) -> Result<Vec<Prekey>, KeyError> {
        let mut prekeys = Vec::new();
        for number in self.prekey_numbers()? {
            let path = self.prekey_path(number);
            prekeys.push(Prekey { number, secret: read_bytes(&path, Custody::Owner, LARGEST)? });
        }
        Ok(prekeys)
    }

    /// Writes down a new one, which is the newest from now on. Gives its number.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn add_prekey(&self, secret: &str) -> Result<u32, KeyError> {
        let newest = self.prekey_numbers()?.first().copied().unwrap_or_default();
        let number = newest.saturating_add(1);
        let text = Zeroizing::new(format!("{secret}\n"));
        write_new(&self.prekey_path(number), text.as_bytes())?;
        Ok(number)
    }

    /// Erases all prekeys with a lower number, as [`KeyFolder::erase`] does. Returns how many.
    ///
    /// # Errors
    /// [`KeyError::Erase`].
    pub fn erase_prekeys_below(&self, number: u32) -> Result<usize, KeyError> {
        let old: Vec<_> = self.prekey_numbers()?.into_iter().filter(|old| *old < number).collect();
        for old in &old {
            erase_file(&self.prekey_path(*old))?;
        }
        Ok(old.len())
    }

    /// Where a prekey lies.
    #[must_use]
    pub fn prekey_path(&self, number: u32) -> std::path::PathBuf {
        let name = if number == 0 { "prekey.age".to_owned() } else { format!("prekey-{number}.age") };
        self.folder().join(name)
    }

    /// The newest first.
    fn prekey_numbers(&self) -> Result<Vec<u32>, KeyError> {
        let failed = |source| KeyError::Read { path: self.folder().into(), source };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(self.folder()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix("prekey")) else { continue };
            let Some(number) = name.strip_suffix(".age") else { continue };
            match number.strip_prefix('-').map(str::parse) {
                None if number.is_empty() => numbers.push(0),
                Some(Ok(number)) if number > 0 => numbers.push(number),
                None | Some(_) => {}
            }
        }
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_what_is_erased_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path(), None);
        let numbers = || keys.prekeys().unwrap().iter().map(|prekey| prekey.number).collect::<Vec<_>>();
        assert!(numbers().is_empty());
        write_new(&folder.path().join("prekey.age"), b"OLD").unwrap();
        assert_eq!((keys.add_prekey("ONE").unwrap(), keys.add_prekey("TWO").unwrap()), (1, 2));
        fs::write(folder.path().join("prekey-x.age"), "").unwrap();
        assert_eq!(numbers(), [2, 1, 0]);
        assert_eq!(&**keys.prekeys().unwrap()[0].secret, b"TWO\n");
        assert_eq!(keys.erase_prekeys_below(2).unwrap(), 2);
        assert_eq!((numbers(), keys.erase_prekeys_below(2).unwrap()), (vec![2], 0));
        assert!(!folder.path().join("prekey.age").exists());
        assert_eq!(keys.add_prekey("THREE").unwrap(), 3);
    }
}
