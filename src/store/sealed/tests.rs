//! Every way a database file can be wrong, made for real, and that none of them is written to.

use std::io::{Seek, SeekFrom, Write};

use rusqlite::types::Value;

use super::*;

const KIND: Kind = Kind {
    application_id: 1,
    name: "a test",
    migrations: &[Migration { name: "things", sql: "CREATE TABLE things (a BLOB) STRICT" }],
};

const KEY: Key = Key::from_bytes([7; 32]);

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("some.db")
    }

    /// A closed database of many pages.
    fn filled(&self) -> PathBuf {
        let mut sealed = Sealed::open_or_create(&self.path(), &KEY, &KIND).unwrap();
        let transaction = sealed.write().unwrap();
        for _ in 0..100 {
            transaction.execute("INSERT INTO things VALUES (randomblob(2000))", []).unwrap();
        }
        transaction.commit().unwrap();
        self.path()
    }
}

fn damage(path: &Path, at: u64) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(b"damaged!").unwrap();
}

/// Opens what must not open, and holds the file to what it was.
fn refused(path: &Path, key: &Key, kind: &Kind) -> Fault {
    let before = fs::read(path).unwrap();
    let fault = Sealed::open_or_create(path, key, kind).unwrap_err();
    assert_eq!(fs::read(path).unwrap(), before, "a refused file was written to");
    fault
}

#[test]
fn is_encrypted_and_private() {
    use std::os::unix::fs::PermissionsExt;

    let bench = Bench::new();
    let mut sealed = Sealed::open_or_create(&bench.path(), &KEY, &KIND).unwrap();
    let transaction = sealed.write().unwrap();
    transaction.execute("INSERT INTO things VALUES (CAST('a-very-clear-text' AS BLOB))", []).unwrap();
    transaction.commit().unwrap();
    for file in fs::read_dir(bench.folder.path()).unwrap() {
        let file = file.unwrap();
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(17).any(|w| w == b"a-very-clear-text"), "{:?}", file.path());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
}

#[test]
fn is_configured_for_power_cuts() {
    let bench = Bench::new();
    let sealed = Sealed::open_or_create(&bench.path(), &KEY, &KIND).unwrap();
    for (pragma, wanted) in [
        ("journal_mode", Value::from("wal".to_owned())),
        ("synchronous", 2.into()),
        ("foreign_keys", 1.into()),
        ("secure_delete", 1.into()),
        ("temp_store", 2.into()),
        ("trusted_schema", 0.into()),
    ] {
        let value: Value = sealed.connection().query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap();
        assert_eq!(value, wanted, "{pragma}");
    }
}

#[test]
fn opens_again_and_verifies() {
    let bench = Bench::new();
    let path = bench.filled();
    let sealed = Sealed::open(&path, &KEY, &KIND).unwrap();
    sealed.verify().unwrap();
    let things: i64 = sealed.connection().query_row("SELECT count(*) FROM things", [], |row| row.get(0)).unwrap();
    assert_eq!(things, 100);
}

#[test]
fn the_missing_is_not_made() {
    let bench = Bench::new();
    assert!(matches!(Sealed::open(&bench.path(), &KEY, &KIND), Err(Fault::Missing { .. })));
    assert!(!bench.path().exists());
    let nowhere = bench.folder.path().join("no/such.db");
    assert!(matches!(Sealed::open_or_create(&nowhere, &KEY, &KIND), Err(Fault::File { .. })));
}

#[test]
fn a_wrong_key_is_refused() {
    let path = Bench::new();
    let fault = refused(&path.filled(), &Key::from_bytes([8; 32]), &KIND);
    assert!(matches!(fault, Fault::WrongKey { .. }), "{fault}");
    let shown = fault.to_string();
    assert!(shown.contains("key is wrong") && shown.contains("damaged"), "{shown}");
}

#[test]
fn a_wrong_key_harms_no_log() {
    // As a power cut leaves it: the newest rows are only in the log.
    let (bench, crashed) = (Bench::new(), Bench::new());
    let mut sealed = Sealed::open_or_create(&bench.path(), &KEY, &KIND).unwrap();
    let transaction = sealed.write().unwrap();
    transaction.execute("INSERT INTO things VALUES (randomblob(2000))", []).unwrap();
    transaction.commit().unwrap();
    for file in ["some.db", "some.db-wal"] {
        fs::copy(bench.folder.path().join(file), crashed.folder.path().join(file)).unwrap();
    }
    let fault = Sealed::open(&crashed.path(), &Key::from_bytes([8; 32]), &KIND).unwrap_err();
    assert!(matches!(fault, Fault::WrongKey { .. }), "{fault}");
    let sealed = Sealed::open(&crashed.path(), &KEY, &KIND).unwrap();
    let things: i64 = sealed.connection().query_row("SELECT count(*) FROM things", [], |row| row.get(0)).unwrap();
    assert_eq!(things, 1);
}

#[test]
fn a_damaged_first_page_is_refused() {
    let bench = Bench::new();
    let path = bench.filled();
    damage(&path, 100);
    let fault = refused(&path, &KEY, &KIND);
    assert!(matches!(fault, Fault::WrongKey { .. }), "{fault}");
}

#[test]
fn a_damaged_later_page_is_found() {
    let bench = Bench::new();
    let path = bench.filled();
    damage(&path, 20 * PAGE + 100);
    let sealed = Sealed::open(&path, &KEY, &KIND).unwrap();
    let fault = sealed.verify().unwrap_err();
    assert!(matches!(fault, Fault::Corrupt { .. }), "{fault}");
    let sum = "SELECT sum(length(a)), max(a) FROM things";
    let error = sealed.connection().query_row(sum, [], |_| Ok(())).unwrap_err();
    let fault = Fault::of(&path, "read", error);
    assert!(matches!(fault, Fault::Corrupt { .. }), "{fault:?}");
}

