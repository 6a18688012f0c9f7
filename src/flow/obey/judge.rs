//! Whether a command that a command key signed is carried out. No I/O.
//!
//! It judges what it is told: the signature was checked before, and whether the id is new is seen when the command is recorded.

use std::{collections::VecDeque, time::Duration};

use super::super::trust::Commander;
use crate::{
    domain::{ClockTrust, Command, CommandId, CommandRefusal, DeviceId, MonoTime, Timestamp},
    wire::command::{Statement, VALID_AT_MOST},
};

/// By how much the sender's clock may be ahead of the box's.
const AHEAD_AT_MOST: Duration = Duration::from_secs(30);

/// Most commands that are looked at in [`WINDOW`]: a hand that types gives fewer, and each may become an event.
const MOST: u32 = 20;

/// See [`MOST`].
const WINDOW: Duration = Duration::from_secs(60);

/// Most refusals remembered, so that the same bytes that come again and again become one event.
const REMEMBERED: usize = 64;

/// What is to be done by `statement`, which `by` signed, at the time that the box's clock shows.
pub(super) fn judge(
    statement: &Statement,
    by: &Commander,
    device: &DeviceId,
    (now, trust): (Timestamp, ClockTrust),
) -> Result<Command, CommandRefusal> {
    if statement.device != *device {
        return Err(CommandRefusal::OtherDevice);
    }
    if !trust.is_usable() {
        return Err(CommandRefusal::ClockUntrusted);
    }
    let longer = |from: Timestamp, to: Timestamp, most: Duration| {
        Duration::try_from(to.duration_since(from)).is_ok_and(|time| time > most)
    };
    if longer(statement.issued, statement.expires, VALID_AT_MOST) {
        return Err(CommandRefusal::ValidTooLong);
    }
    if longer(now, statement.issued, AHEAD_AT_MOST) {
        return Err(CommandRefusal::FromTheFuture);
    }
    if now >= statement.expires {
        return Err(CommandRefusal::Expired);
    }
    let command: Command = statement.word.parse().map_err(|_| CommandRefusal::UnknownCommand)?;
    if by.may(command.right()) { Ok(command) } else { Err(CommandRefusal::NotAllowed) }
}

/// Counts what comes, so that a flood becomes neither work nor events.
#[derive(Debug, Default)]
pub(super) struct Flood {
    since: MonoTime,
    seen: u32,
    passed_over: u64,
    refused: VecDeque<(CommandId, CommandRefusal)>,
}

impl Flood {
    /// Whether one more may be looked at.
    pub(super) fn has_room(&mut self, now: MonoTime) -> bool {
        self.turn(now);
        self.seen += 1;
        self.seen <= MOST
    }

    /// One was passed over. How many were since that was said last, if it is time to say it again.
    pub(super) fn pass_over(&mut self, now: MonoTime) -> Option<u64> {
        let is_first = self.passed_over == 0;
        let is_due = self.turn(now) || is_first;
        self.passed_over += 1;
        is_due.then_some(self.passed_over)
    }

    /// Whether this refusal was not seen lately.
    pub(super) fn is_new(&mut self, id: CommandId, why: CommandRefusal) -> bool {
        if self.refused.contains(&(id, why)) {
            return false;
        }
        self.refused.truncate(REMEMBERED - 1);
        self.refused.push_front((id, why));
        true
    }

    /// Whether another window has begun.
    fn turn(&mut self, now: MonoTime) -> bool {
        if now.since(self.since) < WINDOW {
            return false;
        }
        (self.since, self.seen) = (now, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{domain::Right, wire::keys::SigningKey};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_797_000_000 + second).unwrap()
    }

    fn id(n: u128) -> CommandId {
        CommandId(Uuid::from_u128(n))
    }

    fn statement(word: &str) -> Statement {
        let device = DeviceId::new("door-1").unwrap();
        Statement { device, id: id(1), issued: at(0), expires: at(60), word: word.into() }
    }

