//! A proctor's morning at a running box: card, code and PIN, the list, rulings, the roster, a second browser, a cut cable. The
//! box is a process of its own with its real console over TLS; card reader and camera are scripted, broker and collector real.

use std::{path::Path, time::Duration};

use examgate::rig::{
    stage::{Appointed, DoorBox, Enrolled, Programs, Reality, Stage},
    virtual_card::Behaviour,
};

use super::{
    line::Cable,
    people::{CLARA, DOORS, EXAM, NOAH, OPEN},
    proctor::{Looks, fill, press, rule, shows, sign_in},
    rig::{Surfer, Tab},
};

const LATER: &str = "2026-12-14T08:50:00-05:00";
/// Opted out of matching.
const ADA: Enrolled<'static> =
    Enrolled { id: "N10000003", given_name: "Ada", card: "04C0FFEE112233", pictures: &[], language: None };
const OKAFOR: Appointed<'static> =
    Appointed { id: "aokafor", name: "A. Okafor", card: "04AA0000000001", pin: "481516" };
const BRANDT: Appointed<'static> =
    Appointed { id: "mbrandt", name: "M. Brandt", card: "04AA0000000002", pin: "234200" };

/// How soon a page has to notice that the box is gone, and that it is back.
const SOON: Duration = Duration::from_secs(2);

struct OfficeFixture<'a> {
    stage: &'a Stage,
    door: DoorBox,
    /// The student screen.
    hall: Tab,
}

impl OfficeFixture<'_> {
    /// A student taps; the card stays until the box has answered.
    fn student(&self, card: &str) -> String {
        self.stage.seat_woman().and_then(|()| self.stage.settle()).expect("the scene is set");
        let tapped = self.stage.tap(&Behaviour::Uid(hex::decode(card).expect("hexadecimal"))).expect("a card is laid");
        let said = self.door.decision(Duration::from_secs(30)).expect("a decision");
        drop(tapped);
        self.stage.settle().expect("the box has seen it");
        said.reason.map_or(said.decision.clone(), |reason| format!("{} {reason}", said.decision))
    }

    /// A proctor taps; the box's own screen shows a code, which is what is typed. Without the space it stands there with.
    async fn code(&self, proctor: &Appointed<'_>) -> String {
        let before: String = self.hall.get("document.getElementById('title').textContent").await;
        let uid = hex::decode(proctor.card).expect("hexadecimal");
        let tapped = self.stage.tap(&Behaviour::Uid(uid)).expect("a card is laid");
        let title = "document.getElementById('title').textContent";
        self.hall
            .until(&format!(
                "document.body.dataset.look === 'sign_in' && /^\\d{{3}} \\d{{3}}$/.test({title}) && {title} !== {before:?}"
            ))
            .await;
        let code: String = self.hall.get(title).await;
        drop(tapped);
        self.stage.settle().expect("the box has seen it");
        code.replace(' ', "")
    }
}

/// What the newest line of the list says.
fn newest(text: &str) -> String {
    shows("#entries li", text)
}

