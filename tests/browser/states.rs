//! Every state of the student screen, in every language, at every size.
//!
//! `EXAMGATE_SCREENSHOTS` names a folder for pictures of them, to be looked at.

use std::{fs, path::PathBuf};

use examgate::domain::{
    Answer, Decision, DeviceId, EventId, Hint, Invitation, ProctorId, QualityDefect, Reason, Shown, SignInCode,
};

use super::{
    hall::{Hall, decided},
    layout::{SIZES, capitals, problems},
    rig::{Surfer, Tab, screenshots},
};

const HINTS: [Hint; 11] = [
    Hint::LookAtCamera,
    Hint::OneAtATime,
    Hint::ComeCloser,
    Hint::MoveBack,
    Hint::MoveToCentre,
    Hint::FaceForward,
    Hint::MoreLight,
    Hint::LessLight,
    Hint::HoldStill,
    Hint::TurnLeft,
    Hint::TurnRight,
];

const DENIALS: [Reason; 8] = [
    Reason::CardUnknown,
    Reason::CardRevoked,
    Reason::WalletPass,
    Reason::NotOnRoster,
    Reason::WrongRoom,
    Reason::TooEarly,
    Reason::TooLate,
    Reason::FaceMismatch,
];

const REFERRALS: [Reason; 25] = [
    Reason::CardUnreadable,
    Reason::CardTooWeak,
    Reason::CardShared,
    Reason::CardDowngraded,
    Reason::CardUnstable,
    Reason::CardUnproved,
    Reason::CardExpired,
    Reason::CardSlow,
    Reason::CardKeysMissing,
    Reason::AlreadyAdmitted,
    Reason::TurnedAway,
    Reason::NoTemplate,
    Reason::OptedOut,
    Reason::LookAlike,
    Reason::ModelMismatch,
    Reason::NoFace,
    Reason::SeveralFaces,
    Reason::PoorQuality(QualityDefect::TooDark),
    Reason::SpoofSuspected,
    Reason::FaceMismatch,
    Reason::LockedOut,
    Reason::CameraFault,
    Reason::VisionFault,
    Reason::ClockUntrusted,
    Reason::StorageFault,
];

/// The least height of a title's capitals on each panel. Seen from 3 m, 14 mm are 16 minutes of arc, comfortable to read (ISO
/// 9241-303); 10 mm are more than twice, and 4.4 mm just the 5 minutes of arc that normal sight makes out: so much a 3.5" panel
/// gives with three languages on it.
const CAPITALS_MM: [f64; 4] = [4.4, 10.0, 14.0, 14.0];

const SCRIPT: &str = "<img src=x onerror=alert(1)>";

/// What is shown, under a name. Hints and answers alternate: an answer is never held back by a hint.
fn states() -> Vec<(String, Answer, Option<Hint>)> {
    let looking = |attempt| Answer::Looking { attempt, of: 3 };
    let invitation =
        Invitation { proctor: ProctorId::new("okafor").expect("valid"), code: SignInCode::from_random(123_456) };
    let sign_in = Answer::SignIn { event: EventId(uuid::Uuid::nil()), invitation };
    let mut states = vec![
        ("idle".to_owned(), Answer::Idle, None),
        ("looking".into(), looking(1), None),
        ("admitted".into(), decided(Decision::Admit, Some("Noah")), None),
        ("sign-in".into(), sign_in, None),
        ("looking-again".into(), looking(2), None),
        ("admitted-long".into(), decided(Decision::Admit, Some("Maximiliane Aurelia")), None),
        ("unwell".into(), Answer::Unwell(Reason::CameraFault), None),
        ("drained".into(), Answer::Drained, None),
        ("identified".into(), Answer::Identified { device: DeviceId::new("door-silver-207").expect("valid") }, None),
        ("admitted-script".into(), decided(Decision::Admit, Some(SCRIPT)), None),
        ("admitted-nameless".into(), decided(Decision::Admit, None), None),
    ];
    let mut hints = HINTS.iter();
    let answers = DENIALS.map(Decision::Deny).into_iter().chain(REFERRALS.map(Decision::Refer));
    for decision in answers {
        let reason = decision.reason().expect("it has one");
        states.push((format!("{}-{reason}", decision.outcome()), decided(decision, None), None));
        states.extend(hints.next().map(|hint| (format!("hint-{hint:?}").to_lowercase(), looking(1), Some(*hint))));
    }
    states
}

async fn see(tab: &Tab, hall: &Hall, answer: &Answer, hint: Option<Hint>) {
    let since = hall.now();
    hall.show(Shown { hint, ..Shown::new(answer.clone(), since) });
    let millis = since.since_start().as_secs_f64() * 1e3;
    tab.until(&format!("sheet && Math.abs(sheet.since - {millis}) < 0.001")).await;
}

