//! Random lives of a door, held against a small reference model that keeps the whole history instead of a state.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{
    place::other_room,
    tables::{CLOSES, OPENS, door, enrolled, event, face, policy, tap},
    *,
};
use crate::domain::{CardProblem, ClockTrust, Continuity, DeviceId, History, QualityDefect, Timestamp, Whereabouts};

/// One thing that may happen, with times relative to the previous one.
#[derive(Clone, Debug)]
enum Happening {
    Tap {
        problem: Option<CardProblem>,
        admitted: bool,
        in_other_room: bool,
        failures: u32,
    },
    Removed,
    Face {
        age: u64,
        similarity: f32,
        liveness: f32,
        continuity: Continuity,
        dark: bool,
        yaw: f32,
    },
    /// One face for so many frames, 100 ms apart.
    Stare {
        frames: u32,
        similarity: f32,
        liveness: f32,
        continuity: Continuity,
    },
    Faces(u32),
    StoreAnswers {
        well: bool,
    },
    Fault(Fault),
    Recovered(Fault),
    /// The fleet drains the door, or resumes it.
    Service {
        drained: bool,
    },
    IdentityAsked,
    /// Let the earliest timer fire.
    Timer,
}

fn happening() -> impl Strategy<Value = Happening> {
    let fault = prop_oneof![Just(Fault::Reader), Just(Fault::Camera), Just(Fault::Vision), Just(Fault::Store)];
    let continuity =
        prop_oneof![8 => Just(Continuity::Same), 1 => Just(Continuity::Changed), 1 => Just(Continuity::First)];
    prop_oneof![
        3 => (prop_oneof![9 => Just(None), 1 => prop::sample::select(&CardProblem::ALL[..]).prop_map(Some)], prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop_oneof![9 => Just(0_u32), 1 => 0_u32..12])
            .prop_map(|(problem, admitted, in_other_room, failures)| Happening::Tap { problem, admitted, in_other_room, failures }),
        1 => Just(Happening::Removed),
        12 => (0_u64..400, prop_oneof![3 => 0.45_f32..1.0, 1 => -1.0_f32..0.6], prop_oneof![3 => 0.5_f32..1.0, 1 => 0.0_f32..0.7], continuity, prop::bool::weighted(0.1), prop::sample::select(vec![-20.0_f32, 0.0, 0.0, 20.0]))
            .prop_map(|(age, similarity, liveness, continuity, dark, yaw)| Happening::Face { age, similarity, liveness, continuity, dark, yaw }),
        3 => (3_u32..12, prop::sample::select(vec![0.1_f32, 0.4, 0.8]), prop::sample::select(vec![0.3_f32, 0.7, 0.9]), prop_oneof![Just(Continuity::Same), Just(Continuity::Changed)])
            .prop_map(|(frames, similarity, liveness, continuity)| Happening::Stare { frames, similarity, liveness, continuity }),
        1 => prop_oneof![Just(0_u32), Just(2)].prop_map(Happening::Faces),
        4 => prop::bool::weighted(0.9).prop_map(|well| Happening::StoreAnswers { well }),
        1 => fault.clone().prop_map(Happening::Fault),
        2 => fault.prop_map(Happening::Recovered),
        1 => prop::bool::weighted(0.3).prop_map(|drained| Happening::Service { drained }),
        1 => Just(Happening::IdentityAsked),
        2 => Just(Happening::Timer),
    ]
}

/// What the reference model remembers of one tap.
#[derive(Default)]
struct Remembered {
    tapped_at: MonoTime,
    may_look: bool,
    in_other_room: bool,
    window_since: MonoTime,
    /// Usable frames of the present face in the present window.
    frames: Vec<Usable>,
    /// The worst of the faces before it, in this window or an earlier one.
    before: Option<Shortfall>,
    /// Whether one of them had enough frames to be judged at all.
    judged_before: bool,
    /// What was asked, each with how many frames there were then.
    asked: Vec<(Hint, usize)>,
    /// Whether anything was, of whoever came last.
    challenged: bool,
    decision: Option<Decision>,
    answered_well: Option<bool>,
    shown: bool,
}

/// A frame that is evidence.
#[derive(Clone, Copy, Debug)]
struct Usable {
    at: MonoTime,
    similarity: f32,
    liveness: f32,
    yaw: f32,
}

