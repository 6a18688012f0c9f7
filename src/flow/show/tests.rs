//! The light against a list of what is shown.

use std::{
    sync::mpsc::{Sender, channel},
    time::Duration,
};

use super::*;
use crate::{
    domain::{
        ArtifactId, CardPseudonym, ClockTrust, Continuity, Credential, CredentialProfile, Cue, DeviceId, Exam, ExamId,
        ExamWindow, FaceSeen, Hint, History, Invitation, MonoTime, Observation, Pose, ProctorId, Reason, RoomId,
        RosterEntry, RosterVersion, SignInCode, Similarity, Student, StudentId, Timestamp, Whereabouts,
    },
    edge::{light::LightError, screen::Appearance},
    session::{
        Door, Enrolled, Fault, Input, Lookup, Now, Output, Policy, Session, Tap, TemplateStock, Thresholds, WakeReason,
    },
};

struct Watched(Sender<Pattern>);

impl Light for Watched {
    fn show(&mut self, pattern: Pattern) -> Result<(), LightError> {
        self.0.send(pattern).expect("somebody watches");
        Ok(())
    }
}

fn decided(event: u128, decision: Decision) -> (Answer, Option<Hint>) {
    (Answer::Decided { event: EventId(uuid::Uuid::from_u128(event)), decision, name: None, seat: None }, None)
}

