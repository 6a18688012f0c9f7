//! Which side of a photo is up, where no EXIF data say so.
//!
//! The nets know upright faces only. Of a face that lies on its side the detector finds none, or finds one and misplaces its points;
//! then the embedding is short. Where the photo as it lies is in doubt its three turns are tried, and the clear winner is taken.

use examgate::vision::{Image, Pipeline, Turn, VisionError};

use super::prominent;

/// Length of a photo's raw embedding from which on nobody asks whether it is upright, as a multiple of the manifest's `unsure`.
const DOUBT: f32 = 1.08;
/// The detector's probability of an upright face, at least. Of 194 upright photos of LFW seven have less; of the same turned, as far as a
/// face is found in them at all, all but a few.
const SURE: f32 = 0.98;
/// Degrees from eye to eye beyond which a face is doubted all the same.
const LEANS: f32 = 40.0;
/// Length that the embedding of a turned photo must have, as a multiple of `unsure`, and the detector's probability.
const LEAST: f32 = 0.8;
const FOUND: f32 = 0.95;
/// How many times as long as that of the photo as it lies the embedding of a turned one must be, where only the length is in doubt.
const CLEAR: f32 = 1.15;
/// The same where the probability or the lean is in doubt, too, and the turned face is found more surely.
const AS_GOOD: f32 = 0.85;
/// Smallest face that is looked for in a turned photo, as a part of its shorter side.
const SMALLEST: u32 = 10;

/// What a photo says of itself: the length of its embedding (0 without a face), the detector's probability, and how far the face leans,
/// degrees.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    pub(super) length: f32,
    pub(super) score: f32,
    pub(super) roll: f32,
}

impl Signs {
    /// Whether something besides the length says that the photo is not upright.
    fn lies(&self) -> bool {
        self.score < SURE || self.roll.abs() > LEANS
    }
}

/// Which side is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upright {
    /// It is upright, or no turn of it looks better.
    AsItLies,
    /// This turn brings it upright.
    Turned(Turn),
    /// A turn looks better, but not by enough to be sure.
    Unclear,
}

/// Tries the turns of `image`, if there is doubt. `unsure` is the manifest's length below which a photo is poor.
pub(super) fn upright(
    pipeline: &mut Pipeline,
    image: &Image,
    as_it_lies: Signs,
    unsure: f32,
) -> Result<Upright, VisionError> {
    if as_it_lies.length >= unsure * DOUBT && !as_it_lies.lies() {
        return Ok(Upright::AsItLies);
    }
    let mut turned = [Signs::default(); 3];
    for (signs, turn) in turned.iter_mut().zip(TURNS) {
        *signs = signs_of(pipeline, &image.turned(turn))?;
    }
    Ok(decide(as_it_lies, turned, unsure))
}

pub(super) const TURNS: [Turn; 3] = [Turn::Right, Turn::Half, Turn::Left];

/// One look at a turned photo, with the detector's usual thresholds: an upright face passes them.
fn signs_of(pipeline: &mut Pipeline, image: &Image) -> Result<Signs, VisionError> {
    let view = image.view()?;
    let smallest = (view.width().min(view.height()) as u32 / SMALLEST).max(20);
    let faces = pipeline.detector().detect(&view, smallest)?;
    let Ok(face) = prominent(&faces, view.width(), view.height()) else { return Ok(Signs::default()) };
    pipeline.embed(&view, &face)?;
    // Its roll does not matter: what leans less is found more surely.
    Ok(Signs { length: pipeline.embedder().length(), score: face.score, roll: 0.0 })
}

/// From the signs of each of [`TURNS`].
fn decide(as_it_lies: Signs, turned: [Signs; 3], unsure: f32) -> Upright {
    let passes = |signs: &Signs| signs.length >= unsure * LEAST && signs.score >= FOUND;
    let candidates = TURNS.into_iter().zip(turned).filter(|(_, signs)| passes(signs));
    let Some((turn, best)) = candidates.max_by(|a, b| a.1.length.total_cmp(&b.1.length)) else {
        return Upright::AsItLies;
    };
    let ratio = best.length / as_it_lies.length.max(f32::MIN_POSITIVE);
    if ratio >= CLEAR || (as_it_lies.lies() && ratio >= AS_GOOD && best.score > as_it_lies.score) {
        Upright::Turned(turn)
    } else if ratio > 1.0 && as_it_lies.length < unsure {
        Upright::Unclear
    } else {
        Upright::AsItLies
    }
}

/// What was done, for a person to check.
pub const fn words(turn: Turn) -> &'static str {
    match turn {
        Turn::Right => "turned a quarter to the right",
        Turn::Half => "turned upside down",
        Turn::Left => "turned a quarter to the left",
    }
}

/// The stable name in reports.
pub const fn code(turn: Turn) -> &'static str {
    match turn {
        Turn::Right => "quarter_right",
        Turn::Half => "half",
        Turn::Left => "quarter_left",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_winner_is_turned() {
        let signs = |(length, score, roll): (f32, f32, f32)| Signs { length, score, roll };
        let nothing = (0.0, 0.0, 0.0);
        let right = |length: f32, score: f32| [(length, score, 0.0), nothing, (2.0, 0.97, 0.0)];
        for (as_it_lies, turned, wanted) in [
            (nothing, right(3.4, 1.0), Upright::Turned(Turn::Right)),
            (nothing, right(2.6, 1.0), Upright::Turned(Turn::Right)),
            ((2.2, 0.8, -20.0), [nothing, (3.4, 1.0, 0.0), nothing], Upright::Turned(Turn::Half)),
            ((2.9, 0.999, -5.0), [nothing, nothing, (3.5, 1.0, 0.0)], Upright::Turned(Turn::Left)),
            // The points were found for all that.
            ((3.7, 0.73, 93.0), right(3.9, 1.0), Upright::Turned(Turn::Right)),
            // A photo with dark glasses: all turns are worse.
            ((2.75, 0.999, 0.0), right(2.4, 0.97), Upright::AsItLies),
            ((2.75, 0.999, 0.0), right(2.9, 0.97), Upright::Unclear),
            // Usable as it lies: another turn that looks a little better changes nothing.
            ((3.1, 0.999, 0.0), right(3.2, 0.99), Upright::AsItLies),
            ((3.3, 0.97, 0.0), right(2.6, 0.99), Upright::AsItLies),
            ((3.3, 0.97, 0.0), right(3.2, 0.96), Upright::AsItLies),
            // No face as it lies, and something like one turned.
            (nothing, right(3.0, 0.8), Upright::AsItLies),
            (nothing, [nothing; 3], Upright::AsItLies),
        ] {
            assert_eq!(decide(signs(as_it_lies), turned.map(signs), 2.99), wanted, "{as_it_lies:?} {turned:?}");
        }
    }
}
