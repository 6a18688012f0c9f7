//! TOML text to a validated [`Config`]. An error names the key, the value and what is allowed.
//!
//! Reads no file and no device: the caller reads the text and passes it in.

mod card;
mod fleet;
mod pages;
mod telemetry;

use std::{path::PathBuf, time::Duration};

pub use card::{Card, Desfire, KeysIn, Pacs, Piv, Sam, SamHost, SlowestMs};
pub use fleet::{Collector, CommandKey, Fleet, Uplink};
pub use pages::{Console, Screen};
pub use telemetry::Telemetry;

use serde::Deserialize;

use crate::{
    domain::{CredentialProfile, DeviceId, ExamId, RoomId},
    wire::host::{Host, HostError},
};

/// Why a text is not a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, a key that does not exist, a key that is missing, or a value of the wrong type.
    #[error("the configuration cannot be read")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A value outside what is allowed.
    #[error("{key} = {value} is not allowed: {allowed}")]
    Value {
        /// The key, with its table.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be set to.
        allowed: &'static str,
    },
    /// No host alone.
    #[error(
        "uplink.host = {value:?} is not allowed: a host name or address without scheme and port; the port is uplink.port"
    )]
    Host {
        /// What it was set to.
        value: String,
        /// Why it is none.
        source: HostError,
    },
    /// The disk is too small for the outbox.
    #[error("outbox.max_events = {events} is not allowed: the disk of the state folder holds at most {most}")]
    OutboxTooLarge {
        /// What it was set to.
        events: u64,
        /// What it may be set to.
        most: u64,
    },
}

/// How one box is set up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The box's name: also the CN of its certificate and its segment in every topic. Letters, digits, `-`, `_`, `.`.
    pub device: DeviceId,
    /// The room whose door it guards.
    pub room: RoomId,
    /// The only exam it serves; its roster lies in the state folder. May be left out where a fleet pushes rosters: the box then serves
    /// the exam whose doors are open.
    pub exam: Option<ExamId>,
    /// Where rosters, events and the clock's floor are kept.
    pub state: PathBuf,
    /// Where keys and shares of keys lie. The root key comes from systemd's credentials where there are any.
    pub keys: PathBuf,
    /// The folder that holds `models/` and `runtime/`, as `models/fetch` makes them.
    pub models: PathBuf,
    /// Where `examgate doctor --tune` writes which net, provider and threads suit this machine, and from where they are read. Left out
    /// or not there: what the manifest says.
    pub tuning: Option<PathBuf>,
    /// The card reader.
    #[serde(default)]
    pub card: Card,
    /// The camera.
    pub camera: Camera,
    /// The light.
    #[serde(default)]
    pub light: Light,
    /// The student screen. Left out: there is none.
    pub screen: Option<Screen>,
    /// The line to the broker. Left out: events wait in the outbox.
    pub uplink: Option<Uplink>,
    /// The fleet that pushes rosters over the uplink. Left out: rosters are imported on the box.
    pub fleet: Option<Fleet>,
    /// The proctor's console. Left out: none.
    pub console: Option<Console>,
    /// The clock.
    #[serde(default)]
    pub clock: Clock,
    /// How a student is verified.
    #[serde(default)]
    pub policy: PolicyOverrides,
    /// How the outbox is bounded.
    #[serde(default)]
    pub outbox: Outbox,
    /// What is counted and measured for the fleet. Left out: nothing.
    pub telemetry: Option<Telemetry>,
    /// Strings that a script pulls instead of hardware.
    #[cfg(feature = "sim")]
    pub sim: Option<Sim>,
}

/// Strings that a script pulls instead of hardware (feature `sim`): the clock and the camera follow files in a folder.
#[cfg(feature = "sim")]
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sim {
    /// The folder.
    pub strings: PathBuf,
    /// Whether the card follows a file too. Otherwise the reader is real.
    pub card: bool,
}

/// The camera.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// The camera.
    pub device: CameraDevice,
    /// How pictures arrive.
    #[serde(default)]
    pub format: CameraFormat,
    /// Pixels.
    #[serde(default = "Camera::default_width")]
    pub width: u32,
    /// Pixels.
    #[serde(default = "Camera::default_height")]
    pub height: u32,
    /// Frames per second.
    #[serde(default = "Camera::default_fps")]
    pub fps: u32,
    /// Accept a camera that is no physical USB device. Anyone who can start a program on the box can feed it pictures.
    #[serde(default)]
    pub allow_virtual: bool,
}

impl Camera {
    const fn default_width() -> u32 {
        640
    }

    const fn default_height() -> u32 {
        480
    }

    const fn default_fps() -> u32 {
        30
    }
}

/// How the camera is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CameraDevice {
    /// USB vendor and product, four hex digits each: `046d:0825`.
    Usb(UsbId),
    /// The name the kernel gives it.
    Name(String),
    /// Position, `/dev/videoN`. Positions change: prefer `usb`.
    Index(u32),
}

/// USB vendor and product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UsbId {
    /// `idVendor`.
    pub vendor: u16,
    /// `idProduct`.
    pub product: u16,
}

impl TryFrom<String> for UsbId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = |part: &str| (part.len() == 4).then(|| u16::from_str_radix(part, 16).ok()).flatten();
        text.split_once(':')
            .and_then(|(vendor, product)| Some(Self { vendor: hex(vendor)?, product: hex(product)? }))
            .ok_or_else(|| format!("{text:?} is not allowed: vendor:product, four hex digits each, such as 046d:0825"))
    }
}

