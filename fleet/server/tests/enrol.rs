//! A box and its fleet get to know each other over real TLS on loopback: the endpoint as a process, the box as `examgate
//! provision` does it, and at the end the real mosquitto with the fleet's own certificates and list of revoked ones.
//!
//! Over 400 lines, and still read at one sitting: one short story after the other.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use examgate::{
    app::provision::{Places, provision},
    config::Config,
    domain::{DeviceId, RoomId, Timestamp},
    edge::mqtt::{Asked, LinkFault, Patience, Settings, Tls, probe},
    rig::{
        certificates::Issued,
        mosquitto::{Memory, Mosquitto},
    },
    store::{KeyFolder, Secret},
    wire::{
        enrolment::{Answer, Code},
        keys::{PublicKey, SigningKey},
        state::{DeviceState, Status, Versions},
        trust::{Purpose, TrustDocument},
    },
};
use examgate_fleet_core::{
    folder::Folder,
    founding::found,
    issuer,
    registry::{State, TRIES},
};
use openssl::{
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod},
    x509::X509,
};

#[path = "collect/scrape.rs"]
mod scrape;
#[path = "collect/unit.rs"]
mod unit;

use self::{scrape::Endpoint, unit::Unit};

/// How long the endpoint may take to say that it listens.
const START: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "certificates are dated by the real clock, which brokers go by")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

/// A fleet on a temporary folder whose endpoint runs.
struct Fleet {
    home: tempfile::TempDir,
    folder: Folder,
    root: PublicKey,
    url: String,
    endpoint: Child,
    health: Endpoint,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.endpoint.kill().expect("it runs");
        self.endpoint.wait().expect("it ends");
    }
}

impl Fleet {
    fn found() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::new(home.path().join("fleet"));
        let root = found(&folder, "Fleet", "six random words, or so", now()).expect("a new folder");
        let health = Endpoint::new();
        let mut endpoint = Command::new(env!("CARGO_BIN_EXE_examgate-fleetd"))
            .args(["enrol", "--listen", "127.0.0.1:0", "--broker", "localhost:8883", "--folder"])
            .arg(folder.path())
            .args(["--health", &health.argument()])
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = BufReader::new(endpoint.stderr.take().expect("a pipe"));
        let (says, lines) = mpsc::channel();
        // Reads on to the end, or the endpoint would block on a full pipe.
        thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(says.send(line))));
        let url = loop {
            let line = lines.recv_timeout(START).expect("it listens");
            if let Some((_, address)) = line.split_once("address=") {
                break format!("https://{}", address.trim());
            }
        };
        Self { home, folder, root, url, endpoint, health }
    }

    /// A code for `door-1`, good until `expires`.
    fn code_until(&self, seed: u8, expires: Timestamp) -> String {
        let code = Code::from_random(&[seed; 20]);
        let room = RoomId::new("SILVER-207").expect("valid");
        let mut registry = self.folder.open_registry().expect("a registry");
        registry.add(&door(), &room, &code.kept(), expires, now()).expect("not enrolled");
        code.to_text().to_string()
    }

    fn code(&self, seed: u8) -> String {
        self.code_until(seed, now() + Duration::from_secs(600))
    }

    fn places(&self, name: &str) -> Places {
        let at = self.home.path().join(name);
        Places { keys: at.join("keys"), folder: at }
    }

    /// Enrols a box of that name on disk; the error as it is shown.
    fn provision(&self, name: &str, code: &str) -> Result<String, String> {
        let done = provision(&self.url, code, Some(self.root), &self.places(name), now());
        done.map_err(|error| format!("{error:#}"))
    }

    fn state(&self) -> State {
        self.folder.open_registry().expect("a registry").device(&door()).expect("it is there").0.state
    }
}

