//! A V4L2 camera, through `nokhwa`.
//!
//! `nokhwa` 0.10 is watched at four points: it settles for another format, so what came back is checked; it tells
//! capture time by the wall clock, so it is turned to monotonic at once; it hands over the driver's whole buffer, so
//! the picture is cut out of it; its reads never time out, so [`super::Camera`] watches.

use std::{path::Path, sync::Arc};

use nokhwa::{
    NokhwaError,
    utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution},
};

use super::{
    CameraError, DeviceChoice, Frame, FrameSource, Opener, PixelFormat, StreamFormat,
    sysfs::{self, VideoNode},
};
use crate::{
    domain::{MonoTime, Timestamp},
    wire::jpeg,
};

/// Frames in a row that may be torn or untimed before the stream is given up.
const SKIPPED: u32 = 30;

/// Reads monotonic time and the machine's own wall clock, together. Never a scripted one: the driver's is not.
pub type V4lReading = Arc<dyn Fn() -> (MonoTime, Timestamp) + Send + Sync>;

/// Which camera, and what it is to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4lSettings {
    /// The camera.
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
        Ok(Box::new(V4lSource::open(&node, &settings.formats, Arc::clone(&reading))?))
    })
}

struct V4lSource {
    device: String,
    camera: nokhwa::Camera,
    format: StreamFormat,
    reading: V4lReading,
    last: Option<MonoTime>,
    sequence: u64,
}

impl V4lSource {
    fn open(node: &VideoNode, formats: &[StreamFormat], reading: V4lReading) -> Result<Self, CameraError> {
        let device = node.to_string();
        let mut refusals = Vec::new();
        for &format in formats {
            let asked = to_nokhwa(format);
            let pixels = [asked.format()];
            let request = RequestedFormat::with_formats(RequestedFormatType::Exact(asked), &pixels);
            let mut camera = match nokhwa::Camera::new(CameraIndex::Index(node.index), request) {
                Ok(camera) => camera,
                Err(why @ NokhwaError::OpenDeviceError(..)) => {
                    return Err(CameraError::Open { device, why: why.to_string() });
                }
                Err(why) => {
                    refusals.push(why.to_string());
                    continue;
                }
            };
            let got = camera.refresh_camera_format().map_err(|why| failed(&device, &why))?;
            if got != asked {
                refusals.push(got.to_string());
                continue;
            }
            camera.open_stream().map_err(|why| CameraError::Open { device: device.clone(), why: why.to_string() })?;
            tracing::info!(device, %format, "camera opened");
            return Ok(Self { device, camera, format, reading, last: None, sequence: 0 });
        }
        let asked: Vec<_> = formats.iter().map(StreamFormat::to_string).collect();
        Err(CameraError::FormatRefused { device, asked: asked.join(" or "), got: refusals.join("; ") })
    }
}

impl FrameSource for V4lSource {
    fn format(&self) -> StreamFormat {
        self.format
    }

    fn next(&mut self) -> Result<Frame, CameraError> {
        let mut untimed = false;
        for _ in 0..SKIPPED {
            let buffer = self.camera.frame().map_err(|why| failed(&self.device, &why))?;
            let (mono, wall) = (self.reading)();
            let captured_at = buffer.capture_timestamp().and_then(|stamp| to_mono(stamp, mono, wall));
            untimed = captured_at.is_none();
            let (Some(captured_at), Some(bytes)) = (captured_at, picture(buffer.buffer(), self.format)) else {
                continue;
            };
            // The wall clock may have been set between two frames: such a frame is passed over.
            if self.last.is_some_and(|last| captured_at <= last) {
                continue;
            }
            self.last = Some(captured_at);
            self.sequence += 1;
            return Ok(Frame {
                format: self.format.pixels,
                width: self.format.width,
                height: self.format.height,
                bytes: bytes.into(),
                captured_at,
                sequence: self.sequence,
            });
        }
        let device = self.device.clone();
        if untimed {
            Err(CameraError::NoCaptureTime { device })
        } else {
            Err(CameraError::Read { device, why: format!("{SKIPPED} pictures in a row were torn or out of order") })
        }
    }
}