/// What the light is told when `shown` is shown one after the other.
fn lit(shown: impl IntoIterator<Item = (Answer, Option<Hint>)>) -> Vec<Pattern> {
    let (sender, receiver) = watch::channel(Shown::new(Answer::Idle, MonoTime::default()));
    let (light, lit) = channel();
    let script = async move {
        for (answer, hint) in shown {
            // Once for the light to see what was there, once for it to see this.
            tokio::task::yield_now().await;
            sender.send_replace(Shown { hint, ..Shown::new(answer, MonoTime::default()) });
            tokio::task::yield_now().await;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { tokio::join!(show(receiver, Watched(light)), script) });
    lit.iter().collect()
}

#[test]
fn every_answer_has_its_pattern() {
    let cases = [
        ((Answer::Unwell(Reason::CameraFault), None), Pattern::Fault),
        ((Answer::Drained, None), Pattern::Drained),
        ((Answer::Identified { device: DeviceId::new("door-1").expect("valid") }, None), Pattern::Identify),
        ((Answer::Looking { attempt: 1, of: 3 }, None), Pattern::Looking),
        (decided(1, Decision::Admit), Pattern::Admit),
        (decided(1, Decision::Deny(Reason::TooEarly)), Pattern::Deny),
        (decided(1, Decision::Refer(Reason::NoFace)), Pattern::Refer),
    ];
    for (shown, pattern) in cases {
        assert_eq!(lit([shown]), [Pattern::Idle, pattern]);
    }
}

#[test]
fn hints_and_attempts_do_not_disturb_the_rhythm_and_the_next_student_starts_it_anew() {
    let looking = |attempt, hint| (Answer::Looking { attempt, of: 3 }, hint);
    let lit = lit([
        looking(1, None),
        looking(1, Some(Hint::ComeCloser)),
        looking(1, None),
        looking(2, None),
        decided(1, Decision::Deny(Reason::FaceMismatch)),
        decided(2, Decision::Deny(Reason::CardUnknown)),
        (Answer::Idle, None),
    ]);
    assert_eq!(lit, [Pattern::Idle, Pattern::Looking, Pattern::Deny, Pattern::Deny, Pattern::Idle]);
}

/// A life of the door that sees everything; what its session says, as the light and the screen get it.
fn a_whole_life() -> Vec<Shown> {
    let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("in range");
    let exam = Exam {
        id: ExamId::new("MATH-120").expect("valid"),
        title: "Linear Algebra".into(),
        window: ExamWindow { opens: at(0), closes: at(3600) },
        version: RosterVersion(1),
    };
    let room = RoomId::new("S207").expect("valid");
    let policy = Policy::with(Thresholds {
        artifact: ArtifactId::from_bytes([1; 32]),
        admit: Similarity::new(0.5),
        refer: Similarity::new(0.3),
        live: 0.6,
        sure: 0.8,
    });
    let enrolled = Enrolled {
        entry: RosterEntry::new(
            Student::new(StudentId::new("N1").expect("valid"), "Ada"),
            CardPseudonym::from_bytes([9; 32]),
            room.clone(),
        ),
        templates: TemplateStock::Usable,
        whereabouts: Whereabouts::default(),
    };
    let invitation = Invitation { proctor: ProctorId::new("okafor").expect("valid"), code: SignInCode::from_random(7) };
    let event = |n| EventId(uuid::Uuid::from_u128(n));
    let credential = Ok(Credential { pseudonym: CardPseudonym::from_bytes([9; 32]), profile: CredentialProfile::Uid });
    let tap = |n, lookup| {
        Input::CardTapped(Tap {
            event: event(n),
            credential: credential.clone(),
            took: None,
            lookup,
            history: History::default(),
            other_room: None,
        })
    };
    let mono = |millis| MonoTime::from_start(Duration::from_millis(millis));
    let seen = |millis, similarity, faces| {
        Input::FaceObserved(Observation {
            captured_at: mono(millis),
            faces,
            face: (faces == 1).then_some(FaceSeen {
                eye_distance: 70.0,
                pose: Pose::default(),
                defect: None,
                liveness: 0.9,
                cue: Cue::default(),
                similarity: Similarity::new(similarity),
                continuity: Continuity::Same,
            }),
        })
    };
    let mut session = Session::new(policy, Door { room, exam: Some(exam) });
    let mut shown = vec![Shown::new(Answer::Idle, mono(0))];
    let mut inputs = vec![
        tap(1, Lookup::Enrolled(enrolled.clone())),
        seen(150, 0.9, 0),
        seen(250, 0.9, 2),
        seen(350, 0.9, 1),
        Input::TimerFired(WakeReason::AttemptOver { event: event(1), attempt: 1 }),
    ];
    // Frames and time enough to be sure.
    inputs.extend((6..18).map(|n| seen(100 * n, 0.9, 1)));
    inputs.extend([
        Input::Recorded { event: event(1) },
        tap(2, Lookup::Unknown),
        Input::Recorded { event: event(2) },
        tap(3, Lookup::Unavailable),
        Input::RecordFailed { event: event(3) },
        Input::EdgeFault(Fault::Camera),
        Input::TimerFired(WakeReason::ShownLongEnough { event: event(3) }),
        Input::EdgeRecovered(Fault::Camera),
        tap(4, Lookup::Proctor(invitation)),
    ]);
    for (n, input) in inputs.into_iter().enumerate() {
        let now = Now { mono: mono(100 * (n as u64 + 1)), wall: at(60), clock: ClockTrust::Synchronised };
        for output in session.step(now, input) {
            match output {
                Output::Show(answer) => shown.push(Shown::new(answer, now.mono)),
                Output::Guide(hint) => shown.push(Shown { hint, ..shown.last().expect("not empty").clone() }),
                Output::StartCapture { .. }
                | Output::StopCapture
                | Output::Record(_)
                | Output::Alarm(_)
                | Output::WakeAt(..) => {}
            }
        }
    }
    shown
}

#[test]
fn light_and_screen_agree_through_a_whole_life() {
    let shown = a_whole_life();
    let agreed = [
        (Appearance::Idle, Pattern::Idle),
        (Appearance::SignIn, Pattern::Idle),
        (Appearance::Looking, Pattern::Looking),
        (Appearance::Admitted, Pattern::Admit),
        (Appearance::Denied, Pattern::Deny),
        (Appearance::Referred, Pattern::Refer),
        (Appearance::Unwell, Pattern::Fault),
    ];
    let together: Vec<_> =
        shown.iter().map(|shown| (Appearance::of(&shown.answer), pattern_of(&shown.answer))).collect();
    assert!(together.iter().all(|pair| agreed.contains(pair)), "{together:?}");
    assert!(agreed.iter().all(|pair| together.contains(pair)), "the life saw everything: {together:?}");
    // What the light was told is what the screen was told, without the repetitions that hints and attempts are.
    let mut patterns: Vec<_> = together.iter().map(|(_, pattern)| *pattern).collect();
    patterns.dedup();
    assert_eq!(lit(shown.into_iter().skip(1).map(|shown| (shown.answer, shown.hint))), patterns);
}
