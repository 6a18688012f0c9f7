//! `examgate-lab attacks`: draws presentation attacks as folders of frames, which `examgate-lab evaluate liveness` plays.
//!
//! Each face of each still, and each clip, is put on every carrier that suits it and moved in every way. Folders are
//! KIND/PICTURE/MOVEMENT. `scene.rs` says which effects are drawn and which are not.

mod scene;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, mpsc},
    thread,
};

use anyhow::{Context, Result, bail};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};

pub(crate) use self::scene::{Carrier, Movement, SIZE, draw};
use examgate::vision::{Bounds, Colour, Image, ImageView, Manifest, Options, Pipeline, decode_file};

/// What to draw.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A still, or a folder of numbered frames, to draw attacks from. May be repeated [default: the test pictures].
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Output folder; it must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of frames per sequence, at 30 frames per second.
    #[arg(long, default_value_t = 80, value_name = "N")]
    frames: usize,
    /// Draws only this kind of attack. May be repeated [default: all kinds].
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// The project's folder, which holds models/ and the test pictures.
    #[arg(long, default_value = ".", value_name = "DIR")]
    project: PathBuf,
}

/// Of the test pictures, one or the most useful of each person.
const PICTURES: [&str; 6] = [
    "photos/biden.jpg",
    "photos/multi_face.jpg",
    "photos/obama.jpg",
    "photos/single_face.jpg",
    "clips/single_face",
    "clips/WolfgangLanger_Pexels",
];

/// What a presented picture shows, in heights of the face.
const HEIGHT: f32 = 2.6;
/// Smallest face that is presented, pixels: a smaller one is too blurred to be anybody.
const SMALLEST: f32 = 60.0;
/// Quality of the JPEG frames: that of a camera's MJPEG.
const QUALITY: u8 = 85;

/// A picture that an attacker has.
pub(crate) struct Portrait {
    /// Of its file, and which face of it.
    pub name: String,
    /// One of a still.
    pub frames: Vec<RgbImage>,
}

/// Draws all sequences; tells what to `out`.
///
/// # Errors
/// When a picture cannot be read, shows no face, or a folder cannot be written.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    if arguments.out.exists() {
        bail!("{} is there already: remove it, or name another folder", arguments.out.display());
    }
    let project = std::path::absolute(&arguments.project)?;
    let manifest = Manifest::load(&project.join("models/manifest.toml"))?;
    let mut pipeline = Pipeline::open(&manifest.verify(&project)?, Options::default())?;
    let sources = if arguments.from.is_empty() {
        PICTURES.map(|name| project.join("tests/pictures/cache").join(name)).to_vec()
    } else {
        arguments.from.clone()
    };
    let mut portraits = Vec::new();
    for source in &sources {
        let found = portraits_of(&mut pipeline, source).with_context(|| source.display().to_string())?;
        if found.is_empty() {
            writeln!(out, "{}: no face of {SMALLEST} pixels, passed over", source.display())?;
        }
        portraits.extend(found);
    }
    let sequences: Vec<_> = portraits
        .iter()
        .flat_map(|portrait| Carrier::ALL.into_iter().map(move |carrier| (portrait, carrier)))
        .filter_map(|(portrait, carrier)| Some((portrait, carrier, carrier.kind(portrait.frames.len() > 1)?)))
        .filter(|(.., kind)| arguments.kind.is_empty() || arguments.kind.iter().any(|wanted| wanted == kind))
        .flat_map(|sequence| Movement::ALL.into_iter().map(move |movement| (sequence, movement)))
        .collect();
    if sequences.is_empty() {
        bail!("nothing to draw: no picture shows a face, or --kind names no kind of attack");
    }
    let (count, queue) = (sequences.len(), Mutex::new(sequences.into_iter().enumerate()));
    let (done, drawn) = mpsc::channel();
    let work = |done: mpsc::Sender<()>| -> Result<()> {
        loop {
            let next = queue.lock().expect("drawing does not panic").next();
            let Some((seed, ((portrait, carrier, kind), movement))) = next else { return Ok(()) };
            let folder = arguments.out.join(kind).join(&portrait.name).join(movement.name());
            let frames = draw(&portrait.frames, carrier, movement, seed as u64);
            write_frames(&folder, frames.take(arguments.frames))
                .with_context(|| format!("cannot write {}", folder.display()))?;
            // Nobody listens any more where telling has failed: then the rest is not drawn either.
            if done.send(()).is_err() {
                return Ok(());
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn({
                    let done = done.clone();
                    move || work(done)
                })
            })
            .collect();
        drop(done);
        for n in (1..=count).zip(drawn).map(|(n, ())| n).filter(|n| n * 10 / count > (n - 1) * 10 / count) {
            writeln!(out, "drawn {n} of {count} sequences")?;
        }
        workers.into_iter().try_for_each(|worker| worker.join().expect("drawing does not panic"))
    })?;
    writeln!(out, "{count} sequences of {} frames in {}", arguments.frames, arguments.out.display())?;
    Ok(())
}

