//! Which family a card is of, by the ATR that its reader gives it.
//!
//! A contactless card has no ATR: its reader makes one up as PC/SC part 3 (section 3.1.3.2.3) and its supplemental document say.
//! For a storage card it names the standard and the chip; for a processor card (ISO/IEC 14443-4) it carries the historical bytes.
//! An ATR is outside input and proves nothing: it says what to ask, never whom to admit.

use std::fmt;

/// What an ATR of a contactless card begins with: TS, T0 with the number of historical bytes, TD1, TD2.
const CONTACTLESS: [u8; 3] = [0x3B, 0x80, 0x01];

/// Historical bytes of a storage card: category indicator, tag and length of an application identifier, and the RID of the PC/SC
/// workgroup.
const STORAGE: [u8; 8] = [0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06];

/// Historical bytes of a FeliCa card at readers of SCM and Identiv, which give it no PC/SC name (SCL3711 reference manual, 5.3.3.4).
const FELICA_OF_SCM: [u8; 3] = [0x04, 0x43, 0xFD];

/// A family of cards, as far as an ATR tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A card with contacts, or the contact side of a card that has both.
    Contact,
    /// A contactless processor card, ISO/IEC 14443-4: DESFire, Seos, PIV, payment cards, phones.
    Processor,
    /// MIFARE Classic or Mini.
    MifareClassic,
    /// MIFARE Plus in a security level below 3.
    MifarePlus,
    /// MIFARE Ultralight and NTAG.
    MifareUltralight,
    /// Another storage card of ISO/IEC 14443-3, type A or B.
    Iso14443Storage,
    /// PicoPass, which iCLASS cards are made of.
    PicoPass,
    /// Another card of ISO/IEC 15693.
    Iso15693,
    /// FeliCa, JIS X 6319-4.
    FeliCa,
    /// A proximity card of 125 kHz behind a reader that has PC/SC.
    LowFrequency,
    /// A storage card of which the reader says no more.
    Storage,
    /// No ATR, or one that is cut off.
    Unknown,
}

impl Family {
    /// The family of the card with this `atr`.
    ///
    /// ```
    /// use examgate::wire::atr::Family;
    ///
    /// let iclass = [0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0, 0, 3, 6, 0x0A, 0, 0x18, 0, 0, 0, 0, 0x7A];
    /// assert_eq!(Family::of(&iclass), Family::PicoPass);
    /// assert_eq!(Family::of(&[0x3B, 0x80, 0x80, 0x01, 0x01]), Family::Processor);
    /// assert_eq!(Family::of(&[]), Family::Unknown);
    /// ```
    #[must_use]
    pub fn of(atr: &[u8]) -> Self {
        let Some((&[ts, t0, td1, td2], rest)) = atr.split_first_chunk::<4>() else {
            return if atr.len() < 2 { Self::Unknown } else { Self::Contact };
        };
        if [ts, td1, td2] != CONTACTLESS || t0 & 0xF0 != 0x80 {
            return Self::Contact;
        }
        // The check byte behind them is not looked at: some readers get it wrong, and nothing rests on it.
        let Some(historical) = rest.get(..usize::from(t0 & 0x0F)) else { return Self::Unknown };
        if historical.starts_with(&FELICA_OF_SCM) {
            return Self::FeliCa;
        }
        let Some(named) = historical.strip_prefix(&STORAGE) else { return Self::Processor };
        match *named {
            [standard, high, low, ..] => Self::of_storage(standard, u16::from_be_bytes([high, low])),
            [standard] | [standard, _] => Self::of_storage(standard, 0),
            [] => Self::Storage,
        }
    }

    /// By the byte of the standard and the registered name (PC/SC part 3, supplemental document, revision 2.01.08). Names beginning
    /// F0 are ACS's own for FeliCa (ACR122U API, appendix A).
    const fn of_storage(standard: u8, name: u16) -> Self {
        match (name, standard) {
            (0x0001 | 0x0002 | 0x0026, _) => Self::MifareClassic,
            (0x0003 | 0x003A | 0x003D, _) => Self::MifareUltralight,
            (0x0036..=0x0039, _) => Self::MifarePlus,
            (0x0017..=0x0020, _) => Self::PicoPass,
            (0x003B | 0xF011 | 0xF012, _) | (_, 0x11) => Self::FeliCa,
            (_, 0x01..=0x03 | 0x05..=0x07) => Self::Iso14443Storage,
            (_, 0x09..=0x0C) => Self::Iso15693,
            (_, 0x0D..=0x10) => Self::Contact,
            (_, 0x40) => Self::LowFrequency,
            _ => Self::Storage,
        }
    }

    /// Whether a card of this family may hold applications that are selected by name. One without an ATR may be anything.
    #[must_use]
    pub const fn may_hold_applications(self) -> bool {
        matches!(self, Self::Contact | Self::Processor | Self::Unknown)
    }

    /// What a person calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contact => "a card with contacts (ISO/IEC 7816): its contactless side, if it has one, has the number",
            Self::Processor => {
                "a contactless processor card (ISO/IEC 14443-4), such as Seos, DESFire or PIV, or a phone"
            }
            Self::MifareClassic => "MIFARE Classic",
            Self::MifarePlus => "MIFARE Plus",
            Self::MifareUltralight => "MIFARE Ultralight or NTAG",
            Self::Iso14443Storage => "a storage card of ISO/IEC 14443",
            Self::PicoPass => "iCLASS or another PicoPass card",
            Self::Iso15693 => "a card of ISO/IEC 15693",
            Self::FeliCa => "FeliCa",
            Self::LowFrequency => "a proximity card of 125 kHz",
            Self::Storage => "a contactless storage card",
            Self::Unknown => "unknown: the reader gives no ATR",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_the_families_of_published_answers() {
        let table = [
            ("3B8F8001804F0CA000000306030001000000006A", Family::MifareClassic),
            ("3B8F8001804F0CA0000003060300020000000069", Family::MifareClassic),
            ("3B8F8001804F0CA0000003060300030000000068", Family::MifareUltralight),
            ("3B8F8001804F0CA0000003060A0018000000007A", Family::PicoPass),
            ("3B8F8001804F0CA0000003060A001A0000000078", Family::PicoPass),
            ("3B8F8001804F0CA0000003060A001C000000007E", Family::PicoPass),
            ("3B8F8001804F0CA0000003060B00140000000077", Family::Iso15693),
            ("3B8F8001804F0CA00000030611003B0000000042", Family::FeliCa),
            ("3B8F8001804F0CA00000030603F011000000008A", Family::FeliCa),
            ("3B8C80010443FD01010203040506070810", Family::FeliCa),
            ("3B8F8001804F0CA0000003060600070000000069", Family::Iso14443Storage),
            ("3B8F8001804F0CA0000003064000000000000028", Family::LowFrequency),
            ("3B8F8001804F0CA0000003060000000000000068", Family::Storage),
            ("3B80800101", Family::Processor),
            ("3B8180018080", Family::Processor),
            ("3B878001C1052F2F01BCD6A9", Family::Processor),
            ("3B8F8001804F0CA00000", Family::Unknown),
            ("3BFD1300008131FE158073C021C057597562694B657940", Family::Contact),
            ("3F2F008069AE0202013600000A9000", Family::Contact),
            ("3B", Family::Unknown),
        ];
        for (atr, family) in table {
            assert_eq!(Family::of(&hex::decode(atr).unwrap()), family, "{atr}");
        }
    }

    proptest! {
        #[test]
        fn survives_anything(atr in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!Family::of(&atr).to_string().is_empty());
        }
    }
}
