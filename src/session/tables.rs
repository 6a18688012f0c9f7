//! Tables of cases: what each tap and each kind of look ends in.

use std::time::Duration;

use super::*;
use crate::domain::{
    ArtifactId, CardProblem, CardPseudonym, CardStanding, ClockTrust, Continuity, Credential, CredentialProfile, Cue,
    Exam, ExamId, ExamWindow, FaceSeen, History, Liveness, Pose, QualityDefect, RoomId, RosterEntry, RosterVersion,
    Similarity, Student, StudentId, Timestamp, Whereabouts,
};

pub(super) const OPENS: i64 = 1_800_000_000;
pub(super) const CLOSES: i64 = OPENS + 3600;

pub(super) fn policy() -> Policy {
    Policy::with(Thresholds {
        artifact: ArtifactId::from_bytes([1; 32]),
        admit: Similarity::new(0.5),
        refer: Similarity::new(0.3),
        live: 0.6,
        sure: 0.8,
    })
}

pub(super) fn door() -> Door {
    Door { room: RoomId::new("S207").expect("valid"), exam: Some(exam()) }
}

pub(super) fn exam() -> Exam {
    let at = |second| Timestamp::from_second(second).expect("in range");
    Exam {
        id: ExamId::new("MATH-120").expect("valid"),
        title: "Linear Algebra".into(),
        window: ExamWindow { opens: at(OPENS), closes: at(CLOSES) },
        version: RosterVersion(3),
    }
}

pub(super) fn now(millis: u64) -> Now {
    Now {
        mono: MonoTime::from_start(Duration::from_millis(millis)),
        wall: Timestamp::from_millisecond((OPENS + 60) * 1000 + i64::try_from(millis).expect("small"))
            .expect("in range"),
        clock: ClockTrust::Synchronised,
    }
}

pub(super) fn event(n: u128) -> EventId {
    EventId(uuid::Uuid::from_u128(n))
}

pub(super) fn enrolled() -> Enrolled {
    Enrolled {
        entry: RosterEntry::new(
            Student::new(StudentId::new("N1").expect("valid"), "Ada"),
            CardPseudonym::from_bytes([9; 32]),
            RoomId::new("S207").expect("valid"),
        ),
        templates: TemplateStock::Usable,
        whereabouts: Whereabouts::Outside,
    }
}

pub(super) fn tap(n: u128) -> Tap {
    Tap {
        event: event(n),
        credential: Ok(Credential { pseudonym: CardPseudonym::from_bytes([9; 32]), profile: CredentialProfile::Uid }),
        took: None,
        lookup: Lookup::Enrolled(enrolled()),
        history: History::default(),
        other_room: None,
    }
}

pub(super) fn face(millis: u64, similarity: f32, liveness: f32, continuity: Continuity) -> Observation {
    Observation {
        captured_at: MonoTime::from_start(Duration::from_millis(millis)),
        faces: 1,
        face: Some(FaceSeen {
            eye_distance: 70.0,
            pose: Pose::default(),
            defect: None,
            liveness,
            cue: Cue::Net,
            similarity: Similarity::new(similarity),
            continuity,
        }),
    }
}

pub(super) fn faces(millis: u64, faces: u32) -> Observation {
    Observation { captured_at: MonoTime::from_start(Duration::from_millis(millis)), faces, face: None }
}

pub(super) fn recorded(outputs: Outputs) -> Option<Verification> {
    outputs.into_iter().find_map(|output| {
        let Output::Record(event) = output else { return None };
        let EventKind::Verification(verification) = event.kind else { return None };
        Some(verification)
    })
}

