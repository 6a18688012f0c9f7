//! Commands as they are run from outside, and photos that must be refused: for the tests of the manager's program and the laboratory's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a run left behind.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails with everything said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs `program` with these arguments in `folder`.
pub(crate) fn run(program: &str, folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(program).args(args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same with the models of this checkout.
pub(crate) fn run_with_models(program: &str, folder: &Path, args: &[&str]) -> Ran {
    let models = root().join("models");
    run(program, folder, &[args, &["--models", models.to_str().unwrap()]].concat())
}

/// The project's folder: the one above this package that has the nets' manifest.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("models/manifest.toml").is_file()).unwrap().to_owned()
}

/// A photo of the test set.
#[track_caller]
pub(crate) fn picture(name: &str) -> PathBuf {
    let path = root().join("tests/pictures/cache/photos").join(name);
    assert!(path.is_file(), "{} is missing: run tests/pictures/fetch", path.display());
    path
}

#[track_caller]
pub(crate) fn copy(name: &str, to: PathBuf) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(picture(name), to).unwrap();
}

/// Photos that must be refused, each for its own reason: file name, the report's code, and what is said.
pub(crate) const BAD_PHOTOS: [(&str, &str, &str); 9] = [
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
pub(crate) fn make_bad_photos(folder: &Path) {
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
pub(crate) fn claiming(mut jpeg: Vec<u8>, side: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|marker| marker[0] == 0xFF && matches!(marker[1], 0xC0 | 0xC2)).unwrap();
    // Behind marker, length and precision: height, then width.
    jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    jpeg
}

/// Signature and IHDR chunk of a PNG (8-bit RGB) that claims these dimensions and holds nothing.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
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
