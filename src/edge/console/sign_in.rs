//! Who may in, and who is in: codes, pauses and sessions, without a socket or a clock of its own.
//!
//! A sign-in takes three things: a proctor's card at the box, the code that the box then shows, and the card's PIN. A code serves
//! one attempt with a right code, whatever the PIN: every guess at a PIN costs a tap at the box. Blocks guessing over the network;
//! does not block whoever stands at the box with card and PIN.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::throttle::{Pauses, Throttle};
use crate::domain::{Invitation, MonoTime, ProctorId};

/// How long a code is good.
const CODE_FOR: Duration = Duration::from_secs(120);

/// Wrong codes typed before the one that is out is void: 20 of a million.
const GUESSES: u32 = 20;

/// A session ends when nothing was asked for so long …
const IDLE: Duration = Duration::from_secs(15 * 60);

/// … and in any case after this: longer than doors are open.
const LONGEST: Duration = Duration::from_secs(3 * 60 * 60);

/// Sessions at a time; beyond it the one that was idle longest ends.
const SESSIONS: usize = 16;

/// Refusals are recorded at most this often, with their number.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// For whoever types wrong codes.
const ADDRESS: Pauses = Pauses { free: 3, first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// For a card whose PIN is typed wrongly, as the box does for faces.
const CARD: Pauses = Pauses { free: 2, first: Duration::from_secs(30), longest: Duration::from_secs(3600) };

/// What a browser holds: 32 random bytes. Only its hash is kept.
pub(super) type Secret = [u8; 32];

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Code, PIN or both are wrong, or the code is too old. Which is not said.
    Wrong,
    /// Too many failures; again after this.
    Wait(Duration),
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) proctor: ProctorId,
    pub(super) name: String,
    /// Sent with every action, against pages elsewhere.
    pub(super) token: String,
    /// Places for its pages that follow.
    pub(super) follows: Arc<Semaphore>,
    from: IpAddr,
    since: MonoTime,
    used: MonoTime,
}

/// Keeps the console's door.
pub(super) struct Doorkeeper {
    sessions: HashMap<[u8; 32], Session>,
    addresses: Throttle<IpAddr>,
    cards: Throttle<ProctorId>,
    /// The invitation that is looked at, by its time: how many wrong codes, and whether it is spent.
    at: MonoTime,
    guesses: u32,
    spent: bool,
    refusals: u32,
    noted: Option<MonoTime>,
}

impl Doorkeeper {
    pub(super) fn new() -> Self {
        Self {
            sessions: HashMap::new(),
            addresses: Throttle::new(ADDRESS),
            cards: Throttle::new(CARD),
            at: MonoTime::default(),
            guesses: 0,
            spent: false,
            refusals: 0,
            noted: None,
        }
    }

    /// The first half: is the code the one that the box shows? Then it is spent, and this is whose PIN has to be checked.
    pub(super) fn try_code(
        &mut self,
        now: MonoTime,
        from: IpAddr,
        invitation: Option<&(Invitation, MonoTime)>,
        typed: &str,
    ) -> Result<ProctorId, Refused> {
        let wait = self.addresses.wait(now, &from);
        if !wait.is_zero() {
            return Err(Refused::Wait(wait));
        }
        let proctor = invitation.and_then(|(invitation, at)| {
            if self.at != *at {
                (self.at, self.guesses, self.spent) = (*at, 0, false);
            }
            let alive = !self.spent && now.since(*at) <= CODE_FOR;
            let right = invitation.code.matches(typed);
            self.guesses += u32::from(!right);
            self.spent |= right || self.guesses >= GUESSES;
            (alive && right).then(|| invitation.proctor.clone())
        });
        let Some(proctor) = proctor else {
            self.failed(now, from);
            return Err(Refused::Wrong);
        };
        match self.cards.wait(now, &proctor) {
            Duration::ZERO => Ok(proctor),
            wait => Err(Refused::Wait(wait)),
        }
    }

    /// Wrong PINs of before a restart: `times` in a row, the last one `ago`.
    pub(super) fn remember(&mut self, now: MonoTime, proctor: ProctorId, times: u32, ago: Duration) {
        self.cards.remember(now, proctor, times, ago);
    }

