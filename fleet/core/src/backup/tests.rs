//! Backups of a real fleet's folder, stock and ledger: what comes back, and every backup that is not believed.
//!
//! Over 400 lines, and still read at one sitting: one short story after the other.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufReader,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use age::x25519::Identity;
use examgate::{
    domain::{DeviceId, Epoch, EventHash, EventId, PepperCheck, RoomId, Seq, chain_hash},
    exit::Refusal,
    store::{Key, read_secret},
    wire::{
        chunk,
        desired::{Desired, Wanted as WantedExam},
        digest::Digest,
        enrolment::Code,
        envelope::EventEnvelope,
        keys::SigningKey,
        lost::LostCards,
        trust::Purpose,
    },
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    create::{Content, Item, write},
    *,
};
use crate::{
    folder::Folder,
    founding::found,
    lease::{Claim, Holder, Token},
    ledger::{Ledger, Location},
    stock::Stock,
};

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn door() -> DeviceId {
    DeviceId::new("door-1").unwrap()
}

/// Event `seq` of one epoch, and the link to the next.
fn event(seq: u64, prev: EventHash) -> EventEnvelope {
    let (epoch, seq, body) = (Epoch(Uuid::from_u128(1)), Seq(seq), format!("{{\"n\":{seq}}}").into_bytes());
    let (event_id, hash) = (EventId(Uuid::from_u128(seq.0.into())), chain_hash(epoch, seq, &prev, &body));
    EventEnvelope { device: door(), epoch, seq, event_id, prev, hash, body: body.into() }
}

/// A fleet with a box, a roster under way, a list of lost cards and a ledger.
struct Fleet {
    here: tempfile::TempDir,
    identity: Identity,
}

/// A collector's lease, for as long as nobody else claims it.
fn lease_of(ledger: &mut Ledger) -> Token {
    let holder = Holder { id: Uuid::from_u128(1), name: "a collector".into() };
    match ledger.claim(&holder, Duration::from_secs(60)).unwrap() {
        Claim::Held(token) => token,
        another @ Claim::Another { .. } => panic!("{another:?}"),
    }
}

impl Fleet {
    fn new() -> Self {
        let fleet = Self { here: tempfile::tempdir().unwrap(), identity: Identity::generate() };
        let folder = fleet.folder();
        found(&folder, "Fleet", "six random words, or so", now()).unwrap();
        let room = RoomId::new("R-1").unwrap();
        let kept = Code::from_random(&[1; 20]).kept();
        folder.open_registry().unwrap().add(&door(), &room, &kept, now(), now()).unwrap();
        let stock = Stock::open(&fleet.at("stock")).unwrap();
        let lost = LostCards { serial: 3, pepper: PepperCheck::from_bytes([5; 16]), cards: BTreeMap::new() };
        stock.set_lost_cards(&lost.encode(&fleet.command_key()).unwrap()).unwrap();
        let cut = chunk::cut(b"a sealed bundle").unwrap();
        stock.add_chunks(&door(), &cut.chunks).unwrap();
        let exam = WantedExam {
            exam: examgate::domain::ExamId::new("MATH").unwrap(),
            version: examgate::domain::RosterVersion(1),
            expires: now(),
            space: examgate::domain::EmbeddingSpaceId::new("space"),
            whole: cut.whole,
            size: cut.size,
            index: cut.index,
            difference: None,
        };
        let desired = Desired { device: door(), serial: 4, exams: vec![exam], erase: vec![] };
        stock.set_manifest(&door(), &desired.encode(&SigningKey::from_seed(&[2; 32])).unwrap()).unwrap();
        Key::from_bytes([6; 32]).write_new(&fleet.at("ledger.key")).unwrap();
        fs::write(fleet.at("pepper.key"), [7; 32]).unwrap();
        let mut prev = EventHash::START;
        for seq in 1..=20 {
            let event = event(seq, prev);
            prev = event.hash;
            let mut ledger = fleet.ledger();
            let token = lease_of(&mut ledger);
            ledger.commit(token, &[event]).unwrap();
        }
        fleet
    }

    fn at(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::new(self.at("fleet"))
    }

    fn command_key(&self) -> SigningKey {
        SigningKey::from_seed(&read_secret(&self.folder().secret(Purpose::Command)).unwrap())
    }

