//! Asks a card by the profile `uid`: its identifier, and what it is that makes one up at each tap.

use zeroize::Zeroizing;

use super::transfer;
use crate::{
    domain::CardProblem,
    wire::{
        apdu::{ApduError, Exchange, Step},
        atr::Family,
        uid::{ReaderOrder, Uid},
    },
};

/// SELECT by name, ISO/IEC 7816-4 section 11.1.1: P1 04, the name's length after it.
const SELECT: [u8; 4] = [0x00, 0xA4, 0x04, 0x00];

/// The application by which readers find out which wallet a phone or watch has. Apple's and Google's both have it, and say so in the
/// answer (docs/decisions/0151).
const WALLET: &[u8] = b"OSE.VAS.01";

/// What wallets call themselves in the answer.
const WALLETS: [&[u8]; 2] = [b"ApplePay", b"AndroidPay"];

/// The application of Seos, on plastic cards and in phones; it repeats its name in the answer (docs/decisions/0151).
const SEOS: [u8; 10] = [0xA0, 0x00, 0x00, 0x04, 0x40, 0x00, 0x01, 0x01, 0x00, 0x01];

/// The card's identifier.
pub(super) fn identifier<E>(
    order: ReaderOrder,
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Result<Uid, ApduError>, E> {
    let mut exchange = Exchange::new(order);
    loop {
        let response = transmit(exchange.command())?;
        if let Step::Done(ended) = exchange.answered(&response) {
            return Ok(ended);
        }
    }
}

/// What makes up its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeUp {
    /// A phone's or watch's wallet: it says so.
    Wallet,
    /// Seos, plastic or in a phone: its number takes a reader with HID's keys.
    Seos,
    /// Nothing tells.
    Unknown,
}

impl MadeUp {
    pub(super) const fn problem(self) -> CardProblem {
        match self {
            Self::Wallet => CardProblem::Wallet,
            Self::Seos | Self::Unknown => CardProblem::Unstable,
        }
    }
}

/// What it is that makes up its identifier, as far as it answers to names. Only a processor card can.
pub(super) fn made_up<E>(
    family: Family,
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<MadeUp, E> {
    if family != Family::Processor {
        return Ok(MadeUp::Unknown);
    }
    // A phone may hold a Seos card: that it is a phone is the surer answer.
    for (application, proofs, kind) in
        [(WALLET, &WALLETS[..], MadeUp::Wallet), (&SEOS[..], &[&SEOS[..]][..], MadeUp::Seos)]
    {
        let length = u8::try_from(application.len()).unwrap_or(u8::MAX);
        let command = [&SELECT[..], &[length], application, &[0]].concat();
        let answer = transfer(&command, transmit)?;
        // Some cards answer to any name: what they say counts.
        let holds = |proof: &&[u8]| answer.iter().any(|data| data.windows(proof.len()).any(|part| part == *proof));
        if proofs.iter().any(holds) {
            tracing::debug!(?kind, "the card makes up its identifier");
            return Ok(kind);
        }
    }
    Ok(MadeUp::Unknown)
}
