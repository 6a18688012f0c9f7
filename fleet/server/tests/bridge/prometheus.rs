//! The real Prometheus on a loopback port of its own, asked by its API.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::{free_port, soon};

/// A running Prometheus; killed when dropped.
pub(crate) struct Prometheus {
    folder: TempDir,
    port: u16,
    features: &'static [&'static str],
    process: Child,
}

impl Prometheus {
    /// Scrapes the bridges at these ports.
    pub(crate) fn start(bridges: &[u16]) -> Self {
        Self::with(bridges, &[])
    }

    /// As [`Self::start`], with native histograms.
    pub(crate) fn native(bridges: &[u16]) -> Self {
        Self::with(bridges, &["--enable-feature=native-histograms"])
    }

    fn with(bridges: &[u16], features: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let targets: Vec<String> = bridges.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\nscrape_configs:\n  - job_name: examgate-bridge\n    static_configs:\n      - targets: [{}]\n",
            targets.join(", ")
        );
        fs::write(folder.path().join("prometheus.yml"), config).expect("writable");
        let port = free_port();
        let process = spawn(&folder, port, features);
        Self { folder, port, features, process }
    }

    /// Kills it (SIGKILL) and starts it again with what is on its disk.
    pub(crate) fn restart(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        self.process = spawn(&self.folder, self.port, self.features);
    }

    /// Waits until `query` has one value, and this one.
    pub(crate) async fn until(&self, query: &str, value: &str) {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        let mut last = None;
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            while last.as_deref() != Some(value) {
                looks.tick().await;
                last = self.ask(query);
            }
        });
        assert!(waited.await.is_ok(), "{query} is not {value} but {last:?}");
    }

    /// The value of the one series that `query` finds; `None`: none, several, or Prometheus does not answer yet.
    fn ask(&self, query: &str) -> Option<String> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        // HTTP/1.0: the answer comes in one piece.
        write!(stream, "GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let json: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        let [series] = json["data"]["result"].as_array()?.as_slice() else { return None };
        Some(series["value"][1].as_str()?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &TempDir, port: u16, features: &[&str]) -> Child {
    Command::new("prometheus")
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(features)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus is installed (package prometheus)")
}

#[tokio::test]
async fn a_prometheus_without_bridges_answers() {
    let prometheus = Prometheus::start(&[free_port()]);
    soon("its API answers", prometheus.until("vector(1)", "1")).await;
}
