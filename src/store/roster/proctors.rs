//! The proctors of an exam, beside its students and apart from their roster's edition.
//!
//! It never hashes a PIN and never judges one.

use rusqlite::{OptionalExtension, Row};
use sha2::{Digest as _, Sha256};

use super::{RosterError, RosterStore};
use crate::{
    domain::{CardPseudonym, Proctor, ProctorId},
    store::PinHash,
};

impl RosterStore {
    /// Adds a proctor, or replaces the one of that name.
    ///
    /// # Errors
    /// [`RosterError::CardTaken`] when a student or another proctor holds the card, or the database fails.
    pub fn set_proctor(&mut self, proctor: &Proctor, pin: &PinHash) -> Result<(), RosterError> {
        let fault = self.sealed.fault("add a proctor");
        let transaction = self.sealed.write()?;
        let taken: bool = transaction
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM entries WHERE card = ?1)
                     OR EXISTS (SELECT 1 FROM more_cards WHERE card = ?1)
                     OR EXISTS (SELECT 1 FROM proctors WHERE card = ?1 AND proctor <> ?2)",
                (proctor.card.as_bytes(), proctor.id.as_str()),
                |row| row.get(0),
            )
            .map_err(&fault)?;
        if taken {
            return Err(RosterError::CardTaken);
        }
        transaction
            .execute(
                "INSERT OR REPLACE INTO proctors (proctor, name, card, pin) VALUES (?1, ?2, ?3, ?4)",
                (proctor.id.as_str(), &proctor.name, proctor.card.as_bytes(), &pin.0),
            )
            .map_err(&fault)?;
        Ok(transaction.commit().map_err(&fault)?)
    }

    /// Takes a proctor away. Says whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_proctor(&mut self, proctor: &ProctorId) -> Result<bool, RosterError> {
        let removed = self.sealed.connection().execute("DELETE FROM proctors WHERE proctor = ?1", [proctor.as_str()]);
        Ok(removed.map_err(self.sealed.fault("remove a proctor"))? > 0)
    }

    /// All proctors, in order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub fn proctors(&self) -> Result<Vec<Proctor>, RosterError> {
        let fault = self.sealed.fault("list proctors");
        let mut query = self
            .sealed
            .connection()
            .prepare("SELECT proctor, name, card FROM proctors ORDER BY name")
            .map_err(&fault)?;
        let rows: Vec<_> = query.query_map([], raw).and_then(Iterator::collect).map_err(&fault)?;
        rows.into_iter().map(checked).collect()
    }

    /// The proctor who holds `card`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find_proctor(&self, card: &CardPseudonym) -> Result<Option<Proctor>, RosterError> {
        let found = self
            .sealed
            .connection()
            .prepare_cached("SELECT proctor, name, card FROM proctors WHERE card = ?1")
            .and_then(|mut query| query.query_row([card.as_bytes()], raw).optional())
            .map_err(self.sealed.fault("find a proctor"))?;
        found.map(checked).transpose()
    }

    /// A proctor and what their PIN is held against.
    ///
    /// # Errors
    /// When the database fails.
    pub fn proctor(&self, proctor: &ProctorId) -> Result<Option<(Proctor, PinHash)>, RosterError> {
        let found = self
            .sealed
            .connection()
            .prepare_cached("SELECT proctor, name, card, pin FROM proctors WHERE proctor = ?1")
            .and_then(|mut query| {
                query.query_row([proctor.as_str()], |row| Ok((raw(row)?, PinHash(row.get(3)?)))).optional()
            })
            .map_err(self.sealed.fault("find a proctor"))?;
        found.map(|(proctor, pin)| Ok((checked(proctor)?, pin))).transpose()
    }
}

/// SHA-256 over all that makes a proctor who they are: another one as soon as their name, card or PIN is replaced, even by the same.
#[must_use]
pub fn proctor_mark(proctor: &Proctor, pin: &PinHash) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [proctor.id.as_str().as_bytes(), proctor.name.as_bytes(), proctor.card.as_bytes(), pin.0.as_bytes()] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

type Raw = (String, String, [u8; 32]);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn checked((id, name, card): Raw) -> Result<Proctor, RosterError> {
    let id = ProctorId::new(id).map_err(|_| RosterError::Nonsense { what: "a proctor" })?;
    Ok(Proctor { id, name, card: CardPseudonym::from_bytes(card) })
}
