//! A box as an operator sets one up: enrolled with a code, its own keys, the program `examgate run`, a cable of its own to the broker.
//! Its card reader and its clock are scripted, and its camera plays a clip; everything else is real.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::PathBuf,
    time::Duration,
};

use examgate::{
    domain::{DeviceId, EventId, ExamId, WithSources},
    edge::{
        camera::replay::Scene,
        mqtt::{Asked, LinkFault, Patience, Settings, Tls, probe},
    },
    rig::{
        cable::Cable,
        stage::{DoorBox, Said},
        strings::{Lying, Strings},
    },
    store::{EventStore, Key, KeyFolder, KeyName, Layout, Limits, RosterStore, Secret},
    wire::state::{DeviceState, Status, Versions},
};

use crate::campus::{Campus, Exam, now, until};

/// How long a tap may take on a busy machine.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

/// How long the box may take to do what its strings say.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// A box.
pub(crate) struct Door {
    pub(crate) name: &'static str,
    folder: PathBuf,
    strings: Strings,
    clip: PathBuf,
    pub(crate) cable: Cable,
    running: Option<DoorBox>,
}

impl Door {
    /// Enrols the box, and configures it with the lines that it was given.
    pub(crate) fn set_up(campus: &Campus, name: &'static str, room: &str) -> Self {
        let folder = campus.at(name);
        fs::DirBuilder::new().mode(0o700).create(&folder).expect("a new folder");
        let given = campus.enrol(name, room, &folder);
        for made in ["state", "strings"] {
            fs::DirBuilder::new().mode(0o700).create(folder.join(made)).expect("a new folder");
        }
        // Both are laid down by hand: the root key is the box's own, the pepper is the fleet's.
        Key::generate().and_then(|key| key.write_new(&folder.join("keys/root.key"))).expect("a new key");
        fs::copy(campus.at("desk/keys/pepper.key"), folder.join("keys/pepper.key")).expect("an import made it");
        let cable = Cable::to(campus.broker.port()).expect("a cable");
        let strings = Strings::new(folder.join("strings"));
        strings.set_card(&Lying::Nothing).expect("pulled");
        strings.set_clock(now()).expect("pulled");
        let broker = format!("port = {}\n", campus.broker.port());
        assert!(given.contains(&broker), "{given}");
        let given = given.replace(&broker, &format!("port = {}\n", cable.port()));
        let lines = format!(
            "state = {:?}\nmodels = {:?}\n{given}\n[camera]\ndevice = {{ name = \"replay\" }}\nwidth = 640\nheight = 360\n\
             [sim]\nstrings = {:?}\ncard = true\n",
            folder.join("state"),
            campus.project,
            folder.join("strings"),
        );
        fs::write(folder.join("door.toml"), lines).expect("writable");
        let clip = campus.project.join("tests/pictures/cache/clips/WolfgangLanger_Pexels");
        Self { name, folder, strings, clip, cable, running: None }
    }

    /// Switches it on.
    pub(crate) fn start(&mut self, campus: &Campus) {
        let [configuration, log] = ["door.toml", "log"].map(|name| self.folder.join(name));
        // A card that still lies there from before would be a tap.
        self.strings.set_card(&Lying::Nothing).expect("pulled");
        let started = DoorBox::start(&campus.programs.examgate, &configuration, &log, &[("RUST_LOG", "info,ort=warn")]);
        self.running = Some(started.unwrap_or_else(|error| panic!("{error:#}")));
    }

    fn running(&self) -> &DoorBox {
        self.running.as_ref().expect("it runs")
    }

    fn good<T>(&self, done: anyhow::Result<T>) -> T {
        done.unwrap_or_else(|error| panic!("{}: {error:#}\n{}", self.name, self.log()))
    }

    pub(crate) fn ready(&self) {
        self.good(self.running().ready());
    }

    /// Waits until it serves the exam.
    pub(crate) fn serves(&self, exam: &Exam) {
        self.good(self.running().serves(exam.id));
    }

