//! How Wiegand bits are divided into parity, facility code and card number.
//!
//! The 26-bit form is an open one. The others are HID's, and known as its distributors and independent programs publish them: see
//! docs/decisions/0150 for the sources, and `tests.rs` for cards that they printed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{PacsBits, PacsError, PacsNumber};

/// A form of Wiegand bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacsForm {
    /// 26 bits: facility code of 8, card number of 16. The open standard form.
    H10301,
    /// 34 bits: facility code of 16, card number of 16.
    H10306,
    /// 35 bits, Corporate 1000: company code of 12, card number of 20.
    #[serde(rename = "corporate-1000-35")]
    Corporate35,
    /// 37 bits: card number of 35, no facility code.
    H10302,
    /// 37 bits: facility code of 16, card number of 19.
    H10304,
    /// 48 bits, Corporate 1000: company code of 22, card number of 23.
    #[serde(rename = "corporate-1000-48")]
    Corporate48,
}

/// A parity bit: where it stands, what the number of ones it covers comes to, and which places it covers besides its own.
struct Parity {
    at: u32,
    odd: bool,
    covers: fn(u32) -> bool,
}

const fn even(at: u32, covers: fn(u32) -> bool) -> Parity {
    Parity { at, odd: false, covers }
}

const fn odd(at: u32, covers: fn(u32) -> bool) -> Parity {
    Parity { at, odd: true, covers }
}

/// Where everything is. Places count from 0 at the front; a field is its first place and its length.
struct Layout {
    bits: u32,
    facility: (u32, u32),
    number: (u32, u32),
    /// Checked in this order.
    parity: &'static [Parity],
}

const H10301: Layout = Layout {
    bits: 26,
    facility: (1, 8),
    number: (9, 16),
    parity: &[even(0, |at| (1..=12).contains(&at)), odd(25, |at| (13..=24).contains(&at))],
};

const H10306: Layout = Layout {
    bits: 34,
    facility: (1, 16),
    number: (17, 16),
    parity: &[even(0, |at| (1..=16).contains(&at)), odd(33, |at| (17..=32).contains(&at))],
};

/// Two places in three, each parity bit other ones; the first bit covers all.
const CORPORATE_35: Layout = Layout {
    bits: 35,
    facility: (2, 12),
    number: (14, 20),
    parity: &[
        odd(0, |at| at > 0),
        even(1, |at| (2..=33).contains(&at) && at % 3 != 1),
        odd(34, |at| (1..=33).contains(&at) && !at.is_multiple_of(3)),
    ],
};

const H10302: Layout = Layout {
    bits: 37,
    facility: (0, 0),
    number: (1, 35),
    parity: &[even(0, |at| (1..=18).contains(&at)), odd(36, |at| (18..=35).contains(&at))],
};

const H10304: Layout = Layout { facility: (1, 16), number: (17, 19), ..H10302 };

const CORPORATE_48: Layout = Layout {
    bits: 48,
    facility: (2, 22),
    number: (24, 23),
    parity: &[
        odd(0, |at| at > 0),
        even(1, |at| (3..=46).contains(&at) && at % 3 != 2),
        odd(47, |at| (2..=46).contains(&at) && at % 3 != 1),
    ],
};

impl PacsForm {
    /// Every form, the shortest first.
    pub const ALL: [Self; 6] =
        [Self::H10301, Self::H10306, Self::Corporate35, Self::H10302, Self::H10304, Self::Corporate48];

    /// All names, for messages.
    pub(super) const NAMES: &'static str = "h10301 (26 bits), h10306 (34 bits), corporate-1000-35, h10302 (37 bits without a facility code), \
         h10304 (37 bits), corporate-1000-48";

    /// The name in configurations and rosters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H10301 => "h10301",
            Self::H10306 => "h10306",
            Self::Corporate35 => "corporate-1000-35",
            Self::H10302 => "h10302",
            Self::H10304 => "h10304",
            Self::Corporate48 => "corporate-1000-48",
        }
    }

    const fn layout(self) -> &'static Layout {
        match self {
            Self::H10301 => &H10301,
            Self::H10306 => &H10306,
            Self::Corporate35 => &CORPORATE_35,
            Self::H10302 => &H10302,
            Self::H10304 => &H10304,
            Self::Corporate48 => &CORPORATE_48,
        }
    }

    /// How many bits it has.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.layout().bits
    }

    /// Bits of the facility code; 0: it has none.
    #[must_use]
    pub const fn facility_bits(self) -> u32 {
        self.layout().facility.1
    }

    /// Bits of the card number.
    #[must_use]
    pub const fn number_bits(self) -> u32 {
        self.layout().number.1
    }

    /// Reads `bits`, if their number and parity fit.
    ///
    /// # Errors
    /// Which of the two does not.
    pub fn read(self, bits: &PacsBits) -> Result<PacsNumber, PacsError> {
        let layout = self.layout();
        if bits.length() != layout.bits {
            return Err(PacsError::Length { found: bits.length(), form: self });
        }
        for parity in layout.parity {
            let ones =
                (0..layout.bits).filter(|at| (*at == parity.at || (parity.covers)(*at)) && bits.bit(*at)).count();
            if (ones % 2 == 1) != parity.odd {
                return Err(PacsError::Parity { form: self });
            }
        }
        // A facility code has 22 bits at most.
        let facility = u32::try_from(bits.field(layout.facility)).unwrap_or(u32::MAX);
        Ok(PacsNumber { form: self, facility, number: bits.field(layout.number) })
    }

    /// The form whose name and a colon begin `text`, and what follows.
    pub(super) fn prefix(text: &str) -> Option<(Self, &str)> {
        let (name, rest) = text.split_once(':')?;
        let form = Self::ALL.into_iter().find(|form| form.name().eq_ignore_ascii_case(name.trim()))?;
        Some((form, rest))
    }
}

impl fmt::Display for PacsForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A form nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a form of card number; known are {}", PacsForm::NAMES)]
pub struct UnknownPacsForm {
    /// What was given.
    pub name: String,
}

impl FromStr for PacsForm {
    type Err = UnknownPacsForm;

    fn from_str(name: &str) -> Result<Self, UnknownPacsForm> {
        let known = Self::ALL.into_iter().find(|form| form.name() == name);
        known.ok_or_else(|| UnknownPacsForm { name: name.into() })
    }
}
