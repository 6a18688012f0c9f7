//! Boxes that are enrolled: their certificates are renewed on a request that the box's own signing key signed, and they go over to another
//! signing key where somebody allowed that.
//!
//! No certificate has to be shown, so a box whose certificate ended in a cupboard comes back by itself. What shuts a box out is the
//! registry: a revoked box gets nothing.

use std::sync::PoisonError;

use anyhow::Result;
use examgate::{
    domain::{DeviceId, Timestamp},
    wire::{
        keys::PublicKey,
        renewal::{HandOver, Renewal, RenewalError},
    },
};
use examgate_fleet_core::{
    issuer::{Issued, IssuerError},
    registry::{MOST, Registry, Renewed, State},
};

use super::Desk;

/// Why a box gets no other certificate. The box logs it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A box that was never enrolled.
    #[error("this box is not known here: enrol it with a code of `examgate-fleet device add`")]
    Unknown,
    /// A box that was revoked.
    #[error(
        "this box was revoked: it gets no certificate any more; `examgate-fleet device add` lets it be enrolled again"
    )]
    Revoked,
    /// One that is to be enrolled again.
    #[error("this box waits to be enrolled again: give it the code of `examgate-fleet device add`")]
    NotEnrolled,
    /// It asked too often.
    #[error("this box had {MOST} certificates within a day: wait, and look why it asks so often")]
    TooOften,
    /// It may not go over to another signing key.
    #[error("nobody allowed this box another signing key: `examgate-fleet device rotate` does, for seven days")]
    NotAllowed,
    /// A request that is none.
    #[error("the request is not good: {0}")]
    Request(#[from] RenewalError),
    /// A request for a certificate that is none.
    #[error("the request is not good: {0}")]
    Csr(String),
}

impl From<State> for Refused {
    fn from(state: State) -> Self {
        match state {
            State::Revoked => Self::Revoked,
            // Only a box that is enrolled gets as far as to be refused for another reason.
            State::Added | State::Enrolled => Self::NotEnrolled,
        }
    }
}

impl Desk {
    /// Renews the certificate of `device`. The outer error is the fleet's own fault.
    pub(super) fn renew(&self, device: &DeviceId, message: &[u8], now: Timestamp) -> Result<Result<Vec<u8>, Refused>> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((key, state)) = registry.signer(device)? else { return Ok(Err(Refused::Unknown)) };
        let renewal = match Renewal::decode(message, device, &key, &self.server) {
            Ok(renewal) => renewal,
            Err(error) => return Ok(Err(error.into())),
        };
        // Only the box itself hears more.
        if state != State::Enrolled {
            return Ok(Err(state.into()));
        }
        let issued = match self.certificate(device, &renewal.csr, now)? {
            Ok(issued) => issued,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(match taken(registry.renew(device, &key, &issued, now)?) {
            Err(refused) => Err(refused),
            Ok(()) => {
                tracing::info!(%device, until = %issued.not_after, "a certificate was renewed");
                Ok(issued.certificate.into_bytes())
            }
        })
    }

    /// Lets `device` go over to another signing key, and gives it a certificate. The outer error is the fleet's own fault.
    pub(super) fn hand_over(
        &self,
        device: &DeviceId,
        message: &[u8],
        now: Timestamp,
    ) -> Result<Result<Vec<u8>, Refused>> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((key, state)) = registry.signer(device)? else { return Ok(Err(Refused::Unknown)) };
        let (old, what) =
            match signed_by(&registry, device, key, |key| HandOver::decode(message, device, key, &self.server))? {
                Ok(found) => found,
                Err(error) => return Ok(Err(error.into())),
            };
        if state != State::Enrolled {
            return Ok(Err(state.into()));
        }
        let issued = match self.certificate(device, &what.csr, now)? {
            Ok(issued) => issued,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(match taken(registry.hand_over(&what, &old, &issued, now)?) {
            Err(refused) => Err(refused),
            Ok(()) => {
                // Before the box hears of it: from here on the collector believes the new key alone.
                self.folder.write_devices(&registry)?;
                self.folder.write_list(&mut registry, now)?;
                tracing::warn!(%device, %old, new = %what.next, epoch = %what.begins, "a box went over to another signing key");
                Ok(issued.certificate.into_bytes())
            }
        })
    }

    fn certificate(&self, device: &DeviceId, csr: &str, now: Timestamp) -> Result<Result<Issued, Refused>> {
        match self.issuer.issue(device, csr, now) {
            Ok(issued) => Ok(Ok(issued)),
            Err(error @ (IssuerError::Request(_) | IssuerError::KeyKind)) => Ok(Err(Refused::Csr(error.to_string()))),
            Err(error) => Err(error.into()),
        }
    }
}

/// What became of it, as the box hears it.
fn taken(renewed: Renewed) -> Result<(), Refused> {
    match renewed {
        Renewed::Recorded => Ok(()),
        // In this moment it was revoked, or went over to another key.
        Renewed::Not => Err(Refused::NotEnrolled),
        Renewed::NotAllowed => Err(Refused::NotAllowed),
        Renewed::TooOften => Err(Refused::TooOften),
    }
}

/// Reads a hand-over that is signed by `key`, or by the key before it: a box whose answer was lost asks again.
fn signed_by(
    registry: &Registry,
    device: &DeviceId,
    key: PublicKey,
    read: impl Fn(&PublicKey) -> Result<HandOver, RenewalError>,
) -> Result<Result<(PublicKey, HandOver), RenewalError>> {
    let first = read(&key).map(|what| (key, what));
    if !matches!(first, Err(RenewalError::NotSigned)) {
        return Ok(first);
    }
    let before = registry.former_keys(device)?.into_iter().next().map(|former| former.key);
    Ok(match before.map(|former| (former, read(&former))) {
        Some((former, Ok(what))) if what.next == key => Ok((former, what)),
        Some(_) | None => first,
    })
}
