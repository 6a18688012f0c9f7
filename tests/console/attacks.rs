//! The ways in that are not meant, tried one by one. None gets in, and none keeps a proctor out for long.

use std::time::Duration;

use examgate::{
    domain::{AccessStep, Timestamp},
    edge::console::{Limits, Mark, WrongPins},
    serve::Bounds,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Bench, PIN, in_time, okafor};

const RULE: &str = r#"{"student":"N1","verdict":"admit","ground":"id_checked","note":null,"answer":null}"#;
const BEHIND: [(&str, &str); 7] = [
    ("GET", "/api/events"),
    ("GET", "/api/status"),
    ("POST", "/api/search"),
    ("POST", "/api/rule"),
    ("POST", "/api/undo"),
    ("POST", "/api/sign-out"),
    ("GET", "/api/events?x=1"),
];

#[tokio::test]
async fn without_a_session_there_is_only_the_way_to_one() {
    let bench = Bench::new().await;
    let mut browser = bench.browser();
    for cookie in [None, Some("__Host-examgate=".to_owned()), Some(format!("__Host-examgate={}", "0".repeat(64)))] {
        browser.cookie = cookie;
        for (method, path) in BEHIND {
            let answer = if method == "GET" { browser.get(path).await } else { browser.post(path, RULE).await };
            assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
            assert!(!answer.body.contains("Ada"), "{answer:?}");
        }
    }
    assert!(bench.office.calls.lock().expect("no panics").is_empty());
}

#[tokio::test]
async fn a_stolen_cookie_is_worthless_elsewhere() {
    let bench = Bench::new().await;
    let owner = bench.signed_in(1).await;
    let mut thief = bench.browser_at([127, 0, 0, 2]);
    (thief.cookie, thief.token) = (owner.cookie.clone(), owner.token.clone());
    assert_eq!(thief.get("/api/status").await.status, 401);
    assert_eq!(thief.post("/api/rule", RULE).await.status, 401);
    assert_eq!(thief.get("/api/session").await.body, "null");
    assert_eq!(owner.post("/api/rule", RULE).await.status, 204, "the owner stays in");
}

#[tokio::test]
async fn a_code_serves_once_and_a_card_alone_or_a_pin_alone_never() {
    let bench = Bench::new().await;
    let mut browser = bench.browser();
    assert_eq!(browser.sign_in("123456", PIN).await.status, 401, "a PIN without a tap");
    let code = bench.tap(123_456);
    assert_eq!(browser.sign_in(&code, "000000").await.status, 401, "a tap without the PIN");
    assert_eq!(browser.sign_in(&code, PIN).await.status, 401, "one try a code");
    let code = bench.tap(654_321);
    assert_eq!(browser.sign_in(&code, PIN).await.status, 200);
    let mut other = bench.browser();
    assert_eq!(other.sign_in(&code, PIN).await.status, 401, "replayed");
    let accesses = bench.office.accesses.lock().expect("no panics");
    assert!(accesses.iter().any(|access| matches!(access.step, AccessStep::Refused { .. })), "refusals are recorded");
}

