//! A V4L2 camera, through the crate `v4l`: opened in the mode that is asked for, and every buffer judged by what its driver says
//! of it.
//!
//! A driver hands over mapped memory that still holds older pictures. What is new in it is told by the buffer's descriptor alone:
//! bytes used, error flag, number, time. Nothing beyond the bytes used is ever read.

mod buffers;
mod holders;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::v4l::{
    Device, Format, Fraction,
    format::FourCC,
    video::{Capture, capture::Parameters},
};

use self::buffers::{Buffers, Dequeued, Mapped, Stamp};
use super::{
    CameraError, DeviceChoice, Frame, FrameSource, Opener, PixelFormat, Shot, StreamFormat, Torn,
    sysfs::{self, VideoNode},
};
use crate::{domain::MonoTime, wire::jpeg};

/// How long the first buffer may take: a sensor wakes.
const FIRST_WITHIN: Duration = Duration::from_secs(4);

/// How long any later one may take. Less than [`super::CameraSettings::stalled_after`], so that the device is let go before it
/// is opened again.
const NEXT_WITHIN: Duration = Duration::from_millis(1500);

/// Share by which a driver's rate may miss the one asked for: 30000/1001 a second is 30.
const RATE_TOLERANCE: f64 = 0.01;

/// Reads two monotonic times at one moment: the box's, and the one by which drivers stamp (CLOCK_MONOTONIC).
pub type V4lReading = Arc<dyn Fn() -> (MonoTime, Duration) + Send + Sync>;

/// Which camera, and what it is to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4lSettings {
    /// Which.
    pub device: DeviceChoice,
    /// Formats in the order of preference, as [`StreamFormat::VGA`] and then YUYV.
    pub formats: Vec<StreamFormat>,
    /// Whether one fed by software will do.
    pub allow_virtual: bool,
}

/// Opens the camera of `settings`, looked for anew each time.
#[must_use]
pub fn v4l_opener(settings: V4lSettings, reading: V4lReading) -> Opener {
    Arc::new(move || {
        let node = sysfs::choose(&sysfs::list(Path::new(sysfs::CLASS))?, &settings.device, settings.allow_virtual)?;
        Ok(Box::new(open(&node, &settings.formats, Arc::clone(&reading))?))
    })
}

fn open(node: &VideoNode, formats: &[StreamFormat], reading: V4lReading) -> Result<V4lSource<Mapped>, CameraError> {
    let path = PathBuf::from(format!("/dev/video{}", node.index));
    let name = node.to_string();
    let failed = |error: &io::Error| opening(&name, &path, error);
    let device = Device::with_path(&path).map_err(|error| failed(&error))?;
    let mut refusals = Vec::new();
    for &format in formats {
        match set(&device, format) {
            Ok(()) => {}
            Err(Refusal::Otherwise(got)) => {
                refusals.push(got);
                continue;
            }
            Err(Refusal::Failed(error)) => return Err(failed(&error)),
        }
        let buffers = Mapped::of(&device).map_err(|error| failed(&error))?;
        tracing::info!(device = name, %format, "camera opened");
        return Ok(V4lSource { device: name, format, buffers, reading, within: FIRST_WITHIN });
    }
    let asked: Vec<_> = formats.iter().map(StreamFormat::to_string).collect();
    Err(CameraError::FormatRefused { device: name, asked: asked.join(" or "), got: refusals.join("; ") })
}

/// Why a mode is not set.
enum Refusal {
    /// The driver has another one, or says that it has not this one.
    Otherwise(String),
    /// The device cannot be used at all.
    Failed(io::Error),
}

/// Sets a mode, and reads it only then: a camera may have been left in one that this edge has no name for.
fn set(device: &impl Capture, format: StreamFormat) -> Result<(), Refusal> {
    let refused = |error: io::Error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOTTY | libc::ERANGE) => {
            Refusal::Otherwise(format!("{format} is refused ({error})"))
        }
        Some(_) | None => Refusal::Failed(error),
    };
    let (fourcc, row) = match format.pixels {
        PixelFormat::Mjpeg => (FourCC::new(b"MJPG"), 0),
        PixelFormat::Yuyv => (FourCC::new(b"YUYV"), format.width * 2),
    };
    let got = device.set_format(&Format::new(format.width, format.height, fourcc)).map_err(refused)?;
    if (got.fourcc, got.width, got.height) != (fourcc, format.width, format.height) {
        return Err(Refusal::Otherwise(format!("{} {}x{}", got.fourcc, got.width, got.height)));
    }
    if row > 0 && got.stride != 0 && got.stride != row {
        return Err(Refusal::Otherwise(format!("{format} in rows of {} bytes", got.stride)));
    }
    let got = match device.set_params(&Parameters::new(Fraction::new(1, format.rate))) {
        Ok(got) => got.interval,
        // A driver that has one rate only need not tell it (VIDIOC_S_PARM is optional).
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => return Ok(()),
        Err(error) => return Err(refused(error)),
    };
    if is_rate(&got, format.rate) { Ok(()) } else { Err(Refusal::Otherwise(at_rate(format, &got))) }
}

