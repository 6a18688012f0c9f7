//! Which boxes a bridge serves when several share them: decided by the box's name alone, so bridges need not know each other.

use std::str::FromStr;

use examgate::{domain::DeviceId, wire::digest::Digest};

/// One share of the boxes: number `at`, from 1, of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    at: u32,
    of: u32,
}

/// Most shards. Choosing one takes a digest for each.
const MOST: u32 = 64;

impl Shard {
    /// Whether this share holds `device`. Rendezvous hashing: every shard has a number of its own for each box, and the highest wins. With one
    /// shard more, only the boxes that it gets change.
    pub(super) fn holds(self, device: &DeviceId) -> bool {
        if self.of == 1 {
            return true;
        }
        let number = |shard: u32| *Digest::of(format!("{device}/{shard}").as_bytes()).as_bytes();
        (1..=self.of).max_by_key(|shard| number(*shard)) == Some(self.at)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = text.split_once('/').and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
        match pair {
            Some((at, of)) if (1..=of).contains(&at) && of <= MOST => Ok(Self { at, of }),
            _ => Err(format!("want NUMBER/ALL, for instance 1/2, with at most {MOST} in all")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors() -> Vec<DeviceId> {
        (0..300).map(|n| DeviceId::new(format!("door-{n}")).unwrap()).collect()
    }

    #[test]
    fn every_box_has_one_shard_and_shards_are_about_equal() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].iter().map(|text| text.parse().unwrap()).collect();
        let mut held = [0; 3];
        for door in doors() {
            let holders: Vec<_> = (0..3).filter(|&at| shards[at].holds(&door)).collect();
            let [holder] = holders[..] else { panic!("{door}: {holders:?}") };
            held[holder] += 1;
        }
        assert!(held.iter().all(|held| (70..130).contains(held)), "{held:?}");
    }

    #[test]
    fn one_shard_more_moves_boxes_to_it_alone() {
        let of = |text: &str| text.parse::<Shard>().unwrap();
        let moved = doors().into_iter().filter(|door| of("1/2").holds(door) && !of("1/3").holds(door));
        assert!(moved.inspect(|door| assert!(of("3/3").holds(door), "{door}")).count() > 0);
    }

    #[test]
    fn shards_are_read_strictly() {
        assert!("1/1".parse::<Shard>().unwrap().holds(&doors()[0]));
        for wrong in ["", "1", "0/2", "3/2", "1/0", "1/65", "a/b", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
