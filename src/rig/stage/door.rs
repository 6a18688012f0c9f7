//! The box as a process of its own: started, listened to, killed. Its log goes to a file, whole, also when it is killed.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// How long the box may take from its start to ready, on a machine that does other things too.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A line that the box said about one decision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The event.
    pub event: String,
    /// `admit`, `deny` or `refer`.
    pub decision: String,
    /// Why, unless it admits.
    pub reason: Option<String>,
    /// Tap to decision, milliseconds.
    pub since_tap_ms: u64,
    /// First usable frame to decision, milliseconds.
    pub since_first_usable_frame_ms: Option<u64>,
    /// Frames that were good enough to compare.
    pub frames: u32,
}

impl Said {
    /// The decision in a line of the box's log, if it is about one.
    #[must_use]
    pub fn in_line(line: &str) -> Option<Self> {
        line.contains("\"target\":\"examgate::decision\"").then(|| serde_json::from_str(line).ok()).flatten()
    }
}

/// The box, running.
pub struct DoorBox {
    process: Guard,
    heard: Receiver<String>,
    log: JoinHandle<()>,
    path: PathBuf,
}

impl DoorBox {
    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Starts the program `examgate` with this configuration. What it says is appended to the file `path`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        examgate: &Path,
        configuration: &Path,
        path: &Path,
        environment: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)],
    ) -> Result<Self> {
        let mut child = Command::new(examgate)
            .args(["--log-json", "run", "--config"])
            .arg(configuration)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the box cannot be started")?;
        let says = child.stderr.take().context("the box's log is piped")?;
        let process = Guard(child);
        let mut file = File::options().create(true).append(true).open(path)?;
        let (send, heard) = channel();
        let log = thread::Builder::new().name("door-log".into()).spawn(move || {
            // Libraries below may write what is no text: a line is kept all the same.
            for line in BufReader::new(says).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let _ = file.write_all(format!("{line}\n").as_bytes());
                // Nobody listens any more to a box that was killed; its last words are kept all the same.
                let _ = send.send(line);
            }
        })?;
        Ok(Self { process, heard, log, path: path.to_owned() })
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// When it ends or is not ready in time.
    pub fn ready(&self) -> Result<()> {
        match self.wait_for(READY_WITHIN, |line| line.contains("\"message\":\"ready\"").then_some(()))? {
            Some(()) => Ok(()),
            None => bail!("it has not become ready within {READY_WITHIN:?}"),
        }
    }

    /// Waits until it serves this exam, in whichever edition.
    ///
    /// # Errors
    /// When it ends or does not come to it in time.
    pub fn serves(&self, exam: &str) -> Result<()> {
        self.says(exam, &["ready", "this edition of the roster is served from now on"])
    }

    /// Waits until it says that the doors of this exam are open.
    ///
    /// # Errors
    /// As [`DoorBox::serves`].
    pub fn opens(&self, exam: &str) -> Result<()> {
        self.says(exam, &["doors are open"])
    }

    fn says(&self, exam: &str, messages: &[&str]) -> Result<()> {
        let name = format!("\"exam\":\"{exam}\"");
        let messages: Vec<_> = messages.iter().map(|message| format!("\"message\":\"{message}\"")).collect();
        let is_it = |line: &str| line.contains(&name) && messages.iter().any(|message| line.contains(message));
        match self.wait_for(READY_WITHIN, |line| is_it(line).then_some(()))? {
            Some(()) => Ok(()),
            None => bail!("it has not said {messages:?} of {exam} within {READY_WITHIN:?}"),
        }
    }

    /// Waits for the next decision.
    ///
    /// # Errors
    /// When none comes within `patience`.
    pub fn decision(&self, patience: Duration) -> Result<Said> {
        self.decision_within(patience)?.context("the box says nothing more")
    }

    /// Waits for the next decision, at most `limit`.
    ///
    /// # Errors
    /// When the box has ended.
    pub fn decision_within(&self, limit: Duration) -> Result<Option<Said>> {
        self.wait_for(limit, Said::in_line)
    }

    /// The first line wanted, if it comes within `limit`.
    #[expect(clippy::disallowed_methods, reason = "a process outside is waited for: there is no clock to be handed")]
    fn wait_for<T>(&self, limit: Duration, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<Option<T>> {
        let until = Instant::now() + limit;
        loop {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(Some(found));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    let log = std::fs::read_to_string(&self.path).unwrap_or_default();
                    let last: Vec<_> = log.lines().rev().take(5).collect();
                    bail!("the box has ended; it said last, newest first:\n{}", last.join("\n"));
                }
            }
        }
    }

    /// Kills it as a power cut does. Its log is complete when this returns.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill9(mut self) -> Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        let _ = self.log.join();
        Ok(())
    }

    /// Waits until it has ended by itself, at most `limit`. Its log is complete when this returns.
    ///
    /// # Errors
    /// When it has not ended by then.
    pub fn ended(mut self, limit: Duration) -> Result<ExitStatus> {
        // It says nothing more once it has ended, and that is an error to whoever waits for a line.
        if self.wait_for(limit, |_| None::<()>).is_ok() {
            bail!("the box has not ended within {limit:?}");
        }
        let status = self.process.0.wait()?;
        let _ = self.log.join();
        Ok(status)
    }

    /// Asks it to stop, and waits. Its log is complete when this returns.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn stop(mut self) -> Result<ExitStatus> {
        let id =
            i32::try_from(self.process.0.id()).ok().and_then(Pid::from_raw).context("the box has no process id")?;
        kill_process(id, Signal::TERM)?;
        let status = self.process.0.wait()?;
        let _ = self.log.join();
        Ok(status)
    }
}

/// A child that does not outlive its holder.
pub(super) struct Guard(pub(super) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
