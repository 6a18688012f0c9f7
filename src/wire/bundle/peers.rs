//! The other boxes of the exam as they stand in a bundle's bytes, from version 3 on.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::BundleError;
use crate::{
    domain::{DeviceId, MAX_PEERS, Peer, PeerKey, Peers, RoomId},
    wire::{cbor, keys::PublicKey},
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeersRow {
    #[serde(with = "cbor::bytes")]
    key: Zeroizing<Vec<u8>>,
    boxes: Vec<PeerRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerRow {
    device: DeviceId,
    room: RoomId,
    students: u32,
    #[serde(with = "cbor::bytes")]
    signs_with: [u8; 32],
}

impl PeersRow {
    pub(super) fn of(peers: &Peers) -> Self {
        let row = |peer: &Peer| {
            let Peer { device, room, students, signs_with } = peer.clone();
            PeerRow { device, room, students, signs_with }
        };
        Self { key: Zeroizing::new(peers.key.expose().to_vec()), boxes: peers.boxes.iter().map(row).collect() }
    }

    /// # Errors
    /// When the key is not one of 32 bytes.
    pub(super) fn peers(self) -> Result<Peers, BundleError> {
        let key = <[u8; 32]>::try_from(self.key.as_slice());
        let key = Zeroizing::new(key.map_err(|_| BundleError::Nonsense { what: "an exam's key of another length" })?);
        let peer = |PeerRow { device, room, students, signs_with }| Peer { device, room, students, signs_with };
        Ok(Peers { key: PeerKey::from_bytes(*key), boxes: self.boxes.into_iter().map(peer).collect() })
    }
}

/// Whether these are boxes that can be told apart and whose word can be checked.
pub(super) fn check(peers: &Peers) -> Result<(), BundleError> {
    if peers.boxes.len() > MAX_PEERS {
        return Err(BundleError::TooMuch { what: "other boxes of the exam" });
    }
    let sense = |is: bool, what| if is { Ok(()) } else { Err(BundleError::Nonsense { what }) };
    sense(!peers.boxes.is_empty(), "a key for other boxes without any")?;
    sense(peers.boxes.is_sorted_by(|one, next| one.device < next.device), "other boxes twice or out of order")?;
    sense(peers.boxes.iter().all(|peer| peer.students > 0), "another box without students")?;
    let is_key = |peer: &Peer| PublicKey::from_bytes(&peer.signs_with).is_ok();
    sense(peers.boxes.iter().all(is_key), "another box without a usable key")
}