impl Remembered {
    /// What the present face came to, if it was there for as long as an admission takes.
    fn fell_short(&self) -> Option<Shortfall> {
        let policy = policy();
        let [first, .., last] = self.frames.as_slice() else { return None };
        let (live, sure) = (last.liveness >= policy.thresholds.live, last.liveness >= policy.thresholds.sure);
        let short = match last.similarity {
            _ if !live => Some(Shortfall::NotLive),
            far if far < policy.thresholds.refer.get() => Some(Shortfall::Mismatch),
            near if near < policy.thresholds.admit.get() => Some(Shortfall::Borderline),
            // Whoever follows somebody who left a doubt has to answer it.
            _ if !sure || self.before >= Some(Shortfall::Unanswered) => Some(Shortfall::Unanswered),
            _ => None,
        };
        short.filter(|_| self.is_judged() && last.at.since(first.at) >= policy.min_look)
    }

    fn is_judged(&self) -> bool {
        self.frames.len() >= policy().min_frames as usize
    }

    /// The present face is gone.
    fn gone(&mut self) {
        self.before = self.before.max(self.fell_short());
        self.judged_before |= self.is_judged();
        self.frames.clear();
        self.asked.clear();
    }

    /// Whether the frames since each turn was asked hold that turn, seen from where the head was before the first.
    fn obeyed(&self) -> bool {
        self.asked.len() >= 2 && self.asked.iter().all(|&(asked, from)| self.turned(asked, from))
    }

    /// Whether a frame since the one numbered `from` shows the head turned as asked.
    fn turned(&self, asked: Hint, from: usize) -> bool {
        let Some(&(_, first)) = self.asked.first() else { return false };
        let before = &self.frames[..first];
        let straight = before.iter().map(|frame| frame.yaw).sum::<f32>() / before.len().max(1) as f32;
        let turn = if asked == Hint::TurnLeft { 1.0 } else { -1.0 };
        self.frames[from..].iter().any(|frame| (frame.yaw - straight) * turn > 14.9)
    }
}

struct World {
    session: Session,
    mono: MonoTime,
    clock: ClockTrust,
    wall: i64,
    timers: Vec<(MonoTime, WakeReason)>,
    taps: BTreeMap<EventId, Remembered>,
    looking: Option<EventId>,
    recording: Option<EventId>,
    drained: bool,
    next_event: u128,
}

impl World {
    fn now(&self) -> Now {
        Now { mono: self.mono, wall: Timestamp::from_second(self.wall).expect("in range"), clock: self.clock }
    }

