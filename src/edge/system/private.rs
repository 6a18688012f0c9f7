//! Files that only their owner may read: the keys of certificates.
//!
//! The keys that databases rest on are the store's own to read; the root of those may come from systemd. Never shows
//! one.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// No key is longer: the largest in use, RSA of 16,384 bits as PEM, takes 13 KiB.
const LARGEST: u64 = 64 * 1024;

/// A private file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{} may be read by others (mode {mode:04o}): `chmod 600` it, and replace the key", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no key.
    #[error("{} is over 64 KiB: see whether it is the right file", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
    },
}

/// The bytes of the file at `path`, as they are.
///
/// # Errors
/// It is missing, unreadable, too large, or may be read by others.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let failed = |source| PrivateFileError::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Exposed { path: path.into(), mode });
    }
    if found.len() > LARGEST {
        return Err(PrivateFileError::TooLarge { path: path.into() });
    }
    // Enough room at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST.min(found.len()) as usize + 1));
    file.take(found.len()).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn reads_what_is_private_and_refuses_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let huge = vec![0; LARGEST as usize + 1];
        for (name, bytes, mode, wanted) in [
            ("key", &b"secret\n"[..], 0o600, Ok(&b"secret\n"[..])),
            ("seen", b"secret", 0o640, Err("0640")),
            ("huge", &huge, 0o600, Err("64 KiB")),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match (read_private(&path), wanted) {
                (Ok(read), Ok(wanted)) => assert_eq!(&**read, wanted),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{name}: {error}"),
                (read, wanted) => panic!("{name}: {read:?}, but {wanted:?}"),
            }
        }
        let said = read_private(&folder.path().join("none")).unwrap_err().to_string();
        assert!(said.ends_with("none"), "{said}");
    }
}
