//! The kiosk as the unit starts it: cage with Chromium, without a screen or a keyboard, in front of a served page. What dies is
//! noticed, and a new start shows the page again.
//!
//! cage's output is one of wlroots' headless backend: the page has all of its pixels, but what the compositor draws of them cannot be
//! seen, since that output draws only its first frames. It never meets a graphics card. systemd's part, starting anew, is played.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use examgate::domain::{Decision, Shown};

use super::{
    hall::{Hall, decided},
    rig::{Surfer, Tab},
};

/// `nobody` and `nogroup` on Debian: cage refuses to run as root.
const NOBODY: u32 = 65534;

/// How long the browser may take to come up, and the script to notice a death: it looks every second and wants three misses.
const PATIENCE: Duration = Duration::from_secs(60);

struct Kiosk {
    cage: Child,
    folder: tempfile::TempDir,
    debugging: u16,
}

impl Drop for Kiosk {
    fn drop(&mut self) {
        let _ = self.cage.kill();
        let _ = self.cage.wait();
    }
}

/// A program as the kiosk's user, in its folder.
fn as_nobody(program: &str, folder: &Path) -> Command {
    assert!(
        Path::new("/usr/bin").join(program).exists(),
        "{program} is missing: apt-get install {program} (`provisioning/setup` does)"
    );
    let is_root = rustix::process::getuid().is_root();
    let mut command = Command::new(if is_root { "setpriv" } else { program });
    if is_root {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", program]);
    }
    command.env("XDG_RUNTIME_DIR", folder).env("RUNTIME_DIRECTORY", folder).env("HOME", folder).env_remove("DISPLAY");
    command
}

#[expect(clippy::disallowed_methods, reason = "a process outside is waited for: there is no clock to be handed")]
fn in_time<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Kiosk {
    /// Starts what the unit's `ExecStart` says, with the script of this tree.
    fn start(screen: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        if rustix::process::getuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("it is ours");
        }
        let systemd = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        let unit = fs::read_to_string(systemd.join("examgate-kiosk.service")).expect("there is a unit");
        let start =
            unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/cage ")).expect("it starts cage");
        let options = start.strip_suffix("/usr/lib/examgate/examgate-kiosk").expect("it starts the script");
        let debugging =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port").port();
        let log = fs::File::create(folder.path().join("log")).expect("it can be made");
        let cage = as_nobody("cage", folder.path())
            .args(options.split_whitespace())
            // Read by its interpreter: the tree may lie where nobody else may go.
            .args(["bash", "-c", &fs::read_to_string(systemd.join("examgate-kiosk")).expect("there is a script")])
            .envs([("WLR_BACKENDS", "headless"), ("WLR_LIBINPUT_NO_DEVICES", "1"), ("WLR_RENDERER", "pixman")])
            .env("EXAMGATE_SCREEN_PORT", screen)
            // In a container there is no sandbox to be had; the page is looked at over a port.
            .env("EXAMGATE_BROWSER_FLAGS", format!("--no-sandbox --remote-debugging-port={debugging}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("cage starts");
        Self { cage, folder, debugging }
    }

    /// The page, as soon as it shows what the box says.
    async fn page(&self, look: &str) -> (Surfer, Tab) {
        let port = self.debugging;
        in_time("the page in the browser's list", || is_open(port).ok().filter(|open| *open));
        let mut surfer = Surfer::join(port).await;
        let tab = surfer.first("http://127.0.0.1").await;
        tab.until(&looks(look)).await;
        // cage's headless output has 1280 x 720 pixels, and the page all of them.
        tab.until("innerWidth === 1280 && innerHeight === 720").await;
        (surfer, tab)
    }

    /// Processes of the browser in which `wanted` finds what it looks for.
    fn processes(&self, wanted: impl Fn(&str) -> bool) -> Vec<i32> {
        let profile = format!("--user-data-dir={}", self.folder.path().join("profile").display());
        let all = fs::read_dir("/proc").expect("there is a /proc").flatten();
        all.filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?.replace('\0', " ");
            (line.contains(&profile) && wanted(&line)).then_some(id)
        })
        .collect()
    }

    fn kill(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let found = self.processes(wanted);
        assert!(!found.is_empty(), "there is no {what}");
        for id in found {
            let id = rustix::process::Pid::from_raw(id).expect("a process");
            // It may have ended with another one.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }

    /// Waits until cage has ended, as the unit does before it starts anew; says how long that took.
    #[expect(clippy::disallowed_methods, reason = "a process outside is waited for: there is no clock to be handed")]
    fn ended(mut self) -> Duration {
        let start = Instant::now();
        in_time("cage's end", || self.cage.try_wait().expect("it can be waited for"));
        start.elapsed()
    }
}

/// Whether the browser that listens on `port` has the screen's page open.
fn is_open(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(
        format!("GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut list = Vec::new();
    // Whether or not it hangs up after its answer.
    let _ = stream.read_to_end(&mut list);
    Ok(String::from_utf8_lossy(&list).contains("\"url\": \"http://127.0.0.1"))
}

fn looks(look: &str) -> String {
    format!("document.body.dataset.look === {look:?}")
}

#[test]
#[ignore = "a compositor and three starts of a browser: `make test-long` runs it"]
fn the_kiosk_fills_its_screen_and_comes_back_from_every_death() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let hall = Hall::open(&["en", "es"], None, "Linear Algebra, final").await;
        let port = hall.url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
        let kiosk = Kiosk::start(&port);
        let (_surfer, tab) = kiosk.page("idle").await;
        hall.show(Shown::new(decided(Decision::Admit, Some("Noah")), hall.now()));
        tab.until(&looks("admitted")).await;

        let is_page = |line: &str| {
            line.contains("--type=renderer")
                && !line.contains("--top-chrome-webui")
                && !line.contains("--extension-process")
        };
        kiosk.kill("page", is_page);
        let noticed = kiosk.ended();
        let kiosk = Kiosk::start(&port);
        kiosk.page("admitted").await;
        kiosk.kill("browser", |line| !line.contains("--type="));
        let gone = kiosk.ended();
        eprintln!("a dead page was noticed after {noticed:.1?}, a dead browser after {gone:.1?}");
        let kiosk = Kiosk::start(&port);
        kiosk.page("admitted").await;
    });
}