    fn happen(&mut self, what: &Happening) -> Result<(), TestCaseError> {
        self.mono = self.mono.after(Duration::from_millis(40));
        let input = match *what {
            Happening::Tap { problem, admitted, in_other_room, failures } => {
                self.next_event += 1;
                let mut tapped = tap(self.next_event);
                tapped.other_room = in_other_room.then(other_room);
                let last_failed_at = (failures > 0).then(|| self.now().wall);
                tapped.history = History { failed_in_a_row: failures, last_failed_at, proven: None };
                let whereabouts = if admitted { Whereabouts::Inside } else { Whereabouts::Outside };
                tapped.lookup = Lookup::Enrolled(Enrolled { whereabouts, ..enrolled() });
                if let Some(problem) = problem {
                    tapped.credential = Err(problem);
                    tapped.lookup = Lookup::Unknown;
                }
                let may_look = problem.is_none()
                    && !admitted
                    && !in_other_room
                    && failures <= policy().free_failures
                    && self.clock != ClockTrust::Untrusted
                    && (OPENS..CLOSES).contains(&self.wall)
                    && self.session.faults.is_empty();
                let tapped_at = self.mono;
                if self.looking.is_none() && self.recording.is_none() && !self.drained {
                    let event = tapped.event;
                    self.taps.insert(
                        event,
                        Remembered {
                            tapped_at,
                            may_look,
                            in_other_room,
                            window_since: tapped_at,
                            ..Remembered::default()
                        },
                    );
                }
                Input::CardTapped(tapped)
            }
            Happening::Removed => Input::CardRemoved,
            Happening::Face { age, similarity, liveness, continuity, dark, yaw } => {
                let captured_at =
                    MonoTime::from_start(self.mono.since_start().saturating_sub(Duration::from_millis(age)));
                let mut seen = face(0, similarity, liveness, continuity);
                seen.captured_at = captured_at;
                if let Some(face) = &mut seen.face {
                    face.pose.yaw = yaw;
                }
                if let (true, Some(face)) = (dark, &mut seen.face) {
                    face.defect = Some(QualityDefect::TooDark);
                }
                if let Some(look) = self.looking.and_then(|event| self.taps.get_mut(&event))
                    && captured_at >= look.window_since
                {
                    if continuity != Continuity::Same {
                        look.gone();
                    }
                    if !dark {
                        look.frames.push(Usable { at: captured_at, similarity, liveness, yaw });
                    }
                }
                Input::FaceObserved(seen)
            }
            Happening::Stare { frames, similarity, liveness, continuity } => {
                for frame in 0..frames {
                    self.mono = self.mono.after(Duration::from_millis(60));
                    let continuity = if frame == 0 { continuity } else { Continuity::Same };
                    self.happen(&Happening::Face { age: 0, similarity, liveness, continuity, dark: false, yaw: 0.0 })?;
                }
                return Ok(());
            }
            Happening::Faces(faces) => Input::FaceObserved(Observation { captured_at: self.mono, faces, face: None }),
            Happening::StoreAnswers { well } => {
                let Some(event) = self.recording.take() else { return Ok(()) };
                self.taps.get_mut(&event).expect("was recorded").answered_well = Some(well);
                if well { Input::Recorded { event } } else { Input::RecordFailed { event } }
            }
            Happening::Fault(fault) => Input::EdgeFault(fault),
            Happening::Recovered(fault) => Input::EdgeRecovered(fault),
            Happening::Service { drained } => {
                self.drained = drained;
                if drained { Input::Drained } else { Input::Resumed }
            }
            Happening::IdentityAsked => {
                let device = DeviceId::new("door-1").expect("valid");
                Input::IdentityAsked { device, lasts: Duration::from_secs(15) }
            }
            Happening::Timer => {
                let Some(first) = (0..self.timers.len()).min_by_key(|&i| self.timers[i].0) else { return Ok(()) };
                let (at, reason) = self.timers.swap_remove(first);
                self.mono = self.mono.max(at);
                if let WakeReason::RecordOverdue { event } = reason
                    && self.recording == Some(event)
                {
                    self.recording = None;
                    self.taps.get_mut(&event).expect("was recorded").answered_well = Some(false);
                }
                Input::TimerFired(reason)
            }
        };
        let outputs = self.session.step(self.now(), input);
        outputs.into_iter().try_for_each(|output| self.check(output))
    }

