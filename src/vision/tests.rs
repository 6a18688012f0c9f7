//! The room as a whole, with the real nets on real pictures. What is missing fails with the command that brings it.

use std::error::Error;
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::*;
use crate::domain::{Continuity, EmbeddingSpaceId, MonoTime, Similarity, Template};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manifest() -> Manifest {
    Manifest::load(&root().join("models/manifest.toml"))
        .unwrap_or_else(|error| panic!("{error}: {:?}", error.source().map(ToString::to_string)))
}

pub(super) fn pipeline() -> Pipeline {
    let models = manifest().verify(&root()).unwrap_or_else(|error| panic!("{error}"));
    Pipeline::open(&models, Options::default()).expect("the nets open")
}

fn read(path: &str) -> Vec<u8> {
    let path = root().join("tests/pictures/cache").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make models`", path.display()))
}

pub(super) fn photo(name: &str) -> Image {
    decode_file(&read(&format!("photos/{name}.jpg"))).expect("a sound photo")
}

fn enrolled(pipeline: &mut Pipeline, name: &str) -> Template {
    let image = photo(name);
    let view = image.view().unwrap();
    let faces = pipeline.detect_photo(&view).unwrap();
    assert_eq!(faces.len(), 1, "{name}: {faces:?}");
    pipeline.embed(&view, &faces[0]).unwrap()
}

/// Nets and runtime in a folder of one's own, to be tampered with.
fn copy_models(to: &Path) {
    std::fs::create_dir_all(to.join("models/ready")).unwrap();
    for net in manifest().nets() {
        let file = Path::new("models/ready").join(&net.file);
        std::fs::copy(root().join(&file), to.join(&file)).expect("models/ready is filled: run `make models`");
    }
    std::os::unix::fs::symlink(root().join("runtime"), to.join("runtime")).unwrap();
}

#[test]
fn one_person_is_alike_two_are_not() {
    let mut pipeline = pipeline();
    let [obama, again, biden] = ["obama", "obama2", "biden"].map(|name| enrolled(&mut pipeline, name));
    let thresholds = pipeline.embedder().spec().thresholds.clone();
    let (same, other) = (obama.similarity(&again).unwrap(), obama.similarity(&biden).unwrap());
    assert!(same >= thresholds.admit, "{same:?}");
    assert!(other < thresholds.refer, "{other:?}");
    assert_eq!((obama.space, obama.artifact), (pipeline.space().clone(), pipeline.artifact()));
}

#[test]
fn all_faces_are_found_and_none_where_none_is() {
    let mut pipeline = pipeline();
    let image = photo("multi_face");
    assert_eq!(pipeline.detect_photo(&image.view().unwrap()).unwrap().len(), 5);
    for pixel in [0, 128, 255] {
        let blank = Image::new(vec![pixel; 640 * 480 * 3], 640, 480, Colour::Rgb).unwrap();
        assert_eq!(pipeline.detect_photo(&blank.view().unwrap()).unwrap(), []);
    }
    let tiny = Image::new(vec![0; 3], 1, 1, Colour::Rgb).unwrap();
    assert_eq!(pipeline.detect_photo(&tiny.view().unwrap()).unwrap(), []);
}

#[test]
fn colour_order_and_gaps_between_rows_make_no_difference() {
    let mut pipeline = pipeline();
    let image = photo("obama");
    let (width, height, stride) = (image.width(), image.height(), image.width() * 3 + 7);
    let mut bgr = vec![0; stride * height];
    for (to, from) in bgr.chunks_mut(stride).zip(image.as_bytes().chunks(width * 3)) {
        for (to, from) in to.chunks_exact_mut(3).zip(from.chunks_exact(3)) {
            to.copy_from_slice(&[from[2], from[1], from[0]]);
        }
    }
    let mut look = |view: ImageView<'_>| {
        let faces = pipeline.detect_photo(&view).unwrap();
        (faces.clone(), pipeline.embed(&view, &faces[0]).unwrap(), pipeline.liveness(&view, &faces[0]).unwrap())
    };
    let rgb = look(image.view().unwrap());
    assert_eq!(look(ImageView::new(&bgr, width, height, stride, Colour::Bgr).unwrap()), rgb);
}

#[test]
fn a_session_sees_one_live_face_and_notices_another() {
    let mut pipeline = pipeline();
    let mut folder: Vec<_> = std::fs::read_dir(root().join("tests/pictures/cache/clips/single_face"))
        .unwrap_or_else(|error| panic!("tests/pictures/cache/clips/single_face: {error}: run `make models`"))
        .map(|entry| entry.unwrap().path())
        .collect();
    folder.sort();
    let frames: Vec<Image> = folder
        .iter()
        .step_by(12)
        .take(5)
        .map(|path| {
            let mut image = Image::empty();
            decode_mjpeg(&std::fs::read(path).unwrap(), &mut image).unwrap();
            image
        })
        .collect();
    let last = frames.last().unwrap().view().unwrap();
    let faces = pipeline.detect(&last).unwrap();
    let template = pipeline.embed(&last, &faces[0]).unwrap();
    let thresholds = pipeline.embedder().spec().thresholds.clone();

    let mut probe = Probe::new(vec![template.clone()]);
    for (i, frame) in frames[..4].iter().enumerate() {
        let seen = probe.observe(&mut pipeline, &frame.view().unwrap(), MonoTime::default()).unwrap();
        let face = seen.face.expect("one face");
        assert_eq!((seen.faces, face.defect), (1, None));
        assert_eq!(face.continuity, if i == 0 { Continuity::First } else { Continuity::Same });
        assert!(face.similarity > thresholds.admit, "{face:?}");
        assert_eq!(face.liveness > 0.5, i > 0, "in doubt or live as soon as something has moved: {face:?}");
    }
    let mut still = Probe::new(vec![template.clone()]);
    for _ in 0..5 {
        let seen = still.observe(&mut pipeline, &frames[0].view().unwrap(), MonoTime::default()).unwrap();
        assert_eq!(seen.face.expect("one face").liveness, 0.0, "what never moves is not live");
    }

    let (biden, nobody) = (photo("biden"), Image::new(vec![9; 640 * 480 * 3], 640, 480, Colour::Rgb).unwrap());
    let seen = probe.observe(&mut pipeline, &nobody.view().unwrap(), MonoTime::default()).unwrap();
    assert_eq!((seen.faces, seen.face), (0, None));
    let seen = probe.observe(&mut pipeline, &biden.view().unwrap(), MonoTime::default()).unwrap();
    let face = seen.face.expect("one face");
    assert_eq!(face.continuity, Continuity::Changed);
    assert!(face.similarity < thresholds.refer, "{face:?}");

    let foreign = Template { space: EmbeddingSpaceId::new("another"), ..template };
    let refused = Probe::new(vec![foreign]).observe(&mut pipeline, &nobody.view().unwrap(), MonoTime::default());
    assert!(matches!(refused, Err(VisionError::Space(_))), "{refused:?}");
}

#[test]
fn providers_are_reported_and_agree() {
    let models = manifest().verify(&root()).unwrap_or_else(|error| panic!("{error}"));
    let mut as_shipped = Pipeline::open(&models, Options::default()).unwrap();
    for report in as_shipped.providers() {
        assert_eq!((report.used, &report.why), (report.asked, &None), "{report:?}");
    }
    let mut bare = Pipeline::open(&models, Options { provider: Some(Provider::Cpu), ..Options::default() }).unwrap();
    assert!(bare.providers().iter().all(|report| report.used == Provider::Cpu));
    let [one, other] = [&mut as_shipped, &mut bare].map(|pipeline| enrolled(pipeline, "obama"));
    assert!(one.similarity(&other).unwrap() > Similarity::new(0.9999));
    assert_eq!(one.artifact, other.artifact);
}

#[test]
fn a_wrong_cut_or_missing_file_is_refused_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    copy_models(scratch.path());
    manifest().verify(scratch.path()).expect("a faithful copy passes");
    let net = scratch.path().join("models/ready/mobilefacenet.onnx");
    let whole = std::fs::read(&net).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for (bytes, said) in [
        (Some(&altered[..]), "hash to"),
        (Some(&whole[..whole.len() - 1]), "hash to"),
        (Some(&[]), "its 0 bytes"),
        (None, "is missing"),
    ] {
        std::fs::remove_file(&net).unwrap_or_default();
        if let Some(bytes) = bytes {
            std::fs::write(&net, bytes).unwrap();
        }
        let error = manifest().verify(scratch.path()).unwrap_err().to_string();
        assert!(
            error.contains("mobilefacenet.onnx") && error.contains(said) && error.contains("make models"),
            "{error}"
        );
    }
}

/// An ONNX net that eats 112 x 112 pixels, channels interleaved, and answers with the mean of each channel. Written field by field
/// (protocol buffers; numbers from `onnx.proto3`), so that no tool is needed to make it.
fn means_of_channels() -> Vec<u8> {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        [&[number << 3 | 2, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8], content].concat()
    }
    let number = |field: u8, value: u8| vec![field << 3, value];
    let port = |name: &str, shape: &[u8]| {
        let dimensions: Vec<u8> = shape.iter().flat_map(|&size| field(1, &number(1, size))).collect();
        let tensor = [number(1, 1), field(2, &dimensions)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    };
    let attribute = |name: &str, values: Vec<u8>, kind: u8| {
        [field(1, name.as_bytes()), values, vec![20 << 3 & 0x7f | 0x80, 1, kind]].concat()
    };
    let axes = attribute("axes", [number(8, 1), number(8, 2)].concat(), 7);
    let keep = attribute("keepdims", number(3, 0), 2);
    let node =
        [field(1, b"pixels"), field(2, b"means"), field(4, b"ReduceMean"), field(5, &axes), field(5, &keep)].concat();
    let graph = [
        field(1, &node),
        field(2, b"means"),
        field(11, &port("pixels", &[1, 112, 112, 3])),
        field(12, &port("means", &[1, 3])),
    ];
    [number(1, 8), field(7, &graph.concat()), field(8, &number(2, 13))].concat()
}

#[test]
fn another_embedder_is_another_entry() {
    let scratch = tempfile::tempdir().unwrap();
    copy_models(scratch.path());
    let net = means_of_channels();
    std::fs::write(scratch.path().join("models/ready/means.onnx"), &net).unwrap();
    let entry = format!(
        r#"
        [model.means]
        provider = "cpu"
        file = "means.onnx"
        sha256 = "{}"
        licence = "none needed"
        provenance = "not trained"
        preparation = []
        input = {{ name = "pixels", layout = "NHWC", colour = "RGB", width = 112, height = 112, subtract = 0.0, scale = 2.0 }}
        output = {{ embedding = "means" }}
        embedding = {{ space = "means", dimension = 3, alignment = "arcface-112" }}
        thresholds = {{ admit = 0.9, refer = 0.8, same_face = 0.9, source = "made up" }}
        "#,
        hex::encode(sha2::Sha256::digest(&net)),
    );
    let shipped = std::fs::read_to_string(root().join("models/manifest.toml")).unwrap();
    let text = shipped.replace("embed = \"mobilefacenet\"", "embed = \"means\"") + &entry;
    let models = Manifest::parse(&text).unwrap().verify(scratch.path()).unwrap();
    let mut pipeline = Pipeline::open(&models, Options::default()).unwrap();
    let points = [(80.0, 80.0), (120.0, 80.0), (100.0, 100.0), (84.0, 125.0), (116.0, 125.0)];
    let face = Face {
        bounds: Bounds { left: 50.0, top: 50.0, right: 150.0, bottom: 150.0 },
        score: 1.0,
        landmarks: Landmarks(points.map(|(x, y)| Point { x, y })),
    };
    for (colour, pixel) in [(Colour::Rgb, [60, 0, 80]), (Colour::Bgr, [80, 0, 60])] {
        let pixels = pixel.repeat(200 * 200);
        let view = ImageView::new(&pixels, 200, 200, 600, colour).unwrap();
        let template = pipeline.embed(&view, &face).unwrap();
        let far =
            template.embedding.as_slice().iter().zip([0.6, 0.0, 0.8]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4 && template.space == EmbeddingSpaceId::new("means"), "{far}");
    }
}

#[test]
fn open_eyes_and_closed_eyes_are_told_apart() {
    let models = manifest().verify(&root()).unwrap_or_else(|error| panic!("{error}"));
    let mut pipeline = Pipeline::open(&models, Options { eyes: true, ..Options::default() }).unwrap();
    let closed = pipeline.eyes_spec().expect("the manifest names the net").closed;
    for (path, range) in [
        ("photos/obama.jpg", 0.9..=1.0),
        ("photos/obama_partial_face2.jpg", 0.9..=1.0),
        ("photos/biden.jpg", 0.9..=1.0),
        ("photos/single_face.jpg", 0.9..=1.0),
        ("clips/single_face/0001.jpg", 0.9..=1.0),
        // The woman looks down, holds a finger before closed eyes, and opens them.
        ("clips/WolfgangLanger_Pexels/0051.jpg", 0.0..=closed),
        ("clips/WolfgangLanger_Pexels/0116.jpg", 0.0..=closed),
        ("clips/WolfgangLanger_Pexels/0146.jpg", 0.9..=1.0),
    ] {
        let image = decode_file(&read(path)).expect("a sound picture");
        let mut open = |view: &ImageView<'_>| {
            let faces = pipeline.detect_photo(view).unwrap();
            pipeline.photo_quality(view, &faces[0]).unwrap().eyes_open.expect("the net is open")
        };
        let as_is = open(&image.view().unwrap());
        assert!(range.contains(&as_is), "{path}: {as_is}");
        let mut bgr = image.as_bytes().to_vec();
        bgr.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        let view = ImageView::new(&bgr, image.width(), image.height(), image.width() * 3, Colour::Bgr).unwrap();
        assert_eq!(open(&view), as_is, "{path}: channels in another order");
    }
}

#[test]
fn a_door_does_not_look_at_eyes() {
    let mut pipeline = pipeline();
    let image = photo("obama");
    let view = image.view().unwrap();
    let face = pipeline.detect_photo(&view).unwrap()[0];
    assert_eq!(pipeline.photo_quality(&view, &face).unwrap().eyes_open, None);
    assert!(pipeline.eyes_spec().is_none() && pipeline.providers().len() == 5);
}
