//! `evaluate verification` on a handful of real photos.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{bare, copy, lab, make_bad_photos};

fn people(folder: &Path) {
    for (photo, to) in [
        ("obama.jpg", "people/obama/1.jpg"),
        ("obama2.jpg", "people/obama/2.jpg"),
        ("biden.jpg", "people/biden/1.jpg"),
        ("single_face.jpg", "people/other/1.jpg"),
    ] {
        copy(photo, folder.join(to));
    }
}

fn evaluate(folder: &Path, pairs: &str, more: &[&str]) -> super::Ran {
    fs::write(folder.join("pairs.csv"), pairs).unwrap();
    let args = ["evaluate", "verification", "--pairs", "pairs.csv", "--images", "people"];
    lab(folder, &[&args[..], more].concat())
}

#[test]
fn rates_over_all_comparisons_and_accuracy_over_the_pairs() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    let pairs = "img1,img2,same,fold\n\
                 obama/1.jpg,obama/2.jpg,1,1\nobama/1.jpg,biden/1.jpg,0,1\n\
                 obama/2.jpg,obama/1.jpg,1,2\nobama/2.jpg,other/1.jpg,0,2\n";
    let json = evaluate(folder.path(), pairs, &["--json", "--threads", "2"]).expect(0).json();
    for (key, wanted) in [
        ("pairs", 4.0),
        ("accuracy", 1.0),
        ("comparisons_mated", 1.0),
        ("comparisons_non_mated", 5.0),
        ("fmr", 0.0),
        ("fnmr", 0.0),
        ("tar_at_far_1e-2", 1.0),
        ("tar_at_far_1e-3", 1.0),
        ("tar_at_far_1e-4", 1.0),
        ("failures_to_detect", 0.0),
    ] {
        assert_eq!(json[key].as_f64(), Some(wanted), "{key} in {json}");
    }
    let table = evaluate(folder.path(), pairs, &["--plots", "plots"]).expect(0).stdout;
    let admit = format!("admit {}", json["threshold"]);
    for plot in ["histogram.svg", "det.svg"] {
        assert!(fs::read_to_string(folder.path().join("plots").join(plot)).unwrap().contains(&admit), "{plot}");
    }
    assert!(table.contains("mean over 2 folds") && table.contains("TAR at FAR 1e-3        1.0"), "{table}");
}

#[test]
fn an_image_without_face_counts_as_a_non_match() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    make_bad_photos(&folder.path().join("people/obama"));
    // Named as seen from the pairs file, as published sets do.
    let pairs = "img1,img2,same\npeople/obama/1.jpg,people/obama/2.jpg,1\npeople/obama/1.jpg,people/obama/grey.png,1\n\
                 people/obama/1.jpg,people/biden/1.jpg,0\npeople/obama/2.jpg,people/obama/empty.jpg,1\n";
    let ran = evaluate(folder.path(), pairs, &["--json"]).expect(0).says(&["grey.png", "empty.jpg"]);
    let json = ran.json();
    assert_eq!(json["failures_to_detect"], 2);
    // of six mated comparisons only one has two faces; of four non-mated ones none matches
    assert_eq!((json["comparisons_mated"].as_u64(), json["comparisons_non_mated"].as_u64()), (Some(6), Some(4)));
    assert_eq!((json["fnmr"].as_f64(), json["fmr"].as_f64()), (Some(5.0 / 6.0), Some(0.0)));
    assert_eq!(json["accuracy"], 0.5);
}

#[test]
fn folders_that_are_no_persons_leave_the_pairs() {
    let folder = tempfile::tempdir().unwrap();
    for photo in ["obama.jpg", "obama2.jpg", "biden.jpg"] {
        copy(photo, folder.path().join("people").join(photo));
    }
    let pairs = "img1,img2,same\nobama.jpg,obama2.jpg,1\nobama.jpg,biden.jpg,0\n";
    let ran = evaluate(folder.path(), pairs, &["--json"]).expect(0).says(&["only the pairs of the file"]);
    assert_eq!(
        (ran.json()["comparisons_mated"].as_u64(), ran.json()["comparisons_non_mated"].as_u64()),
        (Some(1), Some(1))
    );
}

#[test]
fn bad_pairs_are_named_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    evaluate(folder.path(), "img1,img2,same\nobama/1.jpg,x.jpg,1\ny.jpg,x.jpg,0\n", &[]).expect(65).says(&[
        "2 problems",
        "`x.jpg` is neither in people",
        "`y.jpg`",
    ]);
    evaluate(folder.path(), "img1,img2,same\na,b,maybe\n,b,1\n", &[]).expect(65).says(&["line 2", "line 3"]);
    evaluate(folder.path(), "", &[]).expect(65).says(&["empty"]);
    bare(folder.path(), &["evaluate", "verification", "--pairs", "absent.csv", "--images", "people"])
        .expect(64)
        .says(&["absent.csv"]);
}

