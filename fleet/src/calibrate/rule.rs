//! The shipped decision rule, played with people who claim to be somebody: [`Session`] itself, stepped tap by tap.
//!
//! A comparison is not a transaction: in one tap the box looks at many frames, fuses them, compares with several templates, stops as
//! soon as it is sure, and starts again up to a number of attempts. So whole taps are played here, with liveness taken as passed (the
//! worst case: an attacker whose face is real).
//!
//! Two ways of holding a face to the camera bound what video does, whose frames are neither all alike nor as different as photos:
//! [`Playing::Held`] shows one picture in each attempt, the next one in the next; [`Playing::Varied`] shows all pictures in each
//! attempt, in another order each time.
//!
//! It never knows a file or a name.

use std::time::Duration;

use examgate::{
    domain::{
        CardPseudonym, CardStanding, ClockTrust, Continuity, Credential, CredentialProfile, Cue, Decision, Embedding,
        EmbeddingError, EventId, EventKind, Exam, ExamId, ExamWindow, FaceSeen, History, MonoTime, Observation, Pose,
        RoomId, RosterEntry, RosterVersion, Similarity, Student, StudentId, Timestamp, Whereabouts,
    },
    session::{Door, Enrolled, Input, Lookup, Now, Output, Policy, Session, Tap, TemplateStock, WakeReason},
    vision::Fusion,
};
use uuid::Uuid;

use super::bootstrap::Random;

/// Looks a second: what a small box reaches with all nets on.
const LOOKS_A_SECOND: u32 = 10;

/// How pictures are shown to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Playing {
    /// One picture an attempt.
    Held,
    /// All pictures in every attempt.
    Varied,
}

/// What the probe holds after each look of each attempt: it does not depend on whom the person claims to be.
pub(crate) struct Shown(Vec<Vec<(Continuity, Embedding)>>);

impl Shown {
    /// `pictures` of one person, at least one, each with its weight, held to the camera as `playing` says for as long as `policy` looks.
    pub(crate) fn new(
        pictures: &[(&Embedding, f32)],
        playing: Playing,
        policy: &Policy,
        same_face: Similarity,
        random: &mut Random,
    ) -> Result<Self, EmbeddingError> {
        let attempt = |number: usize| {
            let mut order: Vec<usize> = (0..pictures.len()).collect();
            let looks = match playing {
                Playing::Held => {
                    order = vec![number % pictures.len()];
                    // The same picture again and again adds nothing once they suffice.
                    let lasting = (policy.min_look.as_secs_f32() * LOOKS_A_SECOND as f32).ceil() as usize + 1;
                    lasting.max(policy.min_frames as usize)
                }
                Playing::Varied => {
                    random.shuffle(&mut order);
                    (policy.attempt_window.as_secs_f32() * LOOKS_A_SECOND as f32) as usize
                }
            };
            let mut fusion = Fusion::default();
            order
                .iter()
                .cycle()
                .take(looks)
                .map(|&at| {
                    let (frame, weight) = pictures[at];
                    let continuity = fusion.add(frame.clone(), weight, same_face)?;
                    Ok((continuity, fusion.embedding().expect("a frame was added").clone()))
                })
                .collect()
        };
        Ok(Self((0..policy.attempts as usize).map(attempt).collect::<Result<_, _>>()?))
    }

    /// Similarity to the nearest of `templates` at each look of each attempt.
    pub(crate) fn against(&self, templates: &[&Embedding]) -> Looks {
        let nearest = |fused: &Embedding| {
            let cosines = templates.iter().map(|template| fused.similarity(template).get());
            Similarity::new(cosines.fold(-1.0, f32::max))
        };
        Looks(self.0.iter().map(|looks| looks.iter().map(|(same, fused)| (*same, nearest(fused))).collect()).collect())
    }
}

/// What the session is told at each look of each attempt of one tap.
pub(crate) struct Looks(Vec<Vec<(Continuity, Similarity)>>);

impl Looks {
    /// The highest similarity: with a higher threshold the tap cannot admit.
    pub(crate) fn highest(&self) -> Similarity {
        Similarity::new(self.0.iter().flatten().map(|(_, similarity)| similarity.get()).fold(-1.0, f32::max))
    }

    /// Whether the tap ends with an admission.
    pub(crate) fn admits(&self, policy: &Policy) -> bool {
        tap(policy, &self.0) == Some(Decision::Admit)
    }
}

