//! New versions of the trust document: a key is added beside the old one, or revoked.
//!
//! The root's secret key is handed in and not kept. The new document is written before the new key: until boxes have the
//! document, the old key stays in use.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use examgate::{
    domain::{Right, Timestamp},
    exit::Refusal,
    wire::{
        keys::SigningKey,
        trust::{KeyId, LONGEST_NAME, Purpose, TrustDocument, TrustedKey},
    },
};

use super::{
    folder::{Folder, replace_public, write_public, write_secret},
    founding::{lifetime, new_key},
};

/// How long a key that was rotated goes on counting: what it signed is still under way, and boxes sleep over holidays.
pub const OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// By how much the version rises after a restore: the documents since the backup are not known here, and boxes may hold one.
const LEAP: u64 = 1000;

/// Fewest digits of an id that name a key.
const FEWEST_DIGITS: usize = 8;

fn next(folder: &Folder, root: &SigningKey, now: Timestamp) -> Result<TrustDocument> {
    let (public, mut document, _) = folder.read_trust()?;
    if public != root.public() {
        bail!(Refusal::Usage(format!("this is another fleet's root key: {public} is wanted")));
    }
    if now.as_second() < document.issued {
        bail!(Refusal::Usage("the clock is before the time of the last trust document: set it first".into()));
    }
    document.version += if folder.restored().exists() { LEAP } else { 1 };
    document.issued = now.as_second();
    // What counts no more by its date needs no word, and neither does its revocation.
    document.keys.retain(|key| key.not_after > now.as_second());
    let left: Vec<_> = document.keys.iter().map(TrustedKey::id).collect();
    document.revoked.retain(|id| left.contains(id));
    Ok(document)
}

/// Puts a document in force.
fn put_in_force(folder: &Folder, bytes: &[u8]) -> Result<()> {
    replace_public(&folder.trust(), bytes)?;
    let mark = folder.restored();
    if mark.exists() {
        fs::remove_file(&mark).with_context(|| format!("cannot remove {}", mark.display()))?;
    }
    Ok(())
}

/// Makes a new key of `purpose` and a trust document that carries it, in which its forerunners count for [`OVERLAP`] more. The secret
/// half of the forerunner stays beside the new one as `….old-VERSION`. Returns the new id.
///
/// # Errors
/// When the root is another's, or a file cannot be written.
pub fn rotate(folder: &Folder, purpose: Purpose, name: &str, root: &SigningKey, now: Timestamp) -> Result<KeyId> {
    let (secret, public) = new_key(purpose, name, now)?;
    let key = TrustedKey::new(purpose, public, lifetime(purpose, now));
    add(folder, key, &secret, &folder.secret(purpose), root, now)
}

/// Makes a command key of its own for somebody called `name`, who may only do what `may` says, and a trust document that carries it. One of
/// the same name before counts for [`OVERLAP`] more; other command keys stay as they are. Returns the new id, and the file of the secret half.
///
/// # Errors
/// When the name is none that a file may have, the root is another's, or a file cannot be written.
pub fn grant(
    folder: &Folder,
    name: &str,
    may: &[Right],
    root: &SigningKey,
    now: Timestamp,
) -> Result<(KeyId, PathBuf)> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('.') || !name.bytes().all(is_plain) {
        bail!(Refusal::Usage(format!(
            "{name:?} is no name for a key: use up to {LONGEST_NAME} letters, digits, '-', '_' and '.'"
        )));
    }
    let (secret, public) = new_key(Purpose::Command, name, now)?;
    let key = TrustedKey {
        name: Some(name.to_owned()),
        may: Some(may.to_vec()),
        ..TrustedKey::new(Purpose::Command, public, lifetime(Purpose::Command, now))
    };
    let path = folder.granted(name);
    Ok((add(folder, key, &secret, &path, root, now)?, path))
}

