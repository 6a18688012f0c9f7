//! The machine's clocks, and the record of when the wall clock was last believed.
//!
//! Never sets a clock.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

use super::{
    Clock, ClockStanding, HOLDOVER,
    trust::{Anchor, Discipline, FloorFile, judge, raise},
};
use crate::domain::{ClockTrust, MonoTime, Timestamp};

/// The record is written at most this often: flash wears, and a floor a minute old serves as well.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// systemd-timesyncd touches this at each synchronisation (systemd-timesyncd.service(8)).
const TIMESYNC_STAMP: &str = "/run/systemd/timesync/synchronized";

/// How old that stamp may be: three of timesyncd's longest polls (2,048 s, timesyncd.conf(5)).
const TIMESYNC_FRESH: Duration = Duration::from_secs(3 * 2048);

/// The record of the last synchronisation could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// Writing failed: after a reboot without a time server the clock may not be believed.
    #[error(
        "cannot keep the time of the last synchronisation in {path}; check that its folder is writable and not full"
    )]
    Keep {
        /// The record.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    path: PathBuf,
    holdover: Duration,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Past {
    file: FloorFile,
    written: Option<MonoTime>,
    believed: Option<Anchor>,
}

impl SystemClock {
    /// Reads the record at `floor_path` (made when missing; its folder must exist) and believes the wall clock for
    /// [`HOLDOVER`] after a synchronisation.
    #[must_use]
    pub fn new(floor_path: impl Into<PathBuf>) -> Self {
        Self::with_holdover(floor_path, HOLDOVER)
    }

    /// As [`Self::new`], believing the wall clock for `holdover` after a synchronisation.
    #[must_use]
    pub fn with_holdover(floor_path: impl Into<PathBuf>, holdover: Duration) -> Self {
        let path = floor_path.into();
        let file = read_floor(&path);
        Self { path, holdover, past: Mutex::new(Past { file, written: None, believed: None }) }
    }

    /// Both monotonic clocks, read together: the box's, and the kernel's, by which drivers stamp what they capture
    /// (CLOCK_MONOTONIC, which stands still while a machine sleeps).
    #[must_use]
    pub fn both(&self) -> (MonoTime, Duration) {
        let kernels = clock_gettime(ClockId::Monotonic);
        (boottime(), Duration::try_from(kernels).expect("time since boot is not negative"))
    }

    /// What is believed, and why: for `doctor` and the alarm. Its `Display` says how to mend.
    #[must_use]
    pub fn explain(&self) -> ClockStanding {
        self.look(discipline())
    }

    /// Keeps the record up. Call it every few seconds; the file is written at most once a minute.
    ///
    /// # Errors
    /// The record cannot be written. Nothing is lost until the next reboot: call again.
    pub fn note(&self) -> Result<(), ClockError> {
        self.note_as(discipline())
    }

    fn look(&self, discipline: Discipline) -> ClockStanding {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        judge(discipline, now(), past.believed, &past.file, self.holdover)
    }

    fn note_as(&self, discipline: Discipline) -> Result<(), ClockError> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let standing = judge(discipline, now, past.believed, &past.file, self.holdover);
        let Some(floor) = raise(&standing, now.wall, &past.file) else { return Ok(()) };
        past.believed = Some(now);
        past.file = FloorFile::Holds(floor);
        if past.written.is_some_and(|at| now.mono.since(at) < WRITE_EVERY) {
            return Ok(());
        }
        let text = serde_json::to_vec(&floor).expect("two timestamps are JSON");
        replace(&self.path, &text).map_err(|source| ClockError::Keep { path: self.path.clone(), source })?;
        past.written = Some(now.mono);
        Ok(())
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> MonoTime {
        boottime()
    }

    fn wall(&self) -> Timestamp {
        realtime()
    }

    fn trust(&self) -> ClockTrust {
        self.explain().trust()
    }
}

fn now() -> Anchor {
    Anchor { wall: realtime(), mono: boottime() }
}

pub(super) fn boottime() -> MonoTime {
    let time = clock_gettime(ClockId::Boottime);
    MonoTime::from_start(Duration::try_from(time).expect("time since boot is not negative"))
}

#[expect(clippy::disallowed_methods, reason = "this is where the wall clock is read")]
fn realtime() -> Timestamp {
    Timestamp::now()
}

/// Asks the kernel; where a sandbox forbids that (systemd's `ProtectClock=` refuses even a read), asks timesyncd.
fn discipline() -> Discipline {
    match kernel_status() {
        Ok(status) if status & libc::STA_UNSYNC == 0 => Discipline::Disciplined,
        Ok(_) => Discipline::Undisciplined,
        Err(_) => match fs::metadata(TIMESYNC_STAMP).and_then(|stamp| stamp.modified()) {
            Ok(touched) if is_fresh(touched) => Discipline::Disciplined,
            Ok(_) => Discipline::Undisciplined,
            Err(_) => Discipline::Unknown,
        },
    }
}

fn is_fresh(touched: SystemTime) -> bool {
    Timestamp::try_from(touched).is_ok_and(|touched| {
        Duration::try_from(realtime().duration_since(touched)).is_ok_and(|age| age < TIMESYNC_FRESH)
    })
}

/// The status bits of adjtimex(2).
#[expect(unsafe_code, reason = "no safe crate in the tree reads adjtimex")]
fn kernel_status() -> io::Result<libc::c_int> {
    // SAFETY: `timex` is plain integers, for which zero is valid; zero `modes` makes the call a read.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, exclusive `timex`.
    match unsafe { libc::adjtimex(&raw mut timex) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(timex.status),
    }
}

fn read_floor(path: &Path) -> FloorFile {
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(floor) => FloorFile::Holds(floor),
            Err(why) => FloorFile::Unreadable(format!("{}: {why}", path.display())),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => FloorFile::Missing,
        Err(why) => FloorFile::Unreadable(format!("{}: {why}", path.display())),
    }
}