#[track_caller]
fn refused(done: Result<String, String>, why: &str) {
    let error = done.expect_err("refused");
    assert!(error.contains(why), "{why:?} is not in: {error}");
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[test]
fn a_box_is_enrolled_with_its_code_and_its_keys_stay_with_it() {
    let fleet = Fleet::found();
    let code = fleet.code(1);
    let lines = fleet.provision("box", &code.to_lowercase()).expect("enrolled");
    let places = fleet.places("box");

    let keys = KeyFolder::new(&places.keys, None);
    let own = SigningKey::from_seed(&keys.secret(Secret::Device).expect("its signing key"));
    let (device, certificates) = fleet.folder.open_registry().expect("a registry").device(&door()).expect("there");
    assert_eq!((device.state, device.signing_key, device.prekeys), (State::Enrolled, Some(own.public()), 1));
    assert_eq!(certificates.len(), 1);
    let listed = String::from_utf8(read(fleet.folder.devices())).expect("UTF-8");
    assert!(listed.contains(&own.public().to_string()), "the collector does not know it: {listed}");
    for entry in fs::read_dir(&places.keys).expect("a folder").flatten() {
        let mode = entry.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
        let secret = read(entry.path());
        // From the middle: all PEM files begin alike.
        let part = &secret[secret.len() / 2 - 16..secret.len() / 2 + 16];
        let holds = |file: &std::path::PathBuf| read(file).windows(part.len()).any(|window| window == part);
        let seen = walk(fleet.folder.path()).into_iter().find(holds);
        assert_eq!(seen, None, "{} left the box", entry.path().display());
    }

    let root = String::from_utf8(read(places.folder.join("root.pub"))).expect("UTF-8").trim().parse().expect("a key");
    assert_eq!(fleet.root, root);
    let document = TrustDocument::decode(&read(places.folder.join("trust.cose")), &root).expect("signed by the root");
    let whole = lines.replacen(
        "\n[uplink]",
        "exam = \"MATH-1\"\nstate = \"s\"\nmodels = \"m\"\n[camera]\ndevice = { index = 0 }\n[uplink]",
        1,
    );
    let config = Config::parse(&whole).unwrap_or_else(|error| panic!("{error:?}\n{whole}"));
    assert_eq!((config.device, config.uplink.map(|uplink| uplink.port)), (door(), Some(8883)));
    // It believes the document, and what the fleet signs after it, and no key of the configuration.
    let believes = config.fleet.map(|fleet| (fleet.root, fleet.trust, fleet.roster_keys));
    assert_eq!(believes, Some((Some(root.to_string()), Some(places.folder.join("trust.cose")), vec![])));
    assert_eq!(document.current(Purpose::Roster, now()).len(), 1);

    refused(fleet.provision("box", &code), "this box is enrolled");
}

#[test]
fn the_endpoint_counts_whom_it_serves_and_refuses_and_says_what_is_wrong() {
    let fleet = Fleet::found();
    assert_eq!(fleet.health.health(), Some((200, "enrolling\n".into())));
    refused(fleet.provision("stranger", &Code::from_random(&[9; 20]).to_text()), "not known here");
    let code = fleet.code(1);
    let trust = read(fleet.folder.trust());
    fs::remove_file(fleet.folder.trust()).expect("there");
    refused(fleet.provision("box", &code), "the fleet failed");
    let (status, said) = fleet.health.health().expect("it listens");
    assert!(
        status == 503 && said.contains("the last box could not be enrolled") && said.contains("trust.cose"),
        "{said}"
    );
    fs::write(fleet.folder.trust(), trust).expect("writable");
    fleet.provision("box", &code).expect("enrolled");
    assert_eq!(fleet.health.health(), Some((200, "enrolling\n".into())));
    let counted = fleet.health.metrics();
    for what in ["served", "refused", "failed"] {
        assert_eq!(counted[&format!("enrolment_requests_{what}_total")], 1.0, "{counted:?}");
    }
}

#[test]
fn the_unit_starts_an_endpoint_that_works_and_the_issuers_key_is_its_own() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let variables = [("BROKER", "localhost:8883".to_owned()), ("LISTEN", format!("127.0.0.1:{port}"))];
    let unit = Unit::new("examgate-fleetd-enrol.service", &["fleetd.env"], &variables);
    let folder = Folder::new(unit.at("/var/lib/examgate-fleet"));
    let root = found(&folder, "Fleet", "six random words, or so", now()).expect("a new folder");
    let code = Code::from_random(&[3; 20]);
    let room = RoomId::new("SILVER-207").expect("valid");
    let expires = now() + Duration::from_secs(600);
    folder.open_registry().expect("a registry").add(&door(), &room, &code.kept(), expires, now()).expect("new");
    let started = unit.start();
    let (_open, nothing) = mpsc::channel::<()>();
    let is_healthy = |_: &u32| {
        let _ = nothing.recv_timeout(Duration::from_millis(5));
        started.endpoint.health() == Some((200, "enrolling\n".into()))
    };
    (0..6_000).find(is_healthy).expect("it is healthy within 30 s");
    let home = tempfile::tempdir().expect("a temporary folder");
    let places = Places { keys: home.path().join("keys"), folder: home.path().to_owned() };
    let url = format!("https://127.0.0.1:{port}");
    provision(&url, &code.to_text(), Some(root), &places, now()).unwrap_or_else(|error| panic!("{error:#}"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let key = folder.issuer_key();
    assert_eq!((mode(key.parent().expect("a folder")), mode(&key)), (0o700, 0o600));
    assert_eq!(mode(&folder.devices()) & 0o044, 0o044, "the collector reads it");
    started.stop();
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_code_serves_one_box_and_that_box_again_when_its_answer_was_lost() {
    let fleet = Fleet::found();
    let code = fleet.code(1);
    fleet.provision("box", &code).expect("enrolled");
    refused(fleet.provision("another", &code), "used by another box");
    assert!(!fleet.places("another").folder.join("door.pem").exists());
    // As if the power had failed before the answer came: its keys are there, and nothing else.
    for name in ["door.pem", "ca.pem", "trust.cose", "root.pub"] {
        fs::remove_file(fleet.places("box").folder.join(name)).expect("there");
    }
    fleet.provision("box", &code).expect("enrolled again by the same keys");
}

#[test]
fn codes_that_are_wrong_expired_or_mistyped_enrol_nobody() {
    let fleet = Fleet::found();
    let code = fleet.code(1);
    refused(fleet.provision("box", &Code::from_random(&[9; 20]).to_text()), "not known here");
    let last = if code.ends_with('0') { "1" } else { "0" };
    refused(fleet.provision("box", &format!("{}{last}", &code[..code.len() - 1])), "mistyped");
    let expired = fleet.code_until(2, now() - Duration::from_secs(1));
    refused(fleet.provision("box", &expired), "expired");
    refused(fleet.provision("box", &code), "not known here");
    assert_eq!(fleet.state(), State::Added);
    assert!(!fleet.places("box").folder.join("door.pem").exists());

    let stranger = SigningKey::from_seed(&[1; 32]).public();
    let done = provision(&fleet.url, &fleet.code(3), Some(stranger), &fleet.places("box"), now());
    refused(done.map_err(|error| format!("{error:#}")), "another fleet");
    assert!(!fleet.places("box").folder.join("trust.cose").exists(), "the trust of another fleet was taken");
}

#[test]
fn an_address_that_guesses_has_to_wait() {
    let fleet = Fleet::found();
    for guess in 100..110 {
        refused(fleet.provision("box", &Code::from_random(&[guess; 20]).to_text()), "not known here");
    }
    // Now even the right one has to wait: the guesser learns nothing more.
    refused(fleet.provision("box", &fleet.code(1)), "too many tries from this address");
}

/// TLS with a certificate of its own on loopback, which serves one connection.
fn server(serve: impl FnOnce(&mut dyn ReadWrite) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let (certificate, key) = issuer::unvouched("somebody", now()).expect("a certificate");
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL");
    acceptor.set_certificate(&X509::from_pem(certificate.as_bytes()).expect("PEM")).expect("good");
    acceptor.set_private_key(&*PKey::private_key_from_pem(key.as_bytes()).expect("PEM")).expect("good");
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a box comes");
        serve(&mut acceptor.accept(stream).expect("it speaks TLS"));
    });
    (url, serving)
}

trait ReadWrite: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

/// One HTTP request: its first line, and its body.
fn request(stream: &mut dyn ReadWrite) -> (String, Vec<u8>) {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    (first, body)
}

fn respond(stream: &mut dyn ReadWrite, status: &str, body: &[u8]) {
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len()).expect("it listens");
    stream.write_all(body).and_then(|()| stream.flush()).expect("it listens");
}

