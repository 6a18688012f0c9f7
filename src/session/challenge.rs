//! The active challenge: head turns in a random order, chosen after the tap and checked by the head pose in each frame.
//!
//! Blocks a live-looking face that cannot follow instructions: a replayed clip, a print moved by hand (turning a flat thing leaves the nose
//! where it was between the eyes). One turn the wrong way ends it, so a clip of somebody looking about is right in one case of
//! four. Does not block a live person in a mask, nor a picture that software animates. Coming closer is not asked for: a photo
//! can be brought closer.

use super::Hint;
use crate::domain::{EventId, FaceSeen};

/// Degrees of yaw from where the head was that make a turn. A landmark's noise is 1 % of the eyes' distance, about 1 degree.
const TURNED: f32 = 15.0;
/// Degrees within which the head is back.
const BACK: f32 = 8.0;
/// Frames in a row that make a pose.
const FRAMES: u32 = 2;

/// What a frame made of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing yet.
    Waiting,
    /// This step is done, another is asked.
    Next,
    /// All turns are done.
    Met,
    /// Something else was done.
    Failed,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Left,
    Right,
    Forward,
}

/// One challenge while it is being met.
#[derive(Debug)]
pub(super) struct Dialogue {
    /// What is still asked, the present step last.
    steps: Vec<Step>,
    /// Yaw of the head when it was asked, degrees.
    straight: f32,
    /// Frames in a row that show the present step.
    frames: u32,
}

impl Dialogue {
    /// Two turns, each with a return, in an order drawn from the random part of the event's UUIDv7 (RFC 9562, sec. 5.7), which
    /// nobody has seen before the decision.
    pub(super) fn new(event: EventId, straight: f32) -> Self {
        let random = event.0.as_u128();
        let turn = |bit: u32| if random >> bit & 1 == 0 { Step::Left } else { Step::Right };
        let steps = vec![Step::Forward, turn(1), Step::Forward, turn(0)];
        Self { steps, straight, frames: 0 }
    }

    /// What is asked now.
    pub(super) fn asked(&self) -> Option<Hint> {
        self.steps.last().map(|step| match step {
            Step::Left => Hint::TurnLeft,
            Step::Right => Hint::TurnRight,
            Step::Forward => Hint::FaceForward,
        })
    }

    /// Takes a frame that is evidence.
    pub(super) fn take(&mut self, face: &FaceSeen) -> Progress {
        let Some(&asked) = self.steps.last() else { return Progress::Met };
        let yaw = face.pose.yaw - self.straight;
        let (done, wrong) = match asked {
            Step::Left => (yaw >= TURNED, yaw <= -TURNED),
            Step::Right => (yaw <= -TURNED, yaw >= TURNED),
            Step::Forward => (yaw.abs() <= BACK, false),
        };
        self.frames = if done { self.frames + 1 } else { 0 };
        if wrong {
            return Progress::Failed;
        }
        if self.frames < FRAMES {
            return Progress::Waiting;
        }
        self.frames = 0;
        self.steps.pop();
        if self.steps.is_empty() { Progress::Met } else { Progress::Next }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tables, *};
    use crate::domain::Continuity;

    fn answer(event: u128, yaws: &[f32]) -> Vec<Progress> {
        let mut dialogue = Dialogue::new(tables::event(event), 5.0);
        yaws.iter()
            .map(|&yaw| {
                let seen = tables::face(0, 0.9, 0.9, Continuity::Same);
                let mut face = seen.face.expect("has one");
                face.pose.yaw = yaw;
                dialogue.take(&face)
            })
            .collect()
    }

    #[test]
    fn turns_must_come_as_asked() {
        use Progress::{Failed, Met, Next, Waiting};
        // Bits 00: left, left. Bits 10: first left, then right. The head began at 5 degrees.
        for (event, yaws, wanted) in [
            (
                0b00,
                &[21.0, 21.0, 5.0, 5.0, 30.0, 30.0, 0.0, 0.0][..],
                &[Waiting, Next, Waiting, Next, Waiting, Next, Waiting, Met][..],
            ),
            (0b10, &[21.0, 21.0, 5.0, 5.0, 21.0], &[Waiting, Next, Waiting, Next, Failed]),
            (0b01, &[21.0], &[Failed]),
            // a single noisy frame is no turn, and not being a number is none
            (0b00, &[21.0, 5.0, 21.0, f32::NAN, 5.0], &[Waiting; 5]),
        ] {
            assert_eq!(answer(event, yaws), wanted, "{event:b} {yaws:?}");
        }
    }
}