    fn location(&self) -> Location {
        Location::File(self.at("ledger.db"))
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.location(), &Key::read(&self.at("ledger.key")).unwrap()).unwrap()
    }

    fn back_up_with(&self, to: &str, with_root_key: bool) -> Result<Made, anyhow::Error> {
        let (folder, stock, location) = (self.folder(), self.at("stock"), self.location());
        let (key, secret, also) = (self.command_key(), self.at("ledger.key"), [self.at("pepper.key")]);
        let ledger = Some((&location, secret.as_path()));
        let wanted = Wanted { folder: &folder, stock: Some(&stock), ledger, also: &also, with_root_key, key: &key };
        create(&wanted, &self.at(to), &self.lock(), "0.1.0", now())
    }

    fn back_up(&self) -> PathBuf {
        self.back_up_with("backup.age", false).unwrap();
        self.at("backup.age")
    }

    fn lock(&self) -> Lock {
        Lock::to_recipients(&[self.identity.to_public().to_string()]).unwrap()
    }

    fn opener(&self) -> Opener {
        Opener::Identities(vec![self.identity.clone()])
    }

    /// What a check says, and whether a restore leaves anything behind that a check refuses.
    fn refused(&self, file: &Path) -> anyhow::Error {
        let to = self.at("refused");
        let names = || fs::read_dir(self.here.path()).unwrap().count();
        let before = names();
        restore(file, &to, &self.opener(), None, now()).expect_err("it was restored");
        assert_eq!(names(), before, "something is left");
        check(BufReader::new(File::open(file).unwrap()), &self.opener(), None).expect_err("it passed the check")
    }
}

/// All files below a folder with their bytes.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn seqs(ledger: &mut Ledger) -> Vec<(u64, bool)> {
    let mut seqs = Vec::new();
    ledger
        .each(|entry| {
            seqs.push((entry.seq.0, entry.confirmed));
            Ok(())
        })
        .unwrap()
        .unwrap();
    seqs
}

#[test]
fn everything_comes_back_into_an_empty_folder() {
    let fleet = Fleet::new();
    let file = fleet.back_up();
    let (root, ..) = fleet.folder().read_trust().unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = files(fleet.here.path()).into_keys().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    let checked = check(BufReader::new(File::open(&file).unwrap()), &fleet.opener(), Some(&root)).unwrap();
    assert_eq!((checked.count("stock"), checked.has_root_key, checked.made_at), (4, false, now()));

    let to = fleet.at("new");
    fs::create_dir(&to).unwrap();
    let restored = restore(&file, &to, &fleet.opener(), Some(&root), now()).unwrap();
    assert_eq!(restored.manifest, checked);
    let mut stock = files(restored.stock.as_ref().unwrap());
    stock.retain(|name, _| !name.starts_with("restored/"));
    assert_eq!(stock, files(&fleet.at("stock")));
    let stock = Stock::open(restored.stock.as_ref().unwrap()).unwrap();
    assert!(stock.awaits(&door()) && stock.awaits_lost_cards(), "what it holds may be older than what boxes hold");
    let (old, new) = (files(&fleet.at("fleet")), files(&restored.folder));
    for (name, bytes) in &old {
        // The database is a copy, the lists follow from it, the root stays in its safe.
        match name.as_str() {
            "fleet.db" | "revoked.pem" => assert!(new.contains_key(name), "{name}"),
            "offline/root.age" => assert!(!new.contains_key(name)),
            _ => assert!(new.get(name) == Some(bytes), "{name}"),
        }
    }
    let folder = Folder::new(&restored.folder);
    let mut registry = folder.open_registry().unwrap();
    assert_eq!(registry.devices().unwrap(), fleet.folder().open_registry().unwrap().devices().unwrap());
    assert!(registry.next_list(now()).unwrap().0 > 1_000_000, "no number of a list is given out twice");
    for secret in [Purpose::Command, Purpose::Issuer].map(|purpose| folder.secret(purpose)) {
        assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", secret.display());
    }
    assert_eq!(fs::read(to.join("also/pepper.key")).unwrap(), [7; 32]);
    let (ledger, key) = restored.ledger.unwrap();
    let mut ledger = Ledger::open_existing(&Location::File(ledger), &Key::read(&key).unwrap()).unwrap();
    assert_eq!(seqs(&mut ledger), seqs(&mut fleet.ledger()));
    assert_eq!(restored.marked[0].events, (Seq(21), Seq(21)), "from there on something may be missing");
    assert_eq!(ledger.incidents().unwrap().len(), 1);
}

#[test]
fn the_roots_key_is_in_it_where_that_is_asked_for() {
    let fleet = Fleet::new();
    assert!(fleet.back_up_with("backup.age", true).unwrap().manifest.has_root_key);
    let restored = restore(&fleet.at("backup.age"), &fleet.at("new"), &fleet.opener(), None, now()).unwrap();
    assert!(restored.folder.join("offline/root.age").exists());
}