/// Taps, shows the same observation every 100 ms, lets every timer fire; returns what was recorded.
fn play(session: &mut Session, first: Tap, mut see: impl FnMut(u64) -> Option<Observation>) -> Verification {
    let mut timers = Vec::new();
    let mut inputs = vec![(0, Input::CardTapped(first))];
    for step in 0..200_u64 {
        let millis = step * 100;
        timers.retain(|&(at, reason)| {
            let due = MonoTime::from_start(Duration::from_millis(millis)) >= at;
            if due {
                inputs.push((millis, Input::TimerFired(reason)));
            }
            !due
        });
        if step > 0 {
            inputs.extend(see(millis).map(|seen| (millis, Input::FaceObserved(seen))));
        }
        for (at, input) in inputs.drain(..) {
            let outputs = session.step(now(at), input);
            timers.extend(outputs.iter().filter_map(|output| {
                let Output::WakeAt(at, reason) = output else { return None };
                Some((*at, *reason))
            }));
            if let Some(verification) = recorded(outputs) {
                return verification;
            }
        }
    }
    panic!("no decision within 20 s");
}

#[test]
fn settled_at_the_tap() {
    let at_tap = |change: &dyn Fn(&mut Tap), now: Now| {
        let mut tapped = tap(1);
        change(&mut tapped);
        recorded(Session::new(policy(), door()).step(now, Input::CardTapped(tapped))).map(|v| v.decision)
    };
    let enrolled_with = |change: &dyn Fn(&mut Enrolled)| {
        let mut e = enrolled();
        change(&mut e);
        Lookup::Enrolled(e)
    };
    let deny = |reason| Some(Decision::Deny(reason));
    let refer = |reason| Some(Decision::Refer(reason));

    assert_eq!(at_tap(&|_| {}, now(0)), None, "a good tap is looked at");
    type Change<'a> = &'a dyn Fn(&mut Tap);
    let cases: [(Change<'_>, Option<Decision>); 12] = [
        (&|t| t.lookup = Lookup::Shared, refer(Reason::CardShared)),
        (&|t| t.credential = Err(CardProblem::Unreadable), refer(Reason::CardUnreadable)),
        (&|t| t.lookup = Lookup::Unknown, deny(Reason::CardUnknown)),
        (&|t| t.lookup = Lookup::Elsewhere, deny(Reason::NotOnRoster)),
        (&|t| t.lookup = Lookup::Unavailable, refer(Reason::StorageFault)),
        (&|t| t.lookup = enrolled_with(&|e| e.entry.card.standing = CardStanding::Revoked), deny(Reason::CardRevoked)),
        (
            &|t| t.lookup = enrolled_with(&|e| e.entry.room = RoomId::new("S208").expect("valid")),
            deny(Reason::WrongRoom),
        ),
        (&|t| t.lookup = enrolled_with(&|e| e.whereabouts = Whereabouts::Inside), refer(Reason::AlreadyAdmitted)),
        (&|t| t.lookup = enrolled_with(&|e| e.whereabouts = Whereabouts::TurnedAway), refer(Reason::TurnedAway)),
        (&|t| t.lookup = enrolled_with(&|e| e.templates = TemplateStock::None), refer(Reason::NoTemplate)),
        (&|t| t.lookup = enrolled_with(&|e| e.templates = TemplateStock::OtherSpace), refer(Reason::ModelMismatch)),
        (
            &|t| (t.history.failed_in_a_row, t.history.last_failed_at) = (10, Some(now(0).wall)),
            refer(Reason::LockedOut),
        ),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(at_tap(change, now(0)), expected, "case {index}");
    }

    let at = |second, clock| Now { wall: Timestamp::from_second(second).expect("in range"), clock, ..now(0) };
    let windows = [
        (at(OPENS - 1, ClockTrust::Synchronised), deny(Reason::TooEarly)),
        (at(OPENS, ClockTrust::Holdover), None),
        (at(CLOSES - 1, ClockTrust::Synchronised), None),
        (at(CLOSES, ClockTrust::Synchronised), deny(Reason::TooLate)),
        (at(OPENS, ClockTrust::Untrusted), refer(Reason::ClockUntrusted)),
    ];
    for (moment, expected) in windows {
        assert_eq!(at_tap(&|_| {}, moment), expected, "{moment:?}");
    }
}

#[test]
fn what_each_look_ends_in() {
    let dark = |millis| {
        let mut seen = face(millis, 0.9, 0.9, Continuity::Same);
        if let Some(face) = &mut seen.face {
            face.defect = Some(QualityDefect::TooDark);
        }
        seen
    };
    type See<'a> = &'a dyn Fn(u64) -> Option<Observation>;
    let cases: [(&str, See<'_>, Decision, u32); 8] = [
        ("the student", &|t| Some(face(t, 0.7, 0.9, Continuity::Same)), Decision::Admit, 1),
        ("somebody else", &|t| Some(face(t, 0.1, 0.9, Continuity::Same)), Decision::Deny(Reason::FaceMismatch), 1),
        ("borderline", &|t| Some(face(t, 0.4, 0.9, Continuity::Same)), Decision::Refer(Reason::FaceMismatch), 3),
        ("not live", &|t| Some(face(t, 0.9, 0.2, Continuity::Same)), Decision::Refer(Reason::SpoofSuspected), 1),
        ("nobody", &|t| Some(faces(t, 0)), Decision::Refer(Reason::NoFace), 3),
        ("no frames at all", &|_| None, Decision::Refer(Reason::NoFace), 3),
        ("two people", &|t| Some(faces(t, 2)), Decision::Refer(Reason::SeveralFaces), 3),
        ("dark", &|t| Some(dark(t)), Decision::Refer(Reason::PoorQuality(QualityDefect::TooDark)), 3),
    ];
    for (name, see, decision, attempts) in cases {
        let verification = play(&mut Session::new(policy(), door()), tap(1), see);
        assert_eq!((verification.decision, verification.measured.attempts), (decision, attempts), "{name}");
    }
}

/// Plays a student whom the passive evidence leaves unsure, and who turns as `yaw` says: (asked, time since) -> degrees.
fn challenged(policy: Policy, liveness: f32, yaw: impl Fn(Hint, u64) -> f32) -> (Verification, usize) {
    let mut session = Session::new(policy, door());
    let (mut asked, mut timers, mut count) = (None, Vec::new(), 0);
    for millis in (0..20_000).step_by(100) {
        let at = MonoTime::from_start(Duration::from_millis(millis));
        let mut inputs: Vec<_> =
            timers.extract_if(.., |(due, _)| *due <= at).map(|(_, reason)| Input::TimerFired(reason)).collect();
        let mut seen = face(millis, 0.9, liveness, Continuity::Same);
        if let (Some(face), Some((challenge, since))) = (&mut seen.face, asked) {
            face.pose.yaw = yaw(challenge, millis - since);
        }
        inputs.push(if millis == 0 { Input::CardTapped(tap(0b10)) } else { Input::FaceObserved(seen) });
        for input in inputs {
            let outputs = session.step(now(millis), input);
            for output in outputs.iter() {
                match output {
                    Output::WakeAt(due, reason) => timers.push((*due, *reason)),
                    Output::Guide(Some(challenge)) => (asked, count) = (Some((*challenge, millis)), count + 1),
                    Output::StartCapture { .. }
                    | Output::StopCapture
                    | Output::Guide(None)
                    | Output::Record(_)
                    | Output::Show(_)
                    | Output::Alarm(_) => {}
                }
            }
            if let Some(verification) = recorded(outputs) {
                return (verification, count);
            }
        }
    }
    panic!("no decision within 20 s");
}

#[test]
fn what_each_challenge_ends_in() {
    let obey = |asked: Hint, since: u64| match (asked, since) {
        (Hint::TurnLeft, 400..) => 25.0,
        (Hint::TurnRight, 400..) => -25.0,
        _ => 0.0,
    };
    let spoof = Decision::Refer(Reason::SpoofSuspected);
    let always = Policy { always_challenge: true, ..policy() };
    type Turns<'a> = &'a dyn Fn(Hint, u64) -> f32;
    let cases: [(&str, Policy, f32, Turns<'_>, Decision, usize); 5] = [
        ("obeys", policy(), 0.7, &obey, Decision::Admit, 4),
        ("obeys, though sure", always, 0.9, &obey, Decision::Admit, 4),
        ("does nothing", policy(), 0.7, &|_, _| 0.0, spoof, 1),
        ("turns the other way", policy(), 0.7, &|asked, since| -obey(asked, since), spoof, 1),
        ("is no face at all", policy(), 0.5, &obey, spoof, 0),
    ];
    for (name, policy, liveness, yaw, decision, asked) in cases {
        let (verification, count) = challenged(policy, liveness, yaw);
        assert_eq!((verification.decision, count), (decision, asked), "{name}");
        let by_challenge = matches!(verification.measured.liveness, Liveness::Scored { cue: Cue::Challenge, .. });
        assert_eq!(by_challenge, asked > 0, "{name}: the cue that decided");
    }
}

#[test]
fn whoever_steps_in_during_a_challenge_has_not_met_it() {
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(0b11)));
    let show = |session: &mut Session, millis, yaw, continuity| {
        let mut seen = face(millis, 0.9, 0.7, continuity);
        seen.face.as_mut().expect("has one").pose.yaw = yaw;
        recorded(session.step(now(millis), Input::FaceObserved(seen))).map(|v| v.decision)
    };
    for millis in (100..2500).step_by(100) {
        assert_eq!(show(&mut session, millis, 0.0, Continuity::Same), None);
    }
    let over = WakeReason::AttemptOver { event: event(0b11), attempt: 1 };
    let _ = session.step(now(2500), Input::TimerFired(over));
    for (millis, yaw) in
        [(2600, -20.0), (2700, -20.0), (2800, 0.0), (2900, 0.0), (3000, -20.0), (3100, -20.0), (3200, 0.0)]
    {
        assert_eq!(show(&mut session, millis, yaw, Continuity::Same), None);
    }
    assert_eq!(show(&mut session, 3300, 0.0, Continuity::Changed), Some(Decision::Refer(Reason::SpoofSuspected)));
}

#[test]
fn evidence_of_one_face_never_serves_another() {
    // Two good frames of the student, then somebody else's face who would need them to reach three.
    let verification = play(&mut Session::new(policy(), door()), tap(1), |t| match t {
        100 | 200 => Some(face(t, 0.8, 0.9, Continuity::Same)),
        300 => Some(face(t, 0.1, 0.9, Continuity::Changed)),
        _ => Some(face(t, 0.1, 0.9, Continuity::Same)),
    });
    assert_eq!(verification.decision, Decision::Deny(Reason::FaceMismatch));
}

#[test]
fn frames_from_before_the_tap_are_ignored() {
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(1000), Input::CardTapped(tap(1)));
    for _ in 0..10 {
        let outputs = session.step(now(1100), Input::FaceObserved(face(999, 0.9, 0.9, Continuity::Same)));
        assert_eq!(outputs, Outputs::default());
    }
}

