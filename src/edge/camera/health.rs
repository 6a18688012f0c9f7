//! Whether a stream of pictures can be believed: torn, repeated, black, late and disordered ones cannot. Pure: time arrives.
//!
//! Two answers are told apart. A picture that cannot be believed is refused at once and seen by nobody. Several in a row are an
//! ailment of the camera: a sensor and a USB line lose one now and then, and that is nothing to refer a student for.
//!
//! Blocks: a driver that repeats a picture or cycles through old ones, empty and damaged buffers, a covered or dead sensor, a
//! queue that lags. Does not block a picture held before the lens, a camera that was swapped (liveness and the device's identity
//! do), or a driver that repeats more than [`REMEMBERED`] pictures in a row.

use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hasher as _},
    time::Duration,
};

use super::{Frame, PixelFormat, Shot, brightness};
use crate::domain::MonoTime;

/// Without a new picture for so long the camera is frozen. A repeated picture is never shown, however short the time.
const FROZEN_AFTER: Duration = Duration::from_secs(2);

/// Pictures that are remembered, to know one that comes again: as many as a V4L2 driver has buffers at most (`VIDEO_MAX_FRAME`,
/// videodev2.h). A sensor's noise never repeats.
const REMEMBERED: usize = 32;

/// A frame this old when it is read is of no use: a student would be judged by who stood there before.
const OLD_AFTER: Duration = Duration::from_secs(1);

/// So many refused in a row are an ailment, or so long without a good one if that comes first: a slow camera.
const REFUSED_RUN: u32 = 5;
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// Black is looked for this often: it costs a luma decode (about 1 ms at 640x480, a tenth of a percent of one core).
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Below these mean and variance of luma (0..=255) a picture is black. A dark room's noise is far above both.
const BLACK_MEAN: f32 = 12.0;
const BLACK_VARIANCE: f32 = 9.0;

/// Black for so long is a fault. Less is a sensor that wakes.
const BLACK_AFTER: Duration = Duration::from_millis(500);

/// Luma of black in YUYV (ITU-R BT.601, limited range). JPEG's is zero.
const YUYV_BLACK: u8 = 16;

/// What is wrong with the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ailment {
    /// The same pictures again and again.
    Frozen,
    /// Nothing but black.
    Black,
    /// Captured too long before they are read, or after.
    Old,
    /// Neither their number nor their time moves on.
    Disordered,
    /// Empty, cut, damaged, or impossible to decode.
    Torn,
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frozen => "the camera repeats its pictures; it is opened again; if that does not help, replug it",
            Self::Black => "the camera's pictures are black; uncover the lens and light the room; then replug it",
            Self::Old => "the camera's pictures arrive late; look for a load on this box or a bad USB cable",
            Self::Disordered => {
                "the camera's driver gives pictures whose number or time does not move on; it is opened again; if that does \
                 not help, replug it"
            }
            Self::Torn => "the camera's pictures are torn or empty; look for a bad USB cable or hub",
        })
    }
}

/// What a shot is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can be believed.
    Good(Frame),
    /// It cannot; nothing more is known yet.
    Refused,
    /// Nor can the camera.
    Ill(Ailment),
}

/// The memory behind the judgement.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Kept from opening to opening: a driver that cycles through old pictures does so also when it is opened again.
    known: VecDeque<u64>,
    opening: Opening,
}

/// What is known of one opening of a source.
#[derive(Debug, Default)]
struct Opening {
    /// The newest number and time.
    last: Option<(u64, MonoTime)>,
    /// When there was a new picture, or the first of all.
    changed: Option<MonoTime>,
    looked: Option<MonoTime>,
    black_since: Option<MonoTime>,
    /// Refused since the last good one, and since when.
    refused: u32,
    refused_since: Option<MonoTime>,
}

impl Health {
    /// A source is opened.
    pub(super) fn start_over(&mut self) {
        self.opening = Opening::default();
    }

