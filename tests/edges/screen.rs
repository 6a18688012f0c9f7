//! What the student screen shows, followed as its page follows it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// The sheets of one screen, as they come.
pub(crate) struct Screen(Receiver<serde_json::Value>);

#[expect(clippy::disallowed_methods, reason = "a process outside is waited for: there is no clock to be handed")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Screen {
    /// Follows the screen on `port` of a box that serves.
    pub(crate) fn follow(port: u16) -> Self {
        let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the screen is served");
        write!(line, "GET /events HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/event-stream\r\n\r\n")
            .expect("it listens");
        let (send, sheets) = channel();
        // Ends with the box.
        thread::spawn(move || {
            for text in BufReader::new(line).lines().map_while(Result::ok) {
                let sheet = text.strip_prefix("data:").and_then(|json| serde_json::from_str(json.trim()).ok());
                if sheet.is_some_and(|sheet: serde_json::Value| sheet.is_object() && send.send(sheet).is_err()) {
                    return;
                }
            }
        });
        Self(sheets)
    }

    /// Waits until the screen looks so and says `words`, at most `limit`; says how long it took.
    #[track_caller]
    pub(crate) fn shows(&self, look: &str, words: &str, limit: Duration) -> Duration {
        let asked = now();
        let mut last = serde_json::Value::Null;
        while let Ok(sheet) = self.0.recv_timeout(limit.saturating_sub(asked.elapsed())) {
            if sheet["look"] == look && sheet["lines"].to_string().contains(words) {
                return asked.elapsed();
            }
            last = sheet;
        }
        panic!("not {look} with {words:?} within {limit:?}: {} {}", last["look"], last["lines"]);
    }
}
