//! Two or three collectors and one database in simulated time: clocks that disagree, messages that are slow or lost, processes that are
//! killed, paused and stopped, and a database whose clock is set. The machine and the rule are the real ones.

use std::{collections::BTreeMap, mem};

use proptest::prelude::*;

use super::*;

const TIMING: Timing =
    Timing { lasts: Duration::from_secs(10), renew_every: Duration::from_secs(3), look_every: Duration::from_secs(1) };

/// How long a collector waits for the database, ms.
const TIMEOUT: u64 = 2_000;

/// The step of the simulation, ms.
const TICK: u64 = 50;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("short")
}

#[derive(Clone, Debug)]
enum Fault {
    Kill(usize),
    Start(usize),
    /// SIGSTOP for so long, ms.
    Pause(usize, u64),
    /// Ended in order.
    Stop(usize),
    /// Messages take so long from now on, ms, each a little else.
    Slow(u64),
    /// From now on every so-many-th message is lost; 0: none.
    Lossy(u64),
    /// The database's clock is set by so much, ms.
    SetClock(i64),
}

fn fault(clock: bool) -> impl Strategy<Value = Fault> {
    let who = 0_usize..3;
    let set = if clock { -7_200_000_i64..7_200_000 } else { 0..1 };
    prop_oneof![
        2 => who.clone().prop_map(Fault::Kill),
        4 => who.clone().prop_map(Fault::Start),
        3 => (who.clone(), 0_u64..30_000).prop_map(|(who, long)| Fault::Pause(who, long)),
        1 => who.prop_map(Fault::Stop),
        2 => (0_u64..6_000).prop_map(Fault::Slow),
        2 => (0_u64..5).prop_map(Fault::Lossy),
        1 => set.prop_map(Fault::SetClock),
    ]
}

fn history(clock: bool) -> impl Strategy<Value = Vec<(u64, Fault)>> {
    prop::collection::vec((0_u64..8_000, fault(clock)), 1..40)
}

#[derive(Clone, Debug)]
enum Ask {
    Claim(Holder),
    Commit(Token),
    Release(Token),
}

#[derive(Clone, Debug)]
enum Said {
    Claimed(Claim),
    Committed(bool),
}

/// A message on its way.
#[derive(Debug)]
enum Message {
    To(Ask),
    Back(Said),
}

#[derive(Debug)]
struct Flying {
    at: u64,
    /// The run that asked, and the number of its request: who is gone or waits no more does not hear the answer.
    from: (Uuid, u64),
    message: Message,
}

struct Process {
    holder: Holder,
    lease: Lease,
    /// What its own clock is ahead of true time, ms.
    ahead: u64,
    paused_until: u64,
    /// The request that it waits for, and since when.
    waits: Option<(u64, u64)>,
    requests: u64,
    heard: Vec<Said>,
    end_after: bool,
}

impl Process {
    fn now(&self, time: u64) -> MonoTime {
        MonoTime::from_start(Duration::from_millis(time + self.ahead))
    }

    /// It believes that it may collect.
    fn believes(&self, time: u64) -> bool {
        self.lease.until().is_some_and(|until| self.now(time) < until)
    }
}

#[derive(Default)]
struct Database {
    /// What its clock is ahead of true time, ms.
    ahead: i64,
    /// Token, holder, when renewed and when over by its own clock.
    row: Option<(Token, Holder, i64, i64)>,
    commits: Vec<(Token, Uuid)>,
}

impl Database {
    fn row(&self, now: i64) -> Option<Row> {
        let (token, holder, renewed, ends) = self.row.clone()?;
        Some(Row { number: token.number(), holder, age: now - renewed, left: ends - now })
    }

