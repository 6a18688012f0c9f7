//! A real pcscd with the virtual reader `vpcd`: two slots, each a TCP port at which a [`super::virtual_card`] is
//! inserted.
//!
//! pcscd's socket is a fixed path, so there is one pcscd on a machine: whoever starts one holds a lock file, and others
//! wait for it. vpcd listens on all addresses: not for machines on a hostile network. Never knows what reads the cards.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;

/// Where pcscd keeps its socket, compiled into Debian's build.
const FOLDER: &str = "/run/pcscd";

/// Files that a killed pcscd leaves behind.
const LEFTOVERS: [&str; 2] = ["/run/pcscd/pcscd.comm", "/run/pcscd/pcscd.pid"];

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// Between two looks at something outside this process.
const POLL: Duration = Duration::from_millis(20);

/// How long pcscd may take to be ready: it takes 50 ms on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long a pcscd whose rig was killed may live on.
const GONE_LIMIT: Duration = Duration::from_secs(2);

/// How long to wait for whoever else runs a pcscd: a whole test file may be before us.
const QUEUE_LIMIT: Duration = Duration::from_secs(300);

/// Why there is no pcscd.
#[derive(Debug, thiserror::Error)]
pub enum PcscdError {
    /// A program or driver is not installed.
    #[error("{path} is missing; apt-get install --no-install-recommends pcscd vsmartcard-vpcd util-linux")]
    Missing {
        /// What is missing.
        path: String,
    },
    /// The machine runs a pcscd already.
    #[error("the machine's own pcscd is running; systemctl stop pcscd.socket pcscd")]
    Running,
    /// Another rig has held pcscd for too long.
    #[error("another process has held {} for {QUEUE_LIMIT:?}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file could not be prepared.
    #[error("cannot prepare {}; starting pcscd takes root", path.display())]
    Prepare {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// pcscd could not be started.
    #[error("cannot start pcscd")]
    Start {
        /// The cause.
        source: io::Error,
    },
    /// pcscd ended, or did not become ready in time.
    #[error("pcscd did not become ready; its log ends: {log}")]
    NotReady {
        /// The last lines of its log.
        log: String,
    },
}

/// A running pcscd. Dropping it ends it; so does the end of this process, however it ends.
#[derive(Debug)]
pub struct Pcscd {
    running: Option<Running>,
    folder: TempDir,
    port: u16,
    /// Released when dropped, after pcscd has ended.
    _lock: File,
}

#[derive(Debug)]
struct Running {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Pcscd {
    /// Waits until no other rig runs a pcscd, then starts one with two empty slots.
    ///
    /// # Errors
    /// See [`PcscdError`]; each says how to mend it.
    pub fn start() -> Result<Self, PcscdError> {
        for path in ["/usr/sbin/pcscd", "/usr/bin/setpriv", DRIVER] {
            if !Path::new(path).exists() {
                return Err(PcscdError::Missing { path: path.into() });
            }
        }
        let lock = lock()?;
        // The pcscd of a rig that was killed goes with it, but perhaps a moment later.
        let gone = eventually(GONE_LIMIT, || UnixStream::connect(LEFTOVERS[0]).is_err().then_some(()));
        gone.ok_or(PcscdError::Running)?;
        let prepare = |path: &Path| {
            let path = path.to_owned();
            |source| PcscdError::Prepare { path, source }
        };
        fs::create_dir_all(FOLDER).map_err(prepare(Path::new(FOLDER)))?;
        let folder = tempfile::tempdir().map_err(prepare(&std::env::temp_dir()))?;
        let port = two_free_ports().map_err(|source| PcscdError::Start { source })?;
        // A folder of its own for the reader: pcscd reads every file in it.
        let readers = folder.path().join("readers");
        let reader = format!(
            "FRIENDLYNAME \"Examgate Virtual\"\nDEVICENAME /dev/null:0x{port:04X}\nLIBPATH {DRIVER}\nCHANNELID 0x{port:04X}\n"
        );
        fs::create_dir(&readers).map_err(prepare(&readers))?;
        fs::write(readers.join("vpcd"), reader).map_err(prepare(&readers))?;
        let mut pcscd = Self { running: None, folder, port, _lock: lock };
        pcscd.restart()?;
        Ok(pcscd)
    }

    /// The TCP port of slot 0 or 1.
    #[must_use]
    pub const fn port(&self, slot: u16) -> u16 {
        self.port + slot
    }

    /// Kills pcscd as a crash would. Virtual cards lose their reader and end.
    pub fn kill(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
        for path in LEFTOVERS {
            let _ = fs::remove_file(path);
        }
    }

    /// Starts pcscd anew, at the same ports, with empty slots.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart(&mut self) -> Result<(), PcscdError> {
        self.kill();
        let log_path = self.folder.path().join("log");
        let log = File::create(&log_path).map_err(|source| PcscdError::Prepare { path: log_path, source })?;
        let mut command = Command::new("setpriv");
        // The kernel kills pcscd when the thread that started it ends, hence the thread.
        command.args(["--pdeathsig", "KILL", "/usr/sbin/pcscd", "--foreground", "--info", "--config"]);
        command.arg(self.folder.path().join("readers")).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let (stop, stopped) = channel::<()>();
        let thread = thread::Builder::new()
            .name("examgate-pcscd".into())
            .spawn(move || {
                let mut child = command.spawn()?;
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(POLL) {
                    if child.try_wait()?.is_some() {
                        return Ok(());
                    }
                }
                child.kill()?;
                child.wait().map(drop)
            })
            .map_err(|source| PcscdError::Start { source })?;
        let running = Running { stop, thread };
        let up = eventually(START_LIMIT, || {
            (UnixStream::connect(LEFTOVERS[0]).is_ok() || running.thread.is_finished()).then_some(())
        });
        if up.is_some() && !running.thread.is_finished() {
            self.running = Some(running);
            return Ok(());
        }
        drop(running.stop);
        match running.thread.join() {
            Ok(Err(source)) => Err(PcscdError::Start { source }),
            Ok(Ok(())) | Err(_) => Err(PcscdError::NotReady { log: self.log_tail() }),
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(1000)..]).into_owned()
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits in line for the right to run a pcscd.
fn lock() -> Result<File, PcscdError> {
    let path = Path::new("/run/lock/examgate-pcscd.lock");
    let prepare = |source| PcscdError::Prepare { path: path.into(), source };
    fs::create_dir_all("/run/lock").map_err(prepare)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(prepare)?;
    eventually(QUEUE_LIMIT, || file.try_lock().is_ok().then_some(()))
        .ok_or(PcscdError::Locked { path: path.into() })?;
    Ok(file)
}

/// Two neighbouring ports that nobody listens on, below the range from which the kernel picks ports for connections.
fn two_free_ports() -> io::Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    for _ in 0..100 {
        let random = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
        let port = FIRST + random % COUNT;
        let free = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        if free(port) && free(port + 1) {
            return Ok(port);
        }
    }
    Err(io::Error::other("found no two free TCP ports side by side"))
}

/// Looks until `what` is there, at most `limit` long.
#[expect(clippy::disallowed_methods, reason = "what is waited for is outside this process and cannot wake it")]
fn eventually<T>(limit: Duration, what: impl Fn() -> Option<T>) -> Option<T> {
    let looks = limit.as_millis() / POLL.as_millis();
    for _ in 0..looks {
        if let Some(it) = what() {
            return Some(it);
        }
        thread::sleep(POLL);
    }
    None
}
