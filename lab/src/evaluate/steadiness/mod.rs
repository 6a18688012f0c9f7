//! `evaluate steadiness`: compares each photo with copies of itself that are enlarged, reduced, moved and so on, as an enrolment photo and
//! as a camera frame. A low similarity means that the landmarks are wrong in the photo or in the copy.

mod variants;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use examgate::{
    domain::Embedding,
    vision::{Bounds, Face, Image, Pipeline, Point},
};
use serde::Serialize;

use self::variants::{Variant, frame};
use crate::dataset::pictures;
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{self, PhotoFault},
    measuring::MeasuringArgs,
    models,
};

/// Pairs named in the report.
const WORST: usize = 20;
/// Similarities below which pairs are counted: what a photo and itself should never be below, and what is another person's.
const LIMITS: [f32; 2] = [0.8, 0.5];

/// Measures how stable face alignment is: compares each photo with slightly changed copies of itself.
///
/// Each photo is enlarged, reduced, moved, mirrored, brightened, darkened and re-encoded. Each copy is compared with the template of the
/// photo, once as an enrolment photo, and once as a camera frame (640 x 480 pixels, the face in the middle). A similarity far below 1
/// means that the eyes, nose and mouth were found in different places. If a photo shows several faces, the one nearest to the middle is
/// used. If that face is not found in a copy, it is counted as lost, even where another face was found.
#[derive(clap::Args)]
#[command(after_help = "Example:
  examgate-lab evaluate steadiness --images id-photos --json")]
pub(crate) struct Args {
    /// Folder of pictures (JPEG or PNG), searched with its subfolders.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Takes only every Nth picture; useful for a first look at a large folder.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// As what a variant was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum As {
    Photo,
    Frame,
}

/// One photo against one variant of itself.
#[derive(Clone, Debug, Serialize)]
struct Compared {
    picture: String,
    variant: Variant,
    #[serde(rename = "as")]
    seen: As,
    /// `null` where the face was not found.
    similarity: Option<f32>,
}

/// All comparisons of one kind.
#[derive(Debug, Serialize)]
struct Kind {
    variant: Variant,
    #[serde(rename = "as")]
    seen: As,
    median: f32,
    least: f32,
    below_0_8: usize,
    below_0_5: usize,
    /// The face was not found any more.
    lost: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    /// With a face.
    pictures: usize,
    unreadable: usize,
    faceless: usize,
    /// Comparisons of a photo with a variant of itself.
    variants: usize,
    below_0_8: usize,
    below_0_5: usize,
    /// Variants in which the photo's face was not found.
    lost: usize,
    kinds: Vec<Kind>,
    /// The least similar ones, the worst first.
    worst: Vec<Compared>,
}

/// What became of one picture.
enum Looked {
    Unreadable,
    Faceless,
    Compared(Vec<Compared>),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let paths: Vec<PathBuf> = pictures::list(&args.images)?.into_iter().step_by(usize::from(args.every)).collect();
    if paths.is_empty() {
        return Err(Refusal::Data(format!("{} has no pictures: JPEG or PNG", args.images.display())).into());
    }
    let models = args.measuring.load()?;
    let looked = models::each(&models, args.measuring.threads(), "pictures", &paths, |pipeline, path| {
        let name = path.strip_prefix(&args.images).unwrap_or(path).display().to_string();
        look(pipeline, path, &name).with_context(|| format!("at {}", path.display()))
    })?;
    let report = summary(looked, models.manifest().embedder.net.name.clone());
    args.measuring.print(&report, table)
}

