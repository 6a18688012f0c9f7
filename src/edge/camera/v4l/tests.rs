//! Descriptors and modes that no healthy driver gives, played at the seams: no camera is needed.

use std::{cell::RefCell, collections::VecDeque};

use ::v4l::{format::Description, frameinterval::FrameInterval, framesize::FrameSize};

use super::*;
use crate::domain::MonoTime;

const YUYV: StreamFormat = StreamFormat { pixels: PixelFormat::Yuyv, width: 4, height: 2, rate: 30 };

/// SOI, one scan, EOI.
const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 0x12, 0x34, 0xFF, 0xD9];

/// The box's time is five seconds ahead of the drivers' clock.
const READ_AT: (MonoTime, Duration) = (MonoTime::from_start(Duration::from_secs(105)), Duration::from_secs(100));

fn healthy(memory: &[u8], used: usize) -> Dequeued<'_> {
    Dequeued { memory, used, error: false, stamp: Stamp::Monotonic(Duration::from_millis(99_970)), sequence: 7 }
}

fn bytes(shot: Shot) -> Result<Vec<u8>, Torn> {
    match shot {
        Shot::Picture(frame) => Ok(frame.bytes.to_vec()),
        Shot::Torn(why) => Err(why),
    }
}

#[test]
fn a_buffer_holds_what_its_driver_says_and_nothing_of_before() {
    // The memory holds a whole old picture; what is new is told by the descriptor alone.
    let old = [JPEG, &[0; 6]].concat();
    let whole = [7_u8; 20];
    let cases = [
        ("a whole JPEG", healthy(&old, 10), StreamFormat::VGA, Ok(JPEG.to_vec())),
        ("with padding", healthy(&old, 16), StreamFormat::VGA, Ok(JPEG.to_vec())),
        ("nothing new", healthy(&old, 0), StreamFormat::VGA, Err(Torn::Empty)),
        ("half a JPEG", healthy(&old, 5), StreamFormat::VGA, Err(Torn::Cut { used: 5 })),
        ("all but the last byte", healthy(&old, 9), StreamFormat::VGA, Err(Torn::Cut { used: 9 })),
        ("no beginning", healthy(&old[1..], 9), StreamFormat::VGA, Err(Torn::Cut { used: 9 })),
        ("flagged", Dequeued { error: true, ..healthy(&old, 10) }, StreamFormat::VGA, Err(Torn::Flagged)),
        ("flagged and empty", Dequeued { error: true, ..healthy(&old, 0) }, StreamFormat::VGA, Err(Torn::Flagged)),
        ("more than fits", healthy(&old, 17), StreamFormat::VGA, Err(Torn::Overlong { used: 17, room: 16 })),
        ("whole YUYV", healthy(&whole, 16), YUYV, Ok(vec![7; 16])),
        ("YUYV rounded up", healthy(&whole, 20), YUYV, Ok(vec![7; 16])),
        ("a byte too little", healthy(&whole, 15), YUYV, Err(Torn::Short { used: 15, whole: 16 })),
        ("half a YUYV", healthy(&whole, 8), YUYV, Err(Torn::Short { used: 8, whole: 16 })),
        ("an empty YUYV", healthy(&whole, 0), YUYV, Err(Torn::Empty)),
    ];
    for (name, buffer, format, expected) in cases {
        assert_eq!(judge(&buffer, format, READ_AT).map(bytes), Ok(expected), "{name}");
    }
}

#[test]
fn a_picture_is_as_old_as_its_driver_says() {
    let mono = |ms| MonoTime::from_start(Duration::from_millis(ms));
    let cases = [
        ("30 ms ago", Stamp::Monotonic(Duration::from_millis(99_970)), Ok(mono(104_970))),
        ("three seconds ago", Stamp::Monotonic(Duration::from_secs(97)), Ok(mono(102_000))),
        ("never stamped", Stamp::Monotonic(Duration::ZERO), Ok(mono(5_000))),
        ("yet to come", Stamp::Monotonic(Duration::from_secs(101)), Ok(mono(106_000))),
        ("by the wall clock", Stamp::Monotonic(Duration::from_secs(1_800_000_000)), Ok(mono(1_800_000_005_000))),
        ("by no clock", Stamp::Unknown, Err(Untimed)),
    ];
    for (name, stamp, expected) in cases {
        let shot = judge(&Dequeued { stamp, ..healthy(JPEG, 10) }, StreamFormat::VGA, READ_AT);
        let at = shot.map(|shot| match shot {
            Shot::Picture(frame) => {
                assert_eq!(frame.sequence, 7, "the driver's own number");
                frame.captured_at
            }
            Shot::Torn(why) => panic!("{name}: {why}"),
        });
        assert_eq!(at, expected, "{name}");
    }
}

