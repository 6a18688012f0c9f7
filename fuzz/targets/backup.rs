//! Backups: any bytes as the archive inside one, whose files all stay below their folder; and as the signature over its manifest.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    backup::is_signed,
    keys::{PublicKey, SigningKey},
};
use examgate_fuzz::{SEED, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

/// The part of the fleet's library that reads the archive.
#[path = "../../fleet/core/src/backup"]
mod backup {
    use std::{io, path::Path};

    #[expect(dead_code, reason = "a backup is written with the rest")]
    mod tar;

    /// Reads an archive to its end.
    pub(super) fn read(bytes: &[u8]) -> io::Result<()> {
        let mut archive = tar::Reader::new(bytes);
        let mut left = bytes.len() as u64;
        while let Some(size) = archive.next(|entry, content| {
            let path = Path::new(&entry.path);
            assert!(path.is_relative() && path.iter().all(|part| part != ".."), "{path:?}");
            assert!(entry.mode <= 0o777);
            let read = io::copy(content, &mut io::sink())?;
            assert!(read <= entry.size);
            Ok(read)
        })? {
            assert!(size <= left, "more comes out than there is");
            left -= size;
        }
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = backup::read(bytes);
    for signature in [bytes, &signed("examgate/backup/v1", bytes)] {
        let _ = is_signed(b"manifest", signature, &KEY);
    }
});
