//! The list of enrolled boxes, with the public key of each.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use examgate::{domain::DeviceId, wire::keys::PublicKey};
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
}

/// The enrolled boxes.
#[derive(Debug)]
pub struct Devices(BTreeMap<DeviceId, PublicKey>);

impl Devices {
    /// Reads the TOML file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a list of devices", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut devices = BTreeMap::new();
        for Device { id, public_key } in file.devices {
            if devices.insert(id.clone(), public_key).is_some() {
                bail!("{id} is listed twice");
            }
        }
        Ok(Self(devices))
    }

    /// All of them, in order.
    pub fn ids(&self) -> impl Iterator<Item = &DeviceId> {
        self.0.keys()
    }

    /// The key `device` signs with, if it is enrolled.
    pub fn key(&self, device: &DeviceId) -> Option<&PublicKey> {
        self.0.get(device)
    }
}

#[cfg(test)]
mod tests {
    use examgate::wire::keys::SigningKey;

    use super::*;

    #[test]
    fn a_list_is_read_strictly() {
        let key = SigningKey::from_seed(&[7; 32]).public();
        let one = format!("[[device]]\nid = \"door-1\"\npublic_key = \"{key}\"\n");
        let devices = Devices::parse(&one).expect("good");
        assert_eq!(devices.key(&DeviceId::new("door-1").expect("valid")), Some(&key));
        assert_eq!(devices.key(&DeviceId::new("door-2").expect("valid")), None);
        for bad in [format!("{one}{one}"), one.replace("door-1", "a/b"), one.replace("id", "ID"), one.replace("0", "x")]
        {
            assert!(Devices::parse(&bad).is_err(), "{bad}");
        }
    }
}
