//! Keys as credentials: imports beside a sealed root key, who owns what is made, and erasing an exam.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use examgate::{
    domain::{ExamId, Pepper, Timestamp},
    store::{Credentials, KeyFolder, KeyName, Layout, RosterStore},
};

use super::{Ran, bare, fleet};

const CSV: &str = "student_id,given_name,card,room,photos\nN1,Zebulonia,04A2B3C4,R1,\n";
const EXAM: &str = "MATH-1";
/// Nobody's number: `nobody` on Debian.
const SERVICE: u32 = 65_534;

fn import(folder: &Path, more: &[&str]) -> Ran {
    fs::write(folder.join("roster.csv"), CSV).unwrap();
    fs::create_dir_all(folder.join("photos")).unwrap();
    let mut arguments = vec!["roster", "import"];
    for pair in [
        ["--csv", "roster.csv"],
        ["--photos", "photos"],
        ["--exam", EXAM],
        ["--title", "Algebra"],
        ["--opens", "2026-12-14T08:30:00-05:00"],
        ["--closes", "2026-12-14T09:15:00-05:00"],
        ["--store", "state"],
        ["--keys", "keys"],
    ] {
        if !more.contains(&pair[0]) {
            arguments.extend(pair);
        }
    }
    fleet(folder, &[&arguments, more].concat())
}

fn erase(folder: &Path, more: &[&str]) -> Ran {
    let usual = ["roster", "erase", "--exam", EXAM, "--store", "state", "--keys", "keys"];
    bare(folder, &[&usual[..], more].concat())
}

/// A folder of credentials as systemd makes it: read-only, for its reader alone.
fn credentials(folder: &Path, names: &[(&str, [u8; 32])]) -> PathBuf {
    let credentials = folder.join("credentials");
    fs::create_dir_all(&credentials).unwrap();
    for (name, bytes) in names {
        let path = credentials.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
    }
    credentials
}

/// The roster opens, with the root key among `credentials`, and was made with the pepper of these bytes.
#[track_caller]
fn opens(folder: &Path, credentials: Option<&Path>, pepper: [u8; 32]) {
    let exam = ExamId::new(EXAM).unwrap();
    let keys = KeyFolder::with(folder.join("keys"), Credentials::new(credentials.map(Path::to_owned)));
    let key = keys.read(KeyName::Exam(&exam)).unwrap();
    let roster = RosterStore::look(&Layout::new(folder.join("state")).exam(&exam), &key).unwrap();
    assert_eq!(roster.len().unwrap(), 1);
    assert_eq!(roster.pepper().unwrap(), Some(Pepper::from_bytes(pepper).check()));
}

#[test]
fn a_roster_is_imported_with_a_root_key_that_is_a_credential() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sealed = credentials(here, &[("root.key", [1; 32]), ("pepper.key", [2; 32])]);
    import(here, &["--credentials", "credentials"]).expect(0);
    for name in ["root.key", "pepper.key"] {
        assert!(!here.join("keys").join(name).exists(), "{name} lies plain");
    }
    opens(here, Some(&sealed), [2; 32]);

    // Whoever forgets the credential is told, and nothing is made.
    for command in [
        import(here, &[]).expect(64),
        import(here, &["--exam", "MATH-2"]).expect(64),
        bare(here, &["proctor", "list", "--exam", EXAM, "--store", "state", "--keys", "keys"]).expect(64),
    ] {
        command.says(&["root key", "examgate-with-keys", "--credentials"]);
    }
    assert!(!here.join("keys/root.key").exists(), "a second root key");
    // Another root key beside is not used, nor another credential.
    fs::write(here.join("keys/root.key"), [9; 32]).unwrap();
    fs::set_permissions(here.join("keys/root.key"), fs::Permissions::from_mode(0o600)).unwrap();
    import(here, &[]).expect(64).says(&["not the root key", "keys/root.key"]);
    credentials(here, &[]);
    fs::remove_file(here.join("keys/root.key")).unwrap();
    opens(here, Some(&sealed), [2; 32]);

    // As systemd hands it over: by the environment.
    let output = Command::new(env!("CARGO_BIN_EXE_examgate-fleet"))
        .args(["proctor", "add", "--exam", EXAM, "--store", "state", "--keys", "keys", "--id", "lee", "--name", "Lee"])
        .args(["--card", "04C0FFEE"])
        .env("CREDENTIALS_DIRECTORY", &sealed)
        .current_dir(here)
        .stdin(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write as _;
            child.stdin.take().unwrap().write_all(b"481516\n")?;
            child.wait_with_output()
        })
        .unwrap();
    assert!(output.status.success());
    let listed = bare(
        here,
        &["proctor", "list", "--exam", EXAM, "--store", "state", "--keys", "keys", "--credentials", "credentials"],
    );
    assert_eq!(listed.expect(0).stdout, "lee\tLee\n");
}

