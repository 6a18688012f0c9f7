//! Finds all faces of a picture with MTCNN (Zhang, Zhang, Li, Qiao: "Joint Face Detection and Alignment Using Multitask Cascaded
//! Convolutional Networks", 2016): a small net slides over a pyramid and proposes windows, a second refines them, a third looks
//! closer and finds eyes, nose and mouth. Suppression limits are those of the published implementation but for two, [`PROPOSED`] and
//! [`REFINED`]. A face that lay askew in its window is looked at again (decision 0059), and one whose points are in doubt in several
//! windows (decision 0095).

mod boxes;
mod points;
mod pyramid;
mod shape;
#[cfg(test)]
mod tests;

use boxes::{Against, corrected, squared, suppress};
pub(crate) use points::Care;
use pyramid::Pyramid;
pub use shape::Shape;

use super::{
    Bounds, Face, ImageView, InferenceError, Landmarks, Point, StageSpec,
    placement::Placement,
    resample::{Axis, Scratch, resample},
    runtime::Net,
};

/// Windows looked at closer, at most, best first: a picture full of face-like texture must not stall the door.
const MAX_WINDOWS: usize = 400;
/// Windows a run of the second and third net, at most: bounds the memory of a run.
const BATCH: usize = 64;
/// Suppression limits: within a level, among levels, at the end (against the smaller window), as published.
const WITHIN_LEVEL: f32 = 0.5;
const AMONG_LEVELS: f32 = 0.7;
const LAST: f32 = 0.7;
/// Suppression limits among proposed and among refined windows once they were moved. The published detector suppresses at 0.7 before
/// it moves windows, never after, and so hands the slower nets one face many times. After the move those windows lie on each other,
/// and those of two faces do not. The second net has three fifths less to do, the third most.
const PROPOSED: f32 = 0.5;
const REFINED: f32 = 0.5;
/// Pixels of a level from one cell of the proposal net's answer to the next.
const STRIDE: usize = 2;

/// A window that may hold a face: square, on whole pixels, perhaps partly outside the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The window, in pixels of the picture.
    pub bounds: Bounds,
    /// Probability of a face, 0..=1.
    pub score: f32,
}

struct CascadeStage {
    net: Net,
    spec: StageSpec,
    input: Vec<f32>,
}

/// The three nets and their buffers.
pub struct Detector {
    proposal: CascadeStage,
    refine: CascadeStage,
    output: CascadeStage,
    pyramid: Pyramid,
    columns: Axis,
    rows: Axis,
    scratch: Scratch,
}

/// A net's answer for one window.
struct Judged<const POINTS: usize> {
    candidate: Candidate,
    correction: [f32; 4],
    points: [Point; POINTS],
}

impl Detector {
    pub(crate) fn new([proposal, refine, output]: [(Net, StageSpec); 3]) -> Self {
        let stage = |(net, spec)| CascadeStage { net, spec, input: Vec::new() };
        Self {
            proposal: stage(proposal),
            refine: stage(refine),
            output: stage(output),
            pyramid: Pyramid::default(),
            columns: Axis::default(),
            rows: Axis::default(),
            scratch: Scratch::default(),
        }
    }

    /// The manifest's thresholds: of the first, second and third stage.
    #[must_use]
    pub const fn thresholds(&self) -> [f32; 3] {
        [self.proposal.spec.threshold, self.refine.spec.threshold, self.output.spec.threshold]
    }

    /// All faces of at least `min_face` pixels (a face's height from forehead to chin), best first.
    ///
    /// # Errors
    /// When a net fails or answers in another shape.
    pub fn detect(&mut self, view: &ImageView<'_>, min_face: u32) -> Result<Vec<Face>, InferenceError> {
        self.detect_with(view, min_face, self.thresholds(), Care::Frame)
    }

    pub(crate) fn detect_with(
        &mut self,
        view: &ImageView<'_>,
        min_face: u32,
        [propose, refine, output]: [f32; 3],
        care: Care,
    ) -> Result<Vec<Face>, InferenceError> {
        let proposed = self.propose(view, min_face, propose)?;
        let refined = self.refine(view, &proposed, refine)?;
        self.output_with(view, &refined, output, care)
    }