#[test]
fn a_hint_is_given_once_and_taken_back() {
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(1)));
    let good = |t| Input::FaceObserved(face(t, 0.1, 0.9, Continuity::Same));
    let steps = [
        (Input::FaceObserved(faces(100, 0)), vec![Output::Guide(Some(Hint::LookAtCamera))]),
        (Input::FaceObserved(faces(200, 0)), vec![]),
        (Input::FaceObserved(faces(300, 2)), vec![Output::Guide(Some(Hint::OneAtATime))]),
        (good(400), vec![Output::Guide(None)]),
        (good(500), vec![]),
        (Input::CardTapped(tap(2)), vec![Output::Guide(Some(Hint::OneAtATime))]),
        (good(600), vec![Output::Guide(None)]),
    ];
    for (n, (input, expected)) in steps.into_iter().enumerate() {
        let outputs: Vec<_> = session.step(now(100 * (n as u64 + 1)), input).into_iter().collect();
        assert_eq!(outputs, expected, "step {n}");
    }
}

#[test]
fn the_answer_waits_for_the_record() {
    let mut session = Session::new(policy(), door());
    let outputs = session.step(now(0), Input::CardTapped(Tap { lookup: Lookup::Unknown, ..tap(1) }));
    assert!(!outputs.iter().any(|o| matches!(o, Output::Show(_))), "{outputs:?}");
    let outputs = session.step(now(5), Input::Recorded { event: event(2) });
    assert_eq!(outputs, Outputs::default(), "another event's record says nothing");
    let shown: Vec<_> = session.step(now(6), Input::Recorded { event: event(1) }).into_iter().collect();
    let answer =
        Answer::Decided { event: event(1), decision: Decision::Deny(Reason::CardUnknown), name: None, seat: None };
    assert_eq!(shown[0], Output::Show(answer));
}

