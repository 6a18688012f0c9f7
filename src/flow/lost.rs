//! Follows the fleet's list of lost cards: keeps the newest one on disk and passes it to the lookup of cards.
//!
//! A list counts when a command key of the fleet that counts now signed it and its serial is higher than that of the list in force.
//! Anything else is refused with an alarm, and the list in force stays.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::trust::{self, FleetKeysView};
use crate::{
    domain::{CardPseudonym, PepperCheck, WithSources},
    edge::mqtt::Arrived,
    store::{Incoming, IncomingError},
    wire::{
        keys::PublicKey,
        lost::{LostCards, LostCardsError, MAX_LOST_CARDS},
    },
};

/// The lost cards, as the lookup of cards follows them.
pub type LostView = watch::Receiver<Arc<BTreeSet<CardPseudonym>>>;

/// Most lists that wait for the disk.
pub const WAITING: usize = 4;

/// Why a list was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error(transparent)]
    List(#[from] LostCardsError),
    /// Older than the one in force, or another one of the same serial.
    #[error(
        "list {found} came in the place of list {in_force}: see who may write to the broker; if the fleet's stock was set back, mark \
         a card again until the number is higher"
    )]
    NotNewer {
        /// The serial of what came.
        found: u64,
        /// The serial in force.
        in_force: u64,
    },
    /// Its pseudonyms are of another pepper, so that it names no card of this box's rosters.
    #[error("it was made with another pepper than this box has: give the box the fleet's pepper.key")]
    OtherPepper,
}

/// The driver of one box's list. Its own task.
pub struct FollowLost {
    keys: FleetKeysView,
    pepper: PepperCheck,
    incoming: Arc<Incoming>,
    in_force: Option<LostCards>,
    /// The last list that no key signed which counted then: looked at again when other keys count.
    unsigned: Option<Vec<u8>>,
    told: watch::Sender<Arc<BTreeSet<CardPseudonym>>>,
    serial: watch::Sender<Option<u64>>,
}

impl FollowLost {
    /// Reads the list on disk. Lists that a key signed which counts at the time are taken, if they were made with the pepper of `pepper`. The
    /// list on disk counts on when its key has come to its end, but not when that was revoked.
    ///
    /// # Errors
    /// When the disk cannot be read. A list there that cannot be used is an alarm, and no error: the next one that comes replaces it.
    pub fn new(
        keys: FleetKeysView,
        pepper: PepperCheck,
        incoming: Incoming,
    ) -> Result<(Self, LostView), IncomingError> {
        let (told, view) = watch::channel(Arc::default());
        let kept = incoming.lost_cards()?;
        let (serial, _) = watch::channel(None);
        let incoming = Arc::new(incoming);
        let mut follow = Self { keys, pepper, incoming, in_force: None, unsigned: None, told, serial };
        let unrevoked = follow.keys.borrow_and_update().unrevoked_lists.clone();
        match kept.map(|bytes| follow.judge(&bytes, &unrevoked)) {
            None | Some(Ok(None)) => {}
            Some(Ok(Some(list))) => follow.put_in_force(list),
            Some(Err(refused)) => {
                tracing::error!(%refused, "alarm: the list of lost cards on disk cannot be used; lost cards open this door until the fleet's list comes");
            }
        }
        Ok((follow, view))
    }

    /// The serial of the list in force, as it changes; `None`: there is none. For the box's report.
    #[must_use]
    pub fn serial(&self) -> watch::Receiver<Option<u64>> {
        self.serial.subscribe()
    }

    /// Follows until nothing can come any more.
    pub async fn run(mut self, mut arrivals: mpsc::Receiver<Arrived>) {
        loop {
            tokio::select! {
                arrived = arrivals.recv() => match arrived {
                    Some(arrived) => self.arrived(&arrived.payload).await,
                    None => return,
                },
                () = trust::changed(&mut self.keys) => {
                    // What is retained comes in any order: this may be the trust document with the key that signed it.
                    if let Some(bytes) = self.unsigned.take() {
                        self.arrived(&bytes).await;
                    }
                }
            }
        }
    }

