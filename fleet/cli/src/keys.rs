//! Arguments that say where keys are: the key folder with wrapped keys, and the credentials with the root key that unwraps them.
//!
//! It opens no database.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use examgate::{
    domain::Pepper,
    store::{Credentials, Key, KeyFolder, Secret, read_secret},
};

use examgate::exit::Refusal;

/// Where systemd looks for sealed credentials of its own accord, and where Examgate's manual puts them (systemd.exec(5)).
const CREDSTORES: [&str; 4] =
    ["/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/lib/credstore.encrypted", "/etc/credstore"];

/// Which keys to use.
#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// The key folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: PathBuf,
    /// Folder of systemd credentials; root.key and pepper.key in it take precedence over --keys
    /// [default: $CREDENTIALS_DIRECTORY, which `examgate-with-keys` sets].
    #[arg(long, value_name = "DIR")]
    pub(crate) credentials: Option<PathBuf>,
}

impl KeyArgs {
    /// The keys.
    pub(crate) fn folder(&self) -> anyhow::Result<KeyFolder> {
        if let Some(folder) = self.credentials.as_ref().filter(|folder| !folder.is_dir()) {
            bail!(Refusal::Usage(format!("--credentials: {} is no folder", folder.display())));
        }
        let credentials = self.credentials.clone().or_else(crate::credentials_directory);
        Ok(KeyFolder::with(&self.keys, Credentials::new(credentials)))
    }

    /// The fleet's pepper: from the file `named`, else from the credentials or the folder. `None` when it is nowhere and none was named.
    pub(crate) fn pepper(&self, named: Option<&Path>) -> anyhow::Result<Option<Key>> {
        let refused = || Refusal::Usage("the pepper cannot be used".into());
        let secret = match named {
            Some(path) => read_secret(path).with_context(refused)?,
            None => {
                let keys = self.folder()?;
                if keys.source(Secret::Pepper).with_context(refused)?.is_none() {
                    return Ok(None);
                }
                keys.secret(Secret::Pepper).with_context(refused)?
            }
        };
        Ok(Some(Key::from_bytes(*secret)))
    }
}

/// A key as the pepper it is.
pub(crate) fn pepper(key: &Key) -> Pepper {
    Pepper::from_bytes(*key.expose())
}

/// Refuses to make `secret` anew on a machine that holds a sealed one.
pub(crate) fn none_is_sealed(secret: Secret) -> anyhow::Result<()> {
    if let Some(sealed) = sealed(secret, &CREDSTORES.map(Path::new)) {
        bail!(Refusal::Usage(format!(
            "there is no {name} at hand, but a sealed one lies in {}: run the command as `examgate-with-keys COMMAND`, or hand its \
             folder over with --credentials. For keys apart from this machine's box, put a {name} of their own into --keys",
            sealed.display(),
            name = secret.name(),
        )));
    }
    Ok(())
}

/// A file of that name in one of `stores`, perhaps with a prefix. Stores that cannot be listed are passed over.
fn sealed(secret: Secret, stores: &[&Path]) -> Option<PathBuf> {
    let files =
        stores.iter().filter_map(|store| fs::read_dir(store).ok()).flatten().flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(secret.name()));
    files.into_iter().find(is_it)
}

/// Sees to it, where root runs the command, that what is made will belong to the user whose box it is for.
///
/// A new file goes to the owner of its folder. A folder that is missing is made here and goes to the owner of the other one.
pub(crate) fn settle_owner(store: &Path, keys: &Path) -> anyhow::Result<()> {
    let owner = |path: &Path| fs::metadata(path).ok().map(|found| (found.uid(), found.gid()));
    let is_root = owner(Path::new("/proc/self")).is_some_and(|(user, _)| user == 0);
    let make = |path: &Path, (user, group)| -> anyhow::Result<()> {
        let made = fs::create_dir_all(path).and_then(|()| chown(path, Some(user), Some(group)));
        made.with_context(|| format!("cannot make {} for user {user}", path.display()))
    };
    match (owner(store), owner(keys)) {
        (Some((store_of, _)), Some((keys_of, _))) if is_root && store_of != keys_of => bail!(Refusal::Usage(format!(
            "{} belongs to user {store_of} and {} to user {keys_of}: a box opens only what belongs to its own user. \
             `chown -R` them to the user of examgate.service first",
            store.display(),
            keys.display(),
        ))),
        (None, Some(box_of)) if is_root && box_of.0 != 0 => make(store, box_of),
        (Some(box_of), None) if is_root && box_of.0 != 0 => make(keys, box_of),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_is_found_whatever_its_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, none) = (folder.path().join("empty"), folder.path().join("none"));
        fs::create_dir(&empty).unwrap();
        let stores = [none.as_path(), &empty, folder.path()];
        fs::write(folder.path().join("other.key"), "").unwrap();
        assert_eq!(sealed(Secret::Root, &stores), None);
        for name in ["root.key", "examgate-root.key", "examgate.root.key.cred"] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            assert_eq!(sealed(Secret::Root, &stores), Some(path.clone()), "{name}");
            fs::remove_file(path).unwrap();
        }
    }
}
