//! A role's health endpoint as a monitor asks it: plain HTTP, and metrics in the text format of Prometheus, read strictly.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

/// A port of loopback for `--health`.
pub(crate) struct Endpoint(u16);

impl Endpoint {
    /// The port is free now; nobody else on loopback is likely to take it before the role does.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        Self(listener.local_addr().expect("bound").port())
    }

    /// What `--health` is given.
    pub(crate) fn argument(&self) -> String {
        self.0.to_string()
    }

    /// Status, head and body; `None`: nobody listens yet.
    fn get(&self, path: &str) -> Option<(u16, String, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head.to_lowercase(), body.to_owned()))
    }

    /// The status and the sentences of `/healthz`; `None`: nobody listens yet.
    pub(crate) fn health(&self) -> Option<(u16, String)> {
        self.get("/healthz").map(|(status, _, body)| (status, body))
    }

    /// Every metric by its name and labels. The names are those of this role, without `examgate_`.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, head, body) = self.get("/metrics").expect("it listens");
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        let (mut typed, mut helped) = (BTreeMap::new(), BTreeSet::new());
        let mut values = BTreeMap::new();
        assert!(body.ends_with('\n'), "the last line ends: {body}");
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped.insert(help.split_once(' ').expect("a text").0.to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a kind");
                typed.insert(name.to_owned(), kind.to_owned());
            } else {
                let (name, value) = line.split_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
                let family = name.split('{').next().expect("a part at least");
                let kind = typed.get(family).unwrap_or_else(|| panic!("{family} has no TYPE"));
                assert!(helped.contains(family), "{family} has no HELP");
                assert_eq!(family.ends_with("_total"), kind == "counter", "{family} is a {kind}");
                let name = name.strip_prefix("examgate_").unwrap_or_else(|| panic!("{name}"));
                let before = values.insert(name.to_owned(), value.parse().expect("a number"));
                assert_eq!(before, None, "{name} is there twice");
            }
        }
        values
    }
}
