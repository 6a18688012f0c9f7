//! What every [`FrameSource`] has to keep: one suite for the replay and the device.

use std::time::Duration;

use super::{FrameSource, MonoClock, PixelFormat};
use crate::wire::jpeg;

/// A dim room halves the rate and a loaded machine delays: only this is a stall, and half of what the supervisor bears.
const LIMIT: Duration = Duration::from_secs(1);

/// Reads `frames` frames and checks the contract: as declared, whole, captured in order and before they are read, in time.
///
/// # Errors
/// What was broken, by which frame.
pub fn check(source: &mut dyn FrameSource, clock: &MonoClock, frames: u32) -> Result<(), String> {
    let declared = source.format();
    let mut last: Option<super::Frame> = None;
    for n in 1..=frames {
        let asked = clock();
        let frame = source.next().map_err(|why| format!("frame {n}: {why}"))?;
        let now = clock();
        let broken = |what: &str| Err(format!("frame {n}, {frame:?}: {what}"));
        if (frame.format, frame.width, frame.height) != (declared.pixels, declared.width, declared.height) {
            return broken(&format!("not {declared} as declared"));
        }
        let whole = match frame.format {
            PixelFormat::Mjpeg => jpeg::length(&frame.bytes) == Some(frame.bytes.len()),
            PixelFormat::Yuyv => frame.bytes.len() as u64 == u64::from(frame.width) * u64::from(frame.height) * 2,
        };
        if !whole {
            return broken("not one whole picture");
        }
        if frame.captured_at > now {
            return broken(&format!("captured after it was read at {now}"));
        }
        if let Some(last) = &last {
            if frame.captured_at <= last.captured_at {
                return broken(&format!("captured no later than the one before, {last:?}"));
            }
            if frame.sequence <= last.sequence {
                return broken("its sequence does not rise");
            }
            // The first frame may take longer: the sensor wakes.
            if now.since(asked) > LIMIT {
                return broken(&format!("took {:?}, at most {LIMIT:?} is allowed", now.since(asked)));
            }
        }
        last = Some(frame);
    }
    Ok(())
}