#[test]
fn quality_of_pictures_with_and_without_names() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    let args = ["evaluate", "quality", "--images", "people", "--plots", "plots", "--json"];
    let json = lab(folder.path(), &args).expect(0).json();
    assert_eq!((&json["images"], &json["failures_to_detect"]), (&4.into(), &0.into()));
    for component in json["components"].as_array().unwrap() {
        let [least, most] = [0, 1].map(|end| component["range"][end].as_f64().unwrap());
        for quantile in ["least", "p5", "p50", "p95", "most"] {
            let value = component[quantile].as_f64().unwrap();
            assert!((least..=most).contains(&value), "{quantile} of {component}");
        }
    }
    // One person has two pictures: each as a frame against the other as a photo.
    assert_eq!(json["error_versus_discard"]["comparisons_mated"], 2, "{json:#}");
    assert_eq!(json["error_versus_discard"]["curves"][0]["measure"], "quality");
    for plot in ["distributions.svg", "error-versus-discard.svg"] {
        assert!(fs::read_to_string(folder.path().join("plots").join(plot)).unwrap().contains("yaw"), "{plot}");
    }

    let ran = lab(folder.path(), &["evaluate", "quality", "--images", "people/obama"]).expect(0);
    assert!(ran.stdout.contains("whether quality foretells failure cannot be told"), "{}", ran.stdout);
    fs::create_dir(folder.path().join("none")).unwrap();
    lab(folder.path(), &["evaluate", "quality", "--images", "none"]).expect(65).says(&["has no pictures"]);
}

#[test]
fn the_limit_for_enrolment_photos_is_of_one_half_and_judged_on_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().join("people");
    let clips = super::root().join("tests/pictures/cache/clips");
    for (person, clip, frames) in
        [("ada", "WolfgangLanger_Pexels", ["0146.jpg", "0150.jpg"]), ("bob", "single_face", ["0001.jpg", "0060.jpg"])]
    {
        fs::create_dir_all(people.join(person)).unwrap();
        for frame in frames {
            fs::copy(clips.join(clip).join(frame), people.join(person).join(frame)).expect("run tests/pictures/fetch");
        }
    }
    let args = ["evaluate", "quality", "--images", "people"];
    let json = || lab(folder.path(), &[&args[..], &["--json"]].concat()).expect(0).json();
    let said = || lab(folder.path(), &args).expect(0).stdout;
    // Lengths of ada's photos give the limit, bob's are judged: both are longer.
    let found = json();
    let gate = &found["error_versus_discard"]["gate"];
    let counts = |gate: &serde_json::Value| ["people", "photos", "below"].map(|key| gate[key].as_u64().unwrap());
    assert_eq!(counts(gate), [1, 2, 0], "{gate:#}");
    assert_eq!([&gate["fnmr_below"], &gate["fnmr_others"]], [&serde_json::Value::Null, &0.0.into()], "{gate:#}");
    let limit = gate["limit"].as_f64().unwrap();
    let words = said();
    let of_ada = format!("embedding_length below {limit:.2}, the shortest 5 % of every other person's");
    assert!(words.contains(&of_ada), "{words}");
    assert!(words.contains("of the 2 photos of the people between them 0 are"), "{words}");
    assert!(words.contains("\n  below   no such photo\n  others  0.0 % (0.0 to 0.0)\n"), "{words}");

    // Upside down the net is unsure of him, and knows him no more: the limit stays, the photo is below, and fails.
    image::open(clips.join("single_face/0060.jpg")).unwrap().rotate180().save(people.join("bob/turned.png")).unwrap();
    let found = json();
    let gate = &found["error_versus_discard"]["gate"];
    assert_eq!((counts(gate), gate["limit"].as_f64()), ([1, 3, 1], Some(limit)), "{gate:#}");
    assert_eq!(gate["fnmr_below"], 1.0, "{gate:#}");
    assert_eq!(gate["fnmr_others"], 0.5, "he is not known upside down at the door either: {gate:#}");
    assert!(said().contains("\n  below   100.0 % (100.0 to 100.0)\n"), "{}", said());
}

