//! The way in that is meant: a tap, a code, a PIN; then what a proctor does.

use examgate::domain::{AccessStep, Ground, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Bench, PIN, in_time, okafor};

const ADMIT: &str = r#"{"student":"N1","verdict":"admit","ground":"id_checked","note":"passport seen","answer":null}"#;

#[tokio::test]
async fn card_code_and_pin_open_a_session_whose_actions_arrive() {
    let bench = Bench::new().await;
    let mut browser = bench.browser();
    assert_eq!(browser.get("/api/session").await.body, "null");
    let answer = browser.sign_in(&bench.tap(123_456), PIN).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-examgate="), "{cookie}");
    for wanted in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(wanted), "{cookie}");
    }
    assert!(!answer.body.contains(cookie.split(['=', ';']).nth(1).expect("a value")), "the page never sees the secret");
    assert!(browser.get("/api/session").await.body.contains("A. Okafor"));

    assert_eq!(browser.post("/api/rule", ADMIT).await.status, 204);
    let (by, call) = bench.office.calls.lock().expect("no panics").pop().expect("one ruling");
    assert_eq!((by, call.verdict, call.ground), (okafor(), Verdict::Admit, Ground::IdChecked));
    assert_eq!(call.note.expect("a note").as_str(), "passport seen");
    let ruling = uuid::Uuid::from_u128(9);
    assert_eq!(browser.post("/api/undo", &format!("{{\"ruling\":\"{ruling}\"}}")).await.status, 204);
    assert_eq!(bench.office.undone.lock().expect("no panics")[0].0, ruling);
    assert!(browser.post("/api/search", r#"{"text":"Ad"}"#).await.body.contains("\"N1\""));
    assert_eq!(browser.get("/api/status").await.status, 200);

    assert_eq!(browser.post("/api/sign-out", "{}").await.status, 204);
    assert_eq!(browser.post("/api/rule", ADMIT).await.status, 401, "the session is over");
    let steps: Vec<_> = bench.office.accesses.lock().expect("no panics").iter().map(|access| access.step).collect();
    assert_eq!(steps, [AccessStep::SignedIn, AccessStep::SignedOut]);
}

#[tokio::test]
async fn a_mistake_is_told_in_words() {
    let bench = Bench::new().await;
    let browser = bench.signed_in(1).await;
    for (body, status, word) in [
        (ADMIT.replace("N1", "N2"), 404, "no_student"),
        (ADMIT.replace("passport seen", &"x".repeat(201)), 422, "not_understood"),
        (ADMIT.replace("admit", "pardon"), 422, "not_understood"),
        ("{".into(), 422, "not_understood"),
    ] {
        let answer = browser.post("/api/rule", &body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.body.contains(word), "{answer:?}");
    }
    assert!(bench.office.calls.lock().expect("no panics").is_empty());
}

#[tokio::test]
async fn every_page_in_step_hears_of_a_change_and_of_its_end() {
    let bench = Bench::new().await;
    let browser = bench.signed_in(1).await;
    let cookie = browser.cookie.clone().expect("signed in");
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = browser.secure().await.expect("TLS");
        let request = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        streams.push((stream, String::new()));
    }
    for (stream, heard) in &mut streams {
        hear(stream, heard, "event: board").await;
        assert!(heard.contains("\"name\":\"Ada\""), "{heard}");
    }
    *bench.office.name.lock().expect("no panics") = "Grace".into();
    bench.changes.send_modify(|seq| seq.0 += 1);
    for (stream, heard) in &mut streams {
        hear(stream, heard, "Grace").await;
        hear(stream, heard, "event: beat").await;
    }
    assert_eq!(browser.post("/api/sign-out", "{}").await.status, 204);
    for (stream, _) in &mut streams {
        let mut rest = Vec::new();
        let _ = in_time(stream.read_to_end(&mut rest)).await;
    }
}

/// Reads until `wanted` was heard.
async fn hear(stream: &mut (impl tokio::io::AsyncRead + Unpin), heard: &mut String, wanted: &str) {
    let mut bytes = [0; 4096];
    while !heard.contains(wanted) {
        let count = in_time(stream.read(&mut bytes)).await.expect("it goes on");
        assert!(count > 0, "it ended without {wanted:?}: {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}