/// Plays one tap to its decision, if it comes to one.
fn tap(policy: &Policy, attempts: &[Vec<(Continuity, Similarity)>]) -> Option<Decision> {
    let start = Timestamp::UNIX_EPOCH;
    let event = EventId(Uuid::nil());
    let now = |at: Duration| Now { mono: MonoTime::from_start(at), wall: start, clock: ClockTrust::Synchronised };
    let mut session = Session::new(policy.clone(), door(start));
    let mut decided = None;
    let mut step = |at: Duration, input: Input| {
        for output in session.step(now(at), input) {
            if let Output::Record(recorded) = output
                && let EventKind::Verification(verification) = recorded.kind
            {
                decided = Some(verification.decision);
            }
        }
        decided
    };
    step(Duration::ZERO, Input::CardTapped(card(event)));
    for (attempt, looks) in (1..).zip(attempts) {
        let opened = policy.attempt_window * (attempt - 1);
        for (look, &(continuity, similarity)) in (1..).zip(looks) {
            let at = opened + Duration::from_secs(1) * look / LOOKS_A_SECOND;
            let face = FaceSeen {
                eye_distance: 60.0,
                pose: Pose::default(),
                defect: None,
                liveness: 1.0,
                cue: Cue::Net,
                similarity,
                continuity,
            };
            let seen = Observation { captured_at: MonoTime::from_start(at), faces: 1, face: Some(face) };
            if let Some(decision) = step(at, Input::FaceObserved(seen)) {
                return Some(decision);
            }
        }
        let over = WakeReason::AttemptOver { event, attempt };
        if let Some(decision) = step(opened + policy.attempt_window, Input::TimerFired(over)) {
            return Some(decision);
        }
    }
    None
}

pub(crate) fn door(at: Timestamp) -> Door {
    let exam = Exam {
        id: ExamId::new("CALIBRATION").expect("a valid name"),
        title: String::new(),
        window: ExamWindow { opens: at, closes: Timestamp::MAX },
        version: RosterVersion(1),
    };
    Door { room: room(), exam }
}

fn room() -> RoomId {
    RoomId::new("R").expect("a valid name")
}

/// A good card of somebody who is expected.
pub(crate) fn card(event: EventId) -> Tap {
    let pseudonym = CardPseudonym::from_bytes([0; 32]);
    let student = Student { id: StudentId::new("S").expect("a valid name"), given_name: String::new(), language: None };
    Tap {
        event,
        credential: Ok(Credential { pseudonym, profile: CredentialProfile::Uid }),
        lookup: Lookup::Enrolled(Enrolled {
            entry: RosterEntry { student, card: pseudonym, standing: CardStanding::Active, room: room() },
            templates: TemplateStock::Usable,
            whereabouts: Whereabouts::Outside,
        }),
        history: History::default(),
    }
}

/// Names the rule: what else than the thresholds a false accept of a whole tap depends on.
pub(crate) fn name(policy: &Policy) -> String {
    format!(
        "weighted mean of the best {} frames, at least {} over {} ms, admits at the first that suffices; nearest template; {} attempts of {} ms, none after a clear mismatch",
        Fusion::WINDOW,
        policy.min_frames,
        policy.min_look.as_millis(),
        policy.attempts,
        policy.attempt_window.as_millis(),
    )
}

#[cfg(test)]
mod tests {
    use examgate::{domain::ArtifactId, session::Thresholds};

    use super::*;

    fn policy() -> Policy {
        Policy::with(Thresholds {
            artifact: ArtifactId::from_bytes([0; 32]),
            admit: Similarity::new(0.5),
            refer: Similarity::new(0.3),
            live: 0.5,
            sure: 0.9,
        })
    }

    /// A face whose cosine with the template `[1, 0]` is `cosine`.
    fn face(cosine: f32) -> Embedding {
        Embedding::normalised(vec![cosine, (1.0 - cosine * cosine).sqrt()]).unwrap()
    }

    #[test]
    fn taps_are_played_by_the_shipped_rule() {
        use Playing::{Held, Varied};
        let template = face(1.0);
        for (faces, playing, admitted, why) in [
            (&[0.6][..], Held, true, "the student"),
            (&[0.49], Held, false, "borderline is the proctor's"),
            (&[0.4, 0.6], Held, true, "borderline has a second attempt"),
            (&[0.2, 0.6], Held, false, "a clear mismatch has none"),
            (&[0.4, 0.4, 0.4, 0.6], Held, false, "three attempts, no more"),
            (&[0.7, 0.5], Varied, true, "fused above the threshold"),
        ] {
            let faces: Vec<_> = faces.iter().map(|&cosine| face(cosine)).collect();
            let pictures: Vec<_> = faces.iter().map(|face| (face, 1.0)).collect();
            let shown = Shown::new(&pictures, playing, &policy(), Similarity::new(0.0), &mut Random(1)).unwrap();
            assert_eq!(shown.against(&[&template]).admits(&policy()), admitted, "{why}");
            assert!(!shown.against(&[]).admits(&policy()), "without a template nobody enters");
        }
    }

    #[test]
    fn the_nearest_template_counts() {
        let (near, far, shown) = (face(0.6), face(-0.9), face(1.0));
        let shown =
            Shown::new(&[(&shown, 1.0)], Playing::Held, &policy(), Similarity::new(0.5), &mut Random(1)).unwrap();
        let admits = |templates: &[&Embedding]| shown.against(templates).admits(&policy());
        assert!(admits(&[&far, &near]) && !admits(&[&far]));
    }
}