#[test]
fn a_failed_or_overdue_record_refers_and_alarms() {
    for failure in
        [Input::RecordFailed { event: event(1) }, Input::TimerFired(WakeReason::RecordOverdue { event: event(1) })]
    {
        let mut session = Session::new(policy(), door());
        let _ = session.step(now(0), Input::CardTapped(tap(1)));
        for t in [100, 200, 300, 400, 800] {
            let _ = session.step(now(t), Input::FaceObserved(face(t, 0.9, 0.9, Continuity::Same)));
        }
        let outputs: Vec<_> = session.step(now(900), failure).into_iter().collect();
        let decision = Decision::Refer(Reason::StorageFault);
        assert_eq!(outputs[0], Output::Alarm(Reason::StorageFault));
        assert_eq!(outputs[1], Output::Show(Answer::Decided { event: event(1), decision, name: None, seat: None }));
        // It may reach the disk all the same, too late. What was shown stands; the student's next tap is the proctor's too.
        assert_eq!(session.step(now(3000), Input::Recorded { event: event(1) }), Outputs::default());
        let again =
            Tap { lookup: Lookup::Enrolled(Enrolled { whereabouts: Whereabouts::Inside, ..enrolled() }), ..tap(2) };
        let decision = recorded(session.step(now(3100), Input::CardTapped(again))).map(|v| v.decision);
        assert_eq!(decision, Some(Decision::Refer(Reason::AlreadyAdmitted)));
    }
}

#[test]
fn a_broken_camera_refers_and_shows_at_rest() {
    let mut session = Session::new(policy(), door());
    let outputs: Vec<_> = session.step(now(0), Input::EdgeFault(Fault::Camera)).into_iter().collect();
    assert_eq!(outputs[1], Output::Show(Answer::Unwell(Reason::CameraFault)));
    let at_tap = recorded(session.step(now(1), Input::CardTapped(tap(1)))).map(|v| v.decision);
    assert_eq!(at_tap, Some(Decision::Refer(Reason::CameraFault)));
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(1)));
    let while_looking = recorded(session.step(now(100), Input::EdgeFault(Fault::Camera))).map(|v| v.decision);
    assert_eq!(while_looking, Some(Decision::Refer(Reason::CameraFault)));
}

#[test]
fn a_trace_survives_being_written_down() {
    let inputs = [Input::CardTapped(tap(1)), Input::FaceObserved(face(10, 0.5, 0.5, Continuity::First))];
    let lines: Vec<_> = inputs.iter().map(|i| serde_json::to_string(i).expect("serialises")).collect();
    for (input, line) in inputs.iter().zip(&lines) {
        assert_eq!(&serde_json::from_str::<Input>(line).expect("reads back"), input);
    }
}
