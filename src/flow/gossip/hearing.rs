//! What the other boxes of the exam tell: who may tell, and how much of it counts. No I/O.
//!
//! A page counts if a box of the exam signed it, the topic says the same, it is not from the future and it is later than the page before. What
//! a box claims only refers a student, and a box that claims more than its door can have let in is not believed in anything. Each box is
//! bounded by itself, so none can make this one deaf to the others.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    domain::{
        AdmissionPseudonym, CardPseudonym, DeviceId, Exam, ExamId, MonoTime, OtherRoom, Peer, PeerKey, Peers, RoomId,
        StudentId, Timestamp,
    },
    wire::{
        admitted::{AdmittedError, AdmittedPage, AdmittedRow, ROWS},
        keys::PublicKey,
    },
};

/// How far ahead of this box's clock a page may be: two clocks that are both kept by a time server differ by less than a second.
const AHEAD: Duration = Duration::from_secs(300);

/// Admissions beyond the pace of a door: those before the doors open, and by several proctors at once.
const AT_ONCE: i64 = 60;

/// Students that a box may let in beyond those of the roster that this box knows of: a quarter, and as many as move rooms in one edition.
const MOVED: u32 = 20;

/// Pages of one box a second, on average: it sends one for each admission.
const PACE: f64 = 5.0;

/// Why a page does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No box of this exam, by the roster in force.
    #[error(
        "it is no box of this exam by the roster in force; if it is new, push the next version of the roster to all its boxes"
    )]
    NotAPeer,
    /// It is none.
    #[error(transparent)]
    Page(#[from] AdmittedError),
    /// Made later than this box's clock says.
    #[error("it was made more than {AHEAD:?} later than it is here: see the clocks of both boxes")]
    FromTheFuture,
    /// Older than the page held, or another one of the same time.
    #[error("an older page came in the place of a newer one")]
    NotNewer,
    /// Too many messages.
    #[error("it sends more pages than admissions can need: look for a fault of the box, or a stolen key")]
    TooOften,
    /// Too many students.
    #[error(
        "it claims {claimed} admissions, and its door can have let in {most} at most: from now on nothing that it tells of this exam is \
         believed; examine the box"
    )]
    TooMany {
        /// How many it claims.
        claimed: u32,
        /// How many it can have been.
        most: u32,
    },
    /// It claimed too many before.
    #[error("it has claimed too many admissions before")]
    Disregarded,
}

/// Whom other boxes let in, as the lookup of cards follows it.
#[derive(Debug, Default)]
pub struct OtherRooms {
    /// Of which exam, with the key of its pseudonyms.
    of: Option<(ExamId, PeerKey)>,
    /// Of the other boxes.
    rooms: Vec<RoomId>,
    /// By which box, as its place in `rooms`, and when.
    admitted: HashMap<AdmissionPseudonym, Vec<(usize, Timestamp)>>,
}

impl OtherRooms {
    fn of(exam: &ExamId, peers: &Peers) -> Self {
        let rooms = peers.boxes.iter().map(|peer| peer.room.clone()).collect();
        Self { of: Some((exam.clone(), peers.key.clone())), rooms, admitted: HashMap::new() }
    }

    /// Where a student of `exam` was let in first, by their number, if it is known here, or by any of the cards.
    #[must_use]
    pub fn find<'a>(
        &self,
        exam: &ExamId,
        student: Option<&StudentId>,
        cards: impl IntoIterator<Item = &'a CardPseudonym>,
    ) -> Option<OtherRoom> {
        let (_, key) = self.of.as_ref().filter(|(of, _)| of == exam)?;
        if self.admitted.is_empty() {
            return None;
        }
        let cards = cards.into_iter().map(|card| key.card(card));
        let named = student.map(|student| key.student(student)).into_iter().chain(cards);
        let (place, at) = named.filter_map(|who| self.admitted.get(&who)).flatten().min_by_key(|(_, at)| *at)?;
        Some(OtherRoom { room: self.rooms.get(*place)?.clone(), at: *at })
    }

    /// What one page of the first other box makes of it, whatever the time.
    #[cfg(test)]
    pub(crate) fn told(gathering: &super::Gathering, page: &[u8]) -> Self {
        let (mut hearing, mut view) = Hearing::new(gathering.exam.clone(), &gathering.peers, MonoTime::default());
        let now = Moment { mono: MonoTime::default(), wall: Timestamp::UNIX_EPOCH, is_trusted: false };
        let place = (&gathering.peers.boxes[0].device, 0);
        assert_eq!(hearing.take(place, page, now, &mut view), Ok(true));
        view
    }

    fn forget(&mut self, peer: usize, rows: &[AdmittedRow]) {
        for who in rows.iter().flat_map(|row| &row.who) {
            if let Some(places) = self.admitted.get_mut(who) {
                places.retain(|(place, _)| *place != peer);
                if places.is_empty() {
                    self.admitted.remove(who);
                }
            }
        }
    }

    fn add(&mut self, peer: usize, rows: &[AdmittedRow]) {
        for (at, row) in rows.iter().filter_map(|row| Some((row.at?, row))) {
            for who in &row.who {
                self.admitted.entry(*who).or_default().push((peer, at));
            }
        }
    }
}

