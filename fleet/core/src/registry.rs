//! The registry of boxes: which are expected, enrolled and revoked, their keys, certificates and one-time codes.
//!
//! An encrypted database of its own, beside the ledger. Of a code it keeps what verifies a box and answers it, never what
//! would enrol one. It reads no clock.

mod list;
mod renewal;
mod site;

use std::path::Path;

use examgate::{
    domain::{DeviceId, RoomId, SiteId, Timestamp},
    store::{
        Key,
        sealed::{Fault, Kind, Migration, Sealed},
    },
    wire::{
        enrolment::{CodeId, Kept, Request},
        keys::PublicKey,
    },
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, types::Type};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use self::{
    list::RevokedSerial,
    renewal::{FormerKey, LIMITED_FOR, MOST, Place, Renewed},
};
use super::issuer::Issued;

const REGISTRY: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgRg"),
    name: "a fleet's registry of boxes",
    migrations: &[
        Migration { name: "boxes, codes and certificates", sql: include_str!("registry.sql") },
        Migration { name: "former keys", sql: include_str!("registry_2.sql") },
        Migration { name: "sites", sql: include_str!("registry_3.sql") },
    ],
};

/// How often a code may be tried with another box's or another connection's signature.
pub const TRIES: u32 = 5;

/// Why the registry does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The database.
    #[error("the registry of boxes failed")]
    Database(#[from] Fault),
    /// There is no such box.
    #[error("there is no box {device:?}: `examgate-fleet device list` shows those there are")]
    NoDevice {
        /// What was named.
        device: DeviceId,
    },
    /// It is not enrolled.
    #[error("{device} is not enrolled: it has no key yet, or none that counts any more")]
    NotEnrolled {
        /// Which it is.
        device: DeviceId,
    },
    /// A second box of the same name.
    #[error("{device} is enrolled: revoke it first if it is to be enrolled again, or choose another id")]
    Enrolled {
        /// Which it is.
        device: DeviceId,
    },
}

/// Where a box stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is expected: a code was given out.
    Added,
    /// It has certificates and may report.
    Enrolled,
    /// It is shut out.
    Revoked,
}

impl State {
    const ALL: [Self; 3] = [Self::Added, Self::Enrolled, Self::Revoked];

    /// Its name in the database and in lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Enrolled => "enrolled",
            Self::Revoked => "revoked",
        }
    }
}

/// One box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The room whose door it guards.
    pub room: RoomId,
    /// The site of that room; `None`: nobody named one.
    pub site: Option<SiteId>,
    /// Where it stands.
    pub state: State,
    /// The key that it signs events with; `None` before it is enrolled.
    pub signing_key: Option<PublicKey>,
    /// Until when its newest certificate that is not revoked counts.
    pub certificate_until: Option<Timestamp>,
    /// Until when its code can be used; `None` without one, or once it was used.
    pub code_until: Option<Timestamp>,
    /// How many prekeys of it are held.
    pub prekeys: u32,
}

/// One certificate of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// SHA-256 of it (DER).
    pub fingerprint: Vec<u8>,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a code is good for.
#[derive(Clone)]
pub struct Claim {
    /// The box that is expected.
    pub device: DeviceId,
    /// Its room.
    pub room: RoomId,
    /// Verifies the request.
    pub requests: PublicKey,
    /// Signs the answer.
    pub answers: Zeroizing<[u8; 32]>,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// Tries that are left.
    pub tries_left: u32,
    /// The box that used it, by [`who`].
    pub used_by: Option<[u8; 32]>,
}

/// What tells one box from another at the endpoint: SHA-256 over its signing key and its certificate's public key.
#[must_use]
pub fn who(request: &Request, public_key: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(request.signing_key.to_string()).chain_update(public_key).finalize().into()
}

/// The registry.
#[derive(Debug)]
pub struct Registry(Sealed);

/// A text or number of the database that nobody here wrote.
fn foreign(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

fn id<T: TryFrom<String, Error: std::error::Error + Send + Sync + 'static>>(text: String) -> rusqlite::Result<T> {
    T::try_from(text).map_err(foreign)
}

fn at(second: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_second(second).map_err(foreign)
}

