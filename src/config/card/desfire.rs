//! How the profile `desfire_aes` is read: where a site's cards keep the key and the identity.
//!
//! The keys themselves are never in a configuration.

use serde::Deserialize;

use super::{
    super::{ConfigError, value, within},
    sam::Sam,
};
use crate::wire::desfire::{Application, Communication, Diversification, Identity, InputPart, Plan, Protocol};

/// How the profile `desfire_aes` is read. What is left out is taken from `preset`, if there is one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desfire {
    /// A published layout of cards.
    pub preset: Option<Preset>,
    /// The application, three bytes in hexadecimal as they are printed: the most significant first.
    pub application: Option<String>,
    /// By which key of the application a card proves itself, 0 to 13.
    pub key: Option<u8>,
    /// How. Left out: `ev2`.
    pub authentication: Option<Protocol>,
    /// How a single card's key is made of the site's. Left out: all cards have the same.
    pub diversification: Option<DiversificationName>,
    /// Of what, in this order. Left out: identifier, application and, where there is one, system identifier.
    pub input: Option<Vec<InputPart>>,
    /// What the issuer chose for its system, in hexadecimal.
    pub system_identifier: Option<String>,
    /// What a card is called by. Left out: its file.
    #[serde(default)]
    pub identity: IdentityName,
    /// The file's number, 0 to 31.
    pub file: Option<u8>,
    /// Where the identity begins in the file. Left out: at its start.
    pub offset: Option<u32>,
    /// How many bytes the identity has, 1 to 32.
    pub length: Option<u8>,
    /// How the file's content travels. Left out: `full`.
    pub communication: Option<Communication>,
    /// Where the key is.
    #[serde(default)]
    pub keys: KeysIn,
    /// The SAM. There if and only if `keys` is `sam`.
    pub sam: Option<Sam>,
}

/// A published layout of cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// LEAF Cc 2.1 (Vendor Reader Specification, revision A, May 2018): application F51CDB, file 2, fully enciphered. The identity is the
    /// customer's site code (5 bytes) and the credential's number (8 bytes), which stand behind two bytes of version. Each maker of readers
    /// has one of the keys 1 to 8.
    LeafCc,
}

/// How a single card's key is made of the site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiversificationName {
    /// By NXP's AN10922.
    An10922,
    /// Not: all cards have the same.
    None,
}

/// What a card is called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityName {
    /// The content of a file.
    #[default]
    File,
    /// Its own identifier, as it proves it.
    Uid,
}

/// Where the key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeysIn {
    /// `card-desfire.key` among the credentials or in the key folder.
    #[default]
    Folder,
    /// A SAM in a reader of its own.
    Sam,
}

impl Preset {
    /// What the layout says. A site's own settings go before it.
    fn settings(self) -> Desfire {
        match self {
            Self::LeafCc => Desfire {
                application: Some("F51CDB".into()),
                key: Some(1),
                file: Some(2),
                offset: Some(2),
                length: Some(13),
                communication: Some(Communication::Full),
                ..Desfire::default()
            },
        }
    }
}

impl Desfire {
    /// What the settings come to.
    ///
    /// # Errors
    /// The first that is missing or not allowed.
    pub fn plan(&self) -> Result<Plan, ConfigError> {
        let preset = self.preset.map(Preset::settings).unwrap_or_default();
        let application = self.application.as_ref().or(preset.application.as_ref());
        let application = application_of(application.map_or("", String::as_str))?;
        let key = self.key.or(preset.key).ok_or_else(|| missing("card.desfire.key", "the key's number, 0 to 13"))?;
        within("card.desfire.key", key, 0, 13, "0 to 13")?;
        let protocol = self.authentication.unwrap_or(Protocol::Ev2);
        if self.keys == KeysIn::Sam && protocol == Protocol::Aes {
            return Err(value("card.desfire.authentication", "aes", "with keys = \"sam\" only \"ev2\""));
        }
        let identity = match self.identity {
            IdentityName::File => self.file(&preset, protocol)?,
            IdentityName::Uid => self.uid()?,
        };
        Ok(Plan { application, protocol, key, diversification: self.diversification()?, identity })
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.plan()?;
        match (self.keys, &self.sam) {
            (KeysIn::Folder, None) => Ok(()),
            (KeysIn::Sam, Some(sam)) => sam.check(),
            (KeysIn::Sam, None) => {
                let allowed =
                    "\"sam\" needs a table [card.desfire.sam] with the SAM's reader and the key's entry in it";
                Err(value("card.desfire.keys", "sam", allowed))
            }
            (KeysIn::Folder, Some(_)) => {
                let allowed = "there is a table [card.desfire.sam]: set \"sam\" here, or take the table out";
                Err(value("card.desfire.keys", "folder", allowed))
            }
        }
    }

