//! Finds what is to be played below a folder, and turns it into frames.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use super::timing;
use examgate::exit::Refusal;

/// Seconds of a clip that are decoded where it is one session: more than any looks.
const SECONDS: u32 = 18;
/// Where it is cut into pieces.
const SECONDS_IN_PIECES: u32 = 60;
/// Longer side of a decoded frame, pixels: what a door's camera delivers.
const SIDE: u32 = 640;
/// Frames per second where the source does not say.
const RATE: f64 = 30.0;
/// Numbered pictures from which on a folder is one clip and not several stills.
const CLIP_FROM: usize = 5;

const VIDEOS: [&str; 9] = ["mp4", "mov", "avi", "mkv", "webm", "m4v", "mpg", "mjpeg", "ts"];
const PICTURES: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// What is played as one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clip {
    /// Its path below the folder given, without the extension.
    pub(crate) name: String,
    /// Folders between the folder given and the clip, outermost first.
    pub(crate) folders: Vec<String>,
    source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Video(PathBuf),
    Frames(Vec<PathBuf>),
    Still(PathBuf),
}

/// How a clip is cut into pieces, each one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Seconds of a piece.
    pub(crate) piece: f64,
    /// Seconds from where one begins to where the next does.
    pub(crate) every: f64,
}

/// The frames of a clip, in order; a still has one.
pub(crate) struct Frames {
    pub(crate) paths: Vec<PathBuf>,
    /// When each frame was taken, since the first, as the container's timestamps say. Empty: one every 1 / `rate` seconds.
    times: Vec<Duration>,
    /// Frames per second; with `times`, their mean.
    pub(crate) rate: f64,
    /// What the decoder complained about, though frames came out.
    pub(crate) damaged: Option<String>,
    /// Where they lie, if we decoded them.
    _folder: Option<tempfile::TempDir>,
}

/// Every clip, folder of frames and still below `root`, by name.
pub(crate) fn find(root: &Path) -> anyhow::Result<Vec<Clip>> {
    let mut clips = Vec::new();
    walk(root, root, &mut clips).with_context(|| Refusal::Usage(format!("{} cannot be listed", root.display())))?;
    if clips.is_empty() {
        bail!(Refusal::Data(format!(
            "{} holds nothing to play: clips ({}), folders of numbered frames, or stills",
            root.display(),
            VIDEOS.join(", ")
        )));
    }
    clips.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(clips)
}

fn walk(root: &Path, folder: &Path, clips: &mut Vec<Clip>) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let (pictures, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| ends_in(path, &PICTURES));
    if folder != root && are_frames(&pictures) {
        clips.push(clip(root, folder, Source::Frames(by_number(pictures))));
    } else {
        clips.extend(pictures.into_iter().map(|path| clip(root, &path.clone(), Source::Still(path))));
    }
    let videos = others.into_iter().filter(|path| ends_in(path, &VIDEOS));
    clips.extend(videos.map(|path| clip(root, &path.clone(), Source::Video(path))));
    folders.iter().try_for_each(|folder| walk(root, folder, clips))
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| endings.contains(&end.to_ascii_lowercase().as_str()))
}

/// Pictures of one clip are named alike but for a number.
fn are_frames(pictures: &[PathBuf]) -> bool {
    let prefix = |path: &PathBuf| {
        let stem = path.file_stem()?.to_str()?;
        let prefix = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        (prefix.len() < stem.len()).then(|| prefix.to_owned())
    };
    let first = pictures.first().and_then(prefix);
    pictures.len() >= CLIP_FROM && first.is_some() && pictures.iter().all(|path| prefix(path) == first)
}

/// The other clip to enrol the person of `clip` from: the next one, not a still, in the same folder below the one given.
pub(crate) fn neighbour<'c>(clips: &'c [Clip], clip: &Clip) -> Option<&'c Clip> {
    let together = || clips.iter().filter(|other| !other.folders.is_empty() && other.folders == clip.folders);
    let playable = |other: &&Clip| other.name != clip.name && !matches!(other.source, Source::Still(_));
    together().filter(playable).find(|other| other.name > clip.name).or_else(|| together().find(playable))
}

/// Numbered frames in the order of their numbers: 2 before 10, with or without leading zeros.
fn by_number(mut frames: Vec<PathBuf>) -> Vec<PathBuf> {
    frames.sort_by_cached_key(|path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let digits = stem[stem.trim_end_matches(|c: char| c.is_ascii_digit()).len()..].trim_start_matches('0');
        // A longer number is a larger one; of equally long ones the order of the digits decides.
        (digits.len(), digits.to_owned(), path.clone())
    });
    frames
}

