//! What the loader refuses, and what it says then.

use std::error::Error;

use super::*;

const SHIPPED: &str = include_str!("../../../models/manifest.toml");

/// The shipped manifest with the value of `key`, after the line `table`, put to `value`; or the line taken out.
fn altered(table: &str, key: &str, value: Option<&str>) -> String {
    let start = SHIPPED.find(table).unwrap_or_else(|| panic!("the manifest has {table}"));
    let line = start + SHIPPED[start..].find(&format!("\n{key} = ")).unwrap_or_else(|| panic!("{table} has {key}")) + 1;
    let end = line + SHIPPED[line..].find('\n').expect("a line ends");
    let new = value.map(|value| format!("{key} = {value}")).unwrap_or_default();
    format!("{}{new}{}", &SHIPPED[..line], &SHIPPED[end..])
}

#[test]
fn the_shipped_manifest_is_sound() {
    let manifest = Manifest::parse(SHIPPED).unwrap();
    let widths: Vec<_> = manifest.nets().map(|net| net.input.width).collect();
    assert_eq!(widths, [12, 24, 48, 112, 128, 24]);
    assert_eq!(manifest.embedder.dimension, 512);
    assert!(manifest.runtime.file.iter().any(|file| file.name == manifest.runtime.library));
}

#[test]
fn each_wrong_value_is_named_with_what_is_allowed() {
    const EMBED: &str = "[model.mobilefacenet]";
    const LIVE: &str = "[model.minifasnet]";
    const EYES: &str = "[model.mini-xception]";
    const FIRST: &str = "[model.mtcnn-pnet]";
    for (table, key, value, said) in [
        ("", "schema", Some("2"), &["schema = 2", "allowed is 1"][..]),
        ("[runtime]", "library", Some("'gone.so'"), &["runtime.library = gone.so", "[[runtime.file]]"]),
        ("[[runtime.file]]", "name", Some("'../x'"), &["runtime.file.name = ../x", "without a folder"]),
        ("[[runtime.file]]", "sha256", Some("'xyz'"), &["`xyz`", "64 hexadecimal digits"]),
        ("[pipeline]", "embed", Some("'nobody'"), &["pipeline.embed = nobody", "iresnet50, mini-xception"]),
        ("[pipeline]", "embed", Some("'iresnet50'"), &["model.iresnet50"]),
        ("[pipeline]", "output", Some("'mtcnn-rnet'"), &["model.mtcnn-rnet.output.landmarks = missing"]),
        ("[pipeline]", "refine", None, &["missing field `refine`"]),
        (EMBED, "provider", Some("'cuda'"), &["unknown variant `cuda`", "`openvino` or `cpu`"]),
        (EMBED, "file", Some("'/etc/passwd'"), &["model.mobilefacenet.file = /etc/passwd", "without a folder"]),
        (EMBED, "sha256", None, &["model.mobilefacenet.sha256 = missing"]),
        (EMBED, "layout", Some("'HWC'"), &["unknown variant `HWC`", "`NCHW` or `NHWC`"]),
        (EMBED, "colour", Some("'YUV'"), &["unknown variant `YUV`", "`RGB` or `BGR`"]),
        (EMBED, "width", Some("0"), &["model.mobilefacenet.input.width = 0", "8 to 1024"]),
        (EMBED, "height", Some("128"), &["model.mobilefacenet.input = 112x128", "112x112"]),
        (EMBED, "scale", Some("0.0"), &["model.mobilefacenet.input.subtract", "not zero"]),
        (EMBED, "dimension", Some("0"), &["model.mobilefacenet.embedding.dimension = 0", "1 to 4096"]),
        (EMBED, "alignment", Some("'none'"), &["unknown variant `none`", "`arcface-112`"]),
        (EMBED, "admit", Some("1.5"), &["thresholds.admit = 1.5", "-1 to 1"]),
        (EMBED, "refer", Some("0.9"), &["thresholds.refer = 0.9", "at most thresholds.admit"]),
        (EMBED, "same_face", None, &["thresholds.same_face = missing"]),
        (EMBED, "admit", Some("'high'"), &["invalid type: string", "f32"]),
        (EMBED, "subtract", Some("1.0"), &["model.mobilefacenet.calibration = d2e483d4", "calibrate again"]),
        (EMBED, "probe_artifact", Some("'0'"), &["`0`", "64 hexadecimal digits"]),
        (LIVE, "live", Some("nan"), &["thresholds.live = NaN", "0 to 1"]),
        (LIVE, "live_index", Some("-1"), &["live_index", "-1"]),
        ("[model.minifasnet.crop]", "scale", Some("0.5"), &["crop.scale = 0.5", "1 to 10"]),
        ("[pipeline]", "eyes", Some("'nobody'"), &["pipeline.eyes = nobody", "mini-xception, minifasnet"]),
        ("[pipeline]", "eyes", Some("'minifasnet'"), &["model.minifasnet.eye = missing"]),
        (EYES, "side", Some("0.0"), &["model.mini-xception.eye.side = 0", "0.1 to 2"]),
        (EYES, "side", Some("nan"), &["model.mini-xception.eye.side = NaN", "0.1 to 2"]),
        (EYES, "closed_index", Some("2"), &["model.mini-xception.eye.closed_index = 2", "0 or 1"]),
        (EYES, "closed_index", None, &["missing field `closed_index`"]),
        (EYES, "width", Some("32"), &["model.mini-xception.input = 32x24", "a square"]),
        (EYES, "logits", None, &["model.mini-xception.output.logits = missing"]),
        (EYES, "closed", None, &["model.mini-xception.thresholds.closed = missing"]),
        (EYES, "closed", Some("1.5"), &["model.mini-xception.thresholds.closed = 1.5", "0 to 1"]),
        (EYES, "sha256", None, &["model.mini-xception.sha256 = missing"]),
        (FIRST, "box", None, &["model.mtcnn-pnet.output.box = missing"]),
        (FIRST, "face", Some("7"), &["thresholds.face = 7", "0 to 1"]),
        (FIRST, "licence", Some("'x'\nspeed = 9"), &["unknown field `speed`"]),
    ] {
        let error = Manifest::parse(&altered(table, key, value)).expect_err(&format!("{table} {key} = {value:?}"));
        let told = format!("{error}\n{}", error.source().map(ToString::to_string).unwrap_or_default());
        for part in said {
            assert!(told.contains(part), "{table} {key} = {value:?} says\n{told}\nnot {part}");
        }
    }
}

