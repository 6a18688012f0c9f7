//! `compare` on real photos.

use super::{BAD_PHOTOS, bare, lab, make_bad_photos, picture};

#[test]
fn the_same_man_is_alike_and_another_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let [obama, obama2, biden] =
        ["obama.jpg", "obama2.jpg", "biden.jpg"].map(|name| picture(name).display().to_string());
    let mated = lab(folder.path(), &["compare", &obama, &obama2, "--json"]).expect(0).json();
    assert_eq!(mated["verdict"], "admit", "{mated}");
    let other = lab(folder.path(), &["compare", &obama, &biden, "--json"]).expect(0).json();
    assert_eq!(other["verdict"], "deny", "{other}");
    assert_eq!(other["admit"], mated["admit"]);

    let words = lab(folder.path(), &["compare", &obama, &biden]).expect(0).stdout;
    assert!(words.contains("different persons") && !words.contains('%'), "{words}");
}

#[test]
fn a_photo_that_cannot_be_compared_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    make_bad_photos(folder.path());
    let obama = picture("obama.jpg").display().to_string();
    for (name, _, why) in BAD_PHOTOS {
        lab(folder.path(), &["compare", &obama, name]).expect(65).says(&[name, why]);
    }
    lab(folder.path(), &["compare", "absent.jpg", &obama]).expect(65).says(&["absent.jpg: the file is not there"]);
    let several = picture("multi_face.jpg").display().to_string();
    lab(folder.path(), &["compare", &several, &obama]).expect(65).says(&["similar size and place", "crop it"]);
}

#[test]
fn what_is_wrong_with_a_photo_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let obama = picture("obama.jpg").display().to_string();
    let whole = image::open(&obama).unwrap();
    whole.rotate90().save(here.join("turned.png")).unwrap();
    let cut = picture("obama_partial_face.jpg").display().to_string();
    let words = lab(here, &["compare", &cut, "turned.png"]).expect(0).stdout;
    for remark in [
        "obama_partial_face.jpg: a poor photo: part of the face is outside the picture",
        "turned.png: it was not upright and was turned a quarter to the left",
    ] {
        assert!(words.contains(remark), "{words}");
    }
    let json = lab(here, &["compare", &obama, "turned.png", "--json"]).expect(0).json();
    assert_eq!(json["verdict"], "admit", "{json}");
    let [upright, turned] = [0, 1].map(|which| &json["photos"][which]);
    assert_eq!(
        (&upright["defect"], &upright["turned"]),
        (&serde_json::Value::Null, &serde_json::Value::Null),
        "{json}"
    );
    assert_eq!((&turned["photo"], &turned["turned"]), (&"turned.png".into(), &"quarter_left".into()), "{json}");
    let poor = lab(here, &["compare", &cut, &obama, "--json"]).expect(0).json();
    assert_eq!(poor["photos"][0]["defect"], "at_border", "{poor}");
}

#[test]
fn models_that_are_not_there_are_64() {
    let folder = tempfile::tempdir().unwrap();
    bare(folder.path(), &["compare", "a.jpg", "b.jpg"]).expect(64).says(&["models", "manifest.toml"]);
}
