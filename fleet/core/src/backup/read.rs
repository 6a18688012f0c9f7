//! Reads a backup from beginning to end and believes nothing before the end: every file against the manifest, the manifest against the
//! fleet's own signature.

use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context as _, Result, anyhow, bail};
use examgate::{
    exit::Refusal,
    wire::{
        backup::{MAX_SIGNATURE, is_signed},
        keys::PublicKey,
        trust::{MAX_TRUST, Purpose, TrustDocument},
    },
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    KeptFile, Manifest, Opener, VERSION,
    lock::{damaged, read_up_to},
    tar::{Entry, Reader},
};

/// The manifest in the archive.
pub(super) const MANIFEST: &str = "manifest.json";

/// Its signature.
pub(super) const SIGNATURE: &str = "manifest.sig";

/// Longest manifest, bytes: some hundred thousand files.
const MAX_MANIFEST: usize = 64 * 1024 * 1024;

/// Where the archive has the root's public key and the trust document.
const VOUCHING: [&str; 2] = ["fleet/root.pub", "fleet/trust.cose"];

/// Only the version, which is looked at before the rest.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
    software: String,
}

/// What is done with one file: read it, or not.
pub(super) type Keep<'a> = dyn FnMut(&Entry, &mut dyn Read) -> Result<()> + 'a;

/// Reads a backup to its end without restoring it, and gives its manifest. `root`: whose fleet it must be.
///
/// # Errors
/// When it does not open, is damaged, cut short, of a newer version, or not signed by its fleet or by another one.
pub fn check(input: impl BufRead, opener: &Opener, root: Option<&PublicKey>) -> Result<Manifest> {
    read(input, opener, root, &mut |_, _| Ok(()))
}

/// Reads a backup to its end; `keep` gets each file in turn, before anything is known to be true.
pub(super) fn read(
    input: impl BufRead,
    opener: &Opener,
    root: Option<&PublicKey>,
    keep: &mut Keep<'_>,
) -> Result<Manifest> {
    let mut archive = Reader::new(BufReader::with_capacity(64 * 1024, opener.open(input)?));
    let listed = whole(&mut archive, MANIFEST, MAX_MANIFEST)?;
    let signature = whole(&mut archive, SIGNATURE, MAX_SIGNATURE)?;
    let manifest = parse(&listed)?;
    let (mut public, mut trust) = (None, None);
    for file in &manifest.files {
        let vouches = VOUCHING.contains(&file.path.as_str());
        let content = next(&mut archive, file, vouches, keep)?;
        match file.path.as_str() {
            path if path == VOUCHING[0] => public = Some(content),
            path if path == VOUCHING[1] => trust = Some(content),
            _ => {}
        }
    }
    if archive.next(|_, _| Ok(())).map_err(damaged)?.is_some() {
        bail!(Refusal::Data("the backup holds more than its manifest lists".into()));
    }
    let unvouched = || Refusal::Data("the backup holds no root key and trust document that vouch for it".into());
    let public = public.and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<PublicKey>().ok());
    let (public, trust) = public.zip(trust).with_context(unvouched)?;
    let document = TrustDocument::decode(&trust, &public).with_context(unvouched)?;
    if let Some(wanted) = root.filter(|wanted| **wanted != public) {
        bail!(Refusal::Data(format!("this is the backup of another fleet: its root is {public}, {wanted} is wanted")));
    }
    let mut keys = document.keys.iter().filter(|key| !document.revoked.contains(&key.id()));
    let signed = keys.any(|key| {
        let key = (key.purpose == Purpose::Command).then(|| key.key.parse().ok()).flatten();
        key.is_some_and(|key| is_signed(&listed, &signature, &key))
    });
    if !signed || manifest.root != public {
        bail!(Refusal::Data("the backup is not signed by a command key of its fleet: somebody else made it".into()));
    }
    Ok(manifest)
}

/// The next file, which must be `path`, in memory.
fn whole<R: Read>(archive: &mut Reader<R>, path: &str, longest: usize) -> Result<Vec<u8>> {
    let taken = archive.next(|entry, content| Ok((entry.path == path, read_up_to(content, longest)?)));
    match taken.map_err(damaged)? {
        Some((true, bytes)) => Ok(bytes.to_vec()),
        Some((false, _)) | None => {
            Err(anyhow!(Refusal::Data(format!("this is no backup of a fleet: it has no {path}"))))
        }
    }
}

fn parse(listed: &[u8]) -> Result<Manifest> {
    let unreadable = || Refusal::Data("the backup's manifest cannot be read: take another copy of the backup".into());
    let Versioned { v, software } = serde_json::from_slice(listed).with_context(unreadable)?;
    if v > VERSION {
        bail!(Refusal::Usage(format!(
            "the backup is of version {v}, made by Examgate {software}; this program reads up to version {VERSION}: install that one"
        )));
    }
    serde_json::from_slice(listed).with_context(unreadable)
}

/// The content of one file, read once: to be hashed and written.
struct Passing<'a> {
    content: &'a mut dyn Read,
    hash: Sha256,
    copy: Option<Vec<u8>>,
}

impl Read for Passing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hash.update(&buffer[..read]);
        if let Some(copy) = &mut self.copy {
            copy.extend(&buffer[..read]);
        }
        Ok(read)
    }
}

/// The next file, which must be `listed`. Gives its content if that is `wanted`.
fn next<R: Read>(archive: &mut Reader<R>, listed: &KeptFile, wanted: bool, keep: &mut Keep<'_>) -> Result<Vec<u8>> {
    let other = || Refusal::Data(format!("the backup's {} is not what its manifest lists", listed.path));
    let taken = archive.next(|entry, content| {
        if (&entry.path, entry.mode, entry.size) != (&listed.path, listed.mode, listed.size)
            || wanted && entry.size > MAX_TRUST as u64
        {
            return Ok(Err(other().into()));
        }
        let mut passing = Passing { content, hash: Sha256::new(), copy: wanted.then(Vec::new) };
        if let Err(error) = keep(&entry, &mut passing) {
            return Ok(Err(error));
        }
        io::copy(&mut passing, &mut io::sink())?;
        let is_it = <[u8; 32]>::from(passing.hash.finalize()) == listed.sha256;
        Ok(if is_it { Ok(passing.copy.unwrap_or_default()) } else { Err(other().into()) })
    });
    taken.map_err(damaged)?.with_context(other)?
}
