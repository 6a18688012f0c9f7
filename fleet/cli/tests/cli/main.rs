//! The binary from outside: arguments in, exit code and text out, with the real nets, the real store and real photos.
//!
//! It never looks inside the program.

#![expect(clippy::unwrap_used, reason = "a broken step is a failed test")]

mod attendance;
mod fleet;
mod import;
mod keys;
mod office;
mod proctor;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a run left behind.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// Fails with everything said unless the exit code is `code`.
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs the program with the models of this checkout.
fn fleet(folder: &Path, args: &[&str]) -> Ran {
    let models = root().join("models");
    bare(folder, &[args, &["--models", models.to_str().unwrap()]].concat())
}

/// Runs the program with these arguments only.
fn bare(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_examgate-fleet")).args(args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A photo of the test set.
#[track_caller]
fn picture(name: &str) -> PathBuf {
    let path = root().join("tests/pictures/cache/photos").join(name);
    assert!(path.is_file(), "{} is missing: run tests/pictures/fetch", path.display());
    path
}

#[track_caller]
fn copy(name: &str, to: PathBuf) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(picture(name), to).unwrap();
}

/// Photos that must be refused, each for its own reason: file name, the report's code, and what is said.
const BAD_PHOTOS: [(&str, &str, &str); 9] = [
    ("empty.jpg", "empty", "the file has no bytes"),
    ("text.jpg", "undecodable", "neither JPEG nor PNG"),
    ("phone.heic", "undecodable", "neither JPEG nor PNG, but HEIC, as iPhones take it"),
    ("cut.jpg", "undecodable", "cut short"),
    ("wide.jpg", "too_large", "65000x65000 pixels is refused"),
    ("huge.jpg", "too_large", "the file has more than"),
    ("bomb.png", "too_large", "50000x50000 pixels is refused"),
    ("grey.png", "no_face", "no face was found"),
    ("small.png", "face_too_small", "the face is too small"),
];

/// Makes [`BAD_PHOTOS`] in `folder`.
fn make_bad_photos(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let obama = fs::read(picture("obama.jpg")).unwrap();
    write("empty.jpg", b"");
    write("text.jpg", b"this is no photo");
    write("phone.heic", b"\0\0\0\x24ftypheic\0\0\0\0mif1heic");
    write("cut.jpg", &obama[..obama.len() / 2]);
    fs::File::create(folder.join("huge.jpg")).and_then(|file| file.set_len(1 << 33)).unwrap();
    write("bomb.png", &png_header(50_000, 50_000));
    let grey = image::RgbImage::from_pixel(320, 240, image::Rgb([128; 3]));
    grey.save(folder.join("grey.png")).unwrap();
    grey.save(folder.join("wide.jpg")).unwrap();
    write("wide.jpg", &claiming(fs::read(folder.join("wide.jpg")).unwrap(), 65_000));
    let photo = image::load_from_memory(&obama).unwrap();
    photo.resize(72, 90, image::imageops::FilterType::Triangle).to_rgb8().save(folder.join("small.png")).unwrap();
}

/// A JPEG whose frame header (ITU-T T.81, B.2.2) claims to be a square of this side.
fn claiming(mut jpeg: Vec<u8>, side: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|marker| marker[0] == 0xFF && matches!(marker[1], 0xC0 | 0xC2)).unwrap();
    // Behind marker, length and precision: height, then width.
    jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    jpeg
}

/// Signature and IHDR chunk of a PNG (8-bit RGB) that claims these dimensions and holds nothing.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = chunk.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(13_u32.to_be_bytes());
    png.extend(&chunk);
    png.extend((!crc).to_be_bytes());
    // The first bytes of an image data chunk, so that the header alone decides.
    png.extend([0, 0, 0, 1, b'I', b'D', b'A', b'T', 0]);
    png
}

#[test]
fn help_is_no_error_and_nonsense_is_64() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["roster", "import", "--help"], 0),
        (&["attendance", "--help"], 0),
        (&[], 64),
        (&["fly"], 64),
        (&["attendance"], 64),
        (&["roster", "import", "--csv", "x"], 64),
    ] {
        let ran = bare(folder.path(), args).expect(code);
        assert_eq!(ran.stdout.is_empty(), code != 0, "{args:?}");
    }
    let help = bare(folder.path(), &["roster", "import", "--help"]).stdout;
    for part in ["student_id", "card_standing", "Example:", "decimal-reversed"] {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
}

#[test]
fn an_old_name_says_where_its_command_went() {
    let folder = tempfile::tempdir().unwrap();
    for (args, program) in [
        (&["evaluate", "verification", "--help"][..], "examgate-lab evaluate"),
        (&["compare", "one.jpg", "two.jpg"], "examgate-lab compare"),
        (&["calibrate"], "examgate-lab calibrate"),
        (&["align", "--images", "x"], "examgate-lab align"),
        (&["selftest", "run"], "examgate-lab selftest"),
        (&["collect", "--broker", "x:1"], "examgate-fleetd collect"),
    ] {
        bare(folder.path(), args).expect(64).says(&[program]);
    }
}
