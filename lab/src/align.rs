//! `align`: faces as the embedder sees them, as pictures: to look at, and to calibrate a quantised net with.

use std::{fs, path::PathBuf};

use anyhow::Context;
use image::RgbImage;

use examgate::exit::Refusal;
use examgate_enrol::{
    faces::each_central,
    folder,
    models::{self, ModelArgs},
};

/// Side of an aligned face, pixels.
const SIDE: u32 = 112;

/// Writes the face nearest to the middle of each picture as the embedder sees it: 112 x 112 pixels, eyes, nose and mouth in place.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  examgate-lab align --images photos --out aligned")]
pub(crate) struct Args {
    /// Folder of pictures: JPEG or PNG. May be given several times.
    #[arg(long, value_name = "DIR", required = true)]
    images: Vec<PathBuf>,
    /// Folder for the PNG files, numbered in the order of the pictures' names.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Takes only every so many pictures of a folder, for frames of a clip.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    #[command(flatten)]
    models: ModelArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut paths = Vec::new();
    for folder in &args.images {
        let files = folder::list(folder)
            .with_context(|| Refusal::Usage(format!("cannot list the pictures in {}", folder.display())))?;
        paths.extend(files.iter().step_by(usize::from(args.every)).map(|file| folder.join(file)));
    }
    let models = args.models.load()?;
    let faces = each_central(&models, models::default_threads(), &paths, |pipeline, view, face| {
        pipeline.embedder().align(view, face)?;
        Ok(pipeline.embedder().aligned_pixels())
    })?;
    let failed = || format!("cannot write the faces into {}", args.out.display());
    fs::create_dir_all(&args.out).with_context(failed)?;
    for (at, pixels) in faces.into_iter().flatten().enumerate() {
        let face = RgbImage::from_raw(SIDE, SIDE, pixels).context("an aligned face has 112 x 112 pixels")?;
        face.save(args.out.join(format!("{at:04}.png"))).with_context(failed)?;
    }
    Ok(())
}
