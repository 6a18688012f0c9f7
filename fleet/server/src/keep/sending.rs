//! What to send next on one connection, sans I/O: the trust document, which has the keys of all else; then lost cards, then manifests, then
//! chunks, one box after the other.
//!
//! What a box asks for takes the place of what it asked for before: it knows best what it lacks. It never holds a chunk.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
};

use examgate::{domain::DeviceId, wire::digest::Digest};

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The newest trust document.
    Trust,
    /// The list of lost cards as it is in the stock.
    LostCards,
    /// The manifest of a box as it is in the stock, or nothing where it has expired.
    Manifest(DeviceId),
    /// A chunk for a box.
    Chunk(DeviceId, Digest),
}

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct Sending {
    trust: bool,
    lost_cards: bool,
    manifests: VecDeque<DeviceId>,
    /// The boxes that wait for chunks, in turn; each is there once.
    turns: VecDeque<DeviceId>,
    chunks: HashMap<DeviceId, VecDeque<Digest>>,
    /// By packet id.
    under_way: HashMap<u16, Item>,
    last: u16,
}

impl Sending {
    /// The trust document is to be published, before all else.
    pub(super) const fn trust(&mut self) {
        self.trust = true;
    }

    /// The list of lost cards is to be published, before manifests.
    pub(super) const fn lost_cards(&mut self) {
        self.lost_cards = true;
    }

    /// The manifest of `device` is to be published.
    pub(super) fn manifest(&mut self, device: &DeviceId) {
        if !self.manifests.contains(device) {
            self.manifests.push_back(device.clone());
        }
    }

    /// `device` asks for these chunks.
    pub(super) fn asked(&mut self, device: &DeviceId, digests: &[Digest]) {
        let moving: HashSet<Digest> = self.under_way.values().filter_map(|item| chunk_for(item, device)).collect();
        let queue: VecDeque<_> = digests.iter().copied().filter(|digest| !moving.contains(digest)).collect();
        if self.chunks.insert(device.clone(), queue).is_none() {
            self.turns.push_back(device.clone());
        }
    }

    /// The next thing to publish and its packet id, if fewer than `most` are under way. Ids from 1 to 65534.
    pub(super) fn next(&mut self, most: usize) -> Option<(u16, Item)> {
        if self.under_way.len() >= most {
            return None;
        }
        let item = if mem::take(&mut self.trust) {
            Item::Trust
        } else if mem::take(&mut self.lost_cards) {
            Item::LostCards
        } else if let Some(device) = self.manifests.pop_front() {
            Item::Manifest(device)
        } else {
            self.next_chunk()?
        };
        loop {
            self.last = if self.last >= u16::MAX - 1 { 1 } else { self.last + 1 };
            if !self.under_way.contains_key(&self.last) {
                break;
            }
        }
        self.under_way.insert(self.last, item.clone());
        Some((self.last, item))
    }

    fn next_chunk(&mut self) -> Option<Item> {
        while let Some(device) = self.turns.pop_front() {
            let Some(digest) = self.chunks.get_mut(&device).and_then(VecDeque::pop_front) else {
                self.chunks.remove(&device);
                continue;
            };
            self.turns.push_back(device.clone());
            return Some(Item::Chunk(device, digest));
        }
        None
    }

    /// The broker has answered; gives what it was. `None`: nothing of that id was sent. Nobody there to take it: what waits for that
    /// box is dropped, since it asks again when it is back.
    pub(super) fn answered(&mut self, packet: u16, nobody: bool) -> Option<Item> {
        let item = self.under_way.remove(&packet)?;
        if let (Item::Chunk(device, _), true) = (&item, nobody)
            && let Some(queue) = self.chunks.get_mut(device)
        {
            queue.clear();
        }
        Some(item)
    }

    /// Nothing was there to publish after all.
    pub(super) fn spared(&mut self, packet: u16) {
        self.under_way.remove(&packet);
    }
}

fn chunk_for(item: &Item, device: &DeviceId) -> Option<Digest> {
    match item {
        Item::Chunk(whose, digest) if whose == device => Some(*digest),
        Item::Chunk(..) | Item::Manifest(_) | Item::LostCards | Item::Trust => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(n: u8) -> DeviceId {
        DeviceId::new(format!("door-{n}")).unwrap()
    }

    fn digest(n: u8) -> Digest {
        Digest::from_bytes([n; 32])
    }

    #[test]
    fn manifests_go_first_and_boxes_take_turns() {
        let mut sending = Sending::default();
        sending.asked(&door(1), &[digest(1), digest(2), digest(3)]);
        sending.asked(&door(2), &[digest(4)]);
        sending.manifest(&door(3));
        sending.manifest(&door(3));
        sending.lost_cards();
        sending.trust();
        let mut order = Vec::new();
        while let Some((_, item)) = sending.next(100) {
            order.push(item);
        }
        let chunk = |d, n| Item::Chunk(door(d), digest(n));
        assert_eq!(
            order,
            [Item::Trust, Item::LostCards, Item::Manifest(door(3)), chunk(1, 1), chunk(2, 4), chunk(1, 2), chunk(1, 3)]
        );
    }

    #[test]
    fn no_more_is_under_way_than_may_be_and_nothing_twice() {
        let mut sending = Sending::default();
        sending.asked(&door(1), &[digest(1), digest(2), digest(3)]);
        let (first, _) = sending.next(2).unwrap();
        sending.next(2).unwrap();
        assert_eq!(sending.next(2), None);
        sending.asked(&door(1), &[digest(1), digest(2), digest(3)]);
        assert_eq!(sending.answered(first, false), Some(Item::Chunk(door(1), digest(1))));
        assert_eq!(sending.answered(first, false), None);
        assert_eq!(sending.next(2).map(|(_, item)| item), Some(Item::Chunk(door(1), digest(3))), "2 is under way");
        sending.asked(&door(1), &[digest(4), digest(5)]);
        assert_eq!(sending.next(3).map(|(_, item)| item), Some(Item::Chunk(door(1), digest(4))));
        let (packet, _) = sending.under_way.iter().next().map(|(id, item)| (*id, item.clone())).unwrap();
        sending.answered(packet, true);
        assert_eq!(sending.next(9), None, "the box is gone");
    }
}
