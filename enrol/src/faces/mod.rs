//! A photo's file to one face's template, or the reason why not and how to mend it.

mod fault;
mod kept;
mod stretch;
mod upright;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use examgate::{
    domain::{Embedding, QualityDefect, Template},
    vision::{DecodeError, Face, Image, ImageView, Pipeline, Turn, VerifiedModels, VisionError, decode_file},
};
use stretch::is_stretched;
use upright::{Signs, Upright, upright};

pub use fault::{PhotoDefect, PhotoFault};
pub use kept::recipe;
pub use upright::{code as turn_code, words as turn_words};

use crate::models;

/// Largest file read, bytes: well above any photo within the decoder's limits.
pub const LARGEST_FILE: u64 = 64 * 1024 * 1024;
/// A second face is a rival when it is at least this share as prominent as the first: then it is not certain whom the photo is of.
const RIVAL: f32 = 0.6;

/// A photo's face.
#[derive(Debug)]
pub struct Enrolled {
    /// What is enrolled of it.
    pub template: Template,
    /// The worst of them.
    pub defect: Option<PhotoDefect>,
    /// Nothing is wrong that could be measured, but somebody should look whether the eyes are closed: by itself no defect, since narrow
    /// eyes look the same to the net.
    pub look_at_eyes: bool,
    /// What brought the photo upright; none where it was.
    pub turned: Option<Turn>,
}

/// Reads, decodes, turns upright, detects, chooses, aligns and embeds.
pub fn enrol(pipeline: &mut Pipeline, path: &Path) -> Result<Enrolled, PhotoFault> {
    enrol_bytes(pipeline, &read(path)?)
}

/// The same of a photo's bytes.
pub fn enrol_bytes(pipeline: &mut Pipeline, bytes: &[u8]) -> Result<Enrolled, PhotoFault> {
    let image = decode(bytes)?;
    let unsure = pipeline.embedder().spec().thresholds.unsure;
    let (as_it_lies, found) = look(pipeline, &image)?;
    match unsure.map(|unsure| upright(pipeline, &image, as_it_lies, unsure)).transpose().map_err(PhotoFault::Vision)? {
        None | Some(Upright::AsItLies) => found,
        Some(Upright::Turned(turn)) => {
            let (_, found) = look(pipeline, &image.turned(turn))?;
            Ok(Enrolled { turned: Some(turn), ..found? })
        }
        Some(Upright::Unclear) => Err(PhotoFault::NotUpright),
    }
}

/// What `image` gives as it lies. Fails outright only where no turn could help.
fn look(pipeline: &mut Pipeline, image: &Image) -> Result<(Signs, Result<Enrolled, PhotoFault>), PhotoFault> {
    let view = image.view().map_err(|e| PhotoFault::Undecodable(e.into()))?;
    let faces = pipeline.detect_photo(&view).map_err(PhotoFault::Vision)?;
    let face = match prominent(&faces, view.width(), view.height()) {
        Ok(face) => face,
        Err(fault) => {
            // Of several faces the foremost says whether they are faces at all.
            let mut signs = Signs::default();
            if let Some(face) = faces.first() {
                pipeline.embed(&view, face).map_err(PhotoFault::Vision)?;
                signs = Signs { length: pipeline.embedder().length(), score: face.score, roll: 0.0 };
            }
            return Ok((signs, Err(fault)));
        }
    };
    let quality = pipeline.photo_quality(&view, &face).map_err(PhotoFault::Vision)?;
    let template = pipeline.embed_photo(&view, &face).map_err(PhotoFault::Vision)?;
    let length = pipeline.embedder().length();
    let signs = Signs { length, score: face.score, roll: quality.pose.roll };
    if quality.defect == Some(QualityDefect::TooFar) {
        return Ok((signs, Err(PhotoFault::TooSmall(quality.eye_distance))));
    }
    let closed = quality.eyes_open.zip(pipeline.eyes_spec()).is_some_and(|(open, spec)| open < spec.closed);
    let unsure = pipeline.embedder().spec().thresholds.unsure.is_some_and(|least| length < least);
    // What can be mended by its name goes first.
    let measured = match quality.defect {
        // Only the liveness net minds a face that fills the picture, and it does not look at photos.
        Some(QualityDefect::TooClose) => None,
        other => other.map(PhotoDefect::Quality),
    };
    let stretched = is_stretched(&face, &quality).then_some(PhotoDefect::Stretched);
    let defect = measured.or(stretched).or(match (unsure, closed) {
        (true, true) => Some(PhotoDefect::EyesUnseen),
        (true, false) => Some(PhotoDefect::Unsure),
        (false, _) => None,
    });
    Ok((signs, Ok(Enrolled { template, look_at_eyes: closed && defect.is_none(), defect, turned: None })))
}

