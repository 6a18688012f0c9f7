//! Whether a stream of pictures can be believed: frozen, black, old and unreadable ones cannot. Pure: time arrives.
//!
//! Blocks: a driver that repeats a picture, a covered or dead sensor, a queue that lags. Does not block a picture held
//! before the lens or a camera that was swapped: that is the work of liveness and of the device's identity.

use std::{fmt, sync::Arc, time::Duration};

use super::{Frame, PixelFormat, brightness};
use crate::domain::MonoTime;

/// Bit-identical pictures for so long are a frozen camera: a sensor's noise never repeats.
const FROZEN_AFTER: Duration = Duration::from_secs(2);

/// A frame this old when it is read is of no use: a student would be judged by who stood there before.
const OLD_AFTER: Duration = Duration::from_secs(1);

/// Black is looked for this often: it costs a luma decode (about 1 ms at 640x480, a tenth of a percent of one core).
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Below these mean and variance of luma (0..=255) a picture is black. A dark room's noise is far above both.
const BLACK_MEAN: f32 = 12.0;
const BLACK_VARIANCE: f32 = 9.0;

/// Black for so long is a fault. Less is a sensor that wakes.
const BLACK_AFTER: Duration = Duration::from_millis(500);

/// Luma of black in YUYV (ITU-R BT.601, limited range). JPEG's is zero.
const YUYV_BLACK: u8 = 16;

/// USB loses a packet now and then and tears a picture: only a run of them is a fault.
const UNREADABLE_RUN: u32 = 5;

/// What is wrong with the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ailment {
    /// The same picture again and again.
    Frozen,
    /// Nothing but black.
    Black,
    /// Captured too long before they are read, or out of order.
    Old,
    /// They cannot be decoded.
    Unreadable,
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frozen => "the camera repeats one picture; it is opened again; if that does not help, replug it",
            Self::Black => "the camera's pictures are black; uncover the lens and light the room; then replug it",
            Self::Old => "the camera's pictures arrive late; look for a load on this box or a bad USB cable",
            Self::Unreadable => "the camera's pictures are torn; look for a bad USB cable or hub",
        })
    }
}

/// The memory behind the judgement, for one opening of a source.
#[derive(Debug, Default)]
pub(super) struct Health {
    last: Option<Last>,
    looked: Option<MonoTime>,
    black_since: Option<MonoTime>,
    unreadable: u32,
}

#[derive(Debug)]
struct Last {
    bytes: Arc<[u8]>,
    sequence: u64,
    captured_at: MonoTime,
    changed_at: MonoTime,
}

impl Health {
    /// Judges `frame`, read at `now`.
    pub(super) fn judge(&mut self, frame: &Frame, now: MonoTime) -> Result<(), Ailment> {
        let mut backwards = false;
        let changed_at = match &self.last {
            Some(last) => {
                backwards = frame.captured_at <= last.captured_at;
                let same = frame.sequence == last.sequence || frame.bytes == last.bytes;
                if same { last.changed_at } else { frame.captured_at }
            }
            None => frame.captured_at,
        };
        let frozen = frame.captured_at.since(changed_at) >= FROZEN_AFTER;
        self.last = Some(Last {
            bytes: Arc::clone(&frame.bytes),
            sequence: frame.sequence,
            captured_at: frame.captured_at,
            changed_at,
        });
        if backwards || frame.captured_at > now || now.since(frame.captured_at) >= OLD_AFTER {
            return Err(Ailment::Old);
        }
        if frozen {
            return Err(Ailment::Frozen);
        }
        // While something is wrong every frame is looked at, so that it ends with the first good one.
        let due = self.looked.is_none_or(|at| now.since(at) >= LOOK_EVERY);
        if due || self.black_since.is_some() || self.unreadable > 0 {
            self.looked = Some(now);
            self.look(frame, now);
        }
        if self.unreadable >= UNREADABLE_RUN {
            return Err(Ailment::Unreadable);
        }
        if self.black_since.is_some_and(|since| now.since(since) >= BLACK_AFTER) { Err(Ailment::Black) } else { Ok(()) }
    }

