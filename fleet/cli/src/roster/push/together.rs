//! The boxes of one exam, for each other: those that the roster is pushed to now, and those that have it from before.
//!
//! The list and the exam's key lie beside the imported roster. A box is left out once it is not enrolled any more or the exam was withdrawn
//! from it; the others stop believing it with their next version.

use std::{collections::BTreeMap, io};

use anyhow::{Result, bail};
use examgate::{
    domain::{DeviceId, MAX_PEERS, Peer, Peers},
    exit::Refusal,
    store::RosterStore,
};
use examgate_fleet_core::rosters::Imported;

use super::{Args, Posted, Signing, enrolled, opened};

/// The boxes.
pub(super) struct Together {
    store: RosterStore,
    before: Vec<Peer>,
    now: Peers,
}

impl Together {
    /// Gathers them, with a key that is on disk.
    pub(super) fn gather(args: &Args, signing: &Signing, imported: &Imported) -> Result<Self> {
        let mut store = opened(args)?;
        let Peers { key, boxes: before } = match store.peers()? {
            Some(before) => before,
            None => {
                let first = Peers { key: RosterStore::make_peer_key()?, boxes: Vec::new() };
                store.set_peers(&first)?;
                first
            }
        };
        let mut rooms = BTreeMap::new();
        for Peer { device, room, .. } in &before {
            let manifest = if signing.devices.key(device).is_some() { signing.manifest(device)? } else { None };
            if manifest.is_some_and(|(manifest, _)| manifest.exams.iter().any(|wanted| wanted.exam == args.exam)) {
                rooms.insert(device, room);
            }
        }
        rooms.extend(args.device.iter().map(|Posted { device, room }| (device, room)));
        let mut boxes = Vec::new();
        for (device, room) in rooms {
            let students = imported.entries.iter().filter(|(entry, _)| entry.room == *room).count();
            let signs_with = *enrolled(&signing.devices, device)?.as_bytes();
            let peer =
                Peer { device: device.clone(), room: room.clone(), students: u32::try_from(students)?, signs_with };
            // A room that nobody sits in any more has no door to hear of.
            boxes.extend((students > 0).then_some(peer));
        }
        if boxes.len() > MAX_PEERS + 1 {
            bail!(Refusal::Usage(format!(
                "{} boxes of one exam, and {} can know of each other: push with --apart",
                boxes.len(),
                MAX_PEERS + 1
            )));
        }
        Ok(Self { store, before, now: Peers { key, boxes } })
    }

    /// The others, for this box; `None`: there are none.
    pub(super) fn peers_of(&self, device: &DeviceId) -> Option<Peers> {
        let mut others = self.now.clone();
        others.boxes.retain(|peer| peer.device != *device);
        (!others.boxes.is_empty()).then_some(others)
    }

    /// Notes them, and says which boxes hold an edition in which the others are not those of now; `served` have just got theirs.
    pub(super) fn settle(mut self, out: &mut impl io::Write, served: &[&DeviceId]) -> Result<()> {
        let is_in = |peers: &[Peer], peer: &Peer| {
            peers.iter().any(|other| (&other.device, other.signs_with) == (&peer.device, peer.signs_with))
        };
        let news = self.now.boxes.iter().filter(|peer| !is_in(&self.before, peer));
        let gone = self.before.iter().filter(|peer| !is_in(&self.now.boxes, peer));
        let news = news.map(|peer| (&peer.device, "does not know of"));
        let changes: Vec<_> = news.chain(gone.map(|peer| (&peer.device, "still believes"))).collect();
        for peer in self.now.boxes.iter().filter(|peer| !served.contains(&&peer.device)) {
            for (other, what) in changes.iter().filter(|(other, _)| **other != peer.device) {
                writeln!(
                    out,
                    "{}: {what} {other}: import the roster again as its next version and push that to all boxes of the exam",
                    peer.device
                )?;
            }
        }
        Ok(self.store.set_peers(&self.now)?)
    }
}
