//! Remote control of a simulated box: files in a folder that a box built with `sim` follows instead of hardware.
//!
//! `clock` holds the wall-clock time (RFC 3339), `scene` what stands before the camera, `card` what lies on the reader
//! (both JSON), `panic` the name of a part of the box that is to panic. The puller writes a new file and renames it into place.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::Sim,
    domain::{Pepper, Timestamp},
    edge::{
        camera::{
            CameraError, Opener, StreamFormat,
            replay::{ReplayControl, Scene, replay},
        },
        card::{CardReads, FakeCardReader, FakeHand, Slot},
        clock::{Clock, ScriptedClock},
    },
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// The strings, in the order in which they are followed.
const NAMES: [&str; 4] = ["clock", "scene", "card", "panic"];

/// The part of this process's box that is to panic; empty for none.
static PANICKING: Mutex<String> = Mutex::new(String::new());

/// Panics if the script wants the part `name` to.
///
/// # Panics
/// When `panic` was pulled with this name.
pub fn panic_if_pulled(name: &str) {
    let pulled = PANICKING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(pulled != name, "the script wants {name} to panic");
}

/// Where the far end says what it has done.
fn done(name: &str) -> String {
    format!("{name}.done")
}

/// Why strings cannot be followed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum StringError {
    /// A file.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// What it holds.
    #[error("{} does not hold what it should", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody did what it says.
    #[error("{} was not followed in time; does the box run?", path.display())]
    NotFollowed {
        /// The file or folder.
        path: PathBuf,
    },
    /// The scene.
    #[error(transparent)]
    Scene(#[from] CameraError),
}

/// What lies on the stand-in reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lying {
    /// Nothing.
    Nothing,
    /// A card that answers with this R-APDU, hexadecimal.
    Card(String),
    /// A card that is pulled before it answers.
    Pulled,
    /// A card with this ATR that answers each command with the response beside it, all hexadecimal.
    Answering {
        /// As the reader makes it up.
        atr: String,
        /// Commands, each with its response.
        answers: Vec<(String, String)>,
    },
}

/// What a script has set the wall clock to, for callers that do not follow changes; `None` if it has not been set.
#[must_use]
pub fn scripted_time(sim: &Sim) -> Option<Timestamp> {
    fs::read_to_string(sim.strings.join("clock")).ok()?.trim().parse().ok()
}

/// The near end: pulls.
#[derive(Clone, Debug)]
pub struct Strings(PathBuf);

impl Strings {
    /// Strings in `folder`, which is there.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Sets the wall clock; it runs on from there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_clock(&self, wall: Timestamp) -> Result<(), StringError> {
        self.pull("clock", &wall.to_string())
    }

    /// Puts a scene before the camera, from its beginning: also one that stands there already.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_scene(&self, scene: &Scene) -> Result<(), StringError> {
        let mut text = serde_json::to_string(scene).expect("a scene is JSON");
        // Only another text is followed, and JSON does not mind how it ends.
        if fs::read_to_string(self.0.join("scene")).is_ok_and(|held| held == text) {
            text.push('\n');
        }
        self.pull("scene", &text)
    }

    /// Lays a card on the stand-in reader.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_card(&self, lying: &Lying) -> Result<(), StringError> {
        self.pull("card", &serde_json::to_string(lying).expect("a card is JSON"))
    }

    /// Makes the part of the box with this name panic, as the log calls it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn make_panic(&self, part: &str) -> Result<(), StringError> {
        self.pull("panic", part)
    }

    /// Waits until a box has done all that was pulled, at most `limit`. A scene takes as long as its pictures take to make.
    ///
    /// # Errors
    /// Names the string that was not followed in time.
    pub fn settle(&self, limit: Duration) -> Result<(), StringError> {
        let (_keep, never) = channel::<()>();
        let mut looks = limit.as_millis() / LOOK_EVERY.as_millis();
        for name in NAMES {
            let read = |name: &str| fs::read_to_string(self.0.join(name)).ok();
            while read(name).is_some_and(|pulled| read(&done(name)).as_ref() != Some(&pulled)) {
                if looks == 0 {
                    return Err(StringError::NotFollowed { path: self.0.join(name) });
                }
                looks -= 1;
                let _ = never.recv_timeout(LOOK_EVERY);
            }
        }
        Ok(())
    }

    fn pull(&self, name: &str, text: &str) -> Result<(), StringError> {
        let (new, path) = (self.0.join(format!("{name}.new")), self.0.join(name));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|source| StringError::File { path, source })
    }
}