/// Writes `frames` as numbered JPEG files into a new `folder`.
///
/// # Errors
/// When it cannot.
pub(crate) fn write_frames(folder: &Path, frames: impl Iterator<Item = RgbImage>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (n, frame) in frames.enumerate() {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&frame).map_err(io::Error::other)?;
        fs::write(folder.join(format!("{:04}.jpg", n + 1)), bytes)?;
    }
    Ok(())
}

/// Every face of the still `source`, cut out as one would print it; of a folder of frames, the face of the first.
///
/// # Errors
/// When a picture cannot be read or a net fails.
pub(crate) fn portraits_of(pipeline: &mut Pipeline, source: &Path) -> Result<Vec<Portrait>> {
    let name = source.file_stem().context("it has no name")?.to_string_lossy().into_owned();
    if !source.is_dir() {
        let picture = read(source)?;
        let places = faces(pipeline, &picture)?;
        let number = |n: usize| if places.len() > 1 { format!("{name}-{}", n + 1) } else { name.clone() };
        let portrait = |(n, place)| Portrait { name: number(n), frames: vec![cut(&picture, place, &places)] };
        return Ok(places.iter().enumerate().map(portrait).collect());
    }
    let mut paths = fs::read_dir(source)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "jpg"));
    paths.sort();
    let first = read(paths.first().context("it holds no frame NNNN.jpg")?)?;
    let Some(place) = faces(pipeline, &first)?.into_iter().next() else { return Ok(Vec::new()) };
    let frames = paths.iter().map(|path| Ok(cut(&read(path)?, &place, &[]))).collect::<Result<Vec<_>>>()?;
    Ok(vec![Portrait { name, frames }])
}

fn read(path: &Path) -> Result<RgbImage> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let image: Image = decode_file(&bytes).with_context(|| format!("{} is no picture", path.display()))?;
    let (width, height) = (image.width() as u32, image.height() as u32);
    RgbImage::from_raw(width, height, image.as_bytes().to_vec()).context("a decoded file is RGB without gaps")
}

/// From the left to the right.
fn faces(pipeline: &mut Pipeline, picture: &RgbImage) -> Result<Vec<Bounds>> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let view = ImageView::new(picture.as_raw(), width, height, 3 * width, Colour::Rgb)?;
    let mut faces: Vec<_> = pipeline.detect_photo(&view)?.into_iter().map(|face| face.bounds).collect();
    faces.retain(|face| face.height() >= SMALLEST);
    faces.sort_by(|a, b| a.left.total_cmp(&b.left));
    Ok(faces)
}

/// Four to three around the face as far as the picture reaches, and no larger than a frame shows. Of `all` faces it shows one: it ends
/// halfway to those beside it.
fn cut(picture: &RgbImage, face: &Bounds, all: &[Bounds]) -> RgbImage {
    let middle = face.centre();
    let high = HEIGHT * face.height();
    let span = |middle: f32, size: f32, [from, to]: [f32; 2]| {
        let first = (middle - size / 2.0).max(from).min(to - 1.0) as u32;
        let last = (middle + size / 2.0).max(from).min(to) as u32;
        (first, last.saturating_sub(first).max(1))
    };
    let before = all.iter().filter(|other| other.right <= face.left).map(|other| other.right.midpoint(face.left));
    let after = all.iter().filter(|other| other.left >= face.right).map(|other| other.left.midpoint(face.right));
    let sides = [before.fold(0.0, f32::max), after.fold(picture.width() as f32, f32::min)];
    let (left, width) = span(middle.x, high * 4.0 / 3.0, sides);
    let (top, height) = span(middle.y, high, [0.0, picture.height() as f32]);
    let part = imageops::crop_imm(picture, left, top, width, height).to_image();
    let shrink = (SIZE.1 as f32 * 1.25 / height as f32).min(1.0);
    if shrink == 1.0 {
        return part;
    }
    let side = |side: u32| ((side as f32 * shrink) as u32).max(1);
    imageops::resize(&part, side(width), side(height), imageops::FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portrait_shows_one_face() {
        let picture = RgbImage::new(900, 600);
        let face = |left: f32| Bounds { left, top: 200.0, right: left + 100.0, bottom: 300.0 };
        let all = [face(100.0), face(300.0), face(700.0)];
        let sizes = all.each_ref().map(|one| cut(&picture, one, &all).dimensions());
        // Halfway to those beside it, or to the picture's border.
        assert_eq!(sizes, [(250, 260), (273, 260), (324, 260)]);
        assert_eq!(cut(&picture, &all[1], &[]).dimensions(), (347, 260));
    }
}
