//! A photo's file to one face's template, or the reason why not and how to mend it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use examgate::{
    domain::{Embedding, QualityDefect, Template},
    vision::{DecodeError, Face, Image, ImageView, Pipeline, VerifiedModels, VisionError, decode_file},
};

use serde::{Serialize, Serializer};

use crate::models;

/// Largest file read, bytes: well above any photo within the decoder's limits.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;
/// A second face is a rival when it is at least this share as prominent as the first: then it is not certain whom the photo is of.
const RIVAL: f32 = 0.6;

/// Why a photo gives no template.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhotoFault {
    #[error("the file is not there")]
    Missing,
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("the file has no bytes")]
    Empty,
    #[error("the file has more than {} MiB", LARGEST_FILE / 1024 / 1024)]
    HugeFile,
    #[error("{0}")]
    HugePicture(DecodeError),
    #[error("{}", chain(.0))]
    Undecodable(DecodeError),
    #[error("no face was found")]
    NoFace,
    #[error("{0} faces of similar size and place: it is not certain whom the photo is of")]
    SeveralFaces(usize),
    #[error("the face is too small: {0:.0} pixels between the eyes")]
    TooSmall(f32),
    #[error("{}", chain(.0))]
    Vision(VisionError),
}

impl PhotoFault {
    /// The stable name in reports.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable(_) => "unreadable",
            Self::Empty => "empty",
            Self::HugeFile | Self::HugePicture(_) => "too_large",
            Self::Undecodable(_) => "undecodable",
            Self::NoFace => "no_face",
            Self::SeveralFaces(_) => "several_faces",
            Self::TooSmall(_) => "face_too_small",
            Self::Vision(_) => "vision",
        }
    }

    /// How to mend it.
    pub(crate) const fn mend(&self) -> &'static str {
        match self {
            Self::Missing => "add the file to the photo folder, or correct its name in the CSV",
            Self::Unreadable(_) => "check the file's permissions and the disk",
            Self::Empty => {
                "save or export the photo again as JPEG or PNG, and copy all of it; if it is in a cloud folder, download it first"
            }
            Self::Undecodable(_) => "save or export the photo again as JPEG or PNG, and copy all of it",
            Self::HugeFile | Self::HugePicture(_) => "scale it down to at most 2000 pixels a side",
            Self::NoFace => {
                "use a frontal photo, upright, in even light, with the whole face in view and at least a tenth of the picture"
            }
            Self::SeveralFaces(_) => "crop it to the student",
            Self::TooSmall(_) => "use a larger photo, or one taken from nearer",
            Self::Vision(_) => "try another photo of the student",
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Which face of a picture is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The most prominent (large, and near the picture's middle), if no other rivals it: photos of one person.
    Prominent,
    /// The one nearest to the picture's middle, however many there are: cropped data sets.
    Central,
}

/// What makes a photo a poor one, though it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PhotoDefect {
    /// A measured property.
    Quality(QualityDefect),
    /// The embedding is short, and the eyes are what may be wrong.
    EyesUnseen,
    /// The embedding is short: something is wrong with the face that no property tells.
    Unsure,
}

impl PhotoDefect {
    /// What is wrong, and where it is not plain from that, how to mend it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Quality(QualityDefect::TooFar) => "the face is small",
            Self::Quality(QualityDefect::TooClose) => "the face fills the picture",
            Self::Quality(QualityDefect::AtBorder) => {
                "part of the face is outside the picture; take another with the whole head in view"
            }
            Self::Quality(QualityDefect::TurnedAway) => {
                "the head is turned away; take another that looks straight into the camera"
            }
            Self::Quality(QualityDefect::TooDark) => "the face is too dark; take another with more light on it",
            Self::Quality(QualityDefect::TooBright) => "the face is too bright; take another with less light on it",
            Self::Quality(QualityDefect::Blurred) => "blurred; take another, held still and in focus",
            Self::EyesUnseen => {
                "the eyes seem closed or behind dark glass, and the net is unsure of this face, so the door will often be, too; take \
                 another with open eyes, without them, and upright"
            }
            Self::Unsure => {
                "the net is unsure of this face, so the door will often be, too: something may cover it (sunglasses, hair, a hand), or it is \
                 blurred, turned, not upright or odd; take another"
            }
        }
    }
}

impl Serialize for PhotoDefect {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Quality(defect) => defect.serialize(to),
            Self::EyesUnseen => to.serialize_str("eyes_unseen"),
            Self::Unsure => to.serialize_str("unsure"),
        }
    }
}

/// A photo's face.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) template: Template,
    /// The worst of them.
    pub(crate) defect: Option<PhotoDefect>,
    /// Nothing is wrong that could be measured, but somebody should look whether the eyes are closed: by itself no defect, since narrow
    /// eyes look the same to the net.
    pub(crate) look_at_eyes: bool,
}

