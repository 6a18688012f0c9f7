//! The ledger: every event once, in an encrypted database.
//!
//! An event that is known changes nothing; one that contradicts what is known raises an alarm and changes nothing
//! either. An event that the database cannot take is put aside and harms no other; only a fault of the database itself
//! is an error. What comes here has been verified.

use std::{collections::BTreeMap, path::Path};

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    store::{
        Key,
        sealed::{Fault, Kind, Migration, Sealed},
    },
    wire::envelope::EventEnvelope,
};
use rusqlite::{Connection, OptionalExtension, params};

const LEDGER: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgLg"),
    name: "a collector's ledger",
    migrations: &[Migration { name: "events, lives and alarms", sql: include_str!("ledger.sql") }],
};

/// What a box that is whole never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Another event at a place that is taken: the box's history was rewritten, or its store was copied or set back.
    Rewritten,
    /// An event's name at another place.
    NameReused,
    /// The event does not follow from the one before it.
    ChainBroken,
}

impl Alarm {
    /// Its name in the ledger and in logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rewritten => "rewritten",
            Self::NameReused => "name_reused",
            Self::ChainBroken => "chain_broken",
        }
    }
}

/// What one commit came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// Events that were new.
    pub(super) fresh: usize,
    /// Up to where each life that was touched is complete; 0 if even its first event is missing.
    pub(super) contiguous: BTreeMap<(DeviceId, Epoch), Seq>,
    /// Alarms not raised before.
    pub(super) alarms: Vec<(DeviceId, Epoch, Seq, Alarm)>,
    /// Events that the database does not take, and what it says. They are not in the ledger and never receipted.
    pub(super) unusable: Vec<(DeviceId, Epoch, Seq, String)>,
}

/// Whether `error` is about the value that was to be written, not about the database or the disk under it.
fn is_about_the_value(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    if let Some(code) = error.sqlite_error_code() {
        return matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig);
    }
    matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
}

/// One committed event.
pub(super) struct Entry {
    /// The box.
    pub(super) device: String,
    /// Which life of it.
    pub(super) epoch: Epoch,
    /// Its place.
    pub(super) seq: Seq,
    /// When it was committed, RFC 3339.
    pub(super) committed_at: String,
    /// The body as recorded. Personal data.
    pub(super) body: Vec<u8>,
}

/// The collector's ledger.
#[derive(Debug)]
pub(super) struct Ledger(Sealed);

impl Ledger {
    /// Opens the ledger, made if there is none.
    pub(super) fn open(path: &Path, key: &Key) -> Result<Self, Fault> {
        Sealed::open_or_create(path, key, &LEDGER).map(Self)
    }

    /// Opens a ledger that must be there.
    pub(super) fn open_existing(path: &Path, key: &Key) -> Result<Self, Fault> {
        Sealed::open(path, key, &LEDGER).map(Self)
    }

