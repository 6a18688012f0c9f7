//! The V4L2 edge over a device of our own (`camera.c`, preloaded): the real path from ioctl to view, without a camera.
//!
//! A preloaded library is for a whole process, so the test starts this program again for itself alone.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use examgate::{
    app::settings::mono,
    edge::{
        camera::{
            Camera, CameraSettings, CameraView, DeviceChoice, Frame, Pace, PixelFormat, StreamFormat, UsbIdentity,
            V4lSettings, contract, v4l_opener,
        },
        clock::{Clock, SystemClock},
    },
};

use super::screen::now;

/// Told to the process that has the device: where its files are.
const ALONE: &str = "EXAMGATE_CAMERA_TEST";

/// Builds the device's library, and lists a USB camera as the kernel would.
fn furnish(folder: &Path) {
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(folder.join("camera.so"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edges/camera.c"))
        .output()
        .expect("cc is missing: apt-get install gcc libc6-dev");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let (node, usb) = (folder.join("sys/video0"), folder.join("usb/1-1"));
    fs::create_dir_all(&node).expect("writable");
    fs::create_dir_all(usb.join("1-1:1.0")).expect("writable");
    symlink(usb.join("1-1:1.0"), node.join("device")).expect("writable");
    for (file, text) in [
        (node.join("name"), "Door Cam"),
        (node.join("index"), "0"),
        (usb.join("idVendor"), "046d"),
        (usb.join("idProduct"), "0825"),
        (folder.join("mode"), "well"),
    ] {
        fs::write(file, text).expect("writable");
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment is how a process of its own is told what it is for")]
fn alone(test: &str, run: impl FnOnce(&Device)) {
    if let Some(folder) = env::var_os(ALONE) {
        return run(&Device(folder.into()));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    furnish(folder.path());
    let ended = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", &format!("device::{test}"), "--nocapture"])
        .env(ALONE, folder.path())
        .env("EXAMGATE_CAMERA_SYS", folder.path().join("sys"))
        .env("EXAMGATE_CAMERA_MODE", folder.path().join("mode"))
        .env("LD_PRELOAD", folder.path().join("camera.so"))
        .output()
        .expect("this program starts again");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success() && said.contains("1 passed"), "{}: {said}", ended.status);
}

/// The device, and what it does.
struct Device(PathBuf);

impl Device {
    fn does(&self, mode: &str) {
        // Never seen half written.
        let new = self.0.join("mode.new");
        fs::write(&new, mode).expect("writable");
        fs::rename(new, self.0.join("mode")).expect("writable");
    }

    fn opener(&self) -> (examgate::edge::camera::Opener, examgate::edge::camera::MonoClock) {
        let clock = Arc::new(SystemClock::new(self.0.join("floor")));
        let settings = V4lSettings {
            device: DeviceChoice::Usb(UsbIdentity { vendor: 0x046d, product: 0x0825 }),
            formats: vec![StreamFormat { pixels: PixelFormat::Yuyv, width: 320, height: 240, rate: 30 }],
            allow_virtual: false,
        };
        let reading = Arc::clone(&clock);
        (v4l_opener(settings, Arc::new(move || reading.both())), mono(clock as Arc<dyn Clock>))
    }
}

/// Waits for a view, at most `limit`; says how long it took.
#[track_caller]
fn wait_for(camera: &Camera, limit: Duration, wanted: impl Fn(&CameraView) -> bool) -> Duration {
    let asked = now();
    let mut view = camera.view();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let seen =
        runtime.block_on(async { tokio::time::timeout(limit, view.wait_for(|view| wanted(view))).await.is_ok() });
    assert!(seen, "still {:?} after {limit:?}", camera.view().borrow());
    asked.elapsed()
}

fn newest(view: &CameraView) -> Option<Arc<Frame>> {
    match view {
        CameraView::Streaming(frame) => Some(Arc::clone(frame)),
        CameraView::Starting | CameraView::Faulted(_) => None,
    }
}

#[test]
fn a_healthy_device_keeps_the_contract() {
    alone("a_healthy_device_keeps_the_contract", |device| {
        let (open, clock) = device.opener();
        for _ in 0..2 {
            let mut source = open().expect("it opens, and again when it was closed");
            contract::check(&mut *source, &clock, 20).expect("the contract is kept");
        }
    });
}

#[test]
fn what_a_device_does_wrong_is_a_fault_within_seconds_and_mends() {
    alone("what_a_device_does_wrong_is_a_fault_within_seconds_and_mends", |device| {
        let (open, clock) = device.opener();
        let camera = Camera::start(open, clock, CameraSettings::default()).expect("a thread starts");
        camera.set_pace(Pace::Live);
        let (soon, again) = (Duration::from_secs(4), Duration::from_secs(20));
        for (mode, words) in [
            ("empty", "torn or empty"),
            ("empty-flagged", "torn or empty"),
            ("flagged", "torn or empty"),
            ("half", "torn or empty"),
            ("overlong", "torn or empty"),
            ("old-contents", "repeats its pictures"),
            ("same-number", "does not move on"),
            ("late", "arrive late"),
            ("future", "arrive late"),
            ("wall-clock", "arrive late"),
            ("no-stamp", "does not move on"),
            ("no-clock", "gives no capture time"),
            ("silent", "no frame came"),
            ("unplugged", "was unplugged"),
        ] {
            wait_for(&camera, again, |view| newest(view).is_some());
            device.does(mode);
            let fault =
                |view: &CameraView| matches!(view, CameraView::Faulted(fault) if fault.to_string().contains(words));
            let took = wait_for(&camera, soon, fault);
            assert!(took < Duration::from_millis(3500), "{mode}: {took:?}");
            device.does("well");
        }
        wait_for(&camera, again, |view| newest(view).is_some());
    });
}

#[test]
fn no_old_picture_is_ever_shown_as_new() {
    alone("no_old_picture_is_ever_shown_as_new", |device| {
        let (open, _) = device.opener();
        let mut source = open().expect("it opens");
        let mut next = || source.next().expect("a buffer");
        while !matches!(next(), examgate::edge::camera::Shot::Picture(_)) {}
        for mode in ["empty", "empty-flagged", "flagged", "half", "overlong"] {
            device.does(mode);
            // What was dequeued already may still be whole.
            let shots: Vec<_> = (0..8).map(|_| next()).collect();
            for shot in &shots[1..] {
                assert!(matches!(shot, examgate::edge::camera::Shot::Torn(_)), "{mode}: {shot:?}");
            }
        }
    });
}

#[test]
fn a_device_that_is_busy_or_does_not_let_go_is_named_and_ends_nothing() {
    alone("a_device_that_is_busy_or_does_not_let_go_is_named_and_ends_nothing", |device| {
        let (open, _) = device.opener();
        for (mode, words) in [("busy", "is busy"), ("stubborn", "cannot open")] {
            device.does(mode);
            let said = open().err().expect("it is refused").to_string();
            assert!(said.contains(words), "{mode}: {said}");
        }
        device.does("no-bandwidth");
        let said = open().expect("streaming starts later").next().expect_err("it cannot start").to_string();
        assert!(said.contains("USB bus has no room"), "{said}");
        // Neither stopping nor giving the memory back succeeds: the process lives on, and the device can be had again.
        device.does("well");
        let mut source = open().expect("it opens");
        source.next().expect("a buffer");
        device.does("stubborn");
        drop(source);
        device.does("well");
        open().expect("it opens again").next().expect("a buffer");
    });
}
