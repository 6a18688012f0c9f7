//! Which of the exams that a box holds it serves: the one whose doors are open. A pure function of what is held and of the time.
//!
//! It judges no student: whether doors are open when somebody taps is asked again then, by the session.

use super::{ClockTrust, Exam, ExamId, Timestamp};

/// The exam that a box serves, and how the doors of all that it holds stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The exam. While all doors are closed, the one that is nearer in time: its late or early students are told when its doors
    /// are open. `None` only when nothing is held.
    pub exam: Option<Exam>,
    /// How the doors stand.
    pub doors: Doors,
}

/// How the doors of the exams held stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doors {
    /// The doors of the exam served are open.
    Open {
        /// Other exams whose doors are open too, in order of name. They are not served.
        beside: Vec<ExamId>,
    },
    /// No doors are open.
    Closed {
        /// When doors open next; `None`: nothing that is held opens any more.
        next: Option<Timestamp>,
        /// When doors closed last; `None`: nothing that is held has closed yet.
        last: Option<Timestamp>,
    },
    /// The clock is not to be believed, so nobody knows. Students are referred.
    Unknown,
    /// No exam is held.
    NothingHeld,
}

impl Serving {
    /// Chooses among `held`, each exam once and in any order. `before` is the exam served so far.
    ///
    /// Where doors of several exams are open, the one that opened last is served, and of those the first by name. A clock that is not to
    /// be believed moves nothing: the exam before stays.
    ///
    /// ```
    /// use examgate::domain::{ClockTrust, Doors, Exam, ExamId, ExamWindow, RosterVersion, Serving};
    ///
    /// let exam = |name: &str, opens: &str, closes: &str| -> Result<Exam, Box<dyn std::error::Error>> {
    ///     let window = ExamWindow { opens: opens.parse()?, closes: closes.parse()? };
    ///     Ok(Exam { id: ExamId::new(name)?, title: name.into(), window, version: RosterVersion(1) })
    /// };
    /// let morning = exam("MATH", "2026-12-14T08:00:00Z", "2026-12-14T09:00:00Z")?;
    /// let noon = exam("BIO", "2026-12-14T12:00:00Z", "2026-12-14T13:00:00Z")?;
    /// let held = [morning, noon];
    ///
    /// let at = |time: &str| Serving::choose(&held, None, time.parse().expect("a time"), ClockTrust::Synchronised);
    /// assert_eq!(at("2026-12-14T08:30:00Z").doors, Doors::Open { beside: vec![] });
    /// let between = at("2026-12-14T11:30:00Z");
    /// assert_eq!(between.exam.map(|exam| exam.title).as_deref(), Some("BIO"), "it is nearer");
    /// let (next, last) = (Some(held[1].window.opens), Some(held[0].window.closes));
    /// assert_eq!(between.doors, Doors::Closed { next, last });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn choose(held: &[Exam], before: Option<&ExamId>, now: Timestamp, clock: ClockTrust) -> Self {
        if held.is_empty() {
            return Self { exam: None, doors: Doors::NothingHeld };
        }
        let by_clock = Self::by_clock(held, now);
        if clock.is_usable() {
            return by_clock;
        }
        let stays = held.iter().find(|exam| Some(&exam.id) == before).cloned();
        Self { exam: stays.or(by_clock.exam), doors: Doors::Unknown }
    }

    fn by_clock(held: &[Exam], now: Timestamp) -> Self {
        let is_open = |exam: &&Exam| exam.window.opens <= now && now < exam.window.closes;
        // `max_by_key` gives the last of equals, so names are compared the other way round.
        let open = held.iter().filter(is_open).max_by_key(|exam| (exam.window.opens, std::cmp::Reverse(&exam.id)));
        if let Some(open) = open {
            let others = held.iter().filter(is_open).filter(|exam| exam.id != open.id);
            let mut beside: Vec<_> = others.map(|exam| exam.id.clone()).collect();
            beside.sort();
            return Self { exam: Some(open.clone()), doors: Doors::Open { beside } };
        }
        let next = held.iter().filter(|exam| exam.window.opens > now);
        let next = next.min_by_key(|exam| (exam.window.opens, &exam.id));
        let last = held.iter().filter(|exam| exam.window.opens <= now);
        let last = last.max_by_key(|exam| (exam.window.closes, std::cmp::Reverse(&exam.id)));
        let nearer = match (next, last) {
            (Some(next), Some(last)) => {
                let (ahead, ago) = (next.window.opens.duration_since(now), now.duration_since(last.window.closes));
                Some(if ahead <= ago { next } else { last })
            }
            (next, last) => next.or(last),
        };
        let doors =
            Doors::Closed { next: next.map(|exam| exam.window.opens), last: last.map(|exam| exam.window.closes) };
        Self { exam: nearer.cloned(), doors }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{ExamWindow, RosterVersion};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn exam(name: &str, opens: i64, closes: i64) -> Exam {
        let window = ExamWindow { opens: at(opens), closes: at(closes) };
        Exam { id: ExamId::new(name).expect("valid"), title: String::new(), window, version: RosterVersion(1) }
    }

    fn served(serving: &Serving) -> Option<&str> {
        serving.exam.as_ref().map(|exam| exam.id.as_str())
    }

    #[test]
    fn a_day_with_three_exams() {
        let held = [exam("A", 100, 200), exam("B", 200, 300), exam("C", 500, 600)];
        let closed = |next: Option<i64>, last: Option<i64>| Doors::Closed { next: next.map(at), last: last.map(at) };
        let open = || Doors::Open { beside: Vec::new() };
        for (now, name, doors) in [
            (0, "A", closed(Some(100), None)),
            (100, "A", open()),
            (199, "A", open()),
            (200, "B", open()),
            (300, "B", closed(Some(500), Some(300))),
            (399, "B", closed(Some(500), Some(300))),
            (400, "C", closed(Some(500), Some(300))),
            (599, "C", open()),
            (600, "C", closed(None, Some(600))),
        ] {
            let serving = Serving::choose(&held, None, at(now), ClockTrust::Holdover);
            assert_eq!((served(&serving), &serving.doors), (Some(name), &doors), "at {now}");
        }
    }

    #[test]
    fn where_doors_overlap_the_one_that_opened_last_is_served_and_the_others_are_named() {
        let held = [exam("A", 100, 400), exam("C", 200, 300), exam("B", 200, 300)];
        let beside = |names: &[&str]| names.iter().map(|name| ExamId::new(*name).expect("valid")).collect();
        let serving = Serving::choose(&held, None, at(250), ClockTrust::Synchronised);
        assert_eq!((served(&serving), &serving.doors), (Some("B"), &Doors::Open { beside: beside(&["A", "C"]) }));
        let serving = Serving::choose(&held, None, at(350), ClockTrust::Synchronised);
        assert_eq!((served(&serving), &serving.doors), (Some("A"), &Doors::Open { beside: vec![] }));
    }

    #[test]
    fn a_clock_that_is_not_believed_moves_nothing() {
        let held = [exam("A", 100, 200), exam("B", 300, 400)];
        let (a, gone) = (ExamId::new("A").expect("valid"), ExamId::new("GONE").expect("valid"));
        for (before, name) in [(Some(&a), "A"), (Some(&gone), "B"), (None, "B")] {
            let serving = Serving::choose(&held, before, at(350), ClockTrust::Untrusted);
            assert_eq!((served(&serving), &serving.doors), (Some(name), &Doors::Unknown), "{before:?}");
        }
    }

    fn day() -> impl Strategy<Value = Vec<Exam>> {
        prop::collection::vec((0_i64..60, -3_i64..20), 0..7).prop_map(|windows| {
            let exams = windows.into_iter().enumerate();
            exams.map(|(n, (opens, long))| exam(&format!("E{n}"), opens, opens + long)).collect()
        })
    }

    fn trust() -> impl Strategy<Value = ClockTrust> {
        prop_oneof![Just(ClockTrust::Synchronised), Just(ClockTrust::Holdover), Just(ClockTrust::Untrusted)]
    }

    proptest! {
        #[test]
        fn what_is_served_is_held_and_nothing_only_where_nothing_is(
            held in day(), now in -5_i64..90, clock in trust(), before in 0_usize..8,
        ) {
            let before = held.get(before).map(|exam| exam.id.clone());
            let serving = Serving::choose(&held, before.as_ref(), at(now), clock);
            prop_assert_eq!(serving.exam.is_none(), held.is_empty());
            prop_assert!(serving.exam.iter().all(|exam| held.contains(exam)));
            prop_assert_eq!(serving.doors == Doors::NothingHeld, held.is_empty());
            prop_assert_eq!(serving.doors == Doors::Unknown, !held.is_empty() && clock == ClockTrust::Untrusted);
            if let (ClockTrust::Untrusted, Some(before)) = (clock, before) {
                prop_assert_eq!(serving.exam.map(|exam| exam.id), Some(before));
            }
        }

        #[test]
        fn doors_that_are_open_are_served_and_the_one_that_opened_last(held in day(), now in -5_i64..90) {
            let serving = Serving::choose(&held, None, at(now), ClockTrust::Synchronised);
            let is_open = |exam: &&Exam| exam.window.opens <= at(now) && at(now) < exam.window.closes;
            let open: Vec<_> = held.iter().filter(is_open).collect();
            if let Doors::Open { beside } = &serving.doors {
                let exam = serving.exam.as_ref().expect("doors are open");
                prop_assert!(open.contains(&exam) && beside.len() + 1 == open.len() && !beside.contains(&exam.id));
                prop_assert!(open.iter().all(|other| other.window.opens <= exam.window.opens));
                prop_assert!(beside.iter().all(|id| open.iter().any(|other| other.id == *id)));
            } else {
                prop_assert!(open.is_empty());
            }
        }

        #[test]
        fn between_exams_it_says_when_doors_open_next_and_closed_last(held in day(), now in -5_i64..90) {
            let serving = Serving::choose(&held, None, at(now), ClockTrust::Synchronised);
            if let Doors::Closed { next, last } = serving.doors {
                let opening = held.iter().map(|exam| exam.window.opens).filter(|opens| *opens > at(now));
                prop_assert_eq!(next, opening.min());
                prop_assert!(last.is_some() || held.iter().all(|exam| exam.window.opens > at(now)));
                prop_assert!(last.is_none_or(|last| last <= at(now)));
            }
        }

        #[test]
        fn the_order_does_not_matter_nor_what_was_served_before(
            (held, shuffled) in day().prop_flat_map(|held| (Just(held.clone()), Just(held).prop_shuffle())),
            now in -5_i64..90, before in 0_usize..8,
        ) {
            let before = held.get(before).map(|exam| exam.id.clone());
            let one = Serving::choose(&held, before.as_ref(), at(now), ClockTrust::Synchronised);
            prop_assert_eq!(one, Serving::choose(&shuffled, None, at(now), ClockTrust::Synchronised));
        }

        #[test]
        fn nothing_changes_but_when_doors_open_or_close_or_half_way_between(held in day(), now in -5_i64..90) {
            let choose = |now| Serving::choose(&held, None, at(now), ClockTrust::Synchronised);
            let (one, next) = (choose(now), choose(now + 1));
            let moves = held.iter().any(|exam| [exam.window.opens, exam.window.closes].contains(&at(now + 1)));
            if one.exam != next.exam && !moves {
                let closed = |serving: &Serving| matches!(serving.doors, Doors::Closed { next: Some(_), last: Some(_) });
                prop_assert!(closed(&one) && closed(&next));
            }
        }
    }
}
