//! Certificates that boxes renew, and signing keys that they go over to: who may, and how often.

use std::{collections::BTreeMap, time::Duration};

use examgate::{
    domain::{DeviceId, Epoch, Seq, Timestamp},
    store::sealed::Fault,
    wire::{keys::PublicKey, renewal::HandOver},
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use uuid::Uuid;

use super::{Registry, RegistryError, State, at, foreign, id, state};
use crate::issuer::Issued;

/// Most certificates of one box in [`LIMITED_FOR`]: a box whose key was stolen, or that has gone wild, fills no registry.
pub const MOST: u32 = 8;

/// See [`MOST`].
pub const LIMITED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of a request for another certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It is recorded, and may be given to the box.
    Recorded,
    /// The box is not enrolled, or with another key.
    Not,
    /// Nobody allowed the box to go over to another signing key, or the time for it is over.
    NotAllowed,
    /// It had [`MOST`] of them lately.
    TooOften,
}

/// A key that a box signed with before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerKey {
    /// The key.
    pub key: PublicKey,
    /// When it ended.
    pub ended: Timestamp,
    /// What it may have signed; `None`: it was not handed over, the box was enrolled anew.
    pub place: Option<Place>,
}

/// Where a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The last epoch whose events it signed.
    pub epoch: Epoch,
    /// The last event of that epoch when the key was handed over.
    pub last: Seq,
}

fn former_of(row: &Row<'_>) -> rusqlite::Result<FormerKey> {
    let epoch: Option<String> = row.get(2)?;
    let epoch = epoch.map(|text| Uuid::parse_str(&text).map(Epoch).map_err(foreign)).transpose()?;
    let place = epoch.zip(row.get::<_, Option<u64>>(3)?).map(|(epoch, last)| Place { epoch, last: Seq(last) });
    Ok(FormerKey { key: id(row.get(0)?)?, ended: at(row.get(1)?)?, place })
}

/// Keeps a certificate that was issued to a box, unless it had too many lately.
fn keep(rows: &Transaction<'_>, device: &DeviceId, issued: &Issued, now: Timestamp) -> rusqlite::Result<Renewed> {
    let since = now.checked_sub(LIMITED_FOR).unwrap_or(now).as_second();
    let sql = "SELECT count(*) FROM certificate WHERE device = ? AND issued_at > ?";
    let lately: u32 = rows.query_row(sql, params![device.as_str(), since], |row| row.get(0))?;
    if lately >= MOST {
        return Ok(Renewed::TooOften);
    }
    rows.execute(
        "INSERT INTO certificate (serial, device, fingerprint, issued_at, not_after) VALUES (?, ?, ?, ?, ?)",
        params![issued.serial, device.as_str(), &issued.fingerprint[..], now.as_second(), issued.not_after.as_second()],
    )?;
    Ok(Renewed::Recorded)
}

