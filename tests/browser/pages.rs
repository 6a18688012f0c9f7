//! The console's pages in a real browser: signing in, the list, rulings and their undoing, the roster, the status, two browsers in
//! step; every view at a desk's and a phone's size.
//!
//! `EXAMGATE_SCREENSHOTS` names a folder for pictures of them, to be looked at.

use examgate::domain::{Decision, QualityDefect, Reason};

use super::{
    desk::{Desk, PIN},
    proctor::{Looks, choose, press, shows, sign_in},
    rig::Surfer,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proctor_settles_a_morning() {
    let mut desk = Desk::open().await;
    desk.answer(1, Decision::Admit);
    desk.answer(2, Decision::Refer(Reason::NoFace));
    desk.answer(0, Decision::Deny(Reason::CardUnknown));
    desk.answer(9, Decision::Deny(Reason::FaceMismatch));
    desk.answer(3, Decision::Refer(Reason::SpoofSuspected));
    desk.answer(6, Decision::Refer(Reason::PoorQuality(QualityDefect::TooDark)));
    let mut surfer = Surfer::trusting(&desk.certificate).await;
    let mut looks = Looks::default();

    // In: a wrong PIN first.
    let one = surfer.open(&desk.url).await;
    one.until("document.body.dataset.view === 'out'").await;
    looks.at(&one, "sign-in").await;
    assert_eq!(one.complaints(), Vec::<String>::new());
    sign_in(&one, &desk.tap(123_456), "000000").await;
    one.until(&shows("#sorry", "Tap your card at the box")).await;
    looks.at(&one, "sign-in-refused").await;
    sign_in(&one, &desk.tap(234_567), PIN).await;
    one.until(&shows("#name", "A. Okafor")).await;
    one.until("document.querySelectorAll('#entries li').length === 6").await;
    one.until(&shows("#tally", "1 of 11")).await;
    looks.at(&one, "live").await;
    assert_eq!(one.get::<u32>("document.querySelectorAll('#entries img, #entries script').length").await, 0);
    one.until(&shows("#entries", "</script><img")).await;

    // A second browser, which stays in step.
    let two = surfer.open(&desk.url).await;
    two.until(&shows("#name", "A. Okafor")).await;
    for tab in [&one, &two] {
        tab.until("document.querySelectorAll('#entries li').length === 6").await;
    }

    // Overruled and taken back, seen on both.
    press(&one, "Admit: Clara").await;
    one.until("document.getElementById('ruling').open").await;
    one.until("document.activeElement.name === 'ground'").await;
    let () = one.get("(document.getElementById('note').value = 'passport seen', null)").await;
    looks.at(&one, "ruling").await;
    let () = one.get("(document.getElementById('confirm').click(), null)").await;
    for tab in [&one, &two] {
        tab.until(&shows("#entries li", "Admitted by proctor — Clara")).await;
        tab.until(&shows("#entries li", "passport seen")).await;
        tab.until(&shows("#tally", "2 of 11")).await;
    }
    one.until(&shows("#told", "Recorded")).await;
    one.until("/Undo \\(\\d+ s\\)/.test(document.querySelector('#entries li').textContent)").await;
    looks.at(&one, "live-ruled").await;
    press(&two, "Undo: Admitted by proctor").await;
    for tab in [&one, &two] {
        tab.until(&shows("#entries li", "Taken back — Clara")).await;
        tab.until(&shows("#tally", "1 of 11")).await;
    }

    // Another reason needs a note.
    press(&one, "Ask to wait: Barack").await;
    let other = "(document.querySelector('#grounds input[value=other]').checked = true, document.getElementById('confirm').click(), null)";
    let () = one.get(other).await;
    one.until(&shows("#ruling-sorry", "needs a note")).await;
    press(&one, "Cancel").await;

    // The roster: who is missing, found by name, admitted by hand.
    press(&one, "Roster").await;
    one.until("document.querySelectorAll('#people li').length === 10").await;
    looks.at(&one, "roster").await;
    let () = one.get("(document.getElementById('sought').value = 'priy', null)").await;
    press(&one, "Find").await;
    one.until("document.querySelectorAll('#people li').length === 1").await;
    press(&one, "Admit by hand: Priya").await;
    let () = one.get("(document.getElementById('confirm').click(), null)").await;
    one.until(&shows("#people li", "Inside")).await;
    two.until(&shows("#entries li", "Admitted by hand — Priya")).await;
    press(&one, "Inside").await;
    one.until("document.querySelectorAll('#people li').length === 2").await;

    // The box answers meanwhile: in the list, by itself.
    desk.answer(10, Decision::Refer(Reason::AlreadyAdmitted));
    two.until(&shows("#entries li", "Somebody came in with this card before")).await;
    let shown: f64 = two.until(&shows("#tally", "2 of 11")).await.as_secs_f64();
    press(&one, "Status").await;
    one.until(&shows("#findings", "camera — Not working")).await;
    one.until(&shows("#counters", "Rulings by proctors")).await;
    one.until(&shows("#access", "okafor signed in from 127.0.0.1")).await;
    looks.at(&one, "status").await;

    // In the other languages; the choice stays.
    for (language, admitted, status) in [
        ("es", "Admisión a mano — Priya", "camera — No funciona"),
        ("zh-Hans", "人工准许入场 — Priya", "camera — 不工作"),
    ] {
        choose(&one, language).await;
        one.until(&shows("#findings", status)).await;
        looks.at(&one, &format!("status-{language}")).await;
        let () = one.get("(document.querySelector('[data-tab=live]').click(), null)").await;
        one.until(&shows("#entries", admitted)).await;
        looks.at(&one, &format!("live-{language}")).await;
        let () = one.get("(document.querySelector('#entries .acts button').click(), null)").await;
        looks.at(&one, &format!("ruling-{language}")).await;
        let () = one.get("(document.getElementById('cancel').click(), document.querySelector('[data-tab=roster]').click(), null)").await;
        looks.at(&one, &format!("roster-{language}")).await;
        let () = one.get("(document.querySelector('[data-tab=status]').click(), null)").await;
        one.reload().await;
        one.until(&format!("document.documentElement.lang === {language:?} && {}", shows("#entries", admitted))).await;
        let () = one.get("(document.querySelector('[data-tab=status]').click(), null)").await;
    }
    choose(&one, "en").await;
    one.until(&shows("#findings", "camera — Not working")).await;

    // Loaded anew, it is where it was; signed out, nothing is left on either.
    two.reload().await;
    let reloaded = two.until("document.querySelectorAll('#entries li').length === 9").await;
    press(&one, "Sign out").await;
    for tab in [&one, &two] {
        tab.until("document.body.dataset.view === 'out'").await;
        assert!(!tab.get::<bool>("document.body.textContent.includes('Clara')").await, "names stay behind");
    }
    eprintln!("reloaded in {reloaded:.2?}, in step within {shown:.2} s");
    assert_eq!(looks.wrong, Vec::<String>::new());
    let all = [one.complaints(), two.complaints()].concat();
    let unexpected: Vec<_> =
        all.iter().filter(|complaint| !complaint.contains("401") && !complaint.contains("422")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    let elsewhere: Vec<_> = one.requests().into_iter().filter(|asked| !asked.starts_with(&desk.url)).collect();
    assert!(elsewhere.iter().all(|asked| asked == "about:blank"), "{elsewhere:?}");
    let named = one.requests().into_iter().filter(|asked| asked.contains("N1000") || asked.contains("priy"));
    assert_eq!(named.count(), 0, "no student in an address");
    surfer.close().await;
}