/// The monotonic time of `stamp`, a wall time since 1970, by how long ago it was. `None` if it is yet to come: the clock was
/// set back meanwhile.
fn to_mono(stamp: std::time::Duration, mono: MonoTime, wall: Timestamp) -> Option<MonoTime> {
    let wall = std::time::Duration::try_from(wall.as_duration()).ok()?;
    let age = wall.checked_sub(stamp)?;
    mono.since_start().checked_sub(age).map(MonoTime::from_start)
}

/// The picture at the start of a driver's buffer. `None` if it is torn.
fn picture(buffer: &[u8], format: StreamFormat) -> Option<&[u8]> {
    let length = match format.pixels {
        PixelFormat::Mjpeg => jpeg::length(buffer)?,
        PixelFormat::Yuyv => usize::try_from(u64::from(format.width) * u64::from(format.height) * 2).ok()?,
    };
    buffer.get(..length)
}

fn to_nokhwa(format: StreamFormat) -> CameraFormat {
    let pixels = match format.pixels {
        PixelFormat::Mjpeg => FrameFormat::MJPEG,
        PixelFormat::Yuyv => FrameFormat::YUYV,
    };
    CameraFormat::new(Resolution::new(format.width, format.height), pixels, format.rate)
}

fn failed(device: &str, why: &NokhwaError) -> CameraError {
    let (device, why) = (device.to_owned(), why.to_string());
    // `nokhwa` keeps only the text of the I/O error; ENODEV is 19 on Linux (asm-generic/errno-base.h).
    if why.contains("os error 19") { CameraError::Unplugged { device } } else { CameraError::Read { device, why } }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn capture_time_becomes_monotonic_by_age() {
        let wall = |ms: i64| Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap();
        let stamp = |ms: u64| Duration::from_millis(1_800_000_000_000 + ms);
        let mono = |ms| MonoTime::from_start(Duration::from_millis(ms));
        let cases = [
            ("40 ms ago", stamp(60), wall(100), Some(mono(4960))),
            ("now", stamp(100), wall(100), Some(mono(5000))),
            ("yet to come", stamp(101), wall(100), None),
            ("before the boot", stamp(0), wall(6000), None),
            ("a wall clock before 1970", stamp(0), Timestamp::from_second(-5).unwrap(), None),
        ];
        for (name, stamp, wall, wanted) in cases {
            assert_eq!(to_mono(stamp, mono(5000), wall), wanted, "{name}");
        }
    }

    #[test]
    fn a_picture_is_cut_out_of_the_buffer() {
        let yuyv = StreamFormat { pixels: PixelFormat::Yuyv, width: 4, height: 2, rate: 30 };
        assert_eq!(picture(&[7; 20], yuyv).map(<[u8]>::len), Some(16));
        assert_eq!(picture(&[7; 15], yuyv), None);
        assert_eq!(picture(&[7; 20], StreamFormat::VGA), None);
    }

    #[test]
    fn an_unplugged_camera_is_told_from_a_failed_read() {
        let failed = |why: &str| failed("cam", &NokhwaError::ReadFrameError(why.into()));
        assert!(matches!(failed("No such device (os error 19)"), CameraError::Unplugged { .. }));
        assert!(matches!(failed("Input/output error (os error 5)"), CameraError::Read { .. }));
    }

    #[test]
    fn a_missing_camera_is_named_with_what_there_is() {
        let settings = V4lSettings {
            device: DeviceChoice::Name("No Such Camera".into()),
            formats: vec![StreamFormat::VGA],
            allow_virtual: false,
        };
        let opener = v4l_opener(settings, Arc::new(|| (MonoTime::default(), Timestamp::UNIX_EPOCH)));
        let said = opener().err().expect("no machine has this camera").to_string();
        assert!(said.contains("No Such Camera"), "{said}");
    }
}
