//! Attackers: a flood of followers, connections by the thousand, heads that never end, handshakes for their own sake.
//!
//! All at once, on screen and console, as fast as two threads each can.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

use super::crowd::Crowd;

/// Heads that are held open on each of the two.
const SLOW: usize = 200;

/// A running attack.
pub(crate) struct Attack {
    _crowds: Vec<Crowd>,
    done: [(&'static str, Arc<AtomicU64>); 4],
}

impl Attack {
    /// Ends it; how much it was.
    pub(crate) fn end(self) -> String {
        let counts = self.done.map(|(name, count)| format!("{} {name}", count.load(Ordering::Relaxed)));
        counts.join(", ")
    }
}

/// Begins: followers, connections and slow heads on both ports, handshakes on the console's.
pub(crate) fn begin(screen: u16, console: u16) -> Attack {
    let done = ["followers", "connections", "slow heads", "handshakes"].map(|name| (name, Arc::new(AtomicU64::new(0))));
    let [followers, connections, slow, handshakes] = done.clone().map(|(_, count)| count);
    let crowds = vec![
        Crowd::gather(2, move |stop| until(stop, || follow(screen, &followers))),
        Crowd::gather(2, move |stop| {
            until(stop, || [screen, console].into_iter().for_each(|port| drop(knock(port, &connections))))
        }),
        Crowd::gather(1, move |stop| dawdle([screen, console], &slow, stop)),
        Crowd::gather(2, move |stop| until(stop, || greet(console, &handshakes))),
    ];
    Attack { _crowds: crowds, done }
}

fn until(stop: &AtomicBool, mut work: impl FnMut()) {
    while !stop.load(Ordering::Relaxed) {
        work();
    }
}

fn knock(port: u16, count: &AtomicU64) -> Option<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    count.fetch_add(1, Ordering::Relaxed);
    Some(stream)
}

/// Asks for the events and leaves with the first of them.
fn follow(port: u16, count: &AtomicU64) {
    let Some(mut stream) = knock(port, count) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let _ = write!(stream, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let _ = stream.read(&mut [0; 4096]);
}

/// Holds heads open, a byte a second each, and begins anew with those that were closed.
fn dawdle(ports: [u16; 2], count: &AtomicU64, stop: &AtomicBool) {
    let mut held: Vec<TcpStream> = Vec::new();
    until(stop, || {
        held.retain_mut(|stream| stream.write_all(b"x").is_ok());
        while held.len() < 2 * SLOW {
            let Some(mut stream) = knock(ports[held.len() % 2], count) else { break };
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
            held.push(stream);
        }
        thread::sleep(Duration::from_secs(1));
    });
}

/// A handshake, and nothing more.
fn greet(port: u16, count: &AtomicU64) {
    let Ok(mut builder) = SslConnector::builder(SslMethod::tls_client()) else { return };
    builder.set_verify(SslVerifyMode::NONE);
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    if builder.build().connect("localhost", stream).is_ok() {
        count.fetch_add(1, Ordering::Relaxed);
    }
}