fn clip(root: &Path, path: &Path, source: Source) -> Clip {
    let below = path.strip_prefix(root).unwrap_or(path);
    let name = match source {
        Source::Frames(_) => below.to_path_buf(),
        Source::Video(_) | Source::Still(_) => below.with_extension(""),
    };
    let folders = below.parent().into_iter().flatten().map(|part| part.to_string_lossy().into_owned()).collect();
    Clip { name: name.to_string_lossy().into_owned(), folders, source }
}

impl Frames {
    /// Whether there is but one, shown for as long as it takes.
    pub(crate) fn are_still(&self) -> bool {
        self.paths.len() == 1
    }

    /// The time from frame `start` to the frame `more` after it. Beyond the last frame, as for a still, time goes on at the mean rate.
    pub(crate) fn since(&self, start: usize, more: usize) -> Duration {
        match (self.times.get(start), self.times.get(start + more)) {
            (Some(from), Some(to)) => to.saturating_sub(*from),
            (Some(_) | None, _) => Duration::from_secs_f64(more as f64 / self.rate),
        }
    }

    /// The first `played` frames, `cut`; what is too short for a piece is left out, unless it is all there is.
    pub(crate) fn pieces(&self, played: usize, cut: Option<Cut>) -> Vec<Range<usize>> {
        let whole = 0..played;
        let Some(cut) = cut.filter(|_| !self.are_still()) else { return vec![whole] };
        let length = ((cut.piece * self.rate).round() as usize).max(1);
        if played < length {
            return vec![whole];
        }
        // Rounded each by itself, so that thirds of a second do not add up to a drift.
        let step = (cut.every * self.rate).max(1.0);
        let begins = (0_u32..).map(|n| (f64::from(n) * step).round() as usize);
        begins.map(|at| at..at + length).take_while(|piece| piece.end <= played).collect()
    }
}

impl Clip {
    /// Whether a program is needed to decode it.
    pub(crate) fn is_video(&self) -> bool {
        matches!(self.source, Source::Video(_))
    }

    /// Its frames; more of them where it is cut `in_pieces`. The error says in one line why there are none.
    pub(crate) fn frames(&self, in_pieces: bool) -> Result<Frames, String> {
        let ready = |paths| Frames { paths, times: Vec::new(), rate: RATE, damaged: None, _folder: None };
        match &self.source {
            Source::Video(path) => decode(path, if in_pieces { SECONDS_IN_PIECES } else { SECONDS }),
            Source::Frames(paths) => Ok(ready(paths.clone())),
            Source::Still(path) => Ok(ready(vec![path.clone()])),
        }
    }
}

/// Fails with the package's name if the decoder is not there.
pub(crate) fn need_decoder() -> anyhow::Result<()> {
    for program in ["ffmpeg", "ffprobe"] {
        Command::new(program)
            .arg("-version")
            .output()
            .with_context(|| format!("{program} is missing: install the package ffmpeg (`provisioning/setup` does)"))?;
    }
    Ok(())
}

