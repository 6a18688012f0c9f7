//! Files that only their owner reads, and what is in them.
//!
//! Never makes a key.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context, Result};

use crate::wire::{keys::SigningKey, seal::Identity};

pub(super) fn secret(path: &Path, text: &str) -> Result<()> {
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn signing_key(path: &Path) -> Result<SigningKey> {
    Ok(SigningKey::from_seed(&*crate::store::read_secret(path)?))
}

pub(super) fn identity(path: &Path) -> Result<Identity> {
    Ok(fs::read_to_string(path)?.parse()?)
}
