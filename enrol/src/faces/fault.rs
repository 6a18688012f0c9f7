//! Why a photo gives no template or a poor one, in words, and how to mend it.

use std::io;

use examgate::{
    domain::{QualityDefect, WithSources},
    vision::{DecodeError, VisionError},
};
use serde::{Serialize, Serializer};

use super::LARGEST_FILE;
use crate::archive::EntryError;

/// Why a photo gives no template.
#[derive(Debug, thiserror::Error)]
pub enum PhotoFault {
    /// No such file.
    #[error("the file is not there")]
    Missing,
    /// The file system refuses it.
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
    /// The archive it is in gives nothing of it.
    #[error("the file in the archive cannot be read: {0}")]
    Packed(EntryError),
    /// No bytes.
    #[error("the file has no bytes")]
    Empty,
    /// More bytes than are read.
    #[error("the file has more than {} MiB", LARGEST_FILE / 1024 / 1024)]
    HugeFile,
    /// More pixels than are decoded.
    #[error("{0}")]
    HugePicture(DecodeError),
    /// Not a picture that can be decoded.
    #[error("{}", WithSources(.0))]
    Undecodable(DecodeError),
    /// No face was found.
    #[error("no face was found")]
    NoFace,
    /// So many faces of similar prominence.
    #[error("{0} faces of similar size and place: it is not certain whom the photo is of")]
    SeveralFaces(usize),
    /// So many pixels between the eyes.
    #[error("the face is too small: {0:.0} pixels between the eyes")]
    TooSmall(f32),
    /// No turn is clearly the right one.
    #[error("it cannot be told which side of the photo is up")]
    NotUpright,
    /// A net fails.
    #[error("{}", WithSources(.0))]
    Vision(VisionError),
}

impl PhotoFault {
    /// The stable name in reports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable(_) | Self::Packed(_) => "unreadable",
            Self::Empty => "empty",
            Self::HugeFile | Self::HugePicture(_) => "too_large",
            Self::Undecodable(_) => "undecodable",
            Self::NoFace => "no_face",
            Self::SeveralFaces(_) => "several_faces",
            Self::TooSmall(_) => "face_too_small",
            Self::NotUpright => "not_upright",
            Self::Vision(_) => "vision",
        }
    }

    /// How to mend it.
    pub const fn mend(&self) -> &'static str {
        match self {
            Self::Missing => "add the file to the photos, or correct its name in the CSV",
            Self::Unreadable(_) => "check the file's permissions and the disk",
            Self::Packed(_) => "pack the photos again, and copy all of the archive; or unpack it and name the folder",
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
            Self::NotUpright => "turn it upright and save it so, or take another",
            Self::Vision(_) => "try another photo of the student",
        }
    }
}

/// What makes a photo a poor one, though it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhotoDefect {
    /// A measured property.
    Quality(QualityDefect),
    /// Wider or higher than it was taken.
    Stretched,
    /// The embedding is short, and the eyes are what may be wrong.
    EyesUnseen,
    /// The embedding is short: something is wrong with the face that no property tells.
    Unsure,
}

impl PhotoDefect {
    /// What is wrong, and where it is not plain from that, how to mend it.
    pub const fn words(self) -> &'static str {
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
            Self::Stretched => {
                "the face is stretched or squeezed, so the door will not know it well; scale the photo again with its proportions kept"
            }
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
            Self::Stretched => to.serialize_str("stretched"),
            Self::EyesUnseen => to.serialize_str("eyes_unseen"),
            Self::Unsure => to.serialize_str("unsure"),
        }
    }
}
