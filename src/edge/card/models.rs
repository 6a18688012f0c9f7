//! What is publicly known of card readers by their PC/SC names. It says what to expect; what a reader can do is found out by asking it.

use std::fmt;

/// A family of readers. Sources: docs/decisions/0150.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReaderModel {
    /// HID OMNIKEY 5027, 5127, 5427: a secure element with HID's keys.
    Omnikey5x27,
    /// HID OMNIKEY 5023: the same, which gives numbers in a secure session.
    Omnikey5x23,
    /// HID OMNIKEY 5022, 5122, 5422.
    Omnikey5x22,
    /// Another OMNIKEY.
    Omnikey,
    /// ACS ACR122.
    Acr122,
    /// Nothing is known of it.
    Unknown,
}

impl ReaderModel {
    /// The family of the reader with this PC/SC `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        let has = |numbers: &[&str]| numbers.iter().any(|number| name.contains(number));
        if name.contains("ACR122") {
            Self::Acr122
        } else if !name.contains("OMNIKEY") {
            Self::Unknown
        } else if has(&["5027", "5127", "5427"]) {
            Self::Omnikey5x27
        } else if has(&["5023"]) {
            Self::Omnikey5x23
        } else if has(&["5022", "5122", "5422"]) {
            Self::Omnikey5x22
        } else {
            Self::Omnikey
        }
    }

    /// What to expect of it.
    #[must_use]
    pub const fn abilities(self) -> &'static str {
        match self {
            Self::Omnikey5x27 => {
                "OMNIKEY 5x27: identifiers (`uid`), and card numbers out of its secure element (`pacs`) if it is set to PC/SC and its \
                 firmware allows it without a secure session"
            }
            Self::Omnikey5x23 => {
                "OMNIKEY 5x23: identifiers (`uid`); it gives card numbers (`pacs`) in a secure session, which Examgate does not open"
            }
            Self::Omnikey5x22 => {
                "OMNIKEY 5x22: identifiers (`uid`) only; of a Seos card none, and card numbers (`pacs`) in a secure session if at all"
            }
            Self::Omnikey => {
                "OMNIKEY: identifiers (`uid`); whether it gives card numbers (`pacs`) is found out by asking"
            }
            Self::Acr122 => {
                "ACR122: identifiers (`uid`) of ISO/IEC 14443 and FeliCa; it sees no ISO/IEC 15693, so no iCLASS"
            }
            Self::Unknown => "identifiers (`uid`); whether it gives card numbers (`pacs`) is found out by asking",
        }
    }
}

impl fmt::Display for ReaderModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.abilities())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_known_by_the_names_that_drivers_give_them() {
        let table = [
            ("HID Global OMNIKEY 5022 Smart Card Reader 0", ReaderModel::Omnikey5x22),
            ("HID Global OMNIKEY 5422 Smartcard Reader 0", ReaderModel::Omnikey5x22),
            ("HID Global OMNIKEY 5023 Smart Card Reader 00 00", ReaderModel::Omnikey5x23),
            ("HID OMNIKEY 5427 CK [OMNIKEY 5427CK CCID] 00 00", ReaderModel::Omnikey5x27),
            ("HID Global OMNIKEY 3x21 Smart Card Reader 0", ReaderModel::Omnikey),
            ("ACS ACR122U PICC Interface 00 00", ReaderModel::Acr122),
            ("Examgate Virtual 00 00", ReaderModel::Unknown),
            ("", ReaderModel::Unknown),
        ];
        for (name, model) in table {
            assert_eq!(ReaderModel::of(name), model, "{name}");
        }
    }
}