#[test]
fn folders_of_before_are_told_apart_by_what_opens() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    credentials(here, &[("root.key", [1; 32])]);
    import(here, &["--credentials", "credentials"]).expect(0);
    fs::remove_file(here.join("keys/root.check")).unwrap();
    import(here, &["--exam", "MATH-2"]).expect(64).says(&["root key", "examgate-with-keys"]);
    assert!(!here.join("keys/root.key").exists(), "a second root key");
    fs::write(here.join("keys/root.key"), [9; 32]).unwrap();
    fs::set_permissions(here.join("keys/root.key"), fs::Permissions::from_mode(0o600)).unwrap();
    import(here, &["--exam", "MATH-2"]).expect(64).says(&["nothing in state opens", "keys/root.key"]);
    fs::remove_file(here.join("keys/root.key")).unwrap();
    import(here, &["--exam", "MATH-2", "--credentials", "credentials"]).expect(0);
    assert!(here.join("keys/root.check").exists());
}

#[test]
fn a_proctors_card_is_not_taken_with_another_pepper() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    import(here, &[]).expect(0).says(&["made the root key keys/root.key", "made the fleet's pepper"]);
    fs::write(here.join("other.key"), [7; 32]).unwrap();
    fs::set_permissions(here.join("other.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let add =
        "proctor add --exam MATH-1 --store state --keys keys --id lee --name Lee --card 04C0FFEE --pepper other.key";
    bare(here, &add.split(' ').collect::<Vec<_>>()).expect(64).says(&["another pepper"]);
    import(here, &["--pepper", "other.key"]).expect(0).says(&["not the pepper of --keys"]);
}

#[test]
fn what_root_imports_belongs_to_the_user_of_the_box() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    if here.metadata().unwrap().uid() != 0 {
        // Whoever is not root owns what they make.
        import(here, &[]).expect(0);
        assert_eq!(here.join("keys/root.key").metadata().unwrap().uid(), here.metadata().unwrap().uid());
        return;
    }
    // As systemd-tmpfiles makes it; the state folder comes to be with the import.
    fs::create_dir(here.join("keys")).unwrap();
    chown(here.join("keys"), Some(SERVICE), Some(SERVICE)).unwrap();
    import(here, &[]).expect(0);
    import(here, &["--title", "Algebra, final"]).expect(0);
    let mut found = 0;
    let mut folders = vec![here.join("keys"), here.join("state")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([folder.clone()]) {
            assert_eq!(path.metadata().unwrap().uid(), SERVICE, "{}", path.display());
            found += 1;
            if path.is_dir() && path != folder {
                folders.push(path);
            }
        }
    }
    assert!(found >= 8, "{found}");

    chown(here.join("state"), Some(0), Some(0)).unwrap();
    import(here, &[]).expect(64).says(&["state belongs to user 0", "keys to user 65534", "chown"]);
}

/// Whether `needle` lies in any file below `folder`.
fn lies_in(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
                return Some(path);
            }
        }
    }
    None
}

