//! `evaluate liveness` and `evaluate fusion` on the clips of the test pictures, with the real decoder.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{copy, lab, root};

/// What the test set holds, under another name.
#[track_caller]
pub(super) fn link(name: &str, to: &Path) {
    let from = root().join("tests/pictures/cache").join(name);
    assert!(from.exists(), "{} is missing: run tests/pictures/fetch", from.display());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    symlink(from, to).unwrap();
}

/// A person, their photo held up, a still, and two clips that are none.
fn clips(folder: &Path) {
    link("videos/single_face.mp4", &folder.join("live/ada.mp4"));
    link("clips/held_photo", &folder.join("attacks/print/ada/held"));
    copy("single_face.jpg", folder.join("attacks/still/face.jpg"));
    let video = fs::read(folder.join("live/ada.mp4")).unwrap();
    fs::write(folder.join("live/cut.mp4"), &video[..video.len() / 2]).unwrap();
    fs::create_dir_all(folder.join("attacks/replay")).unwrap();
    fs::write(folder.join("attacks/replay/text.mp4"), "this is no clip").unwrap();
}

#[test]
fn clips_are_played_counted_and_those_that_cannot_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    clips(folder.path());
    let args = ["evaluate", "liveness", "--live", "live", "--attacks", "attacks", "--plots", "plots", "--json"];
    let ran = lab(folder.path(), &args).expect(0).says(&["not played", "replay/text", "cut"]);
    let json = ran.json();
    for (key, wanted) in [("live_sessions", 1), ("attack_sessions", 2), ("attacks_admitted", 0)] {
        assert_eq!(json[key], wanted, "{key} in {json:#}");
    }
    let count = |keys: &[&str]| keys.iter().map(|key| json[*key].as_u64().expect(key)).sum::<u64>();
    assert_eq!(count(&["live_admitted", "live_asked", "live_refused", "live_not_looked_at"]), 1, "{json:#}");
    assert_eq!(
        count(&["attacks_admitted", "attacks_asked", "attacks_refused", "attacks_not_looked_at"]),
        2,
        "{json:#}"
    );
    // Rates are over sessions that were judged: `null` where all were asked.
    for (rate, judged) in
        [("apcer", ["attacks_admitted", "attacks_refused"]), ("bpcer", ["live_admitted", "live_refused"])]
    {
        assert_eq!(json[rate].is_null(), count(&judged) == 0, "{rate} in {json:#}");
    }
    assert_eq!(json["ask_rate"].as_f64(), Some(count(&["live_asked"]) as f64), "{json:#}");
    // Whether this clip is admitted or asked to turn is not the point: it is not taken for an attack.
    assert_eq!(json["live_refused"], 0, "{json:#}");
    assert_eq!(json["decide_ms_p50"].is_null(), json["live_admitted"] == 0, "{json:#}");
    assert_eq!(json["decide_ms_p95"].is_null(), json["live_admitted"] == 0, "{json:#}");
    // None of two that were looked at proves at most 84 %.
    let upper = json["attacks_admitted_interval_95"][1].as_f64().unwrap();
    assert!((upper - 0.8419).abs() < 1e-3, "{upper}");
    let kinds: Vec<_> = json["attacks"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(kinds, ["print", "still"], "{json:#}");
    let of = |kind: &str| json["attack_clips"].as_array().unwrap().iter().find(|clip| clip["kind"] == kind).unwrap();
    assert_eq!((&of("print")["victim"], &of("still")["victim"]), (&"ada".into(), &serde_json::Value::Null));
    let unplayable: Vec<_> = json["unplayable"].as_array().unwrap().iter().map(|one| &one["clip"]).collect();
    assert_eq!(unplayable, ["cut", "replay/text"], "{json:#}");
    let curve = json["curve"].as_array().unwrap();
    assert_eq!((curve.len(), &curve[25]["ms"]), (26, &2500.into()));
    let rises = |key: &str| curve.windows(2).all(|two| two[0][key].as_f64() <= two[1][key].as_f64());
    assert!(rises("live_admitted") && rises("attacks_admitted"), "{json:#}");
    let svg = fs::read_to_string(folder.path().join("plots/error-against-time.svg")).unwrap();
    assert!(svg.contains("shortest look, 0.7 s"));
}