#[test]
fn a_server_that_does_not_know_the_code_is_refused() {
    let fleet = Fleet::found();
    let code = fleet.code(1);
    let root = fleet.root;
    let (url, serving) = server(move |stream| {
        let _ = request(stream);
        let answer = Answer {
            device: door(),
            room: RoomId::new("SILVER-207").expect("valid"),
            certificate: String::new(),
            root,
            trust: Vec::new(),
            broker: "evil.example".into(),
            port: 8883,
        };
        respond(stream, "200 OK", &answer.encode(&[7; 32], [0; 16], &[0; 32]));
    });
    let done = provision(&url, &code, None, &fleet.places("box"), now()).map_err(|error| format!("{error:#}"));
    serving.join().expect("it served");
    refused(done, "does not know the code");
    for name in ["door.pem", "ca.pem", "trust.cose", "root.pub"] {
        assert!(!fleet.places("box").folder.join(name).exists(), "{name} was taken from a stranger");
    }
    fleet.provision("box", &code).expect("the code is still good");
}

/// Passes one request on to the fleet over TLS of its own, as somebody in the middle would, and the answer back.
fn pass_on(fleet: &str, first: &str, body: &[u8]) -> Vec<u8> {
    let address = fleet.strip_prefix("https://").expect("an URL");
    let mut connector = openssl::ssl::SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
    connector.set_verify(openssl::ssl::SslVerifyMode::NONE);
    let stream = std::net::TcpStream::connect(address).expect("the fleet");
    let mut stream = connector.build().connect("localhost", stream).expect("TLS");
    write!(stream, "{first}host: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len())
        .expect("it listens");
    stream.write_all(body).expect("it listens");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn whoever_stands_between_gains_nothing_and_uses_up_the_code() {
    let fleet = Fleet::found();
    let code = fleet.code(1);
    for tries in (0..TRIES).rev() {
        let target = fleet.url.clone();
        let (url, serving) = server(move |stream| {
            let (first, body) = request(stream);
            let answer = pass_on(&target, &first, &body);
            stream.write_all(&answer).and_then(|()| stream.flush()).expect("it listens");
        });
        let done = provision(&url, &code, None, &fleet.places("box"), now()).map_err(|error| format!("{error:#}"));
        serving.join().expect("it served");
        refused(done, "something stands between");
        let claim = fleet.folder.open_registry().expect("a registry");
        let claim = claim.claim(Code::from_random(&[1; 20]).id()).expect("readable").expect("known");
        assert_eq!(claim.tries_left, tries);
    }
    assert_eq!(fleet.state(), State::Added);
    refused(fleet.provision("box", &code), "tried too often");
    fleet.provision("box", &fleet.code(2)).expect("a new code enrols it");
}

/// Asks the broker as the box would.
fn ask(broker: &Mosquitto, places: &Places) -> Result<(), LinkFault> {
    let settings = Settings {
        host: "localhost".into(),
        port: broker.port(),
        device: door(),
        tls: Tls {
            authority: read(places.folder.join("ca.pem")),
            certificate: read(places.folder.join("door.pem")),
            key: KeyFolder::new(&places.keys, None).text(Secret::Tls).expect("its key"),
        },
        state: DeviceState::new(Status::Online, uuid::Uuid::nil(), Versions::default()),
        patience: Patience::default(),
    };
    probe(&settings, Asked::Everything { rosters: false, commands: false }).expect("usable certificates").map(drop)
}

#[test]
fn an_enrolled_box_connects_and_a_revoked_one_does_not() {
    let fleet = Fleet::found();
    fleet.provision("box", &fleet.code(1)).expect("enrolled");
    let places = fleet.places("box");
    let issuer = fleet.folder.read_issuer().expect("an issuer");
    let (certificate, key) = issuer.issue_with_key("broker", &["localhost".into()], now()).expect("issued");
    let served = Issued { certificate: certificate.certificate, key: key.to_string() };
    let authorities = String::from_utf8(read(fleet.folder.authorities())).expect("PEM");
    let crl = format!("crlfile {}\n", fleet.folder.revoked().display());
    let mut broker = Mosquitto::start_with(&authorities, &served, Memory::Lost, &crl).expect("mosquitto");
    ask(&broker, &places).expect("an enrolled box is served while a list is in force");

    let mut registry = fleet.folder.open_registry().expect("a registry");
    registry.revoke(&door(), now()).expect("it is there");
    fleet.folder.write_list(&mut registry, now()).expect("writable");
    fleet.folder.write_devices(&registry).expect("writable");
    broker.restart(false).expect("it starts");
    let error = ask(&broker, &places).expect_err("revoked");
    let text = examgate::domain::WithSources(&error).to_string();
    assert!(text.contains("revoked"), "{text}");
    assert!(!String::from_utf8(read(fleet.folder.devices())).expect("UTF-8").contains("door-1"));

    // The same room gets another box, and what was revoked stays so.
    fleet.provision("new box", &fleet.code(2)).expect("enrolled");
    ask(&broker, &fleet.places("new box")).expect("the new box is served");
    ask(&broker, &places).expect_err("still revoked");
}
