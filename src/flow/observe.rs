//! Looks at camera frames while the session wants it, and tells when camera or inference break.
//!
//! One thread owns the nets. Between students it only follows the camera's health.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

use super::{Happened, telemetry::Probed};
use crate::{
    domain::{MonoTime, StudentId, Template},
    edge::camera::{Camera, CameraFault, CameraView, Frame, Pace, PixelFormat},
    session::Fault,
    vision::{DecodeError, Image, Pipeline, Probe, VisionError, decode_mjpeg, decode_yuyv},
};

/// One capture window: whose templates, and from when on frames count. Wiped with its last holder.
#[derive(Debug)]
pub struct CaptureWindow {
    /// Whose card was tapped.
    pub student: StudentId,
    /// The student's templates of the space in use.
    pub templates: Vec<Template>,
    /// Frames captured before are not looked at.
    pub since: MonoTime,
}

/// Frames in a row that may be broken before the camera counts as broken.
const BROKEN_FRAMES: u32 = 10;

/// How long one wait lasts at most: how soon an ended verification is noticed.
const PATIENCE: Duration = Duration::from_millis(500);

/// The one user of the nets.
pub struct Observe {
    /// The nets.
    pub pipeline: Pipeline,
    /// The eye.
    pub camera: Camera,
    /// What is wanted.
    pub looks: watch::Receiver<Option<Arc<CaptureWindow>>>,
    /// Who wants it.
    pub happened: SyncSender<Happened>,
    /// Takes the probe of each look that has ended, where it is wanted, without waiting.
    pub others: Option<SyncSender<Probed>>,
    /// Told at every turn, at least twice a second, that the nets are alive.
    pub alive: Box<dyn Fn() + Send>,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the camera's picture cannot be decoded")]
    Decode(#[from] DecodeError),
    #[error("the nets failed")]
    Vision(#[from] VisionError),
}

impl Observe {
    /// Looks until the verification is gone (`Ok`), or only a restart of the process helps the camera. Runs on a thread of
    /// its own; waits with `runtime`.
    ///
    /// # Errors
    /// The camera's fault.
    pub fn run(mut self, runtime: &Handle) -> Result<(), CameraFault> {
        let mut frames = self.camera.view();
        let mut look: Option<(Arc<CaptureWindow>, Probe)> = None;
        let mut picture = Image::empty();
        let mut newest = None;
        let mut broken = Broken::default();
        loop {
            (self.alive)();
            let looks = &mut self.looks;
            let gone = runtime.block_on(async {
                tokio::select! {
                    changed = frames.changed() => changed.is_err(),
                    changed = looks.changed() => changed.is_err(),
                    () = tokio::time::sleep(PATIENCE) => false,
                }
            });
            if gone {
                return Ok(());
            }
            if self.follow_looks(&mut look) {
                // Wiped: nobody's picture outlives their look.
                picture = Image::empty();
            }
            let view = frames.borrow_and_update().clone();
            let happened = match view {
                CameraView::Starting => Happened::Nothing,
                CameraView::Faulted(fault) if fault.needs_restart() => return Err(fault),
                CameraView::Faulted(fault) => broken.set(Fault::Camera, true, &fault),
                CameraView::Streaming(frame) if newest == Some(frame.captured_at) => Happened::Nothing,
                CameraView::Streaming(frame) => {
                    newest = Some(frame.captured_at);
                    match &mut look {
                        Some((look, probe)) if frame.captured_at >= look.since => {
                            let seen = observe(&mut self.pipeline, probe, &frame, &mut picture);
                            self.report(seen, &mut broken)
                        }
                        Some(_) | None => self.try_again(&frame, &mut picture, &mut broken),
                    }
                }
            };
            if self.happened.send(happened).is_err() {
                return Ok(());
            }
        }
    }

    /// While something is broken no look is asked for, so it is tried here, on idle frames, whether it works again.
    fn try_again(&mut self, frame: &Frame, picture: &mut Image, broken: &mut Broken) -> Happened {
        if !broken.camera && !broken.vision {
            return Happened::Nothing;
        }
        let tried = decode(frame, picture).map_err(Trouble::from).and_then(|()| {
            let view = picture.view().map_err(VisionError::from)?;
            if broken.vision { self.pipeline.detect(&view).map(drop).map_err(Trouble::from) } else { Ok(()) }
        });
        *picture = Image::empty();
        match tried {
            Err(Trouble::Decode(_)) => Happened::Nothing,
            // The picture is good; whether the nets are is told by the next frame.
            Ok(()) | Err(Trouble::Vision(_)) if broken.camera => {
                broken.frames = 0;
                broken.set(Fault::Camera, false, &"frames come again")
            }
            Ok(()) => broken.set(Fault::Vision, false, &"the nets answer again"),
            Err(Trouble::Vision(_)) => Happened::Nothing,
        }
    }

    /// A new look gets a fresh probe; an ended one is forgotten, with its templates. Says whether the look has changed.
    fn follow_looks(&mut self, look: &mut Option<(Arc<CaptureWindow>, Probe)>) -> bool {
        let wanted = self.looks.borrow_and_update().clone();
        let same = match (&wanted, &*look) {
            (Some(wanted), Some((current, _))) => Arc::ptr_eq(wanted, current),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.camera.set_pace(if wanted.is_some() { Pace::Live } else { Pace::Idle });
            if let (Some(others), Some((ended, probe))) = (&self.others, &*look)
                && let Some(probe) = probe.embedding()
            {
                // One at a time: what finds no room is passed over.
                let _ = others.try_send(Probed { student: ended.student.clone(), probe: probe.clone() });
            }
            *look = wanted.map(|wanted| {
                let probe = Probe::new(wanted.templates.clone());
                (wanted, probe)
            });
        }
        !same
    }

    fn report(&self, seen: Result<crate::domain::Observation, Trouble>, broken: &mut Broken) -> Happened {
        match seen {
            Ok(seen) => {
                let mended = broken.set(Fault::Vision, false, &"the nets answer again");
                if !matches!(mended, Happened::Nothing) && self.happened.send(mended).is_err() {
                    return Happened::Nothing;
                }
                broken.frames = 0;
                Happened::Seen(seen)
            }
            Err(trouble @ Trouble::Decode(_)) => {
                broken.frames += 1;
                tracing::debug!(error = &trouble as &dyn std::error::Error, in_a_row = broken.frames, "frame skipped");
                if broken.frames < BROKEN_FRAMES {
                    return Happened::Nothing;
                }
                broken.set(Fault::Camera, true, &trouble)
            }
            Err(trouble @ Trouble::Vision(_)) => {
                let cause = std::error::Error::source(&trouble).map(ToString::to_string).unwrap_or_default();
                broken.set(Fault::Vision, true, &format_args!("{trouble}: {cause}"))
            }
        }
    }
}

fn observe(
    pipeline: &mut Pipeline,
    probe: &mut Probe,
    frame: &Frame,
    picture: &mut Image,
) -> Result<crate::domain::Observation, Trouble> {
    decode(frame, picture)?;
    let view = picture.view().map_err(VisionError::from)?;
    Ok(probe.observe(pipeline, &view, frame.captured_at)?)
}

/// The picture in `frame`.
///
/// # Errors
/// When it is none.
pub fn decode(frame: &Frame, picture: &mut Image) -> Result<(), DecodeError> {
    match frame.format {
        PixelFormat::Mjpeg => decode_mjpeg(&frame.bytes, picture),
        PixelFormat::Yuyv => decode_yuyv(&frame.bytes, frame.width as usize, frame.height as usize, picture),
    }
}

/// What is broken now; a change is told and logged once.
#[derive(Default)]
struct Broken {
    camera: bool,
    vision: bool,
    /// Undecodable frames in a row.
    frames: u32,
}

impl Broken {
    fn set(&mut self, fault: Fault, is_broken: bool, cause: &dyn std::fmt::Display) -> Happened {
        let state = match fault {
            Fault::Camera => &mut self.camera,
            Fault::Vision => &mut self.vision,
            // Reader and store are not watched here.
            Fault::Reader | Fault::Store => return Happened::Nothing,
        };
        if std::mem::replace(state, is_broken) == is_broken {
            return Happened::Nothing;
        }
        let what = fault.reason();
        if is_broken {
            tracing::error!(%what, %cause, "out of order");
            Happened::Broke(fault)
        } else {
            tracing::info!(%what, %cause, "works again");
            Happened::Mended(fault)
        }
    }
}

#[cfg(test)]
mod tests;
