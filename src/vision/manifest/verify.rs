//! Hashes every file that will be loaded and compares with the manifest, before anything of it is opened.
//!
//! Blocks a file that is missing, cut short, stale or tampered with. Does not block an attacker who can also rewrite the manifest, nor a
//! swap between this check and the load: the folders must be writable by root alone.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
};

use sha2::{Digest as _, Sha256};

use super::{Digest, Manifest, NetSpec};

/// Bytes hashed at once: large enough that system calls do not matter, small enough to stay in the cache.
const CHUNK: usize = 256 * 1024;

/// Why the files are not those of the manifest.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not there.
    #[error("{} is missing: run `make models`", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// Cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// Another file than the manifest names.
    #[error(
        "{} is not the file of the manifest (cut short, out of date or tampered with): its {length} bytes hash to {actual}, \
         expected is {expected}: remove it and run `make models`",
        path.display()
    )]
    Differs {
        /// The file or folder.
        path: PathBuf,
        /// Its length.
        length: u64,
        /// The manifest's hash.
        expected: Digest,
        /// Its hash.
        actual: Digest,
    },
}

/// A manifest and the files it names, found to be as it says.
#[derive(Clone, Debug)]
pub struct VerifiedModels {
    manifest: Manifest,
    root: PathBuf,
}

impl VerifiedModels {
    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a net in use lies.
    pub(in crate::vision) fn net(&self, net: &NetSpec) -> PathBuf {
        net_path(&self.root, net)
    }

    /// Where the library to load lies.
    pub(in crate::vision) fn library(&self) -> PathBuf {
        self.root.join("runtime").join(&self.manifest.runtime.library)
    }
}

impl Manifest {
    /// Hashes the nets in use (`root/models/ready/`) and the runtime (`root/runtime/`).
    ///
    /// # Errors
    /// The first file that is missing or differs, by name.
    pub fn verify(&self, root: &Path) -> Result<VerifiedModels, VerifyError> {
        let nets: Vec<_> = self.nets().map(|net| (net_path(root, net), net.sha256)).collect();
        let mut files: Vec<_> =
            self.runtime.file.iter().map(|file| (root.join("runtime").join(&file.name), file.sha256)).collect();
        // The largest file is half of all bytes: it gets a thread of its own.
        files.sort_by_key(|(path, _)| std::cmp::Reverse(path.metadata().map_or(0, |data| data.len())));
        let (largest, rest) = files.split_at(files.len().min(1));
        thread::scope(|scope| {
            let rest = scope.spawn(|| nets.iter().chain(rest).try_for_each(verify_file));
            largest.iter().try_for_each(verify_file).and(rest.join().expect("hashing does not panic"))
        })?;
        Ok(VerifiedModels { manifest: self.clone(), root: root.to_owned() })
    }
}

fn net_path(root: &Path, net: &NetSpec) -> PathBuf {
    root.join("models/ready").join(&net.file)
}

fn verify_file((path, expected): &(PathBuf, Digest)) -> Result<(), VerifyError> {
    let read_error = |source: io::Error| {
        let path = path.clone();
        if source.kind() == io::ErrorKind::NotFound {
            VerifyError::Missing { path }
        } else {
            VerifyError::Read { path, source }
        }
    };
    let mut file = File::open(path).map_err(read_error)?;
    let (mut hash, mut chunk, mut length) = (Sha256::new(), vec![0; CHUNK], 0);
    loop {
        let n = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(error)),
        };
        hash.update(&chunk[..n]);
        length += n as u64;
    }
    let actual = Digest(hash.finalize().into());
    if actual != *expected {
        return Err(VerifyError::Differs { path: path.clone(), length, expected: *expected, actual });
    }
    Ok(())
}
