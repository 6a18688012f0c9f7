//! Keys as files: what is read, what is refused, and that erased means gone.

use super::*;
use crate::domain::ExamId;

fn put(path: &Path, content: &[u8], mode: u32) {
    // A file that is there may be one that only root could write to.
    let _ = fs::remove_file(path);
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
    put(&credentials.join("root.key"), &fs::read(folder.join("root.key")).unwrap(), 0o440);
    let sealed = KeyFolder::new(&folder, Some(credentials));
    fs::remove_file(folder.join("root.key")).unwrap();
    assert_eq!(sealed.read(KeyName::Exam(&exam)).unwrap().expose(), made.expose());
    assert!(matches!(keys.read(KeyName::Exam(&exam)), Err(KeyError::RootMissing { .. })));
}

#[test]
fn no_second_root_key_is_made_or_used_beside_shares_of_another() {
    let box_ = tempfile::tempdir().unwrap();
    let (folder, credentials) = (box_.path().join("keys"), box_.path().join("credentials"));
    fs::create_dir(&credentials).unwrap();
    put(&credentials.join("root.key"), &[7; 32], 0o400);
    let sealed = KeyFolder::new(&folder, Some(credentials.clone()));
    assert!(!sealed.provision().unwrap(), "the root key was handed over");
    assert!(!folder.join("root.key").exists() && !sealed.is_bound());
    sealed.make(KeyName::Events).unwrap();
    assert!(sealed.is_bound());

    let plain = KeyFolder::new(&folder, None);
    for noted in [true, false] {
        let said = plain.provision().unwrap_err().to_string();
        assert!(said.contains("root.key") && said.contains("--credentials"), "{said}");
        assert!(matches!(plain.lacks_root(), Err(KeyError::RootMissing { .. })));
        assert!(!folder.join("root.key").exists(), "a second root key");
        // Folders of before note no root key, but their shares tell.
        if noted {
            fs::remove_file(folder.join("root.check")).unwrap();
        }
    }
    sealed.bind().unwrap();
    put(&folder.join("root.key"), &[8; 32], 0o600);
    let refused = plain.read(KeyName::Events).unwrap_err();
    assert!(matches!(&refused, KeyError::AnotherRoot { path, .. } if *path == folder.join("root.key")), "{refused}");
    assert!(matches!(plain.make(KeyName::Exam(&ExamId::new("A").unwrap())), Err(KeyError::AnotherRoot { .. })));
    sealed.read(KeyName::Events).unwrap();

    // A box that starts before anything was imported claims the folder.
    let fresh = KeyFolder::new(box_.path().join("fresh"), Some(credentials));
    fresh.provision().unwrap();
    fresh.bind().unwrap();
    let plain = KeyFolder::new(fresh.folder(), None);
    assert!(matches!(plain.provision(), Err(KeyError::RootMissing { .. })));
}

#[test]
fn each_secret_comes_from_the_credentials_if_it_is_there() {
    let box_ = tempfile::tempdir().unwrap();
    let (folder, credentials) = (box_.path().join("keys"), box_.path().join("credentials"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&credentials).unwrap();
    let keys = KeyFolder::new(&folder, Some(credentials.clone()));
    for secret in Secret::ALL {
        assert_eq!(keys.source(secret).unwrap(), None, "{secret:?}");
        assert!(matches!(keys.text(secret), Err(KeyError::Missing { .. })));
        put(&folder.join(secret.name()), &[1; 32], 0o600);
        assert_eq!((keys.source(secret).unwrap(), *keys.secret(secret).unwrap()), (Some(Source::Folder), [1; 32]));
        put(&credentials.join(secret.name()), &[2; 32], 0o440);
        assert_eq!((keys.source(secret).unwrap(), *keys.secret(secret).unwrap()), (Some(Source::Credential), [2; 32]));
    }
    put(&credentials.join("pepper.key"), b"short", 0o400);
    let said = keys.secret(Secret::Pepper).unwrap_err().to_string();
    assert!(said.contains("credentials/pepper.key") && said.contains("32 bytes"), "{said}");

    // Read ahead, they are there when the folder is not any more.
    let held = KeyFolder::with(&folder, Credentials::new(Some(credentials.clone())).hold().unwrap());
    fs::remove_dir_all(&credentials).unwrap();
    assert_eq!(*held.secret(Secret::Root).unwrap(), [2; 32]);
    assert!(!format!("{held:?}").contains("[2, 2"), "{held:?}");
}

#[test]
fn a_card_key_is_16_bytes_or_32_digits() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, path) = (KeyFolder::new(folder.path(), None), folder.path().join("card-desfire.key"));
    let key = [0xA5; 16];
    let digits = hex::encode(key);
    for (content, good) in [
        (&key[..], true),
        (digits.as_bytes(), true),
        (format!("{digits}\n").as_bytes(), true),
        (&[0xA5; 32], false),
        (&key[..15], false),
        (&digits.as_bytes()[..30], false),
        (b"", false),
    ] {
        put(&path, content, 0o600);
        match keys.card_key(Secret::CardDesfire) {
            Ok(read) => assert!(good && *read == key, "{content:?}"),
            Err(error) => {
                assert!(!good && matches!(error, KeyError::MalformedCardKey { .. }), "{error}");
                assert!(!error.to_string().contains("a5"), "{error}");
            }
        }
    }
    put(&path, &key, 0o644);
    assert!(matches!(keys.card_key(Secret::CardDesfire), Err(KeyError::Exposed { .. })));
}

#[test]
fn a_text_is_read_as_it_is_and_not_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, path) = (KeyFolder::new(folder.path(), None), folder.path().join("tls.key"));
    put(&path, b"-----BEGIN\n", 0o600);
    assert_eq!(&**keys.text(Secret::Tls).unwrap(), b"-----BEGIN\n");
    put(&path, b"-----BEGIN\n", 0o640);
    assert!(keys.text(Secret::Tls).unwrap_err().to_string().contains("0640"));
    put(&path, &vec![0; LARGEST as usize + 1], 0o600);
    assert!(keys.text(Secret::Tls).unwrap_err().to_string().contains("64 KiB"));
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
    // What still points to the bytes on the disk finds zeros.
    let other = folder.path().join("copy");
    fs::hard_link(keys.path(name), &other).unwrap();
    assert!(keys.holds(name) && keys.erase(name).unwrap() && !keys.holds(name));
    assert!(fs::read(&other).unwrap().iter().all(|&byte| byte == 0), "the share was only unlinked");
    assert!(matches!(keys.read(name), Err(KeyError::Missing { .. })));
    assert_ne!(keys.make(name).unwrap().expose(), first.expose());
}
