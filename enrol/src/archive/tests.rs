//! Archives of offices, and those made to harm.

use std::{fs, io::Write, path::PathBuf};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

/// An archive with these files in a folder of its own.
fn packed(files: &[(&str, &[u8])], method: CompressionMethod) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    (folder, path)
}

/// Replaces bytes everywhere in a file, by as many.
fn patched(path: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<_> = (0..=bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "nothing to patch");
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    fs::write(path, bytes).unwrap();
}

#[test]
fn files_are_found_and_read() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let (_folder, path) = packed(&[("b/Zoë.jpg", b"zoe"), ("a.txt", b"hello"), ("c/", b"")], method);
        assert!(is_archive(&path).unwrap());
        let archive = Archive::open(&path).unwrap();
        let names: Vec<_> = archive.entries().iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(names, ["a.txt", "b/Zoë.jpg"]);
        let zoe = archive.find("b/Zoë.jpg").unwrap();
        assert_eq!(archive.read(zoe, 3).unwrap(), b"zoe");
        assert!(matches!(archive.read(zoe, 2), Err(EntryError::TooLarge(2))));
        assert!(archive.find("zoe.jpg").is_none());
    }
}

#[test]
fn utf8_that_is_not_declared_is_utf8() {
    let (_folder, path) = packed(&[("Zo__.jpg", b"zoe")], CompressionMethod::Stored);
    patched(&path, b"Zo__.jpg", "Zoë.jpg".as_bytes());
    assert_eq!(Archive::open(&path).unwrap().entries()[0].path, "Zoë.jpg");
}

#[test]
fn names_that_lead_out_are_refused() {
    for (name, wanted) in [
        ("a/b.jpg", Some("a/b.jpg")),
        ("./b.jpg", Some("b.jpg")),
        ("a\\b.jpg", Some("a/b.jpg")),
        ("a..b/...jpg", Some("a..b/...jpg")),
        ("../b.jpg", None),
        ("a/../../b.jpg", None),
        ("a\\..\\b.jpg", None),
        ("/etc/passwd", None),
        ("\\\\server\\b.jpg", None),
        ("C:\\b.jpg", None),
        ("", None),
        ("a\0.jpg", None),
    ] {
        assert_eq!(inside(name).as_deref(), wanted, "{name:?}");
    }
    let (_folder, path) = packed(&[("aa/b.jpg", b"x")], CompressionMethod::Stored);
    patched(&path, b"aa/b.jpg", b"../b.jpg");
    assert!(matches!(Archive::open(&path), Err(ArchiveError::LeadsOut(name)) if name == "../b.jpg"));
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let (_folder, path) = packed(&[("a.jpg", b"one"), ("b.jpg", b"two")], CompressionMethod::Stored);
    patched(&path, b"b.jpg", b"a.jpg");
    assert!(matches!(Archive::open(&path), Err(ArchiveError::Twice(_))));
    let (_folder, path) = packed(&[("a/x.jpg", b"one"), ("a_x.jpg", b"two")], CompressionMethod::Stored);
    patched(&path, b"a_x.jpg", b"a\\x.jpg");
    assert!(matches!(Archive::open(&path), Err(ArchiveError::Twice(name)) if name == "a/x.jpg"));
}

#[test]
fn a_bomb_is_unpacked_no_further_than_asked() {
    let zeros = vec![0; 32 * 1024 * 1024];
    let (_folder, path) = packed(&[("bomb.jpg", &zeros)], CompressionMethod::Deflated);
    assert!(fs::metadata(&path).unwrap().len() < 100_000);
    let archive = Archive::open(&path).unwrap();
    assert!(matches!(archive.read(&archive.entries()[0], 1000), Err(EntryError::TooLarge(1000))));
    // The same, with a list that claims ten bytes.
    let length = u32::try_from(zeros.len()).unwrap().to_le_bytes();
    patched(&path, &length, &10_u32.to_le_bytes());
    let archive = Archive::open(&path).unwrap();
    assert!(archive.read(&archive.entries()[0], 1000).is_err());
}

#[test]
fn files_that_share_their_bytes_are_refused() {
    let (_folder, path) = packed(&[("a.jpg", &[7; 500]), ("b.jpg", &[7; 500])], CompressionMethod::Stored);
    let bytes = fs::read(&path).unwrap();
    // The second record of the list gets the offset of the first file (APPNOTE.TXT, 4.3.12: 42 bytes into it).
    let records: Vec<_> = (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(b"PK\x01\x02")).collect();
    let mut harmed = bytes.clone();
    harmed[records[1] + 42..records[1] + 46].copy_from_slice(&[0; 4]);
    fs::write(&path, &harmed).unwrap();
    assert!(Archive::open(&path).is_err());
}

#[test]
fn what_is_no_whole_archive_is_refused() {
    let (folder, path) = packed(&[("a.jpg", &[7; 500])], CompressionMethod::Stored);
    let bytes = fs::read(&path).unwrap();
    for (name, content) in [("cut.zip", &bytes[..bytes.len() - 30]), ("text.zip", b"no archive"), ("empty.zip", b"")] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        assert!(matches!(Archive::open(&path), Err(ArchiveError::Damaged(_))), "{name}");
    }
    let mut harmed = bytes;
    let at = harmed.iter().position(|&byte| byte == 7).unwrap();
    harmed[at + 100] ^= 1;
    fs::write(&path, harmed).unwrap();
    let archive = Archive::open(&path).unwrap();
    assert!(matches!(archive.read(&archive.entries()[0], 1000), Err(EntryError::Damaged(_))), "checksum");
}

#[test]
fn a_password_is_named() {
    let (_folder, path) = packed(&[("a.jpg", &[7; 500])], CompressionMethod::Stored);
    let bytes = fs::read(&path).unwrap();
    let mut harmed = bytes;
    // Bit 0 of the general purpose flags: encrypted (APPNOTE.TXT, 4.4.4).
    harmed[6] |= 1;
    let record = (0..harmed.len()).find(|&at| harmed[at..].starts_with(b"PK\x01\x02")).unwrap();
    harmed[record + 8] |= 1;
    fs::write(&path, harmed).unwrap();
    let archive = Archive::open(&path).unwrap();
    assert!(matches!(archive.read(&archive.entries()[0], 1000), Err(EntryError::Locked)));
}
