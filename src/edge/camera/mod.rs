//! The camera: frames, captured when they say they were, or a fault that says what is wrong.
//!
//! A [`FrameSource`] is one opened device. [`Camera`] keeps one open, watches over it, and publishes the latest frame.

mod brightness;
mod health;
mod supervisor;
mod sysfs;
mod v4l;
mod view;

#[cfg(any(test, feature = "sim"))]
pub mod contract;
#[cfg(feature = "sim")]
pub mod replay;

use std::{fmt, sync::Arc, time::Duration};

pub use health::Ailment;
pub use supervisor::Camera;
pub use sysfs::{DeviceChoice, UsbIdentity};
pub use v4l::{V4lReading, V4lSettings, v4l_opener};
pub use view::{CameraFault, CameraSettings, CameraView, Pace};

use crate::domain::MonoTime;

/// How a frame's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One JPEG picture, from SOI to EOI.
    Mjpeg,
    /// Packed YUV 4:2:2, two bytes a pixel, rows without padding.
    Yuyv,
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mjpeg => "MJPEG",
            Self::Yuyv => "YUYV",
        })
    }
}

/// What a source delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFormat {
    /// Encoding.
    pub pixels: PixelFormat,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second.
    pub rate: u32,
}

impl StreamFormat {
    /// What every UVC camera offers: MJPEG, 640 x 480, 30 a second.
    pub const VGA: Self = Self { pixels: PixelFormat::Mjpeg, width: 640, height: 480, rate: 30 };

    /// Time from one frame to the next.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.rate.max(1)
    }
}

impl fmt::Display for StreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{} at {}/s", self.pixels, self.width, self.height, self.rate)
    }
}

/// One picture. Its `Debug` shows no pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// How to read the bytes.
    pub format: PixelFormat,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The picture.
    pub bytes: Arc<[u8]>,
    /// When the sensor took it, not when it was read.
    pub captured_at: MonoTime,
    /// Counts the frames of one opening of a source, from 1.
    pub sequence: u64,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Frame({} {}x{}, {} bytes, #{} captured at {})",
            self.format,
            self.width,
            self.height,
            self.bytes.len(),
            self.sequence,
            self.captured_at
        )
    }
}

/// One opened camera. Lives on the thread that opened it.
pub trait FrameSource {
    /// What it delivers. Every frame is as declared here.
    fn format(&self) -> StreamFormat;

    /// The next frame. Blocks until there is one; a real driver may block for ever, so [`Camera`] watches.
    ///
    /// `captured_at` rises strictly from frame to frame.
    ///
    /// # Errors
    /// The source is of no more use: open another.
    fn next(&mut self) -> Result<Frame, CameraError>;
}

/// Opens a source, again and again, on whatever thread will read it.
pub type Opener = Arc<dyn Fn() -> Result<Box<dyn FrameSource>, CameraError> + Send + Sync>;

/// Reads monotonic time.
pub type MonoClock = Arc<dyn Fn() -> MonoTime + Send + Sync>;

/// A camera cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// No camera is as asked for.
    #[error("no camera is {wanted}; {present}; plug it in, or correct [camera] device")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// What there is.
        present: String,
    },
    /// Several are.
    #[error("several cameras are {wanted}: {present}; unplug one, or choose by index in [camera] device")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Which they are.
        present: String,
    },
    /// It hangs on no USB port.
    #[error(
        "{device} is not a USB camera, it may be fed by software; unless that is meant (allow_virtual), choose another in [camera] device"
    )]
    Virtual {
        /// The camera's name.
        device: String,
    },
    /// The list of cameras cannot be read.
    #[error("cannot list the cameras in {path}; check that the unit may see /sys")]
    List {
        /// The file or folder.
        path: std::path::PathBuf,
        /// The underlying error.
        source: std::io::Error,
    },
    /// It delivers something else.
    #[error(
        "{device} was asked for {asked} and gave {got}; see `v4l2-ctl --list-formats-ext` and correct [camera] formats"
    )]
    FormatRefused {
        /// The camera's name.
        device: String,
        /// What was asked for.
        asked: String,
        /// What came back.
        got: String,
    },
    /// It cannot be opened.
    #[error("cannot open {device}: {why}; check that no other program uses it and that this user is in group video")]
    Open {
        /// The camera's name.
        device: String,
        /// In the driver's words.
        why: String,
    },
    /// It cannot be read.
    #[error("cannot read a frame from {device}: {why}; it is opened again")]
    Read {
        /// The camera's name.
        device: String,
        /// In the driver's words.
        why: String,
    },
    /// It is gone.
    #[error("{device} was unplugged; plug it in again")]
    Unplugged {
        /// The camera's name.
        device: String,
    },
    /// It does not say when its frames were taken.
    #[error("{device} gives no capture time, so its frames cannot be told from old ones; use another camera")]
    NoCaptureTime {
        /// The camera's name.
        device: String,
    },
    /// The thread that read it has died.
    #[error("the thread reading the camera has ended; it is opened again")]
    ReaderEnded,
    /// No thread to read it.
    #[error("cannot start a thread to read the camera; check the unit's TasksMax=")]
    StartThread(#[source] std::io::Error),
    /// A picture of a replay cannot be used.
    #[cfg(feature = "sim")]
    #[error("cannot replay {path}: {why}; name a JPEG picture or a folder of them")]
    Replay {
        /// The file or folder.
        path: std::path::PathBuf,
        /// The cause.
        why: String,
    },
}

impl CameraError {
    /// Whether it may mend itself: by a cable, another program, time. Otherwise somebody has to change the configuration
    /// or the camera.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::List { .. }
            | Self::Open { .. }
            | Self::Read { .. }
            | Self::Unplugged { .. }
            | Self::ReaderEnded
            | Self::StartThread(_) => true,
            Self::Virtual { .. } | Self::FormatRefused { .. } | Self::NoCaptureTime { .. } => false,
            #[cfg(feature = "sim")]
            Self::Replay { .. } => false,
        }
    }
}