/// Whether frames `interval` apart come `rate` a second. A driver that says 0 does not tell.
fn is_rate(interval: &Fraction, rate: u32) -> bool {
    if interval.numerator == 0 || interval.denominator == 0 {
        return true;
    }
    let got = f64::from(interval.denominator) / f64::from(interval.numerator);
    (got - f64::from(rate)).abs() <= RATE_TOLERANCE * f64::from(rate)
}

fn at_rate(format: StreamFormat, interval: &Fraction) -> String {
    let StreamFormat { pixels, width, height, rate: _ } = format;
    let got = f64::from(interval.denominator) / f64::from(interval.numerator);
    format!("{pixels} {width}x{height} at {}/s", (got * 100.0).round() / 100.0)
}

/// What keeps a device from being opened.
fn opening(device: &str, path: &Path, error: &io::Error) -> CameraError {
    let device = device.to_owned();
    match error.raw_os_error() {
        Some(libc::EBUSY) => CameraError::Busy { device, by: holders::named(path) },
        Some(libc::ENODEV | libc::ENXIO | libc::ENOENT) => CameraError::Unplugged { device },
        Some(libc::ENOSPC) => CameraError::NoBandwidth { device },
        Some(_) | None => CameraError::Open { device, why: error.to_string() },
    }
}

/// An opened camera over its driver's buffers.
struct V4lSource<B> {
    device: String,
    format: StreamFormat,
    buffers: B,
    reading: V4lReading,
    /// How long the next buffer may take.
    within: Duration,
}

impl<B: Buffers> V4lSource<B> {
    fn failed(&self, error: &io::Error) -> CameraError {
        let device = self.device.clone();
        match error.raw_os_error() {
            Some(libc::ENODEV) => CameraError::Unplugged { device },
            Some(libc::ENOSPC) => CameraError::NoBandwidth { device },
            Some(libc::EBUSY) => CameraError::Busy { device, by: String::new() },
            _ if error.kind() == io::ErrorKind::TimedOut => CameraError::Silent { device, waited: self.within },
            Some(_) | None => CameraError::Read { device, why: error.to_string() },
        }
    }
}

impl<B: Buffers> FrameSource for V4lSource<B> {
    fn format(&self) -> StreamFormat {
        self.format
    }

    fn next(&mut self) -> Result<Shot, CameraError> {
        // Two steps, since the buffer is borrowed until it is judged.
        let judged = match self.buffers.dequeue(self.within) {
            Ok(buffer) => judge(&buffer, self.format, (self.reading)()),
            Err(error) => return Err(self.failed(&error)),
        };
        self.within = NEXT_WITHIN;
        judged.map_err(|Untimed| CameraError::NoCaptureTime { device: self.device.clone() })
    }
}

/// The driver does not say when the picture was taken.
#[derive(Debug, PartialEq, Eq)]
struct Untimed;

/// The picture in a buffer dequeued at the two times of `read_at`.
fn judge(buffer: &Dequeued<'_>, format: StreamFormat, read_at: (MonoTime, Duration)) -> Result<Shot, Untimed> {
    let Stamp::Monotonic(stamp) = buffer.stamp else { return Err(Untimed) };
    Ok(match picture(buffer, format) {
        Err(torn) => Shot::Torn(torn),
        Ok(bytes) => Shot::Picture(Frame {
            format: format.pixels,
            width: format.width,
            height: format.height,
            bytes: bytes.into(),
            captured_at: to_mono(stamp, read_at),
            sequence: u64::from(buffer.sequence),
        }),
    })
}

/// The box's time at the driver's `stamp`. A stamp from before the box's start becomes that start, which is old; one that is yet
/// to come stays so, which is refused.
fn to_mono(stamp: Duration, (mono, drivers): (MonoTime, Duration)) -> MonoTime {
    match drivers.checked_sub(stamp) {
        Some(age) => MonoTime::from_start(mono.since_start().saturating_sub(age)),
        None => mono.after(stamp.saturating_sub(drivers)),
    }
}

/// The whole picture that the driver says it has put into the buffer.
fn picture<'a>(buffer: &Dequeued<'a>, format: StreamFormat) -> Result<&'a [u8], Torn> {
    if buffer.error {
        return Err(Torn::Flagged);
    }
    if buffer.used == 0 {
        return Err(Torn::Empty);
    }
    let (used, room) = (buffer.used, buffer.memory.len());
    let filled = buffer.memory.get(..used).ok_or(Torn::Overlong { used, room })?;
    match format.pixels {
        PixelFormat::Mjpeg => match jpeg::length(filled) {
            Some(length) => Ok(&filled[..length]),
            None => Err(Torn::Cut { used }),
        },
        PixelFormat::Yuyv => {
            // A driver may round the size up to whole pages, but never gives less.
            let whole = format.width as usize * format.height as usize * 2;
            filled.get(..whole).ok_or(Torn::Short { used, whole })
        }
    }
}

#[cfg(test)]
mod tests;