/// Puts a document in force that carries the `key`, and its `secret` half in place at `path`.
fn add(
    folder: &Folder,
    key: TrustedKey,
    secret: &str,
    path: &Path,
    root: &SigningKey,
    now: Timestamp,
) -> Result<KeyId> {
    let held = folder.read_trust()?.1.version;
    let mut document = next(folder, root, now)?;
    let end = now.checked_add(OVERLAP).unwrap_or(Timestamp::MAX).as_second();
    let (purpose, public, id) = (key.purpose, key.key.clone(), key.id());
    // Certificates outlive this: an issuer that was rotated goes on until its own end.
    let is_forerunner = |one: &&mut TrustedKey| one.purpose == purpose && one.name == key.name;
    for one in document.keys.iter_mut().filter(is_forerunner).filter(|_| purpose != Purpose::Issuer) {
        one.not_after = one.not_after.min(end);
    }
    document.keys.push(key);
    let bytes = document.encode(root)?;
    let suffix = format!("old-{held}");

    let aside = |path: &Path| {
        let old = path.with_added_extension(&suffix);
        fs::rename(path, &old).with_context(|| format!("cannot move {} to {}", path.display(), old.display()))
    };
    // The new half is on disk before the document names it.
    let waiting = path.with_added_extension("next");
    if waiting.exists() {
        fs::remove_file(&waiting).with_context(|| format!("cannot remove {}", waiting.display()))?;
    }
    write_secret(&waiting, secret.as_bytes())?;
    put_in_force(folder, &bytes)?;
    if path.exists() {
        aside(path)?;
    }
    fs::rename(&waiting, path).with_context(|| format!("cannot write {}", path.display()))?;
    if purpose == Purpose::Issuer {
        aside(&folder.issuer())?;
        write_public(&folder.issuer(), public.as_bytes())?;
        folder.write_authorities(&document)?;
        folder.write_list(&mut folder.open_registry()?, now)?;
    }
    Ok(id)
}

/// Revokes the key whose id begins with `id` (hexadecimal digits, 8 or more), whatever its dates. Returns what it was for.
///
/// # Errors
/// When none or several are meant, or the root is another's.
pub fn revoke(folder: &Folder, id: &str, root: &SigningKey, now: Timestamp) -> Result<Purpose> {
    let mut document = next(folder, root, now)?;
    let meant = |key: &&TrustedKey| id.len() >= FEWEST_DIGITS && key.id().to_string().starts_with(&id.to_lowercase());
    let found: Vec<_> = document.keys.iter().filter(meant).cloned().collect();
    let [key] = &found[..] else {
        bail!(Refusal::Usage(format!(
            "{id:?} names {} keys, not one: `examgate-fleet trust show` lists them; eight digits or more are needed",
            found.len()
        )));
    };
    if !document.revoked.insert(key.id()) {
        bail!(Refusal::Usage(format!("the {} key {} is revoked already", key.purpose, key.id())));
    }
    put_in_force(folder, &document.encode(root)?)?;
    folder.write_authorities(&document)?;
    Ok(key.purpose)
}

#[cfg(test)]
mod tests {
    use examgate::store::Key;

    use super::*;
    use crate::{founding::found, root};

    const WORDS: &str = "six random words, or so";