/// Reads, decodes, detects, chooses, aligns and embeds.
pub(crate) fn enrol(pipeline: &mut Pipeline, path: &Path, choice: Choice) -> Result<Enrolled, PhotoFault> {
    let image = decode(&read(path)?)?;
    let view = image.view().map_err(|e| PhotoFault::Undecodable(e.into()))?;
    let face = find(pipeline, &view, choice)?;
    let mut closed = false;
    let defect = match choice {
        Choice::Central => None,
        Choice::Prominent => {
            let quality = pipeline.photo_quality(&view, &face).map_err(PhotoFault::Vision)?;
            closed = quality.eyes_open.zip(pipeline.eyes_spec()).is_some_and(|(open, spec)| open < spec.closed);
            match quality.defect {
                Some(QualityDefect::TooFar) => return Err(PhotoFault::TooSmall(quality.eye_distance)),
                // Only the liveness net minds a face that fills the picture, and it does not look at photos.
                Some(QualityDefect::TooClose) => None,
                other => other,
            }
        }
    };
    let template = pipeline.embed_photo(&view, &face).map_err(PhotoFault::Vision)?;
    let embedder = pipeline.embedder();
    let unsure = embedder.spec().thresholds.unsure.is_some_and(|least| embedder.length() < least);
    // A property says what to mend: it goes first.
    let defect = defect.map(PhotoDefect::Quality).or(match (unsure, closed) {
        (true, true) => Some(PhotoDefect::EyesUnseen),
        (true, false) => Some(PhotoDefect::Unsure),
        (false, _) => None,
    });
    Ok(Enrolled { template, look_at_eyes: closed && defect.is_none(), defect })
}

fn find(pipeline: &mut Pipeline, view: &ImageView<'_>, choice: Choice) -> Result<Face, PhotoFault> {
    let faces = pipeline.detect_photo(view).map_err(PhotoFault::Vision)?;
    match choice {
        Choice::Prominent => prominent(&faces, view.width(), view.height()),
        Choice::Central => central(&faces, view.width(), view.height()),
    }
}

/// One face of a labelled picture, in both parts that it can play.
#[derive(Clone)]
pub(crate) struct BothWays {
    /// As one frame at the door.
    pub(crate) probe: Embedding,
    /// What that frame weighs where frames are fused.
    pub(crate) weight: f32,
    /// As an enrolment photo.
    pub(crate) template: Embedding,
}

impl BothWays {
    pub(crate) fn of(pipeline: &mut Pipeline, view: &ImageView<'_>, face: &Face) -> Result<Self, VisionError> {
        let template = pipeline.embed_photo(view, face)?.embedding.clone();
        let probe = pipeline.embed(view, face)?.embedding.clone();
        Ok(Self { probe, weight: pipeline.embedder().length(), template })
    }
}

/// The face nearest to the middle of each labelled picture, in both parts; `None` as by [`each_central`].
pub(crate) fn embed_all(
    models: &VerifiedModels,
    threads: usize,
    paths: &[PathBuf],
) -> anyhow::Result<Vec<Option<BothWays>>> {
    each_central(models, threads, paths, BothWays::of)
}

/// Photos of `enrolled` and probes of `looked`: as a box sees students whom another net enrolled.
pub(crate) fn mixed(enrolled: Vec<Option<BothWays>>, looked: Vec<Option<BothWays>>) -> Vec<Option<BothWays>> {
    let mix = |(enrolled, looked): (Option<BothWays>, Option<BothWays>)| {
        Some(BothWays { template: enrolled?.template, ..looked? })
    };
    enrolled.into_iter().zip(looked).map(mix).collect()
}

/// What `work` makes of the face nearest to the middle of each labelled picture; `None` where none is found or the picture cannot be
/// read, with a warning.
pub(crate) fn each_central<R: Send>(
    models: &VerifiedModels,
    threads: usize,
    paths: &[PathBuf],
    work: impl Fn(&mut Pipeline, &ImageView<'_>, &Face) -> Result<R, VisionError> + Sync,
) -> anyhow::Result<Vec<Option<R>>> {
    let look = |pipeline: &mut Pipeline, path: &Path| {
        let image = decode(&read(path)?)?;
        let view = image.view().map_err(|e| PhotoFault::Undecodable(e.into()))?;
        let face = find(pipeline, &view, Choice::Central)?;
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

fn read(path: &Path) -> Result<Vec<u8>, PhotoFault> {
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

/// Side times nearness to the middle. People beside a student are as near to it as they are; passers-by are at the border.
fn prominent(faces: &[Face], width: usize, height: usize) -> Result<Face, PhotoFault> {
    let prominence =
        |face: &Face| face.bounds.width().max(face.bounds.height()) * (1.0 - off_centre(face, width, height)).max(0.0);
    let face = *faces.iter().max_by(|a, b| prominence(a).total_cmp(&prominence(b))).ok_or(PhotoFault::NoFace)?;
    match faces.iter().filter(|other| prominence(other) >= RIVAL * prominence(&face)).count() {
        1 => Ok(face),
        several => Err(PhotoFault::SeveralFaces(several)),
    }
}

fn central(faces: &[Face], width: usize, height: usize) -> Result<Face, PhotoFault> {
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
