//! A card's text to its pseudonym, and the doubt whether it was read in its form.
//!
//! No message repeats a card.

use std::cell::Cell;

use examgate::{
    domain::{CardPseudonym, CredentialProfile, Pepper},
    wire::uid::UidForm,
};

use examgate_enrol::table::Problem;

/// A card's text to its pseudonym. The identifier itself goes no further.
pub(crate) fn pseudonym(pepper: &Pepper, form: UidForm, text: &str) -> Result<CardPseudonym, String> {
    let uid = form.parse(text, None).map_err(|e| e.to_string())?;
    if uid.is_random() {
        return Err(
            "four bytes starting 08 are a number made up at every tap, as phones do: enrol the plastic card".into()
        );
    }
    Ok(pepper.pseudonym(CredentialProfile::Uid, uid.as_bytes()))
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
        self.cards.update(|n| n + 1);
        self.without_letters.update(|n| n + usize::from(card.bytes().all(|b| b.is_ascii_digit())));
    }

    pub(super) fn remark(&self) -> Option<Problem> {
        let doubted = self.hexadecimal && self.cards.get() >= Self::ENOUGH && self.cards == self.without_letters;
        doubted.then(|| Problem::file("`card`: no card has a letter from A to F: are they decimal? Then say --card-form decimal, or decimal-reversed"))
    }
}