fn look(pipeline: &mut Pipeline, path: &Path, name: &str) -> anyhow::Result<Looked> {
    let image = match faces::open(path) {
        Ok(image) => image,
        Err(fault) => {
            tracing::warn!(image = %path.display(), "{fault}");
            return Ok(Looked::Unreadable);
        }
    };
    let Some(face) = photo(pipeline, &image)? else { return Ok(Looked::Faceless) };
    let template = pipeline.embed_photo(&image.view()?, &face)?.embedding.clone();
    let at_door = frame(&image, &face)?;
    let in_frame = Point { x: at_door.width() as f32 / 2.0, y: at_door.height() as f32 / 2.0 };
    let mut compared = Vec::new();
    for (seen, base, middle) in [(As::Photo, &image, face.bounds.centre()), (As::Frame, &at_door, in_frame)] {
        for &variant in Variant::ALL {
            // The photo as it is was the template.
            if (seen, variant) == (As::Photo, Variant::AsIs) {
                continue;
            }
            let middle = variant.place(middle, base.width());
            let embedding = embed(pipeline, &variant.of(base)?, seen, middle)?;
            let similarity = embedding.map(|embedding| template.similarity(&embedding).get());
            compared.push(Compared { picture: name.to_owned(), variant, seen, similarity });
        }
    }
    Ok(Looked::Compared(compared))
}

