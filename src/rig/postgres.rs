//! The real PostgreSQL server on a loopback port of its own, as Debian packages it.
//!
//! It refuses to run as root, so started by root it runs as `nobody`. It never listens beyond loopback, and what it holds is
//! gone when it is dropped.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::certificates::Issued;

/// How long a server may take to say that it is ready.
const START: Duration = Duration::from_secs(60);

/// Where Debian and Ubuntu put the programs of each version; what is on PATH there are wrappers.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The user of every database.
const USER: &str = "examgate";

/// The user's password; it protects nothing but that passwords are tested.
pub const PASSWORD: &str = "a-password-of-the-rig";

/// What the server says when it is ready.
const READY: &str = "database system is ready to accept connections";

/// Why the server of a rig does not run.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The programs are not there.
    #[error("PostgreSQL's server is not installed (nothing in {VERSIONS}/*/bin): apt-get install postgresql")]
    Missing,
    /// A file or process could not be made.
    #[error("preparing PostgreSQL failed")]
    Prepare(#[from] io::Error),
    /// A program of it failed.
    #[error("{program} failed; it said:\n{said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// Its output.
        said: String,
    },
}

/// The process, and the thread that started it and waits for its end.
struct Running {
    id: Pid,
    thread: JoinHandle<io::Result<ExitStatus>>,
}

/// A running server; stopped when dropped.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    settings: Vec<String>,
    running: Option<Running>,
    databases: AtomicU32,
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf, PostgresError> {
    let versions = fs::read_dir(VERSIONS).map_err(|_| PostgresError::Missing)?;
    let numbered = versions.flatten().filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let programs = version.path().join("bin");
        programs.join("initdb").exists().then_some((number, programs))
    });
    numbered.max().map(|(_, programs)| programs).ok_or(PostgresError::Missing)
}

/// The user and group `nobody` of this machine.
fn nobody() -> io::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix("nobody:"));
    let mut numbers = line.unwrap_or_default().split(':').skip(1).map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(user), Some(group)) => Ok((user, group)),
        _ => Err(io::Error::other("/etc/passwd has no user `nobody`, as whom root's server runs")),
    }
}

impl Postgres {
    /// Starts a server. Every client on loopback needs [`PASSWORD`].
    ///
    /// # Errors
    /// When a program is missing or the server does not come up.
    pub fn start() -> Result<Self, PostgresError> {
        Self::start_with(None)
    }

