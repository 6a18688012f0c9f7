//! Settings of a supervised camera, and its published state.
//!
//! Never opens or reads one.

use std::{fmt, sync::Arc, time::Duration};

use super::{Ailment, CameraError, Frame};

/// How the camera is watched over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraSettings {
    /// How long opening and the first frame may take. USB cameras need up to about two seconds.
    pub open_within: Duration,
    /// How long any later frame may take.
    pub stalled_after: Duration,
    /// How long black, late or torn pictures are borne before the camera is opened again. Frozen ones are not borne.
    pub patience: Duration,
    /// The first pause before opening again; doubled each time.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Time between frames published when idle.
    pub idle_interval: Duration,
    /// Threads blocked in a driver that are borne.
    pub abandoned: usize,
}

impl Default for CameraSettings {
    fn default() -> Self {
        Self {
            open_within: Duration::from_secs(5),
            stalled_after: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
            idle_interval: Duration::from_millis(500),
            abandoned: 3,
        }
    }
}

/// How many frames are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Between students: one every [`CameraSettings::idle_interval`].
    Idle,
    /// While one is looked at: all.
    Live,
}

/// What the camera shows now.
#[derive(Clone, Debug)]
pub enum CameraView {
    /// Being opened for the first time.
    Starting,
    /// The latest frame.
    Streaming(Arc<Frame>),
    /// No frame can be believed.
    Faulted(CameraFault),
}

/// Why there is no frame to be believed.
#[derive(Clone, Debug)]
pub enum CameraFault {
    /// It cannot be opened or read.
    Failed(Arc<CameraError>),
    /// No frame came in time.
    Stalled {
        /// How long was waited.
        waited: Duration,
    },
    /// Its pictures cannot be believed.
    Ailing(Ailment),
    /// Too many reads hang in the driver: only a restart of this process lets go of the device.
    Wedged {
        /// How many hang.
        hanging: usize,
    },
}

impl CameraFault {
    /// Whether this process has to be restarted.
    #[must_use]
    pub const fn needs_restart(&self) -> bool {
        matches!(self, Self::Wedged { .. })
    }
}

impl fmt::Display for CameraFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => why.fmt(f),
            Self::Stalled { waited } => write!(
                f,
                "no frame came from the camera for {:.1} s; it is opened again; if that does not help, replug it",
                waited.as_secs_f32()
            ),
            Self::Ailing(ailment) => ailment.fmt(f),
            Self::Wedged { hanging } => {
                write!(
                    f,
                    "{hanging} reads hang in the camera's driver; the service has to restart, then replug the camera"
                )
            }
        }
    }
}
