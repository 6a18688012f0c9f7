//! `align`: writes aligned faces as pictures, to look at or to calibrate a quantised net.

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

/// Writes aligned faces as PNG files: the face nearest to the middle of each picture, 112 x 112 pixels, as the embedder gets it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  examgate-lab align --images photos --out aligned")]
pub(crate) struct Args {
    /// Folder of pictures (JPEG or PNG). May be repeated.
    #[arg(long, value_name = "DIR", required = true)]
    images: Vec<PathBuf>,
    /// Output folder for the PNG files, numbered in the order of the pictures' names.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Takes only every Nth picture of a folder; useful for the frames of a clip.
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