#[test]
fn a_proctor_settles_a_morning_at_a_running_box() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    let screen = stage.hang_screen(&["en", "es"]).expect("there is a port");
    let office = stage.furnish_office().expect("there is a port");
    stage.enrol(EXAM, "Linear Algebra, final", DOORS, &[CLARA, NOAH, ADA]).expect("the roster is imported");
    for proctor in [&OKAFOR, &BRANDT] {
        stage.appoint(proctor).expect("the proctor is added");
    }
    stage.collect().expect("the collector starts");
    stage.set_clock(OPEN).expect("the clock is set");
    let door = stage.open_door().expect("the box is ready");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let cable = Cable::lay(office.port).await;
        let (mut laptop, mut phone) =
            (Surfer::trusting(&office.certificate).await, Surfer::trusting(&office.certificate).await);
        let hall = laptop.open(&format!("http://127.0.0.1:{screen}/")).await;
        hall.resize((800, 480)).await;
        hall.until("sheet").await;
        let url = format!("https://localhost:{}/", cable.port);
        let (one, two) = (laptop.open(&url).await, phone.open(&url).await);
        let mut room = OfficeFixture { stage: &stage, door, hall };
        let mut looks = Looks::default();

        // A card alone is not enough, nor a card with a wrong PIN; a spent code serves nobody.
        looks.at(&one, "box-sign-in").await;
        let spent = room.code(&OKAFOR).await;
        sign_in(&one, &spent, "000000").await;
        one.until(&shows("#sorry", "Tap your card at the box")).await;
        sign_in(&one, &spent, OKAFOR.pin).await;
        one.until(&shows("#sorry", "Tap your card at the box")).await;
        sign_in(&one, &room.code(&OKAFOR).await, OKAFOR.pin).await;
        one.until(&shows("#name", OKAFOR.name)).await;
        one.until(&shows("#tally", "0 of 3")).await;
        assert!(one.get::<bool>("!document.getElementById('quiet').hidden").await);
        looks.at(&one, "box-nobody-yet").await;
        sign_in(&two, &room.code(&BRANDT).await, BRANDT.pin).await;
        two.until(&shows("#name", BRANDT.name)).await;
        let tabs = [&one, &two];

        // Students tap, and the list says so by itself, with the reason and what to do.
        assert_eq!(room.student(CLARA.card), "admit");
        for tab in tabs {
            tab.until(&newest("Admitted — Clara")).await;
            tab.until(&shows("#tally", "1 of 3")).await;
        }
        assert_eq!(room.student(NOAH.card), "deny face_mismatch");
        for tab in tabs {
            tab.until(&newest("Not admitted — Noah")).await;
            tab.until(&newest("Check the ID by eye and decide")).await;
        }
        assert_eq!(room.student("04DEADBEEF0102"), "deny card_unknown");
        one.until(&newest("Unknown card")).await;
        assert_eq!(room.student(ADA.card), "refer no_template");
        for tab in tabs {
            tab.until(&newest("For you to decide — Ada")).await;
            tab.until("document.querySelectorAll('#entries li').length === 4").await;
        }

        // Overruled on the laptop, taken back on the phone, and for good a minute later.
        press(&one, "Admit: Noah").await;
        rule(&one, "other", "").await;
        one.until(&shows("#ruling-sorry", "needs a note")).await;
        looks.at(&one, "box-ruling").await;
        rule(&one, "id_checked", "passport seen").await;
        for tab in tabs {
            tab.until(&newest("Admitted by proctor — Noah")).await;
            tab.until(&newest("passport seen")).await;
            tab.until(&newest(OKAFOR.name)).await;
            tab.until(&shows("#tally", "2 of 3")).await;
        }
        assert_eq!(room.student(NOAH.card), "refer already_admitted", "the box knows who is inside");
        press(&two, "Undo: Admitted by proctor").await;
        for tab in tabs {
            tab.until("[...document.querySelectorAll('#entries li')].some((e) => e.textContent.includes('Taken back — Noah'))").await;
            tab.until(&shows("#tally", "1 of 3")).await;
        }
        press(&one, "Admit: Noah").await;
        rule(&one, "card_replaced", "").await;
        let undo = "[...document.querySelectorAll('#entries button')].some((b) => b.textContent.startsWith('Undo'))";
        for tab in tabs {
            tab.until(&shows("#tally", "2 of 3")).await;
            tab.until(undo).await;
        }
        looks.at(&one, "box-live").await;
        stage.set_clock(LATER).expect("the clock is set");
        for tab in tabs {
            tab.until(&format!("!{undo}")).await;
        }

        // The roster on the phone: who is missing, found by name, let in by hand.
        press(&two, "Roster").await;
        two.until("document.querySelectorAll('#people li').length === 1").await;
        two.until(&shows("#people li", "Ada")).await;
        fill(&two, "sought", "n1000000").await;
        press(&two, "Find").await;
        two.until("document.querySelectorAll('#people li').length === 3").await;
        fill(&two, "sought", "aDa").await;
        press(&two, "Find").await;
        two.until("document.querySelectorAll('#people li').length === 1").await;
        looks.at(&two, "box-found").await;
        press(&two, "Admit by hand: Ada").await;
        rule(&two, "opted_out", "").await;
        two.until(&shows("#people li", "Inside")).await;
        one.until(&newest("Admitted by hand — Ada")).await;
        one.until(&shows("#tally", "3 of 3")).await;
        press(&two, "Missing").await;
        two.until(&shows("#nobody", "Everybody is here")).await;

        // Asked to wait: the box sends him to the proctor next time.
        press(&one, "Ask to wait: Noah").await;
        rule(&one, "left_room", "").await;
        two.until("document.querySelectorAll('#people li').length === 1").await;
        assert_eq!(room.student(NOAH.card), "refer turned_away");
        one.until(&newest("A proctor asked them to wait before")).await;

        press(&one, "Status").await;
        one.until(&shows("#findings", "camera — Well")).await;
        one.until(&shows("#findings", "broker — Well")).await;
        one.until(&shows("#access", "mbrandt signed in")).await;
        one.until("document.querySelectorAll('#log li').length > 3").await;
        let log: String = one.get("document.getElementById('status').textContent").await;
        assert!(["Noah", "Ada", "N1000", NOAH.card].iter().all(|word| !log.contains(word)), "{log}");
        looks.at(&one, "box-status").await;
        press(&one, "Live").await;

        // Nothing to complain about but the refused PINs and the ruling without its note.
        for tab in [&one, &two, &room.hall] {
            let known = ["401", "422"];
            let others: Vec<_> = tab.complaints().into_iter().filter(|c| !known.iter().any(|k| c.contains(k))).collect();
            assert_eq!(others, Vec::<String>::new());
        }

        // Loaded anew; then the cable is cut and mended; then the box dies, and with it who was signed in.
        let mut took = Vec::new();
        two.reload().await;
        took.push(("reloaded", two.until("document.querySelectorAll('#entries li').length === 10").await));
        cable.cut();
        let lost = "!document.getElementById('lost').hidden";
        for tab in tabs {
            took.push(("noticed a cut cable", tab.until(lost).await));
        }
        looks.at(&one, "box-lost").await;
        assert_eq!(room.student(CLARA.card), "refer already_admitted", "the box goes on");
        cable.mend();
        for tab in tabs {
            took.push(("back in step", tab.until(&format!("!({lost}) && {}", newest("For you to decide — Clara"))).await));
        }
        let events = stage.committed().expect("the ledger can be read");
        room.door.kill9().expect("the box is killed");
        for tab in tabs {
            took.push(("noticed a dead box", tab.until(lost).await));
        }
        room.door = stage.open_door().expect("the box is ready");
        for tab in tabs {
            took.push(("at the door again", tab.until("document.body.dataset.view === 'out'").await));
            assert!(!tab.get::<bool>("document.body.textContent.includes('Clara')").await, "names stay behind");
        }
        sign_in(&one, &room.code(&OKAFOR).await, OKAFOR.pin).await;
        one.until("document.querySelectorAll('#entries li').length === 11").await;

        eprintln!("{}", took.iter().map(|(what, time)| format!("{what}: {time:.2?}")).collect::<Vec<_>>().join("\n"));
        assert!(took.iter().all(|(_, time)| *time < SOON), "{took:?}");
        audited(&events);
        let asked = [one.requests(), two.requests()].concat();
        assert!(asked.iter().all(|to| to == "about:blank" || to.starts_with(&url)), "{asked:?}");
        assert!(!asked.iter().any(|to| to.contains("N1000") || to.to_lowercase().contains("ada")), "no student in an address");
        assert_eq!(looks.wrong, Vec::<String>::new());
        laptop.close().await;
        phone.close().await;
    });
}

/// Every action of a proctor has reached the collector, in order.
fn audited(events: &[serde_json::Value]) {
    let all = events.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut rest = all.iter();
    for (what, words) in [
        ("a refused PIN", &["refused"][..]),
        ("signing in", &["signed_in", "aokafor"]),
        ("signing in", &["signed_in", "mbrandt"]),
        ("an overruling", &["admit", "id_checked", "aokafor", "passport seen"]),
        ("its undoing", &["undo", "mbrandt"]),
        ("another", &["admit", "card_replaced", "aokafor"]),
        ("a manual admission", &["admit_by_hand", "opted_out", "mbrandt"]),
        ("a refusal", &["refuse", "left_room", "aokafor"]),
    ] {
        let found = rest.any(|event| words.iter().all(|word| event.contains(word)));
        assert!(found, "{what} ({words:?}) is not in its place among {all:#?}");
    }
}