/// Reads and decodes.
pub fn open(path: &Path) -> Result<Image, PhotoFault> {
    decode(&read(path)?)
}

/// The face of a labelled picture that is meant: the one nearest to its middle, however many there are.
pub fn find(pipeline: &mut Pipeline, view: &ImageView<'_>) -> Result<Face, PhotoFault> {
    let faces = pipeline.detect_photo(view).map_err(PhotoFault::Vision)?;
    central(&faces, view.width(), view.height())
}

/// One face of a labelled picture, in both parts that it can play.
#[derive(Clone)]
pub struct BothWays {
    /// As one frame at the door.
    pub probe: Embedding,
    /// What that frame weighs where frames are fused.
    pub weight: f32,
    /// As an enrolment photo.
    pub template: Embedding,
}

impl BothWays {
    /// Embeds `face` of `view` in both ways.
    ///
    /// # Errors
    /// When a net fails.
    pub fn of(pipeline: &mut Pipeline, view: &ImageView<'_>, face: &Face) -> Result<Self, VisionError> {
        let template = pipeline.embed_photo(view, face)?.embedding.clone();
        let probe = pipeline.embed(view, face)?.embedding.clone();
        Ok(Self { probe, weight: pipeline.embedder().length(), template })
    }
}

/// The face nearest to the middle of each labelled picture, in both parts; `None` as by [`each_central`].
pub fn embed_all(models: &VerifiedModels, threads: usize, paths: &[PathBuf]) -> anyhow::Result<Vec<Option<BothWays>>> {
    each_central(models, threads, paths, BothWays::of)
}

/// Photos of `enrolled` and probes of `looked`: as a box sees students whom another net enrolled.
pub fn mixed(enrolled: Vec<Option<BothWays>>, looked: Vec<Option<BothWays>>) -> Vec<Option<BothWays>> {
    let mix = |(enrolled, looked): (Option<BothWays>, Option<BothWays>)| {
        Some(BothWays { template: enrolled?.template, ..looked? })
    };
    enrolled.into_iter().zip(looked).map(mix).collect()
}

/// What `work` makes of the face nearest to the middle of each labelled picture; `None` where none is found or the picture cannot be
/// read, with a warning.
pub fn each_central<R: Send>(
    models: &VerifiedModels,
    threads: usize,
    paths: &[PathBuf],
    work: impl Fn(&mut Pipeline, &ImageView<'_>, &Face) -> Result<R, VisionError> + Sync,
) -> anyhow::Result<Vec<Option<R>>> {
    let look = |pipeline: &mut Pipeline, path: &Path| {
        let image = open(path)?;
        let view = image.view().map_err(|e| PhotoFault::Undecodable(e.into()))?;
        let face = find(pipeline, &view)?;
        work(pipeline, &view, &face).map_err(PhotoFault::Vision)
    };
    models::each(models, threads, "images", paths, |pipeline, path| match look(pipeline, path) {
        Ok(made) => Ok(Some(made)),
        Err(PhotoFault::Vision(error)) => Err(anyhow::Error::new(error).context(format!("at {}", path.display()))),
        Err(fault) => {
            tracing::warn!(image = %path.display(), "{fault}");
            Ok(None)
        }
    })
}

/// A photo's bytes.
pub fn read(path: &Path) -> Result<Vec<u8>, PhotoFault> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound { PhotoFault::Missing } else { PhotoFault::Unreadable(error) }
    };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        0 => Err(PhotoFault::Empty),
        1..=LARGEST_FILE => Ok(bytes),
        _ => Err(PhotoFault::HugeFile),
    }
}

