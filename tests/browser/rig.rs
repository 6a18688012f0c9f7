//! A real browser, without a window: opens pages, waits for what they show, and remembers what they complain about.
//!
//! Debian's `chromium`, driven over its DevTools protocol.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use chromiumoxide::{
    Page,
    browser::{Browser, BrowserConfig},
    cdp::{
        browser_protocol::{
            emulation::{MediaFeature, SetDeviceMetricsOverrideParams},
            log::EventEntryAdded,
            network::EventRequestWillBeSent,
            page::{CaptureScreenshotFormat, ReloadParams},
            target::CreateTargetParams,
        },
        js_protocol::runtime::{ConsoleApiCalledType, EvaluateParams, EventConsoleApiCalled, EventExceptionThrown},
    },
    page::ScreenshotParams,
};
use futures_util::StreamExt as _;
use openssl::x509::X509;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

/// Where the package puts it: Debian's, Ubuntu's snap.
const CHROMIUM: [&str; 2] = ["/usr/bin/chromium", "/snap/bin/chromium"];

/// How long a page may take to show what is waited for, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The folder for pictures of pages, if they are wanted.
#[expect(clippy::disallowed_methods, reason = "whether pictures are wanted is chosen from outside")]
pub(crate) fn screenshots() -> Option<PathBuf> {
    std::env::var_os("EXAMGATE_SCREENSHOTS").map(PathBuf::from)
}

/// A running browser; gone when dropped.
pub(crate) struct Surfer {
    browser: Browser,
    tasks: JoinSet<()>,
    _profile: Option<tempfile::TempDir>,
}

impl Surfer {
    /// Starts Chromium with a profile of its own.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same; it also believes that a server with this certificate (PEM) is who it says.
    pub(crate) async fn trusting(certificate: &str) -> Self {
        let certificate = X509::from_pem(certificate.as_bytes()).expect("a certificate");
        let key = certificate.public_key().and_then(|key| key.public_key_to_der()).expect("it holds a key");
        let pin = openssl::base64::encode_block(&openssl::sha::sha256(&key));
        Self::with(&[&format!("ignore-certificate-errors-spki-list={pin}")]).await
    }

