//! The real mosquitto on a loopback port of its own, set up as the fleet's brokers are: TLS, client certificates, ACL, limits.
//!
//! Its memory can be kept or lost over a kill, as an operator's broker may. It never listens beyond loopback.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::certificates::Issued;

/// How long a broker may take to say that it runs.
const START: Duration = Duration::from_secs(20);

/// What operators are told to use, and so what boxes and collectors are tested with.
const SETTINGS: &str = include_str!("../../provisioning/mosquitto/examgate.conf");

/// Who may do what.
const ACL: &str = include_str!("../../provisioning/mosquitto/examgate.acl");

/// Why the broker of a rig does not run.
#[derive(Debug, thiserror::Error)]
pub enum MosquittoError {
    /// The program is not there.
    #[error("mosquitto is not installed (neither on PATH nor in /usr/sbin): apt-get install mosquitto")]
    Missing,
    /// A file or process could not be made.
    #[error("preparing mosquitto failed")]
    Prepare(#[from] io::Error),
    /// It ended or said nothing.
    #[error("mosquitto did not start; it said:\n{said}")]
    Silent {
        /// Its log so far.
        said: String,
    },
}

/// What the broker keeps over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Sessions, queued and retained messages are written to disk (at every change).
    Kept,
    /// All is in memory only.
    Lost,
}

/// A running broker; killed when dropped.
pub struct Mosquitto {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

/// Debian puts daemons into /usr/sbin, which is not on an ordinary user's PATH.
const PLACES: [&str; 3] = ["mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];

impl Mosquitto {
    /// Starts a broker that presents `broker` and trusts clients of `authority` (PEM).
    ///
    /// # Errors
    /// When the program is missing or does not come up.
    pub fn start(authority: &str, broker: &Issued, memory: Memory) -> Result<Self, MosquittoError> {
        Self::start_with(authority, broker, memory, "")
    }

    /// As [`Self::start`], with other `settings` (lines of its configuration) in place of the fleet's own of the same names.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        authority: &str,
        broker: &Issued,
        memory: Memory,
        settings: &str,
    ) -> Result<Self, MosquittoError> {
        let folder = tempfile::tempdir()?;
        // The port is free now; nobody else on loopback is likely to take it before the broker does.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("ca.pem"), authority)?;
        fs::write(at("broker.pem"), &broker.certificate)?;
        fs::write(at("broker.key"), &broker.key)?;
        fs::write(at("acl"), ACL)?;
        fs::write(at("mosquitto.conf"), config(folder.path(), port, memory, settings)?)?;
        let child = spawn(folder.path())?;
        Ok(Self { folder, port, child })
    }

    /// The loopback port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as a power cut would (SIGKILL).
    ///
    /// # Errors
    /// When the process cannot be killed or waited for.
    pub fn kill9(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again on the same port, with what its memory kept, or (`forget`) with nothing.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self, forget: bool) -> Result<(), MosquittoError> {
        self.kill9()?;
        let kept = self.folder.path().join("mosquitto.db");
        if forget && kept.exists() {
            fs::remove_file(kept)?;
        }
        self.child = spawn(self.folder.path())?;
        Ok(())
    }

    /// Lets it read its lists again, as a reload by systemd does (SIGHUP).
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn reload(&self) -> io::Result<()> {
        let sent = Command::new("kill").args(["-s", "HUP", &self.child.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("kill (procps) failed")) }
    }

    /// Presents another certificate after the next restart.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn present(&self, broker: &Issued) -> io::Result<()> {
        fs::write(self.folder.path().join("broker.pem"), &broker.certificate)?;
        fs::write(self.folder.path().join("broker.key"), &broker.key)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.kill9();
    }
}

fn config(folder: &Path, port: u16, memory: Memory, settings: &str) -> io::Result<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    // Started by root it becomes the user `mosquitto`, who may not read this folder.
    let user = if fs::metadata(folder)?.uid() == 0 { "user root\n" } else { "" };
    let memory = match memory {
        Memory::Kept => format!(
            "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1\n",
            folder.display()
        ),
        Memory::Lost => "persistence false\n".into(),
    };
    let own = format!(
        "{user}listener {port} 127.0.0.1\n\
         cafile {}\ncertfile {}\nkeyfile {}\nacl_file {}\nlog_dest stderr\n{memory}",
        at("ca.pem"),
        at("broker.pem"),
        at("broker.key"),
        at("acl"),
    );
    // Settings that belong to a listener come after it; the others may stand anywhere.
    let name = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let changed: HashSet<String> = settings.lines().map(name).collect();
    let own: Vec<&str> = own.lines().filter(|line| !changed.contains(&name(line))).collect();
    let replaced: HashSet<String> = own.iter().copied().chain(settings.lines()).map(name).collect();
    let kept = SETTINGS.lines().filter(|line| !line.starts_with('#') && !replaced.contains(&name(line)));
    let lines = own.into_iter().chain(settings.lines()).chain(kept);
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

fn spawn(folder: &Path) -> Result<Child, MosquittoError> {
    let mut child = PLACES
        .iter()
        .map(|program| {
            Command::new(program)
                .arg("-c")
                .arg(folder.join("mosquitto.conf"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
        })
        .find(|child| !matches!(child, Err(error) if error.kind() == io::ErrorKind::NotFound))
        .ok_or(MosquittoError::Missing)??;
    let log = child.stderr.take().expect("its error output is a pipe");
    let (says, lines) = mpsc::channel();
    // Reads on after the start too, or the broker would block on a full pipe.
    thread::Builder::new().name("mosquitto-log".into()).spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = says.send(line);
        }
    })?;
    let mut said = String::new();
    while let Ok(line) = lines.recv_timeout(START) {
        if line.contains("running") {
            return Ok(child);
        }
        said += &line;
        said.push('\n');
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(MosquittoError::Silent { said })
}