    /// Starts a server that also speaks TLS and presents this certificate.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_tls(certificate: &Issued) -> Result<Self, PostgresError> {
        Self::start_with(Some(certificate))
    }

    /// The server that all tests of this process share: started by the first, stopped after the last that holds it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> Result<Arc<Self>, PostgresError> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    fn start_with(certificate: Option<&Issued>) -> Result<Self, PostgresError> {
        let folder = tempfile::tempdir()?;
        // The port is free now; nobody else on loopback is likely to take it before the server does.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("password"), PASSWORD)?;
        // Every statement with its values goes into the log, so that tests can search it for what must not be there.
        let mut settings: Vec<String> = [
            &format!("port={port}"),
            "listen_addresses=127.0.0.1",
            &format!("unix_socket_directories={}", folder.path().display()),
            "shared_buffers=16MB",
            "max_connections=50",
            "log_statement=all",
            "lc_messages=C",
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(Issued { certificate, key }) = certificate {
            fs::write(at("server.pem"), certificate)?;
            fs::write(at("server.key"), key)?;
            fs::set_permissions(at("server.key"), fs::Permissions::from_mode(0o600))?;
            settings.push("ssl=on".into());
            settings.push(format!("ssl_cert_file={}", at("server.pem").display()));
            settings.push(format!("ssl_key_file={}", at("server.key").display()));
        }
        if fs::metadata(folder.path())?.uid() == 0 {
            let (user, group) = nobody()?;
            for file in fs::read_dir(folder.path())?.flatten() {
                chown(file.path(), Some(user), Some(group))?;
            }
            chown(folder.path(), Some(user), Some(group))?;
        }
        let programs = programs()?;
        let mut server = Self { folder, programs, port, settings, running: None, databases: AtomicU32::new(0) };
        let mut initdb = server.command("initdb")?;
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        initdb.args(["--username", USER, "--pwfile"]).arg(server.at("password")).arg("--pgdata").arg(server.data());
        succeed("initdb", &mut initdb)?;
        server.restart()?;
        Ok(server)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// All that the server writes: its tables, its write-ahead log, and its log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.at("data")
    }

    /// A program of the server's version, as the server's user.
    fn command(&self, program: &str) -> io::Result<Command> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if rustix::process::getuid().is_root() {
            let (user, group) = nobody()?;
            command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
        }
        command.arg(self.programs.join(program)).current_dir(self.folder.path()).stdin(Stdio::null());
        Ok(command)
    }

    /// Makes an empty database. Gives its URL.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn database(&self) -> Result<String, PostgresError> {
        let name = format!("ledger_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}", self.port))
    }

    /// Runs a statement in the database of this URL or name, as its owner. Gives the rows as text.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, PostgresError> {
        let mut psql = self.client("psql", database)?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        succeed("psql", psql.args(["--command", statement]))
    }

    /// A client program at the database of this URL or name, as its owner.
    fn client(&self, program: &str, database: &str) -> io::Result<Command> {
        let name = database.rsplit('/').next().unwrap_or(database);
        let mut client = self.command(program)?;
        client.args(["--username", USER, "--dbname", name, "--port", &self.port.to_string(), "--host"]);
        client.arg(self.folder.path());
        Ok(client)
    }

    /// What `pg_dump` saves of the database of this URL or name: statements that bring it back over what is there then.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn dump(&self, database: &str) -> Result<String, PostgresError> {
        let mut dump = self.client("pg_dump", database)?;
        succeed("pg_dump", dump.args(["--clean", "--if-exists", "--schema=examgate_ledger"]))
    }

    /// Brings back what [`Self::dump`] saved.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn restore(&self, database: &str, dump: &str) -> Result<(), PostgresError> {
        fs::write(self.at("dump.sql"), dump)?;
        let mut psql = self.client("psql", database)?;
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=dump.sql"]);
        succeed("psql", &mut psql).map(drop)
    }

    /// Kills it as a power cut would (SIGKILL).
    pub fn kill9(&mut self) {
        self.stop(Signal::KILL);
    }

    fn stop(&mut self, signal: Signal) {
        if let Some(Running { id, thread }) = self.running.take() {
            // Already gone is fine.
            let _ = kill_process(id, signal);
            let _ = thread.join();
        }
    }

    /// Starts it, again with what is on its disk.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> Result<(), PostgresError> {
        self.stop(Signal::QUIT);
        let mut log = File::create(self.at("log"))?;
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.data()).stdout(Stdio::null()).stderr(Stdio::piped());
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let (tell, id) = mpsc::channel();
        let (says, lines) = mpsc::channel();
        // The kernel kills the server when the thread that started it ends, hence the thread. Its log ends with the last of its
        // processes.
        let thread = thread::Builder::new().name("postgres".into()).spawn(move || {
            let mut child = command.spawn()?;
            let said = child.stderr.take().expect("its error output is a pipe");
            let _ = tell.send(child.id());
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                writeln!(log, "{line}")?;
                let _ = says.send(line);
            }
            child.wait()
        })?;
        let Some(id) = id.recv().ok().and_then(|id| Pid::from_raw(id.try_into().ok()?)) else {
            let ended = thread.join();
            return Err(ended.ok().and_then(Result::err).unwrap_or_else(|| io::Error::other("it has no id")).into());
        };
        self.running = Some(Running { id, thread });
        let mut said = String::new();
        while let Ok(line) = lines.recv_timeout(START) {
            if line.contains(READY) {
                return Ok(());
            }
            said += &line;
            said.push('\n');
        }
        self.stop(Signal::QUIT);
        Err(PostgresError::Failed { program: "postgres", said })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, and its own processes with it.
        self.stop(Signal::QUIT);
    }
}

fn succeed(program: &'static str, command: &mut Command) -> Result<String, PostgresError> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(PostgresError::Failed { program, said: said + &String::from_utf8_lossy(&output.stderr) })
}
