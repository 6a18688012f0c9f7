//! The driver's buffers: dequeued with a time-out, and handed on with what the driver says of each.
//!
//! The seam of this edge: tests play descriptors here that no healthy camera gives.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use ::v4l::{
    Device,
    buffer::{Flags, Metadata, Type},
    io::traits::{CaptureStream, Stream as _},
    prelude::MmapStream,
    v4l2,
};

/// Buffers asked for: one being filled, one read, two to bear a busy moment.
const COUNT: u32 = 4;

/// When the driver says that the first byte was captured (`V4L2_BUF_FLAG_TIMESTAMP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// By CLOCK_MONOTONIC; a driver that copies stamps (v4l2loopback) is taken at its word, and judged by what they say.
    Monotonic(Duration),
    /// It does not say by which clock.
    Unknown,
}

/// One buffer as `VIDIOC_DQBUF` describes it. Its `Debug` shows no pixel.
#[derive(Clone, Copy)]
pub(super) struct Dequeued<'a> {
    /// All of the mapped memory: what lies beyond [`Self::used`] is from before.
    pub(super) memory: &'a [u8],
    /// `bytesused`.
    pub(super) used: usize,
    /// `V4L2_BUF_FLAG_ERROR`: the data is damaged.
    pub(super) error: bool,
    /// When it was captured.
    pub(super) stamp: Stamp,
    /// Counts frames, also those that were dropped.
    pub(super) sequence: u32,
}

impl fmt::Debug for Dequeued<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, used, error, stamp, sequence } = self;
        write!(f, "Dequeued({used} of {} bytes, error {error}, {stamp:?}, #{sequence})", memory.len())
    }
}

/// Filled buffers, one after the other.
pub(super) trait Buffers {
    /// The next one; the one before goes back to the driver.
    ///
    /// # Errors
    /// `TimedOut` when none is filled within `limit`; any other as the driver gives it. The buffers are of no more use then.
    fn dequeue(&mut self, limit: Duration) -> io::Result<Dequeued<'_>>;
}

/// Buffers mapped from a device. The device is let go when this is dropped.
pub(super) struct Mapped(Option<MmapStream<'static>>);

impl Mapped {
    /// Asks the driver for buffers. Streaming starts with the first that is dequeued.
    pub(super) fn of(device: &Device) -> io::Result<Self> {
        MmapStream::with_buffers(device, Type::VideoCapture, COUNT).map(|stream| Self(Some(stream)))
    }
}

impl Buffers for Mapped {
    fn dequeue(&mut self, limit: Duration) -> io::Result<Dequeued<'_>> {
        let stream = self.0.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.set_timeout(limit);
        let (memory, &Metadata { bytesused, flags, field: _, timestamp, sequence }) = CaptureStream::next(stream)?;
        let seconds = u64::try_from(timestamp.sec).unwrap_or(0);
        let micros = u64::try_from(timestamp.usec).unwrap_or(0);
        let at = Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros));
        let clock = flags & Flags::TIMESTAMP_MASK;
        let known = clock == Flags::TIMESTAMP_MONOTONIC || clock == Flags::TIMESTAMP_COPY;
        Ok(Dequeued {
            memory,
            used: bytesused as usize,
            error: flags.contains(Flags::ERROR),
            stamp: if known { Stamp::Monotonic(at) } else { Stamp::Unknown },
            sequence,
        })
    }
}

/// `v4l` 0.14 panics where a driver refuses to stop or to take its memory back, twice in a row where it refuses both, which
/// would abort the process.
impl Drop for Mapped {
    fn drop(&mut self) {
        let Some(mut stream) = self.0.take() else { return };
        match stream.stop() {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                tracing::warn!(%error, "the camera's driver does not stop; the device is closed all the same");
                // What is mapped stays mapped: the driver may still write there.
                let _ = v4l2::close(stream.handle().fd());
                std::mem::forget(stream);
            }
            Ok(()) | Err(_) => drop(catch_unwind(AssertUnwindSafe(|| drop(stream)))),
        }
    }
}
