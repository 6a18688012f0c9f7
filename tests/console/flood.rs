//! Ten thousand connections to the console and as many to the screen of a running box, held open, with more coming all the time:
//! the box decides as before, clients that were connected stay up to date, and newcomers are served when it is over.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use examgate::rig::{
    stage::{DoorBox, Enrolled, Programs, Reality, Stage},
    virtual_card::Behaviour,
};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_openssl::SslStream;

use super::in_time;

const CROWD: usize = 10_000;
const ADDRESSES: u8 = 20;
const EXAM: &str = "MATH-UA-120-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
const WOMAN: &[&str] = &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];

/// From one of many addresses of this machine.
async fn connect(port: u16, n: usize) -> Option<TcpStream> {
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(n % usize::from(ADDRESSES)).expect("few") + 1);
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((from, 0))).ok()?;
    tokio::time::timeout(Duration::from_secs(5), socket.connect((Ipv4Addr::LOCALHOST, port).into())).await.ok()?.ok()
}

/// Connections that are held, and more that come and go until it is dropped.
struct Crowd {
    _held: Vec<TcpStream>,
    _coming: JoinSet<()>,
}

impl Crowd {
    async fn gather(port: u16, came: &Arc<AtomicUsize>) -> Self {
        let mut held = Vec::with_capacity(CROWD);
        for n in 0..CROWD {
            held.extend(connect(port, n).await);
        }
        let mut coming = JoinSet::new();
        for n in 0..4 {
            let came = came.clone();
            coming.spawn(async move {
                loop {
                    if let Some(mut stream) = connect(port, n).await {
                        came.fetch_add(1, Ordering::Relaxed);
                        // Half a head, then nothing.
                        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await;
                        let _ = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut [0])).await;
                    }
                }
            });
        }
        Self { _held: held, _coming: coming }
    }
}

fn open_files(door: &DoorBox) -> usize {
    fs::read_dir(format!("/proc/{}/fd", door.id())).expect("it runs").count()
}

/// A tap's answer, and the milliseconds it took.
fn tap(stage: &Stage, door: &DoorBox, card: &str) -> u64 {
    stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
    let tapped = stage.tap(&Behaviour::Uid(hex::decode(card).expect("hexadecimal"))).expect("a card is laid");
    let said = door.decision(Duration::from_secs(30)).expect("a decision");
    assert_eq!(said.decision, "admit", "{said:?}");
    drop(tapped);
    stage.settle().expect("the box has seen it");
    said.since_tap_ms
}

#[test]
fn ten_thousand_connections_change_no_answer() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most > CROWD as u64 + 1_000, "this shell may open {most} files only: raise `ulimit -Hn`");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("it may be raised");
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let reality = Reality { reader: false, broker: false };
    let stage =
        Stage::set(Path::new(env!("CARGO_MANIFEST_DIR")), programs, EXAM, reality).expect("the stage can be set");
    let screen = stage.hang_screen(&["en"]).expect("there is a port");
    let console = stage.furnish_office().expect("there is a port").port;
    let cards: Vec<_> = (0..3).map(|n| (format!("N{n}"), format!("04A1B2C3D4E5F{n}"))).collect();
    let students: Vec<_> = cards
        .iter()
        .map(|(id, card)| Enrolled { id, given_name: "Clara", card, pictures: WOMAN, language: None })
        .collect();
    stage.enrol(EXAM, "Linear Algebra, final", DOORS, &students).expect("the roster is imported");
    stage.set_clock("2026-12-14T08:40:00-05:00").expect("the clock is set");
    let door = stage.open_door().expect("the box is ready");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // A page that follows since before.
        let mut page = TcpStream::connect((Ipv4Addr::LOCALHOST, screen)).await.expect("the screen listens");
        let request = format!("GET /events HTTP/1.1\r\nHost: 127.0.0.1:{screen}\r\n\r\n");
        page.write_all(request.as_bytes()).await.expect("it is read");
        let in_step = Arc::new(AtomicBool::new(true));
        let seen = in_step.clone();
        let mut following = JoinSet::new();
        following.spawn(async move {
            let mut bytes = [0; 16 << 10];
            // The page would give the box up after 1.2 s of silence.
            while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(1_200), page.read(&mut bytes)).await {}
            seen.store(false, Ordering::Relaxed);
        });
        let peace = tap(&stage, &door, &cards[0].1);
        let files = open_files(&door);
        for (name, port, card) in [("console", console, &cards[1].1), ("screen", screen, &cards[2].1)] {
            let came = Arc::new(AtomicUsize::new(0));
            let crowd = Crowd::gather(port, &came).await;
            let held = crowd._held.len();
            assert!(held > CROWD * 99 / 100, "{name}: only {held} connections were to be had");
            let took = tokio::task::block_in_place(|| tap(&stage, &door, card));
            let more = open_files(&door) - files.min(open_files(&door));
            eprintln!(
                "{name}: {held} connections held and {} more meanwhile; admitted in {took} ms ({peace} in peace); the box holds \
                 {more} more files",
                came.load(Ordering::Relaxed)
            );
            assert!(more <= 96 + 64, "{name}: {more} more files");
            assert!(took < peace + 2_000, "{name}: {took} ms under the flood, {peace} in peace");
            assert!(in_step.load(Ordering::Relaxed), "{name}: the page was left alone");
            drop(crowd);
            in_time(async { while !is_served(port, name == "console").await {} }).await;
        }
    });
    assert!(door.stop().expect("it stops").success());
}

/// Whether somebody who comes now is answered.
async fn is_served(port: u16, is_secret: bool) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    if !is_secret {
        let request = b"GET / HTTP/1.1\r\n\r\n";
        return stream.write_all(request).await.is_ok() && stream.read(&mut [0; 16]).await.is_ok_and(|read| read > 0);
    }
    let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
    builder.set_verify(SslVerifyMode::NONE);
    let ssl = builder.build().configure().and_then(|configured| configured.into_ssl("localhost")).expect("a name");
    let mut stream = SslStream::new(ssl, stream).expect("a stream");
    Pin::new(&mut stream).connect().await.is_ok()
}