    /// Commits `events` together: all is on the disk when this returns, or nothing.
    pub(super) fn commit(&mut self, events: &[EventEnvelope]) -> Result<Committed, Fault> {
        let fault = self.0.fault("commit events");
        let transaction = self.0.write()?;
        let mut committed = Committed::default();
        let mut apply = || {
            for event in events {
                // A statement that fails changes nothing, so the transaction goes on without this event.
                match insert(&transaction, event, &mut committed.alarms) {
                    Ok(fresh) => committed.fresh += usize::from(fresh),
                    Err(error) if is_about_the_value(&error) => {
                        let EventEnvelope { device, epoch, seq, .. } = event;
                        committed.unusable.push((device.clone(), *epoch, *seq, error.to_string()));
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                committed.contiguous.insert((event.device.clone(), event.epoch), Seq(0));
            }
            for ((device, epoch), seq) in &mut committed.contiguous {
                *seq = advance(&transaction, device, *epoch, &mut committed.alarms)?;
            }
            Ok(())
        };
        apply().map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(committed)
    }

    /// Calls `see` with every event: box by box, life by life, in order.
    pub(super) fn each(&self, mut see: impl FnMut(Entry) -> std::io::Result<()>) -> Result<std::io::Result<()>, Fault> {
        let mut read = || {
            let mut query = self
                .0
                .connection()
                .prepare("SELECT device, epoch, seq, committed_at, body FROM event ORDER BY device, epoch, seq")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let entry = Entry {
                    device: row.get(0)?,
                    epoch: Epoch(row.get(1).map(uuid::Uuid::from_bytes)?),
                    seq: Seq(row.get(2)?),
                    committed_at: row.get(3)?,
                    body: row.get(4)?,
                };
                if let Err(error) = see(entry) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(self.0.fault("read events"))
    }
}

/// `true` if the event was new.
fn insert(
    ledger: &Connection,
    event: &EventEnvelope,
    alarms: &mut Vec<(DeviceId, Epoch, Seq, Alarm)>,
) -> rusqlite::Result<bool> {
    let EventEnvelope { device, epoch, seq, event_id, prev, hash, body } = event;
    let known: Option<[u8; 32]> = ledger
        .prepare_cached("SELECT hash FROM event WHERE device = ?1 AND epoch = ?2 AND seq = ?3")?
        .query_row(params![device.as_str(), epoch.0.as_bytes(), seq.0], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        if known != *hash.as_bytes() {
            raise(ledger, device, *epoch, *seq, Alarm::Rewritten, alarms)?;
        }
        return Ok(false);
    }
    let elsewhere = ledger
        .prepare_cached("SELECT 1 FROM event WHERE device = ?1 AND id = ?2")?
        .exists(params![device.as_str(), event_id.0.as_bytes()])?;
    if elsewhere {
        raise(ledger, device, *epoch, *seq, Alarm::NameReused, alarms)?;
        return Ok(false);
    }
    ledger
        .prepare_cached(
            "INSERT INTO event (device, epoch, seq, id, prev, hash, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            device.as_str(),
            epoch.0.as_bytes(),
            seq.0,
            event_id.0.as_bytes(),
            prev.as_bytes(),
            hash.as_bytes(),
            body.as_slice()
        ])?;
    Ok(true)
}

/// Follows the chain as far as it goes without a gap.
fn advance(
    ledger: &Connection,
    device: &DeviceId,
    epoch: Epoch,
    alarms: &mut Vec<(DeviceId, Epoch, Seq, Alarm)>,
) -> rusqlite::Result<Seq> {
    let link = |seq: u64| {
        ledger
            .prepare_cached("SELECT prev, hash FROM event WHERE device = ?1 AND epoch = ?2 AND seq = ?3")?
            .query_row(params![device.as_str(), epoch.0.as_bytes(), seq], |row| {
                Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, [u8; 32]>(1)?))
            })
            .optional()
    };
    let before: u64 = ledger
        .prepare_cached("SELECT contiguous FROM life WHERE device = ?1 AND epoch = ?2")?
        .query_row(params![device.as_str(), epoch.0.as_bytes()], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let mut contiguous = before;
    let mut head = link(contiguous)?.map_or(*EventHash::START.as_bytes(), |(_, hash)| hash);
    while let Some(next) = contiguous.checked_add(1).filter(|&next| Seq(next) <= Seq::MAX)
        && let Some((prev, hash)) = link(next)?
    {
        if prev != head {
            raise(ledger, device, epoch, Seq(next), Alarm::ChainBroken, alarms)?;
            break;
        }
        (contiguous, head) = (next, hash);
    }
    if contiguous > before {
        ledger
            .prepare_cached("INSERT OR REPLACE INTO life (device, epoch, contiguous) VALUES (?1, ?2, ?3)")?
            .execute(params![device.as_str(), epoch.0.as_bytes(), contiguous])?;
    }
    Ok(Seq(contiguous))
}

/// Keeps the alarm; passes it on if it is new.
fn raise(
    ledger: &Connection,
    device: &DeviceId,
    epoch: Epoch,
    seq: Seq,
    alarm: Alarm,
    alarms: &mut Vec<(DeviceId, Epoch, Seq, Alarm)>,
) -> rusqlite::Result<()> {
    let fresh = ledger
        .prepare_cached("INSERT OR IGNORE INTO alarm (device, epoch, seq, what) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![device.as_str(), epoch.0.as_bytes(), seq.0, alarm.name()])?;
    if fresh > 0 {
        alarms.push((device.clone(), epoch, seq, alarm));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use examgate::domain::{EventId, chain_hash};
    use uuid::Uuid;

    use super::*;

    const EPOCH: Epoch = Epoch(Uuid::from_u128(1));

    fn door() -> DeviceId {
        DeviceId::new("door-1").expect("valid")
    }

    /// Events 1..=n of one chain.
    fn chain(n: u64) -> Vec<EventEnvelope> {
        let mut prev = EventHash::START;
        (1..=n)
            .map(|seq| {
                let event = envelope(seq, prev, &format!("event {seq}"));
                prev = event.hash;
                event
            })
            .collect()
    }

    fn envelope(seq: u64, prev: EventHash, body: &str) -> EventEnvelope {
        EventEnvelope {
            device: door(),
            epoch: EPOCH,
            seq: Seq(seq),
            event_id: EventId(Uuid::from_u128(u128::from(seq))),
            prev,
            hash: chain_hash(EPOCH, Seq(seq), &prev, body.as_bytes()),
            body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger =
            Ledger::open(&folder.path().join("ledger.db"), &Key::generate().expect("random")).expect("a new ledger");
        (folder, ledger)
    }

    fn outcome(fresh: usize, contiguous: u64, alarms: &[(u64, Alarm)]) -> Committed {
        Committed {
            fresh,
            contiguous: BTreeMap::from([((door(), EPOCH), Seq(contiguous))]),
            alarms: alarms.iter().map(|&(seq, alarm)| (door(), EPOCH, Seq(seq), alarm)).collect(),
            unusable: Vec::new(),
        }
    }

    #[test]
    fn an_event_that_the_database_cannot_take_is_put_aside_and_the_others_are_kept() {
        let (_folder, mut ledger) = ledger();
        let good = chain(2);
        let bad = envelope(u64::MAX, EventHash::START, "no place in SQLite");
        let committed = ledger.commit(&[good[0].clone(), bad.clone(), good[1].clone()]).expect("the disk is well");
        let [(device, epoch, seq, why)] = committed.unusable.as_slice() else { panic!("one: {committed:?}") };
        assert_eq!((device, *epoch, *seq), (&door(), EPOCH, bad.seq));
        assert!(!why.is_empty());
        assert_eq!((committed.fresh, &committed.contiguous[&(door(), EPOCH)]), (2, &Seq(2)));
        // Alone, too, and nothing is receipted for it.
        assert!(ledger.commit(&[bad]).expect("the disk is well").contiguous.is_empty());
        let top = ledger.commit(&[envelope(Seq::MAX.0, EventHash::START, "the last place")]).expect("works");
        assert_eq!((top.fresh, &top.contiguous[&(door(), EPOCH)]), (1, &Seq(2)));
    }

    #[test]
    fn a_fault_of_the_database_is_an_error() {
        let (folder, mut ledger) = ledger();
        ledger.0.connection().pragma_update(None, "max_page_count", 16).expect("a limit");
        let full = (1..500).find_map(|seq| ledger.commit(&[envelope(seq, EventHash::START, &"x".repeat(4000))]).err());
        assert!(matches!(full, Some(Fault::Full { .. })), "{full:?}");
        drop(folder);
    }

    #[test]
    fn out_of_order_is_committed_and_only_the_contiguous_is_confirmed() {
        let (_folder, mut ledger) = ledger();
        let events = chain(4);
        assert_eq!(ledger.commit(&events[2..3]).expect("works"), outcome(1, 0, &[]));
        assert_eq!(ledger.commit(&events[..1]).expect("works"), outcome(1, 1, &[]));
        assert_eq!(ledger.commit(&events[1..2]).expect("works"), outcome(1, 3, &[]));
        assert_eq!(ledger.commit(&events[..]).expect("works"), outcome(1, 4, &[]), "known ones change nothing");
        let mut seen = Vec::new();
        ledger
            .each(|entry| {
                seen.push(entry.seq.0);
                Ok(())
            })
            .expect("readable")
            .expect("no output to fail");
        assert_eq!(seen, [1, 2, 3, 4]);
    }

    #[test]
    fn contradictions_raise_one_alarm_and_change_nothing() {
        let (_folder, mut ledger) = ledger();
        let events = chain(2);
        ledger.commit(&events).expect("works");
        let other = envelope(2, events[0].hash, "another");
        assert_eq!(
            ledger.commit(std::slice::from_ref(&other)).expect("works"),
            outcome(0, 2, &[(2, Alarm::Rewritten)])
        );
        assert_eq!(ledger.commit(&[other]).expect("works"), outcome(0, 2, &[]), "said once");
        let reused = EventEnvelope { event_id: events[0].event_id, ..envelope(3, events[1].hash, "third") };
        assert_eq!(ledger.commit(&[reused]).expect("works"), outcome(0, 2, &[(3, Alarm::NameReused)]));
        let loose = envelope(3, EventHash::START, "third");
        assert_eq!(ledger.commit(&[loose]).expect("works"), outcome(1, 2, &[(3, Alarm::ChainBroken)]));
        let mut bodies = Vec::new();
        ledger
            .each(|entry| {
                bodies.push(entry.body);
                Ok(())
            })
            .expect("readable")
            .expect("no output to fail");
        assert_eq!(bodies, [b"event 1".to_vec(), b"event 2".to_vec(), b"third".to_vec()]);
    }
}