#[test]
fn the_eyes_are_an_optional_part() {
    let manifest = Manifest::parse(&altered("[pipeline]", "eyes", None)).unwrap();
    assert!(manifest.eyes.is_none());
    assert_eq!(manifest.nets().count(), 5);
}

#[test]
fn an_artifact_changes_with_all_that_changes_its_numbers() {
    // Calibrations name the artifact: with another they are refused.
    let uncalibrated = |text: &str| {
        let mut calibrating = false;
        let kept = text.lines().filter(|line| {
            calibrating = if line.starts_with('[') { line.contains(".calibration]") } else { calibrating };
            !calibrating
        });
        kept.collect::<Vec<_>>().join("\n")
    };
    let artifact = |text: &str| Manifest::parse(&uncalibrated(text)).unwrap().embedder.artifact();
    let shipped = artifact(SHIPPED);
    assert_eq!(artifact(SHIPPED), shipped);
    let zeros = format!("'{}'", "0".repeat(64));
    const EMBED: &str = "[model.mobilefacenet]";
    for (key, value) in
        [("sha256", zeros.as_str()), ("colour", "'RGB'"), ("layout", "'NHWC'"), ("subtract", "127.5"), ("scale", "0.5")]
    {
        assert_ne!(artifact(&altered(EMBED, key, Some(value))), shipped, "{key}");
    }
    for (key, value) in [("provider", "'cpu'"), ("admit", "0.6"), ("licence", "'another'")] {
        assert_eq!(artifact(&altered(EMBED, key, Some(value))), shipped, "{key}");
    }
}

#[test]
fn a_missing_manifest_is_named() {
    let error = Manifest::load(Path::new("/nowhere/manifest.toml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/manifest.toml"), "{error}");
}
