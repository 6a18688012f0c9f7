//! Tests of the page's texts: every language has all of them, and none accuses a student.

use std::collections::BTreeMap;

use super::{OfficeError, What, Why};
use crate::domain::{NotUndoable, Unfounded, Verdict, sample};

type Words = BTreeMap<String, String>;

fn languages() -> [Words; 3] {
    [include_str!("messages/en.json"), include_str!("messages/es.json"), include_str!("messages/zh-Hans.json")]
        .map(|text| serde_json::from_str(text).expect("words by keys"))
}

/// What the box fills in.
fn blanks(text: &str) -> Vec<&str> {
    let mut found: Vec<_> =
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    found.sort_unstable();
    found
}

#[test]
fn every_language_has_the_same_words_with_the_same_blanks() {
    let [english, others @ ..] = languages();
    for other in &others {
        assert!(english.keys().eq(other.keys()), "keys differ in {}", other["language"]);
        for (key, text) in &english {
            assert!(!other[key].trim().is_empty() && blanks(text) == blanks(&other[key]), "{key}: {}", other[key]);
        }
    }
}

#[test]
fn whatever_the_box_says_has_words() {
    let [english, ..] = languages();
    let mut keys = Vec::new();
    for reason in sample::reasons() {
        keys.push(serde_json::to_value(Why::Reason(reason)).expect("a code"));
        keys.push(format!("next.{reason}").into());
    }
    let grounds = [Verdict::Admit, Verdict::AdmitByHand, Verdict::Refuse].into_iter().flat_map(Verdict::grounds);
    keys.extend(grounds.map(|ground| serde_json::to_value(Why::Ground(*ground)).expect("a code")));
    keys.push(serde_json::to_value(Why::Match).expect("a code"));
    keys.extend([serde_json::to_value(Why::OtherRoom).expect("a code"), "next.other_room".into()]);
    let happened = [
        What::Admitted,
        What::NotAdmitted,
        What::ForYou,
        What::AdmittedByProctor,
        What::AdmittedByHand,
        What::AskedToWait,
        What::TakenBack,
    ];
    for what in happened {
        let code = serde_json::to_value(what).expect("a code");
        keys.push(format!("what.{}", code.as_str().expect("a word")).into());
    }
    let errors = [
        OfficeError::NoStudent,
        Unfounded::Ground.into(),
        Unfounded::Note.into(),
        NotUndoable::NoRuling.into(),
        NotUndoable::Already.into(),
        NotUndoable::TooLate.into(),
        OfficeError::Late,
        OfficeError::Store("a disk".into()),
    ];
    keys.extend(errors.iter().map(|error| format!("error.{}", error.code()).into()));
    for key in keys {
        let key = key.as_str().expect("a word");
        assert!(english.contains_key(key), "no words for {key}");
    }
}

#[test]
fn the_page_and_its_script_say_only_what_there_are_words_for() {
    let [english, ..] = languages();
    let (page, script) = (include_str!("page/index.html"), include_str!("page/console.js"));
    let quoted = |text: &'static str, before: &'static str, end: char| {
        text.split(before).skip(1).filter_map(move |rest| rest.split_once(end)).map(|(key, _)| key)
    };
    let used: Vec<_> = quoted(page, "data-say=\"", '"')
        .chain(quoted(page, "data-label=\"", '"'))
        .chain(quoted(script, "say(\"", '"'))
        .collect();
    assert!(used.len() > 60, "{used:?}");
    let wordless: Vec<_> = used.iter().filter(|key| !english.contains_key(**key)).collect();
    assert!(wordless.is_empty(), "{wordless:?}");
}

#[test]
fn words_never_accuse() {
    let bad = [
        &["spoof", "fake", "fraud", "impostor", "cheat", "stolen", "suspect", "attack", "wrong person"][..],
        &["falso", "fraude", "impostor", "tramp", " robad", "sospech", "ataque"],
        &["假", "骗", "冒充", "作弊", "偷", "嫌疑", "攻击"],
    ];
    for (words, bad) in languages().iter().zip(bad) {
        for text in words.values() {
            assert!(bad.iter().all(|word| !text.to_lowercase().contains(word)), "{text:?}");
        }
    }
}