    async fn arrived(&mut self, bytes: &[u8]) {
        // An empty payload clears the retained message at the broker. The list in force stays.
        if bytes.is_empty() {
            return;
        }
        let counting = self.keys.borrow().lists();
        let list = match self.judge(bytes, &counting) {
            Ok(None) => return,
            Ok(Some(list)) => list,
            Err(refused) => {
                if refused == Refused::List(LostCardsError::NotSigned) && bytes.len() <= MAX_LOST_CARDS {
                    self.unsigned = Some(bytes.to_vec());
                }
                tracing::error!(%refused, "alarm: a list of lost cards was refused; the one before stays in force");
                return;
            }
        };
        // It counts at once; a disk that fails makes the box forget it at its next start, and the broker says it again.
        let (serial, cards) = (list.serial, list.cards.len());
        self.put_in_force(list);
        tracing::info!(serial, cards, "a list of lost cards is in force");
        let (incoming, bytes) = (Arc::clone(&self.incoming), bytes.to_vec());
        let kept = tokio::task::spawn_blocking(move || incoming.set_lost_cards(&bytes)).await;
        match kept {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %WithSources(&error), "the list of lost cards cannot be kept"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The list in `bytes`, if it is to replace the one in force; `None` where it is that one.
    fn judge(&self, bytes: &[u8], keys: &[PublicKey]) -> Result<Option<LostCards>, Refused> {
        let list = LostCards::decode(bytes, keys)?;
        if list.pepper != self.pepper {
            return Err(Refused::OtherPepper);
        }
        match &self.in_force {
            Some(before) if *before == list => Ok(None),
            Some(before) if before.serial >= list.serial => {
                Err(Refused::NotNewer { found: list.serial, in_force: before.serial })
            }
            Some(_) | None => Ok(Some(list)),
        }
    }

    fn put_in_force(&mut self, list: LostCards) {
        self.told.send_replace(Arc::new(list.cards.keys().copied().collect()));
        self.serial.send_replace(Some(list.serial));
        self.in_force = Some(list);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::{
        trust::{Commander, FleetKeys},
        *,
    };
    use crate::wire::keys::SigningKey;

    const PEPPER: PepperCheck = PepperCheck::from_bytes([5; 16]);

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn card(n: u8) -> CardPseudonym {
        CardPseudonym::from_bytes([n; 32])
    }

    fn list(serial: u64, cards: &[u8]) -> LostCards {
        LostCards { serial, pepper: PEPPER, cards: cards.iter().map(|&n| (card(n), 0)).collect() }
    }

    /// These count; of those before, these are not revoked.
    fn counting(keys: &[&SigningKey], unrevoked: &[&SigningKey]) -> FleetKeys {
        let commander = |key: &&SigningKey| Commander { key: key.public(), name: None, may: None };
        FleetKeys {
            commanders: keys.iter().map(commander).collect(),
            unrevoked_lists: keys.iter().chain(unrevoked).map(|key| key.public()).collect(),
            ..FleetKeys::default()
        }
    }

    fn follow(folder: &tempfile::TempDir) -> (FollowLost, LostView) {
        let incoming = Incoming::open(folder.path().into()).unwrap();
        FollowLost::new(counting(&[&key()], &[]).unchanging(), PEPPER, incoming).unwrap()
    }

    fn lost(view: &LostView) -> Vec<u8> {
        view.borrow().iter().map(|card| card.as_bytes()[0]).collect()
    }

    #[tokio::test]
    async fn only_a_newer_list_of_the_fleet_counts_and_it_outlives_the_box() {
        let folder = tempfile::tempdir().unwrap();
        let (mut following, view) = follow(&folder);
        assert!(lost(&view).is_empty());
        let signed = |list: &LostCards| list.encode(&key()).unwrap();
        following.arrived(&signed(&list(2, &[1, 2]))).await;
        assert_eq!(lost(&view), [1, 2]);
        let other_pepper = LostCards { pepper: PepperCheck::from_bytes([6; 16]), ..list(9, &[]) };
        for (what, bytes) in [
            ("older", signed(&list(1, &[]))),
            ("another of the same serial", signed(&list(2, &[1]))),
            ("forged", list(9, &[]).encode(&SigningKey::from_seed(&[8; 32])).unwrap()),
            ("of another pepper", signed(&other_pepper)),
            ("cleared", vec![]),
            ("nonsense", vec![1, 2, 3]),
        ] {
            following.arrived(&bytes).await;
            assert_eq!(lost(&view), [1, 2], "{what}");
        }
        drop(following);
        let (mut following, view) = follow(&folder);
        assert_eq!(lost(&view), [1, 2], "after a start");
        following.arrived(&signed(&list(1, &[]))).await;
        assert_eq!(lost(&view), [1, 2], "an older one after a start");
        following.arrived(&signed(&list(3, &[2]))).await;
        assert_eq!(lost(&view), [2], "a found card opens doors again");
    }

    #[tokio::test]
    async fn a_list_signed_anew_with_the_next_key_is_taken_while_both_keys_are_known_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let next = SigningKey::from_seed(&[9; 32]);
        let known = |keys: &[&SigningKey]| {
            FollowLost::new(counting(keys, &[]).unchanging(), PEPPER, Incoming::open(folder.path().into()).unwrap())
                .unwrap()
        };
        let (mut following, _) = known(&[&key()]);
        following.arrived(&list(4, &[1]).encode(&key()).unwrap()).await;
        following.arrived(&list(5, &[1]).encode(&next).unwrap()).await;
        assert_eq!(*following.serial().borrow(), Some(4), "the box does not know the key yet");
        drop(following);
        let (mut following, view) = known(&[&key(), &next]);
        following.arrived(&list(1, &[]).encode(&next).unwrap()).await;
        assert_eq!(*following.serial().borrow(), Some(4), "a list that begins at 1 again is older");
        following.arrived(&list(5, &[1]).encode(&next).unwrap()).await;
        assert_eq!((lost(&view), *following.serial().borrow()), (vec![1], Some(5)));
        drop(following);
        let (following, view) = known(&[&next]);
        assert_eq!(
            (lost(&view), *following.serial().borrow()),
            (vec![1], Some(5)),
            "the key before is not needed any more"
        );
    }

    #[tokio::test]
    async fn a_list_that_came_before_the_document_with_its_key_counts_once_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let next = SigningKey::from_seed(&[9; 32]);
        let (tell, keys) = watch::channel(Arc::new(counting(&[&key()], &[])));
        let incoming = Incoming::open(folder.path().into()).unwrap();
        let (mut following, view) = FollowLost::new(keys, PEPPER, incoming).unwrap();
        let (arrive, arrivals) = mpsc::channel(1);
        following.arrived(&list(5, &[1]).encode(&next).unwrap()).await;
        assert!(lost(&view).is_empty());
        let (mut told, mut serial) = (view.clone(), following.serial());
        let mut running = JoinSet::new();
        running.spawn(following.run(arrivals));
        tell.send_replace(Arc::new(counting(&[&next], &[&key()])));
        tokio::time::timeout(std::time::Duration::from_secs(30), told.changed()).await.unwrap().unwrap();
        assert_eq!((lost(&view), *serial.borrow_and_update()), (vec![1], Some(5)));
        drop(arrive);
        running.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_list_on_disk_outlives_the_time_of_its_key_but_not_its_revocation() {
        let folder = tempfile::tempdir().unwrap();
        let next = SigningKey::from_seed(&[9; 32]);
        let (mut following, _) = follow(&folder);
        following.arrived(&list(2, &[1]).encode(&key()).unwrap()).await;
        drop(following);
        for (unrevoked, expected) in [(&[&key()][..], vec![1]), (&[][..], vec![])] {
            let incoming = Incoming::open(folder.path().into()).unwrap();
            let keys = counting(&[&next], unrevoked).unchanging();
            let (mut following, view) = FollowLost::new(keys, PEPPER, incoming).unwrap();
            following.arrived(&list(3, &[9]).encode(&key()).unwrap()).await;
            assert_eq!(lost(&view), expected, "what comes now does not count");
        }
    }

    #[tokio::test]
    async fn a_list_that_the_disk_damaged_gives_way_to_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut following, _) = follow(&folder);
        following.arrived(&list(2, &[1]).encode(&key()).unwrap()).await;
        drop(following);
        let path = folder.path().join("lost-cards.cose");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (mut following, view) = follow(&folder);
        assert!(lost(&view).is_empty());
        following.arrived(&list(2, &[1]).encode(&key()).unwrap()).await;
        assert_eq!(lost(&view), [1]);
    }
}