fn decode(bytes: &[u8]) -> Result<Image, PhotoFault> {
    decode_file(bytes).map_err(|error| {
        if matches!(error, DecodeError::TooLarge { .. }) {
            PhotoFault::HugePicture(error)
        } else {
            PhotoFault::Undecodable(error)
        }
    })
}

/// How far the face's middle is from the picture's: 0 in the middle, 1 in a corner.
fn off_centre(face: &Face, width: usize, height: usize) -> f32 {
    let (middle, half_width, half_height) = (face.bounds.centre(), width as f32 / 2.0, height as f32 / 2.0);
    (middle.x - half_width).hypot(middle.y - half_height) / half_width.hypot(half_height)
}

/// The face of a photo of one person: the most prominent, if no other rivals it. Side times nearness to the middle: people beside a student are as near to it as they are; passers-by are at the border.
fn prominent(faces: &[Face], width: usize, height: usize) -> Result<Face, PhotoFault> {
    let prominence =
        |face: &Face| face.bounds.width().max(face.bounds.height()) * (1.0 - off_centre(face, width, height)).max(0.0);
    let face = *faces.iter().max_by(|a, b| prominence(a).total_cmp(&prominence(b))).ok_or(PhotoFault::NoFace)?;
    match faces.iter().filter(|other| prominence(other) >= RIVAL * prominence(&face)).count() {
        1 => Ok(face),
        several => Err(PhotoFault::SeveralFaces(several)),
    }
}

/// The face nearest to the middle of a picture of this size.
///
/// # Errors
/// [`PhotoFault::NoFace`] if there is none.
pub fn central(faces: &[Face], width: usize, height: usize) -> Result<Face, PhotoFault> {
    let off = |face: &Face| off_centre(face, width, height);
    faces.iter().min_by(|a, b| off(a).total_cmp(&off(b))).copied().ok_or(PhotoFault::NoFace)
}

#[cfg(test)]
mod tests {
    use examgate::vision::{Bounds, Landmarks};

    use super::*;

    fn face(left: f32, top: f32, side: f32) -> Face {
        let bounds = Bounds { left, top, right: left + side, bottom: top + side };
        Face { bounds, score: 1.0, landmarks: Landmarks::default() }
    }

    #[test]
    fn the_prominent_face_without_rival_is_meant() {
        let (middle, border, small) = (face(75.0, 75.0, 100.0), face(180.0, 0.0, 90.0), face(110.0, 10.0, 40.0));
        let (left, right) = (face(10.0, 75.0, 100.0), face(140.0, 75.0, 90.0));
        for (faces, wanted) in [
            (&[border, middle, small][..], Some(middle)),
            // alone, it may be anywhere
            (&[border], Some(border)),
            // side by side
            (&[left, right], None),
            // one before the other
            (&[middle, face(90.0, 60.0, 80.0)], None),
        ] {
            assert_eq!(prominent(faces, 250, 250).ok(), wanted, "{faces:?}");
        }
        assert!(matches!(prominent(&[left, right], 250, 250), Err(PhotoFault::SeveralFaces(2))));
        assert!(matches!(prominent(&[], 250, 250), Err(PhotoFault::NoFace)));
    }

    #[test]
    fn the_central_face_is_meant_whatever_its_size() {
        let (corner, middle) = (face(0.0, 0.0, 120.0), face(110.0, 110.0, 40.0));
        assert_eq!(central(&[corner, middle], 250, 250).unwrap(), middle);
        assert!(matches!(central(&[], 250, 250), Err(PhotoFault::NoFace)));
    }
}
