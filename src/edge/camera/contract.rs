//! What every [`FrameSource`] has to keep: one suite for the replay and the device.

use std::{sync::Arc, time::Duration};

use super::{FrameSource, MonoClock, PixelFormat, Shot};
use crate::wire::jpeg;

/// A dim room halves the rate and a loaded machine delays: only this is a stall, and half of what the supervisor bears.
const LIMIT: Duration = Duration::from_secs(1);

/// One buffer in so many may be torn: USB loses a packet now and then.
const TORN_AT_MOST: u32 = 10;

/// Reads `frames` pictures and checks the contract: as declared, whole, captured in order and before they are read, in time, none
/// as one before, and hardly any torn.
///
/// # Errors
/// What was broken, by which frame.
pub fn check(source: &mut dyn FrameSource, clock: &MonoClock, frames: u32) -> Result<(), String> {
    let declared = source.format();
    let mut last: Option<super::Frame> = None;
    let mut seen = Vec::new();
    let mut torn = 0;
    let mut n = 0;
    while n < frames {
        let asked = clock();
        let shot = source.next().map_err(|why| format!("frame {}: {why}", n + 1))?;
        let frame = match shot {
            Shot::Picture(frame) => frame,
            Shot::Torn(why) => {
                torn += 1;
                if torn > frames.div_ceil(TORN_AT_MOST) {
                    return Err(format!("{torn} of {} buffers are torn; the last: {why}", n + torn));
                }
                continue;
            }
        };
        n += 1;
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
        if seen.contains(&frame.bytes) {
            return broken("the same picture was there before");
        }
        seen.push(Arc::clone(&frame.bytes));
        last = Some(frame);
    }
    Ok(())
}
