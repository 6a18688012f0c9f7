//! Test pictures put together to clips and played as one tap: what `mishaps` and `attacks` have in common.

use std::path::{Path, PathBuf};

use examgate::{
    domain::Template,
    session::Policy,
    vision::{Bounds, Colour, Face, ImageView, Pipeline},
};
use image::RgbImage;

use super::{clips, policy};
use examgate_enrol::models::{self, ModelArgs};

use crate::{
    attacks::write_frames,
    play::tap::{self as play, Ended},
};

/// The nets and the rule as they ship.
pub(super) struct StagedTap {
    pub(super) pipeline: Pipeline,
    policy: Policy,
}

impl StagedTap {
    pub(super) fn new() -> Self {
        let models =
            ModelArgs::at(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).load().expect("run `make models`");
        Self { policy: policy(models.manifest()), pipeline: models::open(&models).unwrap() }
    }

    fn faces(&mut self, picture: &RgbImage) -> Vec<Face> {
        self.pipeline.detect_photo(&view(picture)).unwrap()
    }

    /// The place of the one face.
    pub(super) fn face(&mut self, picture: &RgbImage) -> Bounds {
        let faces = self.faces(picture);
        assert_eq!(faces.len(), 1, "{faces:?}");
        faces[0].bounds
    }

    pub(super) fn enrolled(&mut self, picture: &RgbImage) -> Vec<Template> {
        let faces = self.faces(picture);
        vec![self.pipeline.embed_photo(&view(picture), &faces[0]).unwrap()]
    }

    /// One tap of whom `templates` show.
    pub(super) fn play(&mut self, templates: &[Template], frames: impl IntoIterator<Item = RgbImage>) -> Ended {
        let root = tempfile::tempdir().unwrap();
        write_frames(&root.path().join("clip"), frames.into_iter()).unwrap();
        let clip = clips::find(root.path()).unwrap().remove(0);
        let frames = clip.frames(false).unwrap();
        let all = 0..frames.paths.len();
        play::play(&mut self.pipeline, &self.policy, &clip.name, &frames, all, templates).unwrap()
    }
}

fn view(picture: &RgbImage) -> ImageView<'_> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    ImageView::new(picture.as_raw(), width, height, 3 * width, Colour::Rgb).unwrap()
}

/// A file or folder of the test pictures.
pub(super) fn cache(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pictures/cache").join(name)
}

pub(super) fn picture(name: &str) -> RgbImage {
    let path = cache(name);
    image::open(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make pictures`", path.display())).to_rgb8()
}
