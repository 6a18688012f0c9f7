//! The stock: what the fleet wants its boxes to hold, ready to be sent, and what they last reported. Files in a folder.
//!
//! `roster push` and `card` write it and the keeper sends out of it; neither needs the other to run. All in it is signed or sealed: who
//! reads the folder learns which box holds which exam, and no more. A file that is there is whole, since it got its name last.

mod editions;
mod live;
mod restored;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use examgate::{
    domain::DeviceId,
    exit::Refusal,
    wire::{
        chunk::MAX_CHUNK, desired::MAX_DESIRED, digest::Digest, lost::MAX_LOST_CARDS, reported::MAX_REPORTED,
        trust::MAX_TRUST,
    },
};

pub use self::{editions::Edition, live::Live};

/// The folder.
#[derive(Clone, Debug)]
pub struct Stock {
    root: PathBuf,
}

impl Stock {
    /// Opens the folder, made if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> Result<Self> {
        for name in ["desired", "reported", "chunks"] {
            let folder = root.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self { root: root.into() })
    }

    /// Opens the folder, which must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn open_existing(root: &Path) -> Result<Self> {
        if !root.join("desired").is_dir() {
            anyhow::bail!(Refusal::Usage(format!("{} is no stock: is the path right?", root.display())));
        }
        Self::open(root)
    }

    /// The boxes that have a manifest, in order.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn devices(&self) -> Result<Vec<DeviceId>> {
        self.listed("desired")
    }

    /// The boxes that have a file in this folder of the stock, in order.
    fn listed(&self, name: &str) -> Result<Vec<DeviceId>> {
        let folder = self.root.join(name);
        let listed = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut devices = Vec::new();
        for entry in listed {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".cose"));
            devices.extend(id.and_then(|id| DeviceId::new(id).ok()));
        }
        devices.sort();
        Ok(devices)
    }

    /// The manifest of a box, signed; `None` when it has none.
    ///
    /// # Errors
    /// When it cannot be read or is too long.
    pub fn manifest(&self, device: &DeviceId) -> Result<Option<Vec<u8>>> {
        read(&self.root.join(format!("desired/{device}.cose")), MAX_DESIRED)
    }

    /// Replaces the manifest of a box. Its chunks are there before.
    ///
    /// # Errors
    /// When the disk fails; the one before stays.
    pub fn set_manifest(&self, device: &DeviceId, bytes: &[u8]) -> Result<()> {
        write(&self.root.join(format!("desired/{device}.cose")), bytes)
    }

    /// The list of lost cards, signed; `None` when there never was one.
    ///
    /// # Errors
    /// When it cannot be read or is too long.
    pub fn lost_cards(&self) -> Result<Option<Vec<u8>>> {
        read(&self.lost_cards_path(), MAX_LOST_CARDS)
    }

    /// Replaces the list of lost cards by a newer one.
    ///
    /// # Errors
    /// When the disk fails; the one before stays.
    pub fn set_lost_cards(&self, bytes: &[u8]) -> Result<()> {
        write(&self.lost_cards_path(), bytes)?;
        self.lost_cards_are_settled()
    }

    /// The newest trust document that the keeper sent; `None` when it never sent one.
    ///
    /// # Errors
    /// When it cannot be read or is too long.
    pub fn trust(&self) -> Result<Option<Vec<u8>>> {
        read(&self.trust_path(), MAX_TRUST)
    }

    /// Replaces the trust document by a newer one.
    ///
    /// # Errors
    /// When the disk fails; the one before stays.
    pub fn set_trust(&self, bytes: &[u8]) -> Result<()> {
        write(&self.trust_path(), bytes)
    }

    fn trust_path(&self) -> PathBuf {
        self.root.join("trust.cose")
    }

    fn lost_cards_path(&self) -> PathBuf {
        self.root.join("lost-cards.cose")
    }

    /// What a box last reported, signed; `None` when it never did.
    ///
    /// # Errors
    /// When it cannot be read or is too long.
    pub fn report(&self, device: &DeviceId) -> Result<Option<Vec<u8>>> {
        read(&self.root.join(format!("reported/{device}.cose")), MAX_REPORTED)
    }

    /// Replaces what a box last reported.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_report(&self, device: &DeviceId, bytes: &[u8]) -> Result<()> {
        write(&self.root.join(format!("reported/{device}.cose")), bytes)?;
        self.heard_of(device)
    }

    /// A chunk for a box, if it is there and whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn chunk(&self, device: &DeviceId, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let bytes = read(&self.chunks(device).join(digest.to_string()), MAX_CHUNK)?;
        Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
    }

    /// Adds chunks for a box.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn add_chunks(&self, device: &DeviceId, chunks: &[(Digest, Vec<u8>)]) -> Result<()> {
        let folder = self.chunks(device);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        chunks.iter().try_for_each(|(digest, bytes)| write(&folder.join(digest.to_string()), bytes))
    }

    /// Removes the chunks for a box that `keep` does not name.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn retain_chunks(&self, device: &DeviceId, keep: impl Fn(&Digest) -> bool) -> Result<()> {
        let folder = self.chunks(device);
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.with_context(|| format!("cannot list {}", folder.display()))?,
        };
        for entry in listed {
            let entry = entry?;
            let digest = entry.file_name().to_str().and_then(Digest::parse);
            if digest.is_some_and(|digest| !keep(&digest)) {
                fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    fn chunks(&self, device: &DeviceId) -> PathBuf {
        self.root.join("chunks").join(device.as_str())
    }
}

fn read(path: &Path, longest: usize) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > longest as u64 => {
            anyhow::bail!("{} is longer than {longest} bytes: it is not of the stock", path.display())
        }
        Ok(_) | Err(_) => {}
    }
    fs::read(path).map(Some).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // Two programs may write at a time, the keeper and a push.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Stock::open(folder.path()).unwrap();
        let door = DeviceId::new("door-1").unwrap();
        assert_eq!(
            (stock.devices().unwrap(), stock.manifest(&door).unwrap(), stock.report(&door).unwrap()),
            (vec![], None, None)
        );
        assert_eq!(stock.lost_cards().unwrap(), None);
        stock.set_lost_cards(b"list").unwrap();
        assert_eq!(stock.lost_cards().unwrap(), Some(b"list".to_vec()));
        stock.set_manifest(&door, b"manifest").unwrap();
        stock.set_report(&door, b"report").unwrap();
        let chunks = [b"one", b"two"].map(|bytes| (Digest::of(bytes), bytes.to_vec()));
        stock.add_chunks(&door, &chunks).unwrap();
        assert_eq!(stock.devices().unwrap(), std::slice::from_ref(&door));
        assert_eq!(stock.chunk(&door, &chunks[0].0).unwrap(), Some(b"one".to_vec()));
        fs::write(folder.path().join(format!("chunks/door-1/{}", chunks[0].0)), b"0ne").unwrap();
        assert_eq!(stock.chunk(&door, &chunks[0].0).unwrap(), None, "damaged");
        stock.retain_chunks(&door, |digest| *digest == chunks[0].0).unwrap();
        assert_eq!(stock.chunk(&door, &chunks[1].0).unwrap(), None);
        fs::write(folder.path().join("desired/door-1.cose"), vec![0; MAX_DESIRED + 1]).unwrap();
        assert!(stock.manifest(&door).is_err());
    }
}
