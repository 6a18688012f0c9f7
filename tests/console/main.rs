//! The proctor's console over real TLS: how one gets in, and how one does not.
//!
//! The box behind it is a stand-in that remembers what it was asked; time is scripted.

mod attacks;
mod browser;
mod flood;
mod signing_in;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use examgate::{
    domain::{
        Access, EventId, Invitation, MonoTime, ProctorId, Reason, Seq, SignInCode, StudentId, Timestamp, Whereabouts,
    },
    edge::{
        clock::{Clock, ScriptedClock},
        console::{
            Board, Call, Console, Entry, EntryStyle, Identity, Limits, Mark, Office, OfficeError, Person, Proctorship,
            Status, What, Why, WrongPins,
        },
    },
    rig::certificates::{Authority, Validity},
};
use tokio::{sync::watch, task::JoinHandle};

use browser::Browser;

pub(crate) const PIN: &str = "481516";

/// The box, as the console sees it.
#[derive(Default)]
pub(crate) struct StandIn {
    pub(crate) accesses: Mutex<Vec<Access>>,
    pub(crate) calls: Mutex<Vec<(ProctorId, Call)>>,
    pub(crate) undone: Mutex<Vec<EventId>>,
    /// Of before the console was started.
    pub(crate) wrong_pins: Vec<WrongPins>,
    /// The student's given name.
    pub(crate) name: Mutex<String>,
    /// Okafor's, while she is a proctor.
    pub(crate) mark: Mutex<Option<Mark>>,
}

pub(crate) fn okafor() -> ProctorId {
    ProctorId::new("okafor").expect("valid")
}

impl StandIn {
    fn person(&self) -> Person {
        Person {
            student: "N1".into(),
            name: self.name.lock().expect("no panics").clone(),
            official: None,
            seat: None,
            alike: vec![],
            whereabouts: Whereabouts::Outside,
            here: true,
        }
    }
}

impl Office for StandIn {
    fn board(&self) -> Result<Board, OfficeError> {
        let entry = Entry {
            other_room: None,
            id: EventId(uuid::Uuid::from_u128(7)),
            at: 0,
            who: Some(self.person()),
            look: EntryStyle::Referred,
            what: What::ForYou,
            why: Why::Reason(Reason::NoFace),
            by: None,
            note: None,
            undo: None,
        };
        Ok(Board { entries: vec![entry], people: vec![self.person()], ..Board::default() })
    }

    fn search(&self, text: &str) -> Result<Vec<Person>, OfficeError> {
        Ok(if self.person().name.contains(text) { vec![self.person()] } else { Vec::new() })
    }

    fn check_pin(&self, proctor: &ProctorId, pin: &str) -> Result<Option<Proctorship>, OfficeError> {
        let mark = self.mark(proctor)?.filter(|_| pin == PIN);
        Ok(mark.map(|mark| Proctorship { name: "A. Okafor".into(), mark }))
    }

    fn mark(&self, proctor: &ProctorId) -> Result<Option<Mark>, OfficeError> {
        Ok((*proctor == okafor()).then(|| *self.mark.lock().expect("no panics")).flatten())
    }

    fn rule(&self, by: &ProctorId, call: Call) -> Result<(), OfficeError> {
        if call.student != StudentId::new("N1").expect("valid") {
            return Err(OfficeError::NoStudent);
        }
        self.calls.lock().expect("no panics").push((by.clone(), call));
        Ok(())
    }

    fn undo(&self, _: &ProctorId, ruling: EventId) -> Result<(), OfficeError> {
        self.undone.lock().expect("no panics").push(ruling);
        Ok(())
    }

    fn note(&self, access: Access) -> Result<(), OfficeError> {
        self.accesses.lock().expect("no panics").push(access);
        Ok(())
    }

    fn wrong_pins(&self) -> Result<Vec<WrongPins>, OfficeError> {
        Ok(self.wrong_pins.clone())
    }

    fn status(&self) -> Status {
        Status::default()
    }
}

/// A console that serves, and everything around it.
pub(crate) struct Bench {
    pub(crate) office: Arc<StandIn>,
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    pub(crate) changes: watch::Sender<Seq>,
    invitations: watch::Sender<Option<(Invitation, MonoTime)>>,
    clock: Arc<ScriptedClock>,
    serving: JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::within(Limits::default()).await
    }

    pub(crate) async fn within(limits: Limits) -> Self {
        Self::after(Vec::new(), limits).await
    }

    /// A console of a box on which these wrong PINs were typed before.
    #[expect(clippy::disallowed_methods, reason = "the console under test runs beside its client")]
    pub(crate) async fn after(wrong_pins: Vec<WrongPins>, limits: Limits) -> Self {
        let office = Arc::new(StandIn {
            name: Mutex::new("Ada".into()),
            mark: Mutex::new(Some(Mark([1; 32]))),
            wrong_pins,
            ..StandIn::default()
        });
        let authority = Authority::new();
        let issued = authority.broker(Validity::Good);
        let identity = Identity { certificate: issued.certificate.into_bytes(), key: issued.key.into_bytes().into() };
        let clock = Arc::new(ScriptedClock::starting_at(Timestamp::UNIX_EPOCH));
        let (invitations, invited) = watch::channel(None);
        let (changes, changed) = watch::channel(Seq::default());
        let reading = Arc::clone(&clock) as Arc<dyn Clock>;
        let asked = Arc::clone(&office) as Arc<dyn Office>;
        let any = "127.0.0.1:0".parse().expect("an address");
        let console =
            Console::listen(any, &identity, limits, asked, invited, changed, reading).await.expect("it listens");
        let address = console.address().expect("it has one");
        let serving = tokio::spawn(console.run());
        Self { office, authority, address, changes, invitations, clock, serving }
    }

    /// A proctor taps; the box shows this code.
    pub(crate) fn tap(&self, code: u64) -> String {
        let code = SignInCode::from_random(code);
        let digits = code.digits().to_owned();
        self.invitations.send_replace(Some((Invitation { proctor: okafor(), code }, self.clock.mono())));
        digits
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self, [127, 0, 0, 1])
    }

    pub(crate) fn browser_at(&self, from: [u8; 4]) -> Browser {
        Browser::new(self, from)
    }

    /// A browser that has signed in.
    pub(crate) async fn signed_in(&self, code: u64) -> Browser {
        let mut browser = self.browser();
        let code = self.tap(code);
        let answer = browser.sign_in(&code, PIN).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        browser
    }
}

/// Waits for something that a program beside us does.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes in time")
}