/// Buffers by a script; their memory is [`JPEG`].
struct Scripted(VecDeque<io::Result<Dequeued<'static>>>, Vec<Duration>);

impl Buffers for Scripted {
    fn dequeue(&mut self, limit: Duration) -> io::Result<Dequeued<'_>> {
        self.1.push(limit);
        self.0.pop_front().expect("the script is long enough")
    }
}

fn source(script: impl IntoIterator<Item = io::Result<Dequeued<'static>>>) -> V4lSource<Scripted> {
    V4lSource {
        device: "the camera".into(),
        format: StreamFormat::VGA,
        buffers: Scripted(script.into_iter().collect(), Vec::new()),
        reading: Arc::new(|| READ_AT),
        within: FIRST_WITHIN,
    }
}

#[test]
fn every_buffer_is_handed_on_and_none_is_waited_for_without_end() {
    let good = || Ok(healthy(JPEG, 10));
    let mut source = source([good(), Ok(healthy(JPEG, 0)), good()]);
    assert!(matches!(source.next(), Ok(Shot::Picture(_))));
    assert!(matches!(source.next(), Ok(Shot::Torn(Torn::Empty))));
    assert!(matches!(source.next(), Ok(Shot::Picture(_))));
    assert_eq!(source.buffers.1, [FIRST_WITHIN, NEXT_WITHIN, NEXT_WITHIN]);
    let bear = crate::edge::camera::CameraSettings::default();
    assert!(FIRST_WITHIN < bear.open_within && NEXT_WITHIN < bear.stalled_after, "the device is let go first");
}