    fn fleet() -> (tempfile::TempDir, Folder, SigningKey, Timestamp) {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path().join("fleet"));
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        found(&folder, "Fleet", WORDS, now).unwrap();
        let locked = fs::read(folder.root_secret()).unwrap();
        let root = SigningKey::from_seed(root::open(&locked, WORDS).unwrap().expose());
        (parent, folder, root, now)
    }

    #[test]
    fn keys_are_rotated_with_an_overlap_and_revoked_at_once() {
        let (_parent, folder, root, now) = fleet();
        let (_, first, _) = folder.read_trust().unwrap();
        let old = first.current(Purpose::Receipt, now)[0].id();
        let later = now + Duration::from_secs(10);
        let new = rotate(&folder, Purpose::Receipt, "Fleet", &root, later).unwrap();
        let (public, second, bytes) = folder.read_trust().unwrap();
        assert_eq!(TrustDocument::accept(&bytes, &public, Some(&first)), Ok(second.clone()));
        let ids = |document: &TrustDocument, at| {
            document.current(Purpose::Receipt, at).iter().map(|key| key.id()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&second, later), [new, old], "the newest first");
        assert_eq!(ids(&second, later + OVERLAP), [new], "the old one ends");
        let seed = Key::read(&folder.secret(Purpose::Receipt)).unwrap();
        let held = SigningKey::from_seed(seed.expose()).public().to_string();
        assert_eq!(second.current(Purpose::Receipt, later)[0].key, held, "the file holds the new one");
        assert!(folder.path().join("keys/receipt.key.old-1").exists());

        assert_eq!(revoke(&folder, &old.to_string()[..8], &root, later).unwrap(), Purpose::Receipt);
        let (_, third, _) = folder.read_trust().unwrap();
        assert_eq!((third.version, ids(&third, later)), (3, vec![new]));
        assert!(revoke(&folder, &old.to_string(), &root, later).is_err(), "twice");
        assert!(revoke(&folder, "ab", &root, later).is_err(), "too few digits");
        let much_later = later + OVERLAP + Duration::from_secs(1);
        rotate(&folder, Purpose::Roster, "Fleet", &root, much_later).unwrap();
        let (_, fourth, _) = folder.read_trust().unwrap();
        assert!(fourth.revoked.is_empty() && ids(&fourth, much_later) == [new], "what is over is left out");
    }

    #[test]
    fn a_granted_key_has_its_rights_and_is_rotated_by_itself() {
        let (_parent, folder, root, now) = fleet();
        let may = [Right::Identify, Right::Doctor];
        let (first, path) = grant(&folder, "help-desk", &may, &root, now).unwrap();
        let (_, document, _) = folder.read_trust().unwrap();
        let until = |document: &TrustDocument, id| {
            document.keys.iter().find(|key| key.id() == id).map(|key| key.not_after).unwrap()
        };
        let own = document.keys.iter().find(|key| key.purpose == Purpose::Command).unwrap().id();
        let before = until(&document, own);
        let granted = document.keys.iter().find(|key| key.id() == first).unwrap();
        assert_eq!((granted.name.as_deref(), granted.may.as_deref()), (Some("help-desk"), Some(&may[..])));
        let held = SigningKey::from_seed(Key::read(&path).unwrap().expose()).public().to_string();
        assert_eq!(granted.key, held);

        let (second, _) = grant(&folder, "help-desk", &[Right::Identify], &root, now).unwrap();
        let (_, document, _) = folder.read_trust().unwrap();
        let end = (now + OVERLAP).as_second();
        assert_eq!((until(&document, first), until(&document, own)), (end, before), "the fleet's own key stays");
        assert!(until(&document, second) > end && path.with_added_extension("old-2").exists());
        rotate(&folder, Purpose::Command, "Fleet", &root, now).unwrap();
        let (_, document, _) = folder.read_trust().unwrap();
        assert!(until(&document, second) > end && until(&document, own) == end, "the desk's stays");
        for name in ["", "../x", ".x", "a b"] {
            assert!(grant(&folder, name, &may, &root, now).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_issuer_that_was_rotated_is_trusted_on_and_the_new_one_issues() {
        let (_parent, folder, root, now) = fleet();
        rotate(&folder, Purpose::Issuer, "Fleet 2", &root, now).unwrap();
        let (_, document, _) = folder.read_trust().unwrap();
        assert_eq!(document.current(Purpose::Issuer, now + 2 * OVERLAP).len(), 2);
        folder.read_issuer().unwrap();
        let lists = fs::read_to_string(folder.revoked()).unwrap();
        assert_eq!(lists.matches("BEGIN X509 CRL").count(), 2, "{lists}");
        assert_eq!(fs::read_to_string(folder.authorities()).unwrap().matches("BEGIN CERT").count(), 2);
        let newest = fs::read_to_string(folder.issuer()).unwrap();
        assert!(document.keys.iter().any(|key| key.key == newest));
    }

    #[test]
    fn the_first_document_after_a_restore_is_newer_than_any_that_was_made_since() {
        let (_parent, folder, root, now) = fleet();
        fs::write(folder.restored(), "").unwrap();
        rotate(&folder, Purpose::Roster, "Fleet", &root, now).unwrap();
        let (_, document, _) = folder.read_trust().unwrap();
        assert_eq!(document.version, 1 + LEAP);
        assert!(folder.path().join("keys/roster.key.old-1").exists());
        rotate(&folder, Purpose::Roster, "Fleet", &root, now).unwrap();
        assert_eq!(folder.read_trust().unwrap().1.version, 2 + LEAP, "once");
    }

    #[test]
    fn another_root_and_a_clock_that_was_set_back_sign_nothing() {
        let (_parent, folder, root, now) = fleet();
        let before = fs::read(folder.trust()).unwrap();
        let stranger = SigningKey::from_seed(&[1; 32]);
        assert!(rotate(&folder, Purpose::Roster, "Fleet", &stranger, now).is_err());
        assert!(rotate(&folder, Purpose::Roster, "Fleet", &root, now - Duration::from_secs(60)).is_err());
        assert_eq!(fs::read(folder.trust()).unwrap(), before);
    }
}
