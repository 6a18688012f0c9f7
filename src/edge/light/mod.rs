//! The light at the door: what the box answers, in colour and in rhythm.
//!
//! A [`Light`] shows one [`Pattern`] until it is given the next. [`Player`] plays a pattern's rhythm over [`Lamps`],
//! which is all that a piece of hardware has to be.

mod gpio;
mod pattern;
mod player;
mod rpi;
mod simulated;

use std::{fmt, path::PathBuf};

pub use gpio::GpioLamps;
pub use pattern::{Lit, Pattern, Repeat, Rhythm, Step};
pub use player::Player;
pub use rpi::RaspberryPiLamps;
pub use simulated::SimulatedLamps;

/// Shows the box's answers.
pub trait Light: Send {
    /// Shows `pattern` from its start until the next call. Does not wait.
    ///
    /// # Errors
    /// The lamps could not be set since the last call; the light keeps trying.
    fn show(&mut self, pattern: Pattern) -> Result<(), LightError>;
}

/// Lamps that can be lit: the thinnest seam to the hardware.
pub trait Lamps: Send {
    /// Lights exactly `lit`.
    ///
    /// # Errors
    /// The hardware refused.
    fn set(&mut self, lit: Lit) -> Result<(), LightError>;
}

/// Which pins drive which lamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pins {
    /// Red lamp.
    pub red: u32,
    /// Green lamp.
    pub green: u32,
    /// Amber lamp.
    pub amber: u32,
    /// Buzzer, if there is one.
    pub buzzer: Option<u32>,
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (red), {} (amber), {} (green)", self.red, self.amber, self.green)?;
        self.buzzer.map_or(Ok(()), |buzzer| write!(f, ", {buzzer} (buzzer)"))
    }
}

/// Which light a box has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LightKind {
    /// Lines of a GPIO character device, by offset.
    Gpio {
        /// Such as `/dev/gpiochip0`.
        chip: PathBuf,
        /// Offsets on that chip.
        pins: Pins,
    },
    /// The header of a Raspberry Pi, by BCM number.
    RaspberryPi {
        /// BCM numbers.
        pins: Pins,
    },
    /// No light: what would be lit goes to the debug log.
    Simulated,
}

impl fmt::Display for LightKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpio { chip, pins } => write!(f, "lines {pins} of {}", chip.display()),
            Self::RaspberryPi { pins } => write!(f, "BCM pins {pins}"),
            Self::Simulated => f.write_str("no lamps: patterns go to the debug log"),
        }
    }
}

/// Opens the lamps of `kind` and starts the player on them, dark.
///
/// # Errors
/// The hardware cannot be had, or no thread.
pub fn open(kind: &LightKind) -> Result<Player, LightError> {
    match kind {
        LightKind::Gpio { chip, pins } => Player::start(GpioLamps::open(chip, *pins)?),
        LightKind::RaspberryPi { pins } => Player::start(RaspberryPiLamps::open(*pins)?),
        LightKind::Simulated => Player::start(SimulatedLamps::default()),
    }
}

/// The light cannot do as told.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// The lines cannot be had.
    #[error(
        "cannot take lines {pins} of {chip}; check [light] chip and lines against `gpioinfo`, that nothing else holds \
         them, and that this user is in group gpio"
    )]
    TakeLines {
        /// Chip.
        chip: PathBuf,
        /// Lines asked for.
        pins: Pins,
        /// The underlying error.
        source: gpiocdev::Error,
    },
    /// A line cannot be set.
    #[error("cannot set the lines of {chip}; check that the GPIO controller is still there")]
    SetLines {
        /// Chip.
        chip: PathBuf,
        /// The underlying error.
        source: gpiocdev::Error,
    },
    /// A pin of the header cannot be had.
    #[error("cannot take BCM pin {pin}; check [light] pins and that this user is in group gpio")]
    TakePin {
        /// BCM number.
        pin: u32,
        /// The underlying error.
        source: rppal::gpio::Error,
    },
    /// There is no pin of that number.
    #[error("there is no BCM pin {pin}; a Raspberry Pi's header has 0 to 27: correct [light] pins")]
    NoSuchPin {
        /// BCM number.
        pin: u32,
    },
    /// No thread for the rhythm.
    #[error("cannot start the light's thread; check the unit's TasksMax=")]
    StartThread(#[source] std::io::Error),
    /// The thread for the rhythm is gone.
    #[error("the light's thread has ended; restart the service")]
    ThreadEnded,
}
