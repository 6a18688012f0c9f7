//! A collector as a process: its files, its ledger in a file or in PostgreSQL, and what it committed.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use examgate::{
    domain::WithSources,
    rig::{
        certificates::{Issued, Validity},
        postgres::Postgres,
    },
    wire::keys::SigningKey,
};

use crate::{
    BAD, bad_key,
    door::{COLLECTOR, RECEIPT_SEED, World, device, device_key, soon},
};

/// The collector's files.
pub(crate) struct CollectorRig {
    folder: tempfile::TempDir,
    /// The URL of its ledger, if that is in PostgreSQL.
    url: Option<String>,
}

pub(crate) fn secret(path: &Path, content: &str) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(content.as_bytes()).expect("writable");
}

impl CollectorRig {
    /// With a ledger in a file.
    pub(crate) fn new(world: &World) -> Self {
        Self::over(world, None)
    }

    /// With a ledger in a new database of `server`.
    pub(crate) fn on(world: &World, server: &Postgres) -> Self {
        Self::over(world, Some(server.database().unwrap_or_else(|error| panic!("{}", WithSources(&error)))))
    }

    fn over(world: &World, url: Option<String>) -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a temporary folder"), url };
        if let Some(url) = &desk.url {
            secret(&desk.at("ledger.url"), url);
        }
        let Issued { certificate, key } = world.authority.client("collector", Validity::Good);
        fs::write(desk.at("ca.pem"), world.authority.certificate()).expect("writable");
        fs::write(desk.at("collector.pem"), certificate).expect("writable");
        secret(&desk.at("collector.key"), &key);
        secret(&desk.at("ledger.key"), &"5a".repeat(32));
        secret(&desk.at("receipt.key"), &hex::encode(RECEIPT_SEED));
        secret(&desk.at("age.key"), COLLECTOR);
        let listed =
            |id: &str, key: &SigningKey| format!("[[device]]\nid = \"{id}\"\npublic_key = \"{}\"\n", key.public());
        let devices = listed(device().as_str(), &device_key()) + &listed(BAD, &bad_key());
        fs::write(desk.at("devices.toml"), devices).expect("writable");
        desk
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, command: &str, files: &[(&str, &str)]) -> Command {
        let fleetd = Path::new(env!("CARGO_BIN_EXE_examgate-fleetd"));
        let mut program =
            Command::new(if command == "collect" { fleetd.into() } else { fleetd.with_file_name("examgate-fleet") });
        program.args(command.split(' '));
        for (flag, file) in files {
            program.arg(flag).arg(self.at(file));
        }
        program
    }

    fn ledger(&self) -> (&'static str, &'static str) {
        if self.url.is_some() { ("--ledger-url-file", "ledger.url") } else { ("--ledger", "ledger.db") }
    }

    pub(crate) fn collect(&self, world: &World) -> Collector {
        self.collect_with(world, &[])
    }

    /// Who is started after one that was killed waits for the end of its lease, which is short here.
    pub(crate) fn collect_with(&self, world: &World, arguments: &[&str]) -> Collector {
        self.collect_as(world, "log", &[&["--lease", "3"][..], arguments].concat())
    }

    /// Starts a collector with a log of its own.
    pub(crate) fn collect_as(&self, world: &World, log: &str, arguments: &[&str]) -> Collector {
        let files = [
            ("--ca", "ca.pem"),
            ("--cert", "collector.pem"),
            ("--key", "collector.key"),
            self.ledger(),
            ("--ledger-key", "ledger.key"),
            ("--receipt-key", "receipt.key"),
            ("--age-identity", "age.key"),
            ("--devices", "devices.toml"),
        ];
        let log = OpenOptions::new().create(true).append(true).open(self.at(log)).expect("writable");
        let mut program = self.command("collect", &files);
        program.env("RUST_LOG", "examgate_fleetd=info");
        program.args(arguments).arg("--broker").arg(format!("127.0.0.1:{}", world.broker.port())).stderr(log);
        Collector(program.spawn().expect("it starts"))
    }

    /// What `events` prints as JSON.
    pub(crate) fn printed(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let output = self
            .command("events", &[self.ledger(), ("--ledger-key", "ledger.key")])
            .arg("--json")
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The places of all committed events of the good box, as printed.
    pub(crate) fn committed(&self) -> Vec<u64> {
        let all = self.printed(&[]);
        let ours = all.iter().filter(|event| event["device"] == device().as_str());
        ours.map(|event| event["seq"].as_u64().expect("a place")).collect()
    }

    /// The numbers of the door's events that are committed, as often as they are printed.
    pub(crate) fn numbers(&self) -> Vec<u128> {
        let number = |event: &serde_json::Value| {
            assert_eq!(event["confirmed"], true, "{event}");
            let id: uuid::Uuid = event["event"]["id"].as_str().expect("an id").parse().expect("a UUID");
            id.as_u128()
        };
        let mut numbers: Vec<_> = self.printed(&[]).iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Which incidents are listed: their kinds, and what they are about.
    pub(crate) fn incidents(&self) -> Vec<(String, u64, u64)> {
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        self.printed(&["--incidents"])
            .iter()
            .map(|i| {
                (i["incident"].as_str().expect("a kind").into(), number(&i["first_event"]), number(&i["last_event"]))
            })
            .collect()
    }

    pub(crate) fn log(&self) -> String {
        self.log_of("log")
    }

    pub(crate) fn log_of(&self, log: &str) -> String {
        fs::read_to_string(self.at(log)).expect("readable")
    }

    /// Waits until a collector has said `text`.
    pub(crate) async fn says(&self, log: &str, text: &str) {
        let said = async {
            while !self.log_of(log).contains(text) {
                tokio::task::yield_now().await;
            }
        };
        soon(&format!("{log} says {text:?}"), said).await;
    }
}

/// A running collector.
pub(crate) struct Collector(pub(crate) Child);

impl Collector {
    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(sent.expect("procps is there").success());
    }
}

impl Drop for Collector {
    /// SIGKILL: the ledger must be whole after any end.
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}
