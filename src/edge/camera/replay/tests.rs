//! The replay by itself, by the contract, and under the supervisor with every way a camera fails.
//!
//! Never needs a camera, nor pictures other than its own.

use std::{
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};

use image::{Rgb, RgbImage};

use super::*;
use crate::edge::camera::{Ailment, Camera, CameraFault, CameraSettings, CameraView, Pace, contract};

const SMALL: StreamFormat = StreamFormat { pixels: PixelFormat::Mjpeg, width: 64, height: 48, rate: 100 };

#[expect(clippy::disallowed_methods, reason = "a test rig has to read the time itself")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn mono() -> MonoClock {
    Arc::new(|| MonoTime::from_start(Duration::from_secs(1) + START.elapsed()))
}

fn paint(path: &Path, width: u32, height: u32, colour: [u8; 3]) {
    RgbImage::from_pixel(width, height, Rgb(colour)).save(path).unwrap();
}

/// A folder of five frames, each brighter than the one before.
fn clip() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5_u8 {
        paint(&folder.path().join(format!("{n:03}.jpg")), 64, 48, [40 * n + 30; 3]);
    }
    folder
}

fn brightness(frame: &Frame) -> u8 {
    let picture = image::load_from_memory(&frame.bytes).unwrap().into_luma8();
    (picture.pixels().map(|pixel| u64::from(pixel.0[0])).sum::<u64>() / u64::from(picture.width() * picture.height()))
        as u8
}

/// The next picture of `source`.
fn picture(source: &mut dyn FrameSource) -> Frame {
    match source.next().unwrap() {
        Shot::Picture(frame) => frame,
        Shot::Torn(why) => panic!("{why}"),
    }
}

fn clip_of(folder: &Path, range: Option<Range<usize>>, looping: bool) -> Scene {
    Scene::Clip { folder: folder.to_owned(), range, looping }
}

#[test]
fn keeps_the_contract() {
    let folder = clip();
    let picture = folder.path().join("002.jpg");
    let (open, control) = replay(SMALL, mono()).unwrap();
    for scene in [
        Scene::Empty,
        Scene::Still(picture.clone()),
        Scene::SideBySide(picture.clone(), picture),
        Scene::Black,
        clip_of(folder.path(), None, true),
    ] {
        control.play(&scene).unwrap();
        contract::check(&mut *open().unwrap(), &mono(), 20).unwrap();
    }
}

#[test]
fn a_clip_loops_or_holds_its_last_frame_with_noise() {
    let folder = clip();
    let (open, control) = replay(SMALL, mono()).unwrap();
    let played = |scene: &Scene, frames: usize| -> Vec<Frame> {
        control.play(scene).unwrap();
        let mut source = open().unwrap();
        (0..frames).map(|_| picture(&mut *source)).collect()
    };
    let levels = |frames: &[Frame]| frames.iter().map(|frame| (brightness(frame) + 10) / 40).collect::<Vec<_>>();
    let looped = played(&clip_of(folder.path(), Some(1..4), true), 7);
    assert_eq!(levels(&looped), [2, 3, 4, 2, 3, 4, 2]);
    let held = played(&clip_of(folder.path(), Some(1..3), false), 6);
    assert_eq!(levels(&held), [2, 3, 3, 3, 3, 3]);
    assert!(held[2..].windows(2).all(|pair| pair[0].bytes != pair[1].bytes), "a sensor never repeats");
}

#[test]
fn a_still_never_repeats_and_a_frozen_one_always_does() {
    let folder = clip();
    let path = folder.path().join("002.jpg");
    let (open, control) = replay(SMALL, mono()).unwrap();
    for (scene, repeats) in [(Scene::Still(path.clone()), false), (Scene::Frozen(path), true)] {
        control.play(&scene).unwrap();
        let mut source = open().unwrap();
        let frames: Vec<_> = (0..20).map(|_| picture(&mut *source).bytes).collect();
        let different: std::collections::HashSet<_> = frames.iter().collect();
        assert_eq!(different.len(), if repeats { 1 } else { 20 }, "{scene:?}");
    }
}

#[test]
fn two_people_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (folder.path().join("left.jpg"), folder.path().join("right.jpg"));
    paint(&left, 32, 48, [220, 0, 0]);
    paint(&right, 32, 48, [0, 0, 220]);
    let (open, control) = replay(SMALL, mono()).unwrap();
    control.play(&Scene::SideBySide(left, right)).unwrap();
    let frame = picture(&mut *open().unwrap());
    let picture = image::load_from_memory(&frame.bytes).unwrap().into_rgb8();
    let (at_left, at_right) = (picture.get_pixel(8, 24), picture.get_pixel(56, 24));
    assert!(at_left[0] > 180 && at_left[2] < 60, "{at_left:?}");
    assert!(at_right[2] > 180 && at_right[0] < 60, "{at_right:?}");
}

#[test]
fn any_shape_fits_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (open, control) = replay(SMALL, mono()).unwrap();
    // What is seen in the frame's corner: picture where it is cropped, grey where it is fitted.
    for (name, width, height, filled) in [("wide", 640, 360, true), ("tall", 30, 40, false), ("dot", 1, 1, true)] {
        let path = folder.path().join(format!("{name}.jpg"));
        paint(&path, width, height, [240; 3]);
        control.play(&Scene::Still(path)).unwrap();
        let frame = picture(&mut *open().unwrap());
        let picture = image::load_from_memory(&frame.bytes).unwrap().into_luma8();
        assert_eq!(picture.dimensions(), (64, 48), "{name}");
        assert_eq!(picture.get_pixel(1, 24)[0] > 200, filled, "{name}");
    }
}