/// English text that runs from right to left, with some titles that really do.
fn right_to_left() -> String {
    let english = include_str!("../../src/edge/screen/messages/en.toml");
    [
        ("dir = \"ltr\"", "dir = \"rtl\""),
        ("\"Tap your card\"", "\"مرّر بطاقتك\""),
        ("\"Then look at the camera.\"", "\"ثم انظر إلى الكاميرا.\""),
        ("\"Look at the camera\"", "\"انظر إلى الكاميرا\""),
        ("\"Welcome, {name}\"", "\"أهلًا {name}\""),
        ("\"Please see the proctor\"", "\"تحدث إلى المراقب من فضلك\""),
        ("\"Room {room}\"", "\"قاعة {room}\""),
    ]
    .iter()
    .fold(english.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// What was found.
#[derive(Default)]
struct Found {
    /// One line a fault.
    wrong: Vec<String>,
    /// One line a size: how large the smallest title is.
    sizes: Vec<String>,
}

async fn walk_through(surfer: &mut Surfer, languages: &[&str], name: &str, found: &mut Found) {
    let messages = tempfile::tempdir().expect("a temporary folder");
    fs::write(messages.path().join("ar.toml"), right_to_left()).expect("it can be written");
    let mut hall = Hall::open(languages, Some(messages.path()), "Linear Algebra, final").await;
    let face = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/cache/clips/single_face/0030.jpg");
    hall.mirror(fs::read(&face).unwrap_or_else(|error| panic!("{}: {error}: run `make pictures`", face.display())));
    let tab = surfer.open(&hall.url).await;
    tab.until("sheet").await;
    tab.reduce_motion(true).await;
    let folder = screenshots();
    let Found { wrong, sizes } = found;
    for (n, (size, pitch)) in SIZES.into_iter().enumerate() {
        tab.resize(size).await;
        let mut least = (f64::INFINITY, String::new());
        for (state, answer, hint) in states() {
            see(&tab, &hall, &answer, hint).await;
            if matches!(answer, Answer::Looking { .. }) {
                tab.until("!document.getElementById('picture').hidden").await;
            }
            let place = format!("{name}, {state}, {} x {}", size.0, size.1);
            wrong.extend(problems(&tab).await.into_iter().map(|problem| format!("{place}: {problem}")));
            let capitals = capitals(&tab).await * pitch;
            // A name may be as long as it likes.
            if capitals < least.0 && !state.starts_with("admitted-") {
                least = (capitals, state.clone());
            }
            if n == 1 {
                wrong.extend(tab.violations().await.into_iter().map(|violation| format!("{place}: {violation}")));
            }
            if let Some(folder) = &folder {
                let folder = folder.join(format!("{}x{}", size.0, size.1));
                fs::create_dir_all(&folder).expect("the folder can be made");
                fs::write(folder.join(format!("{name}-{state}.png")), tab.screenshot(false).await)
                    .expect("it can be written");
            }
        }
        sizes.push(format!("{name} at {} x {}: smallest capitals {:.1} mm ({})", size.0, size.1, least.0, least.1));
        if least.0 < CAPITALS_MM[n] {
            wrong.push(format!("{name}: {} has capitals of {:.1} mm at {size:?}", least.1, least.0));
        }
    }
    see(&tab, &hall, &decided(Decision::Admit, Some(SCRIPT)), None).await;
    assert!(tab.get::<String>("document.getElementById('title').textContent").await.contains(SCRIPT));
    assert_eq!(tab.get::<u32>("document.querySelectorAll('h1 *').length").await, 0, "a name is text");
    let (lang, dir): (String, String) = tab.get("[document.documentElement.lang, document.documentElement.dir]").await;
    assert_eq!((lang.as_str(), dir.as_str()), (languages[0], if languages[0] == "ar" { "rtl" } else { "ltr" }));
    assert_eq!(tab.complaints(), Vec::<String>::new());
    let elsewhere: Vec<_> = tab.requests().into_iter().filter(|url| !url.starts_with(&hall.url)).collect();
    assert!(elsewhere.iter().all(|url| url == "about:blank"), "it asked for {elsewhere:?}");
}

fn in_a_browser(work: impl AsyncFnOnce(&mut Surfer)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut surfer = Surfer::start().await;
        work(&mut surfer).await;
        surfer.close().await;
    });
}

#[test]
fn every_state_is_legible_whole_and_without_barriers_in_every_language_at_every_size() {
    in_a_browser(async |surfer| {
        let mut found = Found::default();
        for (name, languages) in [
            ("en", &["en"][..]),
            ("es", &["es"]),
            ("zh", &["zh-Hans"]),
            ("three", &["en", "es", "zh-Hans"]),
            ("rtl", &["ar", "en"]),
        ] {
            walk_through(surfer, languages, name, &mut found).await;
        }
        eprintln!("{}", found.sizes.join("\n"));
        assert!(found.wrong.is_empty(), "{}", found.wrong.join("\n"));
    });
}

#[test]
fn who_wants_no_motion_sees_none_and_hints_stay_long_enough_to_be_read() {
    in_a_browser(async |surfer| {
        let hall = Hall::open(&["en"], None, "Linear Algebra, final").await;
        let tab = surfer.open(&hall.url).await;
        let moving = "document.getAnimations().length";
        for answer in [Answer::Idle, Answer::Looking { attempt: 1, of: 3 }, decided(Decision::Admit, None)] {
            tab.reduce_motion(false).await;
            see(&tab, &hall, &answer, None).await;
            assert!(tab.get::<u32>(moving).await > 0, "{answer:?}");
            tab.reduce_motion(true).await;
            tab.until(&format!("{moving} === 0")).await;
        }
        // Two hints in one breath: the first is there for a while, an answer comes at once.
        see(&tab, &hall, &Answer::Looking { attempt: 1, of: 3 }, Some(Hint::ComeCloser)).await;
        let title = "document.getElementById('title').textContent";
        assert_eq!(tab.get::<String>(title).await, "Come a little closer");
        hall.show(Shown {
            hint: Some(Hint::HoldStill),
            ..Shown::new(Answer::Looking { attempt: 1, of: 3 }, hall.now())
        });
        tab.until("later && sheet.hint === 'come_closer'").await;
        tab.until(&format!("{title} === 'Hold still for a moment'")).await;
        hall.show(Shown {
            hint: Some(Hint::MoveBack),
            ..Shown::new(Answer::Looking { attempt: 1, of: 3 }, hall.now())
        });
        see(&tab, &hall, &decided(Decision::Refer(Reason::NoFace), None), None).await;
        assert_eq!(tab.get::<String>(title).await, "We could not see you");
    });
}