    fn file(&self, preset: &Self, protocol: Protocol) -> Result<Identity, ConfigError> {
        let number = self.file.or(preset.file);
        let number = number.ok_or_else(|| missing("card.desfire.file", "the identity file's number, 0 to 31"))?;
        within("card.desfire.file", number, 0, 31, "0 to 31")?;
        let offset = self.offset.or(preset.offset).unwrap_or(0);
        within("card.desfire.offset", offset, 0, 0xFF_FFFF, "0 to 16777215")?;
        let length = self.length.or(preset.length);
        let length =
            length.ok_or_else(|| missing("card.desfire.length", "how many bytes the identity has, 1 to 32"))?;
        within("card.desfire.length", length, 1, 32, "1 to 32")?;
        let communication = self.communication.or(preset.communication).unwrap_or(Communication::Full);
        if communication == Communication::Plain && protocol == Protocol::Ev2 {
            let allowed = "with authentication = \"ev2\" nothing guards a file that is read in plain: \"mac\" or \"full\", as the card has it, \
                           or authentication = \"aes\"";
            return Err(value("card.desfire.communication", "plain", allowed));
        }
        Ok(Identity::File { number, offset, length, communication })
    }

    fn uid(&self) -> Result<Identity, ConfigError> {
        let is_of_file = self.file.is_some() || self.offset.is_some() || self.length.is_some();
        if is_of_file || self.communication.is_some() {
            let allowed = "with identity = \"uid\" no file is read: take out file, offset, length and communication";
            return Err(value("card.desfire.identity", "uid", allowed));
        }
        Ok(Identity::Uid)
    }

    fn diversification(&self) -> Result<Option<Diversification>, ConfigError> {
        if self.diversification != Some(DiversificationName::An10922) {
            return match (&self.input, &self.system_identifier) {
                (None, None) => Ok(None),
                (Some(_), _) | (None, Some(_)) => {
                    let allowed =
                        "input and system_identifier are for diversification = \"an10922\": set it, or take them out";
                    Err(value("card.desfire.diversification", "none", allowed))
                }
            };
        }
        let text = self.system_identifier.as_deref().unwrap_or_default();
        let system = hex::decode(text)
            .map_err(|_| value("card.desfire.system_identifier", text, "bytes in hexadecimal, two digits each"))?;
        let usual = [InputPart::Uid, InputPart::Application, InputPart::System];
        let parts = self.input.clone().unwrap_or_else(|| usual[..if system.is_empty() { 2 } else { 3 }].to_vec());
        let names_system = parts.contains(&InputPart::System);
        let diversification = Diversification { parts, system };
        let length = diversification.length();
        if !(1..=31).contains(&length) || names_system == diversification.system.is_empty() {
            let allowed = "parts of 1 to 31 bytes together: \"uid\" (7), \"application\" or \"application-as-printed\" (3), \"key\" (1), and \
                           \"system\" if and only if there is a system_identifier";
            return Err(ConfigError::Value { key: "card.desfire.input", value: format!("{length} bytes"), allowed });
        }
        Ok(Some(diversification))
    }
}

fn application_of(text: &str) -> Result<Application, ConfigError> {
    let mut bytes = [0; 3];
    // 000000 is the card itself, and no application.
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if bytes != [0; 3] => Ok(Application(bytes)),
        Ok(()) | Err(_) => {
            let allowed = "an application of three bytes in hexadecimal, the most significant first, as in \"F51CDB\"";
            Err(value("card.desfire.application", text, allowed))
        }
    }
}

