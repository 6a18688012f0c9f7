//! The SAM that holds the card key, in a reader of its own.

use serde::Deserialize;

use super::super::{ConfigError, value, within};
use crate::wire::sam::Opening;

/// The highest number of a key entry in a SAM.
const LAST_ENTRY: u8 = 127;

/// Where the SAM is, and by which of its keys cards prove themselves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sam {
    /// A part of the name of its reader, which no other reader has in its name. What lies in that reader is no tap.
    pub reader: String,
    /// The number of the card key's entry in the SAM.
    pub key: u8,
    /// Which of the entry's versions.
    #[serde(default)]
    pub version: u8,
    /// How the SAM is opened, with the key `card-sam.key`. Left out: it has no host key and needs no opening.
    pub host: Option<SamHost>,
}

/// How a SAM is opened.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamHost {
    /// By which command.
    #[serde(default)]
    pub opening: Opening,
    /// The number of the host key's entry in the SAM.
    pub key: u8,
    /// Which of the entry's versions.
    #[serde(default)]
    pub version: u8,
}

impl Sam {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.reader.trim().is_empty() {
            let allowed = "a part of the name of the SAM's reader, as `examgate doctor` prints it: \"SAM Reader\"";
            return Err(value("card.desfire.sam.reader", &self.reader, allowed));
        }
        let allowed = "the number of a key entry in the SAM, 0 to 127";
        within("card.desfire.sam.key", self.key, 0, LAST_ENTRY, allowed)?;
        self.host.map_or(Ok(()), |host| within("card.desfire.sam.host.key", host.key, 0, LAST_ENTRY, allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sam, String> {
        let sam: Sam = toml::from_str(text).map_err(|error| error.to_string())?;
        sam.check().map_err(|error| error.to_string())?;
        Ok(sam)
    }

    #[test]
    fn a_sam_is_named_by_its_reader_and_its_key() {
        let sam = read("reader = \"SAM Reader\"\nkey = 33").unwrap();
        assert!(sam.key == 33 && sam.version == 0 && sam.host.is_none());
        let sam = read("reader = \"00 01\"\nkey = 1\nversion = 2\nhost = { key = 3, version = 4 }").unwrap();
        let host = sam.host.unwrap();
        assert_eq!((host.opening, host.key, host.version), (Opening::AuthenticateHost, 3, 4));
        let sam = read("reader = \"00 01\"\nkey = 1\n[host]\nopening = \"unlock\"\nkey = 0").unwrap();
        assert_eq!(sam.host.unwrap().opening, Opening::Unlock);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("reader = \" \"\nkey = 1", "card.desfire.sam.reader"),
            ("reader = \"r\"\nkey = 128", "card.desfire.sam.key = 128"),
            ("reader = \"r\"\nkey = 1\nhost = { key = 200 }", "card.desfire.sam.host.key = 200"),
            ("reader = \"r\"", "key"),
            ("reader = \"r\"\nkey = 1\nsecret = \"00\"", "secret"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
