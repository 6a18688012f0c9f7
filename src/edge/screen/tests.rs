//! The screen's listener as a stranger on the same machine sees it, and attacks on it.

use std::{future::Future, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::{
    domain::{Answer, Decision, EventId, MonoTime},
    edge::clock::ScriptedClock,
};

/// Only a bound for what never ends otherwise.
const LONG: Duration = Duration::from_secs(30);

struct Served {
    port: u16,
    shown: watch::Sender<Shown>,
    pictures: watch::Sender<Option<Picture>>,
    clock: Arc<ScriptedClock>,
}

impl Served {
    fn show(&self, answer: Answer) {
        self.shown.send_replace(Shown::new(answer, self.clock.mono()));
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("it listens")
    }

    /// Sends `request`, with `{port}` filled in, and leaves the answer to be read.
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect().await;
        // It may be closed before all of it was sent.
        let _ = stream.write_all(request.replace("{port}", &self.port.to_string()).as_bytes()).await;
        stream
    }

    async fn get(&self, path: &str) -> TcpStream {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\n\r\n")).await
    }

    /// The whole answer to a request after which the connection is closed.
    async fn ask(&self, request: &str) -> String {
        all(&mut self.send(request).await).await
    }
}

/// Everything until the end.
async fn all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // Torn or closed: what came counts.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("it ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `wanted` has come; all that was read.
async fn until(stream: &mut TcpStream, wanted: &str) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while !text.contains(wanted) {
        let read =
            tokio::time::timeout(LONG, stream.read(&mut bytes)).await.expect("it comes").expect("it can be read");
        assert!(read > 0, "it ended before {wanted:?}: {text}");
        text += &String::from_utf8_lossy(&bytes[..read]);
    }
    text
}

fn serving<F: Future<Output = ()>>(limits: Limits, test: impl FnOnce(Arc<Served>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let clock = Arc::new(ScriptedClock::starting_at("2026-12-14T13:40:00Z".parse().expect("valid")));
        let (shown, seen) = watch::channel(Shown::new(Answer::Idle, MonoTime::default()));
        let (pictures, mirrored) = watch::channel(None);
        let (_, plate) = watch::channel(Plate::sample());
        let words = Words::of(&["en"], None).expect("it comes with the box");
        let settings = Settings { words, more: Vec::new(), zone: TimeZone::UTC, sound: false, limits };
        let follows = Follows { shown: seen, plate, pictures: mirrored, clock: clock.clone() };
        let screen = Screen::listen(0, settings, follows).await.expect("loopback can be listened on");
        let served = Arc::new(Served { port: screen.port(), shown, pictures, clock });
        tokio::select! {
            () = screen.run() => panic!("the screen ended"),
            () = test(served) => {}
        }
    });
}

fn looking() -> Answer {
    Answer::Looking { attempt: 1, of: 3 }
}

fn admitted(name: &str) -> Answer {
    let event = EventId(uuid::Uuid::nil());
    Answer::Decided { event, decision: Decision::Admit, name: Some(name.into()), seat: None }
}

