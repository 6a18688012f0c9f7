//! The shipped decision rule, played with people who claim to be somebody: [`Session`] itself, stepped tap by tap.
//!
//! A comparison is not a transaction: in one tap the box looks at many frames, fuses them, compares with several templates, stops as
//! soon as it is sure, and starts again up to a number of attempts. So whole taps are played here, with liveness taken as passed (the
//! worst case: an attacker whose face is real).
//!
//! Photos are shown in two ways, because the frames of a video are neither all alike nor as different as photos; the truth lies between
//! the two. [`Playing::Held`] shows one picture per attempt and the next picture in the next attempt. [`Playing::Varied`] shows all
//! pictures in each attempt, in another order each time. All of them count as one continuous face: photos taken years apart may look
//! like a change of face, which video frames of one person do not, and then no decision would ever be reached.

use std::time::Duration;

use examgate::{
    domain::{
        CardPseudonym, ClockTrust, Continuity, Credential, CredentialProfile, Cue, Decision, Embedding, EmbeddingError,
        EventId, EventKind, Exam, ExamId, ExamWindow, FaceSeen, History, MonoTime, Observation, Pose, RoomId,
        RosterEntry, RosterVersion, Similarity, Student, StudentId, Timestamp, Whereabouts,
    },
    session::{Door, Enrolled, Input, Lookup, Now, Output, Policy, Session, Tap, TemplateStock, WakeReason},
    vision::Fusion,
};
use uuid::Uuid;

use crate::statistics::bootstrap::Random;

/// Looks per second: what a small box reaches with all nets on, and a camera's whole rate.
pub(crate) const SLOW: u32 = 10;
/// See [`SLOW`].
pub(crate) const FAST: u32 = 30;

/// How pictures are shown to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Playing {
    /// One picture per attempt. How many looks per second makes no difference then.
    Held,
    /// All pictures in every attempt, one a look, again and again.
    Varied {
        /// More looks are more chances to be admitted at one of them, but also more for the heaviest pictures to fill the window.
        looks_a_second: u32,
    },
}

impl Playing {
    const fn looks_a_second(self) -> u32 {
        match self {
            Self::Held => SLOW,
            Self::Varied { looks_a_second } => looks_a_second,
        }
    }
}

/// What the probe holds after each look of each attempt: it does not depend on whom the person claims to be.
pub(crate) struct Shown {
    attempts: Vec<Vec<Embedding>>,
    looks_a_second: u32,
}

impl Shown {
    /// `pictures` of one person, at least one, each with its weight, held to the camera as `playing` says for as long as `policy` looks.
    pub(crate) fn new(
        pictures: &[(&Embedding, f32)],
        playing: Playing,
        policy: &Policy,
        random: &mut Random,
    ) -> Result<Self, EmbeddingError> {
        let looks_a_second = playing.looks_a_second();
        let attempt = |number: usize| {
            let mut order: Vec<usize> = (0..pictures.len()).collect();
            let looks = match playing {
                Playing::Held => {
                    order = vec![number % pictures.len()];
                    // The same picture again and again adds nothing once they suffice.
                    let lasting = (policy.min_look.as_secs_f32() * looks_a_second as f32).ceil() as usize + 1;
                    lasting.max(policy.min_frames as usize)
                }
                Playing::Varied { .. } => {
                    random.shuffle(&mut order);
                    (policy.attempt_window.as_secs_f32() * looks_a_second as f32) as usize
                }
            };
            let mut fusion = Fusion::default();
            order
                .iter()
                .cycle()
                .take(looks)
                .map(|&at| {
                    let (frame, weight) = pictures[at];
                    fusion.add(frame.clone(), weight, ONE_FACE)?;
                    Ok(fusion.embedding().expect("a frame was added").clone())
                })
                .collect()
        };
        let attempts = (0..policy.attempts as usize).map(attempt).collect::<Result<_, _>>()?;
        Ok(Self { attempts, looks_a_second })
    }