#[tokio::test]
async fn a_power_cycle_ends_no_pause() {
    // The clock of the bench begins in 1970.
    let before = WrongPins { proctor: okafor(), times: 13, last: Timestamp::UNIX_EPOCH };
    let bench = Bench::after(vec![before], Limits::default()).await;
    let mut browser = bench.browser();
    let answer = browser.sign_in(&bench.tap(123_456), PIN).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("how long");
    assert!((100..=120).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_wrong_pin_from_a_stranger_who_reads_the_screen_keeps_no_proctor_out() {
    let bench = Bench::new().await;
    let mut stranger = bench.browser_at([127, 0, 0, 4]);
    for n in 0..4 {
        let code = bench.tap(100_000 + n);
        assert_eq!(stranger.sign_in(&code, "000000").await.status, 401);
    }
    // The very code that the stranger tried serves the proctor, at once.
    let code = bench.tap(200_000);
    let answer = stranger.sign_in(&code, "000000").await;
    assert_eq!(answer.status, 429, "the stranger's address is slowed down: {answer:?}");
    let mut browser = bench.browser();
    assert_eq!(browser.sign_in(&code, PIN).await.status, 200);
    let named = |access: &&examgate::domain::Access| matches!(access.step, AccessStep::Refused { .. });
    let accesses = bench.office.accesses.lock().expect("no panics");
    assert_eq!(accesses.iter().filter(named).filter(|access| access.proctor.is_some()).count(), 4, "once a code");
}

#[tokio::test]
async fn a_proctor_who_is_removed_or_changed_is_out_at_the_next_request() {
    for now in [None, Some(Mark([2; 32]))] {
        let bench = Bench::new().await;
        let browser = bench.signed_in(1).await;
        let cookie = browser.cookie.clone().expect("signed in");
        let mut stream = browser.secure().await.expect("TLS");
        let request = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        *bench.office.mark.lock().expect("no panics") = now;
        // Following is over, without anything having been asked …
        let mut rest = Vec::new();
        let _ = in_time(stream.read_to_end(&mut rest)).await;
        // … and so is everything else, for good.
        assert_eq!(browser.post("/api/rule", RULE).await.status, 401);
        assert_eq!(browser.get("/api/session").await.body, "null");
        *bench.office.mark.lock().expect("no panics") = Some(Mark([1; 32]));
        assert_eq!(browser.get("/api/status").await.status, 401);
        assert!(bench.office.calls.lock().expect("no panics").is_empty());
        let steps: Vec<_> = bench.office.accesses.lock().expect("no panics").iter().map(|access| access.step).collect();
        assert_eq!(steps, [AccessStep::SignedIn, AccessStep::SignedOut], "recorded once");
    }
}

#[tokio::test]
async fn whoever_is_removed_while_their_ruling_is_on_its_way_does_not_rule() {
    let bench = Bench::new().await;
    let browser = bench.signed_in(1).await;
    let (cookie, token) = (browser.cookie.clone().expect("signed in"), browser.token.clone().expect("signed in"));
    let mut stream = browser.secure().await.expect("TLS");
    let port = bench.address.port();
    let head = format!(
        "POST /api/rule HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: https://localhost:{port}\r\nCookie: {cookie}\r\n\
         X-Examgate-Token: {token}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        RULE.len(),
    );
    stream.write_all(head.as_bytes()).await.expect("it is read");
    // Another request is answered after the head of the first was looked at.
    assert_eq!(browser.get("/api/status").await.status, 200);
    *bench.office.mark.lock().expect("no panics") = None;
    stream.write_all(RULE.as_bytes()).await.expect("it is read");
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
    assert!(bench.office.calls.lock().expect("no panics").is_empty());
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let bench = Bench::new().await;
    let mut guesser = bench.browser_at([127, 0, 0, 3]);
    bench.tap(999_999);
    let mut answers = Vec::new();
    for n in 0..6 {
        answers.push(guesser.sign_in(&format!("00000{n}"), PIN).await);
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429]);
    assert!(answers[5].header("retry-after").is_some());
    // The proctor at another address is not held up.
    assert_eq!(bench.browser().sign_in("999999", PIN).await.status, 200);
    let noted = bench.office.accesses.lock().expect("no panics").len();
    assert!(noted <= 2, "a flood of refusals is counted, not recorded one by one: {noted}");
}

#[tokio::test]
async fn another_site_can_post_nothing() {
    let bench = Bench::new().await;
    let browser = bench.signed_in(1).await;
    let token = browser.token.clone().expect("signed in");
    let own = format!("https://localhost:{}", bench.address.port());
    let json = ("Content-Type", "application/json");
    let cases = [
        ("another origin", vec![("Origin", "https://evil.example"), json, ("X-Examgate-Token", &token)], 403),
        ("no origin", vec![json, ("X-Examgate-Token", &token)], 403),
        ("a null origin", vec![("Origin", "null"), json, ("X-Examgate-Token", &token)], 403),
        (
            "the browser says so",
            vec![("Origin", &own), json, ("Sec-Fetch-Site", "cross-site"), ("X-Examgate-Token", &token)],
            403,
        ),
        ("no token", vec![("Origin", &own), json], 403),
        ("a made-up token", vec![("Origin", &own), json, ("X-Examgate-Token", "00")], 403),
        ("a form", vec![("Origin", &own), ("Content-Type", "text/plain"), ("X-Examgate-Token", &token)], 415),
    ];
    for (name, headers, status) in cases {
        assert_eq!(browser.request("POST", "/api/rule", &headers, RULE).await.status, status, "{name}");
    }
    let answer = browser.request("GET", "/api/status", &[("Sec-Fetch-Site", "cross-site")], "").await;
    assert_eq!(answer.status, 403, "nor embed");
    assert!(bench.office.calls.lock().expect("no panics").is_empty());
}

#[tokio::test]
async fn there_are_no_other_paths_and_every_answer_carries_the_policy() {
    let bench = Bench::new().await;
    let browser = bench.browser();
    for path in [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/console.js/../../Cargo.toml",
        "//etc/passwd",
        "/%00",
        "/page/index.html",
        "/api",
        "/api/",
        "/.git/config",
    ] {
        let answer = browser.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{path}");
    }
    for (method, path) in [("DELETE", "/"), ("PUT", "/api/rule"), ("OPTIONS", "/api/rule"), ("TRACE", "/")] {
        assert_eq!(browser.request(method, path, &[], "").await.status, 405, "{method} {path}");
    }
    for path in ["/", "/console.js", "/nowhere", "/api/status"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").expect(path);
        for wanted in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"] {
            assert!(policy.contains(wanted), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("strict-transport-security").is_some());
    }
    let page = browser.get("/").await.body;
    assert!(!page.contains("style=") && !page.contains("<script>") && !page.contains("onclick"), "nothing in line");
}

#[tokio::test]
async fn a_script_in_a_name_stays_text() {
    let bench = Bench::new().await;
    *bench.office.name.lock().expect("no panics") = "</script><img src=x onerror=alert(1)>\n\nevent: beat".into();
    let browser = bench.signed_in(1).await;
    let mut stream = browser.secure().await.expect("TLS");
    let cookie = browser.cookie.clone().expect("signed in");
    let request = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is read");
    let mut heard = String::new();
    let mut bytes = [0; 8192];
    while !heard.contains("event: board") || !heard.contains("onerror") {
        let count = in_time(stream.read(&mut bytes)).await.expect("it goes on");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let line = heard.lines().find(|line| line.contains("onerror")).expect("was heard");
    assert!(line.starts_with("data: {") && line.contains("\\n\\nevent: beat"), "a name cannot begin a message: {line}");
    let script = browser.get("/console.js").await.body;
    for door in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!script.contains(door), "the page makes no HTML of texts: {door}");
    }
}

