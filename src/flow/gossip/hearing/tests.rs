//! Pages of honest boxes, and of those that are not.

use super::*;
use crate::{
    domain::{ExamWindow, RosterVersion},
    wire::keys::SigningKey,
};

const OPENS: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(OPENS + second).unwrap()
}

fn exam() -> Exam {
    Exam {
        id: ExamId::new("MATH").unwrap(),
        title: String::new(),
        window: ExamWindow { opens: at(0), closes: at(3600) },
        version: RosterVersion(1),
    }
}

fn device(n: u8) -> DeviceId {
    DeviceId::new(format!("door-{n}")).unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn peers() -> Peers {
    let peer = |n: u8| Peer {
        device: device(n),
        room: RoomId::new(format!("R-{n}")).unwrap(),
        students: 100,
        signs_with: *key(n).public().as_bytes(),
    };
    Peers { key: PeerKey::from_bytes([3; 32]), boxes: vec![peer(2), peer(3)] }
}

fn student(n: u32) -> StudentId {
    StudentId::new(format!("N{n}")).unwrap()
}

/// Page `page` of box `n`, made at `made`: these students, let in at second 5.
fn page(n: u8, page: u32, made: i64, students: &[u32]) -> AdmittedPage {
    let row = |n: &u32| AdmittedRow { at: Some(at(5)), who: vec![peers().key.student(&student(*n))] };
    AdmittedPage { exam: exam().id, device: device(n), page, made: at(made), rows: students.iter().map(row).collect() }
}

struct Ear {
    hearing: Hearing,
    view: OtherRooms,
    now: Moment,
}

impl Ear {
    fn new() -> Self {
        let now = Moment { mono: MonoTime::default(), wall: at(600), is_trusted: true };
        let (hearing, view) = Hearing::new(exam(), &peers(), now.mono);
        Self { hearing, view, now }
    }

    fn hear(&mut self, page: &AdmittedPage, signer: u8) -> Result<bool, Refused> {
        self.hear_at((&page.device.clone(), page.page), &page.encode(&key(signer)))
    }

    fn hear_at(&mut self, place: (&DeviceId, u32), bytes: &[u8]) -> Result<bool, Refused> {
        self.hearing.take(place, bytes, self.now, &mut self.view)
    }

    fn room(&self, n: u32) -> Option<String> {
        self.view.find(&exam().id, Some(&student(n)), []).map(|found| found.room.to_string())
    }
}

#[test]
fn a_page_of_a_box_of_the_exam_counts_until_a_later_one_comes() {
    let mut ear = Ear::new();
    assert_eq!(ear.hear(&page(2, 0, 10, &[1, 2]), 2), Ok(true));
    assert_eq!((ear.room(1), ear.room(2), ear.room(3)), (Some("R-2".into()), Some("R-2".into()), None));
    assert_eq!(ear.hear(&page(2, 0, 10, &[1, 2]), 2), Ok(false), "the broker says it again");
    let mut later = page(2, 0, 11, &[1, 2, 3]);
    later.rows[0].at = None;
    assert_eq!(ear.hear(&later, 2), Ok(true));
    assert_eq!((ear.room(1), ear.room(2), ear.room(3)), (None, Some("R-2".into()), Some("R-2".into())), "taken back");
    assert_eq!(ear.hear(&page(3, 1, 9, &[3]), 3), Ok(true));
    assert_eq!(ear.room(3), Some("R-2".into()), "both of one moment: either will do");
    assert_eq!(ear.view.find(&ExamId::new("BIO").unwrap(), Some(&student(2)), []), None, "another exam is served");
}

#[test]
fn a_card_is_known_where_the_student_is_not() {
    let mut ear = Ear::new();
    let card = CardPseudonym::from_bytes([9; 32]);
    let mut told = page(2, 0, 10, &[1]);
    told.rows[0].who.push(peers().key.card(&card));
    ear.hear(&told, 2).unwrap();
    let found = ear.view.find(&exam().id, None, [&card]);
    assert_eq!(found, Some(OtherRoom { room: RoomId::new("R-2").unwrap(), at: at(5) }));
    assert_eq!(ear.view.find(&exam().id, None, [&CardPseudonym::from_bytes([8; 32])]), None);
}

#[test]
fn what_is_forged_replayed_foreign_or_from_the_future_is_refused_and_what_is_held_stays() {
    let mut ear = Ear::new();
    let good = page(2, 0, 10, &[1]);
    ear.hear(&good, 2).unwrap();
    let in_its_place = good.encode(&key(2));
    let other_exam = AdmittedPage { exam: ExamId::new("BIO").unwrap(), ..page(2, 0, 20, &[9]) };
    for (what, refused, error) in [
        ("another box's signature", ear.hear(&page(2, 0, 20, &[9]), 3), Refused::Page(AdmittedError::NotSigned)),
        ("a stranger", ear.hear(&page(4, 0, 20, &[9]), 4), Refused::NotAPeer),
        ("an older page", ear.hear(&page(2, 0, 9, &[9]), 2), Refused::NotNewer),
        ("another of the same time", ear.hear(&page(2, 0, 10, &[9]), 2), Refused::NotNewer),
        ("of another exam", ear.hear(&other_exam, 2), Refused::Page(AdmittedError::Misplaced)),
        ("under another's topic", ear.hear_at((&device(3), 0), &in_its_place), Refused::Page(AdmittedError::NotSigned)),
        ("as another page", ear.hear_at((&device(2), 1), &in_its_place), Refused::Page(AdmittedError::Misplaced)),
        ("from the future", ear.hear(&page(2, 0, 600 + 301, &[9]), 2), Refused::FromTheFuture),
        ("nonsense", ear.hear_at((&device(2), 0), b"nonsense"), Refused::Page(AdmittedError::NotSigned)),
    ] {
        assert_eq!(refused, Err(error), "{what}");
    }
    assert_eq!((ear.room(1), ear.room(9)), (Some("R-2".into()), None));
    ear.now.is_trusted = false;
    assert_eq!(ear.hear(&page(2, 0, 10_000, &[1]), 2), Ok(true), "a clock that is not believed judges nobody");
}

#[test]
fn a_box_that_claims_more_than_its_door_lets_in_is_not_believed_any_more_and_the_others_are() {
    let page_of = |n, number: u32, made| {
        let students: Vec<u32> = (0..32).map(|i| number * 32 + i).collect();
        page(n, number, made, &students)
    };
    // 100 students sit there: 145 are allowed for those who moved.
    let mut ear = Ear::new();
    ear.hear(&page(3, 0, 10, &[900]), 3).unwrap();
    for number in 0..4 {
        assert_eq!(ear.hear(&page_of(2, number, 20), 2), Ok(true));
    }
    assert_eq!(ear.room(40), Some("R-2".into()));
    assert_eq!(ear.hear(&page_of(2, 4, 20), 2), Err(Refused::TooMany { claimed: 160, most: 145 }));
    assert_eq!((ear.room(40), ear.room(900)), (None, Some("R-3".into())), "nothing of it counts any more");
    assert_eq!(ear.hear(&page(2, 0, 30, &[1]), 2), Err(Refused::Disregarded));

    // Ten seconds after the doors opened nobody has let in more than 70.
    let mut ear = Ear::new();
    ear.now.wall = at(10);
    for number in 0..2 {
        assert_eq!(ear.hear(&page_of(2, number, 20), 2), Ok(true));
    }
    assert_eq!(ear.hear(&page_of(2, 2, 20), 2), Err(Refused::TooMany { claimed: 96, most: 70 }));
    assert_eq!(ear.room(1), None);

    // Rows that were taken back are no way around it.
    let mut ear = Ear::new();
    let mut empty = page_of(2, 5, 20);
    empty.rows.iter_mut().for_each(|row| row.at = None);
    assert_eq!(ear.hear(&empty, 2), Err(Refused::TooMany { claimed: 192, most: 145 }));
}

#[test]
fn a_box_that_floods_is_heard_no_faster_than_it_may_send_and_the_others_are_heard() {
    let mut ear = Ear::new();
    let heard = (0..500).filter(|n| ear.hear(&page(2, 0, 10 + n % 50, &[1]), 2) != Err(Refused::TooOften)).count();
    // 145 students are five pages; four times over, and 32.
    assert_eq!(heard, 50);
    assert_eq!(ear.hear(&page(3, 0, 10, &[5]), 3), Ok(true));
    ear.now.mono = ear.now.mono.after(Duration::from_secs(1));
    assert_eq!(ear.hear(&page(2, 0, 100, &[7]), 2), Ok(true), "after a second it may speak again");
    assert_eq!(ear.room(7), Some("R-2".into()));
}
