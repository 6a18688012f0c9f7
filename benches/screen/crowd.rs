//! Legitimate clients of screen and console: pages that follow, a page that shows pictures, a proctor who signed in.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use examgate::rig::{
    stage::{Appointed, Office, Stage},
    virtual_card::Behaviour,
};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};

/// Threads that do something until dropped.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    pub(crate) fn gather(count: usize, work: impl Fn(&AtomicBool) + Clone + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|_| {
            let (stop, work) = (Arc::clone(&stop), work.clone());
            thread::spawn(move || work(&stop))
        });
        Self { threads: threads.collect(), stop }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Asks the screen for something; what comes is to be read.
fn ask(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the screen listens");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the screen reads");
    stream
}

/// Follows the sheets, as a page does.
pub(crate) fn follow(port: u16, stop: &AtomicBool) {
    let (mut stream, mut bytes) = (ask(port, "/events"), [0; 16 << 10]);
    while !stop.load(Ordering::Relaxed) && stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
}

/// Takes live pictures whenever there are any.
fn mirror(port: u16, stop: &AtomicBool) {
    let mut bytes = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        let mut stream = ask(port, "/picture");
        let mut is_live = false;
        while let Ok(read) = stream.read(&mut bytes) {
            is_live |= bytes[..read].starts_with(b"HTTP/1.1 200");
            if read == 0 || !is_live || stop.load(Ordering::Relaxed) {
                break;
            }
        }
        thread::sleep(Duration::from_millis(300));
    }
}

/// A proctor's page: what its requests carry.
#[derive(Clone)]
pub(crate) struct Page {
    port: u16,
    cookie: String,
}

fn secure(port: u16) -> Result<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    builder.build().connect("localhost", stream).map_err(|error| anyhow::anyhow!("no TLS: {error}"))
}

/// Taps as a proctor, reads the code off the screen, signs in.
pub(crate) fn proctor(stage: &Stage, screen: u16, office: &Office, proctor: &Appointed<'_>) -> Result<Page> {
    let tapped = stage.tap(&Behaviour::Uid(hex::decode(proctor.card)?))?;
    let (mut stream, mut heard, mut bytes) = (ask(screen, "/events"), String::new(), [0; 16 << 10]);
    let code = loop {
        let read = stream.read(&mut bytes).context("the screen says no code")?;
        heard += &String::from_utf8_lossy(&bytes[..read]);
        let sheet = heard.rfind("\"look\":\"sign_in\"").map(|at| &heard[at..]);
        if let Some((_, title)) = sheet.and_then(|sheet| sheet.split_once("\"title\":\""))
            && let Some((code, _)) = title.split_once('"')
        {
            break code.replace(' ', "");
        }
    };
    drop(tapped);
    stage.settle()?;
    let body = format!("{{\"code\":\"{code}\",\"pin\":\"{}\"}}", proctor.pin);
    let port = office.port;
    let mut stream = secure(port)?;
    write!(
        stream,
        "POST /api/sign-in HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: https://localhost:{port}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    // The other end may close without a farewell.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.starts_with("HTTP/1.1 200"), "the proctor is not let in: {answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    Ok(Page { port, cookie: cookie.context("no cookie")?.to_owned() })
}

/// Follows the board.
fn oversee(page: &Page, stop: &AtomicBool) {
    let mut stream = secure(page.port).expect("the console listens");
    let Page { port, cookie } = page;
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\n\r\n").expect("it reads");
    let mut bytes = [0; 16 << 10];
    while !stop.load(Ordering::Relaxed) && stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
}

/// Everything that a busy morning has: ten pages that follow, a mirror, and a proctor's four windows.
pub(crate) fn all_on(screen: u16, page: &Page) -> [Crowd; 3] {
    let page = page.clone();
    [
        Crowd::gather(10, move |stop| follow(screen, stop)),
        Crowd::gather(1, move |stop| mirror(screen, stop)),
        Crowd::gather(4, move |stop| oversee(&page, stop)),
    ]
}
