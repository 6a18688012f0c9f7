//! The camera: frames with reliable capture times, or a fault that says what is wrong.
//!
//! A [`FrameSource`] is one opened device: it hands on every buffer, as a picture or as torn. [`Camera`] keeps one open, watches
//! over it, and publishes the latest frame.

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
    /// The source's count of frames: rises strictly within one opening, by more than one where frames were lost.
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

/// What a source has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shot {
    /// A whole picture.
    Picture(Frame),
    /// A buffer without one.
    Torn(Torn),
}

/// Why a buffer holds no picture. USB loses a packet now and then; many in a row are a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Torn {
    /// The driver says that the data is damaged.
    Flagged,
    /// The driver has put nothing into it.
    Empty,
    /// A JPEG without its beginning or its end.
    Cut {
        /// Bytes it has.
        used: usize,
    },
    /// Less than a whole picture.
    Short {
        /// Bytes it has.
        used: usize,
        /// Bytes a picture has.
        whole: usize,
    },
    /// More than fits: the driver is wrong.
    Overlong {
        /// Bytes it is said to have.
        used: usize,
        /// Bytes that fit.
        room: usize,
    },
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flagged => f.write_str("its driver flags the data as damaged"),
            Self::Empty => f.write_str("it is empty"),
            Self::Cut { used } => write!(f, "its {used} bytes are no whole JPEG picture"),
            Self::Short { used, whole } => write!(f, "it has {used} bytes, a picture has {whole}"),
            Self::Overlong { used, room } => write!(f, "it is said to have {used} bytes, {room} fit"),
        }
    }
}

/// One opened camera. Lives on the thread that opened it.
pub trait FrameSource {
    /// What it delivers. Every picture is as declared here.
    fn format(&self) -> StreamFormat;

    /// The next picture or torn buffer. Blocks until there is one; a driver may block without end, so [`Camera`] has a watchdog.
    ///
    /// `captured_at` and `sequence` are as the driver says; in a healthy source both rise strictly.
    ///
    /// # Errors
    /// The source is of no more use: open another.
    fn next(&mut self) -> Result<Shot, CameraError>;
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
    /// Another program has it.
    #[error(
        "{device} is busy: it is used{by}; end that program. If that is this box's own service, stop it first, or ask the \
         console how the camera is"
    )]
    Busy {
        /// The camera's name.
        device: String,
        /// ` by NAME (process N)`, or empty if that cannot be seen.
        by: String,
    },
    /// Its USB bus is full.
    #[error(
        "the USB bus has no room left for {device}; plug it into another port, not through a hub with other cameras"
    )]
    NoBandwidth {
        /// The camera's name.
        device: String,
    },
    /// It cannot be opened.
    #[error("cannot open {device}: {why}; check that this user is in group video")]
    Open {
        /// The camera's name.
        device: String,
        /// In the driver's words.
        why: String,
    },
    /// No frame comes.
    #[error(
        "no frame came from {device} for {:.1} s; it is opened again; if that does not help, replug it",
        waited.as_secs_f32()
    )]
    Silent {
        /// The camera's name.
        device: String,
        /// How long was waited.
        waited: Duration,
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
            | Self::Busy { .. }
            | Self::NoBandwidth { .. }
            | Self::Open { .. }
            | Self::Silent { .. }
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
