//! The list of enrolled boxes, with the public key and the place of each.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use examgate::{
    domain::{DeviceId, Epoch, RoomId, Seq, SiteId},
    wire::keys::PublicKey,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "device")]
    devices: Vec<Device>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    id: DeviceId,
    public_key: PublicKey,
    former: Option<Former>,
    room: Option<RoomId>,
    site: Option<SiteId>,
}

/// Where a box is, as far as the list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The room whose door it guards.
    pub room: Option<RoomId>,
    /// The site of that room.
    pub site: Option<SiteId>,
}

/// The key that a box handed over from, and what it may have signed: a broker may still hold some of that.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Former {
    /// The key.
    pub public_key: PublicKey,
    /// The last epoch whose events it signed. Its successor signs none of them.
    pub epoch: Epoch,
    /// The last of those events.
    pub last: Seq,
}

/// What a box signs with, and where it is.
#[derive(Clone, Debug)]
struct Keys {
    now: PublicKey,
    former: Option<Former>,
    place: Whereabouts,
}

/// How a file is told from the one that was there before.
type Version = (u64, u64, Option<SystemTime>);

/// The enrolled boxes, as the file says. Where [`Devices::refresh`] is called the file may change.
#[derive(Debug)]
pub struct Devices {
    path: PathBuf,
    listed: RwLock<Listed>,
}

#[derive(Debug)]
struct Listed {
    version: Version,
    keys: BTreeMap<DeviceId, Keys>,
}

impl Devices {
    /// Reads the TOML file.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), listed: RwLock::new(Listed::read(path)?) })
    }

    /// Reads the file again if it is another one than before. Says whether it was. What was read last stays if it cannot be read.
    pub fn refresh(&self) -> Result<bool> {
        let found = version(&self.path)?;
        if found == self.listed().version {
            return Ok(false);
        }
        let listed = Listed::read(&self.path)?;
        *self.listed.write().unwrap_or_else(PoisonError::into_inner) = listed;
        Ok(true)
    }

    fn listed(&self) -> RwLockReadGuard<'_, Listed> {
        self.listed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, in order.
    pub fn ids(&self) -> Vec<DeviceId> {
        self.listed().keys.keys().cloned().collect()
    }

    /// The key `device` signs with, if it is enrolled.
    pub fn key(&self, device: &DeviceId) -> Option<PublicKey> {
        self.listed().keys.get(device).map(|keys| keys.now)
    }

    /// Where `device` is, if it is enrolled.
    pub fn whereabouts(&self, device: &DeviceId) -> Option<Whereabouts> {
        self.listed().keys.get(device).map(|keys| keys.place.clone())
    }

    /// The key that `device` handed over from to the one it has.
    pub fn former(&self, device: &DeviceId) -> Option<Former> {
        self.listed().keys.get(device)?.former.clone()
    }
}

fn version(path: &Path) -> Result<Version> {
    let found = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((found.ino(), found.len(), found.modified().ok()))
}

impl Listed {
    fn read(path: &Path) -> Result<Self> {
        // Seen before it is read: one that is replaced meanwhile is read once more.
        let version = version(path)?;
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let keys = parse(&text).with_context(|| format!("{} is not a list of devices", path.display()))?;
        Ok(Self { version, keys })
    }
}

fn parse(text: &str) -> Result<BTreeMap<DeviceId, Keys>> {
    let file: File = toml::from_str(text)?;
    let mut devices = BTreeMap::new();
    for Device { id, public_key, former, room, site } in file.devices {
        let place = Whereabouts { room, site };
        if devices.insert(id.clone(), Keys { now: public_key, former, place }).is_some() {
            bail!("{id} is listed twice");
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use examgate::wire::keys::SigningKey;

    use super::*;

    fn entry(id: &str, seed: u8) -> String {
        format!("[[device]]\nid = \"{id}\"\npublic_key = \"{}\"\n", SigningKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn a_list_is_read_strictly() {
        let one = entry("door-1", 7);
        let devices = parse(&one).expect("good");
        let key = SigningKey::from_seed(&[7; 32]).public();
        assert_eq!(devices[&DeviceId::new("door-1").expect("valid")].now, key);
        assert!(!devices.contains_key(&DeviceId::new("door-2").expect("valid")));
        let placed = parse(&format!("{one}room = \"SILVER-207\"\nsite = \"washington-square\"\n")).expect("good");
        let place = Whereabouts { room: RoomId::new("SILVER-207").ok(), site: SiteId::new("washington-square").ok() };
        assert_eq!(placed[&DeviceId::new("door-1").expect("valid")].place, place);
        for bad in [format!("{one}{one}"), one.replace("door-1", "a/b"), one.replace("id", "ID"), one.replace("0", "x")]
        {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_that_was_replaced_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, door) = (folder.path().join("devices.toml"), DeviceId::new("door-1").expect("valid"));
        let replace = |text: &str| {
            let aside = folder.path().join("aside");
            fs::write(&aside, text).and_then(|()| fs::rename(&aside, &path)).expect("written");
        };
        let key = |seed| Some(SigningKey::from_seed(&[seed; 32]).public());
        replace(&entry("door-1", 7));
        let devices = Devices::read(&path).expect("good");
        assert!(!devices.refresh().expect("there"));
        replace(&entry("door-1", 8));
        assert!(devices.refresh().expect("good") && devices.key(&door) == key(8));
        replace("nonsense");
        assert!(devices.refresh().is_err() && devices.key(&door) == key(8), "the last good one stays");
        fs::remove_file(&path).expect("there");
        assert!(devices.refresh().is_err() && devices.key(&door) == key(8));
        replace(&entry("door-2", 9));
        assert!(devices.refresh().expect("good") && devices.key(&door).is_none());
    }
}