    /// First stage: windows of the pyramid with at least `threshold`.
    ///
    /// # Errors
    /// When the net fails or answers in another shape.
    pub fn propose(
        &mut self,
        view: &ImageView<'_>,
        min_face: u32,
        threshold: f32,
    ) -> Result<Vec<Candidate>, InferenceError> {
        let CascadeStage { net, spec, input } = &mut self.proposal;
        let cell = spec.net.input.width;
        self.pyramid.fit(view.width(), view.height(), min_face, cell);
        let mut all = Vec::new();
        for level in &self.pyramid.levels {
            let place = Placement::new(&spec.net.input, level.width, level.height, view.colour());
            input.resize(place.len(), 0.0);
            resample(view, &level.columns, &level.rows, &place, &mut self.scratch, input);
            let outputs = net.run(place.shape(1), input)?;
            let (shape, scores) =
                outputs.get(&spec.probability, "1 x 1 x h x w", |s| s.len() == 4 && s[..2] == [1, 1])?;
            let (wide, cells) = (shape[3].max(1) as usize, scores.len());
            let (_, moves) = outputs
                .get(&spec.regression, "1 x 4 x h x w", |s| s.len() == 4 && s[..2] == [1, 4] && s[2..] == shape[2..])?;
            let mut found: Vec<_> = scores
                .iter()
                .enumerate()
                .filter(|(_, score)| **score >= threshold)
                .map(|(at, &score)| {
                    let pixel =
                        |cells: usize, more: usize| ((STRIDE * cells + more) as f64 / level.scale).trunc() as f32;
                    let (x, y) = (at % wide, at / wide);
                    // The published net's pictures begin at pixel 1 and its windows include their last pixel.
                    let bounds = Bounds {
                        left: pixel(x, 1) - 1.0,
                        top: pixel(y, 1) - 1.0,
                        right: pixel(x, cell),
                        bottom: pixel(y, cell),
                    };
                    (bounds, score, [0, 1, 2, 3].map(|side| moves[side * cells + at]))
                })
                .collect();
            suppress(&mut found, WITHIN_LEVEL, Against::Union, |&(bounds, score, _)| (bounds, score));
            all.append(&mut found);
        }
        suppress(&mut all, AMONG_LEVELS, Against::Union, |&(bounds, score, _)| (bounds, score));
        let mut moved: Vec<Candidate> = all
            .into_iter()
            .map(|(bounds, score, moves)| Candidate { bounds: squared(&corrected(&bounds, moves)), score })
            .collect();
        suppress(&mut moved, PROPOSED, Against::Union, |candidate| (candidate.bounds, candidate.score));
        moved.truncate(MAX_WINDOWS);
        Ok(moved)
    }

    /// Second stage: the windows with more than `threshold`, moved closer to the face.
    ///
    /// # Errors
    /// When the net fails or answers in another shape.
    pub fn refine(
        &mut self,
        view: &ImageView<'_>,
        candidates: &[Candidate],
        threshold: f32,
    ) -> Result<Vec<Candidate>, InferenceError> {
        let tools = (&mut self.columns, &mut self.rows, &mut self.scratch);
        let mut moved: Vec<Candidate> = self
            .refine
            .judge::<0>(view, candidates, threshold, tools)?
            .into_iter()
            .map(|j| Candidate {
                bounds: squared(&corrected(&j.candidate.bounds, j.correction)),
                score: j.candidate.score,
            })
            .collect();
        suppress(&mut moved, REFINED, Against::Union, |candidate| (candidate.bounds, candidate.score));
        Ok(moved)
    }

    /// Third stage: the faces among the windows of a frame, with more than `threshold`, best first.
    ///
    /// # Errors
    /// When the net fails or answers in another shape.
    pub fn output(
        &mut self,
        view: &ImageView<'_>,
        candidates: &[Candidate],
        threshold: f32,
    ) -> Result<Vec<Face>, InferenceError> {
        self.output_with(view, candidates, threshold, Care::Frame)
    }