    fn look(&mut self, frame: &Frame, now: MonoTime) {
        let brightness = match frame.format {
            PixelFormat::Mjpeg => brightness::of_jpeg(&frame.bytes),
            PixelFormat::Yuyv => {
                brightness::spread(frame.bytes.iter().step_by(2).map(|luma| luma.saturating_sub(YUYV_BLACK)))
            }
        };
        match brightness {
            Some((mean, variance)) => {
                self.unreadable = 0;
                let black = mean < BLACK_MEAN && variance < BLACK_VARIANCE;
                self.black_since = black.then(|| self.black_since.unwrap_or(now));
            }
            None => self.unreadable += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 16 x 2 picture whose luma is `level`, give or take `swing`.
    fn frame(sequence: u64, captured_ms: u64, level: u8, swing: u8) -> Frame {
        let mut bytes = vec![128_u8; 64];
        for (i, luma) in bytes.iter_mut().step_by(2).enumerate() {
            *luma = level + if i % 2 == 0 { swing } else { 0 };
        }
        bytes[1] = sequence as u8; // a sensor never repeats
        Frame {
            format: PixelFormat::Yuyv,
            width: 16,
            height: 2,
            bytes: bytes.into(),
            captured_at: at(captured_ms),
            sequence,
        }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_start(Duration::from_millis(10_000 + ms))
    }

    #[test]
    fn a_live_stream_is_well() {
        let mut health = Health::default();
        for i in 0..200 {
            assert_eq!(health.judge(&frame(i, i * 33, 90, 40), at(i * 33 + 5)), Ok(()), "frame {i}");
        }
    }

    #[test]
    fn repeated_pictures_are_frozen_and_recover() {
        let mut health = Health::default();
        let still = frame(1, 0, 90, 40);
        let mut when = None;
        for i in 0..100_u64 {
            let repeat = Frame { captured_at: at(i * 33), sequence: i, ..still.clone() };
            if health.judge(&repeat, at(i * 33)) == Err(Ailment::Frozen) {
                when = when.or(Some(i * 33));
            }
        }
        assert_eq!(when, Some(2013), "the first frame two seconds after the last change");
        assert_eq!(health.judge(&frame(101, 3400, 91, 40), at(3400)), Ok(()));
    }

    #[test]
    fn a_sequence_that_stands_still_is_frozen() {
        let mut health = Health::default();
        let verdicts: Vec<_> = (0..100_u64)
            .map(|i| health.judge(&Frame { sequence: 7, ..frame(i, i * 33, 90, 40) }, at(i * 33)))
            .collect();
        assert_eq!(verdicts.last(), Some(&Err(Ailment::Frozen)));
    }

    #[test]
    fn old_early_and_backward_frames_are_refused() {
        let cases = [
            ("fresh", 100, 130, Ok(())),
            ("old", 100, 1100, Err(Ailment::Old)),
            ("from the future", 100, 99, Err(Ailment::Old)),
            ("same moment as the last", 0, 30, Err(Ailment::Old)),
        ];
        for (name, captured, now, wanted) in cases {
            let mut health = Health::default();
            assert_eq!(health.judge(&frame(1, 0, 90, 40), at(0)), Ok(()));
            assert_eq!(health.judge(&frame(2, captured, 90, 40), at(now)), wanted, "{name}");
        }
    }

    #[test]
    fn black_is_seen_in_time_and_ends_with_the_first_picture() {
        let mut health = Health::default();
        assert_eq!(health.judge(&frame(0, 0, 90, 40), at(0)), Ok(()));
        let first_black = (1..60).find(|i| health.judge(&frame(*i, i * 33, 16, 1), at(i * 33)) == Err(Ailment::Black));
        assert_eq!(first_black, Some(47), "a look at 1023 ms, and half a second");
        assert_eq!(health.judge(&frame(61, 2013, 90, 40), at(2013)), Ok(()));
    }

    #[test]
    fn a_dim_room_is_not_black() {
        let mut health = Health::default();
        assert_eq!(health.judge(&frame(0, 0, 20, 12), at(0)), Ok(()));
        assert_eq!(health.judge(&frame(1, 1900, 20, 12), at(1900)), Ok(()));
    }

    #[test]
    fn one_torn_picture_is_forgiven_five_are_not() {
        let mut health = Health::default();
        let torn = |i| Frame { format: PixelFormat::Mjpeg, ..frame(i, i * 33, 90, 40) };
        let verdicts: Vec<_> = (0..6).map(|i| health.judge(&torn(i), at(i * 33))).collect();
        assert_eq!(verdicts[..4], [Ok(()); 4]);
        assert_eq!(verdicts[4], Err(Ailment::Unreadable));
        assert_eq!(health.judge(&frame(7, 231, 90, 40), at(231)), Ok(()));
    }
}