/// How pictures arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameraFormat {
    /// One JPEG a frame.
    #[default]
    Mjpeg,
    /// YUV 4:2:2, two bytes a pixel.
    Yuyv,
}

/// The light.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Light {
    /// None: patterns go to the log.
    #[default]
    Simulated,
    /// Lines of a GPIO character device.
    Gpio {
        /// For instance `/dev/gpiochip0`.
        chip: PathBuf,
        /// Line offset of the red lamp.
        red: u32,
        /// Line offset of the amber lamp.
        amber: u32,
        /// Line offset of the green lamp.
        green: u32,
        /// Line offset of the buzzer, if there is one.
        buzzer: Option<u32>,
    },
    /// Pins of a Raspberry Pi, BCM numbers.
    RaspberryPi {
        /// Pin of the red lamp.
        red: u8,
        /// Pin of the amber lamp.
        amber: u8,
        /// Pin of the green lamp.
        green: u8,
        /// Pin of the buzzer, if there is one.
        buzzer: Option<u8>,
    },
}

/// The clock.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// How long the clock is believed after its last synchronisation, in hours.
    pub holdover_hours: u32,
}

impl Default for Clock {
    fn default() -> Self {
        Self { holdover_hours: 72 }
    }
}

impl Clock {
    /// How long the clock is believed after its last synchronisation.
    #[must_use]
    pub fn holdover(&self) -> Duration {
        Duration::from_secs(u64::from(self.holdover_hours) * 3600)
    }
}

/// What of the default policy is changed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyOverrides {
    /// Capture windows in one tap, 1 to 5.
    pub attempts: Option<u32>,
    /// How long one window is open, 1000 to 10000 ms.
    pub attempt_window_ms: Option<u64>,
    /// How long an answer stays, 1000 to 30000 ms.
    pub show_for_ms: Option<u64>,
    /// The weakest card accepted.
    pub weakest_profile: Option<CredentialProfile>,
    /// Whether everybody is asked to turn the head, not only who is in doubt.
    pub always_challenge: Option<bool>,
}

/// How the outbox is bounded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// Events that may wait for a receipt; beyond it the box refers. 1,000 to 10,000,000, and what the disk can hold.
    pub max_events: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { max_events: 200_000 }
    }
}

impl Config {
    /// Reads and validates.
    #[doc = include_str!("config/example.md")]
    /// # Errors
    /// When the text is not TOML of this shape, or a value is outside its range.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|source| ConfigError::Syntax(Box::new(source)))?;
        config.check()?;
        if let Some(Uplink { host, .. }) = &mut config.uplink {
            let read: Host = host.parse().map_err(|source| ConfigError::Host { value: host.clone(), source })?;
            *host = read.to_string();
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.card.check()?;
        within("camera.width", self.camera.width, 320, 1920, "320 to 1920 pixels")?;
        within("camera.height", self.camera.height, 240, 1080, "240 to 1080 pixels")?;
        within("camera.fps", self.camera.fps, 5, 60, "5 to 60 frames a second")?;
        within("clock.holdover_hours", self.clock.holdover_hours, 1, 720, "1 to 720 hours")?;
        within("outbox.max_events", self.outbox.max_events, 1_000, 10_000_000, "1,000 to 10,000,000 events")?;
        if let Some(screen) = &self.screen {
            within("screen.port", screen.port, 1024, u16::MAX, "1024 to 65535")?;
            within("screen.languages", screen.languages.len(), 1, 3, "one to three languages")?;
            let plain = |tag: &String| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if let Some(tag) = screen.languages.iter().find(|tag| !plain(tag)) {
                let allowed = "BCP 47 tags, such as en or zh-Hans";
                return Err(ConfigError::Value { key: "screen.languages", value: format!("{tag:?}"), allowed });
            }
        }
        let policy = &self.policy;
        for (key, set, least, most, allowed) in [
            ("policy.attempts", policy.attempts.map(u64::from), 1, 5, "1 to 5"),
            ("policy.attempt_window_ms", policy.attempt_window_ms, 1_000, 10_000, "1000 to 10000 milliseconds"),
            ("policy.show_for_ms", policy.show_for_ms, 1_000, 30_000, "1000 to 30000 milliseconds"),
        ] {
            if let Some(set) = set {
                within(key, set, least, most, allowed)?;
            }
        }
        match &self.fleet {
            Some(fleet) => fleet.check(self.uplink.is_some())?,
            None if self.exam.is_none() => {
                let allowed = "without [fleet] the box serves one exam: name it, as `exam = \"MATH-UA-120-final\"`";
                return Err(value("exam", "left out", allowed));
            }
            None => {}
        }
        if let Some(uplink) = &self.uplink {
            uplink.check(self.fleet.as_ref().is_some_and(|fleet| fleet.root.is_some()))?;
        }
        if let Some(telemetry) = &self.telemetry {
            telemetry.check(self.uplink.is_some())?;
        }
        Ok(())
    }
}

fn value(key: &'static str, value: &str, allowed: &'static str) -> ConfigError {
    ConfigError::Value { key, value: format!("{value:?}"), allowed }
}

fn within<T: PartialOrd + ToString>(
    key: &'static str,
    set: T,
    least: T,
    most: T,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if set < least || set > most {
        return Err(ConfigError::Value { key, value: set.to_string(), allowed });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
