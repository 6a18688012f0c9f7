//! A whole exam room on one machine: keys, certificates, rosters and a configuration in a temporary folder; the real broker,
//! reader service and collector; and the box as a process of its own, `examgate run`, which can be killed and started again.
//!
//! Used by the demonstration and by tests of the whole line.

mod beside;
mod desk;
mod door;
mod office;
mod roster;
mod secrets;
mod sitting;

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub use beside::Beside;
use door::Guard;
pub use door::{DoorBox, Said};
pub use office::{Appointed, Office};
pub use roster::Enrolled;
use secrets::{identity, secret, signing_key};

use super::{
    certificates::{Authority, Validity},
    mosquitto::{Memory, Mosquitto},
    pcscd::{self, Pcscd},
    strings::{Lying, Strings},
    virtual_card::{Behaviour, VirtualCard},
};
use crate::{
    config::Sim,
    domain::{DeviceId, ExamId, RoomId, Timestamp},
    store::Key,
    wire::seal::Identity,
};

/// The room and the box of every stage.
const ROOM: &str = "SILVER-207";
/// The id of the box on the stage.
pub const DEVICE: &str = "door-silver-207";

/// How long the box may take to do what was pulled: a scene of large pictures, on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// What is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reality {
    /// pcscd with a virtual reader, or a stand-in inside the box.
    pub reader: bool,
    /// mosquitto and the collector, or none: events stay in the box.
    pub broker: bool,
}

/// The programs, side by side in one folder of build results.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `examgate`, built with `sim`.
    pub examgate: PathBuf,
    /// `examgate-fleet`, the manager's commands.
    pub fleet: PathBuf,
    /// `examgate-fleetd`, the fleet's service.
    pub fleetd: PathBuf,
}

impl Programs {
    /// `examgate` and what lies beside it.
    ///
    /// # Errors
    /// When `examgate-fleet` or `examgate-fleetd` is not there.
    pub fn beside(examgate: &Path) -> Result<Self> {
        let [fleet, fleetd] = ["examgate-fleet", "examgate-fleetd"].map(|name| examgate.with_file_name(name));
        if let Some(missing) = [&fleet, &fleetd].into_iter().find(|program| !program.exists()) {
            bail!("{} is missing: `cargo build --workspace --bins --features sim` builds all", missing.display());
        }
        Ok(Self { examgate: examgate.to_owned(), fleet, fleetd })
    }
}