fn missing(key: &'static str, allowed: &'static str) -> ConfigError {
    value(key, "", allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        let desfire: Desfire = toml::from_str(text).map_err(|error| error.to_string())?;
        desfire.plan().map_err(|error| error.to_string())
    }

    const WHOLE: &str = "application = \"F54230\"\nfile = 2\nlength = 16\nkey = 1\n";

    #[test]
    fn a_preset_and_explicit_settings_come_to_a_plan() {
        let leaf = plan("preset = \"leaf-cc\"").unwrap();
        let file = Identity::File { number: 2, offset: 2, length: 13, communication: Communication::Full };
        let application = Application([0xF5, 0x1C, 0xDB]);
        let (protocol, key) = (Protocol::Ev2, 1);
        assert_eq!(leaf, Plan { application, protocol, key, diversification: None, identity: file });

        // The site goes before the preset.
        let other = plan("preset = \"leaf-cc\"\nkey = 4\nauthentication = \"aes\"\nlength = 8\noffset = 7").unwrap();
        let file = Identity::File { number: 2, offset: 7, length: 8, communication: Communication::Full };
        assert_eq!((other.key, other.protocol, other.identity), (4, Protocol::Aes, file));

        let text = format!("{WHOLE}diversification = \"an10922\"\nsystem_identifier = \"4E585020416275\"");
        let diversification = plan(&text).unwrap().diversification.unwrap();
        let uid = [0x04, 0x78, 0x2E, 0x21, 0x80, 0x1D, 0x80];
        let input = diversification.input(Some(&uid), Application([0xF5, 0x42, 0x30]), 1).unwrap();
        assert_eq!(hex::encode_upper(&*input), "04782E21801D803042F54E585020416275");

        let text = format!("{WHOLE}diversification = \"an10922\"\ninput = [\"key\", \"application-as-printed\"]");
        let input = plan(&text).unwrap().diversification.unwrap().input(None, Application([1, 2, 3]), 9).unwrap();
        assert_eq!(*input, [9, 1, 2, 3]);

        let uid = plan("application = \"F54230\"\nkey = 0\nidentity = \"uid\"").unwrap();
        assert_eq!(uid.identity, Identity::Uid);
    }

    #[test]
    fn what_is_missing_or_not_allowed_is_named() {
        let table = [
            ("", "card.desfire.application"),
            ("application = \"F51C\"\nkey = 1\nfile = 2\nlength = 4", "card.desfire.application"),
            ("application = \"000000\"\nkey = 1\nfile = 2\nlength = 4", "card.desfire.application"),
            ("application = \"F51CDB\"\nfile = 2\nlength = 4", "card.desfire.key"),
            ("preset = \"leaf-cc\"\nkey = 14", "card.desfire.key"),
            ("application = \"F51CDB\"\nkey = 1\nlength = 4", "card.desfire.file"),
            ("preset = \"leaf-cc\"\nfile = 32", "card.desfire.file"),
            ("application = \"F51CDB\"\nkey = 1\nfile = 2", "card.desfire.length"),
            ("preset = \"leaf-cc\"\nlength = 0", "card.desfire.length"),
            ("preset = \"leaf-cc\"\nlength = 33", "card.desfire.length"),
            ("preset = \"leaf-cc\"\noffset = 16777216", "card.desfire.offset"),
            ("preset = \"leaf-cc\"\ncommunication = \"plain\"", "nothing guards"),
            ("preset = \"leaf-cc\"\nkeys = \"sam\"\nauthentication = \"aes\"", "card.desfire.authentication"),
            ("preset = \"leaf-cc\"\nidentity = \"uid\"\nfile = 2", "card.desfire.identity"),
            ("preset = \"leaf-cc\"\nsystem_identifier = \"01\"", "card.desfire.diversification"),
            ("preset = \"leaf-cc\"\ndiversification = \"none\"\ninput = [\"uid\"]", "card.desfire.diversification"),
            ("preset = \"leaf-cc\"\ndiversification = \"an10922\"\nsystem_identifier = \"0\"", "system_identifier"),
            ("preset = \"leaf-cc\"\ndiversification = \"an10922\"\ninput = []", "card.desfire.input"),
            ("preset = \"leaf-cc\"\ndiversification = \"an10922\"\ninput = [\"system\"]", "card.desfire.input"),
            (
                "preset = \"leaf-cc\"\ndiversification = \"an10922\"\ninput = [\"uid\"]\nsystem_identifier = \"01\"",
                "card.desfire.input",
            ),
            (
                "preset = \"leaf-cc\"\ndiversification = \"an10922\"\ninput = [\"uid\", \"uid\", \"uid\", \"uid\", \"uid\"]",
                "35 bytes",
            ),
            ("preset = \"leaf-cc\"\nsecret = \"00\"", "unknown field"),
            ("preset = \"leaf-si\"", "unknown variant"),
        ];
        for (text, said) in table {
            let error = plan(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(plan("preset = \"leaf-cc\"\nauthentication = \"aes\"\ncommunication = \"plain\"").is_ok());
    }
}
