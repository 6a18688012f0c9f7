//! Whom this box let in, as the other boxes of the exam are told: pages of a list that is folded from the box's own events. No I/O.
//!
//! The list is the same after a restart: students stand in the order in which they were first let in. Who was turned away again keeps the
//! place, and it is told that they are not inside.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::{
    domain::{
        AdmissionPseudonym, Decision, DeviceId, Event, EventId, EventKind, ExamId, Passage, PeerKey, Ruling, Seq,
        StudentId, Timestamp, Undo, Whereabouts,
    },
    wire::admitted::{AdmittedPage, AdmittedRow, MAX_PAGES, MAX_PSEUDONYMS, ROWS},
};

/// One student with what happened to them here.
#[derive(Debug, Default)]
struct Own {
    passages: Vec<Passage>,
    /// The student's pseudonym first, then those of the cards used.
    who: Vec<AdmissionPseudonym>,
    /// Their place on the list; `None`: never let in.
    place: Option<usize>,
}

/// The list of one exam.
#[derive(Debug)]
pub(super) struct Telling {
    exam: ExamId,
    device: DeviceId,
    key: PeerKey,
    /// Up to where the events were read.
    pub(super) read: Seq,
    students: HashMap<StudentId, Own>,
    rulings: HashMap<EventId, StudentId>,
    rows: Vec<AdmittedRow>,
    untold: BTreeSet<u32>,
    /// The time of the page that was made last.
    made: Option<Timestamp>,
}

impl Telling {
    /// Of no event yet.
    pub(super) fn new(exam: ExamId, device: DeviceId, key: PeerKey) -> Self {
        Self {
            exam,
            device,
            key,
            read: Seq::default(),
            students: HashMap::new(),
            rulings: HashMap::new(),
            rows: Vec::new(),
            untold: BTreeSet::new(),
            made: None,
        }
    }

    /// Takes an event of the exam, or one of none, in the order of their recording.
    pub(super) fn take(&mut self, event: Event) {
        let Event { id, at, kind, clock: _, room: _ } = event;
        let (student, passage, card) = match kind {
            EventKind::Verification(said) => match (said.decision, said.student) {
                (Decision::Admit, Some(student)) => (student, Passage::AdmittedByBox, said.card),
                (Decision::Admit, None) | (Decision::Deny(_) | Decision::Refer(_), _) => return,
            },
            EventKind::Ruling(Ruling { student, card, verdict, .. }) => {
                self.rulings.insert(id, student.clone());
                (student, Passage::Ruled { ruling: id, verdict }, Some(card))
            }
            EventKind::Undo(Undo { ruling, .. }) => {
                let Some(student) = self.rulings.get(&ruling) else { return };
                (student.clone(), Passage::Undone { ruling }, None)
            }
            EventKind::Access(_) | EventKind::Commanded(_) => return,
        };
        let named = [Some(self.key.student(&student)), card.map(|card| self.key.card(&card))];
        let own = self.students.entry(student).or_default();
        own.passages.push(passage);
        for who in named.into_iter().flatten() {
            if own.who.len() < MAX_PSEUDONYMS && !own.who.contains(&who) {
                own.who.push(who);
            }
        }
        let is_inside = Whereabouts::after(own.passages.iter().copied()) == Whereabouts::Inside;
        let place = match own.place {
            Some(place) => place,
            None if is_inside && self.rows.len() < MAX_PAGES as usize * ROWS => {
                own.place = Some(self.rows.len());
                self.rows.push(AdmittedRow { at: None, who: Vec::new() });
                self.rows.len() - 1
            }
            None => return,
        };
        let since = self.rows[place].at.filter(|_| is_inside);
        let now = AdmittedRow { at: is_inside.then_some(since.unwrap_or(at)), who: own.who.clone() };
        if self.rows[place] != now {
            self.rows[place] = now;
            self.untold.insert(u32::try_from(place / ROWS).expect("the list is shorter"));
        }
    }

    /// All pages are to be told again, as to a broker that may have forgotten them.
    pub(super) fn tell_all(&mut self) {
        self.untold = (0..u32::try_from(self.rows.len().div_ceil(ROWS)).expect("the list is shorter")).collect();
    }