#[tokio::test]
async fn giant_requests_are_refused() {
    let bench = Bench::new().await;
    let browser = bench.signed_in(1).await;
    let long = "x".repeat(64 * 1024);
    let answer = browser.request("GET", "/api/status", &[("X-Long", &long)], "").await;
    assert!([0, 431].contains(&answer.status), "{}", answer.status);
    let answer = browser.get(&format!("/{long}")).await;
    assert!([0, 414, 431].contains(&answer.status), "{}", answer.status);
    let many: Vec<_> = (0..200).map(|_| ("X-Many", "1")).collect();
    let answer = browser.request("GET", "/", &many, "").await;
    assert!([0, 431].contains(&answer.status), "{}", answer.status);
    let body = format!("{{\"text\":\"{long}\"}}");
    let answer = browser.post("/api/search", &body).await;
    assert!([0, 413].contains(&answer.status), "{}", answer.status);
    assert_eq!(browser.get("/api/status").await.status, 200, "all is well afterwards");
}

#[tokio::test]
async fn whoever_is_slow_is_dropped() {
    let bounds = Bounds { within: Duration::from_millis(300), ..Limits::default().bounds };
    let bench = Bench::within(Limits { bounds, ..Limits::default() }).await;
    let browser = bench.browser();
    // No handshake at all.
    let mut silent = browser.connect().await;
    // A head that never ends, a body that never comes.
    let mut head = browser.secure().await.expect("TLS");
    head.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ").await.expect("it is read");
    let mut body = browser.secure().await.expect("TLS");
    let request = "POST /api/sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 40\r\n\r\n{";
    body.write_all(request.as_bytes()).await.expect("it is read");
    let mut rest = Vec::new();
    let _ = in_time(silent.read_to_end(&mut rest)).await;
    let _ = in_time(head.read_to_end(&mut rest)).await;
    let mut answer = Vec::new();
    let _ = in_time(body.read_to_end(&mut answer)).await;
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let bench = Bench::new().await;
    let crowd = bench.browser_at([127, 0, 0, 9]);
    let mut held = Vec::new();
    for _ in 0..2_000 {
        held.push(crowd.connect().await);
    }
    // The proctor comes from elsewhere, and gets in.
    let browser = bench.signed_in(1).await;
    assert_eq!(browser.get("/api/status").await.status, 200);
    drop(held);
}

#[tokio::test]
async fn a_flood_of_followers_ends_at_its_limit() {
    let bench = Bench::new().await;
    let browser = bench.signed_in(1).await;
    let cookie = browser.cookie.clone().expect("signed in");
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..10 {
        let mut stream = browser.secure().await.expect("TLS");
        let request = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        let mut bytes = [0; 256];
        let count = in_time(stream.read(&mut bytes)).await.expect("an answer");
        refused += usize::from(bytes[..count].starts_with(b"HTTP/1.1 503"));
        held.push(stream);
    }
    assert_eq!(refused, 10 - Limits::default().per_session);
    assert_eq!(browser.post("/api/rule", RULE).await.status, 204, "actions go through all the same");
}

#[tokio::test]
async fn old_tls_and_plain_text_are_not_spoken() {
    let bench = Bench::new().await;
    let mut plain = bench.browser().connect().await;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is read");
    let mut answer = Vec::new();
    let _ = in_time(plain.read_to_end(&mut answer)).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    let mut browser = bench.browser();
    browser.only_tls_1_1();
    assert!(in_time(browser.secure()).await.is_err());
}
