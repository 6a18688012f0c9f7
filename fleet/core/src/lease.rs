//! The lease of the active collector: who may hold it, and what a collector does about it. No clock, no database.
//!
//! The lease is a row in the ledger's database and ends by that database's clock. Its number rises whenever the lease changes hands, and
//! a commit is taken with the newest number from its own holder only (fencing). So a collector that was paused, or whose clock is wrong, cannot
//! write after another took over; that the two do not overlap in time is a courtesy to the broker and not what keeps the ledger right. The holder is
//! compared, too, because a database that was restored from a backup gives out numbers a second time.
//!
//! [`judge`] is the rule that a claim is decided by, inside a transaction. [`Lease`] is what a collector follows: inputs with the time, outputs
//! to be carried out.

use std::time::Duration;

use examgate::domain::MonoTime;
use uuid::Uuid;

/// How far the database's clock may have been set back without the lease counting as over. Clocks that are disciplined move by less.
const SET_BACK: i64 = 1000;

/// The number of a ledger's first tenure.
pub(crate) const FIRST: u64 = 1;

/// The longest pause between two looks of a spare: it reads one row.
const LOOK: Duration = Duration::from_secs(1);

/// A tenure: its number, which rises whenever the lease changes hands, and whose it is. Only a ledger gives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    number: u64,
    holder: Uuid,
}

impl Token {
    pub(crate) const fn new(number: u64, holder: &Holder) -> Self {
        Self { number, holder: holder.id }
    }

    /// The number, from 1 on.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

/// One run of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Of this run alone: a collector that is started again is another holder.
    pub id: Uuid,
    /// For people: which machine, which process.
    pub name: String,
}

/// The lease as it is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Of the tenure.
    pub(crate) number: u64,
    pub(crate) holder: Holder,
    /// For how long it has been in force since it was last renewed, milliseconds by the database's clock; negative: the clock was set back.
    pub(crate) age: i64,
    /// Until it is over, milliseconds by the database's clock; 0 or less: it is.
    pub(crate) left: i64,
}

impl Row {
    /// What its holder commits under.
    pub(crate) const fn token(&self) -> Token {
        Token::new(self.number, &self.holder)
    }

    /// The number of the next tenure.
    pub(crate) const fn next(&self) -> u64 {
        self.number.saturating_add(1)
    }

    const fn is_over(&self) -> bool {
        // A clock that was set back by an hour would keep the lease of a dead collector in force for an hour. Ending it early is safe: what
        // the holder writes is fenced.
        self.left <= 0 || self.age < -SET_BACK
    }
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The lease is the claimant's, anew or still.
    Held(Token),
    /// It is another's.
    Another {
        /// Whose: [`Holder::name`].
        name: String,
        /// For how long, if it is not renewed.
        left: Duration,
    },
}

/// Decides a claim of `who`. [`Claim::Held`]: the row is to be written with this token.
///
/// The same holder keeps its token, also over the end of its lease: nobody else wrote meanwhile.
pub(crate) fn judge(row: Option<&Row>, who: &Holder) -> Claim {
    match row {
        None => Claim::Held(Token::new(FIRST, who)),
        Some(row) if row.holder.id == who.id => Claim::Held(row.token()),
        Some(row) if row.is_over() => Claim::Held(Token::new(row.next(), who)),
        Some(row) => {
            let left = Duration::from_millis(row.left.unsigned_abs());
            Claim::Another { name: row.holder.name.clone(), left }
        }
    }
}

/// Whether a commit under `token` is taken. `Err`: who holds the lease now.
pub(crate) fn admits(row: Option<&Row>, token: Token) -> Result<(), String> {
    match row {
        Some(row) if row.token() == token => Ok(()),
        Some(row) => Err(row.holder.name.clone()),
        None => Err("nobody: the ledger was replaced".into()),
    }
}

/// The times of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease lasts without being renewed: at most so long nobody collects when the active collector dies.
    pub lasts: Duration,
    /// How often it is renewed.
    pub renew_every: Duration,
    /// How often a spare looks whether it is free, and after how long one that failed tries again.
    pub look_every: Duration,
}

