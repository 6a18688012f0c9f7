//! A real pcscd of one's own with the virtual reader `vpcd`: two slots, each a TCP port at which a
//! [`super::virtual_card`] is inserted.
//!
//! pcscd's own socket is a fixed path that takes root; handed a listening socket in systemd's way (sd_listen_fds(3)) it
//! serves that instead. So every rig has a pcscd of its own, beside the machine's, and runs it as a plain user, who cannot
//! take the machine's real readers away either. It still ends at once where `/run/pcscd` is missing and it may not make it:
//! the rig makes that folder, or gives its pcscd a /run of its own. Clients find it by [`SOCKET`] in their environment.
//! vpcd listens on all addresses: not for machines on a hostile network.

mod error;
mod state;

use std::{
    fs::{self, File, Permissions},
    io,
    net::{Ipv4Addr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use error::PcscdError;
use state::{is_root, knows_nobody, way_to_state};

/// The variable by which `libpcsclite` finds a pcscd that is not the machine's. It is read once a process.
pub const SOCKET: &str = "PCSCLITE_CSOCK_NAME";

const PCSCD: &str = "/usr/sbin/pcscd";

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// Another driver, in the folder of readers.
const OTHER_DRIVER: &str = "driver.so";

/// Runs its arguments with its standard input as the one socket handed over (the fourth descriptor, for this process), and
/// with the folder that comes first as the fifth.
const HAND_OVER: &str = "exec 3<&0 4<\"$1\" 0</dev/null; shift; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";

/// The folder that was handed over. A path would not do: `nobody` may not pass through a private temporary folder, and
/// one below /run is out of sight in a namespace.
const READERS: &str = "/proc/self/fd/4";

/// What pcscd logs when it serves.
const READY: &str = "daemon ready";

/// What vpcd logs for each slot whose port it could take, and how many it has.
const SLOT: &str = "Waiting for virtual ICC";
const SLOTS: usize = 2;

/// Between two looks at something outside this process.
const POLL: Duration = Duration::from_millis(20);

/// How long pcscd may take to be ready: it takes 50 ms on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How often other ports are tried when somebody was faster.
const PORT_PAIRS: u32 = 10;

/// A running pcscd. Dropping it ends it; so does the end of this process, however it ends.
#[derive(Debug)]
pub struct Pcscd {
    running: Option<Running>,
    reader: Reader,
    folder: TempDir,
    socket: PathBuf,
    port: u16,
}

/// What drives its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// vpcd, with two slots.
    Virtual,
    /// Another driver, which lies in the folder of readers.
    Other,
}

#[derive(Debug)]
struct Running {
    stop: Sender<()>,
    /// The process; 0 if it could not be started.
    id: i32,
    thread: JoinHandle<io::Result<()>>,
}

impl Pcscd {
    /// Starts a pcscd with two empty slots, its socket in a temporary folder.
    ///
    /// # Errors
    /// See [`PcscdError`]; each says how to mend it.
    pub fn start() -> Result<Self, PcscdError> {
        let folder = folder()?;
        let socket = folder.path().join("pcscd.comm");
        Self::start_in(folder, socket)
    }

    /// Starts a pcscd at `socket`, where nothing is, whose only reader is that of another `driver` (a shared library).
    ///
    /// # Errors
    /// See [`PcscdError`]; each says how to mend it.
    pub fn start_with_driver(socket: &Path, driver: &Path) -> Result<Self, PcscdError> {
        check_programs(&[])?;
        let folder = folder()?;
        let mut pcscd = Self { running: None, reader: Reader::Other, folder, socket: socket.to_owned(), port: 0 };
        // A folder in the folder of readers: pcscd reads no configuration out of it, and whoever it runs as can.
        let place = pcscd.readers().join("driver");
        fs::create_dir_all(&place)
            .and_then(|()| fs::copy(driver, place.join(OTHER_DRIVER)))
            .and_then(|_| readable(&place.join(OTHER_DRIVER), 0o644))
            .and_then(|()| readable(&place, 0o755))
            .map_err(|source| PcscdError::Prepare { path: driver.to_owned(), source })?;
        pcscd.restart()?;
        Ok(pcscd)
    }

    /// Starts a pcscd with two empty slots at `socket`, where nothing is.
    ///
    /// # Errors
    /// See [`PcscdError`]; each says how to mend it.
    pub fn start_at(socket: &Path) -> Result<Self, PcscdError> {
        Self::start_in(folder()?, socket.to_owned())
    }

    fn start_in(folder: TempDir, socket: PathBuf) -> Result<Self, PcscdError> {
        check_programs(&[DRIVER])?;
        let mut pcscd = Self { running: None, reader: Reader::Virtual, folder, socket, port: 0 };
        for pair in 1.. {
            pcscd.port = two_free_ports().map_err(|source| PcscdError::Start { source })?;
            match pcscd.restart() {
                Err(PcscdError::Ports { .. }) if pair < PORT_PAIRS => {}
                ended => return ended.map(|()| pcscd),
            }
        }
        unreachable!("the last pair of ports ends the loop")
    }

    /// Where clients find it: the value of [`SOCKET`].
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The TCP port of slot 0 or 1.
    #[must_use]
    pub const fn port(&self, slot: u16) -> u16 {
        self.port + slot
    }

    /// Kills pcscd as a crash would. Virtual cards lose their reader and end.
    pub fn kill(&mut self) {
        if let Some(Running { stop, id: _, thread }) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
        // Nobody listens there any more.
        let _ = fs::remove_file(&self.socket);
    }

    /// Stops pcscd where it is, as a driver that hangs would: it is there and answers nothing.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused pcscd go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = self.running.as_ref().and_then(|running| Pid::from_raw(running.id));
        let id = id.ok_or_else(|| io::Error::other("pcscd does not run"))?;
        Ok(kill_process(id, signal)?)
    }

    /// Starts pcscd anew, at the same socket and ports, with empty slots.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart(&mut self) -> Result<(), PcscdError> {
        self.describe_reader()?;
        match self.reader {
            Reader::Virtual => self.run(SLOTS),
            Reader::Other => self.run(0),
        }
    }

    /// Starts pcscd anew, at the same socket, without a reader, as when its cable is pulled.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn unplug(&mut self) -> Result<(), PcscdError> {
        let reader = self.readers().join("vpcd");
        fs::remove_file(&reader).map_err(|source| PcscdError::Prepare { path: reader, source })?;
        self.run(0)
    }

    fn run(&mut self, slots: usize) -> Result<(), PcscdError> {
        self.kill();
        let log_path = self.log();
        let log = File::create(&log_path).map_err(|source| PcscdError::Prepare { path: log_path, source })?;
        let listener = self.listen().map_err(|source| PcscdError::Prepare { path: self.socket.clone(), source })?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HAND_OVER, "pcscd"]).arg(self.readers()).args(way_to_state()?);
        // The kernel kills pcscd when the thread that started it ends, hence the thread.
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        if is_root() && knows_nobody() {
            command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
        }
        command.args([PCSCD, "--foreground", "--info", "--config", READERS]);
        if asks_polkit() {
            command.arg("--disable-polkit");
        }
        let errors = log.try_clone().map_err(|source| PcscdError::Start { source })?;
        command.stdin(OwnedFd::from(listener)).stdout(log).stderr(errors);
        let (stop, stopped) = channel::<()>();
        let (tell_id, id) = channel();
        let thread = thread::Builder::new()
            .name("examgate-pcscd".into())
            .spawn(move || {
                let mut child = command.spawn()?;
                let _ = tell_id.send(i32::try_from(child.id()).unwrap_or(0));
                // The listening socket is the child's alone: it is gone when the child is.
                drop(command);
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(POLL) {
                    if child.try_wait()?.is_some() {
                        return Ok(());
                    }
                }
                child.kill()?;
                child.wait().map(drop)
            })
            .map_err(|source| PcscdError::Start { source })?;
        let running = Running { stop, id: id.recv().unwrap_or(0), thread };
        let up = eventually(START_LIMIT, || {
            (self.logged().contains(READY) || running.thread.is_finished()).then(|| self.logged())
        });
        match up {
            Some(logged) if !running.thread.is_finished() => {
                self.running = Some(running);
                if logged.matches(SLOT).count() == slots {
                    return Ok(());
                }
                self.kill();
                Err(PcscdError::Ports { port: self.port, log: self.log_tail() })
            }
            Some(_) | None => {
                drop(running.stop);
                match running.thread.join() {
                    Ok(Err(source)) => Err(PcscdError::Start { source }),
                    Ok(Ok(())) | Err(_) => Err(PcscdError::NotReady { log: self.log_tail() }),
                }
            }
        }
    }

    fn readers(&self) -> PathBuf {
        self.folder.path().join("readers")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A folder of its own for the reader: pcscd reads every file in it.
    fn describe_reader(&self) -> Result<(), PcscdError> {
        let (readers, port) = (self.readers(), self.port);
        let library = match self.reader {
            Reader::Virtual => DRIVER.to_owned(),
            Reader::Other => format!("{READERS}/driver/{OTHER_DRIVER}"),
        };
        let reader = format!(
            "FRIENDLYNAME \"Examgate Virtual\"\nDEVICENAME /dev/null:0x{port:04X}\nLIBPATH {library}\nCHANNELID 0x{port:04X}\n"
        );
        fs::create_dir_all(&readers)
            .and_then(|()| fs::write(readers.join("vpcd"), reader))
            .and_then(|()| readable(&readers.join("vpcd"), 0o644))
            .and_then(|()| readable(&readers, 0o755))
            .map_err(|source| PcscdError::Prepare { path: readers, source })
    }

    fn listen(&self) -> io::Result<UnixListener> {
        // An address that is too long for a socket is told apart from a folder that is not there.
        let listener = UnixListener::bind_addr(&SocketAddr::from_pathname(&self.socket)?)?;
        fs::set_permissions(&self.socket, Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    fn logged(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.logged();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether pcscd and what starts it is installed, and `more`.
fn check_programs(more: &[&str]) -> Result<(), PcscdError> {
    let missing = [PCSCD, "/usr/bin/setpriv"].iter().chain(more).find(|path| !Path::new(path).exists());
    missing.map_or(Ok(()), |path| Err(PcscdError::Missing { path: (*path).to_owned() }))
}

fn readable(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn folder() -> Result<TempDir, PcscdError> {
    tempfile::tempdir().map_err(|source| PcscdError::Prepare { path: std::env::temp_dir(), source })
}

/// Whether this build of pcscd asks polkit who may use cards. polkit, where it runs, knows nothing of a rig.
fn asks_polkit() -> bool {
    let help = Command::new(PCSCD).arg("--help").stdin(Stdio::null()).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--disable-polkit"))
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
