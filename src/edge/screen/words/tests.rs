//! What is said about what, in each language.

use std::{fs, time::Duration};

use super::*;
use crate::{
    domain::{EventId, Hint, MonoTime, Seat, WithSources, sample},
    edge::screen::{Plate, ScreenError},
};

const TAGS: [&str; 3] = ["en", "es", "zh-Hans"];

/// Words that accuse, or that speak of machinery.
const UNSAID: &[&str] = &[
    "fraud",
    "fake",
    "cheat",
    "spoof",
    "suspicious",
    "denied",
    "rejected",
    "refused",
    "invalid",
    "mismatch",
    "score",
    "error",
    "fraude",
    "falso",
    "trampa",
    "sospech",
    "denegad",
    "rechazad",
    "inválid",
    "欺诈",
    "假",
    "作弊",
    "可疑",
    "拒绝",
    "错误",
    "分数",
];

fn words(tag: &str) -> Words {
    Words::of(&[tag], None).expect("it comes with the box").remove(0)
}

fn shown(answer: Answer) -> Shown {
    Shown::new(answer, MonoTime::from_start(Duration::from_secs(1)))
}

fn decided(decision: Decision, name: Option<&str>) -> Shown {
    shown(Answer::Decided { event: EventId(uuid::Uuid::nil()), decision, name: name.map(Into::into), seat: None })
}

fn seated(name: &str, seat: &str) -> Shown {
    let (event, seat) = (EventId(uuid::Uuid::nil()), Some(Seat::new(seat).expect("a seat")));
    shown(Answer::Decided { event, decision: Decision::Admit, name: Some(name.into()), seat })
}

fn said(words: &Words, shown: &Shown, now: &str) -> Pair {
    let (at, plate) = (|text: &str| text.parse::<Timestamp>().expect("valid"), Plate::sample());
    let zone = TimeZone::fixed(jiff::tz::offset(-5));
    words.say(shown, &Door { plate: &plate, now: at(now), zone: &zone, sound: false })
}

#[test]
fn every_reason_is_said_whole_and_with_respect_in_every_language() {
    for tag in TAGS {
        let words = words(tag);
        let answers = sample::reasons().flat_map(|reason| {
            [decided(Decision::Deny(reason), Some("Noah")), decided(Decision::Refer(reason), Some("Noah"))]
        });
        for shown in answers.chain([shown(Answer::Unwell(Reason::CameraFault)), shown(Answer::Drained)]) {
            let Pair { title, detail } = said(&words, &shown, "2026-12-14T13:40:00Z");
            let all = format!("{title} {detail}").to_lowercase();
            assert!(!title.trim().is_empty() && !detail.trim().is_empty(), "{tag}: {shown:?}");
            assert!(!all.contains(['{', '}']), "{tag}: a blank was not filled in: {all}");
            assert!(!all.contains("noah"), "{tag}: only who is admitted is named: {all}");
            let unsaid: Vec<_> = UNSAID.iter().filter(|word| all.contains(**word)).collect();
            assert!(unsaid.is_empty(), "{tag}: {unsaid:?} in {all}");
        }
    }
}

#[test]
fn what_is_said_when() {
    let early = "2026-12-14T13:05:00Z";
    let (open, closed) = ("2026-12-14T13:40:00Z", "2026-12-14T14:15:00Z");
    let idle = || shown(Answer::Idle);
    let looking = |hint| Shown { hint, ..shown(Answer::Looking { attempt: 2, of: 3 }) };
    let cases = [
        ("en", idle(), early, "Tap your card", "Doors open at 8:30 AM."),
        ("en", idle(), open, "Tap your card", "Then look at the camera."),
        ("en", idle(), closed, "Tap your card", "The doors are closed now."),
        ("es", idle(), early, "Acerca tu tarjeta", "Se abre a las 8:30."),
        ("zh-Hans", idle(), early, "请刷卡", "08:30 开始入场。"),
        ("en", looking(None), open, "Look at the camera", "This takes about a second."),
        ("en", looking(Some(Hint::ComeCloser)), open, "Come a little closer", "This takes about a second."),
        ("en", looking(Some(Hint::TurnLeft)), open, "Turn your head left", "Just a little, then back to the camera."),
        (
            "es",
            looking(Some(Hint::TurnRight)),
            open,
            "Gira la cabeza a la derecha",
            "Solo un poco, y vuelve a mirar a la cámara.",
        ),
        ("es", decided(Decision::Admit, Some("Noah")), open, "¡Hola, Noah!", "Adelante, ¡y mucha suerte!"),
        ("en", decided(Decision::Admit, None), open, "Welcome", "Come in, and good luck!"),
        ("en", seated("Noah", "42"), open, "Welcome, Noah", "Seat 42. Come in, and good luck!"),
        ("es", seated("Noah", "C-7"), open, "¡Hola, Noah!", "Asiento C-7. Adelante, ¡y mucha suerte!"),
        ("zh-Hans", seated("Noah", "7"), open, "欢迎，Noah", "座位 7。请进，祝考试顺利！"),
        (
            "en",
            decided(Decision::Refer(Reason::OptedOut), None),
            open,
            "Please see the proctor",
            "They will check your ID and let you in.",
        ),
        (
            "en",
            decided(Decision::Deny(Reason::TooEarly), None),
            early,
            "You are nice and early",
            "Doors open at 8:30 AM. Please tap again then.",
        ),
        (
            "en",
            decided(Decision::Refer(Reason::FaceMismatch), None),
            open,
            "Please see the proctor",
            "They will check your ID with you.",
        ),
    ];
    for (tag, shown, now, title, detail) in cases {
        assert_eq!(said(&words(tag), &shown, now), Pair { title: title.into(), detail: detail.into() });
    }
    let device = crate::domain::DeviceId::new("door-1").expect("valid");
    for tag in TAGS {
        let Pair { title, detail } = said(&words(tag), &shown(Answer::Identified { device: device.clone() }), open);
        assert!(title == "door-1" && !detail.is_empty(), "{tag}: {title}");
    }
    assert_eq!(words("en").progress(2, 3), "Try 2 of 3");
}

