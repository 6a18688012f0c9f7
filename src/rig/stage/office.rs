//! The proctor's console of a stage, and who may sign in there.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{Stage, secrets::secret};
use crate::rig::certificates::Validity;

/// Somebody who may sign in at the console.
#[derive(Clone, Copy, Debug)]
pub struct Appointed<'a> {
    /// The campus's name for them.
    pub id: &'a str,
    /// What colleagues call them.
    pub name: &'a str,
    /// The card's UID, hexadecimal.
    pub card: &'a str,
    /// Six to twelve digits.
    pub pin: &'a str,
}

/// Where the console will be, and who it is to browsers.
#[derive(Clone, Debug)]
pub struct Office {
    /// The port on `localhost`.
    pub port: u16,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl Stage {
    /// Lets a proctor sign in, through `examgate-fleet proctor add`; the roster was imported before.
    ///
    /// # Errors
    /// What the program said.
    pub fn appoint(&self, proctor: &Appointed<'_>) -> Result<()> {
        let mut command = Command::new(&self.programs.fleet);
        command.args(["proctor", "add", "--exam", &self.exam.to_string(), "--id", proctor.id, "--name", proctor.name]);
        command.args(["--card", proctor.card, "--store"]).arg(self.at("state")).arg("--keys").arg(self.at("keys"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("examgate-fleet cannot be started")?;
        writeln!(child.stdin.take().context("its input is piped")?, "{}", proctor.pin)?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("the proctor was not added: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Configures a console on loopback, with a certificate for `localhost`.
    ///
    /// # Errors
    /// When there is no port, or nothing can be written.
    pub fn furnish_office(&self) -> Result<Office> {
        let port = free_port()?;
        let issued = self.authority.broker(Validity::Good);
        secret(&self.at("console.pem"), &issued.certificate)?;
        secret(&self.at("keys/console.key"), &issued.key)?;
        let certificate = self.at("console.pem");
        self.configure(&format!(
            "[console]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"{}\"\n",
            certificate.display()
        ))?;
        Ok(Office { port, certificate: issued.certificate })
    }

    /// Configures a student screen in `languages`; says on which port it will be.
    ///
    /// # Errors
    /// As [`Stage::furnish_office`].
    pub fn hang_screen(&self, languages: &[&str]) -> Result<u16> {
        let port = free_port()?;
        self.configure(&format!("[screen]\nport = {port}\nlanguages = {languages:?}\n"))?;
        Ok(port)
    }
}

/// Free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?.local_addr()?.port())
}