#[test]
fn pieces_of_a_clip_are_sessions_without_an_interval() {
    let folder = tempfile::tempdir().unwrap();
    link("clips/WolfgangLanger_Pexels", &folder.path().join("live/eve"));
    copy("single_face.jpg", folder.path().join("attacks/face.jpg"));
    let args = ["evaluate", "liveness", "--live", "live", "--attacks", "attacks", "--piece", "1.5", "--json"];
    let json = lab(folder.path(), &args).expect(0).json();
    // 150 frames at 30 a second, the last quarter to enrol from: two whole pieces of 1.5 s.
    assert_eq!((&json["live_sessions"], &json["attack_sessions"]), (&2.into(), &1.into()), "{json:#}");
    assert_eq!(
        (&json["live_clips"][1]["clip"], &json["live_clips"][1]["from_s"]),
        (&"eve".into(), &1.5.into()),
        "{json:#}"
    );
    assert!(json["live_admitted_interval_95"].is_null() && json["apcer_interval_95"].is_null(), "{json:#}");
    let text = lab(folder.path(), &args[..8]).expect(0).stdout;
    assert!(text.contains("not independent") && text.contains("| attack | 1 |"), "{text}");
    lab(folder.path(), &[&args[..7], &["0.1"]].concat()).expect(64).says(&["1 to 18 seconds"]);
}

#[test]
fn nothing_to_play_is_bad_data() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["live", "attacks"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let args = ["evaluate", "liveness", "--live", "live", "--attacks", "attacks"];
    lab(folder.path(), &args).expect(65).says(&["live holds nothing to play", "mp4"]);
    for name in ["live", "attacks"] {
        fs::write(folder.path().join(name).join("a.mp4"), "this is no clip").unwrap();
    }
    lab(folder.path(), &args).expect(65).says(&["no clip could be played"]);
}

#[test]
fn fusing_is_measured_on_pictures_and_on_clips() {
    let folder = tempfile::tempdir().unwrap();
    for (person, photos) in [("obama", ["obama.jpg", "obama2.jpg", "obama3.jpg"]), ("other", ["biden.jpg"; 3])] {
        for (n, photo) in photos.iter().enumerate() {
            copy(photo, folder.path().join(format!("people/{person}/{n}.jpg")));
        }
    }
    link("clips/single_face", &folder.path().join("clips/ada"));
    link("clips/WolfgangLanger_Pexels", &folder.path().join("clips/eve"));
    let args = ["evaluate", "fusion", "--images", "people", "--clips", "clips", "--plots", "plots", "--json"];
    let json = lab(folder.path(), &args).expect(0).json();
    let lines = json["lines"].as_array().unwrap();
    let told: Vec<_> = lines.iter().map(|line| (line["photos"].as_u64(), line["frames"].as_u64())).collect();
    assert_eq!(told[..2], [(Some(1), Some(1)), (Some(2), Some(1))], "{json:#}");
    assert_eq!(lines[2..].iter().filter(|line| line["source"] == "clips").count(), 10, "{json:#}");
    for line in lines {
        assert_eq!(line["people"], 2, "{line}");
        assert!(line["mated_p5"].as_f64() > line["non_mated_p999"].as_f64() && line["interval"].is_null(), "{line}");
    }
    // One frame, the first with a hand before the face, against eight fused ones.
    let [one, eight] = [2, 6].map(|at| lines[at]["mated_p5"].as_f64().unwrap());
    assert!(eight > one + 0.02, "{json:#}");
    assert!(fs::read_to_string(folder.path().join("plots/error-by-frames.svg")).unwrap().contains("2 photos"));
    lab(folder.path(), &["evaluate", "fusion"]).expect(64).says(&["--images"]);
}