#[test]
fn what_a_driver_answers_is_named() {
    let cases: [(io::Error, &str); 6] = [
        (io::Error::from_raw_os_error(libc::ENODEV), "was unplugged"),
        (io::Error::from_raw_os_error(libc::EIO), "cannot read a frame"),
        (io::Error::from_raw_os_error(libc::ENOSPC), "USB bus has no room"),
        (io::Error::from_raw_os_error(libc::EBUSY), "is busy"),
        (io::ErrorKind::TimedOut.into(), "no frame came from the camera for 4.0 s"),
        (io::ErrorKind::Interrupted.into(), "cannot read a frame"),
    ];
    for (error, says) in cases {
        let name = error.to_string();
        let fault = source([Err(error)]).next().unwrap_err();
        assert!(fault.to_string().contains(says) && fault.is_retriable(), "{name}: {fault}");
    }
    let untimed = source([Ok(Dequeued { stamp: Stamp::Unknown, ..healthy(JPEG, 10) })]).next().unwrap_err();
    assert!(matches!(untimed, CameraError::NoCaptureTime { .. }), "{untimed}");
    for (code, says) in [
        (libc::EBUSY, "is busy: it is used"),
        (libc::EACCES, "group video"),
        (libc::ENOENT, "was unplugged"),
        (libc::ENOSPC, "USB bus has no room"),
    ] {
        let error = opening("the camera", Path::new("/dev/video99"), &io::Error::from_raw_os_error(code));
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A driver that answers by a script, and notes what was asked of it.
struct Driver {
    set_format: Result<(&'static [u8; 4], u32, u32, u32), i32>,
    set_rate: Result<(u32, u32), i32>,
    asked: RefCell<Vec<&'static str>>,
}

impl Driver {
    fn note(&self, what: &'static str) {
        self.asked.borrow_mut().push(what);
    }
}

impl Capture for Driver {
    fn enum_frameintervals(&self, _: FourCC, _: u32, _: u32) -> io::Result<Vec<FrameInterval>> {
        Ok(Vec::new())
    }

    fn enum_framesizes(&self, _: FourCC) -> io::Result<Vec<FrameSize>> {
        Ok(Vec::new())
    }

    fn enum_formats(&self) -> io::Result<Vec<Description>> {
        Ok(Vec::new())
    }

    /// It was left in a mode that the driver itself cannot tell.
    fn format(&self) -> io::Result<Format> {
        self.note("format");
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn set_format(&self, _: &Format) -> io::Result<Format> {
        self.note("set_format");
        let (fourcc, width, height, stride) = self.set_format.map_err(io::Error::from_raw_os_error)?;
        Ok(Format { stride, ..Format::new(width, height, FourCC::new(fourcc)) })
    }

    fn params(&self) -> io::Result<Parameters> {
        self.note("params");
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn set_params(&self, _: &Parameters) -> io::Result<Parameters> {
        self.note("set_params");
        let (numerator, denominator) = self.set_rate.map_err(io::Error::from_raw_os_error)?;
        Ok(Parameters::new(Fraction::new(numerator, denominator)))
    }
}

#[test]
fn a_mode_is_set_before_it_is_read_and_what_comes_back_is_checked() {
    let vga = Ok((b"MJPG", 640, 480, 0));
    type Case<'a> =
        (&'a str, StreamFormat, Result<(&'static [u8; 4], u32, u32, u32), i32>, Result<(u32, u32), i32>, &'a str);
    let yuyv = StreamFormat { pixels: PixelFormat::Yuyv, ..StreamFormat::VGA };
    let cases: [Case<'_>; 13] = [
        ("as asked", StreamFormat::VGA, vga, Ok((1, 30)), "set"),
        ("NTSC", StreamFormat::VGA, vga, Ok((1001, 30_000)), "set"),
        ("not in lowest terms", StreamFormat::VGA, vga, Ok((10, 300)), "set"),
        ("100 ns units, as UVC", StreamFormat::VGA, vga, Ok((333_333, 10_000_000)), "set"),
        ("no rate told", StreamFormat::VGA, vga, Ok((0, 0)), "set"),
        ("no rate to set", StreamFormat::VGA, vga, Err(libc::ENOTTY), "set"),
        ("YUYV", yuyv, Ok((b"YUYV", 640, 480, 1280)), Ok((1, 30)), "set"),
        ("another rate", StreamFormat::VGA, vga, Ok((2, 15)), "MJPEG 640x480 at 7.5/s"),
        ("another size", StreamFormat::VGA, Ok((b"MJPG", 320, 240, 0)), Ok((1, 30)), "MJPG 320x240"),
        ("another encoding", StreamFormat::VGA, Ok((b"H264", 640, 480, 0)), Ok((1, 30)), "H264 640x480"),
        ("padded rows", yuyv, Ok((b"YUYV", 640, 480, 1344)), Ok((1, 30)), "rows of 1344 bytes"),
        ("refused", StreamFormat::VGA, Err(libc::EINVAL), Ok((1, 30)), "is refused"),
        ("busy", StreamFormat::VGA, Err(libc::EBUSY), Ok((1, 30)), "failed 16"),
    ];
    for (name, format, set_format, set_rate, expected) in cases {
        let driver = Driver { set_format, set_rate, asked: RefCell::default() };
        let said = match set(&driver, format) {
            Ok(()) => "set".to_owned(),
            Err(Refusal::Otherwise(got)) => got,
            Err(Refusal::Failed(error)) => format!("failed {}", error.raw_os_error().unwrap_or(0)),
        };
        assert!(said.contains(expected), "{name}: {said}");
        let asked = driver.asked.borrow();
        assert!(asked.iter().all(|asked| asked.starts_with("set")), "{name}: {asked:?}");
    }
}

#[test]
fn a_missing_camera_is_named_with_what_there_is() {
    let settings = V4lSettings {
        device: DeviceChoice::Name("No Such Camera".into()),
        formats: vec![StreamFormat::VGA],
        allow_virtual: false,
    };
    let opener = v4l_opener(settings, Arc::new(|| READ_AT));
    let said = opener().err().expect("no machine has this camera").to_string();
    assert!(said.contains("No Such Camera"), "{said}");
}