    /// The other half went wrong.
    pub(super) fn wrong_pin(&mut self, now: MonoTime, from: IpAddr, proctor: &ProctorId) {
        self.cards.failed(now, proctor);
        self.failed(now, from);
    }

    fn failed(&mut self, now: MonoTime, from: IpAddr) {
        self.addresses.failed(now, &from);
        self.refusals = self.refusals.saturating_add(1);
    }

    /// How many refusals are to be recorded now, if any. A wrong PIN is recorded at once: pauses outlive a restart by it.
    pub(super) fn refusals_to_note(&mut self, now: MonoTime, is_wrong_pin: bool) -> Option<u32> {
        let due = is_wrong_pin || self.noted.is_none_or(|noted| now.since(noted) >= NOTE_EVERY);
        if !due || self.refusals == 0 {
            return None;
        }
        self.noted = Some(now);
        Some(std::mem::take(&mut self.refusals))
    }

    /// Lets somebody in.
    pub(super) fn open(
        &mut self,
        now: MonoTime,
        from: IpAddr,
        (proctor, name): (ProctorId, String),
        secret: &Secret,
        token: String,
        pages: usize,
    ) -> Session {
        self.addresses.succeeded(&from);
        self.cards.succeeded(&proctor);
        self.sweep(now);
        if self.sessions.len() >= SESSIONS
            && let Some(oldest) = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key)
        {
            self.sessions.remove(&oldest);
        }
        let session =
            Session { proctor, name, token, follows: Arc::new(Semaphore::new(pages)), from, since: now, used: now };
        self.sessions.insert(key(secret), session.clone());
        session
    }

    /// Whose session it is, if it is good here and now. `asks`: a person asked for something, so it goes on.
    pub(super) fn find(&mut self, now: MonoTime, from: IpAddr, secret: &Secret, asks: bool) -> Option<&Session> {
        self.sweep(now);
        let session = self.sessions.get_mut(&key(secret))?;
        if session.from != from {
            tracing::warn!("a session of the console was shown from another address, and refused");
            return None;
        }
        if asks {
            session.used = now;
        }
        Some(session)
    }

    /// Lets somebody out.
    pub(super) fn close(&mut self, secret: &Secret) {
        self.sessions.remove(&key(secret));
    }

    fn sweep(&mut self, now: MonoTime) {
        self.sessions.retain(|_, session| now.since(session.used) < IDLE && now.since(session.since) < LONGEST);
    }
}