    fn check(&mut self, output: Output) -> Result<(), TestCaseError> {
        match output {
            Output::StartCapture { since, .. } => {
                let (&event, look) = self.taps.iter_mut().next_back().expect("a tap came first");
                prop_assert!(look.may_look, "looked although the tap was to be refused");
                prop_assert!(since >= look.tapped_at, "frames from before the tap were asked for");
                look.gone();
                look.window_since = since;
                self.looking = Some(event);
            }
            Output::StopCapture => self.looking = None,
            Output::Record(recorded) => {
                let EventKind::Verification(verification) = recorded.kind else { panic!("{recorded:?}") };
                let remembered = self.taps.get_mut(&recorded.id).expect("every record has a tap");
                prop_assert!(remembered.decision.is_none(), "two decisions for one tap");
                if verification.decision == Decision::Admit {
                    let policy = policy();
                    let before = remembered.before;
                    prop_assert_eq!(verification.measured.worst, before);
                    prop_assert!(before < Some(Shortfall::Mismatch), "a face washed {before:?} away");
                    prop_assert!(
                        before < Some(Shortfall::Unanswered) || !remembered.asked.is_empty(),
                        "doubt unanswered"
                    );
                    let frames = &remembered.frames;
                    prop_assert!(remembered.may_look);
                    prop_assert!(frames.len() >= policy.min_frames as usize, "{} frames", frames.len());
                    let (first, last) = (frames[0], frames[frames.len() - 1]);
                    prop_assert!(last.similarity >= policy.thresholds.admit.get(), "{last:?}");
                    let sure = last.liveness >= policy.thresholds.sure && last.at.since(first.at) >= policy.min_look;
                    let obeyed = last.liveness >= policy.thresholds.live && remembered.obeyed();
                    let believed = if remembered.asked.is_empty() { sure } else { obeyed };
                    prop_assert!(believed, "{last:?} since {first:?}, asked {:?}", remembered.asked);
                }
                if verification.decision != Decision::Admit && remembered.may_look {
                    let asked = remembered.challenged.then_some(Shortfall::Unanswered);
                    let worst = remembered.before.max(remembered.fell_short()).max(asked);
                    prop_assert_eq!(verification.measured.worst, worst);
                    prop_assert!(worst.is_none() || verification.is_failed_match(), "{worst:?} was hidden");
                    let judged = remembered.judged_before || remembered.is_judged() || remembered.challenged;
                    prop_assert!(judged || !verification.is_failed_match(), "counted for a face that only passed by");
                }
                let already = verification.decision == Decision::Refer(Reason::AlreadyAdmitted);
                prop_assert_eq!(verification.other_room.is_some(), already && remembered.in_other_room);
                remembered.decision = Some(verification.decision);
                self.recording = Some(recorded.id);
            }
            Output::Show(Answer::Decided { event, decision, name, seat }) => {
                let remembered = self.taps.get_mut(&event).expect("every answer has a tap");
                prop_assert!(!remembered.shown, "shown twice");
                remembered.shown = true;
                match remembered.answered_well {
                    Some(true) => prop_assert_eq!(Some(decision), remembered.decision),
                    Some(false) => prop_assert_eq!(decision, Decision::Refer(Reason::StorageFault)),
                    None => prop_assert!(false, "shown before the store answered"),
                }
                let is_named = name.is_some() || seat.is_some();
                prop_assert!(!is_named || decision == Decision::Admit, "named without admission");
            }
            Output::WakeAt(at, reason) => self.timers.push((at, reason)),
            Output::Guide(Some(hint @ (Hint::TurnLeft | Hint::TurnRight))) => {
                let event = self.looking.expect("only a look is challenged");
                let look = self.taps.get_mut(&event).expect("it has a tap");
                // After a poor frame it is asked again.
                if look.asked.last().is_none_or(|&(asked, from)| !look.turned(asked, from)) {
                    look.asked.pop();
                }
                look.asked.push((hint, look.frames.len()));
                look.challenged = true;
            }
            Output::Show(
                Answer::Idle
                | Answer::Unwell(_)
                | Answer::Drained
                | Answer::Identified { .. }
                | Answer::Looking { .. }
                | Answer::SignIn { .. },
            )
            | Output::Guide(_)
            | Output::Alarm(_) => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: Some(Box::new(prop::test_runner::FileFailurePersistence::WithSource("regressions"))), ..ProptestConfig::default() })]

    #[test]
    fn no_life_of_a_door_breaks_the_rules(
        clock in prop_oneof![8 => Just(ClockTrust::Synchronised), 1 => Just(ClockTrust::Holdover), 1 => Just(ClockTrust::Untrusted)],
        wall in prop_oneof![8 => Just(OPENS + 60), 1 => Just(OPENS - 1), 1 => Just(CLOSES)],
        life in prop::collection::vec(happening(), 1..120),
    ) {
        let mut world = World {
            session: Session::new(policy(), door()),
            mono: MonoTime::from_start(Duration::from_secs(100)),
            clock, wall,
            timers: Vec::new(), taps: BTreeMap::new(), looking: None, recording: None, drained: false, next_event: 0,
        };
        for happening in &life {
            world.happen(happening)?;
        }
        // Left alone, with a store that answers, every session ends: one decision, shown, for every tap that began one.
        for _ in 0..40 + world.timers.len() {
            world.happen(&Happening::StoreAnswers { well: true })?;
            world.happen(&Happening::Timer)?;
        }
        prop_assert!(matches!(world.session.state, State::Idle), "{:?}", world.session.state);
        for (event, remembered) in &world.taps {
            prop_assert!(remembered.decision.is_some() && remembered.shown, "{event} never ended");
        }
    }

    #[test]
    fn honest_students_are_admitted(similarity in 0.5_f32..1.0, liveness in 0.8_f32..1.0) {
        let mut session = Session::new(policy(), door());
        let _ = session.step(super::tables::now(0), Input::CardTapped(tap(1)));
        let decisions: Vec<_> = (1..=19_u64)
            .flat_map(|n| session.step(super::tables::now(n * 40), Input::FaceObserved(face(n * 40, similarity, liveness, Continuity::Same))))
            .filter(|output| {
                let Output::Record(event) = output else { return false };
                let EventKind::Verification(verification) = &event.kind else { return false };
                verification.decision == Decision::Admit
            })
            .collect();
        prop_assert_eq!(decisions.len(), 1, "{:?}", event(1));
    }
}