fn state(name: &str) -> rusqlite::Result<State> {
    let known = State::ALL.into_iter().find(|known| known.name() == name);
    known.ok_or(rusqlite::Error::InvalidColumnType(2, "state".into(), Type::Text))
}

fn device_of(row: &Row<'_>) -> rusqlite::Result<Device> {
    let key: Option<String> = row.get(3)?;
    Ok(Device {
        id: id(row.get(0)?)?,
        room: id(row.get(1)?)?,
        state: state(&row.get::<_, String>(2)?)?,
        signing_key: key.map(id).transpose()?,
        certificate_until: row.get::<_, Option<i64>>(4)?.map(at).transpose()?,
        code_until: row.get::<_, Option<i64>>(5)?.map(at).transpose()?,
        prekeys: row.get(6)?,
        site: row.get::<_, Option<String>>(7)?.map(id).transpose()?,
    })
}

const DEVICES: &str = "SELECT id, room, state, signing_key,
        (SELECT max(not_after) FROM certificate WHERE device = device.id AND revoked_at IS NULL),
        (SELECT expires_at FROM code WHERE code.device = device.id AND used_by IS NULL AND tries_left > 0),
        (SELECT count(*) FROM prekey WHERE prekey.device = device.id), site
    FROM device";

impl Registry {
    /// Opens the registry at `path`, made if there is none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path, key: &Key) -> Result<Self, Fault> {
        Sealed::open_or_create(path, key, &REGISTRY).map(Self)
    }

    /// Copies the registry, as it is at one moment, into the new file `to` under the same `key`.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or the database fails.
    pub fn copy_to(&self, to: &Path, key: &Key) -> Result<(), Fault> {
        self.0.copy_to(to, key)
    }

    fn change<T>(
        &mut self,
        doing: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Fault> {
        let fault = self.0.fault(doing);
        let transaction = self.0.write()?;
        let done = change(&transaction).map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(done)
    }

    /// Expects the box `device` in `room`, with a code that is `kept` until `expires`. An earlier code of it is good no more.
    ///
    /// # Errors
    /// When the box is enrolled already.
    pub fn add(
        &mut self,
        device: &DeviceId,
        room: &RoomId,
        kept: &Kept,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let added = self.change("add a box", |rows| {
            let is_new = rows.execute(
                "INSERT INTO device (id, room, state, added_at) VALUES (?1, ?2, 'added', ?3)
                 ON CONFLICT (id) DO UPDATE SET room = ?2, state = 'added', added_at = ?3, signing_key = NULL
                 WHERE state <> 'enrolled'",
                params![device.as_str(), room.as_str(), now.as_second()],
            )?;
            if is_new == 1 {
                rows.execute("DELETE FROM code WHERE device = ?1", [device.as_str()])?;
                rows.execute(
                    "INSERT INTO code (id, device, requests, answers, expires_at, tries_left) VALUES (?, ?, ?, ?, ?, ?)",
                    params![
                        &kept.id.0[..],
                        device.as_str(),
                        kept.requests.to_string(),
                        &kept.answers[..],
                        expires.as_second(),
                        TRIES
                    ],
                )?;
            }
            Ok(is_new == 1)
        })?;
        if added { Ok(()) } else { Err(RegistryError::Enrolled { device: device.clone() }) }
    }

    /// What the code of this id is good for; `None` if nobody was given it, or its box is revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub fn claim(&self, code: CodeId) -> Result<Option<Claim>, Fault> {
        let sql = "SELECT device, room, requests, answers, expires_at, tries_left, used_by
                   FROM code JOIN device ON device.id = code.device WHERE code.id = ? AND state <> 'revoked'";
        let read = |row: &Row<'_>| {
            Ok(Claim {
                device: id(row.get(0)?)?,
                room: id(row.get(1)?)?,
                requests: id(row.get(2)?)?,
                answers: Zeroizing::new(row.get(3)?),
                expires: at(row.get(4)?)?,
                tries_left: row.get(5)?,
                used_by: row.get(6)?,
            })
        };
        let found = self.0.connection().query_row(sql, [&code.0[..]], read).optional();
        found.map_err(self.0.fault("look up a code"))
    }

    /// Takes one try from a code.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fail(&mut self, code: CodeId) -> Result<(), Fault> {
        self.change("count a failed try", |rows| {
            rows.execute("UPDATE code SET tries_left = max(tries_left - 1, 0) WHERE id = ?", [&code.0[..]]).map(drop)
        })
    }

    /// Enrols the box that this code was given out for, as it asked, with what was `issued`. Says no where, meanwhile, the
    /// code was used by another box or its box was revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enrol(&mut self, code: CodeId, request: &Request, issued: &Issued, now: Timestamp) -> Result<bool, Fault> {
        let (by, now) = (who(request, &issued.public_key), now.as_second());
        self.change("enrol a box", |rows| {
            let device: Option<String> = rows
                .query_row(
                    "UPDATE code SET used_by = ?1 WHERE id = ?2 AND (used_by IS NULL OR used_by = ?1) AND tries_left > 0
                     AND EXISTS (SELECT 1 FROM device WHERE id = code.device AND state <> 'revoked') RETURNING device",
                    params![&by[..], &code.0[..]],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(device) = device else { return Ok(false) };
            rows.execute(
                "UPDATE device SET state = 'enrolled', signing_key = ?, enrolled_at = ? WHERE id = ?",
                params![request.signing_key.to_string(), now, device],
            )?;
            rows.execute(
                "INSERT INTO certificate (serial, device, fingerprint, issued_at, not_after) VALUES (?, ?, ?, ?, ?)",
                params![issued.serial, device, &issued.fingerprint[..], now, issued.not_after.as_second()],
            )?;
            rows.execute("DELETE FROM prekey WHERE device = ?", [&device])?;
            for prekey in &request.prekeys {
                rows.execute("INSERT OR IGNORE INTO prekey VALUES (?, ?, ?)", params![device, prekey, now])?;
            }
            Ok(true)
        })
    }

    /// Shuts a box out: its code, its prekeys and its certificates count no more.
    ///
    /// # Errors
    /// When there is no such box.
    pub fn revoke(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), RegistryError> {
        let now = now.as_second();
        let found = self.change("revoke a box", |rows| {
            let of = params![now, device.as_str()];
            let found = rows.execute("UPDATE device SET state = 'revoked', revoked_at = ? WHERE id = ?", of)?;
            rows.execute("UPDATE certificate SET revoked_at = ? WHERE device = ? AND revoked_at IS NULL", of)?;
            rows.execute("DELETE FROM code WHERE device = ?", [device.as_str()])?;
            rows.execute("DELETE FROM prekey WHERE device = ?", [device.as_str()])?;
            Ok(found > 0)
        })?;
        if found { Ok(()) } else { Err(RegistryError::NoDevice { device: device.clone() }) }
    }

    /// Every box, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn devices(&self) -> Result<Vec<Device>, Fault> {
        let read = |rows: &Connection| {
            let mut statement = rows.prepare(&format!("{DEVICES} ORDER BY id"))?;
            statement.query_map([], device_of)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read(self.0.connection()).map_err(self.0.fault("list the boxes"))
    }

    /// One box and its certificates, the newest first.
    ///
    /// # Errors
    /// When there is no such box.
    pub fn device(&self, device: &DeviceId) -> Result<(Device, Vec<Certificate>), RegistryError> {
        let read = |rows: &Connection| {
            let found = rows.query_row(&format!("{DEVICES} WHERE id = ?"), [device.as_str()], device_of).optional()?;
            let sql = "SELECT serial, fingerprint, not_after, revoked_at FROM certificate WHERE device = ? ORDER BY issued_at DESC";
            let mut statement = rows.prepare(sql)?;
            let certificates = statement.query_map([device.as_str()], |row| {
                Ok(Certificate {
                    serial: row.get(0)?,
                    fingerprint: row.get(1)?,
                    not_after: at(row.get(2)?)?,
                    revoked_at: row.get::<_, Option<i64>>(3)?.map(at).transpose()?,
                })
            })?;
            Ok(found.zip(Some(certificates.collect::<rusqlite::Result<_>>()?)))
        };
        let found = read(self.0.connection()).map_err(self.0.fault("look up a box"))?;
        found.ok_or_else(|| RegistryError::NoDevice { device: device.clone() })
    }
}

#[cfg(test)]
mod tests;