#[test]
fn what_cannot_be_replayed_is_named_and_the_scene_goes_on() {
    let folder = clip();
    std::fs::write(folder.path().join("note.txt"), "no picture").unwrap();
    let torn = tempfile::tempdir().unwrap();
    let whole = std::fs::read(folder.path().join("000.jpg")).unwrap();
    std::fs::write(torn.path().join("000.jpg"), &whole[..whole.len() - 2]).unwrap();
    let (open, control) = replay(SMALL, mono()).unwrap();
    for (scene, says) in [
        (clip_of(torn.path(), None, true), "it is torn"),
        (Scene::Still(folder.path().join("none.jpg")), "none.jpg"),
        (Scene::Still(folder.path().join("note.txt")), "note.txt"),
        (clip_of(folder.path(), Some(4..9), true), "none is in"),
        (clip_of(Path::new("/nonexistent"), None, true), "/nonexistent"),
    ] {
        let said = control.play(&scene).unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
    open().unwrap().next().unwrap();
    let yuyv = StreamFormat { pixels: PixelFormat::Yuyv, ..SMALL };
    assert!(replay(yuyv, mono()).is_err());
}

/// Impatient, so that faults and recoveries come within a test's time.
const HASTY: CameraSettings = CameraSettings {
    open_within: Duration::from_millis(300),
    stalled_after: Duration::from_millis(200),
    patience: Duration::from_secs(5),
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(100),
    idle_interval: Duration::from_millis(50),
    abandoned: 2,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Waits for a view, for at most ten seconds.
fn fault(view: &CameraView) -> Option<&CameraFault> {
    match view {
        CameraView::Faulted(fault) => Some(fault),
        CameraView::Starting | CameraView::Streaming(_) => None,
    }
}

fn wait_for(camera: &Camera, wanted: impl Fn(&CameraView) -> bool) -> CameraView {
    let mut view = camera.view();
    runtime()
        .block_on(async {
            tokio::time::timeout(Duration::from_secs(10), view.wait_for(|view| wanted(view)))
                .await
                .map(|view| view.map(|v| v.clone()))
        })
        .unwrap_or_else(|_| panic!("still {:?}", camera.view().borrow()))
        .unwrap()
}

fn streams(view: &CameraView) -> bool {
    matches!(view, CameraView::Streaming(_))
}

#[test]
fn every_fault_is_seen_and_mends_itself() {
    let folder = clip();
    let (open, control) = replay(SMALL, mono()).unwrap();
    let camera = Camera::start(open, mono(), HASTY).unwrap();
    camera.set_pace(Pace::Live);
    wait_for(&camera, streams);
    let picture = folder.path().join("002.jpg");
    type Seen = fn(&CameraFault) -> bool;
    let faults: [(Scene, Seen); 6] = [
        (
            Scene::Unplugged,
            |fault| matches!(fault, CameraFault::Failed(why) if matches!(**why, CameraError::Unplugged { .. })),
        ),
        (Scene::Mute, |fault| matches!(fault, CameraFault::Stalled { .. })),
        (Scene::Black, |fault| matches!(fault, CameraFault::Ailing(Ailment::Black))),
        (Scene::Frozen(picture.clone()), |fault| matches!(fault, CameraFault::Ailing(Ailment::Frozen))),
        (Scene::Ring(folder.path().to_owned()), |fault| matches!(fault, CameraFault::Ailing(Ailment::Frozen))),
        (Scene::Torn, |fault| matches!(fault, CameraFault::Ailing(Ailment::Torn))),
    ];
    for (scene, seen) in faults {
        control.play(&scene).unwrap();
        wait_for(&camera, |view| fault(view).is_some_and(seen));
        control.play(&Scene::Still(picture.clone())).unwrap();
        wait_for(&camera, streams);
    }
}

#[test]
fn too_many_hanging_reads_ask_for_a_restart_and_still_mend_when_they_return() {
    let (open, control) = replay(SMALL, mono()).unwrap();
    control.play(&Scene::Mute).unwrap();
    let camera = Camera::start(open, mono(), HASTY).unwrap();
    let view = wait_for(&camera, |view| fault(view).is_some_and(CameraFault::needs_restart));
    assert!(fault(&view).unwrap().to_string().starts_with("2 reads hang"), "{view:?}");
    control.play(&Scene::Empty).unwrap();
    wait_for(&camera, streams);
}

#[test]
fn idle_frames_are_mostly_dropped() {
    let (open, _control) = replay(SMALL, mono()).unwrap();
    let settings =
        CameraSettings { idle_interval: Duration::from_millis(400), stalled_after: Duration::from_secs(5), ..HASTY };
    let camera = Camera::start(open, mono(), settings).unwrap();
    let captured = |view: &CameraView| match view {
        CameraView::Streaming(frame) => frame.captured_at,
        CameraView::Starting | CameraView::Faulted(_) => MonoTime::default(),
    };
    let first = captured(&wait_for(&camera, streams));
    let second = captured(&wait_for(&camera, |view| captured(view) > first));
    // Ten milliseconds lie between the frames captured; a loaded machine may read the first one late.
    assert!(second.since(first) >= Duration::from_millis(100), "{first} {second}");
}

#[test]
fn a_dropped_camera_closes_its_view() {
    let (open, _control) = replay(SMALL, mono()).unwrap();
    let camera = Camera::start(open, mono(), HASTY).unwrap();
    wait_for(&camera, streams);
    let mut view = camera.view();
    drop(camera);
    runtime().block_on(async { while view.changed().await.is_ok() {} });
    assert!(view.has_changed().is_err());
}