#[test]
fn a_plain_database_is_refused() {
    let bench = Bench::new();
    Connection::open(bench.path()).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let fault = refused(&bench.path(), &KEY, &KIND);
    assert!(matches!(fault, Fault::Plain { .. }), "{fault}");
}

#[test]
fn what_is_no_database_is_refused() {
    let bench = Bench::new();
    fs::write(bench.path(), "hello").unwrap();
    let fault = refused(&bench.path(), &KEY, &KIND);
    assert!(matches!(fault, Fault::NotADatabase { .. }), "{fault}");
    fs::write(bench.path(), [1; 8192]).unwrap();
    let fault = refused(&bench.path(), &KEY, &KIND);
    assert!(matches!(fault, Fault::WrongKey { .. }), "{fault}");
}

#[test]
fn another_kind_is_refused() {
    let bench = Bench::new();
    let fault = refused(&bench.filled(), &KEY, &Kind { application_id: 2, name: "another", ..KIND });
    assert!(matches!(fault, Fault::WrongKind { wanted: "another", .. }), "{fault}");
}

#[test]
fn a_newer_schema_is_refused() {
    let bench = Bench::new();
    let fault = refused(&bench.filled(), &KEY, &Kind { migrations: &[], ..KIND });
    assert!(matches!(fault, Fault::NewerSchema { found: 1, known: 0, .. }), "{fault}");
}

#[test]
fn migrations_go_on_from_where_they_were() {
    let bench = Bench::new();
    let path = bench.filled();
    const GOOD: &[Migration] =
        &[KIND.migrations[0], Migration { name: "more", sql: "ALTER TABLE things ADD COLUMN b INTEGER" }];
    const BAD: &[Migration] =
        &[KIND.migrations[0], GOOD[1], Migration { name: "nonsense", sql: "CREATE TABLE c (a); CREATE NONSENSE" }];
    let fault = Sealed::open(&path, &KEY, &Kind { migrations: BAD, ..KIND }).unwrap_err();
    assert!(matches!(fault, Fault::Migrate { name: "nonsense", .. }), "{fault}");
    let sealed = Sealed::open(&path, &KEY, &Kind { migrations: GOOD, ..KIND }).unwrap();
    assert!(sealed.connection().prepare("SELECT b FROM things").is_ok());
    assert!(sealed.connection().prepare("SELECT a FROM c").is_err(), "half a step was left behind");
}

#[test]
fn writes_name_what_is_in_the_way() {
    let bench = Bench::new();
    let path = bench.filled();
    let mut one = Sealed::open(&path, &KEY, &KIND).unwrap();
    let mut two = Sealed::open(&path, &KEY, &KIND).unwrap();
    two.connection().busy_timeout(Duration::ZERO).unwrap();

    let busy = one.write().unwrap();
    let fault = two.write().map(drop).unwrap_err();
    assert!(matches!(fault, Fault::Locked { .. }), "{fault}");
    drop(busy);

    two.connection().pragma_update(None, "query_only", true).unwrap();
    let error = two.connection().execute("DELETE FROM things", []).unwrap_err();
    assert!(matches!(two.fault("write")(error), Fault::ReadOnly { .. }));

    let pages: i64 = one.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    one.connection().pragma_update(None, "max_page_count", pages).unwrap();
    let error = one.connection().execute("INSERT INTO things VALUES (zeroblob(100000))", []).unwrap_err();
    assert!(matches!(one.fault("write")(error), Fault::Full { .. }));
}

#[test]
fn a_half_made_database_is_made_whole() {
    // A power cut right after the file was made.
    let bench = Bench::new();
    fs::write(bench.path(), "").unwrap();
    Sealed::open(&bench.path(), &KEY, &KIND).unwrap().verify().unwrap();
}

#[test]
fn a_copy_is_of_one_moment_while_another_connection_writes() {
    let bench = Bench::new();
    let path = bench.filled();
    let (source, mut writer) = (Sealed::open(&path, &KEY, &KIND).unwrap(), Sealed::open(&path, &KEY, &KIND).unwrap());
    // What is committed is in the copy though it is only in the log; what is not committed is not.
    let committed = writer.write().unwrap();
    committed.execute("INSERT INTO things VALUES (x'01')", []).unwrap();
    committed.commit().unwrap();
    let pending = writer.write().unwrap();
    pending.execute("INSERT INTO things VALUES (x'02')", []).unwrap();
    let to = bench.folder.path().join("copy.db");
    source.copy_to(&to, &KEY).unwrap();
    pending.commit().unwrap();
    let count = |sealed: &Sealed| -> i64 {
        sealed.connection().query_row("SELECT count(*) FROM things", [], |row| row.get(0)).unwrap()
    };
    let copy = Sealed::open(&to, &KEY, &KIND).unwrap();
    assert_eq!((count(&copy), count(&source)), (101, 102));
    assert!(matches!(source.copy_to(&to, &KEY), Err(Fault::File { .. })), "a copy is never written over");
    drop(copy);
    assert!(matches!(Sealed::open(&to, &Key::from_bytes([8; 32]), &KIND), Err(Fault::WrongKey { .. })));
}

#[test]
fn a_copy_lies_alone() {
    let bench = Bench::new();
    let source = Sealed::open(&bench.filled(), &KEY, &KIND).unwrap();
    let folder = tempfile::tempdir().unwrap();
    source.copy_to(&folder.path().join("copy.db"), &KEY).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["copy.db"]);
}
