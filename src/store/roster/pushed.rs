//! An edition that the fleet sent: students, proctors, pepper and the bundle it came in, in force together or not at all.
//!
//! It never opens or verifies a bundle.

use rusqlite::{OptionalExtension, Transaction};

use super::{Replaced, RosterError, RosterStore, peers, pepper::note};
use crate::{
    domain::{Exam, Peers, PepperCheck, Proctor, RosterEntry, Template},
    store::PinHash,
};

/// An edition as it was sent.
pub struct Pushed<'a> {
    /// The exam and the version.
    pub exam: &'a Exam,
    /// Its students.
    pub entries: &'a [(RosterEntry, Vec<Template>)],
    /// All its proctors: who is not among them may not sign in any more.
    pub proctors: &'a [(Proctor, PinHash)],
    /// Which pepper the cards were made into pseudonyms with.
    pub pepper: PepperCheck,
    /// SHA-256 of the sealed bundle.
    pub bundle: [u8; 32],
    /// The other boxes of the exam.
    pub peers: Option<&'a Peers>,
}

impl RosterStore {
    /// Puts an edition that was sent in the place of the one held, in one transaction. Handles on the one before keep it.
    ///
    /// # Errors
    /// As [`RosterStore::replace`]; the edition before stays.
    pub fn replace_pushed(&mut self, pushed: &Pushed<'_>) -> Result<Replaced, RosterError> {
        self.replace_with(pushed.exam, pushed.entries, |transaction| write_beside(transaction, pushed))
    }

    /// SHA-256 of the sealed bundle that the edition held came in; `None`: it was imported here.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bundle(&self) -> Result<Option<[u8; 32]>, RosterError> {
        let connection = self.sealed.connection();
        // A roster that is only looked at may be of a time before this table.
        if !connection.table_exists(None, "bundle").map_err(self.sealed.fault("look for the bundle"))? {
            return Ok(None);
        }
        let read =
            connection.query_row("SELECT bundle.digest FROM bundle JOIN exam USING (content)", [], |row| row.get(0));
        Ok(read.optional().map_err(self.sealed.fault("read the bundle"))?)
    }
}

/// The proctors are replaced before the students are checked against them.
fn write_beside(transaction: &Transaction<'_>, pushed: &Pushed<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM proctors", [])?;
    for (proctor, pin) in pushed.proctors {
        transaction.execute(
            "INSERT INTO proctors (proctor, name, card, pin) VALUES (?1, ?2, ?3, ?4)",
            (proctor.id.as_str(), &proctor.name, proctor.card.as_bytes(), &pin.0),
        )?;
    }
    peers::write(transaction, pushed.peers)?;
    note(transaction, &pushed.pepper)?;
    transaction.execute(
        "INSERT OR REPLACE INTO bundle (only, content, digest) SELECT 1, content, ?1 FROM exam",
        [pushed.bundle],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Bench, KEY, entry, exam},
        *,
    };
    use crate::{
        domain::{CardPseudonym, ProctorId},
        store::{Editions, Pin},
    };

    fn proctor(n: u8) -> Proctor {
        let id = ProctorId::new(format!("p{n}")).unwrap();
        Proctor { id, name: "A. Okafor".into(), card: CardPseudonym::from_bytes([n; 32]) }
    }

    #[test]
    fn an_edition_comes_into_force_with_its_proctors_or_not_at_all() {
        let bench = Bench::new();
        let mut store = RosterStore::create(&bench.path, &KEY).unwrap();
        let pin = Pin::new("481516").unwrap().hash().unwrap();
        let pepper = PepperCheck::from_bytes([3; 16]);
        let (one, two) = (exam(1), exam(2));
        let entries = vec![entry(1, 2), entry(2, 1)];
        let proctors = vec![(proctor(1), pin.clone())];
        let first = Pushed { exam: &one, entries: &entries, proctors: &proctors, pepper, bundle: [9; 32], peers: None };
        assert_eq!(store.replace_pushed(&first).unwrap(), Replaced::Applied);
        let mut editions = Editions::open(&bench.path, KEY).unwrap();
        assert_eq!((store.bundle().unwrap(), store.pepper().unwrap()), (Some([9; 32]), Some(pepper)));

        // A proctor has a student's card: nothing of it is taken.
        let thief = Proctor { card: entries[0].0.card.pseudonym, ..proctor(2) };
        let bad = vec![(thief, pin.clone())];
        let refused = Pushed { exam: &two, proctors: &bad, bundle: [8; 32], ..first };
        assert!(matches!(store.replace_pushed(&refused), Err(RosterError::ProctorsCard { .. })));
        assert_eq!((store.bundle().unwrap(), store.proctors().unwrap()), (Some([9; 32]), vec![proctor(1)]));
        assert!(!editions.settle().unwrap());

        let proctors = vec![(proctor(2), pin)];
        let second = Pushed { exam: &two, proctors: &proctors, bundle: [7; 32], ..refused };
        assert_eq!(store.replace_pushed(&second).unwrap(), Replaced::Applied);
        assert!(editions.settle().unwrap());
        assert_eq!((store.bundle().unwrap(), store.proctors().unwrap()), (Some([7; 32]), vec![proctor(2)]));

        // An import on the box came in no bundle.
        store.replace_from(&exam(3), &entries).unwrap();
        assert_eq!(store.bundle().unwrap(), None);
    }
}