fn decode(video: &Path, seconds: u32) -> Result<Frames, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    // -vsync is the older name of -fps_mode; all of ffmpeg 4.4 to 7 know it.
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-t", &seconds.to_string(), "-i"])
        .arg(video)
        .args(["-map", "0:v:0", "-vf"])
        .arg(format!("scale='if(gt(iw,ih),min({SIDE},iw),-2)':'if(gt(iw,ih),-2,min({SIDE},ih))'"))
        .args(["-vsync", "passthrough", "-q:v", "2"])
        .arg(folder.path().join("%06d.jpg"))
        .output()
        .map_err(|error| format!("ffmpeg: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let complaint = said.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
    let mut paths = fs::read_dir(folder.path())
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(|error| format!("the decoded frames cannot be listed: {error}"))?;
    paths.sort();
    if paths.is_empty() {
        return Err(complaint.unwrap_or_else(|| "it holds no picture".into()));
    }
    let times = timing::times(video, paths.len());
    let mean = match times.as_slice() {
        [_, .., last] if !last.is_zero() => Some((times.len() - 1) as f64 / last.as_secs_f64()),
        _ => None,
    };
    let rate = mean.or_else(|| timing::rate(video)).unwrap_or(RATE);
    Ok(Frames { paths, times, rate, damaged: complaint, _folder: Some(folder) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_frames_and_stills_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let touch = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        (0..6).for_each(|n| touch(&format!("replay/ada/{n:04}.jpg")));
        (0..6).for_each(|n| touch(&format!("odd/{}.jpg", "x".repeat(n + 1))));
        for name in ["a.MP4", "m-1.jpg", "m-2.jpg", "readme.txt", "print/n1.png", "print/n2.png"] {
            touch(name);
        }
        let found: Vec<_> = find(root.path()).unwrap();
        let kind = |clip: &Clip| match &clip.source {
            Source::Video(_) => "video",
            Source::Frames(_) => "frames",
            Source::Still(_) => "still",
        };
        let names: Vec<_> =
            found.iter().filter(|c| !c.name.starts_with("odd")).map(|c| (c.name.as_str(), kind(c))).collect();
        let wanted = [
            ("a", "video"),
            ("m-1", "still"),
            ("m-2", "still"),
            ("print/n1", "still"),
            ("print/n2", "still"),
            ("replay/ada", "frames"),
        ];
        assert_eq!(names, wanted);
        assert_eq!(found.iter().filter(|c| c.name.starts_with("odd/")).count(), 6);
        assert_eq!(found.last().unwrap().folders, ["replay"]);
        assert!(find(&root.path().join("absent")).is_err());
    }

    #[test]
    fn pieces_are_of_one_length() {
        let of = |frames: usize| Frames {
            paths: vec![PathBuf::new(); frames],
            times: Vec::new(),
            rate: 30.0,
            damaged: None,
            _folder: None,
        };
        for (frames, played, seconds, wanted) in [
            (100, 75, None, &[(0, 75)][..]),
            (300, 225, Some((3.0, 3.0)), &[(0, 90), (90, 180)]),
            (40, 30, Some((3.0, 3.0)), &[(0, 30)]),
            (1, 1, Some((3.0, 3.0)), &[(0, 1)]),
            // Overlapping, a third of a second apart.
            (60, 50, Some((1.0, 0.3333)), &[(0, 30), (10, 40), (20, 50)]),
            // Two and a half frames apart: half a frame is never lost twice.
            (60, 40, Some((1.0, 2.5 / 30.0)), &[(0, 30), (3, 33), (5, 35), (8, 38), (10, 40)]),
            // Closer than frames are.
            (60, 32, Some((1.0, 0.01)), &[(0, 30), (1, 31), (2, 32)]),
            // With gaps.
            (200, 150, Some((1.0, 2.0)), &[(0, 30), (60, 90), (120, 150)]),
        ] {
            let cut = seconds.map(|(piece, every)| Cut { piece, every });
            let pieces: Vec<_> = of(frames).pieces(played, cut).iter().map(|one| (one.start, one.end)).collect();
            assert_eq!(pieces, wanted, "{frames} {seconds:?}");
        }
    }

    #[test]
    fn frames_are_ordered_by_their_numbers() {
        for (names, wanted) in [
            (
                ["f10.jpg", "f9.jpg", "f1.jpg", "f2.jpg", "f100.jpg"],
                ["f1.jpg", "f2.jpg", "f9.jpg", "f10.jpg", "f100.jpg"],
            ),
            (
                ["0010.jpg", "0009.jpg", "0001.jpg", "1.jpg", "11.jpg"],
                ["0001.jpg", "1.jpg", "0009.jpg", "0010.jpg", "11.jpg"],
            ),
            // Longer than any integer type.
            (
                ["t20261129000000000002.png", "t9.png", "t20261129000000000010.png", "t0.png", "t00.png"],
                ["t0.png", "t00.png", "t9.png", "t20261129000000000002.png", "t20261129000000000010.png"],
            ),
        ] {
            assert_eq!(by_number(names.map(PathBuf::from).to_vec()), wanted.map(PathBuf::from));
        }
    }

    #[test]
    fn time_goes_by_the_timestamps_or_the_rate() {
        let ms = |times: &[u64]| times.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        let frames = |times| Frames { paths: Vec::new(), times, rate: 10.0, damaged: None, _folder: None };
        assert_eq!(frames(ms(&[0, 250, 500])).since(1, 1), Duration::from_millis(250));
        assert_eq!(frames(ms(&[])).since(1, 2), Duration::from_millis(200));
    }

    #[test]
    fn a_person_is_enrolled_from_another_clip_of_the_folder() {
        let one = |folder: &[&str], name: &str, source: fn(PathBuf) -> Source| Clip {
            name: [folder, &[name]].concat().join("/"),
            folders: folder.iter().map(|part| (*part).to_owned()).collect(),
            source: source(PathBuf::from(name)),
        };
        let clips = [
            one(&[], "x", Source::Video),
            one(&[], "y", Source::Video),
            one(&["ada"], "1", Source::Video),
            one(&["ada"], "2", Source::Video),
            one(&["ada"], "3", Source::Still),
            one(&["ben"], "1", Source::Video),
        ];
        let name = |at: usize| neighbour(&clips, &clips[at]).map(|clip| clip.name.as_str());
        assert_eq!([0, 1, 2, 3, 4, 5].map(name), [None, None, Some("ada/2"), Some("ada/1"), Some("ada/1"), None]);
    }
}