#[test]
fn between_exams_it_says_when_doors_open_next() {
    let at = |text: &str| text.parse::<Timestamp>().expect("valid");
    let zone = TimeZone::fixed(jiff::tz::offset(-5));
    let said = |tag: &str, plate: &Plate, now: &str| {
        let door = Door { plate, now: at(now), zone: &zone, sound: false };
        words(tag).say(&shown(Answer::Idle), &door)
    };
    let closed = "2026-12-14T14:15:00Z";
    let again = |next: &str| Plate { next: Some(at(next)), ..Plate::sample() };
    for (tag, plate, now, detail) in [
        ("en", again("2026-12-14T19:00:00Z"), closed, "The doors are closed now. They open next at 2:00 PM."),
        (
            "en",
            again("2026-12-15T13:30:00Z"),
            closed,
            "The doors are closed now. They open next at 8:30 AM on Tuesday, December 15.",
        ),
        (
            "es",
            again("2026-12-15T13:30:00Z"),
            closed,
            "Las puertas ya están cerradas. Se vuelve a abrir a las 8:30 del 15/12.",
        ),
        ("zh-Hans", again("2026-12-15T13:30:00Z"), closed, "入场时间已结束。下一场 12月15日 08:30 开始入场。"),
        ("en", Plate::sample(), "2026-12-13T13:00:00Z", "Doors open at 8:30 AM on Monday, December 14."),
        // What was told a moment ago and has come.
        ("en", again(closed), closed, "The doors are closed now."),
    ] {
        assert_eq!(said(tag, &plate, now).detail, detail);
    }
    let nothing = Plate { exam: String::new(), window: None, ..Plate::sample() };
    for (tag, title) in [("en", "No exam is set up here"), ("es", "Aquí no hay examen"), ("zh-Hans", "这里暂无考试")]
    {
        assert_eq!(said(tag, &nothing, closed).title, title);
    }
}

#[test]
fn a_folder_of_messages_goes_first_and_a_torn_file_is_refused_by_name() {
    let english = include_str!("../messages/en.toml");
    let with = |from: &str, to: &str| english.replacen(from, to, 1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases: [(&str, String, &[&str]); 6] = [
        ("aa", with("hold_still = \"Hold still for a moment\"\n", ""), &["aa", "hold_still"]),
        ("bb", with("[unwell]", "[unwel]"), &["bb", "unwel"]),
        ("cc", with("Welcome, {name}", "Welcome, you"), &["cc", "admitted.title", "{name}"]),
        ("ee", with("Seat {seat}.", "Seated."), &["ee", "admitted.seat", "{seat}"]),
        ("ff", with("opted_out = ", "opted = "), &["ff", "opted"]),
        ("dd", with("dir = \"ltr\"", "dir = \"up\""), &["dd", "up", "ltr"]),
    ];
    for (tag, text, told) in cases {
        fs::write(folder.path().join(format!("{tag}.toml")), text).expect("it can be written");
        let refused = Words::of(&[tag], Some(folder.path())).expect_err("it is torn");
        let all = WithSources(&refused).to_string();
        for word in told {
            assert!(all.contains(word), "without {word:?}: {all}");
        }
    }
    fs::write(folder.path().join("es.toml"), with("Tap your card", "Tap, amigo")).expect("it can be written");
    let spoken = Words::of(&["es", "en"], Some(folder.path())).expect("both are whole");
    assert_eq!(spoken.iter().map(|words| &words.idle.title[..]).collect::<Vec<_>>(), ["Tap, amigo", "Tap your card"]);
    assert!(matches!(Words::of(&["tlh"], None), Err(ScreenError::Words { source: WordsError::Unknown { .. }, .. })));
}

#[test]
fn whoever_prefers_another_language_is_spoken_to_in_it() {
    use crate::{domain::Language, edge::screen::sheet::Sheet};
    let (door, more) =
        (Words::of(&["en", "es"], None).expect("both"), Words::others(&["en", "es"], None).expect("one"));
    let plate = Plate::sample();
    let spoken = |preferred: Option<&str>| {
        let language = preferred.map(|tag| Language::new(tag).expect("a tag"));
        let shown = Shown { language, ..decided(Decision::Admit, Some("Noah")) };
        let at = Door { plate: &plate, now: Timestamp::UNIX_EPOCH, zone: &TimeZone::UTC, sound: false };
        let sheet = serde_json::to_value(Sheet::write(&door, &more, &shown, &at)).expect("a sheet is JSON");
        let lines = sheet["lines"].as_array().expect("lines").clone();
        lines.iter().map(|line| line["title"].as_str().expect("a title").to_owned()).collect::<Vec<_>>()
    };
    let (english, spanish, chinese) = ("Welcome, Noah", "¡Hola, Noah!", "欢迎，Noah");
    assert_eq!(spoken(None), [english, spanish]);
    assert_eq!(spoken(Some("es-MX")), [spanish, english]);
    assert_eq!(spoken(Some("zh")), [chinese, english, spanish], "also one that the door does not speak by itself");
    assert_eq!(spoken(Some("fr")), [english, spanish], "nobody has words for it");
}
