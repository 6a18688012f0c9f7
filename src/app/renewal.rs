//! The certificates that the box may show to the broker, and the driver that renews them, out of the configuration.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use crate::{
    config,
    domain::{DeviceId, Timestamp, WithSources},
    edge::{
        clock::Clock,
        enrolment::{Endpoint, Pair},
        mqtt::{self, Tls},
    },
    flow::renew::{Newest, Order, PURPOSE, Party, Pauses, Renew},
    store::{Cause, EventStore, KeyError, KeyFolder, Secret},
    wire::keys::SigningKey,
};

/// One certificate that the box may use.
pub struct Held {
    /// Its number among those that were renewed; `None`: the box was enrolled with it.
    pub number: Option<u32>,
    /// Certificate and key.
    pub pair: Pair,
}

/// What the box may use, the newest first; at least one. What is damaged is passed over as long as something is left.
///
/// # Errors
/// When there is none.
pub fn held(keys: &KeyFolder, uplink: &config::Uplink) -> Result<Vec<Held>> {
    let mut all = Vec::new();
    let renewed = keys.renewed().context("renewed certificates cannot be read")?;
    if !renewed.is_empty() {
        let passphrase = keys.passphrase(PURPOSE).context("renewed certificates cannot be opened")?;
        for one in renewed {
            match Pair::unlock(&one.bytes, &passphrase) {
                Ok(pair) => all.push(Held { number: Some(one.number), pair }),
                Err(error) => {
                    let path = keys.renewed_path(one.number);
                    tracing::error!(path = %path.display(), error = %WithSources(&error), "a renewed certificate is passed over");
                }
            }
        }
    }
    match keys.text(Secret::Tls) {
        Ok(key) => {
            let certificate = read(&uplink.certificate)?;
            all.push(Held { number: None, pair: Pair { certificate, key } });
        }
        // Erased, once the broker had taken a renewed one.
        Err(KeyError::Missing { .. }) if !all.is_empty() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Goes over to the next signing key where the fleet believes that one alone: what waits travels in a new epoch. A power cut in between
/// leaves what is done again at the next start.
///
/// # Errors
/// When the disk fails.
pub fn go_over(device: &DeviceId, keys: &KeyFolder, events: &mut EventStore, now: Timestamp) -> Result<()> {
    let Some(note) = keys.hand_over().context("the note of a hand-over")?.filter(|note| note.accepted) else {
        return Ok(());
    };
    if events.epoch()? != note.begins {
        let waiting = events
            .begin_epoch(note.begins, device, Cause::NewIdentity, now)
            .context("the epoch of the new signing key cannot begin")?;
        tracing::warn!(epoch = %note.begins, waiting, "a new signing key: what waits for a receipt travels in a new epoch");
    }
    keys.put_signing_in_force(note.number).context("the new signing key cannot be put in force")
}

/// A certificate as the line takes it.
#[must_use]
pub fn tls(authority: &[u8], pair: &Pair) -> Tls {
    Tls { authority: authority.to_vec(), certificate: pair.certificate.clone(), key: pair.key.clone() }
}

/// The driver of renewals, prepared.
pub(super) struct Renewals {
    pub(super) renew: Renew,
    pub(super) orders: mpsc::Receiver<Order>,
}

/// Prepares renewals at the endpoint of the configuration, if it names one. `held` is what [`held`] gave. Also gives the way to order one.
///
/// # Errors
/// When the endpoint's address is none.
pub(super) fn prepare(
    (device, own): (&DeviceId, SigningKey),
    uplink: &config::Uplink,
    keys: &KeyFolder,
    (authority, held): (&[u8], &[Held]),
    polling: &mut mqtt::UplinkLoop,
    clock: Arc<dyn Clock>,
) -> Result<Option<(Renewals, mpsc::Sender<Order>)>> {
    let (Some(url), Some(newest)) = (&uplink.enrolment, held.first()) else { return Ok(None) };
    let endpoint = Endpoint::parse(url).context("uplink.enrolment")?;
    let party = Party { device: device.clone(), own, authorities: authority.to_vec() };
    let newest = Newest { number: newest.number, certificate: newest.pair.certificate.clone() };
    let renew = Renew::new(party, (endpoint, keys.clone()), newest, polling.renewing(), clock, Pauses::default());
    let (order, orders) = mpsc::channel(1);
    Ok(Some((Renewals { renew, orders }, order)))
}