#[test]
fn a_backup_is_of_one_moment_while_the_collector_writes() {
    let fleet = Fleet::new();
    let (stop, stopped) = mpsc::channel::<()>();
    let file = thread::scope(|scope| {
        let fleet = &fleet;
        scope.spawn(move || {
            let (mut ledger, mut prev) = (fleet.ledger(), event(1, EventHash::START).hash);
            let token = lease_of(&mut ledger);
            for seq in 2.. {
                let event = event(seq, prev);
                prev = event.hash;
                ledger.commit(token, &[event]).unwrap();
                if stopped.try_recv().is_ok() {
                    return;
                }
            }
        });
        let file = fleet.back_up();
        stop.send(()).unwrap();
        file
    });
    let restored = restore(&file, &fleet.at("new"), &fleet.opener(), None, now()).unwrap();
    let (ledger, key) = restored.ledger.unwrap();
    let mut ledger = Ledger::open_existing(&Location::File(ledger), &Key::read(&key).unwrap()).unwrap();
    let held = seqs(&mut ledger);
    assert!(held.len() >= 20, "what was there before is in it");
    assert_eq!(held, (1..=held.len() as u64).map(|seq| (seq, true)).collect::<Vec<_>>(), "no half of a transaction");
}

#[test]
fn a_backup_that_was_changed_or_cut_short_is_refused_and_nothing_is_left() {
    let fleet = Fleet::new();
    let file = fleet.back_up();
    let whole = fs::read(&file).unwrap();
    let bad = fleet.at("bad.age");
    fs::write(&bad, b"").unwrap();
    for at in [0, 30, 200, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        for bytes in [&changed[..], &whole[..at]] {
            fs::write(&bad, bytes).unwrap();
            let error = fleet.refused(&bad);
            assert!(error.downcast_ref::<Refusal>().is_some(), "{error:#}");
        }
    }
    fs::write(&bad, [&whole[..], b"more"].concat()).unwrap();
    fleet.refused(&bad);
    let stranger = Opener::Identities(vec![Identity::generate()]);
    let error = check(BufReader::new(File::open(&file).unwrap()), &stranger, None).unwrap_err();
    assert!(error.to_string().contains("does not open with this key"), "{error:#}");
}

type Change = Box<dyn FnOnce(&mut Manifest)>;

fn change(change: impl FnOnce(&mut Manifest) + 'static) -> Change {
    Box::new(change)
}

/// A backup as somebody might make it: `change` has the manifest, and `key` signs it.
fn forged(fleet: &Fleet, key: &SigningKey, change: Change, more: Vec<(&str, Vec<u8>)>) -> PathBuf {
    let folder = fleet.folder();
    let (root, document, trust) = folder.read_trust().unwrap();
    let public = fs::read(folder.root()).unwrap();
    let registry = fs::read(folder.registry().0).unwrap();
    let mut items: Vec<_> = [("fleet/root.pub", public), ("fleet/trust.cose", trust), ("fleet/fleet.db", registry)]
        .into_iter()
        .chain(more)
        .map(|(path, bytes)| Item { path: path.into(), mode: 0o600, content: Content::Held(bytes.into()) })
        .collect();
    let files = items.iter().map(|item| {
        let (size, sha256) = item.content.measure().unwrap();
        KeptFile { path: item.path.clone(), mode: 0o600, size, sha256 }
    });
    let mut manifest = Manifest {
        v: VERSION,
        made_at: now(),
        software: "9.9.9".into(),
        root,
        trust_version: document.version,
        has_root_key: false,
        folder: "fleet".into(),
        stock: None,
        ledger: LedgerKept::None,
        files: files.collect(),
    };
    change(&mut manifest);
    items.truncate(manifest.files.len());
    let path = fleet.at("forged.age");
    write(&manifest, key, &items, (&File::create(&path).unwrap(), &fleet.lock()), 0).unwrap();
    path
}