impl Timing {
    /// For a lease of `lasts`: three attempts to renew it, a look each tenth of it but at least each second.
    #[must_use]
    pub fn lasting(lasts: Duration) -> Self {
        Self { lasts, renew_every: lasts * 3 / 10, look_every: LOOK.min(lasts / 10) }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed: [`Lease::next`] has come.
    Woken,
    /// The claim was answered.
    Claimed(Claim),
    /// The database does not work, or does not answer.
    Failed,
    /// The database refused a commit: the lease is another's.
    Fenced,
    /// The collector is to end.
    Stopped,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Claim the lease, or renew it, and hand in the answer.
    Claim,
    /// Collect; commit under this token.
    Begin(Token),
    /// Leave the broker and commit nothing more. Stand by.
    End,
    /// Give the lease back, if it is still in force under this token.
    Release(Token),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StandingBy,
    /// Until then by this collector's own clock, if it is not renewed. Never later than by the database's.
    Active(Token, MonoTime),
    Stopped,
}

/// What one collector knows of the lease.
#[derive(Debug)]
pub struct Lease {
    timing: Timing,
    state: State,
    /// When to claim next.
    claim_at: MonoTime,
    /// When the claim that is not answered yet was made.
    asked: Option<MonoTime>,
    /// The last token that it was given.
    given: Option<Token>,
}

impl Lease {
    /// Of a collector that begins: it claims at once.
    #[must_use]
    pub const fn new(timing: Timing) -> Self {
        let claim_at = MonoTime::from_start(Duration::ZERO);
        Self { timing, state: State::StandingBy, claim_at, asked: None, given: None }
    }

    /// Until when the lease is held by this collector's own clock; `None`: it stands by.
    #[must_use]
    pub const fn until(&self) -> Option<MonoTime> {
        match self.state {
            State::Active(_, until) => Some(until),
            State::StandingBy | State::Stopped => None,
        }
    }

    /// The token to commit under; `None`: it stands by.
    #[must_use]
    pub const fn token(&self) -> Option<Token> {
        match self.state {
            State::Active(token, _) => Some(token),
            State::StandingBy | State::Stopped => None,
        }
    }

    /// When it must be woken.
    #[must_use]
    pub fn next(&self) -> MonoTime {
        match (self.until(), self.asked) {
            (Some(until), None) => until.min(self.claim_at),
            (Some(until), Some(_)) => until,
            // One claim at a time: the answer is waited for.
            (None, Some(_)) => MonoTime::from_start(Duration::MAX),
            (None, None) => self.claim_at,
        }
    }

    /// Takes in what happened at `now`. It is to be called with [`Input::Woken`] again until it gives nothing.
    #[must_use]
    pub fn step(&mut self, now: MonoTime, input: Input) -> Option<Output> {
        if self.state == State::Stopped {
            return None;
        }
        match input {
            Input::Woken => self.woken(now),
            Input::Claimed(claim) => {
                // An answer that was not waited for any more says nothing about now.
                let asked = self.asked.take()?;
                match claim {
                    Claim::Held(token) => self.held(now, asked, token),
                    Claim::Another { .. } => self.end(now.after(self.timing.look_every)),
                }
            }
            Input::Failed | Input::Fenced => {
                self.asked = None;
                self.end(now.after(self.timing.look_every))
            }
            Input::Stopped => {
                self.state = State::Stopped;
                self.given.map(Output::Release)
            }
        }
    }

    fn woken(&mut self, now: MonoTime) -> Option<Output> {
        if self.until().is_some_and(|until| until <= now) {
            return self.end(now);
        }
        if self.asked.is_some() || now < self.claim_at {
            return None;
        }
        self.asked = Some(now);
        Some(Output::Claim)
    }

    /// The claim that was made at `asked` was granted: in force from some moment after `asked`.
    fn held(&mut self, now: MonoTime, asked: MonoTime, token: Token) -> Option<Output> {
        self.given = Some(token);
        let until = asked.after(self.timing.lasts);
        let is_over = until <= now;
        match self.state {
            State::Active(before, _) if before == token && !is_over => {
                self.state = State::Active(token, until);
                self.claim_at = asked.after(self.timing.renew_every);
                None
            }
            // In between it was another's: what is under way belongs to a tenure that is over.
            State::Active(..) => self.end(now),
            State::StandingBy if is_over => {
                self.claim_at = now;
                None
            }
            State::StandingBy => {
                self.state = State::Active(token, until);
                self.claim_at = asked.after(self.timing.renew_every);
                Some(Output::Begin(token))
            }
            State::Stopped => None,
        }
    }

    /// Stands by from now on, and claims at `claim_at`.
    fn end(&mut self, claim_at: MonoTime) -> Option<Output> {
        self.claim_at = claim_at;
        let was_active = self.token().is_some();
        self.state = State::StandingBy;
        was_active.then_some(Output::End)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