/// The room.
pub struct Stage {
    folder: tempfile::TempDir,
    project: PathBuf,
    programs: Programs,
    /// What the script pulls.
    pub strings: Strings,
    /// The broker, if it is real.
    pub broker: Option<Mosquitto>,
    reader: Option<Pcscd>,
    collector: Option<Guard>,
    keeper: Option<Guard>,
    exam: ExamId,
    environment: Vec<(&'static str, OsString)>,
    /// Whom everybody on the stage trusts.
    pub authority: Authority,
}

impl Stage {
    /// Sets the stage: everything but the rosters, the collector and the box. `project` holds models and test pictures.
    ///
    /// # Errors
    /// What is missing or does not start, and what to do.
    pub fn set(project: &Path, programs: Programs, exam: &str, reality: Reality) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let at = |name: &str| folder.path().join(name);
        for name in ["keys", "state", "strings", "photos"] {
            fs::DirBuilder::new().mode(0o700).create(at(name)).context("cannot make a folder")?;
        }
        let reader = reality.reader.then(Pcscd::start).transpose().context("the reader service cannot be started")?;
        let authority = Authority::new();
        let broker = reality
            .broker
            .then(|| Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Kept))
            .transpose()
            .context("the broker cannot be started")?;
        let (door, collector) =
            (authority.client(DEVICE, Validity::Good), authority.client("collector", Validity::Good));
        for (name, text) in [
            ("ca.pem", authority.certificate()),
            ("door.pem", &door.certificate),
            ("keys/tls.key", &door.key),
            ("collector.pem", &collector.certificate),
            ("collector.key", &collector.key),
        ] {
            secret(&at(name), text)?;
        }
        for name in ["keys/root.key", "keys/pepper.key", "keys/device.key", "receipt.key", "ledger.key"] {
            Key::generate()?.write_new(&at(name))?;
        }
        secret(&at("collector.age"), &Identity::generate().to_text())?;
        let device = signing_key(&at("keys/device.key"))?.public();
        fs::write(at("devices.toml"), format!("[[device]]\nid = \"{DEVICE}\"\npublic_key = \"{device}\"\n"))?;
        let strings = Strings::new(at("strings"));
        strings.set_card(&Lying::Nothing)?;
        let environment = reader.iter().map(|reader| (pcscd::SOCKET, reader.socket().into())).collect();
        let exam = ExamId::new(exam).context("the exam's name")?;
        let stage = Self {
            folder,
            project: project.to_owned(),
            programs,
            strings,
            broker,
            reader,
            collector: None,
            keeper: None,
            exam,
            environment,
            authority,
        };
        fs::write(stage.at("door.toml"), stage.configuration()?)?;
        Ok(stage)
    }

    /// Where everything lies; `door.toml` is the box's configuration.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds tables to the box's configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, tables: &str) -> Result<()> {
        let mut file = File::options().append(true).open(self.at("door.toml"))?;
        std::io::Write::write_all(&mut file, tables.as_bytes()).context("cannot write the configuration")
    }

    /// Takes the exam's name out of the configuration: the box serves the exam whose doors are open.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn name_no_exam(&self) -> Result<()> {
        let text = fs::read_to_string(self.at("door.toml"))?;
        let lines: String =
            text.lines().filter(|line| !line.starts_with("exam = ")).map(|l| format!("{l}\n")).collect();
        fs::write(self.at("door.toml"), lines).context("cannot write the configuration")
    }

    fn configuration(&self) -> Result<String> {
        let at = |name: &str| self.at(name).display().to_string();
        let sim = toml::to_string(&Sim { strings: self.at("strings"), card: self.reader.is_none() })?;
        let uplink = match &self.broker {
            None => String::new(),
            Some(broker) => {
                let recipient = identity(&self.at("collector.age"))?.recipient();
                let receipt_key = signing_key(&self.at("receipt.key"))?.public();
                format!(
                    "[uplink]\nhost = \"localhost\"\nport = {}\nca = \"{}\"\ncertificate = \"{}\"\n[uplink.collector]\n\
                     recipient = \"{recipient}\"\nreceipt_key = \"{receipt_key}\"\n",
                    broker.port(),
                    at("ca.pem"),
                    at("door.pem"),
                )
            }
        };
        Ok(format!(
            "device = \"{DEVICE}\"\nroom = \"{ROOM}\"\nexam = \"{}\"\nstate = \"{}\"\nkeys = \"{}\"\nmodels = \"{}\"\n\
             [camera]\ndevice = {{ name = \"replay\" }}\nwidth = 640\nheight = 360\n[sim]\n{sim}{uplink}",
            self.exam,
            at("state"),
            at("keys"),
            self.project.display(),
        ))
    }

    /// Starts the collector, if there is a broker.
    ///
    /// # Errors
    /// When it does not start.
    pub fn collect(&mut self) -> Result<()> {
        let Some(broker) = &self.broker else { return Ok(()) };
        let mut command = Command::new(&self.programs.fleetd);
        command.arg("collect").arg("--broker").arg(format!("localhost:{}", broker.port()));
        for (option, file) in [
            ("--ca", "ca.pem"),
            ("--cert", "collector.pem"),
            ("--key", "collector.key"),
            ("--ledger", "ledger.db"),
            ("--ledger-key", "ledger.key"),
            ("--receipt-key", "receipt.key"),
            ("--age-identity", "collector.age"),
            ("--devices", "devices.toml"),
        ] {
            command.arg(option).arg(self.at(file));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = File::create(self.at("collector.log"))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.collector = Some(Guard(child.context("the collector cannot be started")?));
        Ok(())
    }

    /// Starts the box.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_door(&self) -> Result<DoorBox> {
        DoorBox::start(&self.programs.examgate, &self.at("door.toml"), &self.at("door.log"), &self.environment)
    }

    /// Starts the box and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; with what it said.
    pub fn open_door(&self) -> Result<DoorBox> {
        let door = self.start_door()?;
        door.ready().with_context(|| format!("the box is not ready; it said:\n{}", self.door_log()))?;
        Ok(door)
    }

    /// Sets a variable in the environment of the box and the collector, when they are started from now on.
    pub fn set_environment(&mut self, name: &'static str, value: &'static str) {
        self.environment.push((name, value.into()));
    }

    /// Lays a card on the reader.
    ///
    /// # Errors
    /// When there is no reader.
    pub fn tap(&self, behaviour: &Behaviour) -> Result<Tapped<'_>> {
        let card = match &self.reader {
            Some(reader) => Some(VirtualCard::insert(reader.port(0), behaviour.clone())?),
            None => {
                let lying = match behaviour {
                    Behaviour::Uid(uid) => Lying::Card(hex::encode(uid) + "9000"),
                    Behaviour::Answer(answer) => Lying::Card(hex::encode(answer)),
                    Behaviour::Card { atr, answers } => Lying::Answering {
                        atr: hex::encode(atr),
                        answers: answers
                            .iter()
                            .map(|(command, answer)| (hex::encode(command), hex::encode(answer)))
                            .collect(),
                    },
                    // The stand-in inside the box lets no card be silent, and has none with a program.
                    Behaviour::Dialogue(_) | Behaviour::Applet(_) | Behaviour::Mute | Behaviour::Pulled => {
                        Lying::Pulled
                    }
                };
                self.strings.set_card(&lying)?;
                None
            }
        };
        Ok(Tapped { strings: &self.strings, _card: card })
    }

    /// The reader service, if it is real.
    #[must_use]
    pub const fn reader(&self) -> Option<&Pcscd> {
        self.reader.as_ref()
    }

    /// The same, to take it away and bring it back.
    pub const fn reader_mut(&mut self) -> Option<&mut Pcscd> {
        self.reader.as_mut()
    }

    /// Waits until the box has done all that was pulled.
    ///
    /// # Errors
    /// When it does not, as when it does not run.
    pub fn settle(&self) -> Result<()> {
        Ok(self.strings.settle(SETTLED_WITHIN)?)
    }

    /// Makes the part of the box with this name panic.
    ///
    /// # Errors
    /// When the string cannot be pulled.
    pub fn make_panic(&self, part: &str) -> Result<()> {
        Ok(self.strings.make_panic(part)?)
    }

    /// What the collector has committed: one JSON object a line, in the order of the box.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn committed(&self) -> Result<Vec<serde_json::Value>> {
        let output = Command::new(&self.programs.fleet)
            .args(["events", "--json", "--ledger"])
            .arg(self.at("ledger.db"))
            .arg("--ledger-key")
            .arg(self.at("ledger.key"))
            .output()
            .context("examgate-fleet cannot be started")?;
        if !output.status.success() {
            bail!("the ledger cannot be read: {}", String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The box's state folder and keys, to look into when the box is down.
    #[must_use]
    pub fn state_and_keys(&self) -> (PathBuf, PathBuf) {
        (self.at("state"), self.at("keys"))
    }

    /// A test picture.
    #[must_use]
    pub fn picture(&self, name: &str) -> PathBuf {
        self.project.join("tests/pictures/cache").join(name)
    }

    /// Everything the box has logged.
    #[must_use]
    pub fn door_log(&self) -> String {
        fs::read_to_string(self.at("door.log")).unwrap_or_default()
    }

    /// Everything the collector has logged.
    #[must_use]
    pub fn collector_log(&self) -> String {
        fs::read_to_string(self.at("collector.log")).unwrap_or_default()
    }

    /// Sets the wall clock of the box.
    ///
    /// # Errors
    /// When the time is none, or the string cannot be pulled.
    pub fn set_clock(&self, wall: &str) -> Result<()> {
        self.strings.set_clock(wall.parse::<Timestamp>()?)?;
        Ok(())
    }

    /// The names every stage has.
    #[must_use]
    pub fn names() -> (DeviceId, RoomId) {
        let valid = "a constant name is valid";
        (DeviceId::new(DEVICE).expect(valid), RoomId::new(ROOM).expect(valid))
    }
}

/// A card on the reader; taken away when dropped.
pub struct Tapped<'a> {
    strings: &'a Strings,
    _card: Option<VirtualCard>,
}

impl Drop for Tapped<'_> {
    fn drop(&mut self) {
        // A string that cannot be pulled shows at the next tap.
        let _ = self.strings.set_card(&Lying::Nothing);
    }
}