/// Puts `text` in place of the file at `path`: after a power cut there is the old text or the new.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::clock::Distrust;

    #[test]
    fn monotonic_time_runs_on() {
        let clock = SystemClock::new("/nonexistent/floor");
        let first = clock.mono();
        assert!(clock.mono() >= first);
        assert!(first > MonoTime::default());
    }

    #[test]
    fn a_synchronisation_is_remembered_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floor.json");
        let clock = SystemClock::new(&path);
        assert_eq!(clock.look(Discipline::Undisciplined), ClockStanding::Untrusted(Distrust::NeverSynchronised));
        clock.note_as(Discipline::Undisciplined).unwrap();
        assert!(!path.exists());
        clock.note_as(Discipline::Disciplined).unwrap();
        let next = SystemClock::new(&path);
        assert_eq!(next.look(Discipline::Undisciplined).trust(), ClockTrust::Holdover);
        assert_eq!(
            SystemClock::with_holdover(&path, Duration::ZERO).look(Discipline::Unknown).trust(),
            ClockTrust::Untrusted
        );
    }

    #[test]
    fn the_record_is_written_once_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floor.json");
        let clock = SystemClock::new(&path);
        clock.note_as(Discipline::Disciplined).unwrap();
        fs::remove_file(&path).unwrap();
        clock.note_as(Discipline::Disciplined).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_unusable_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floor.json");
        for text in ["", "{", "{\"wall\":\"yesterday\",\"synchronised\":\"x\"}", "\u{0}\u{0}"] {
            fs::write(&path, text).unwrap();
            let said = SystemClock::new(&path).look(Discipline::Undisciplined).to_string();
            assert!(said.contains("floor.json"), "{said}");
        }
        let said = SystemClock::new(folder.path()).look(Discipline::Undisciplined);
        assert!(matches!(said, ClockStanding::Untrusted(Distrust::RecordUnreadable(_))), "{said}");
        let lost = SystemClock::new(folder.path().join("no/folder"));
        assert!(lost.note_as(Discipline::Disciplined).unwrap_err().to_string().contains("no/folder"));
    }

    #[test]
    fn the_wall_clock_can_be_asked_how_it_stands() {
        // Whatever this machine answers, it answers with a ground.
        assert!(!SystemClock::new("/nonexistent/floor").explain().to_string().is_empty());
    }
}
