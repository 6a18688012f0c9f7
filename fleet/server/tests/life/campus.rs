//! The fleet's side of the life: its folder, its broker, its standing programs and the manager's commands, all as an operator has them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use examgate::{
    domain::{EventId, Timestamp, WithSources},
    rig::{
        cable::Cable,
        certificates::Issued,
        mosquitto::{Memory, Mosquitto},
        stage::Programs,
    },
    store::{Key, read_secret},
    wire::keys::SigningKey,
};
use examgate_fleet_core::ledger::{Ledger, Location};

/// How long anything may take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Far beyond the exams.
const EXPIRES: &str = "2099-12-31T00:00:00Z";

/// Looks again and again until there is what is looked for.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let (_keep, never) = mpsc::channel::<()>();
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        let _ = never.recv_timeout(LOOK_EVERY);
    }
    panic!("waited in vain: {what}")
}

/// The real time: certificates and codes go by it, and so the exams are held now.
#[expect(clippy::disallowed_methods, reason = "certificates are dated by the real clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A program that is killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// As a power cut ends it.
    fn kill9(mut self) {
        assert!(self.0.try_wait().expect("ours").is_none(), "it still ran");
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An exam of the fleet.
pub(crate) struct Exam {
    pub(crate) id: &'static str,
    /// The boxes at its doors, with their rooms.
    pub(crate) doors: &'static [(&'static str, &'static str)],
}

/// The fleet.
pub(crate) struct Campus {
    home: tempfile::TempDir,
    pub(crate) programs: Programs,
    pub(crate) project: PathBuf,
    pub(crate) broker: Mosquitto,
    /// Where boxes enrol.
    url: String,
    _enrolment: Running,
    keeper: Option<Running>,
    collectors: Option<(Running, Running)>,
    /// Between the first collector and the broker.
    cable: Cable,
}

impl Campus {
    /// Founds the fleet, starts its broker and lets boxes enrol.
    pub(crate) fn found() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let fleetd = Path::new(env!("CARGO_BIN_EXE_examgate-fleetd"));
        let programs = Programs::beside(&fleetd.with_file_name("examgate")).unwrap_or_else(|error| panic!("{error:#}"));
        let at = |name: &str| home.path().join(name);
        for name in ["photos", "desk", "desk/state", "desk/keys"] {
            fs::create_dir(at(name)).expect("a new folder");
        }
        fs::write(at("words"), "six random words, or so\n").expect("writable");
        Key::generate().and_then(|key| key.write_new(&at("ledger.key"))).expect("a new key");
        let desk = |line: &str| ran(Command::new(&programs.fleet).args(line.split(' ')).current_dir(home.path()));
        desk("init --folder fleet --passphrase-file words");
        desk("issue --folder fleet --name broker --host localhost --out broker");
        for name in ["collector", "keeper"] {
            desk(&format!("issue --folder fleet --name {name} --out {name}"));
        }
        let read = |name: &str| fs::read_to_string(at(name)).expect("PEM");
        let shown = Issued { certificate: read("broker.pem"), key: read("broker.key") };
        let revoked = format!("crlfile {}\n", at("fleet/revoked.pem").display());
        let broker = Mosquitto::start_with(&read("fleet/authorities.pem"), &shown, Memory::Kept, &revoked)
            .unwrap_or_else(|error| panic!("{}", WithSources(&error)));
        let cable = Cable::to(broker.port()).expect("a cable");
        let mut enrol = Command::new(&programs.fleetd);
        enrol.args(["enrol", "--listen", "127.0.0.1:0", "--folder", "fleet"]);
        enrol.args(["--broker", &format!("localhost:{}", broker.port())]).current_dir(home.path());
        let enrolment = started(&mut enrol, &at("enrol.log"));
        let url = until("boxes can enrol", || {
            let log = fs::read_to_string(at("enrol.log")).expect("a log");
            let (_, address) = log.lines().find_map(|line| line.split_once("address="))?;
            Some(format!("https://{}", address.trim()))
        });
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project");
        Self { programs, project, broker, url, _enrolment: enrolment, keeper: None, collectors: None, cable, home }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What one of the manager's commands prints. Its words are parted by single spaces.
    pub(crate) fn desk(&self, line: &str) -> String {
        ran(Command::new(&self.programs.fleet).args(line.split(' ')).current_dir(self.home.path()))
    }

    fn json_lines(&self, line: &str) -> Vec<serde_json::Value> {
        self.desk(line).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Enrols a box with a new code: its keys and certificates go to `folder`. Gives the lines for its configuration.
    pub(crate) fn enrol(&self, name: &str, room: &str, folder: &Path) -> String {
        let code = self.desk(&format!("device add --folder fleet --id {name} --room {room}"));
        let root = fs::read_to_string(self.at("fleet/root.pub")).expect("a key");
        let mut provision = Command::new(&self.programs.examgate);
        provision.args(["provision", "--url", &self.url, "--code", code.trim(), "--root", root.trim()]);
        ran(provision.arg("--keys").arg(folder.join("keys")).arg("--folder").arg(folder))
    }

    /// Imports a table of students, for an exam whose doors have been open for a quarter of an hour.
    pub(crate) fn import(&self, exam: &Exam, table: &str) {
        fs::write(self.at("table.csv"), table).expect("writable");
        let (opens, closes) = (now() - Duration::from_secs(900), now() + Duration::from_secs(7200));
        self.desk(&format!(
            "roster import --csv table.csv --photos photos --exam {} --title Final --opens {opens} --closes {closes} --store desk/state \
             --keys desk/keys --models {}",
            exam.id,
            self.project.join("models").display()
        ));
    }

    /// Pushes what was imported last to the boxes of the exam.
    pub(crate) fn push(&self, exam: &Exam) {
        let doors: String = exam.doors.iter().map(|(name, room)| format!(" --device {name}:{room}")).collect();
        self.desk(&format!(
            "roster push --exam {} --expires {EXPIRES} --store desk/state --keys desk/keys --stock stock --roster-key \
             fleet/keys/roster.key --devices fleet/devices.toml{doors}",
            exam.id
        ));
    }

    /// Waits until the box has told the fleet whom to seal to.
    pub(crate) fn until_reported(&self, name: &str) {
        let report = self.at(&format!("stock/reported/{name}.cose"));
        until(&format!("{name} reports"), || report.exists().then_some(()));
    }

    /// Waits until the fleet knows that this edition is in force at the box.
    pub(crate) fn until_in_force(&self, name: &str, exam: &Exam, version: u64) {
        let status = format!(
            "roster status --json --stock stock --devices fleet/devices.toml --roster-public-key {}",
            self.public("fleet/keys/roster.key")
        );
        until(&format!("edition {version} is in force at {name}"), || {
            let is_it = |line: &serde_json::Value| {
                line["device"] == name
                    && line["exam"] == exam.id
                    && line["held"] == version
                    && line["standing"] == "in force"
            };
            self.json_lines(&status).iter().any(is_it).then_some(())
        });
    }

    /// Waits until every box is where the fleet expects it: connected.
    pub(crate) fn until_all_are_online(&self, boxes: usize) {
        until("every box is online", || {
            let listed = self.desk("device list --folder fleet --stock stock --json");
            let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
            let is_online = |one: &&serde_json::Value| one["noted"]["live"]["status"] == "online";
            (listed.as_array().expect("a list").iter().filter(is_online).count() == boxes).then_some(())
        });
    }

    fn public(&self, file: &str) -> String {
        let seed = read_secret(&self.at(file)).expect("a key");
        SigningKey::from_seed(&seed).public().to_string()
    }

    /// Starts the keeper.
    pub(crate) fn keep(&mut self) {
        let (roster, command) = (self.public("fleet/keys/roster.key"), self.public("fleet/keys/command.key"));
        let line = format!(
            "keep --broker localhost:{} --ca fleet/authorities.pem --cert keeper.pem --key keeper.key --stock stock --devices \
             fleet/devices.toml --roster-public-key {roster} --command-public-key {command}",
            self.broker.port()
        );
        self.keeper = Some(self.start(&line, "keeper.log"));
    }

    /// Starts a collector, and a spare that has another way to the broker.
    pub(crate) fn collect(&mut self) {
        let line = |port: u16| {
            format!(
                "collect --broker localhost:{port} --ca fleet/authorities.pem --cert collector.pem --key collector.key --ledger ledger.db \
                 --ledger-key ledger.key --receipt-key fleet/keys/receipt.key --age-identity fleet/keys/collector.age --devices \
                 fleet/devices.toml --lease 3"
            )
        };
        let first = self.start(&line(self.cable.port()), "first.log");
        until("a collector collects", || self.log("first.log").contains("is the active one").then_some(()));
        let spare = self.start(&line(self.broker.port()), "spare.log");
        until("the other stands by", || self.log("spare.log").contains("this one stands by").then_some(()));
        self.collectors = Some((first, spare));
    }

    fn start(&self, line: &str, log: &str) -> Running {
        started(Command::new(&self.programs.fleetd).args(line.split(' ')).current_dir(self.home.path()), &self.at(log))
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    /// From now on nothing that the collector sends arrives: no receipt.
    pub(crate) fn hold_back_the_collector(&self) {
        self.cable.hold_back();
    }

    /// Kills the collector. What it had sent last is lost with it.
    pub(crate) fn kill_the_collector(&mut self) -> Running {
        let (first, spare) = self.collectors.take().expect("they run");
        first.kill9();
        self.cable.cut();
        spare
    }

    /// The ids of all committed events, as often as they are in the ledger.
    pub(crate) fn committed(&self) -> Vec<EventId> {
        let key = Key::read(&self.at("ledger.key")).expect("its key");
        let mut ids = Vec::new();
        let mut ledger = Ledger::open_existing(&Location::File(self.at("ledger.db")), &key).expect("a ledger");
        let see = |entry: examgate_fleet_core::ledger::Entry| {
            ids.push(serde_json::from_slice::<examgate::domain::Event>(&entry.body).expect("an event").id);
            Ok(())
        };
        ledger.each(see).expect("readable").expect("nothing is written");
        ids
    }

    /// All that the ledger holds, and what is wrong with it, as the commands print it.
    pub(crate) fn events(&self) -> (Vec<serde_json::Value>, String) {
        let ledger = "--ledger ledger.db --ledger-key ledger.key";
        (self.json_lines(&format!("events --json {ledger}")), self.desk(&format!("events --incidents {ledger}")))
    }

    /// The attendance, as the command prints it.
    pub(crate) fn attendance(&self, exam: &Exam) -> serde_json::Value {
        let line = format!("attendance --json --exam {} --ledger ledger.db --ledger-key ledger.key", exam.id);
        serde_json::from_str(&self.desk(&line)).expect("JSON")
    }
}

fn started(command: &mut Command, log: &Path) -> Running {
    let log = File::create(log).expect("writable");
    let command = command.env("RUST_LOG", "info").env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null());
    Running(command.stderr(log).spawn().expect("it starts"))
}

fn ran(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