    fn answer(&mut self, time: u64, ask: Ask, from: Uuid) -> Option<Said> {
        let now = i64::try_from(time).expect("short") + self.ahead;
        let row = self.row(now);
        match ask {
            Ask::Claim(holder) => {
                let claim = judge(row.as_ref(), &holder);
                if let Claim::Held(token) = claim {
                    let lasts = i64::try_from(ms(TIMING.lasts)).expect("short");
                    self.row = Some((token, holder, now, now + lasts));
                }
                Some(Said::Claimed(claim))
            }
            Ask::Commit(token) => {
                let admitted = admits(row.as_ref(), token).is_ok();
                if admitted {
                    self.commits.push((token, from));
                }
                Some(Said::Committed(admitted))
            }
            Ask::Release(token) => {
                if let Some((held, _, _, ends)) = &mut self.row
                    && *held == token
                {
                    *ends = now;
                }
                None
            }
        }
    }
}

struct World {
    time: u64,
    processes: BTreeMap<usize, Process>,
    database: Database,
    flying: Vec<Flying>,
    slow: u64,
    lossy: u64,
    sent: u64,
    runs: u128,
    /// Whether the database's clock was ever set: beliefs may overlap then, commits never.
    clock_was_set: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            time: 0,
            processes: BTreeMap::new(),
            database: Database::default(),
            flying: Vec::new(),
            slow: 0,
            lossy: 0,
            sent: 0,
            runs: 0,
            clock_was_set: false,
        };
        world.start(0);
        world
    }

    fn start(&mut self, who: usize) {
        if self.processes.contains_key(&who) {
            return;
        }
        self.runs += 1;
        let holder = Holder { id: Uuid::from_u128(self.runs), name: format!("collector {who}") };
        // Clocks of different machines count from different starts.
        let ahead = u64::try_from(self.runs).expect("few") * 7_919_000;
        let process = Process {
            holder,
            lease: Lease::new(TIMING),
            ahead,
            paused_until: 0,
            waits: None,
            requests: 0,
            heard: Vec::new(),
            end_after: false,
        };
        self.processes.insert(who, process);
    }

    fn strike(&mut self, fault: &Fault) {
        match *fault {
            Fault::Kill(who) => drop(self.processes.remove(&who)),
            Fault::Start(who) => self.start(who),
            Fault::Pause(who, long) => {
                if let Some(process) = self.processes.get_mut(&who) {
                    process.paused_until = self.time + long;
                }
            }
            Fault::Stop(who) => {
                if let Some(process) = self.processes.get_mut(&who) {
                    process.end_after = true;
                }
            }
            Fault::Slow(slow) => self.slow = slow,
            Fault::Lossy(lossy) => self.lossy = lossy,
            Fault::SetClock(by) => {
                self.database.ahead += by;
                self.clock_was_set |= by != 0;
            }
        }
    }

    fn send(&mut self, from: (Uuid, u64), message: Message) {
        self.sent += 1;
        if self.lossy > 0 && self.sent.is_multiple_of(self.lossy) {
            return;
        }
        // Not all alike, so that some overtake others.
        let at = self.time + self.slow * (1 + self.sent * 5 % 7) / 7;
        self.flying.push(Flying { at, from, message });
    }

    fn tick(&mut self) {
        self.time += TICK;
        self.deliver();
        let names: Vec<_> = self.processes.keys().copied().collect();
        for who in names {
            let Some(mut process) = self.processes.remove(&who) else { continue };
            let gone = process.paused_until <= self.time && self.run(&mut process);
            if !gone {
                self.processes.insert(who, process);
            }
        }
        self.check();
    }

    fn deliver(&mut self) {
        let (due, rest) = mem::take(&mut self.flying).into_iter().partition(|one| one.at <= self.time);
        self.flying = rest;
        for Flying { from, message, .. } in due {
            match message {
                Message::To(ask) => {
                    if let Some(said) = self.database.answer(self.time, ask, from.0) {
                        self.send(from, Message::Back(said));
                    }
                }
                Message::Back(said) => {
                    // In the socket of a process that is paused it waits.
                    let waiting = |process: &&mut Process| {
                        process.holder.id == from.0 && process.waits.is_some_and(|(request, _)| request == from.1)
                    };
                    if let Some(process) = self.processes.values_mut().find(waiting) {
                        process.heard.push(said);
                    }
                }
            }
        }
    }

    fn ask(&mut self, process: &mut Process, ask: Ask) {
        process.requests += 1;
        process.waits = Some((process.requests, self.time));
        self.send((process.holder.id, process.requests), Message::To(ask));
    }

    /// A turn of the collector's thread, which waits for each of its requests. `true`: it has ended.
    fn run(&mut self, process: &mut Process) -> bool {
        let now = process.now(self.time);
        let mut input = match process.heard.pop() {
            Some(said) => {
                process.waits = None;
                match said {
                    Said::Claimed(claim) => Input::Claimed(claim),
                    Said::Committed(true) => Input::Woken,
                    Said::Committed(false) => Input::Fenced,
                }
            }
            None => match process.waits {
                Some((_, since)) if self.time < since + TIMEOUT => return false,
                Some(_) => {
                    process.waits = None;
                    Input::Failed
                }
                None => Input::Woken,
            },
        };
        while let Some(output) = process.lease.step(now, input) {
            match output {
                Output::Claim => {
                    let holder = process.holder.clone();
                    self.ask(process, Ask::Claim(holder));
                }
                Output::Begin(_) | Output::End => {}
                Output::Release(_) => unreachable!("it was not told to stop"),
            }
            input = Input::Woken;
        }
        if process.waits.is_some() {
            return false;
        }
        if process.end_after {
            if let Some(Output::Release(token)) = process.lease.step(now, Input::Stopped) {
                self.send((process.holder.id, 0), Message::To(Ask::Release(token)));
            }
            return true;
        }
        // It writes whenever it may, and is paused or killed at any moment of it.
        if let Some(token) = process.lease.token() {
            self.ask(process, Ask::Commit(token));
        }
        false
    }

    fn check(&self) {
        if !self.clock_was_set {
            let believing = self.processes.values().filter(|process| process.believes(self.time)).count();
            assert!(believing <= 1, "{believing} collectors hold the lease at {}", self.time);
        }
    }

    /// No commit of a tenure that is over was taken, and every tenure was one collector's.
    fn commits_are_fenced(&self) {
        let mut holders = BTreeMap::new();
        let mut newest = 0;
        for &(token, holder) in &self.database.commits {
            let number = token.number();
            assert!(number >= newest, "a commit under {number} after one under {newest}");
            newest = number;
            assert_eq!(*holders.entry(number).or_insert(holder), holder, "tenure {number} was two collectors'");
        }
    }

    fn wait(&mut self, long: u64) {
        let end = self.time + long;
        while self.time < end {
            self.tick();
        }
    }

    /// From here on everything works: soon one collects.
    fn settle(&mut self) {
        (self.slow, self.lossy) = (0, 0);
        for process in self.processes.values_mut() {
            process.paused_until = 0;
        }
        // What is still on its way; then the lease of one who is gone, and a look.
        self.wait(TIMEOUT + 7_000);
        self.start(0);
        self.start(1);
        self.wait(2 * ms(TIMING.lasts) + 2 * ms(TIMING.look_every));
        let before = self.database.commits.len();
        self.wait(1_000);
        assert!(self.database.commits.len() > before, "nobody collects");
        let active = self.processes.values().filter(|process| process.believes(self.time)).count();
        assert_eq!(active, 1);
    }
}

fn play(history: &[(u64, Fault)]) {
    let mut world = World::new();
    for (pause, fault) in history {
        world.wait(*pause);
        world.strike(fault);
    }
    world.settle();
    world.commits_are_fenced();
}

// As many histories as PROPTEST_CASES says, 256 if it says nothing.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_collects_at_a_time_and_soon_one_does(history in history(false)) {
        play(&history);
    }

    #[test]
    fn a_clock_that_is_set_lets_no_late_commit_through_and_stops_nobody_for_long(history in history(true)) {
        play(&history);
    }
}
