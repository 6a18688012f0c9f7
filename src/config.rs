//! TOML text to a validated [`Config`]. An error names the key, the value and what is allowed.
//!
//! Reads no file and no device: whoever starts the box reads the text and hands it over.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::domain::{CredentialProfile, ExamId, RoomId};

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
}

/// How one box is set up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The box's name: also the CN of its certificate and its segment in every topic. Letters, digits, `-`, `_`, `.`.
    pub device: crate::domain::DeviceId,
    /// The room whose door it guards.
    pub room: RoomId,
    /// The exam it serves; its roster lies in the state folder.
    pub exam: ExamId,
    /// Where rosters, events and the clock's floor are kept.
    pub state: PathBuf,
    /// Where keys are read from: 0600 files, or the folder of a systemd credential when left out.
    pub keys: Option<PathBuf>,
    /// The folder that holds `models/` and `runtime/`, as `models/fetch` makes them.
    pub models: PathBuf,
    /// The card reader.
    #[serde(default)]
    pub card: Card,
    /// The camera.
    pub camera: Camera,
    /// The light.
    #[serde(default)]
    pub light: Light,
    /// The line to the broker. Left out: events wait in the outbox.
    pub uplink: Option<Uplink>,
    /// The clock.
    #[serde(default)]
    pub clock: Clock,
    /// How a student is verified.
    #[serde(default)]
    pub policy: PolicyOverrides,
    /// How the outbox is bounded.
    #[serde(default)]
    pub outbox: Outbox,
}

/// In which order the reader gives a card's identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UidOrder {
    /// As on the card (ISO/IEC 14443-3).
    #[default]
    Card,
    /// Backwards, as some readers do.
    Reversed,
}

/// The card reader.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// In which order the reader gives a card's identifier.
    #[serde(default)]
    pub uid_order: UidOrder,
}

/// The camera.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Which one.
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
    /// Frames a second.
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

/// Which camera.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CameraDevice {
    /// USB vendor and product, four hex digits each: `046d:0825`.
    Usb(String),
    /// The name the kernel gives it.
    Name(String),
    /// Position, `/dev/videoN`. Positions change: prefer `usb`.
    Index(u32),
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
    },
    /// Pins of a Raspberry Pi, BCM numbers.
    RaspberryPi {
        /// Pin of the red lamp.
        red: u8,
        /// Pin of the amber lamp.
        amber: u8,
        /// Pin of the green lamp.
        green: u8,
    },
}

/// The line to the broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// Host name, as in the broker's certificate.
    pub host: String,
    /// TCP port.
    #[serde(default = "Uplink::default_port")]
    pub port: u16,
    /// PEM file with the certificate authority that signed the broker's certificate.
    pub ca: PathBuf,
    /// PEM file with this box's certificate.
    pub certificate: PathBuf,
    /// The collector's public keys.
    pub collector: Collector,
}

impl Uplink {
    const fn default_port() -> u16 {
        8883
    }
}

/// Whom events are for, and whose receipts count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// age recipient that events are encrypted to: `age1…`.
    pub recipient: String,
    /// Ed25519 public key of its receipts, 64 hex digits.
    pub receipt_key: String,
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
}

/// How the outbox is bounded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// Events that may wait for a receipt; beyond it the box refers. 1,000 to 10,000,000.
    pub max_events: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { max_events: 200_000 }
    }
}

impl Config {
    /// Reads and validates.
    ///
    /// # Errors
    /// When the text is not TOML of this shape, or a value is outside its range.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|source| ConfigError::Syntax(Box::new(source)))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        within("camera.width", self.camera.width, 320, 1920, "320 to 1920 pixels")?;
        within("camera.height", self.camera.height, 240, 1080, "240 to 1080 pixels")?;
        within("camera.fps", self.camera.fps, 5, 60, "5 to 60 frames a second")?;
        if let CameraDevice::Usb(id) = &self.camera.device {
            let well_formed = id.split_once(':').is_some_and(|(vendor, product)| {
                [vendor, product].iter().all(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit()))
            });
            if !well_formed {
                return Err(value("camera.device.usb", id, "vendor:product, four hex digits each, such as 046d:0825"));
            }
        }
        within("clock.holdover_hours", self.clock.holdover_hours, 1, 720, "1 to 720 hours")?;
        within("outbox.max_events", self.outbox.max_events, 1_000, 10_000_000, "1,000 to 10,000,000 events")?;
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
        if let Some(uplink) = &self.uplink {
            if uplink.host.is_empty() || uplink.host.parse::<SocketAddr>().is_ok() {
                return Err(value(
                    "uplink.host",
                    &uplink.host,
                    "a host name or address without a port; the port is uplink.port",
                ));
            }
            let key = &uplink.collector.receipt_key;
            if key.len() != 64 || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(value("uplink.collector.receipt_key", key, "an Ed25519 public key, 64 hex digits"));
            }
            if !uplink.collector.recipient.starts_with("age1") {
                return Err(value(
                    "uplink.collector.recipient",
                    &uplink.collector.recipient,
                    "an age recipient, age1…",
                ));
            }
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
mod tests {
    use std::error::Error;

    use super::*;

    const GOOD: &str = r#"
device = "door-7"
room = "SILVER-207"
exam = "MATH-UA-120-final"
state = "/var/lib/examgate"
models = "/usr/share/examgate"
[camera]
device = { usb = "046d:0825" }
[light]
kind = "gpio"
chip = "/dev/gpiochip0"
red = 17
amber = 27
green = 22
[uplink]
host = "broker.example.edu"
ca = "/etc/examgate/ca.pem"
certificate = "/etc/examgate/door-7.pem"
[uplink.collector]
recipient = "age1qqqq"
receipt_key = "0000000000000000000000000000000000000000000000000000000000000000"
"#;

    #[test]
    fn a_good_text_is_read() {
        let config = Config::parse(GOOD).expect("valid");
        assert_eq!((config.camera.width, config.camera.fps, config.card.uid_order), (640, 30, UidOrder::Card));
    }

    #[test]
    fn a_bad_text_is_refused_by_key_value_and_what_is_allowed() {
        let cases: [(&str, &str, &[&str]); 9] = [
            ("device = \"door-7\"", "device = \"door/7\"", &["door/7", "letters"]),
            ("room = \"SILVER-207\"\n", "", &["room"]),
            ("[camera]", "[camera]\nfps = 0", &["camera.fps", "0", "5 to 60"]),
            ("[camera]", "[camera]\nwidht = 640", &["widht", "width"]),
            ("046d:0825", "46d:825", &["camera.device.usb", "46d:825", "four hex digits"]),
            ("kind = \"gpio\"", "kind = \"gipo\"", &["gipo", "raspberry-pi"]),
            ("red = 17", "red = \"seventeen\"", &["seventeen", "u32"]),
            ("age1qqqq", "AGE-SECRET", &["uplink.collector.recipient", "age recipient"]),
            ("broker.example.edu", "10.0.0.1:8883", &["uplink.host", "10.0.0.1:8883", "uplink.port"]),
        ];
        for (from, to, words) in cases {
            assert!(GOOD.contains(from), "{from}");
            let error = Config::parse(&GOOD.replace(from, to)).expect_err(to);
            let said = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
            for word in words {
                assert!(said.contains(word), "{to:?} gave {said:?}, without {word:?}");
            }
        }
    }

    #[test]
    fn what_is_not_toml_is_refused() {
        for text in ["", "\0", "= 3", "[camera", &"[".repeat(10_000)] {
            assert!(Config::parse(text).is_err());
        }
    }
}