    /// The first page that is to be told, made at `now`; later than every page before, whatever the clock does.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<AdmittedPage> {
        let page = *self.untold.first()?;
        let made = self.made.map_or(now, |made| now.max(made + Duration::from_millis(1)));
        self.made = Some(made);
        let first = page as usize * ROWS;
        let rows = self.rows[first..self.rows.len().min(first + ROWS)].to_vec();
        Some(AdmittedPage { exam: self.exam.clone(), device: self.device.clone(), page, made, rows })
    }

    /// This page is on its way.
    pub(super) fn told(&mut self, page: u32) {
        self.untold.remove(&page);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{CardPseudonym, Ground, ProctorId, Reason, Verdict, sample::verified};

    const EXAM: &str = "MATH";

    fn telling() -> Telling {
        let device = DeviceId::new("door-1").unwrap();
        Telling::new(ExamId::new(EXAM).unwrap(), device, PeerKey::from_bytes([3; 32]))
    }

    fn ruling(number: u64, student: u8, verdict: Verdict) -> Event {
        let mut event = verified(number, EXAM, Some(student), Decision::Admit);
        event.kind = EventKind::Ruling(Ruling {
            exam: ExamId::new(EXAM).unwrap(),
            student: StudentId::new(format!("N{student}")).unwrap(),
            card: CardPseudonym::from_bytes([student; 32]),
            proctor: ProctorId::new("pat").unwrap(),
            verdict,
            ground: Ground::IdChecked,
            note: None,
            answer: None,
        });
        event
    }

    fn undo(number: u64, ruling: u64) -> Event {
        let mut event = verified(number, EXAM, None, Decision::Admit);
        event.kind = EventKind::Undo(Undo {
            exam: ExamId::new(EXAM).unwrap(),
            proctor: ProctorId::new("pat").unwrap(),
            ruling: EventId(Uuid::from_u128(u128::from(ruling))),
        });
        event
    }

    /// All pages that are to be told, as the students' last byte and whether they are inside since which event.
    fn told(telling: &mut Telling) -> Vec<(u32, Vec<Option<i64>>)> {
        let mut pages = Vec::new();
        while let Some(page) = telling.next(Timestamp::UNIX_EPOCH) {
            telling.told(page.page);
            let since = |row: &AdmittedRow| row.at.map(|at| at.as_second() - 1_800_000_000);
            pages.push((page.page, page.rows.iter().map(since).collect()));
        }
        pages
    }

    #[test]
    fn admissions_by_box_and_proctor_are_told_and_what_is_taken_back_too() {
        let mut telling = telling();
        for event in [
            verified(1, EXAM, Some(1), Decision::Admit),
            verified(2, EXAM, Some(2), Decision::Deny(Reason::FaceMismatch)),
            verified(3, EXAM, None, Decision::Deny(Reason::CardUnknown)),
            ruling(4, 2, Verdict::Admit),
            ruling(5, 3, Verdict::Refuse),
        ] {
            telling.take(event);
        }
        assert_eq!(told(&mut telling), [(0, vec![Some(1), Some(4)])], "nobody who was not let in is told of");
        assert_eq!(told(&mut telling), [], "once");
        telling.take(verified(6, EXAM, Some(2), Decision::Refer(Reason::AlreadyAdmitted)));
        assert_eq!(told(&mut telling), [], "nothing has changed");
        telling.take(undo(7, 4));
        assert_eq!(told(&mut telling), [(0, vec![Some(1), None])], "the ruling was undone");
        telling.take(ruling(8, 1, Verdict::Refuse));
        telling.take(ruling(9, 2, Verdict::AdmitByHand));
        assert_eq!(
            told(&mut telling),
            [(0, vec![None, Some(9)])],
            "turned away after all; let in again, in the old place"
        );
        telling.take(undo(10, 8));
        assert_eq!(told(&mut telling), [(0, vec![Some(10), Some(9)])]);
    }

    #[test]
    fn a_row_holds_the_student_and_the_cards_that_were_used() {
        let (mut telling, key) = (telling(), PeerKey::from_bytes([3; 32]));
        telling.take(verified(1, EXAM, Some(1), Decision::Admit));
        telling.take(verified(2, EXAM, Some(1), Decision::Admit));
        let page = telling.next(Timestamp::UNIX_EPOCH).unwrap();
        let (student, card) = (StudentId::new("N1").unwrap(), CardPseudonym::from_bytes([1; 32]));
        assert_eq!(page.rows[0].who, [key.student(&student), key.card(&card)]);
    }

    #[test]
    fn pages_grow_one_after_the_other_and_each_is_later_than_the_one_before() {
        let mut telling = telling();
        for n in 1..=40 {
            telling.take(verified(n.into(), EXAM, Some(n), Decision::Admit));
        }
        let now = Timestamp::UNIX_EPOCH;
        let (first, again) = (telling.next(now).unwrap(), telling.next(now).unwrap());
        assert!(first.page == 0 && first.rows.len() == ROWS && again.page == 0 && first.made < again.made);
        telling.told(0);
        let second = telling.next(now - Duration::from_secs(5)).unwrap();
        assert!(second.page == 1 && second.rows.len() == 8 && second.made > again.made, "a clock set back");
        telling.told(1);
        telling.take(verified(41, EXAM, Some(41), Decision::Admit));
        assert_eq!(told(&mut telling).len(), 1, "only the page that changed");
        telling.tell_all();
        assert_eq!(told(&mut telling).len(), 2);
        let mut anew = self::telling();
        for n in 1..=41 {
            anew.take(verified(n.into(), EXAM, Some(n), Decision::Admit));
        }
        assert_eq!(anew.rows, telling.rows, "after a restart the list is the same");
    }
}
