//! Keys as files: what is read, what is refused, and that erased means gone.

use super::*;
use crate::domain::ExamId;

fn put(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn reads_bytes_and_digits_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    let digits = "ab".repeat(32);
    let (line, lines) = (format!("{digits}\n"), format!("{digits}\n\n"));
    let cases: [(&[u8], bool); 9] = [
        (&[0xab; 32], true),
        (digits.as_bytes(), true),
        (line.as_bytes(), true),
        (b"", false),
        (&[0xab; 31], false),
        (&[0xab; 33], false),
        (&[b'x'; 64], false),
        (lines.as_bytes(), false),
        (&[b'a'; 10_000], false),
    ];
    for (content, good) in cases {
        put(&path, content, 0o600);
        match Key::read(&path) {
            Ok(key) => assert!(good && key.expose() == &[0xab; 32]),
            Err(error) => assert!(!good && matches!(error, KeyError::Malformed { .. }), "{error}"),
        }
    }
}

#[test]
fn refuses_what_others_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
        put(&path, &[1; 32], mode);
        match read_secret(&path) {
            Ok(_) => assert!(good, "{mode:o}"),
            Err(error) => assert!(!good && matches!(error, KeyError::Exposed { .. }), "{mode:o}: {error}"),
        }
    }
    assert!(matches!(Key::read(&folder.path().join("none")), Err(KeyError::Missing { .. })));
}

#[test]
fn never_overwrites_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    let key = Key::generate().unwrap();
    key.write_new(&path).unwrap();
    assert!(matches!(Key::generate().unwrap().write_new(&path), Err(KeyError::Exists { .. })));
    assert_eq!(Key::read(&path).unwrap().expose(), key.expose());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the key");
}

#[test]
fn two_keys_are_never_the_same_and_never_shown() {
    let (one, two) = (Key::generate().unwrap(), Key::generate().unwrap());
    assert_ne!(one.expose(), two.expose());
    assert_eq!(format!("{one:?}"), "Key(redacted)");
}

#[test]
fn a_share_is_worthless_without_its_root() {
    let box_ = tempfile::tempdir().unwrap();
    let folder = box_.path().join("keys");
    let exam = ExamId::new("MATH-1").unwrap();
    let keys = KeyFolder::new(&folder, None);
    keys.provision().unwrap();
    keys.provision().unwrap();
    let made = keys.make(KeyName::Exam(&exam)).unwrap();
    assert_eq!(keys.read(KeyName::Exam(&exam)).unwrap().expose(), made.expose());
    assert_ne!(Key::read(&keys.path(KeyName::Exam(&exam))).unwrap().expose(), made.expose());
    assert_ne!(keys.make(KeyName::Events).unwrap().expose(), made.expose());

    // The root key as systemd hands it over: with the group bits of an ACL mask.
    let credentials = box_.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    put(&credentials.join(KeyFolder::ROOT), &fs::read(folder.join(KeyFolder::ROOT)).unwrap(), 0o440);
    let sealed = KeyFolder::new(&folder, Some(credentials));
    fs::remove_file(folder.join(KeyFolder::ROOT)).unwrap();
    assert_eq!(sealed.read(KeyName::Exam(&exam)).unwrap().expose(), made.expose());
    assert!(matches!(keys.read(KeyName::Exam(&exam)), Err(KeyError::Missing { .. })));
}

#[test]
fn an_erased_key_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let exam = ExamId::new("MATH-1").unwrap();
    let keys = KeyFolder::new(folder.path(), None);
    keys.provision().unwrap();
    let name = KeyName::Exam(&exam);
    assert!(!keys.holds(name) && !keys.erase(name).unwrap());
    let first = keys.make(name).unwrap();
    assert!(keys.holds(name) && keys.erase(name).unwrap() && !keys.holds(name));
    assert!(matches!(keys.read(name), Err(KeyError::Missing { .. })));
    assert_ne!(keys.make(name).unwrap().expose(), first.expose());
}