/// One other box, and what it told.
#[derive(Debug)]
struct Heard {
    peer: Peer,
    key: PublicKey,
    pages: BTreeMap<u32, AdmittedPage>,
    /// Messages that it may send now, and since when that is so.
    budget: (f64, MonoTime),
    is_disregarded: bool,
}

impl Heard {
    /// Students that it can have let in at most, whenever.
    fn most(&self) -> u32 {
        self.peer.students.saturating_add(self.peer.students / 4).saturating_add(MOVED)
    }

    /// Messages that may come at once: all its pages, as to a box that connects, a few times over.
    fn burst(&self) -> f64 {
        f64::from(self.most()) / ROWS as f64 * 4.0 + 32.0
    }
}

/// The moment of a message, and whether the wall clock may be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) mono: MonoTime,
    pub(super) wall: Timestamp,
    pub(super) is_trusted: bool,
}

/// What the other boxes of one exam told.
#[derive(Debug)]
pub(super) struct Hearing {
    exam: Exam,
    heard: Vec<Heard>,
}

impl Hearing {
    /// Of nothing yet, with the view that the lookup is to follow.
    pub(super) fn new(exam: Exam, peers: &Peers, now: MonoTime) -> (Self, OtherRooms) {
        let view = OtherRooms::of(&exam.id, peers);
        let heard = peers.boxes.iter().filter_map(|peer| {
            // A bundle holds usable keys only.
            let key = PublicKey::from_bytes(&peer.signs_with).ok()?;
            let mut heard =
                Heard { peer: peer.clone(), key, pages: BTreeMap::new(), budget: (0.0, now), is_disregarded: false };
            heard.budget.0 = heard.burst();
            Some(heard)
        });
        (Self { heard: heard.collect(), exam }, view)
    }

    /// Takes the page that came for this place, and says whether it is to be kept; `false`: it is the one that is held.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn take(
        &mut self,
        (device, page): (&DeviceId, u32),
        bytes: &[u8],
        now: Moment,
        view: &mut OtherRooms,
    ) -> Result<bool, Refused> {
        let place = self.heard.iter().position(|heard| heard.peer.device == *device).ok_or(Refused::NotAPeer)?;
        let opens = self.exam.window.opens;
        let heard = &mut self.heard[place];
        if heard.is_disregarded {
            return Err(Refused::Disregarded);
        }
        let burst = heard.burst();
        let (left, since) = heard.budget;
        let left = (now.mono.since(since).as_secs_f64().mul_add(PACE, left)).min(burst);
        heard.budget = ((left - 1.0).max(0.0), now.mono);
        if left < 1.0 {
            return Err(Refused::TooOften);
        }
        let told = AdmittedPage::decode(bytes, (&self.exam.id, device, page), &heard.key)?;
        if now.is_trusted && told.made > now.wall + AHEAD {
            return Err(Refused::FromTheFuture);
        }
        match heard.pages.get(&page) {
            Some(held) if *held == told => return Ok(false),
            Some(held) if held.made >= told.made => return Err(Refused::NotNewer),
            Some(_) | None => {}
        }
        let (most, claimed) = (heard.most_at(opens, now), heard.claimed_with(&told));
        if claimed > most {
            let pages = std::mem::take(&mut heard.pages);
            heard.is_disregarded = true;
            pages.values().for_each(|page| view.forget(place, &page.rows));
            return Err(Refused::TooMany { claimed, most });
        }
        if let Some(before) = heard.pages.get(&page) {
            view.forget(place, &before.rows);
        }
        view.add(place, &told.rows);
        heard.pages.insert(page, told);
        Ok(true)
    }
}

impl Heard {
    /// Students that it can have let in by now: no more than sit there, and no more than walk through a door, one a second. A proctor who
    /// clicks as fast as that is as quick.
    fn most_at(&self, opens: Timestamp, now: Moment) -> u32 {
        let since = now.wall.duration_since(opens).as_secs().max(0);
        let walked = u32::try_from(since.saturating_add(AT_ONCE)).unwrap_or(u32::MAX);
        if now.is_trusted { self.most().min(walked) } else { self.most() }
    }

    /// How long its list is, with `told` in it: students that it let in, also those of whom that was taken back.
    fn claimed_with(&self, told: &AdmittedPage) -> u32 {
        let end = |page: &AdmittedPage| page.page as usize * ROWS + page.rows.len();
        let longest = self.pages.values().chain([told]).map(end).max().unwrap_or(0);
        u32::try_from(longest).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