/// The far end's thread; ends when dropped.
#[derive(Debug)]
pub struct Followed {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a box gets instead of hardware.
pub struct Puppets {
    /// Keep it as long as the box runs.
    pub followed: Followed,
    /// Instead of the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Instead of a camera.
    pub camera: Opener,
    /// Instead of a card reader, if that is scripted too.
    pub card: Option<FakeCardReader>,
}

/// Follows the strings of `sim`.
///
/// # Errors
/// When the files cannot be read at the start, or no thread can be had.
pub fn follow(sim: &Sim, stream: StreamFormat, reads: CardReads, pepper: Pepper) -> Result<Puppets, StringError> {
    let folder = sim.strings.clone();
    let clock = Arc::new(ScriptedClock::starting_at(Timestamp::UNIX_EPOCH));
    let mono = Arc::clone(&clock);
    let (camera, control) = replay(stream, Arc::new(move || mono.mono()))?;
    let mut hand = sim.card.then(|| FakeHand::new(1));
    let around = super::virtual_reader::surroundings_by(Arc::clone(&clock));
    let card = hand.as_mut().map(|hand| hand.open(reads, pepper, around));
    let mut far = Far {
        folder: folder.clone(),
        last: [const { String::new() }; NAMES.len()],
        clock: Arc::clone(&clock),
        control,
        hand,
    };
    far.look()?;
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::Builder::new()
        .name("examgate-strings".into())
        .spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = far.look() {
                    tracing::error!(error = &error as &dyn std::error::Error, "a string is torn");
                }
            }
        })
        .map_err(|source| StringError::File { path: folder, source })?;
    Ok(Puppets { followed: Followed { stop: Some(stop), thread: Some(thread) }, clock, camera, card })
}

struct Far {
    folder: PathBuf,
    /// Their texts as last seen.
    last: [String; NAMES.len()],
    clock: Arc<ScriptedClock>,
    control: ReplayControl,
    hand: Option<FakeHand>,
}

impl Far {
    fn look(&mut self) -> Result<(), StringError> {
        for (index, name) in NAMES.into_iter().enumerate() {
            let path = self.folder.join(name);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // A string that was never pulled is no file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(StringError::File { path, source }),
            };
            if self.last[index] == text {
                continue;
            }
            self.last[index].clone_from(&text);
            self.follow(name, &path, &text)?;
            let path = self.folder.join(done(name));
            fs::write(&path, &text).map_err(|source| StringError::File { path, source })?;
        }
        Ok(())
    }

    fn follow(&mut self, name: &str, path: &Path, text: &str) -> Result<(), StringError> {
        match name {
            "clock" => self.clock.set(text.parse().map_err(|source| content(path, source))?),
            "scene" => {
                let scene: Scene = serde_json::from_str(text).map_err(|source| content(path, source))?;
                self.control.play(&scene)?;
            }
            "panic" => text.clone_into(&mut PANICKING.lock().unwrap_or_else(PoisonError::into_inner)),
            _ => {
                let lying: Lying = serde_json::from_str(text).map_err(|source| content(path, source))?;
                let Some(hand) = &mut self.hand else { return Ok(()) };
                match lying {
                    Lying::Nothing => hand.remove(Slot(0)),
                    Lying::Pulled => {
                        hand.insert(Slot(0), None);
                        hand.remove(Slot(0));
                    }
                    Lying::Answering { atr, answers } => {
                        let bytes = |text: &String| hex::decode(text).map_err(|source| content(path, source));
                        let answers = answers.iter().map(|(command, answer)| Ok((bytes(command)?, bytes(answer)?)));
                        let answers = answers.collect::<Result<Vec<_>, StringError>>()?;
                        hand.insert_dialogue(Slot(0), &bytes(&atr)?, &answers);
                    }
                    Lying::Card(answer) => {
                        let answer = hex::decode(answer).map_err(|source| content(path, source))?;
                        hand.insert(Slot(0), Some(&answer));
                    }
                }
            }
        }
        Ok(())
    }
}

fn content(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StringError {
    StringError::Content { path: path.to_owned(), source: source.into() }
}
