//! A morning at the door, seen on two screens: the box is a process of its own, with a stand-in card reader and a replayed camera.

use std::{path::Path, time::Duration};

use examgate::{
    edge::camera::replay::Scene,
    rig::{
        stage::{DoorBox, Enrolled, Programs, Reality, Stage},
        virtual_card::Behaviour,
    },
};

use super::{
    layout::problems,
    people::{CLARA, DOORS, EXAM, NOAH, OPEN},
    rig::{Surfer, Tab},
};

const EARLY: &str = "2026-12-14T08:05:00-05:00";
const SCRIPTED: Enrolled<'static> =
    Enrolled { id: "N10000003", given_name: "<script>alert(1)</script>", card: "04C0FFEE112233", ..CLARA };
/// Prefers another language than the door's.
const LUCIA: Enrolled<'static> =
    Enrolled { id: "N10000004", given_name: "Lucía", card: "04C0FFEE445566", language: Some("es"), ..CLARA };

/// Notes in the page what was seen, in order: look, title, detail, whether the mirror was on. The last is kept until it changes.
const WATCH: &str = r#"(() => {
  window.seen = [];
  const note = () => {
    const now = [document.body.dataset.look, document.getElementById("title").textContent,
      document.getElementById("detail").textContent, !document.getElementById("picture").hidden];
    if (JSON.stringify(seen.at(-1)) !== JSON.stringify(now)) seen.push(now);
  };
  note();
  new MutationObserver(note).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  return null;
})()"#;

/// What a student sees at a tap: each of these looks and beginnings of titles, in this order, maybe with something in between.
type Expected<'a> = &'a [(&'a str, &'a str)];

struct Door<'a> {
    stage: &'a Stage,
    tabs: [&'a Tab; 2],
    wrong: Vec<String>,
}

impl Door<'_> {
    /// Taps, waits for the answer on both screens, and holds what was seen against what should have been.
    async fn tap(&mut self, door: &DoorBox, what: &str, card: &str, scene: &Scene, expected: Expected<'_>) {
        self.stage.strings.set_scene(scene).expect("the scene is set");
        self.stage.settle().expect("the box has seen it");
        for tab in self.tabs {
            let () = tab.get("(seen = [seen.at(-1)], null)").await;
        }
        let tapped = self.stage.tap(&Behaviour::Uid(hex::decode(card).expect("hexadecimal"))).expect("a card is laid");
        let said = door.decision(Duration::from_secs(30)).expect("a decision");
        let (look, title) = expected.last().expect("an answer");
        let shown = format!(
            "document.body.dataset.look === '{look}' && document.getElementById('title').textContent === {title:?}"
        );
        for tab in self.tabs {
            tab.until(&shown).await;
            let seen: Vec<(String, String, String, bool)> = tab.get("seen").await;
            let mut rest = seen.iter();
            for (look, title) in expected {
                assert!(
                    rest.any(|s| s.0 == *look && s.1.starts_with(title)),
                    "{what} ({said:?}): {title:?} not in {seen:#?}"
                );
            }
            assert!(
                seen.iter().all(|(look, .., mirror)| !mirror || look == "looking"),
                "{what}: a picture stays: {seen:#?}"
            );
            if expected.iter().any(|(look, _)| *look == "looking") {
                assert!(seen.iter().any(|(.., mirror)| *mirror), "{what}: no picture: {seen:#?}");
            }
            assert_eq!(tab.get::<Option<String>>("document.getElementById('picture').getAttribute('src')").await, None);
        }
        self.examine(what).await;
        drop(tapped);
        self.stage.settle().expect("the box has seen it");
    }

    async fn examine(&mut self, what: &str) {
        let tab = self.tabs[0];
        self.wrong
            .extend(tab.violations().await.into_iter().chain(problems(tab).await).map(|w| format!("{what}: {w}")));
    }
}

fn text(id: &str, words: &str) -> String {
    format!("document.getElementById('{id}').textContent === {words:?}")
}