impl Registry {
    /// The key that `device` signs with, or signed with last, and where the box stands; `None` for a box that was never enrolled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn signer(&self, device: &DeviceId) -> Result<Option<(PublicKey, State)>, Fault> {
        let sql = "SELECT signing_key, state FROM device WHERE id = ? AND signing_key IS NOT NULL";
        let read = |row: &Row<'_>| Ok((id(row.get(0)?)?, state(&row.get::<_, String>(1)?)?));
        let found = self.0.connection().query_row(sql, [device.as_str()], read).optional();
        found.map_err(self.0.fault("look up a box's key"))
    }

    /// Records the certificate `issued` to the box `device`, which signed for it with `key`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn renew(
        &mut self,
        device: &DeviceId,
        key: &PublicKey,
        issued: &Issued,
        now: Timestamp,
    ) -> Result<Renewed, Fault> {
        self.change("renew a certificate", |rows| {
            let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE id = ? AND state = 'enrolled' AND signing_key = ?)";
            let is_its_own = rows.query_row(sql, params![device.as_str(), key.to_string()], |row| row.get(0))?;
            if is_its_own { keep(rows, device, issued, now) } else { Ok(Renewed::Not) }
        })
    }

    /// Allows the box to go over to another signing key, once, until then.
    ///
    /// # Errors
    /// When there is no such box, or it is not enrolled.
    pub fn allow_hand_over(&mut self, device: &DeviceId, until: Timestamp) -> Result<(), RegistryError> {
        let (found, _) = self.device(device)?;
        let allowed = self.change("allow another signing key", |rows| {
            let sql = "UPDATE device SET rotate_until = ? WHERE id = ? AND state = 'enrolled'";
            rows.execute(sql, params![until.as_second(), device.as_str()])
        })?;
        if allowed == 1 { Ok(()) } else { Err(RegistryError::NotEnrolled { device: found.id }) }
    }

    /// Takes the hand-over `what`, signed by the key `old`, with the certificate `issued` for it: from now on the new key counts alone, and
    /// all other certificates of the box are revoked. Taken before, it is taken again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn hand_over(
        &mut self,
        what: &HandOver,
        old: &PublicKey,
        issued: &Issued,
        now: Timestamp,
    ) -> Result<Renewed, Fault> {
        let (device, old, next) = (what.device.as_str(), old.to_string(), what.next.to_string());
        self.change("hand over to another signing key", |rows| {
            let sql = "SELECT signing_key, rotate_until FROM device WHERE id = ? AND state = 'enrolled'";
            let read = |row: &Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<i64>>(1)?));
            let Some((Some(held), until)) = rows.query_row(sql, [device], read).optional()? else {
                return Ok(Renewed::Not);
            };
            if held != old && held != next {
                return Ok(Renewed::Not);
            }
            if held == old && until.is_none_or(|until| until <= now.as_second()) {
                return Ok(Renewed::NotAllowed);
            }
            let kept = keep(rows, &what.device, issued, now)?;
            if kept != Renewed::Recorded {
                return Ok(kept);
            }
            // Anybody who has the old key may have those of its certificates, too.
            let sql = "UPDATE certificate SET revoked_at = ? WHERE device = ? AND revoked_at IS NULL AND serial <> ?";
            rows.execute(sql, params![now.as_second(), device, issued.serial])?;
            if held == old {
                let sql = "UPDATE device SET signing_key = ?, rotate_until = NULL WHERE id = ?";
                rows.execute(sql, params![next, device])?;
                // The change itself made the row.
                rows.execute(
                    "UPDATE former_key SET ended_at = ?, epoch = ?, seq = ?, hash = ?, next_epoch = ?
                     WHERE device = ? AND public_key = ?",
                    params![
                        now.as_second(),
                        what.ends.0.to_string(),
                        what.last.0,
                        &what.hash.as_bytes()[..],
                        what.begins.0.to_string(),
                        device,
                        old
                    ],
                )?;
            }
            Ok(Renewed::Recorded)
        })
    }

    /// The keys that a box signed with before, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn former_keys(&self, device: &DeviceId) -> Result<Vec<FormerKey>, Fault> {
        let read = |rows: &Connection| {
            let sql = "SELECT public_key, ended_at, epoch, seq FROM former_key WHERE device = ? ORDER BY ended_at DESC";
            let mut statement = rows.prepare(sql)?;
            statement.query_map([device.as_str()], former_of)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read(self.0.connection()).map_err(self.0.fault("read the former keys of a box"))
    }

    /// Of every enrolled box that handed over since it was enrolled, the last key before the one it has.
    ///
    /// # Errors
    /// When the database fails.
    pub fn handed_over(&self) -> Result<BTreeMap<DeviceId, FormerKey>, Fault> {
        let read = |rows: &Connection| {
            let sql = "SELECT public_key, ended_at, epoch, seq, former_key.device FROM former_key JOIN device ON device.id = former_key.device
                       WHERE epoch IS NOT NULL AND state = 'enrolled' AND ended_at >= coalesce(enrolled_at, 0) ORDER BY ended_at";
            let mut statement = rows.prepare(sql)?;
            let pairs = statement.query_map([], |row| Ok((id(row.get(4)?)?, former_of(row)?)))?;
            // The last one of a box replaces those before.
            pairs.collect::<rusqlite::Result<BTreeMap<_, _>>>()
        };
        read(self.0.connection()).map_err(self.0.fault("read the former keys of all boxes"))
    }
}
