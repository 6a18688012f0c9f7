//! Faults that come and go between students: reported once, retried on idle frames, reported as over.
//! With the real nets; the camera is a puppet.

use std::{
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel, sync_channel},
    },
    thread,
    time::Instant,
};

use super::*;
use crate::{
    domain::{ArtifactId, Embedding, EmbeddingSpaceId},
    edge::camera::{CameraError, CameraSettings, FrameSource, MonoClock, Shot, StreamFormat},
    vision::{Manifest, Options},
};

const FORMAT: StreamFormat = StreamFormat { pixels: PixelFormat::Mjpeg, width: 640, height: 360, rate: 50 };

/// Far more than anything here takes.
const WITHIN: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "a test rig has to read the time itself")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn mono() -> MonoClock {
    Arc::new(|| MonoTime::from_start(Duration::from_secs(1) + START.elapsed()))
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whole pictures of one person, or, while it is broken, JPEGs with an end but without a picture.
struct Puppet {
    pictures: Arc<[Arc<[u8]>]>,
    broken: Arc<AtomicBool>,
    sequence: u64,
}

impl FrameSource for Puppet {
    fn format(&self) -> StreamFormat {
        FORMAT
    }

    fn next(&mut self) -> Result<Shot, CameraError> {
        let (_keep, never) = channel::<()>();
        let _ = never.recv_timeout(FORMAT.interval());
        self.sequence += 1;
        let n = self.sequence as usize;
        let bytes = if self.broken.load(Ordering::Relaxed) {
            Arc::from([0xFF, 0xD8, 0xFF, 0xFE, 0, 4, (n >> 8) as u8, n as u8, 0xFF, 0xD9])
        } else {
            Arc::clone(&self.pictures[n % self.pictures.len()])
        };
        let StreamFormat { pixels: format, width, height, .. } = FORMAT;
        Ok(Shot::Picture(Frame { format, width, height, bytes, captured_at: mono()(), sequence: self.sequence }))
    }
}

/// An observer at work, and what it tells.
struct WatchedRoom {
    looks: watch::Sender<Option<Arc<CaptureWindow>>>,
    broken: Arc<AtomicBool>,
    happened: Receiver<Happened>,
    observer: thread::JoinHandle<Result<(), CameraFault>>,
    _runtime: tokio::runtime::Runtime,
}

impl WatchedRoom {
    fn open() -> Self {
        let clip = project().join("tests/pictures/cache/clips/single_face");
        let picture = |n: usize| {
            let path = clip.join(format!("{n:04}.jpg"));
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make pictures`", path.display()))
        };
        // More than are remembered, so that none is known when it comes again.
        let pictures: Arc<[Arc<[u8]>]> = (1..=40).map(|n| picture(n).into()).collect();
        let broken = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&broken);
        let opener = Arc::new(move || {
            let (pictures, broken) = (Arc::clone(&pictures), Arc::clone(&shared));
            Ok(Box::new(Puppet { pictures, broken, sequence: 0 }) as Box<dyn FrameSource>)
        });
        let settings = CameraSettings { idle_interval: Duration::from_millis(50), ..CameraSettings::default() };
        let camera = Camera::start(opener, mono(), settings).expect("a thread starts");
        let manifest = Manifest::load(Path::new(&project().join("models/manifest.toml"))).expect("it is ours");
        let models = manifest.verify(&project()).unwrap_or_else(|error| panic!("{error}: run `make models`"));
        let pipeline = Pipeline::open(&models, Options::default()).expect("the nets open");
        let (looks, wanted) = watch::channel(None);
        let (tell, happened) = sync_channel(64);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let observe = Observe { pipeline, camera, looks: wanted, happened: tell, others: None, alive: Box::new(|| ()) };
        let observer = thread::spawn(move || observe.run(&handle));
        Self { looks, broken, happened, observer, _runtime: runtime }
    }

    /// The next fault told, or its end.
    #[track_caller]
    fn told(&self) -> (Fault, bool) {
        loop {
            let happened = self.happened.recv_timeout(WITHIN).expect("something is told in time");
            if let Happened::Broke(fault) | Happened::Mended(fault) = happened {
                return (fault, matches!(happened, Happened::Broke(_)));
            }
        }
    }

    /// The next frame that was looked at.
    #[track_caller]
    fn seen(&self) -> crate::domain::Observation {
        loop {
            let happened = self.happened.recv_timeout(WITHIN).expect("a frame is looked at in time");
            if let Happened::Seen(seen) = happened {
                return seen;
            }
            assert!(matches!(happened, Happened::Nothing), "{happened:?}");
        }
    }

    fn look(&self, templates: Vec<Template>) {
        let student = StudentId::new("N1").unwrap();
        self.looks.send_replace(Some(Arc::new(CaptureWindow { student, templates, since: mono()() })));
    }
}

#[test]
fn what_breaks_is_tried_again_while_nobody_stands_there() {
    let room = WatchedRoom::open();
    // A template that cannot be compared: the nets' room refuses at the first face.
    let foreign = Template {
        space: EmbeddingSpaceId::new("another"),
        artifact: ArtifactId::from_bytes([1; 32]),
        embedding: Embedding::normalised(vec![1.0; 512]).expect("a direction"),
    };
    room.look(vec![foreign]);
    assert_eq!(room.told(), (Fault::Vision, true));
    // The session refers, and looks no more.
    room.looks.send_replace(None);
    assert_eq!(room.told(), (Fault::Vision, false));

    room.broken.store(true, Ordering::Relaxed);
    room.look(Vec::new());
    assert_eq!(room.told(), (Fault::Camera, true));
    room.looks.send_replace(None);
    room.broken.store(false, Ordering::Relaxed);
    assert_eq!(room.told(), (Fault::Camera, false));

    // And the next student is looked at.
    room.look(Vec::new());
    assert_eq!(room.seen().faces, 1);
    let WatchedRoom { happened, observer, looks, .. } = room;
    drop((happened, looks));
    assert!(observer.join().expect("it does not panic").is_ok());
}