    /// Similarity to the nearest of `templates` at each look of each attempt.
    pub(crate) fn against(&self, templates: &[&Embedding]) -> Looks {
        let nearest = |fused: &Embedding| {
            let cosines = templates.iter().map(|template| fused.similarity(template).get());
            Similarity::new(cosines.fold(-1.0, f32::max))
        };
        let attempts = self.attempts.iter().map(|looks| looks.iter().map(nearest).collect()).collect();
        Looks { attempts, looks_a_second: self.looks_a_second }
    }
}

/// What the session is told at each look of each attempt of one tap.
pub(crate) struct Looks {
    attempts: Vec<Vec<Similarity>>,
    looks_a_second: u32,
}

impl Looks {
    /// The highest similarity: with a higher threshold the tap cannot admit.
    pub(crate) fn highest(&self) -> Similarity {
        Similarity::new(self.attempts.iter().flatten().map(|similarity| similarity.get()).fold(-1.0, f32::max))
    }

    /// What the tap comes to, if it comes to anything.
    pub(crate) fn decision(&self, policy: &Policy) -> Option<Decision> {
        tap(policy, self)
    }

    /// Whether the tap ends with an admission.
    pub(crate) fn admits(&self, policy: &Policy) -> bool {
        self.decision(policy) == Some(Decision::Admit)
    }
}

/// So low that every frame shows the same face.
const ONE_FACE: Similarity = Similarity::new(-1.0);

/// Plays one tap to its decision, if it comes to one.
fn tap(policy: &Policy, looks: &Looks) -> Option<Decision> {
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
    for (attempt, similarities) in (1..).zip(&looks.attempts) {
        let opened = policy.attempt_window * (attempt - 1);
        for (look, &similarity) in (1..).zip(similarities) {
            let at = opened + Duration::from_secs(1) * look / looks.looks_a_second;
            let face = FaceSeen {
                eye_distance: 60.0,
                pose: Pose::default(),
                defect: None,
                liveness: 1.0,
                cue: Cue::Net,
                similarity,
                continuity: if look == 1 { Continuity::First } else { Continuity::Same },
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
    Door { room: room(), exam: Some(exam) }
}

fn room() -> RoomId {
    RoomId::new("R").expect("a valid name")
}

/// A good card of somebody who is expected.
pub(crate) fn card(event: EventId) -> Tap {
    let pseudonym = CardPseudonym::from_bytes([0; 32]);
    let student = Student::new(StudentId::new("S").expect("a valid name"), "");
    Tap {
        event,
        credential: Ok(Credential { pseudonym, profile: CredentialProfile::Uid }),
        took: None,
        lookup: Lookup::Enrolled(Enrolled {
            entry: RosterEntry::new(student, pseudonym, room()),
            templates: TemplateStock::Usable,
            whereabouts: Whereabouts::Outside,
        }),
        history: History::default(),
        other_room: None,
    }
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
        use Playing::Held;
        const VARIED: Playing = Playing::Varied { looks_a_second: FAST };
        let template = face(1.0);
        for (faces, playing, admitted, why) in [
            (&[0.6][..], Held, true, "the student"),
            (&[0.49], Held, false, "borderline is the proctor's"),
            (&[0.4, 0.6], Held, true, "borderline has a second attempt"),
            (&[0.2, 0.6], Held, false, "a clear mismatch has none"),
            (&[0.4, 0.4, 0.4, 0.6], Held, false, "three attempts, no more"),
            (&[0.7, 0.5], VARIED, true, "fused above the threshold"),
        ] {
            let faces: Vec<_> = faces.iter().map(|&cosine| face(cosine)).collect();
            let pictures: Vec<_> = faces.iter().map(|face| (face, 1.0)).collect();
            let shown = Shown::new(&pictures, playing, &policy(), &mut Random(1)).unwrap();
            assert_eq!(shown.against(&[&template]).admits(&policy()), admitted, "{why}");
            assert!(!shown.against(&[]).admits(&policy()), "without a template nobody enters");
        }
    }

    #[test]
    fn the_nearest_template_counts() {
        let (near, far, shown) = (face(0.6), face(-0.9), face(1.0));
        let shown = Shown::new(&[(&shown, 1.0)], Playing::Held, &policy(), &mut Random(1)).unwrap();
        let admits = |templates: &[&Embedding]| shown.against(templates).admits(&policy());
        assert!(admits(&[&far, &near]) && !admits(&[&far]));
    }
}