#[test]
fn an_erased_exam_is_gone_from_the_disk_and_what_is_left_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    import(here, &[]).expect(0);
    import(here, &["--exam", "MATH-2"]).expect(0);
    let exam = ExamId::new(EXAM).unwrap();
    let (keys, layout) = (KeyFolder::new(here.join("keys"), None), Layout::new(here.join("state")));
    let share = fs::read(keys.path(KeyName::Exam(&exam))).unwrap();
    let key = keys.read(KeyName::Exam(&exam)).unwrap();
    // What a backup, or flash memory, may keep.
    let backup = tempfile::tempdir().unwrap();
    fs::copy(layout.exam(&exam), backup.path().join("MATH-1.db")).unwrap();
    fs::hard_link(keys.path(KeyName::Exam(&exam)), backup.path().join("share")).unwrap();
    assert!(lies_in(&here.join("keys"), &share).is_some(), "the search finds what it is for");

    let asked = erase(here, &[]).expect(64).says(&["was not typed", "--yes"]);
    assert!(asked.stdout.is_empty() && layout.exam(&exam).exists() && keys.holds(KeyName::Exam(&exam)));
    let erased = erase(here, &["--yes"]).expect(0);
    for said in
        ["erased the roster of MATH-1: its key, then its files", "left: the root key is a plain file", "left: the CSV"]
    {
        assert!(erased.stdout.contains(said), "{}", erased.stdout);
    }

    for folder in [here.join("keys"), here.join("state"), backup.path().to_owned()] {
        for needle in [&share[..], key.expose(), hex(key.expose()).as_bytes(), b"Zebulonia"] {
            assert_eq!(lies_in(&folder, needle), None);
        }
    }
    assert!(!layout.exam(&exam).exists() && layout.exams().unwrap().len() == 1);
    let rest = keys.make(KeyName::Exam(&exam)).unwrap();
    assert!(RosterStore::look(&backup.path().join("MATH-1.db"), &rest).is_err(), "what is left opens the copy");
    keys.erase(KeyName::Exam(&exam)).unwrap();
    erase(here, &["--yes"]).expect(64).says(&["nothing of MATH-1 is here"]);
    // The other exam is as it was.
    let other = ExamId::new("MATH-2").unwrap();
    RosterStore::look(&layout.exam(&other), &keys.read(KeyName::Exam(&other)).unwrap()).unwrap();
}

#[test]
fn an_exam_that_a_program_has_open_is_erased_by_force_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    import(here, &[]).expect(0);
    let exam = ExamId::new(EXAM).unwrap();
    let (keys, layout) = (KeyFolder::new(here.join("keys"), None), Layout::new(here.join("state")));
    let key = keys.read(KeyName::Exam(&exam)).unwrap();
    let open = RosterStore::open(&layout.exam(&exam), &key).unwrap();
    assert!(open.exam().unwrap().is_some_and(|exam| exam.window.opens > Timestamp::UNIX_EPOCH));
    erase(here, &["--yes"]).expect(64).says(&["has the roster of MATH-1 open", "systemctl stop examgate", "--force"]);
    assert!(keys.holds(KeyName::Exam(&exam)) && layout.exam(&exam).exists());
    let erased = erase(here, &["--yes", "--force"]).expect(0);
    assert!(erased.stdout.contains("left: a program still has the roster open"), "{}", erased.stdout);
    assert!(!keys.holds(KeyName::Exam(&exam)) && !layout.exam(&exam).exists());
    drop(open);
    // An erasure that broke off after the key is finished.
    import(here, &["--exam", "MATH-2"]).expect(0);
    fs::rename(layout.exam(&ExamId::new("MATH-2").unwrap()), layout.exam(&exam)).unwrap();
    let erased = erase(here, &["--yes"]).expect(0);
    assert!(erased.stdout.contains("its key was erased before"), "{}", erased.stdout);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
