//! One student's place as it is stored: read, put together with its further cards, and checked.
//!
//! It never reads a template and never writes.

use rusqlite::{OptionalExtension, Row};

use super::{Found, RosterError, RosterStore};
use crate::domain::{
    Card, CardPseudonym, CardStanding, Language, Matching, RoomId, RosterEntry, Seat, Student, StudentId,
};

/// What is read of a place, in the order of [`RawEntry::read`].
pub(super) const COLUMNS: &str =
    "student, given_name, card, revoked, room, templates, language, preferred_name, seat, opted_out, more, look_alikes";

/// How many columns [`COLUMNS`] names.
pub(super) const WIDTH: usize = 12;

/// An entry as stored, before its identifiers are checked.
pub(super) struct RawEntry {
    student: String,
    given_name: String,
    card: [u8; 32],
    revoked: bool,
    room: String,
    templates: usize,
    language: Option<String>,
    preferred_name: Option<String>,
    seat: Option<String>,
    opted_out: bool,
    more: usize,
    look_alikes: usize,
}

impl RawEntry {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            student: row.get(0)?,
            given_name: row.get(1)?,
            card: row.get(2)?,
            revoked: row.get(3)?,
            room: row.get(4)?,
            templates: row.get(5)?,
            language: row.get(6)?,
            preferred_name: row.get(7)?,
            seat: row.get(8)?,
            opted_out: row.get(9)?,
            more: row.get(10)?,
            look_alikes: row.get(11)?,
        })
    }
}

fn card(pseudonym: [u8; 32], revoked: bool) -> Card {
    let standing = if revoked { CardStanding::Revoked } else { CardStanding::Active };
    Card { pseudonym: CardPseudonym::from_bytes(pseudonym), standing }
}

impl RosterStore {
    /// The student who holds `card`, whichever of theirs it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(&self, card: &CardPseudonym) -> Result<Option<Found>, RosterError> {
        let find = |wanted: &str| {
            self.sealed
                .connection()
                .prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE {wanted}"))
                .and_then(|mut query| query.query_row([card.as_bytes()], RawEntry::read).optional())
                .map_err(self.sealed.fault("find a card"))
        };
        let raw = match find("card = ?1")? {
            Some(raw) => Some(raw),
            None => find("student = (SELECT student FROM more_cards WHERE card = ?1)")?,
        };
        raw.map(|raw| self.whole(raw)).transpose()
    }

    /// The place with all its cards, checked.
    pub(super) fn whole(&self, raw: RawEntry) -> Result<Found, RosterError> {
        let nonsense = |what| RosterError::Nonsense { what };
        let other_cards = if raw.more == 0 { Vec::new() } else { self.more_cards(&raw.student)? };
        if other_cards.len() != raw.more {
            return Err(nonsense("cards are missing"));
        }
        let look_alikes = if raw.look_alikes == 0 { Vec::new() } else { self.look_alikes(&raw.student)? };
        if look_alikes.len() != raw.look_alikes {
            return Err(nonsense("look-alikes are missing"));
        }
        let language = raw.language.map(Language::new).transpose().map_err(|_| nonsense("a language"))?;
        let student = Student {
            id: StudentId::new(raw.student).map_err(|_| nonsense("a student"))?,
            given_name: raw.given_name,
            preferred_name: raw.preferred_name,
            language,
        };
        let entry = RosterEntry {
            student,
            card: card(raw.card, raw.revoked),
            other_cards,
            room: RoomId::new(raw.room).map_err(|_| nonsense("a room"))?,
            seat: raw.seat.map(Seat::new).transpose().map_err(|_| nonsense("a seat"))?,
            matching: if raw.opted_out { Matching::None } else { Matching::Face },
            look_alikes,
        };
        Ok(Found { entry, templates: raw.templates })
    }

    fn more_cards(&self, student: &str) -> Result<Vec<Card>, RosterError> {
        let read = || {
            self.sealed
                .connection()
                .prepare_cached("SELECT card, revoked FROM more_cards WHERE student = ?1 ORDER BY place")?
                .query_map([student], |row| Ok(card(row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(read().map_err(self.sealed.fault("read a student's cards"))?)
    }

    fn look_alikes(&self, student: &str) -> Result<Vec<StudentId>, RosterError> {
        let read = || {
            self.sealed
                .connection()
                .prepare_cached("SELECT other FROM look_alikes WHERE student = ?1 ORDER BY place")?
                .query_map([student], |row| row.get(0))?
                .collect::<Result<Vec<String>, _>>()
        };
        let others = read().map_err(self.sealed.fault("read whom a student looks like"))?;
        let other = |number| StudentId::new(number).map_err(|_| RosterError::Nonsense { what: "a student" });
        others.into_iter().map(other).collect()
    }
}
