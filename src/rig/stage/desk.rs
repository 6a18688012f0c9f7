//! The manager's desk of a stage: rosters are imported there and reach the box by push, over the real broker.

use std::{
    fs::{self, File},
    os::unix::fs::DirBuilderExt as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    DEVICE, ROOM, Stage,
    door::Guard,
    secrets::{secret, signing_key},
};
use crate::{rig::certificates::Validity, store::Key};

/// How long the box may take to connect and to say whom to seal to.
const REPORTED_WITHIN: Duration = Duration::from_secs(60);

/// Far beyond every scripted clock: the command goes by the real one.
const EXPIRES: &str = "2099-12-31T00:00:00Z";

impl Stage {
    /// Has rosters of this stage imported at a desk of their own, with the box's pepper, and starts the keeper.
    ///
    /// # Errors
    /// When there is no broker, or something cannot be made or started.
    pub fn open_desk(&mut self) -> Result<()> {
        let port = self.broker.as_ref().context("rosters are pushed over a broker")?.port();
        for name in ["desk", "desk/state", "desk/keys"] {
            fs::DirBuilder::new().mode(0o700).create(self.at(name)).context("cannot make a folder")?;
        }
        fs::copy(self.at("keys/pepper.key"), self.at("desk/keys/pepper.key")).context("the pepper cannot be copied")?;
        for name in ["roster.key", "command.key", "help-desk.key"] {
            Key::generate()?.write_new(&self.at(name))?;
        }
        for name in ["keeper", "manager"] {
            let issued = self.authority.client(name, Validity::Good);
            secret(&self.at(&format!("{name}.pem")), &issued.certificate)?;
            secret(&self.at(&format!("{name}-tls.key")), &issued.key)?;
        }
        let keys = ["roster.key", "command.key", "help-desk.key"].map(|name| signing_key(&self.at(name)));
        let [roster, command_key, help_desk] = keys;
        let (roster, command_key, help_desk) = (roster?.public(), command_key?.public(), help_desk?.public());
        self.configure(&format!(
            "[fleet]\nroster_keys = [\"{roster}\"]\ncommand_keys = [\"{command_key}\", {{ key = \"{help_desk}\", name = \"help-desk\", \
             may = [\"identify\", \"doctor\"] }}]\n"
        ))?;
        let mut command = Command::new(&self.programs.fleetd);
        command.arg("keep").arg("--broker").arg(format!("localhost:{port}"));
        command.arg("--roster-public-key").arg(roster.to_string());
        command.arg("--command-public-key").arg(command_key.to_string());
        for (option, file) in [
            ("--ca", "ca.pem"),
            ("--cert", "keeper.pem"),
            ("--key", "keeper-tls.key"),
            ("--stock", "stock"),
            ("--devices", "devices.toml"),
        ] {
            command.arg(option).arg(self.at(file));
        }
        let log = File::create(self.at("keeper.log"))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.keeper = Some(Guard(child.context("the keeper cannot be started")?));
        Ok(())
    }

    /// Pushes an exam to the box, once that has reported whom to seal to. What the command says.
    ///
    /// # Errors
    /// When the box does not report, or what the command says.
    pub fn push(&self, exam: &str) -> Result<String> {
        let report = self.at(&format!("stock/reported/{DEVICE}.cose"));
        let look_every = Duration::from_millis(50);
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        for _ in 0..REPORTED_WITHIN.as_millis() / look_every.as_millis() {
            if report.exists() {
                break;
            }
            let _ = never.recv_timeout(look_every);
        }
        let mut command = Command::new(&self.programs.fleet);
        command.args(["roster", "push", "--exam", exam, "--expires", EXPIRES, "--device", &format!("{DEVICE}:{ROOM}")]);
        for (option, file) in [
            ("--store", "desk/state"),
            ("--keys", "desk/keys"),
            ("--stock", "stock"),
            ("--roster-key", "roster.key"),
            ("--devices", "devices.toml"),
        ] {
            command.arg(option).arg(self.at(file));
        }
        self.run("the roster was not pushed", &mut command)
    }

    /// Reports a card lost, or found again. What the command says.
    ///
    /// # Errors
    /// What the command says.
    pub fn mark_card(&self, card: &str, is_lost: bool) -> Result<String> {
        let mut command = Command::new(&self.programs.fleet);
        command.args(["card", if is_lost { "lost" } else { "found" }, "--card", card]);
        for (option, file) in [("--stock", "stock"), ("--command-key", "command.key"), ("--keys", "desk/keys")] {
            command.arg(option).arg(self.at(file));
        }
        self.run("the card was not marked", &mut command)
    }

    /// The list of lost cards that the box keeps, as it came; `None` when none ever did.
    #[must_use]
    pub fn lost_cards_of_the_box(&self) -> Option<Vec<u8>> {
        fs::read(self.at("state/incoming/lost-cards.cose")).ok()
    }

    /// Gives the box a command, signed with the key in the file `key`: `command.key` or `help-desk.key`. `more` are further arguments.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn command(&self, word: &str, device: &str, key: &str, more: &[&str]) -> Result<Output> {
        let port = self.broker.as_ref().context("commands go over a broker")?.port();
        let mut command = Command::new(&self.programs.fleet);
        command.args(["command", word, device, "--broker", &format!("localhost:{port}")]).args(more);
        for (option, file) in [
            ("--ca", "ca.pem"),
            ("--cert", "manager.pem"),
            ("--key", "manager-tls.key"),
            ("--command-key", key),
            ("--devices", "devices.toml"),
        ] {
            command.arg(option).arg(self.at(file));
        }
        command.output().context("examgate-fleet cannot be started")
    }

    /// Ends the keeper.
    pub fn close_desk(&mut self) {
        self.keeper = None;
    }

    pub(super) fn run(&self, failed: &str, command: &mut Command) -> Result<String> {
        let output = command.output().context("examgate-fleet cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let keeper = fs::read_to_string(self.at("keeper.log")).unwrap_or_default();
            bail!("{failed}: {said}\nThe box said:\n{}\nThe keeper said:\n{keeper}", self.door_log());
        }
        Ok(said)
    }

    /// Where rosters are imported: at the desk, or on the box itself.
    pub(super) fn imports(&self) -> (std::path::PathBuf, std::path::PathBuf) {
        let folder = if self.keeper.is_some() { "desk/" } else { "" };
        (self.at(&format!("{folder}state")), self.at(&format!("{folder}keys")))
    }
}