/// The shipped models with the embedder as its own stand-in under another name: what is compared is alike to the last bit.
fn models_with_a_twin(folder: &Path) {
    let models = super::root().join("models");
    fs::create_dir_all(folder.join("models")).unwrap();
    symlink(models.join("ready"), folder.join("models/ready")).unwrap();
    symlink(super::root().join("runtime"), folder.join("runtime")).unwrap();
    let manifest = fs::read_to_string(models.join("manifest.toml")).unwrap();
    let start = manifest.find("[model.mobilefacenet]").unwrap();
    let end = start + manifest[start..].find("[model.mobilefacenet-int8]").unwrap();
    let mut twin = manifest[start..end].replace("[model.mobilefacenet", "[model.twin");
    twin =
        twin.replacen('\n', "\nstands_for = \"mobilefacenet\"\n", 1) + "[model.twin.loss]\nfnmr = 0.0\nupper = 0.0\n";
    fs::write(folder.join("models/manifest.toml"), manifest + &twin).unwrap();
}

#[test]
fn a_stand_in_that_computes_the_same_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    copy("obama3.jpg", folder.path().join("people/biden/2.jpg"));
    models_with_a_twin(folder.path());
    let args = ["evaluate", "precision", "--images", "people", "--candidate", "twin", "--models", "models"];
    let json = bare(folder.path(), &[&args[..], &["--json"]].concat()).expect(0).json();
    assert_eq!((&json["reference"], &json["candidate"]), (&"mobilefacenet".into(), &"twin".into()));
    assert_eq!((&json["people"], &json["pictures"], &json["comparisons_mated"]), (&3.into(), &5.into(), &4.into()));
    assert!((json["cosine_least"].as_f64().unwrap() - 1.0).abs() < 1e-4, "{json:#}");
    for (at, fmr) in json["at"].as_array().unwrap().iter().zip([1e-2, 1e-3, 1e-4]) {
        assert_eq!((at["fmr"].as_f64(), at["difference"].as_f64()), (Some(fmr), Some(0.0)), "{json:#}");
        assert_eq!(at["interval"], serde_json::json!([0.0, 0.0]), "{json:#}");
    }
    assert_eq!((&json["small"], &json["loss"]), (&true.into(), &serde_json::json!([0.0, 0.0])), "{json:#}");
    let said = bare(folder.path(), &args).expect(0).stdout;
    assert!(said.contains("no relevant loss; for the manifest:\n[model.twin.loss]"), "{said}");
}

#[test]
fn only_a_stand_in_of_the_manifest_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    let args = ["evaluate", "precision", "--images", "people", "--candidate", "minifasnet"];
    lab(folder.path(), &args).expect(64).says(&["minifasnet stands for no embedder", "mobilefacenet-int8"]);
}

#[test]
fn aligned_faces_are_written_as_pictures() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    lab(folder.path(), &["align", "--images", "people/obama", "--out", "aligned"]).expect(0);
    let face = image::open(folder.path().join("aligned/0001.png")).unwrap();
    assert_eq!((face.width(), face.height()), (112, 112));
    // Embedded again as it is, the face is the one of the photo: nothing was lost but rounding.
    let ran = lab(folder.path(), &["compare", "people/obama/2.jpg", "aligned/0001.png", "--json"]).expect(0);
    assert!(ran.json()["similarity"].as_f64().unwrap() > 0.9, "{}", ran.stdout);
}

#[test]
fn calibration_refuses_what_few_people_cannot_carry() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    let args = ["calibrate", "--images", "people", "--report", "report", "--json"];
    let json = lab(folder.path(), &args).expect(0).json();
    assert_eq!((&json["data"]["people"], &json["data"]["pictures"]), (&3.into(), &4.into()));
    assert_eq!(json["thresholds"][2]["people_needed"], 776, "{json:#}");
    assert!(
        json["command"].as_str().unwrap().starts_with("examgate-lab calibrate --images people"),
        "{}",
        json["command"]
    );
    assert!(json["thresholds"][0]["threshold"].is_null() && json["proposal"]["admit"].is_null(), "{json:#}");
    // Three people at each other's place, nobody admitted: of one tap that shares nobody that says little.
    assert_eq!((&json["accepts"][0]["taps"], &json["accepts"][0]["admitted"]), (&6.into(), &0.into()));
    assert_eq!(json["accepts"][0]["independent_interval"], serde_json::json!([0.0, 0.975]), "{json:#}");
    let text = fs::read_to_string(folder.path().join("report/calibration.md")).unwrap();
    assert!(text.contains("3 people cannot carry it, about 776 would"), "{text}");

    let args = ["calibrate", "--images", "people", "--write", "thresholds.toml"];
    lab(folder.path(), &args).expect(65).says(&["was not written", "3 people are there, about 549 are needed"]);
    assert!(!folder.path().join("thresholds.toml").exists());
    fs::remove_dir_all(folder.path().join("people/obama")).unwrap();
    fs::remove_dir_all(folder.path().join("people/biden")).unwrap();
    lab(folder.path(), &["calibrate", "--images", "people"]).expect(65).says(&["one folder a person"]);
}