fn photo(pipeline: &mut Pipeline, image: &Image) -> anyhow::Result<Option<Face>> {
    match faces::find(pipeline, &image.view()?) {
        Ok(face) => Ok(Some(face)),
        Err(PhotoFault::Vision(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// The embedding of the face that `middle` lies in; `None` where it is not found, though another may be.
fn embed(pipeline: &mut Pipeline, image: &Image, seen: As, middle: Point) -> anyhow::Result<Option<Embedding>> {
    let view = image.view()?;
    let found = match seen {
        As::Photo => pipeline.detect_photo(&view)?,
        As::Frame => pipeline.detect(&view)?,
    };
    let off = |face: &Face| {
        let centre = face.bounds.centre();
        (centre.x - middle.x).hypot(centre.y - middle.y)
    };
    let holds = |bounds: &Bounds| {
        (bounds.left..bounds.right).contains(&middle.x) && (bounds.top..bounds.bottom).contains(&middle.y)
    };
    let meant = found.iter().filter(|face| holds(&face.bounds)).min_by(|a, b| off(a).total_cmp(&off(b)));
    let Some(face) = meant else { return Ok(None) };
    Ok(Some(match seen {
        As::Photo => pipeline.embed_photo(&view, face)?.embedding.clone(),
        As::Frame => pipeline.embed(&view, face)?.embedding.clone(),
    }))
}

fn summary(looked: Vec<Looked>, model: String) -> Report {
    let (mut pictures, mut unreadable, mut faceless, mut all) = (0, 0, 0, Vec::new());
    for looked in looked {
        match looked {
            Looked::Unreadable => unreadable += 1,
            Looked::Faceless => faceless += 1,
            Looked::Compared(compared) => {
                pictures += 1;
                all.extend(compared);
            }
        }
    }
    all.sort_by(|a, b| a.similarity.unwrap_or(f32::MAX).total_cmp(&b.similarity.unwrap_or(f32::MAX)));
    let below = |limit: f32, of: &dyn Fn(&Compared) -> bool| {
        all.iter().filter(|one| of(one) && one.similarity.is_some_and(|similarity| similarity < limit)).count()
    };
    let kind = |seen: As, variant: Variant| {
        let of = |one: &Compared| (one.seen, one.variant) == (seen, variant);
        let found: Vec<f32> = all.iter().filter(|one| of(one)).filter_map(|one| one.similarity).collect();
        Some(Kind {
            variant,
            seen,
            // Sorted, since all are.
            median: *found.get(found.len() / 2)?,
            least: *found.first()?,
            below_0_8: below(LIMITS[0], &of),
            below_0_5: below(LIMITS[1], &of),
            lost: all.iter().filter(|one| of(one)).count() - found.len(),
        })
    };
    let kinds = [As::Photo, As::Frame].into_iter().flat_map(|seen| Variant::ALL.iter().map(move |&one| (seen, one)));
    Report {
        model,
        pictures,
        unreadable,
        faceless,
        variants: all.len(),
        below_0_8: below(LIMITS[0], &|_| true),
        below_0_5: below(LIMITS[1], &|_| true),
        lost: all.iter().filter(|one| one.similarity.is_none()).count(),
        kinds: kinds.filter_map(|(seen, variant)| kind(seen, variant)).collect(),
        worst: all.iter().filter(|one| one.similarity.is_some()).take(WORST).cloned().collect(),
    }
}

fn table(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { model, pictures, unreadable, faceless, variants, below_0_8, below_0_5, lost, kinds, worst } = report;
    writeln!(out, "model                {model}")?;
    writeln!(out, "pictures             {pictures}")?;
    writeln!(out, "unreadable           {unreadable}")?;
    writeln!(out, "without face         {faceless}")?;
    writeln!(out, "variants compared    {variants}")?;
    let share = |count: usize| 1000.0 * count as f64 / (*variants).max(1) as f64;
    writeln!(out, "below 0.8            {below_0_8}  ({:.2} of 1,000)", share(*below_0_8))?;
    writeln!(out, "below 0.5            {below_0_5}  ({:.2} of 1,000)", share(*below_0_5))?;
    writeln!(out, "face lost            {lost}  ({:.2} of 1,000)", share(*lost))?;
    writeln!(
        out,
        "\n{:<8}{:<14}{:>8}{:>8}{:>11}{:>11}{:>7}",
        "as", "variant", "median", "least", "below 0.8", "below 0.5", "lost"
    )?;
    for Kind { variant, seen, median, least, below_0_8, below_0_5, lost } in kinds {
        let (seen, name) = (seen.word(), variant.name());
        writeln!(out, "{seen:<8}{name:<14}{median:>8.3}{least:>8.3}{below_0_8:>11}{below_0_5:>11}{lost:>7}")?;
    }
    writeln!(out, "\nleast like themselves")?;
    for Compared { picture, variant, seen, similarity } in worst {
        writeln!(out, "{:>7.3}  {picture}, {} as a {}", similarity.unwrap_or_default(), variant.name(), seen.word())?;
    }
    Ok(())
}

impl As {
    const fn word(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Frame => "frame",
        }
    }
}

#[cfg(test)]
mod tests {
    use examgate_enrol::models::ModelArgs;

    use super::*;

    fn compared(picture: &str, variant: Variant, similarity: Option<f32>) -> Compared {
        Compared { picture: picture.into(), variant, seen: As::Photo, similarity }
    }

    #[test]
    fn what_is_below_is_counted_and_the_worst_named_first() {
        let looked = vec![
            Looked::Unreadable,
            Looked::Faceless,
            Looked::Compared(vec![
                compared("a.jpg", Variant::Enlarged, Some(0.79)),
                compared("a.jpg", Variant::Mirrored, Some(0.8)),
            ]),
            Looked::Compared(vec![
                compared("b.jpg", Variant::Enlarged, Some(0.04)),
                compared("b.jpg", Variant::Mirrored, None),
            ]),
        ];
        let report = summary(looked, "m".into());
        assert_eq!((report.pictures, report.unreadable, report.faceless), (2, 1, 1));
        assert_eq!((report.variants, report.below_0_8, report.below_0_5, report.lost), (4, 2, 1, 1));
        let enlarged = &report.kinds[0];
        assert_eq!((enlarged.variant, enlarged.least, enlarged.below_0_8), (Variant::Enlarged, 0.04, 2));
        assert_eq!((report.kinds[1].variant, report.kinds[1].lost), (Variant::Mirrored, 1));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["worst"][0]["picture"], "b.jpg");
        assert_eq!((&json["worst"][0]["variant"], &json["worst"][0]["as"]), (&"enlarged".into(), &"photo".into()));
        for key in ["pictures", "variants", "below_0_8", "below_0_5"] {
            assert!(json[key].is_u64(), "{key}");
        }
        let mut out = Vec::new();
        table(&mut out, &report).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("0.040  b.jpg, enlarged as a photo"));
    }

    /// The test pictures, through the real nets.
    #[test]
    fn photos_are_like_themselves() {
        let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pictures/cache/photos");
        let mut pipeline =
            models::open(&ModelArgs::at(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).load().unwrap()).unwrap();
        for name in ["obama.jpg", "single_face.jpg"] {
            let Looked::Compared(all) = look(&mut pipeline, &photos.join(name), name).unwrap() else {
                panic!("{name} has a face: run `make pictures`")
            };
            assert_eq!(all.len(), 2 * Variant::ALL.len() - 1);
            for one in all {
                assert!(one.similarity.is_some_and(|similarity| similarity > 0.9), "{one:?}");
            }
        }
    }
}