    fn key(may: Option<Vec<Right>>) -> Commander {
        Commander { key: SigningKey::from_seed(&[7; 32]).public(), name: None, may }
    }

    fn judged(statement: &Statement, now: i64) -> Result<Command, CommandRefusal> {
        judge(statement, &key(None), &DeviceId::new("door-1").unwrap(), (at(now), ClockTrust::Synchronised))
    }

    #[test]
    fn a_command_counts_from_its_issue_to_its_expiry_by_a_clock_that_is_believed() {
        for (now, expected) in [
            (-31, Err(CommandRefusal::FromTheFuture)),
            (-30, Ok(Command::Drain)),
            (0, Ok(Command::Drain)),
            (59, Ok(Command::Drain)),
            (60, Err(CommandRefusal::Expired)),
            (10_000, Err(CommandRefusal::Expired)),
        ] {
            assert_eq!(judged(&statement("drain"), now), expected, "at {now}");
        }
        for (issued, expires, expected) in [
            (0, 600, Ok(Command::Drain)),
            (0, 601, Err(CommandRefusal::ValidTooLong)),
            (10, 5, Err(CommandRefusal::Expired)),
        ] {
            let statement = Statement { issued: at(issued), expires: at(expires), ..statement("drain") };
            assert_eq!(judged(&statement, 10), expected, "{issued} to {expires}");
        }
        for (trust, expected) in [
            (ClockTrust::Synchronised, Ok(Command::Drain)),
            (ClockTrust::Holdover, Ok(Command::Drain)),
            (ClockTrust::Untrusted, Err(CommandRefusal::ClockUntrusted)),
        ] {
            let device = DeviceId::new("door-1").unwrap();
            assert_eq!(judge(&statement("drain"), &key(None), &device, (at(5), trust)), expected, "{trust:?}");
        }
    }

    #[test]
    fn a_command_is_for_this_box_known_and_allowed() {
        let device = DeviceId::new("door-2").unwrap();
        let now = (at(5), ClockTrust::Synchronised);
        let refused = judge(&statement("drain"), &key(None), &device, now);
        assert_eq!(refused, Err(CommandRefusal::OtherDevice));
        assert_eq!(judged(&statement("dance"), 5), Err(CommandRefusal::UnknownCommand));
        let device = DeviceId::new("door-1").unwrap();
        let help_desk = key(Some(vec![Right::Identify, Right::Doctor]));
        for command in Command::ALL {
            let allowed = matches!(command, Command::Identify | Command::Doctor);
            let expected = if allowed { Ok(command) } else { Err(CommandRefusal::NotAllowed) };
            assert_eq!(judge(&statement(command.word()), &help_desk, &device, now), expected, "{command}");
            assert_eq!(judge(&statement(command.word()), &key(None), &device, now), Ok(command));
        }
    }

    #[test]
    fn a_flood_is_passed_over_and_told_once_a_minute() {
        let second = |s| MonoTime::from_start(Duration::from_secs(s));
        let mut flood = Flood::default();
        let taken = (0..100).filter(|_| flood.has_room(second(100))).count();
        assert_eq!(taken, MOST as usize);
        assert!(!flood.has_room(second(159)) && flood.has_room(second(160)), "the next minute has room again");
        let told: Vec<_> = (0..10).filter_map(|_| flood.pass_over(second(170))).collect();
        assert_eq!(told, [1]);
        assert_eq!(flood.pass_over(second(230)), Some(11));
        assert!(flood.is_new(id(1), CommandRefusal::Expired) && !flood.is_new(id(1), CommandRefusal::Expired));
        assert!(flood.is_new(id(1), CommandRefusal::Replayed), "for another reason");
        for n in 2..=u128::try_from(REMEMBERED).unwrap() + 1 {
            assert!(flood.is_new(id(n), CommandRefusal::Expired));
        }
        assert_eq!(flood.refused.len(), REMEMBERED);
    }
}