    async fn with(switches: &[&str]) -> Self {
        let executable = CHROMIUM.iter().map(Path::new).find(|program| program.exists()).expect(
            "chromium is missing: apt-get install chromium (`provisioning/setup` does), on Ubuntu snap install chromium",
        );
        let profile = tempfile::tempdir().expect("a temporary folder");
        let config = BrowserConfig::builder()
            .chrome_executable(executable)
            .user_data_dir(profile.path())
            .new_headless_mode()
            .viewport(None)
            // Where the exams of the tests are.
            .env("TZ", "America/New_York")
            .launch_timeout(Duration::from_secs(60))
            // As root, in a container, there is no sandbox to be had.
            .no_sandbox()
            .args(["disable-quic", "no-first-run", "disable-background-networking", "disable-component-update"])
            .args(switches.iter().copied())
            .args(["disable-sync", "disable-gpu", "hide-scrollbars", "force-color-profile=srgb"])
            .build()
            .expect("the browser can be configured");
        let (browser, mut handler) = Browser::launch(config).await.expect("chromium starts");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { while handler.next().await.is_some() {} });
        Self { browser, tasks, _profile: Some(profile) }
    }

    /// Looks over the shoulder of a browser that somebody else has started and that listens for that on `port`.
    pub(crate) async fn join(port: u16) -> Self {
        let (browser, mut handler) = Browser::connect(format!("http://127.0.0.1:{port}")).await.expect("it listens");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { while handler.next().await.is_some() {} });
        Self { browser, tasks, _profile: None }
    }

    /// The first page whose address begins with `url`.
    pub(crate) async fn first(&mut self, url: &str) -> Tab {
        self.browser.fetch_targets().await.expect("it says what is open");
        for _ in 0..200 {
            for page in self.browser.pages().await.expect("it says what is open") {
                if page.url().await.is_ok_and(|shown| shown.is_some_and(|shown| shown.starts_with(url))) {
                    return self.watch(page).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{url} is not open");
    }

    /// Opens `url` in a window of its own: a page in the background is not drawn.
    pub(crate) async fn open(&mut self, url: &str) -> Tab {
        let blank =
            CreateTargetParams::builder().url("about:blank").new_window(true).build().expect("it has an address");
        let page = self.browser.new_page(blank).await.expect("a window");
        let tab = self.watch(page).await;
        tab.page.goto(url).await.expect("the page is there");
        tab
    }

    /// Notes what a page complains about and asks for, from now on.
    async fn watch(&mut self, page: Page) -> Tab {
        let (complaints, requests) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let hear = |list: &Arc<Mutex<Vec<String>>>, text: String| list.lock().expect("no panic").push(text);
        let (mut logged, noted) = (page.event_listener::<EventEntryAdded>().await.expect("log"), complaints.clone());
        self.tasks.spawn(async move {
            while let Some(event) = logged.next().await {
                let entry = &event.entry;
                hear(&noted, format!("{:?}: {} {}", entry.level, entry.text, entry.url.as_deref().unwrap_or_default()));
            }
        });
        let (mut said, noted) =
            (page.event_listener::<EventConsoleApiCalled>().await.expect("console"), complaints.clone());
        self.tasks.spawn(async move {
            while let Some(event) = said.next().await {
                if matches!(event.r#type, ConsoleApiCalledType::Error | ConsoleApiCalledType::Warning) {
                    hear(&noted, format!("console: {:?}", event.args));
                }
            }
        });
        let (mut thrown, noted) =
            (page.event_listener::<EventExceptionThrown>().await.expect("errors"), complaints.clone());
        self.tasks.spawn(async move {
            while let Some(event) = thrown.next().await {
                hear(&noted, format!("exception: {:?}", event.exception_details));
            }
        });
        let (mut asked, noted) =
            (page.event_listener::<EventRequestWillBeSent>().await.expect("network"), requests.clone());
        self.tasks.spawn(async move {
            while let Some(event) = asked.next().await {
                hear(&noted, event.request.url.clone());
            }
        });
        Tab { page, complaints, requests }
    }

    /// Ends the browser, in order.
    pub(crate) async fn close(mut self) {
        let _ = self.browser.close().await;
        let _ = self.browser.wait().await;
    }
}

/// One page.
pub(crate) struct Tab {
    page: Page,
    complaints: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Tab {
    /// The value of a JavaScript expression; a promise is waited for.
    pub(crate) async fn get<T: DeserializeOwned>(&self, expression: &str) -> T {
        self.try_get(expression).await.unwrap_or_else(|error| panic!("{error}: {expression}"))
    }

    async fn try_get<T: DeserializeOwned>(&self, expression: &str) -> Result<T, String> {
        let wanted =
            EvaluateParams::builder().expression(expression).await_promise(true).return_by_value(true).build()?;
        let found = self.page.evaluate_expression(wanted).await.map_err(|error| error.to_string())?;
        serde_json::from_value(found.value().cloned().unwrap_or_default()).map_err(|error| error.to_string())
    }

    /// Waits until the expression is true; says how long that took. A page that is being loaded meanwhile is asked again.
    #[expect(clippy::disallowed_methods, reason = "a process outside is waited for: there is no clock to be handed")]
    pub(crate) async fn until(&self, condition: &str) -> Duration {
        let start = std::time::Instant::now();
        let look = format!(
            "new Promise((answer) => {{ const end = performance.now() + 1000; const look = () => {{ \
             if ({condition}) answer(true); else if (performance.now() > end) answer(false); else setTimeout(look, 15); }}; look(); }})"
        );
        while self.try_get(&look).await != Ok(true) {
            if start.elapsed() > PATIENCE {
                let shown: Result<String, _> =
                    self.try_get("document.body.dataset.look + ': ' + document.body.innerText").await;
                panic!("never came: {condition}\nthe page shows {shown:?}\nit complains {:?}", self.complaints());
            }
        }
        start.elapsed()
    }

    /// Sets the size of the screen, in pixels.
    pub(crate) async fn resize(&self, (width, height): (u32, u32)) {
        let size = SetDeviceMetricsOverrideParams::new(i64::from(width), i64::from(height), 1.0, false);
        self.page.execute(size).await.expect("the size can be set");
        self.until(&format!("innerWidth === {width} && innerHeight === {height}")).await;
        // Layout and what follows it.
        let () = self.get("new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(null), 30)))").await;
    }

    /// Asks the page to move or not to.
    pub(crate) async fn reduce_motion(&self, reduce: bool) {
        let value = if reduce { "reduce" } else { "no-preference" };
        let feature = MediaFeature::new("prefers-reduced-motion", value);
        self.page.emulate_media_features(vec![feature]).await.expect("a medium can be emulated");
    }

    /// Loads the page again; does not wait.
    pub(crate) async fn reload(&self) {
        self.page.execute(ReloadParams::default()).await.expect("the page is loaded again");
    }

    /// The picture of the page, as PNG; `whole`: also what only scrolling shows.
    pub(crate) async fn screenshot(&self, whole: bool) -> Vec<u8> {
        let wanted = ScreenshotParams::builder().format(CaptureScreenshotFormat::Png).full_page(whole).build();
        self.page.screenshot(wanted).await.expect("a screenshot")
    }

    /// What axe-core finds wrong, one line a violation.
    pub(crate) async fn violations(&self) -> Vec<String> {
        if self.get::<bool>("typeof axe === 'undefined'").await {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/cache/axe.min.js");
            let axe = std::fs::read_to_string(&path).unwrap_or_else(|error| {
                panic!("{}: {error}: run tests/browser/fetch (`make test` does)", path.display())
            });
            let () = self.get(&format!("{axe};null")).await;
        }
        self.get(
            "axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((v) => \
             v.id + ': ' + v.nodes.map((n) => n.target + ' ' + n.failureSummary).join('; ')))",
        )
        .await
    }

    /// What the page has complained about so far: console, exceptions, blocked or failed requests.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("no panic").clone()
    }

    /// All addresses the page has asked for so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}