#[test]
fn what_somebody_else_made_or_a_newer_program_is_refused() {
    let fleet = Fleet::new();
    let key = fleet.command_key();
    let nothing = || change(|_| ());
    let stranger = SigningKey::from_seed(&[66; 32]);
    let outside = vec![("etc/passwd", b"x".to_vec())];
    for (key, change, more, says) in [
        (&stranger, nothing(), vec![], "not signed by a command key of its fleet"),
        (&key, change(|manifest| manifest.v = 2), vec![], "made by Examgate 9.9.9"),
        (&key, change(|manifest| manifest.root = SigningKey::from_seed(&[1; 32]).public()), vec![], "not signed"),
        (&key, change(|manifest| manifest.files[1].sha256[0] ^= 1), vec![], "fleet/trust.cose is not what"),
        (&key, change(|manifest| manifest.files[2].path = "etc/passwd".into()), vec![], "etc/passwd is not what"),
    ] {
        let file = forged(&fleet, key, change, more);
        let error = fleet.refused(&file);
        assert!(format!("{error:#}").contains(says), "{says}: {error:#}");
    }
    // A file that is of no part of a fleet is not written, even if the signature is good.
    let file = forged(&fleet, &key, nothing(), outside);
    let error = restore(&file, &fleet.at("new"), &fleet.opener(), None, now()).unwrap_err();
    assert!(format!("{error:#}").contains("etc/passwd") && !fleet.at("new").exists(), "{error:#}");
    let other = SigningKey::from_seed(&[1; 32]).public();
    let file = fleet.back_up();
    let error = restore(&file, &fleet.at("new"), &fleet.opener(), Some(&other), now()).unwrap_err();
    assert!(error.to_string().contains("another fleet") && !fleet.at("new").exists(), "{error:#}");
}

#[test]
fn nothing_is_written_over_and_nothing_without_the_right_key() {
    let fleet = Fleet::new();
    let file = fleet.back_up();
    let before = fs::read(&file).unwrap();
    let error = fleet.back_up_with("backup.age", false).unwrap_err();
    assert!(error.to_string().contains("never written over") && fs::read(&file).unwrap() == before, "{error:#}");
    let error = fleet.back_up_with("fleet/backup.age", false).unwrap_err();
    assert!(error.to_string().contains("in the fleet's folder"), "{error:#}");
    fs::create_dir(fleet.at("full")).unwrap();
    fs::write(fleet.at("full/file"), "x").unwrap();
    let error = restore(&file, &fleet.at("full"), &fleet.opener(), None, now()).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error:#}");
    assert_eq!(files(&fleet.at("full")).len(), 1);
    // A key that no trust document lists would make a backup that nobody believes.
    let (folder, key) = (fleet.folder(), SigningKey::from_seed(&[66; 32]));
    let wanted = Wanted { folder: &folder, stock: None, ledger: None, also: &[], with_root_key: false, key: &key };
    let error = create(&wanted, &fleet.at("other.age"), &fleet.lock(), "0.1.0", now()).unwrap_err();
    assert!(error.to_string().contains("--command-key") && !fleet.at("other.age").exists(), "{error:#}");
    assert!(Lock::with_passphrase(Zeroizing::new("short".into())).is_err());
    assert!(Lock::to_recipients(&["age1x".into()]).is_err() && Opener::from_identities("# nothing").is_err());
}

#[test]
fn a_backup_opens_with_its_passphrase() {
    let fleet = Fleet::new();
    let (folder, key) = (fleet.folder(), fleet.command_key());
    let wanted = Wanted { folder: &folder, stock: None, ledger: None, also: &[], with_root_key: false, key: &key };
    let words = |text: &str| Zeroizing::new(text.to_owned());
    let lock = Lock::with_passphrase(words("correct horse battery")).unwrap();
    let made = create(&wanted, &fleet.at("backup.age"), &lock, "0.1.0", now()).unwrap();
    let open = |text: &str| {
        check(BufReader::new(File::open(fleet.at("backup.age")).unwrap()), &Opener::Passphrase(words(text)), None)
    };
    assert_eq!(open("correct horse battery").unwrap(), made.manifest);
    let error = open("another horse battery").unwrap_err();
    assert!(error.to_string().contains("does not open with this key"), "{error:#}");
}

#[test]
fn a_digest_of_a_chunk_is_a_name_that_fits() {
    let fleet = Fleet::new();
    let long = DeviceId::new("d".repeat(64)).unwrap();
    Stock::open(&fleet.at("stock")).unwrap().add_chunks(&long, &[(Digest::of(b"x"), b"x".to_vec())]).unwrap();
    let restored = restore(&fleet.back_up(), &fleet.at("new"), &fleet.opener(), None, now()).unwrap();
    let chunk = Stock::open(&restored.stock.unwrap()).unwrap().chunk(&long, &Digest::of(b"x")).unwrap();
    assert_eq!(chunk, Some(b"x".to_vec()));
}
