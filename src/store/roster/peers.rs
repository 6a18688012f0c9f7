//! The other boxes of the exam beside its roster, with the key of what they tell each other. At the desk, where rosters are pushed from: all
//! boxes that this one was pushed to.
//!
//! An import changes nothing about them; what is pushed replaces them.

use rusqlite::{OptionalExtension, Transaction};
use zeroize::Zeroizing;

use super::{RosterError, RosterStore};
use crate::domain::{DeviceId, Peer, PeerKey, Peers, RoomId};

/// Puts them in the place of those that are there; `None`: there are none any more.
pub(super) fn write(transaction: &Transaction<'_>, peers: Option<&Peers>) -> rusqlite::Result<()> {
    transaction.execute_batch("DELETE FROM peers; DELETE FROM peer_key;")?;
    let Some(peers) = peers else { return Ok(()) };
    transaction.execute("INSERT INTO peer_key (only, key) VALUES (1, ?1)", [peers.key.expose()])?;
    for Peer { device, room, students, signs_with } in &peers.boxes {
        transaction.execute(
            "INSERT INTO peers (device, room, students, signs_with) VALUES (?1, ?2, ?3, ?4)",
            (device.as_str(), room.as_str(), students, signs_with),
        )?;
    }
    Ok(())
}

impl RosterStore {
    /// The other boxes of the exam, in ascending order; `None`: there are none to hear of.
    ///
    /// # Errors
    /// When the database fails, or what it holds makes no sense.
    pub fn peers(&self) -> Result<Option<Peers>, RosterError> {
        let (connection, fault) = (self.sealed.connection(), self.sealed.fault("read the other boxes"));
        // A roster that is only looked at may be of a time before these tables.
        if !connection.table_exists(None, "peer_key").map_err(&fault)? {
            return Ok(None);
        }
        let key: Option<[u8; 32]> = connection
            .prepare_cached("SELECT key FROM peer_key")
            .and_then(|mut query| query.query_row([], |row| row.get(0)).optional())
            .map_err(&fault)?;
        let Some(key) = key.map(PeerKey::from_bytes) else { return Ok(None) };
        let mut query = connection
            .prepare_cached("SELECT device, room, students, signs_with FROM peers ORDER BY device")
            .map_err(&fault)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?, row.get::<_, [u8; 32]>(3)?))
        };
        let rows: Vec<_> = query.query_map([], read).and_then(Iterator::collect).map_err(&fault)?;
        let peer = |(device, room, students, signs_with): (String, String, u32, [u8; 32])| {
            let nonsense = |_| RosterError::Nonsense { what: "another box of the exam" };
            let (device, room) = (DeviceId::new(device).map_err(nonsense)?, RoomId::new(room).map_err(nonsense)?);
            Ok(Peer { device, room, students, signs_with })
        };
        let boxes: Result<Vec<_>, RosterError> = rows.into_iter().map(peer).collect();
        Ok(Some(Peers { key, boxes: boxes? }))
    }

    /// A new key for what the boxes of an exam tell each other.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn make_peer_key() -> Result<PeerKey, RosterError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(RosterError::Randomness)?;
        Ok(PeerKey::from_bytes(*key))
    }

    /// Puts these boxes in the place of those that are there.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_peers(&mut self, peers: &Peers) -> Result<(), RosterError> {
        let fault = self.sealed.fault("note the other boxes");
        let transaction = self.sealed.write()?;
        write(&transaction, Some(peers)).map_err(&fault)?;
        Ok(transaction.commit().map_err(&fault)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Bench, KEY, entry, exam},
        *,
    };
    use crate::{
        domain::{PepperCheck, Roster},
        store::Pushed,
    };

    fn peers(names: &[&str]) -> Peers {
        let peer = |name: &&str| Peer {
            device: DeviceId::new(*name).unwrap(),
            room: RoomId::new("R-2").unwrap(),
            students: 30,
            signs_with: [7; 32],
        };
        Peers { key: PeerKey::from_bytes([3; 32]), boxes: names.iter().map(peer).collect() }
    }

    #[test]
    fn they_come_with_what_is_pushed_and_outlive_an_import() {
        let bench = Bench::new();
        let mut store = RosterStore::create(&bench.path, &KEY).unwrap();
        assert_eq!(store.peers().unwrap(), None);
        let entries = vec![entry(1, 1)];
        let push = |store: &mut RosterStore, version, peers: Option<&Peers>| {
            let (exam, pepper) = (exam(version), PepperCheck::from_bytes([1; 16]));
            let pushed = Pushed { exam: &exam, entries: &entries, proctors: &[], pepper, bundle: [1; 32], peers };
            store.replace_pushed(&pushed).unwrap();
        };
        push(&mut store, 1, Some(&peers(&["door-2", "door-3"])));
        assert_eq!(store.peers().unwrap(), Some(peers(&["door-2", "door-3"])));
        push(&mut store, 2, Some(&peers(&["door-3"])));
        assert_eq!(store.peers().unwrap(), Some(peers(&["door-3"])));
        store.replace(&Roster { exam: exam(3), entries: entries.clone() }).unwrap();
        assert_eq!(store.peers().unwrap(), Some(peers(&["door-3"])));
        push(&mut store, 4, None);
        assert_eq!(store.peers().unwrap(), None);
        store.set_peers(&peers(&["door-9"])).unwrap();
        assert_eq!(store.peers().unwrap(), Some(peers(&["door-9"])));
    }
}