#[test]
fn only_its_own_parts_are_served_to_its_own_pages() {
    serving(Limits::default(), async |served| {
        let own = "Host: 127.0.0.1:{port}\r\nConnection: close\r\n";
        let giant = format!("GET / HTTP/1.1\r\n{own}X: {}\r\n\r\n", "x".repeat(64 << 10));
        let many = format!("GET / HTTP/1.1\r\n{own}{}\r\n", "A: b\r\n".repeat(200));
        let cases = [
            (format!("GET / HTTP/1.1\r\n{own}\r\n"), "200"),
            (format!("GET /screen.js HTTP/1.1\r\n{own}\r\n"), "200"),
            (format!("HEAD /screen.css HTTP/1.1\r\n{own}\r\n"), "200"),
            ("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".into(), "200"),
            (format!("GET /../../../etc/passwd HTTP/1.1\r\n{own}\r\n"), "404"),
            (format!("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n{own}\r\n"), "404"),
            (format!("GET //etc/passwd HTTP/1.1\r\n{own}\r\n"), "404"),
            (format!("GET /screen.css/..%2f..%2fen.toml HTTP/1.1\r\n{own}\r\n"), "404"),
            (format!("GET /picture HTTP/1.1\r\n{own}\r\n"), "404"),
            (format!("POST / HTTP/1.1\r\n{own}\r\n"), "405"),
            (format!("GET / HTTP/1.1\r\n{own}Content-Length: 5\r\n\r\nhello"), "413"),
            (format!("GET / HTTP/1.1\r\n{own}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "413"),
            ("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n".into(), "421"),
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".into(), "421"),
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into(), "421"),
            (format!("GET /events HTTP/1.1\r\n{own}Sec-Fetch-Site: cross-site\r\n\r\n"), "403"),
            (giant, "431"),
            (many, "431"),
            ("\x16\x03\x01\x02\x00\x01\x00".into(), "400"),
        ];
        for (request, status) in cases {
            let answer = served.ask(&request).await;
            let first = request.lines().next().unwrap_or_default();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{first}: wanted {status}, got {answer}");
            assert!(!answer.contains("root:"), "{first}: {answer}");
            // What hyper refuses by itself never gets as far as the guard.
            if !["400", "431"].contains(&status) {
                let answer = answer.to_lowercase();
                assert!(answer.contains("content-security-policy: default-src 'none'; style-src 'self'"), "{answer}");
                assert!(
                    answer.contains("x-content-type-options: nosniff") && answer.contains("cache-control: no-store")
                );
            }
        }
    });
}

#[test]
fn a_page_hears_the_box_and_what_it_says() {
    serving(Limits::default(), async |served| {
        let mut page = served.get("/events").await;
        let began = until(&mut page, "\"Tap your card\"").await;
        assert!(began.contains("content-type: text/event-stream") && began.contains("event: beat\ndata: "), "{began}");
        served.show(admitted("<script>alert(1)</script>\nevent: sheet\ndata: {}"));
        let said = until(&mut page, "good luck").await;
        assert!(said.contains(r#""look":"admitted""#), "{said}");
        assert!(
            said.contains(r"Welcome, <script>alert(1)</script>\nevent: sheet\ndata: {}"),
            "a name stays a text: {said}"
        );
    });
}

#[test]
fn pictures_are_there_while_somebody_is_looked_at_and_not_a_moment_longer() {
    serving(Limits::default(), async |served| {
        served.pictures.send_replace(Some(Picture::copied(b"left over")));
        assert!(until(&mut served.get("/picture").await, "\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        served.pictures.send_replace(None);
        served.show(looking());
        // An older page: its answer comes without chunks between the bytes, and ends with the connection.
        let mut page = served.send("GET /picture HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").await;
        let head = until(&mut page, "\r\n\r\n").await;
        assert!(head.contains("multipart/x-mixed-replace; boundary=examgate-picture"), "{head}");
        served.pictures.send_replace(Some(Picture::copied(b"one")));
        // The end of the first is known before there is a second.
        until(&mut page, "one\r\n--examgate-picture\r\n").await;
        served.pictures.send_replace(Some(Picture::copied(b"two")));
        until(&mut page, "two\r\n--examgate-picture\r\n").await;
        served.show(admitted("Noah"));
        served.pictures.send_replace(Some(Picture::copied(b"three")));
        assert_eq!(all(&mut page).await, "");
    });
}

#[test]
fn whoever_dawdles_makes_room() {
    let bounds = Bounds { connections: 8, per_address: 8, within: Duration::from_millis(300) };
    let limits = Limits { bounds, ..Limits::default() };
    serving(limits, async |served| {
        let mut slow = Vec::new();
        for _ in 0..bounds.connections {
            slow.push(served.send("GET / HTTP/1.1\r\nHost: 127.0").await);
        }
        assert_eq!(all(&mut served.get("/").await).await, "", "all places are taken: it is closed at once");
        for stream in &mut slow {
            let end = all(stream).await;
            assert!(end.is_empty() || end.starts_with("HTTP/1.1 408"), "{end}");
        }
        until(&mut served.get("/").await, "<title>Examgate</title>").await;
    });
}

#[test]
fn whoever_does_not_read_is_let_go_and_holds_nobody_up() {
    let bounds = Bounds { within: Duration::from_millis(300), ..Limits::default().bounds };
    let limits = Limits { bounds, watchers: 1, ..Limits::default() };
    serving(limits, async |served| {
        served.show(looking());
        let stuck = served.get("/picture").await;
        let mut page = served.get("/events").await;
        let publishing = async {
            loop {
                served.pictures.send_replace(Some(Picture::copied(&vec![7; 1 << 20])));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let trying = async {
            until(&mut page, r#""look":"looking""#).await;
            loop {
                let mut another = served.get("/picture").await;
                let answer = until(&mut another, "\r\n\r\n").await;
                if answer.starts_with("HTTP/1.1 200") {
                    return;
                }
                assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = publishing => {}
            made_room = tokio::time::timeout(LONG, trying) => made_room.expect("whoever is stuck is let go"),
        }
        drop(stuck);
    });
}

#[test]
fn ten_thousand_connections_and_a_flood_of_followers_leave_the_page_as_it_was() {
    let bounds = Bounds { connections: 32, per_address: 32, ..Limits::default().bounds };
    let limits = Limits { bounds, followers: 4, ..Limits::default() };
    serving(limits, async |served| {
        let mut page = served.get("/events").await;
        until(&mut page, "\"Tap your card\"").await;
        let mut followers = Vec::new();
        for _ in 1..limits.followers {
            let mut follower = served.get("/events").await;
            until(&mut follower, "event: beat").await;
            followers.push(follower);
        }
        let refused = until(&mut served.get("/events").await, "\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        // As many at a time as one process may have open.
        for _ in 0..20 {
            let mut crowd = Vec::new();
            for _ in 0..500 {
                crowd.push(served.connect().await);
            }
        }
        for attempt in 1..200 {
            served.show(Answer::Looking { attempt, of: 3 });
        }
        served.show(admitted("Noah"));
        until(&mut page, "Welcome, Noah").await;
        drop(followers);
        // What the crowd has left is tidied away: a newcomer is served again.
        let newcomer = async {
            while !all(&mut served.send("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").await)
                .await
                .starts_with("HTTP/1.1 200")
            {}
        };
        tokio::time::timeout(LONG, newcomer).await.expect("a newcomer is served");
    });
}

#[test]
fn a_port_in_use_is_named() {
    serving(Limits::default(), async |served| {
        let (_, shown) = watch::channel(Shown::new(Answer::Idle, MonoTime::default()));
        let (_, pictures) = watch::channel(None);
        let settings = Settings {
            words: Words::of(&["en"], None).expect("it comes with the box"),
            more: Vec::new(),
            zone: TimeZone::UTC,
            sound: false,
            limits: Limits::default(),
        };
        let (_, plate) = watch::channel(Plate::sample());
        let follows = Follows { shown, plate, pictures, clock: served.clock.clone() };
        let refused = Screen::listen(served.port, settings, follows).await.err().expect("it is taken");
        assert!(refused.to_string().contains(&served.port.to_string()), "{refused}");
    });
}
