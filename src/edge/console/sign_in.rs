//! Who may in, and who is in: codes, pauses and sessions, without a socket or a clock of its own.
//!
//! A sign-in takes three things: a proctor's card at the box, the code that the box then shows, and the card's PIN. Everybody in the
//! room can read the code, so a wrong PIN says nothing about who holds the card. An address has one try a code, and a code bears a few
//! wrong PINs in all: every guess costs a tap at the box, and a stranger cannot use up the proctor's own try. Only a code that was spoilt
//! counts for the card, and once: without a tap of that very card there is none to spoil.
//!
//! Blocks guessing over the network; does not block a person at the box who has the card and the PIN.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    throttle::{Pauses, Throttle},
    view::{Mark, Proctorship},
};
use crate::domain::{Invitation, MonoTime, ProctorId};

/// How long a code is good.
const CODE_FOR: Duration = Duration::from_secs(120);

/// Wrong codes typed before the one that is out is void: 20 of a million.
const GUESSES: u32 = 20;

/// Wrong PINs that one code bears, each from another address: guesses a tap, and how many addresses a stranger needs to spoil a code.
const PINS: usize = 3;

/// A session ends when nothing was asked for so long …
const IDLE: Duration = Duration::from_secs(15 * 60);

/// … and in any case after this: longer than doors are open.
const LONGEST: Duration = Duration::from_secs(3 * 60 * 60);

/// Sessions at a time; beyond it the one that was idle longest ends.
const SESSIONS: usize = 16;

/// Refusals are recorded at most this often, with their number.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// Pauses for an address that types wrong codes.
const ADDRESS: Pauses = Pauses { free: 3, first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// For a card whose codes are spoilt in a row. Its holder has 30 guesses before the first pause and some 30 an hour from then on,
/// of a million. A stranger can spoil one code a tap: ten in a row are free, so that a proctor who is disturbed this way can still sign in or get help.
const CARD: Pauses = Pauses { free: 10, first: Duration::from_secs(30), longest: Duration::from_secs(1200) };

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

/// A right code, typed once: whose PIN has to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) proctor: ProctorId,
    /// The tap.
    at: MonoTime,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) proctor: ProctorId,
    pub(super) name: String,
    /// What the proctor was when they signed in.
    pub(super) mark: Mark,
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
    code: Code,
    refusals: u32,
    noted: Option<MonoTime>,
}

/// What became of the code that is out.
#[derive(Debug, Default)]
struct Code {
    /// The tap it was made for.
    at: MonoTime,
    /// Wrong codes typed since.
    guesses: u32,
    /// Who typed it, once each.
    tries: Vec<IpAddr>,
    /// Whether a wrong PIN came with it.
    spoilt: bool,
    /// Whether somebody is in with it.
    spent: bool,
}

impl Code {
    fn serves(&self, now: MonoTime, from: &IpAddr) -> bool {
        let is_out = !self.spent && self.guesses < GUESSES && now.since(self.at) <= CODE_FOR;
        is_out && self.tries.len() < PINS && !self.tries.contains(from)
    }
}

impl Doorkeeper {
    pub(super) fn new() -> Self {
        Self {
            sessions: HashMap::new(),
            addresses: Throttle::new(ADDRESS),
            cards: Throttle::new(CARD),
            code: Code::default(),
            refusals: 0,
            noted: None,
        }
    }

    /// The first half: is the code the one that the box shows? Then this address has had its try.
    pub(super) fn try_code(
        &mut self,
        now: MonoTime,
        from: IpAddr,
        invitation: Option<&(Invitation, MonoTime)>,
        typed: &str,
    ) -> Result<Ticket, Refused> {
        let from = network(from);
        let wait = self.addresses.wait(now, &from);
        if !wait.is_zero() {
            return Err(Refused::Wait(wait));
        }
        let proctor = invitation.and_then(|(invitation, at)| {
            if self.code.at != *at {
                self.code = Code { at: *at, ..Code::default() };
            }
            let right = invitation.code.matches(typed);
            self.code.guesses += u32::from(!right);
            (right && self.code.serves(now, &from)).then(|| invitation.proctor.clone())
        });
        let Some(proctor) = proctor else {
            self.failed(now, from);
            return Err(Refused::Wrong);
        };
        match self.cards.wait(now, &proctor) {
            Duration::ZERO => {
                self.code.tries.push(from);
                Ok(Ticket { proctor, at: self.code.at })
            }
            wait => Err(Refused::Wait(wait)),
        }
    }

    /// Codes spoilt before a restart: `times` in a row, the last one `ago`.
    pub(super) fn remember(&mut self, now: MonoTime, proctor: ProctorId, times: u32, ago: Duration) {
        self.cards.remember(now, proctor, times, ago);
    }

    /// The other half went wrong. Says whether this spoilt the code: the first time it does.
    pub(super) fn wrong_pin(&mut self, now: MonoTime, from: IpAddr, ticket: &Ticket) -> bool {
        self.failed(now, network(from));
        // A code that another tap has replaced meanwhile is not known any more: it counts.
        let counts = self.code.at != ticket.at || !std::mem::replace(&mut self.code.spoilt, true);
        if counts {
            self.cards.failed(now, &ticket.proctor);
        }
        counts
    }

    /// Both halves were right: says whether the code was still to be had. It serves once.
    pub(super) fn spend(&mut self, ticket: &Ticket) -> bool {
        self.code.at == ticket.at && !std::mem::replace(&mut self.code.spent, true)
    }

    fn failed(&mut self, now: MonoTime, from: IpAddr) {
        self.addresses.failed(now, &from);
        self.refusals = self.refusals.saturating_add(1);
    }

    /// How many refusals are to be recorded now, if any. A code that was spoilt is recorded at once: pauses outlive a restart by it.
    pub(super) fn refusals_to_note(&mut self, now: MonoTime, is_spoilt: bool) -> Option<u32> {
        let due = is_spoilt || self.noted.is_none_or(|noted| now.since(noted) >= NOTE_EVERY);
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
        (proctor, Proctorship { name, mark }): (ProctorId, Proctorship),
        secret: &Secret,
        token: String,
        pages: usize,
    ) -> Session {
        self.addresses.succeeded(&network(from));
        self.cards.succeeded(&proctor);
        self.sweep(now);
        if self.sessions.len() >= SESSIONS
            && let Some(oldest) = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key)
        {
            self.sessions.remove(&oldest);
        }
        let follows = Arc::new(Semaphore::new(pages));
        let session = Session { proctor, name, mark, token, follows, from, since: now, used: now };
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

    /// Lets somebody out. Says whether they were in.
    pub(super) fn close(&mut self, secret: &Secret) -> bool {
        self.sessions.remove(&key(secret)).is_some()
    }

    fn sweep(&mut self, now: MonoTime) {
        self.sessions.retain(|_, session| now.since(session.used) < IDLE && now.since(session.since) < LONGEST);
    }
}

/// Whom an address stands for: an IPv6 host has a whole /64 to choose from (RFC 4291, sec. 2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn key(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests;
