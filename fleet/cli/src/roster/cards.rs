//! A card's text to its pseudonym, and the doubt whether it was read in its form.
//!
//! No message repeats a card.

use std::cell::Cell;

use examgate::{
    domain::{CardPseudonym, CredentialProfile, Pepper},
    wire::{
        desfire::DesfireNumber,
        pacs::{PacsColumn, PacsForm, PacsNumber},
        piv::PivNumber,
        uid::UidForm,
    },
};

use examgate_enrol::table::Problem;

use super::columns::{PACS_MARK, unmarked};

/// A card's text to its pseudonym: a number of an access control system where it begins with the number's form, as in `h10301:31-337`, the
/// number of a card that proves itself where it begins with `desfire:` or `piv:`, and an identifier otherwise. None goes any further.
pub(crate) fn pseudonym(pepper: &Pepper, form: UidForm, text: &str) -> Result<CardPseudonym, String> {
    if PacsNumber::is_meant_by(text) {
        return number(pepper, PacsColumn::default(), text);
    }
    if DesfireNumber::is_meant_by(text) {
        let number = DesfireNumber::parse(text).map_err(|error| error.to_string())?;
        return Ok(pepper.pseudonym(CredentialProfile::DesfireAes, number.identifier()));
    }
    if PivNumber::is_meant_by(text) {
        let number = PivNumber::parse(text).map_err(|error| error.to_string())?;
        return Ok(pepper.pseudonym(CredentialProfile::Piv, number.identifier()));
    }
    let uid = form.parse(text, None).map_err(|e| e.to_string())?;
    if uid.is_random() {
        return Err(
            "four bytes starting 08 are a number made up at every tap, by a phone or by a card such as Seos: no roster can hold it. Enrol what \
             `examgate card` shows for the card"
                .into()
        );
    }
    Ok(pepper.pseudonym(CredentialProfile::Uid, uid.as_bytes()))
}

/// The same of a cell in the column `pacs`, of which `column` says what the cells do not.
pub(super) fn number(pepper: &Pepper, column: PacsColumn, text: &str) -> Result<CardPseudonym, String> {
    let number = PacsNumber::parse(text, column).map_err(|error| error.to_string())?;
    Ok(pepper.pseudonym(CredentialProfile::Pacs, &number.identifier()))
}

/// What a table says of its cards, where the cells do not.
#[derive(clap::Args)]
pub(crate) struct CardForms {
    /// Format of the card numbers in `card`, `card_2` and so on: hex, hex-reversed, decimal or decimal-reversed.
    #[arg(long, value_name = "FORM", default_value = "hex")]
    pub(super) card_form: UidForm,
    /// Form of the numbers in the column `pacs`: h10301, h10306, corporate-1000-35, h10302, h10304 or corporate-1000-48 [default: each number
    /// says it, as in h10301:31-337].
    #[arg(long, value_name = "FORM")]
    pacs_form: Option<PacsForm>,
    /// Facility code of the numbers in the column `pacs` that have none.
    #[arg(long, value_name = "CODE", requires = "pacs_form")]
    facility: Option<u32>,
}

impl CardForms {
    /// What a cell names: by the column `pacs` if [`PACS_MARK`] is before it, and as any card's text otherwise.
    pub(super) fn pseudonym(&self, pepper: &Pepper, text: &str) -> Result<CardPseudonym, String> {
        match text.strip_prefix(PACS_MARK) {
            Some(text) => number(pepper, PacsColumn { form: self.pacs_form, facility: self.facility }, text),
            None => pseudonym(pepper, self.card_form, text),
        }
    }
}

/// Whether cards that are read as hexadecimal look like decimal numbers: then no box would know any of them.
pub(super) struct FormDoubt {
    hexadecimal: bool,
    cards: Cell<usize>,
    without_letters: Cell<usize>,
}

impl FormDoubt {
    /// Cards from which on a doubt is said: of four bytes in hexadecimal, one in 43 has no letter by chance.
    const ENOUGH: usize = 4;

    pub(super) fn new(form: UidForm) -> Self {
        let hexadecimal = matches!(form, UidForm::Hex | UidForm::HexReversed);
        Self { hexadecimal, cards: Cell::new(0), without_letters: Cell::new(0) }
    }

    pub(super) fn saw(&self, card: &str) {
        // A number with a mark is of no form that could be mistaken.
        if unmarked(card) != card {
            return;
        }
        self.cards.update(|n| n + 1);
        self.without_letters.update(|n| n + usize::from(card.bytes().all(|b| b.is_ascii_digit())));
    }

    pub(super) fn remark(&self) -> Option<Problem> {
        let doubted = self.hexadecimal && self.cards.get() >= Self::ENOUGH && self.cards == self.without_letters;
        doubted.then(|| Problem::file("`card`: no card has a letter from A to F: are they decimal? Then say --card-form decimal, or decimal-reversed"))
    }
}
