//! The fleet's folder: where its keys, certificates, trust document and registry lie.
//!
//! What is secret is in files of mode 0600 below `keys`, `issuer` and `offline`; `offline` leaves the machine. A file is
//! there whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use examgate::{
    domain::Timestamp,
    store::Key,
    wire::{
        keys::PublicKey,
        trust::{Purpose, TrustDocument, TrustedKey},
    },
};
use zeroize::Zeroizing;

use super::{
    issuer::{Issuer, LIST_LASTS},
    registry::{FormerKey, Place, Registry, State},
};

/// Mode of what the public may see.
const PUBLIC: u32 = 0o644;

/// Mode of what it may not.
const SECRET: u32 = 0o600;

/// The fleet's folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, whatever is there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The root's locked secret key: belongs elsewhere.
    #[must_use]
    pub fn root_secret(&self) -> PathBuf {
        self.0.join("offline/root.age")
    }

    /// The root's public key, 64 hexadecimal digits.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.0.join("root.pub")
    }

    /// The trust document.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.0.join("trust.cose")
    }

    /// The issuer's certificate (PEM).
    #[must_use]
    pub fn issuer(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// Every issuer that counts (PEM): what brokers and services trust.
    #[must_use]
    pub fn authorities(&self) -> PathBuf {
        self.0.join("authorities.pem")
    }

    /// The issuer's key (PEM).
    #[must_use]
    pub fn issuer_key(&self) -> PathBuf {
        self.0.join("issuer/issuer.key")
    }

    /// The secret half of a key of the trust document, but the issuer's.
    #[must_use]
    pub fn secret(&self, purpose: Purpose) -> PathBuf {
        match purpose {
            Purpose::Roster | Purpose::Command | Purpose::Receipt => self.0.join(format!("keys/{purpose}.key")),
            Purpose::Events => self.0.join("keys/collector.age"),
            Purpose::Issuer => self.issuer_key(),
        }
    }

    /// The secret half of the command key that was granted to `name`.
    #[must_use]
    pub fn granted(&self, name: &str) -> PathBuf {
        self.0.join(format!("keys/command-{name}.key"))
    }

    /// The list of revoked certificates (PEM), for brokers.
    #[must_use]
    pub fn revoked(&self) -> PathBuf {
        self.0.join("revoked.pem")
    }

    /// The enrolled boxes as the collector reads them.
    #[must_use]
    pub fn devices(&self) -> PathBuf {
        self.0.join("devices.toml")
    }

    /// The registry of boxes, and its key.
    #[must_use]
    pub fn registry(&self) -> (PathBuf, PathBuf) {
        (self.0.join("fleet.db"), self.0.join("keys/fleet.key"))
    }

    /// Where it is noted that the folder was restored from a backup; gone with the next trust document.
    #[must_use]
    pub fn restored(&self) -> PathBuf {
        self.0.join("restored")
    }

    /// Makes the folder and those in it, mode 0700.
    pub fn make(&self) -> Result<()> {
        for folder in [self.0.clone(), self.0.join("keys"), self.0.join("issuer"), self.0.join("offline")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Ok(())
    }

    /// Opens the registry, made if there is none.
    pub fn open_registry(&self) -> Result<Registry> {
        let (path, key) = self.registry();
        Ok(Registry::open(&path, &Key::read(&key)?)?)
    }

    /// The root's public key and the trust document that it signed; with the document's bytes.
    pub fn read_trust(&self) -> Result<(PublicKey, TrustDocument, Vec<u8>)> {
        let root: PublicKey =
            self.text(&self.root())?.parse().with_context(|| format!("in {}", self.root().display()))?;
        let path = self.trust();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let document = TrustDocument::decode(&bytes, &root).with_context(|| format!("in {}", path.display()))?;
        Ok((root, document, bytes))
    }

    /// Reads the issuer.
    pub fn read_issuer(&self) -> Result<Issuer> {
        let key = Zeroizing::new(self.text(&self.issuer_key())?);
        Ok(Issuer::read(&self.text(&self.issuer())?, &key)?)
    }

    /// The issuers of before, which signed certificates that still count.
    fn read_former_issuers(&self) -> Result<Vec<Issuer>> {
        let folder = self.0.join("issuer");
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut issuers = Vec::new();
        for entry in entries {
            let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
            let Some(version) = name.to_str().and_then(|name| name.strip_prefix("issuer.key.")) else { continue };
            let certificate = self.issuer().with_added_extension(version);
            if version.starts_with("old-") && certificate.exists() {
                let key = Zeroizing::new(self.text(&folder.join(&name))?);
                issuers.push(Issuer::read(&self.text(&certificate)?, &key)?);
            }
        }
        Ok(issuers)
    }

    /// Writes new lists of revoked certificates, one per issuer: a broker refuses every client whose issuer has no list.
    pub fn write_list(&self, registry: &mut Registry, now: Timestamp) -> Result<()> {
        let issuers = self.read_former_issuers()?.into_iter().chain([self.read_issuer()?]);
        let (number, revoked) = registry.next_list(now)?;
        let lists = issuers.map(|issuer| issuer.list(number, &revoked, now)).collect::<Result<String, _>>()?;
        replace(&self.revoked(), lists.as_bytes(), PUBLIC)
    }

    /// Writes what follows from the trust document: the issuers that brokers and boxes trust.
    pub fn write_authorities(&self, document: &TrustDocument) -> Result<()> {
        let counts = |key: &&TrustedKey| key.purpose == Purpose::Issuer && !document.revoked.contains(&key.id());
        let text: String = document.keys.iter().filter(counts).map(|key| key.key.as_str()).collect();
        replace(&self.authorities(), text.as_bytes(), PUBLIC)
    }

    /// Whether half of the list's time is over: it must be made anew, or brokers will refuse everybody.
    pub fn list_is_old(&self, registry: &Registry, now: Timestamp) -> Result<bool> {
        Ok(now.duration_since(registry.last_list()?).unsigned_abs() > LIST_LASTS / 2)
    }

    /// Writes what follows from the registry: the enrolled boxes for the collector.
    pub fn write_devices(&self, registry: &Registry) -> Result<()> {
        let mut text = String::from("# Written by examgate-fleet and examgate-fleetd; changes are lost.\n");
        let handed_over = registry.handed_over()?;
        for device in registry.devices()? {
            let Some(key) = device.signing_key.filter(|_| device.state == State::Enrolled) else { continue };
            text +=
                &format!("[[device]]\nid = \"{}\"\npublic_key = \"{key}\"\nroom = \"{}\"\n", device.id, device.room);
            if let Some(site) = &device.site {
                text += &format!("site = \"{site}\"\n");
            }
            if let Some(FormerKey { key, place: Some(Place { epoch, last }), .. }) = handed_over.get(&device.id) {
                text += &format!("former = {{ public_key = \"{key}\", epoch = \"{epoch}\", last = {last} }}\n");
            }
        }
        replace(&self.devices(), text.as_bytes(), PUBLIC)
    }

    fn text(&self, path: &Path) -> Result<String> {
        fs::read_to_string(path).with_context(|| {
            format!("cannot read {}: is {} a folder that `examgate-fleet init` made?", path.display(), self.0.display())
        })
    }
}

/// Writes a new file that the public may see; refuses where there is one.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new(path, bytes, PUBLIC)
}

/// Writes a new file for its owner alone; refuses where there is one.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new(path, bytes, SECRET)
}

/// Puts a file that the public may see in place of the one that is there.
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, PUBLIC)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let written = write(path, bytes, mode).and_then(|()| sync_folder_of(path));
    let there = written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
    written.with_context(|| match there {
        true => format!("{} is there already and was left as it is", path.display()),
        false => format!("cannot write {}", path.display()),
    })
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let done = write(&aside, bytes, mode).and_then(|()| fs::rename(&aside, path)).and_then(|()| sync_folder_of(path));
    done.with_context(|| format!("cannot write {}", path.display()))
}

/// Waits until the disk holds the folder's entry of `path`.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    // A bare name lies in the working folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