    fn output_with(
        &mut self,
        view: &ImageView<'_>,
        candidates: &[Candidate],
        threshold: f32,
        care: Care,
    ) -> Result<Vec<Face>, InferenceError> {
        let mut found = self.look(view, candidates, threshold)?;
        suppress(&mut found, LAST, Against::Smaller, |(_, face)| (face.bounds, face.score));
        let mut faces = Vec::with_capacity(found.len());
        for found in found {
            faces.push(self.points(view, found, threshold, care)?);
        }
        // Two windows may have settled on one face.
        suppress(&mut faces, LAST, Against::Smaller, |face| (face.bounds, face.score));
        Ok(faces)
    }

    /// What the third net sees in each window, where that is a face.
    fn look(
        &mut self,
        view: &ImageView<'_>,
        windows: &[Candidate],
        threshold: f32,
    ) -> Result<Vec<(Bounds, Face)>, InferenceError> {
        let tools = (&mut self.columns, &mut self.rows, &mut self.scratch);
        let judged = self.output.judge::<5>(view, windows, threshold, tools)?;
        let face = |j: Judged<5>| Face {
            bounds: corrected(&j.candidate.bounds, j.correction),
            score: j.candidate.score,
            landmarks: Landmarks(j.points),
        };
        Ok(judged.into_iter().map(|j| (j.candidate.bounds, face(j))).collect())
    }

    #[cfg(feature = "sim")]
    pub(crate) fn nets(&mut self) -> [&mut Net; 3] {
        [&mut self.proposal.net, &mut self.refine.net, &mut self.output.net]
    }
}

impl CascadeStage {
    /// Runs the net on all windows, batch by batch, and keeps those with more than `threshold`.
    fn judge<const POINTS: usize>(
        &mut self,
        view: &ImageView<'_>,
        windows: &[Candidate],
        threshold: f32,
        (columns, rows, scratch): (&mut Axis, &mut Axis, &mut Scratch),
    ) -> Result<Vec<Judged<POINTS>>, InferenceError> {
        let Self { net, spec, input } = self;
        let mut judged = Vec::new();
        let place = Placement::new(&spec.net.input, spec.net.input.width, spec.net.input.height, view.colour());
        for batch in windows.chunks(BATCH) {
            input.resize(batch.len() * place.len(), 0.0);
            for (candidate, tensor) in batch.iter().zip(input.chunks_exact_mut(place.len())) {
                let Bounds { left, top, right, bottom } = candidate.bounds;
                let extent = |from: f32, to: f32| ((to - from) as usize).max(1);
                columns.area(left as i64, extent(left, right), place.width, view.width());
                rows.area(top as i64, extent(top, bottom), place.height, view.height());
                resample(view, columns, rows, &place, scratch, tensor);
            }
            let outputs = net.run(place.shape(batch.len()), input)?;
            let n = batch.len() as i64;
            let (_, scores) = outputs.get(&spec.probability, "N x 1", |s| s == [n, 1])?;
            let (_, moves) = outputs.get(&spec.regression, "N x 4", |s| s == [n, 4])?;
            let points = match &spec.landmarks {
                Some(name) if POINTS == 5 => outputs.get(name, "N x 10", |s| s == [n, 10])?.1,
                Some(_) | None => &[],
            };
            for (i, (candidate, &score)) in batch.iter().zip(scores).enumerate() {
                if score > threshold {
                    let Bounds { left, top, .. } = candidate.bounds;
                    let (w, h) = (candidate.bounds.width(), candidate.bounds.height());
                    judged.push(Judged {
                        candidate: Candidate { bounds: candidate.bounds, score },
                        correction: [0, 1, 2, 3].map(|side| moves[4 * i + side]),
                        points: std::array::from_fn(|p| Point {
                            x: left + w * points[10 * i + p],
                            y: top + h * points[10 * i + 5 + p],
                        }),
                    });
                }
            }
        }
        Ok(judged)
    }
}
