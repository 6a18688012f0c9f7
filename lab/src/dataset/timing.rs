//! When the frames of a clip were taken, as its container says: timestamps, or else a rate.

use std::{path::Path, process::Command, time::Duration};

/// Longest time between two frames, seconds: beyond it the timestamps are not believed.
const LONGEST_GAP: f64 = 10.0;

/// The timestamps of the first `count` frames, since the first; none where the container has no usable ones.
pub(crate) fn times(video: &Path, count: usize) -> Vec<Duration> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
        .arg(video)
        .output();
    let Ok(output) = output else { return Vec::new() };
    parse_times(&String::from_utf8_lossy(&output.stdout), count)
}

/// Packets come in decoding order, so they are sorted. Every frame has to have a time of its own, and a plausible one.
fn parse_times(text: &str, count: usize) -> Vec<Duration> {
    let seconds: Option<Vec<f64>> = text
        .lines()
        .map(|line| line.trim().trim_end_matches(',').parse().ok().filter(|at: &f64| at.is_finite()))
        .collect();
    let Some(mut seconds) = seconds.filter(|seconds| seconds.len() >= count) else { return Vec::new() };
    seconds.sort_by(f64::total_cmp);
    seconds.truncate(count);
    let Some(&first) = seconds.first() else { return Vec::new() };
    let rises = seconds.windows(2).all(|two| two[1] > two[0] && two[1] - two[0] < LONGEST_GAP);
    if !rises {
        return Vec::new();
    }
    seconds.into_iter().map(|at| Duration::from_secs_f64(at - first)).collect()
}

/// Frames per second, as the container says.
pub(crate) fn rate(video: &Path) -> Option<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=avg_frame_rate", "-of", "csv=p=0"])
        .arg(video)
        .output()
        .ok()?;
    parse_rate(&String::from_utf8_lossy(&output.stdout))
}

fn parse_rate(text: &str) -> Option<f64> {
    let (frames, seconds) = text.lines().next()?.trim().trim_end_matches(',').split_once('/')?;
    let rate = frames.parse::<f64>().ok()? / seconds.parse::<f64>().ok()?;
    (1.0..=240.0).contains(&rate).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_used_where_every_frame_has_one() {
        let ms = |times: &[u64]| times.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        for (text, count, wanted) in [
            ("1.000000\n1.500000\n1.250000\n", 3, ms(&[0, 250, 500])),
            // More packets than frames: decoding stopped earlier.
            ("0.0,\n0.1,\n0.2,\n", 2, ms(&[0, 100])),
            ("0.0\n0.1\n", 3, ms(&[])),
            ("N/A\nN/A\n", 2, ms(&[])),
            ("0.0\nnan\n", 2, ms(&[])),
            ("0.0\n0.0\n", 2, ms(&[])),
            ("0.0\n40.0\n", 2, ms(&[])),
            ("", 0, ms(&[])),
        ] {
            assert_eq!(parse_times(text, count), wanted, "{text:?}");
        }
    }

    #[test]
    fn rates() {
        for (text, wanted) in
            [("30/1\n", Some(30.0)), ("30000/1001,\n", Some(30000.0 / 1001.0)), ("0/0", None), ("", None), ("9", None)]
        {
            assert_eq!(parse_rate(text), wanted, "{text}");
        }
    }
}