    /// Waits until taps are answered out of this edition of the exam: that is some time after it is in force on the disk.
    pub(crate) fn serves_edition(&self, exam: &Exam, version: u64) {
        let edition = format!("\"exam\":\"{}\",\"version\":{version},", exam.id);
        let is_it = |line: &str| line.contains(&edition) && line.contains("is served from now on");
        until(&format!("{} serves edition {version}", self.name), || self.log().lines().any(is_it).then_some(()));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What it answers to a card.
    pub(crate) fn tap(&self, card: &str) -> Said {
        // The card before is taken away: the next may be the same.
        self.strings.set_card(&Lying::Nothing).and_then(|()| self.strings.settle(SETTLED_WITHIN)).expect("followed");
        self.strings.set_card(&Lying::Card(format!("{card}9000"))).expect("pulled");
        self.good(self.running().decision(DECIDED_WITHIN))
    }

    /// The same with the woman of the clip before the camera.
    pub(crate) fn tap_and_look(&self, card: &str) -> Said {
        let scene = Scene::Clip { folder: self.clip.clone(), range: Some(72..150), looping: true };
        self.strings.set_scene(&scene).and_then(|()| self.strings.settle(SETTLED_WITHIN)).expect("followed");
        self.tap(card)
    }

    fn keys(&self) -> KeyFolder {
        KeyFolder::new(self.folder.join("keys"), None)
    }

    /// Which edition of the exam is on its disk, whole.
    pub(crate) fn edition(&self, exam: &Exam) -> u64 {
        let exam = ExamId::new(exam.id).expect("valid");
        let key = self.keys().read(KeyName::Exam(&exam)).expect("the exam's key");
        let path = Layout::new(self.folder.join("state")).exam(&exam);
        let roster = RosterStore::look(&path, &key).unwrap_or_else(|error| panic!("{}", WithSources(&error)));
        let version = roster.exam().expect("readable").expect("a roster").version.0;
        assert!(!roster.is_empty().expect("readable"), "an edition without anybody");
        version
    }

    /// Kills it while it writes another edition of the exam's roster: at the moment when it has begun the transaction.
    pub(crate) fn kill9_while_it_applies(&mut self, exam: &Exam) {
        // SQLite's write lock is byte 120 of the shared memory beside the database (sqlite.org/walformat.html).
        let shared = self.folder.join(format!("state/exams/{}.db-shm", exam.id));
        let process = self.running().id().to_string();
        until(&format!("{} writes a roster", self.name), || {
            let inode = fs::metadata(&shared).ok()?.ino().to_string();
            let is_it = |line: &str| {
                // "1: POSIX  ADVISORY  WRITE 4711 fe:00:10010655 120 120"
                let words: Vec<_> = line.split_whitespace().collect();
                words.get(3..5) == Some(&["WRITE", process.as_str()][..])
                    && words.get(5).is_some_and(|file| file.rsplit(':').next() == Some(inode.as_str()))
                    && words.get(6) == Some(&"120")
            };
            // It lasts for tens of milliseconds, so nearly all the time is spent looking.
            (0..2000).any(|_| fs::read_to_string("/proc/locks").expect("Linux").lines().any(is_it)).then_some(())
        });
        self.kill9();
    }

    fn kill9(&mut self) {
        let running = self.running.take().expect("it runs");
        self.good(running.kill9());
    }

    /// Switches it off in order.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        let status = self.good(running.stop());
        assert!(status.success(), "{} ends in order\n{}", self.name, self.log());
    }

    fn events(&self) -> EventStore {
        let key = self.keys().read(KeyName::Events).expect("the events' key");
        let path = Layout::new(self.folder.join("state")).events();
        EventStore::look(&path, &key, Limits::default()).unwrap_or_else(|error| panic!("{}", WithSources(&error)))
    }

    /// How many of its events wait for a receipt.
    pub(crate) fn waiting(&self) -> u64 {
        self.events().outbox_len().expect("readable")
    }

    /// Its own events, in order, as the ledger would show them.
    pub(crate) fn recorded(&self) -> Vec<serde_json::Value> {
        let store = self.events();
        let ends = store.ends().expect("readable");
        let epochs = store.epochs().expect("readable");
        assert_eq!(epochs.len(), 1, "{} was never set back", self.name);
        let rows = store.events(examgate::domain::Seq(0), usize::MAX >> 1).expect("readable");
        assert_eq!(rows.len() as u64, ends.last.0, "every number once");
        let line = |row: &examgate::store::Row| {
            let event: serde_json::Value = serde_json::from_slice(&row.body).expect("JSON");
            serde_json::json!({ "device": self.name, "epoch": store.epoch().expect("readable"), "seq": row.seq, "event": event })
        };
        rows.iter().map(line).collect()
    }

    /// What it has said about its decisions, over all its runs: decision and reason by the event.
    pub(crate) fn said(&self) -> BTreeMap<EventId, (String, Option<String>)> {
        let mut said = BTreeMap::new();
        for one in self.log().lines().filter_map(Said::in_line) {
            let id = EventId(one.event.parse().expect("a UUID"));
            assert!(said.insert(id, (one.decision, one.reason)).is_none(), "{} said {id} twice", self.name);
        }
        said
    }

    /// Whether the broker lets it in, asked with its own certificate.
    pub(crate) fn is_let_in(&self) -> Result<(), LinkFault> {
        let settings = Settings {
            host: "localhost".into(),
            port: self.cable.port(),
            device: DeviceId::new(self.name).expect("valid"),
            tls: Tls {
                authority: fs::read(self.folder.join("ca.pem")).expect("PEM"),
                certificate: fs::read(self.folder.join("door.pem")).expect("PEM"),
                key: self.keys().text(Secret::Tls).expect("its key"),
            },
            state: DeviceState::new(Status::Online, uuid::Uuid::nil(), Versions::default()),
            patience: Patience::default(),
        };
        probe(&settings, Asked::Trust).expect("usable certificates").map(drop)
    }
}
