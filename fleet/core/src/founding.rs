//! A new fleet: its root, its issuer, its keys apart by purpose, its registry and its first trust document.
//!
//! It refuses to begin where anything is, and the trust document is written last.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use examgate::{
    domain::Timestamp,
    exit::Refusal,
    store::Key,
    wire::{
        keys::{PublicKey, SigningKey},
        seal::Identity,
        trust::{Purpose, TrustDocument, TrustedKey},
    },
};
use zeroize::Zeroizing;

use super::{
    folder::{Folder, write_public, write_secret},
    issuer::{self, ISSUER_LASTS},
    root,
};

/// How long a key counts from when it is made, about three years: a key is forgotten less often than an exam.
pub const KEY_LASTS: Duration = Duration::from_secs(3 * 366 * 24 * 60 * 60);

/// The seconds from which and until which a key of `purpose` counts that is made `now`. Clocks may differ by an hour.
#[must_use]
pub fn lifetime(purpose: Purpose, now: Timestamp) -> (i64, i64) {
    let lasts = if purpose == Purpose::Issuer { ISSUER_LASTS } else { KEY_LASTS };
    let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    (now.as_second().saturating_sub(60 * 60), until.as_second())
}

/// A new secret key of `purpose`, as its file holds it, and its public half as the trust document does.
///
/// # Errors
/// When no random numbers are to be had.
pub fn new_key(purpose: Purpose, name: &str, now: Timestamp) -> Result<(Zeroizing<String>, String)> {
    Ok(match purpose {
        Purpose::Roster | Purpose::Command | Purpose::Receipt => {
            let seed = Key::generate()?;
            let public = SigningKey::from_seed(seed.expose()).public().to_string();
            (Zeroizing::new(format!("{}\n", *Zeroizing::new(hex::encode(seed.expose())))), public)
        }
        Purpose::Events => {
            let identity = Identity::generate();
            (Zeroizing::new(format!("{}\n", *identity.to_text())), identity.recipient().to_string())
        }
        Purpose::Issuer => {
            let (certificate, key) = issuer::create(name, now)?;
            (key, certificate)
        }
    })
}

/// Founds a fleet called `name` in `folder`, its root locked with `passphrase`. Returns the root's public key.
///
/// # Errors
/// When anything of a fleet is there already: nothing is overwritten.
pub fn found(folder: &Folder, name: &str, passphrase: &str, now: Timestamp) -> Result<PublicKey> {
    let (registry, registry_key) = folder.registry();
    let secrets = Purpose::ALL.map(|purpose| folder.secret(purpose));
    let made = [folder.root_secret(), folder.root(), folder.trust(), folder.issuer(), registry, registry_key.clone()];
    if let Some(there) = made.iter().chain(&secrets).find(|path| path.exists()) {
        bail!(Refusal::Usage(format!(
            "{} is there already: a fleet is founded once. Choose another --folder, or move this one aside",
            there.display()
        )));
    }
    let root_key = Key::generate()?;
    let locked = root::lock(&root_key, passphrase).with_context(|| Refusal::Usage("--passphrase-file".into()))?;
    let root = SigningKey::from_seed(root_key.expose());

    folder.make()?;
    write_secret(&folder.root_secret(), &locked)?;
    write_public(&folder.root(), format!("{}\n", root.public()).as_bytes())?;
    let mut keys = Vec::new();
    for purpose in Purpose::ALL {
        let (secret, public) = new_key(purpose, name, now)?;
        write_secret(&folder.secret(purpose), secret.as_bytes())?;
        if purpose == Purpose::Issuer {
            write_public(&folder.issuer(), public.as_bytes())?;
        }
        keys.push(TrustedKey::new(purpose, public, lifetime(purpose, now)));
    }
    Key::generate()?.write_new(&registry_key)?;
    let mut registry = folder.open_registry()?;
    folder.write_list(&mut registry, now)?;
    folder.write_devices(&registry)?;
    let document = TrustDocument { version: 1, issued: now.as_second(), keys, revoked: [].into() };
    folder.write_authorities(&document)?;
    write_public(&folder.trust(), &document.encode(&root)?)?;
    Ok(root.public())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_fleet_is_founded_once_and_its_keys_are_apart() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path().join("fleet"));
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        assert!(found(&folder, "Fleet", "short", now).is_err());
        assert!(!folder.path().exists(), "something was made with a passphrase that was refused");
        let root = found(&folder, "Fleet", "six random words, or so", now).unwrap();
        let (read, document, _) = folder.read_trust().unwrap();
        assert_eq!((read, document.version), (root, 1));
        for purpose in Purpose::ALL {
            assert_eq!(document.current(purpose, now).len(), 1, "{purpose}");
            let path = folder.secret(purpose);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        let locked = fs::read(folder.root_secret()).unwrap();
        let opened = root::open(&locked, "six random words, or so").unwrap();
        assert_eq!(SigningKey::from_seed(opened.expose()).public(), root);
        let receipts = Key::read(&folder.secret(Purpose::Receipt)).unwrap();
        let public = SigningKey::from_seed(receipts.expose()).public().to_string();
        assert_eq!(document.current(Purpose::Receipt, now)[0].key, public);

        let before = fs::read(folder.trust()).unwrap();
        let again = found(&folder, "Fleet", "six random words, or so", now).unwrap_err();
        assert!(format!("{again:#}").contains("founded once"), "{again:#}");
        assert_eq!(fs::read(folder.trust()).unwrap(), before);
    }
}
