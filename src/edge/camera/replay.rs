//! A camera that replays pictures: folders of JPEG frames, stills, and the ways in which a camera fails.
//!
//! Feature `sim` only. Everything is rendered when a scene is chosen, so that playing costs nothing: each picture is fitted to
//! the stream's size, and stills are made into several variants with a sensor's noise. No sensor ever repeats itself: what its
//! noise does to the bytes of a picture that is played again, a comment in the JPEG does here.

mod render;

use std::{
    collections::HashMap,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use render::Reel;

use super::{CameraError, Frame, FrameSource, MonoClock, Opener, PixelFormat, Shot, StreamFormat, Torn};
use crate::domain::MonoTime;

/// What stands before the camera.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scene {
    /// Nobody: a grey wall.
    Empty,
    /// The JPEG frames of a folder, in the order of their names.
    Clip {
        /// The folder.
        folder: PathBuf,
        /// Which of its frames, from 0; all without it.
        range: Option<Range<usize>>,
        /// Whether it starts again after the last frame, or holds that.
        looping: bool,
    },
    /// One picture of a person who does not move.
    Still(PathBuf),
    /// Two people side by side.
    SideBySide(PathBuf, PathBuf),
    /// A covered lens.
    Black,
    /// A driver that repeats one picture.
    Frozen(PathBuf),
    /// A driver that hands out the pictures of a folder, in turn and for ever, as new.
    Ring(PathBuf),
    /// A cable that damages every picture.
    Torn,
    /// A driver that delivers nothing: a read blocks until the scene changes.
    Mute,
    /// A pulled cable.
    Unplugged,
}

/// The stage that all openings of one replay look at.
#[derive(Debug)]
struct Playback {
    format: StreamFormat,
    playing: Mutex<Playing>,
    changed: Condvar,
}

#[derive(Debug)]
struct Playing {
    reel: Arc<Reel>,
    /// The next frame's place in the reel.
    at: usize,
    /// Frames played of any reel.
    played: u64,
}

impl Playback {
    fn lock(&self) -> MutexGuard<'_, Playing> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chooses what the replay shows.
#[derive(Debug)]
pub struct ReplayControl {
    stage: Arc<Playback>,
    rendered: Mutex<HashMap<Scene, Arc<Reel>>>,
}

impl ReplayControl {
    /// Renders `scene` (once: it is kept) and shows it from its start.
    ///
    /// # Errors
    /// A picture is missing or no JPEG. What was shown goes on.
    pub fn play(&self, scene: &Scene) -> Result<(), CameraError> {
        let reel = self.render(scene)?;
        let mut playing = self.stage.lock();
        playing.reel = reel;
        playing.at = 0;
        drop(playing);
        self.stage.changed.notify_all();
        Ok(())
    }

    /// Renders `scene` ahead of time, so that [`Self::play`] does not wait.
    ///
    /// # Errors
    /// A picture is missing or no JPEG.
    pub fn prepare(&self, scene: &Scene) -> Result<(), CameraError> {
        self.render(scene).map(drop)
    }

    fn render(&self, scene: &Scene) -> Result<Arc<Reel>, CameraError> {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reel) = rendered.get(scene) {
            return Ok(Arc::clone(reel));
        }
        let reel = Arc::new(render::reel(scene, self.stage.format)?);
        rendered.insert(scene.clone(), Arc::clone(&reel));
        Ok(reel)
    }
}

/// A replayed camera of `format` (MJPEG) before an empty scene, and its control.
///
/// # Errors
/// `format` is not MJPEG.
pub fn replay(format: StreamFormat, clock: MonoClock) -> Result<(Opener, ReplayControl), CameraError> {
    match format.pixels {
        PixelFormat::Mjpeg => {}
        PixelFormat::Yuyv => {
            return Err(CameraError::FormatRefused {
                device: "the replay".into(),
                asked: format.to_string(),
                got: PixelFormat::Mjpeg.to_string(),
            });
        }
    }
    let reel = Arc::new(render::reel(&Scene::Empty, format)?);
    let playing = Mutex::new(Playing { reel, at: 0, played: 0 });
    let stage = Arc::new(Playback { format, playing, changed: Condvar::new() });
    let control = ReplayControl { stage: Arc::clone(&stage), rendered: Mutex::default() };
    let opener: Opener = Arc::new(move || match &*stage.lock().reel {
        Reel::Unplugged => Err(unplugged()),
        Reel::Frames { .. } | Reel::Torn | Reel::Mute => {
            Ok(Box::new(ReplaySource { stage: Arc::clone(&stage), clock: Arc::clone(&clock), last: None, sequence: 0 }))
        }
    });
    Ok((opener, control))
}

fn unplugged() -> CameraError {
    CameraError::Unplugged { device: "the replay".into() }
}

struct ReplaySource {
    stage: Arc<Playback>,
    clock: MonoClock,
    last: Option<MonoTime>,
    sequence: u64,
}

impl FrameSource for ReplaySource {
    fn format(&self) -> StreamFormat {
        self.stage.format
    }

    fn next(&mut self) -> Result<Shot, CameraError> {
        let interval = self.stage.format.interval();
        let mut playing = self.stage.lock();
        loop {
            let picture = match &*playing.reel {
                Reel::Unplugged => return Err(unplugged()),
                Reel::Mute => {
                    playing = self.stage.changed.wait(playing).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Reel::Torn => None,
                Reel::Frames { frames, repeats, .. } => Some((Arc::clone(&frames[playing.at]), *repeats)),
            };
            let now = (self.clock)();
            let left = self.last.map(|last| last.after(interval).since(now)).filter(|left| !left.is_zero());
            if let Some(left) = left {
                (playing, _) = self.stage.changed.wait_timeout(playing, left).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            self.last = Some(now);
            self.sequence += 1;
            let Some((picture, repeats)) = picture else { return Ok(Shot::Torn(Torn::Flagged)) };
            playing.at = playing.reel.after(playing.at);
            playing.played += 1;
            let bytes = if repeats { picture } else { commented(&picture, playing.played) };
            let StreamFormat { pixels, width, height, rate: _ } = self.stage.format;
            return Ok(Shot::Picture(Frame {
                format: pixels,
                width,
                height,
                bytes,
                captured_at: now,
                sequence: self.sequence,
            }));
        }
    }
}

/// The JPEG `picture` with `number` in a comment behind its first marker (COM, ITU-T T.81, B.2.4.5): the same to every decoder,
/// and other bytes than ever before.
fn commented(picture: &[u8], number: u64) -> Arc<[u8]> {
    const COMMENT: [u8; 4] = [0xFF, 0xFE, 0, 10];
    let (start, rest) = picture.split_at(picture.len().min(2));
    [start, &COMMENT, &number.to_be_bytes(), rest].concat().into()
}

#[cfg(test)]
mod tests;