fn key(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SignInCode;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_start(Duration::from_secs(1000 + seconds))
    }

    fn okafor() -> ProctorId {
        ProctorId::new("okafor").expect("valid")
    }

    fn tapped(seconds: u64) -> (Invitation, MonoTime) {
        (Invitation { proctor: okafor(), code: SignInCode::from_random(123_456) }, at(seconds))
    }

    #[test]
    fn a_code_serves_once_and_not_for_long() {
        let mut keeper = Doorkeeper::new();
        assert_eq!(keeper.try_code(at(0), HERE, None, "123456"), Err(Refused::Wrong), "nobody tapped");
        assert_eq!(keeper.try_code(at(1), HERE, Some(&tapped(0)), "654321"), Err(Refused::Wrong));
        assert_eq!(keeper.try_code(at(2), HERE, Some(&tapped(0)), "123456"), Ok(okafor()));
        assert_eq!(keeper.try_code(at(3), HERE, Some(&tapped(0)), "123456"), Err(Refused::Wrong), "replayed");
        assert_eq!(keeper.try_code(at(140), THERE, Some(&tapped(10)), "123456"), Err(Refused::Wrong), "too old");
        assert_eq!(
            keeper.try_code(at(150), THERE, Some(&tapped(149)), "123456"),
            Ok(okafor()),
            "a new tap, a new code"
        );
    }

    #[test]
    fn guessing_codes_is_slowed_down_and_ends() {
        let mut keeper = Doorkeeper::new();
        let invitation = tapped(0);
        for _ in 0..4 {
            assert_eq!(keeper.try_code(at(0), HERE, Some(&invitation), "000000"), Err(Refused::Wrong));
        }
        let wait = keeper.try_code(at(0), HERE, Some(&invitation), "123456");
        assert_eq!(wait, Err(Refused::Wait(Duration::from_secs(1))), "even with the right one");
        for n in 0..16 {
            let from = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, n));
            let _ = keeper.try_code(at(0), from, Some(&invitation), "000000");
        }
        assert_eq!(keeper.try_code(at(5), THERE, Some(&invitation), "123456"), Err(Refused::Wrong), "the code is void");
        assert_eq!(keeper.refusals_to_note(at(5), false), Some(21));
        assert_eq!(keeper.refusals_to_note(at(5), false), None);
        keeper.wrong_pin(at(6), THERE, &okafor());
        assert_eq!(keeper.refusals_to_note(at(6), false), None, "soon after");
        assert_eq!(keeper.refusals_to_note(at(6), true), Some(1), "but a wrong PIN at once");
    }

    #[test]
    fn wrong_pins_lock_a_card_for_longer_and_longer() {
        let mut keeper = Doorkeeper::new();
        let mut now = 0;
        for expected in [0, 0, 30, 60, 120] {
            // From another address each time.
            let from = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, u8::try_from(now % 250).expect("small")));
            assert_eq!(keeper.try_code(at(now), from, Some(&tapped(now)), "123456"), Ok(okafor()), "{expected}");
            keeper.wrong_pin(at(now), from, &okafor());
            let again = keeper.try_code(at(now + 1), THERE, Some(&tapped(now + 1)), "123456");
            match expected {
                0 => assert_eq!(again, Ok(okafor())),
                wait => assert_eq!(again, Err(Refused::Wait(Duration::from_secs(wait - 1)))),
            }
            now += expected + 2;
        }
    }

    #[test]
    fn a_restart_ends_no_pause() {
        // Restarted five seconds into a pause of 60: the box's monotonic clock may have begun anew.
        let mut keeper = Doorkeeper::new();
        let start = MonoTime::from_start(Duration::from_secs(10));
        keeper.remember(start, okafor(), 4, Duration::from_secs(5));
        let now = start.after(Duration::from_secs(1));
        let invitation = (Invitation { proctor: okafor(), code: SignInCode::from_random(123_456) }, now);
        let refused = keeper.try_code(now, HERE, Some(&invitation), "123456");
        assert_eq!(refused, Err(Refused::Wait(Duration::from_secs(54))));
        // The next one counts on.
        let now = start.after(Duration::from_secs(60));
        let invitation = (Invitation { proctor: okafor(), code: SignInCode::from_random(123_456) }, now);
        assert_eq!(keeper.try_code(now, HERE, Some(&invitation), "123456"), Ok(okafor()));
        keeper.wrong_pin(now, HERE, &okafor());
        assert_eq!(keeper.cards.wait(now, &okafor()), Duration::from_secs(120));
    }

    #[test]
    fn a_session_is_good_from_one_address_for_a_while() {
        let mut keeper = Doorkeeper::new();
        let open = |keeper: &mut Doorkeeper, secret: u8, now| {
            keeper.open(now, HERE, (okafor(), "A. Okafor".into()), &[secret; 32], "token".into(), 1)
        };
        open(&mut keeper, 1, at(0));
        let minute = |n: u64| at(n * 60);
        assert!(keeper.find(minute(1), HERE, &[1; 32], true).is_some());
        assert!(keeper.find(minute(1), THERE, &[1; 32], true).is_none(), "stolen");
        assert!(keeper.find(minute(1), HERE, &[2; 32], true).is_none(), "made up");
        assert!(keeper.find(minute(15), HERE, &[1; 32], false).is_some());
        assert!(keeper.find(minute(16), HERE, &[1; 32], true).is_none(), "idle: being looked at is not asking");

        open(&mut keeper, 1, minute(20));
        for n in 20..200 {
            assert!(keeper.find(minute(n), HERE, &[1; 32], true).is_some(), "{n}");
        }
        assert!(keeper.find(minute(200), HERE, &[1; 32], true).is_none(), "three hours are over");

        for n in 0..20_u8 {
            open(&mut keeper, n, minute(300).after(Duration::from_secs(n.into())));
        }
        assert_eq!(keeper.sessions.len(), SESSIONS);
        assert!(keeper.find(minute(301), HERE, &[19; 32], true).is_some());
        keeper.close(&[19; 32]);
        assert!(keeper.find(minute(301), HERE, &[19; 32], true).is_none());
    }
}
