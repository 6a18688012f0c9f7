//! What a SAM says of itself: SAM_GetVersion.

use std::fmt;

use super::{Asked, CLASS, DONE, SamError, data};

/// SAM_GetVersion. Every SAM answers it, locked or not.
pub const GET_VERSION: [u8; 5] = [CLASS, 0x60, 0x00, 0x00, 0x00];

/// Bytes of a version: hardware and software (7 each), serial number (7), batch (5), date (3), settings and mode.
const LENGTH: usize = 31;

/// Which generation of commands a SAM speaks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamMode {
    /// AV3, activated.
    Av3,
    /// AV3 as it leaves the factory: to be activated first.
    NotActivated,
    /// AV2, or an AV3 that behaves as one.
    Av2,
    /// AV1, or a later one that behaves as one.
    Av1,
    /// Something else, by the last byte of its version.
    Other(u8),
}

impl fmt::Display for SamMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Av3 => f.write_str("a SAM AV3, activated"),
            Self::NotActivated => f.write_str("a SAM AV3 that is not activated"),
            Self::Av2 => f.write_str("a SAM AV2"),
            Self::Av1 => f.write_str("a SAM AV1"),
            Self::Other(mode) => write!(f, "of an unknown kind ({mode:02X})"),
        }
    }
}

/// What a SAM says of itself. Holds nothing that is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamVersion {
    /// Which commands it speaks.
    pub mode: SamMode,
    /// Its software, major and minor.
    pub software: [u8; 2],
    /// Its serial number.
    pub serial: [u8; 7],
}

impl SamVersion {
    /// Reads the answer to [`GET_VERSION`].
    ///
    /// ```
    /// use examgate::wire::sam::{SamMode, SamVersion};
    ///
    /// // A SAM AV2, as one of its users recorded it.
    /// let answer = hex::decode("0401010302280104010103022801042C2E0AAB36809710250000140B0D00A29000")?;
    /// let version = SamVersion::read(&answer)?;
    /// assert_eq!((version.mode, version.software), (SamMode::Av2, [3, 2]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// It refuses, or what it answers is no version.
    pub fn read(response: &[u8]) -> Result<Self, SamError> {
        let data = data(Asked::Version, response, DONE)?;
        let wrong = SamError::Length { asked: Asked::Version, length: data.len() };
        let version = <[u8; LENGTH]>::try_from(data).map_err(|_| wrong)?;
        let mode = match version[LENGTH - 1] {
            0xA3 => SamMode::Av3,
            0x03 => SamMode::NotActivated,
            0xA2 => SamMode::Av2,
            0xA1 => SamMode::Av1,
            other => SamMode::Other(other),
        };
        let serial = std::array::from_fn(|n| version[14 + n]);
        Ok(Self { mode, software: [version[10], version[11]], serial })
    }

    /// Refuses a SAM that does not speak the commands of an activated AV3.
    ///
    /// # Errors
    /// [`SamError::Mode`].
    pub const fn check(&self) -> Result<(), SamError> {
        if matches!(self.mode, SamMode::Av3) { Ok(()) } else { Err(SamError::Mode { mode: self.mode }) }
    }
}

impl fmt::Display for SamVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor] = self.software;
        write!(f, "{}, software {major}.{minor}, serial number {}", self.mode, hex::encode_upper(self.serial))
    }
}