#[test]
fn a_morning_is_told_in_the_right_words_on_every_screen() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let reality = Reality { reader: false, broker: false };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    let port = stage.hang_screen(&["en", "es"]).expect("there is a port");
    stage.set_environment("TZ", "America/New_York");
    stage.enrol(EXAM, "Linear Algebra, final", DOORS, &[CLARA, NOAH, SCRIPTED, LUCIA]).expect("the roster is imported");
    stage.set_clock(EARLY).expect("the clock is set");
    let clip = |name: &str, range| Scene::Clip { folder: stage.picture(name), range: Some(range), looping: true };
    let (man, woman) = (clip("clips/single_face", 0..56), clip("clips/WolfgangLanger_Pexels", 72..150));
    let door = stage.open_door().expect("the box is ready");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut surfer = Surfer::start().await;
        let url = format!("http://127.0.0.1:{port}/");
        let (one, two) = (surfer.open(&url).await, surfer.open(&url).await);
        one.resize((800, 480)).await;
        one.reduce_motion(true).await;
        for tab in [&one, &two] {
            tab.until("sheet").await;
            let () = tab.get(WATCH).await;
        }
        let mut at = Door { stage: &stage, tabs: [&one, &two], wrong: Vec::new() };

        one.until(&text("detail", "Doors open at 8:30 AM.")).await;
        one.until(&text("exam", "Linear Algebra, final")).await;
        one.until(&text("room", "Room SILVER-207")).await;
        one.until("document.getElementById('clock').textContent.startsWith('8:05')").await;
        one.until("document.querySelector('#others p').textContent === 'Acerca tu tarjeta'").await;
        at.examine("idle, early").await;
        at.tap(&door, "too early", CLARA.card, &woman, &[("denied", "You are nice and early")]).await;
        stage.set_clock(OPEN).expect("the clock is set");
        let admitted = [("looking", "Look at the camera"), ("admitted", "Welcome, Clara")];
        at.tap(&door, "the right person", CLARA.card, &woman, &admitted).await;
        one.until("document.body.dataset.look === 'idle'").await;
        one.until(&text("detail", "Then look at the camera.")).await;
        at.examine("idle").await;
        at.tap(&door, "once more", CLARA.card, &woman, &[("referred", "Please see the proctor")]).await;
        let spanish = [("looking", "Mira a la cámara"), ("admitted", "¡Hola, Lucía!")];
        at.tap(&door, "who prefers Spanish", LUCIA.card, &woman, &spanish).await;
        for tab in at.tabs {
            // Whoever comes next is spoken to in the door's own language.
            tab.until("document.body.dataset.look === 'idle' && document.documentElement.lang === 'en'").await;
            tab.until(&text("title", "Tap your card")).await;
        }
        at.tap(&door, "an unknown card", "04DEADBEEF0102", &woman, &[("denied", "Please see the proctor")]).await;
        let nobody = [("looking", "Look at the camera"), ("referred", "We could not see you")];
        at.tap(&door, "nobody in view", NOAH.card, &Scene::Empty, &nobody).await;
        let scripted = [("looking", "Look at the camera"), ("admitted", "Welcome, <script>alert(1)</script>")];
        at.tap(&door, "a name that is a script", SCRIPTED.card, &woman, &scripted).await;
        assert_eq!(one.get::<u32>("document.querySelectorAll('h1 *').length").await, 0, "a name is text");
        at.tap(
            &door,
            "somebody else",
            NOAH.card,
            &woman,
            &[("looking", "Look at the camera"), ("denied", "Please see the proctor")],
        )
        .await;

        stage.strings.set_scene(&Scene::Unplugged).expect("the scene is set");
        for tab in at.tabs {
            tab.until("document.body.dataset.look === 'unwell'").await;
        }
        at.examine("unwell").await;
        stage.strings.set_scene(&woman).expect("the scene is set");
        for tab in at.tabs {
            tab.until("document.body.dataset.look === 'idle'").await;
        }
        // He hardly moves, and does not turn.
        let asked =
            [("looking", "Look at the camera"), ("looking", "Turn your head"), ("referred", "Please see the proctor")];
        at.tap(&door, "asked to turn the head", NOAH.card, &man, &asked).await;
        assert_eq!(at.wrong, Vec::<String>::new());
        assert_eq!([one.complaints(), two.complaints()].concat(), Vec::<String>::new());

        // Loaded anew in the middle of an answer, it shows the same again.
        one.reload().await;
        let reloaded = one.until(&format!("sheet && {}", text("title", "Please see the proctor"))).await;

        // The box is gone: nobody is told anything it does not stand behind. It comes back by itself.
        door.kill9().expect("the box is killed");
        let mut noticed = Duration::ZERO;
        for tab in at.tabs {
            noticed = noticed.max(tab.until("document.body.dataset.look === 'waiting'").await);
            tab.until(&text("title", "One moment, please")).await;
        }
        at.examine("waiting").await;
        assert_eq!(at.wrong, Vec::<String>::new());
        let _again = stage.open_door().expect("the box is ready");
        let mut recovered = Duration::ZERO;
        for tab in at.tabs {
            recovered = recovered.max(tab.until("document.body.dataset.look === 'idle'").await);
        }
        eprintln!(
            "reloaded in {reloaded:.2?}; noticed after {noticed:.2?}; back {recovered:.2?} after the box was ready"
        );
        assert!(
            recovered < Duration::from_secs(2) && reloaded < Duration::from_secs(2) && noticed < Duration::from_secs(2)
        );
        // A refused connection is all there was to complain about.
        let others: Vec<_> = [one.complaints(), two.complaints()].concat();
        assert!(others.iter().all(|complaint| complaint.contains("net::ERR_")), "{others:?}");
        surfer.close().await;
    });
}
