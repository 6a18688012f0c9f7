//! The room as a whole, with the real nets on real pictures. What is missing fails with the command that brings it.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::*;
use crate::domain::{Continuity, EmbeddingSpaceId, MonoTime, Similarity, Template};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manifest() -> Manifest {
    Manifest::load(&root().join("models/manifest.toml"))
        .unwrap_or_else(|error| panic!("{error}: {:?}", error.source().map(ToString::to_string)))
}

fn pipeline() -> Pipeline {
    let models = manifest().verify(&root()).unwrap_or_else(|error| panic!("{error}"));
    Pipeline::open(&models, Options::default()).expect("the nets open")
}

fn read(path: &str) -> Vec<u8> {
    let path = root().join("tests/pictures/cache").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make models`", path.display()))
}

fn photo(name: &str) -> Image {
    decode_file(&read(&format!("photos/{name}.jpg"))).expect("a sound photo")
}

fn enrolled(pipeline: &mut Pipeline, name: &str) -> Template {
    let image = photo(name);
    let view = image.view().unwrap();
    let faces = pipeline.detect_photo(&view).unwrap();
    assert_eq!(faces.len(), 1, "{name}: {faces:?}");
    pipeline.embed(&view, &faces[0]).unwrap()
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
        assert_eq!(face.liveness > 0.5, i > 0, "live as soon as something has moved: {face:?}");
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
    let copied = |to: &Path| {
        for net in manifest().nets() {
            let file = Path::new("models/ready").join(&net.file);
            std::fs::create_dir_all(to.join("models/ready")).unwrap();
            std::fs::copy(root().join(&file), to.join(&file)).expect("models/ready is filled: run `make models`");
        }
        std::os::unix::fs::symlink(root().join("runtime"), to.join("runtime")).unwrap();
    };
    copied(scratch.path());
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