    /// Judges `shot`, read at `now`.
    pub(super) fn judge(&mut self, shot: Shot, now: MonoTime) -> Verdict {
        match self.weigh(&shot, now) {
            Ok(()) => {}
            Err(Doubt::Refused(ailment)) => return self.refuse(ailment, now),
            Err(Doubt::Repeated) => return Verdict::Refused,
            Err(Doubt::Ill(ailment)) => return Verdict::Ill(ailment),
        }
        match shot {
            Shot::Picture(frame) => {
                self.opening.refused = 0;
                self.opening.refused_since = None;
                Verdict::Good(frame)
            }
            Shot::Torn(_) => self.refuse(Ailment::Torn, now),
        }
    }

    fn weigh(&mut self, shot: &Shot, now: MonoTime) -> Result<(), Doubt> {
        let frame = match shot {
            Shot::Picture(frame) => frame,
            Shot::Torn(why) => {
                tracing::debug!(%why, "a buffer of the camera is refused");
                return Err(Doubt::Refused(Ailment::Torn));
            }
        };
        if frame.captured_at > now {
            return Err(Doubt::Refused(Ailment::Old));
        }
        let moved = |(sequence, at)| frame.sequence > sequence && frame.captured_at > at;
        if !self.opening.last.is_none_or(moved) {
            return Err(Doubt::Refused(Ailment::Disordered));
        }
        self.opening.last = Some((frame.sequence, frame.captured_at));
        if now.since(frame.captured_at) >= OLD_AFTER {
            return Err(Doubt::Refused(Ailment::Old));
        }
        let is_new = self.is_new(&frame.bytes);
        let changed = *self.opening.changed.get_or_insert(now);
        if is_new {
            self.opening.changed = Some(now);
        }
        // While something is wrong every frame is looked at, so that it ends with the first good one; and a picture that repeats
        // because it is black is to be called so.
        let due = self.opening.looked.is_none_or(|at| now.since(at) >= LOOK_EVERY);
        if due || !is_new || self.opening.black_since.is_some() || self.opening.refused > 0 {
            self.opening.looked = Some(now);
            self.look(frame, now)?;
        }
        match is_new {
            true => Ok(()),
            false if now.since(changed) >= FROZEN_AFTER => Err(Doubt::Ill(Ailment::Frozen)),
            false => Err(Doubt::Repeated),
        }
    }

    /// Whether this is no picture of the last few.
    fn is_new(&mut self, bytes: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        let hash = hasher.finish();
        if self.known.contains(&hash) {
            return false;
        }
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(hash);
        true
    }

    fn look(&mut self, frame: &Frame, now: MonoTime) -> Result<(), Doubt> {
        let brightness = match frame.format {
            PixelFormat::Mjpeg => brightness::of_jpeg(&frame.bytes),
            PixelFormat::Yuyv => {
                brightness::spread(frame.bytes.iter().step_by(2).map(|luma| luma.saturating_sub(YUYV_BLACK)))
            }
        };
        let Some((mean, variance)) = brightness else { return Err(Doubt::Refused(Ailment::Torn)) };
        let black = mean < BLACK_MEAN && variance < BLACK_VARIANCE;
        let since = black.then(|| self.opening.black_since.unwrap_or(now));
        self.opening.black_since = since;
        if since.is_some_and(|since| now.since(since) >= BLACK_AFTER) {
            Err(Doubt::Ill(Ailment::Black))
        } else {
            Ok(())
        }
    }

    fn refuse(&mut self, ailment: Ailment, now: MonoTime) -> Verdict {
        self.opening.refused += 1;
        let since = *self.opening.refused_since.get_or_insert(now);
        if self.opening.refused >= REFUSED_RUN || now.since(since) >= REFUSED_FOR {
            Verdict::Ill(ailment)
        } else {
            Verdict::Refused
        }
    }
}

/// What speaks against a shot.
enum Doubt {
    /// It cannot be believed; a run of such is an ailment.
    Refused(Ailment),
    /// It was there before.
    Repeated,
    /// The camera is ill.
    Ill(Ailment),
}

#[cfg(test)]
mod tests;
