//! ZIP archives of photos and tables: opened or refused, and every file that is listed is read to its length or refused.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use examgate_enrol::archive::{Archive, is_archive};
use libfuzzer_sys::fuzz_target;

/// Longest file that is unpacked here, bytes.
const MOST: u64 = 1 << 20;

/// In memory: an archive is opened by its path.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| PathBuf::from(format!("/dev/shm/examgate-fuzz-{}.zip", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*FILE, bytes).expect("there is memory");
    let _ = is_archive(&FILE).expect("it can be read");
    if let Ok(archive) = Archive::open(&FILE) {
        for entry in archive.entries().iter().take(16) {
            assert!(!entry.path.starts_with('/') && entry.path.split('/').all(|part| part != ".."));
            assert_eq!(archive.find(&entry.path), Some(entry));
            if let Ok(content) = archive.read(entry, MOST) {
                assert!(content.len() as u64 <= MOST);
            }
        }
    }
    fs::remove_file(&*FILE).expect("it was there");
});
