//! A second box of a stage, at the door of another room: the same broker, collector and keeper, and all else its own.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    DEVICE, DoorBox, ROOM, Stage,
    secrets::{secret, signing_key},
};
use crate::{
    rig::{
        certificates::Validity,
        strings::{Lying, Strings},
    },
    store::Key,
};

/// Far beyond every scripted clock: the command goes by the real one.
const EXPIRES: &str = "2099-12-31T00:00:00Z";

/// The second box.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Its id.
    pub device: String,
    /// Its room.
    pub room: String,
    /// What the script pulls at this box.
    pub strings: Strings,
    folder: PathBuf,
}

impl Beside {
    /// What other boxes told it of an exam and it has kept: names of files.
    #[must_use]
    pub fn told_of(&self, exam: &str) -> Vec<String> {
        let listed = fs::read_dir(self.folder.join("state/admitted").join(exam)).into_iter().flatten().flatten();
        listed.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with(".cose")).collect()
    }

    /// Everything the box has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("door.log")).unwrap_or_default()
    }
}

impl Stage {
    /// Enrols a second box. Before the desk is opened and the collector started: they read the list of boxes once.
    ///
    /// # Errors
    /// When something cannot be made.
    pub fn add_box(&self, device: &str, room: &str) -> Result<Beside> {
        let folder = self.at("beside");
        for name in ["", "keys", "state", "strings"] {
            fs::DirBuilder::new().mode(0o700).create(folder.join(name)).context("cannot make a folder")?;
        }
        let issued = self.authority.client(device, Validity::Good);
        secret(&folder.join("door.pem"), &issued.certificate)?;
        secret(&folder.join("keys/tls.key"), &issued.key)?;
        fs::copy(self.at("keys/pepper.key"), folder.join("keys/pepper.key")).context("the pepper cannot be copied")?;
        for name in ["root.key", "device.key"] {
            Key::generate()?.write_new(&folder.join("keys").join(name))?;
        }
        let public = signing_key(&folder.join("keys/device.key"))?.public();
        let mut devices = File::options().append(true).open(self.at("devices.toml"))?;
        writeln!(devices, "[[device]]\nid = \"{device}\"\npublic_key = \"{public}\"")?;
        let strings = Strings::new(folder.join("strings"));
        strings.set_card(&Lying::Nothing)?;
        Ok(Beside { device: device.into(), room: room.into(), strings, folder })
    }

    /// Starts the second box, configured as the first one is now.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_beside(&self, beside: &Beside) -> Result<DoorBox> {
        let mut text = fs::read_to_string(self.at("door.toml"))?;
        text = text.replace(&format!("device = \"{DEVICE}\""), &format!("device = \"{}\"", beside.device));
        text = text.replace(&format!("room = \"{ROOM}\""), &format!("room = \"{}\"", beside.room));
        for name in ["state", "keys", "strings", "door.pem"] {
            let (from, to) = (self.at(name), beside.folder.join(name));
            text = text.replace(&format!("\"{}\"", from.display()), &format!("\"{}\"", to.display()));
        }
        fs::write(beside.folder.join("door.toml"), text)?;
        let (config, log) = (beside.folder.join("door.toml"), beside.folder.join("door.log"));
        DoorBox::start(&self.programs.examgate, &config, &log, &self.environment)
    }

    /// Pushes an exam to the first box, the second, or both, which have reported whom to seal to. What the command says.
    ///
    /// # Errors
    /// What the command says.
    pub fn push_to(&self, exam: &str, boxes: &[(&str, &str)]) -> Result<String> {
        let mut command = Command::new(&self.programs.fleet);
        command.args(["roster", "push", "--exam", exam, "--expires", EXPIRES]);
        for (device, room) in boxes {
            command.args(["--device", &format!("{device}:{room}")]);
        }
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

    /// Whether the keeper has noted what this box reports.
    #[must_use]
    pub fn has_reported(&self, device: &str) -> bool {
        self.at(&format!("stock/reported/{device}.cose")).exists()
    }

    /// What somebody must look into, as `examgate-fleet incidents --json` says it of an exam.
    ///
    /// # Errors
    /// What the command says.
    pub fn incidents(&self, exam: &str) -> Result<serde_json::Value> {
        let mut command = Command::new(&self.programs.fleet);
        command.args(["incidents", "--json", "--exam", exam, "--ledger"]).arg(self.at("ledger.db"));
        command.arg("--ledger-key").arg(self.at("ledger.key"));
        Ok(serde_json::from_str(&self.run("the incidents cannot be read", &mut command)?)?)
    }
}