#[test]
fn corrupt_clips_are_named_and_the_others_are_played() {
    let folder = tempfile::tempdir().unwrap();
    let cache = super::root().join("tests/pictures/cache");
    let at = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for n in 1..=30 {
        let frame = format!("{n:04}.jpg");
        let bytes = fs::read(cache.join("clips/single_face").join(&frame)).unwrap();
        // Of these frames one is torn, one empty: a clip plays on without them.
        let bytes = if n == 9 { &bytes[..bytes.len() / 3] } else { &bytes[..] };
        fs::write(at(&format!("live/him/{frame}")), if n == 10 { &[] } else { bytes }).unwrap();
    }
    let video = fs::read(cache.join("videos/single_face.mp4")).unwrap();
    fs::write(at("live/no-video.mp4"), "this is no video").unwrap();
    fs::write(at("attacks/replay/torn.mp4"), &video[..video.len() / 2]).unwrap();
    let mut scratched = video;
    let middle = scratched.len() / 2;
    scratched[middle..middle + 4_000].fill(0x5a);
    fs::write(at("attacks/replay/scratched.mp4"), scratched).unwrap();
    copy("single_face.jpg", folder.path().join("attacks/still/him.jpg"));
    let args = ["evaluate", "liveness", "--live", "live", "--attacks", "attacks", "--json"];
    let ran = lab(folder.path(), &args).expect(0).says(&["no-video", "torn", "scratched"]);
    let json = ran.json();
    assert_eq!((json["live_sessions"].as_u64(), json["attack_sessions"].as_u64()), (Some(1), Some(2)), "{json:#}");
    let named: Vec<_> =
        json["unplayable"].as_array().unwrap().iter().map(|one| one["clip"].as_str().unwrap()).collect();
    assert_eq!(named, ["no-video", "replay/torn"]);
    let remark = |clip: &str| {
        let lines = json["attack_clips"].as_array().unwrap();
        lines.iter().find(|line| line["clip"] == clip).unwrap()["remark"].as_str().map(str::to_owned)
    };
    assert!(remark("replay/scratched").is_some_and(|remark| remark.starts_with("damaged: ")), "{json:#}");
    assert_eq!(remark("still/him"), None);
    assert_eq!(json["attacks_admitted"], 0);
}

#[test]
fn photos_are_compared_with_themselves() {
    let folder = tempfile::tempdir().unwrap();
    copy("obama.jpg", folder.path().join("people/obama/1.jpg"));
    make_bad_photos(&folder.path().join("people"));
    let args = ["evaluate", "steadiness", "--images", "people", "--threads", "2"];
    let json = lab(folder.path(), &[&args[..], &["--json"]].concat()).expect(0).json();
    assert_eq!((&json["pictures"], &json["variants"]), (&2.into(), &38.into()), "{json}");
    assert_eq!((&json["unreadable"], &json["faceless"]), (&7.into(), &1.into()), "{json}");
    assert!(json["below_0_8"].is_number() && json["below_0_5"].is_number(), "{json}");
    assert!(json["worst"][0]["picture"].is_string() && json["worst"][0]["similarity"].is_number(), "{json}");
    lab(folder.path(), &["evaluate", "steadiness", "--images", "absent"]).expect(64).says(&["cannot list", "absent"]);
}

#[test]
fn shorter_templates_are_measured_against_whole_ones() {
    let folder = tempfile::tempdir().unwrap();
    people(folder.path());
    let args = ["evaluate", "templates", "--images", "people"];
    let json = lab(folder.path(), &[&args[..], &["--json"]].concat()).expect(0).json();
    assert_eq!((&json["comparisons_mated"], &json["comparisons_non_mated"]), (&2.into(), &10.into()));
    let forms = json["forms"].as_array().unwrap();
    let bytes: Vec<_> = forms.iter().map(|form| form["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [2048, 1024, 512]);
    let most: Vec<_> = forms.iter().map(|form| form["change_most"].as_f64().unwrap()).collect();
    assert!(most[0] == 0.0 && (1e-7..1e-4).contains(&most[1]) && (1e-5..5e-3).contains(&most[2]), "{json:#}");
    assert!(forms.iter().all(|form| form["tar_at_fmr_1e-2"] == 1.0), "{json:#}");
    let said = lab(folder.path(), &args).expect(0).stdout;
    assert!(said.contains("int8    512"), "{said}");
    fs::remove_dir_all(folder.path().join("people/obama")).unwrap();
    lab(folder.path(), &args).expect(65).says(&["people with several pictures are needed"]);
}
