//! How many students a minute came through each door of an exam, from its attendance.
//!
//! Counted is every admission by the box or a proctor that was not taken back; who went out and came in again counts twice. Times are the doors'
//! own: an admission whose clock was not to be believed counts, but not for the pace.

use std::{collections::BTreeMap, time::Duration};

use examgate::domain::{ClockTrust, RoomId, Timestamp};
use serde::Serialize;

use crate::attendance::Attendance;

/// What the pace is per.
const MINUTE: Duration = Duration::from_secs(60);

/// One door.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Door {
    /// The box.
    pub device: String,
    /// The room.
    pub room: RoomId,
    /// How many were admitted.
    pub admitted: usize,
    /// How many of them at a time that is not to be believed: they are in no other number here.
    pub undated: usize,
    /// The first admission.
    pub first: Option<Timestamp>,
    /// The last admission.
    pub last: Option<Timestamp>,
    /// Admissions per minute from the first to the last one. `None` for fewer than two, or within one instant.
    pub mean_per_minute: Option<f64>,
    /// Most admissions within any 60 seconds.
    pub peak_per_minute: usize,
    /// When those 60 seconds began.
    pub peak_at: Option<Timestamp>,
}

/// Every door that admitted somebody, by box and room.
#[must_use]
pub fn doors(attendance: &Attendance) -> Vec<Door> {
    let mut times: BTreeMap<(&str, &RoomId), (Vec<Timestamp>, usize)> = BTreeMap::new();
    let happenings = attendance.students.iter().flat_map(|student| &student.happenings);
    for happening in happenings.filter(|happening| happening.admits()) {
        let (dated, undated) = times.entry((happening.device.as_str(), &happening.room)).or_default();
        match happening.clock {
            ClockTrust::Untrusted => *undated += 1,
            ClockTrust::Synchronised | ClockTrust::Holdover => dated.push(happening.at),
        }
    }
    times.into_iter().map(|((device, room), (dated, undated))| door(device, room, dated, undated)).collect()
}

fn door(device: &str, room: &RoomId, mut dated: Vec<Timestamp>, undated: usize) -> Door {
    dated.sort_unstable();
    let (first, last) = (dated.first().copied(), dated.last().copied());
    let seconds = first.zip(last).map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
    // From the first to the last there are one fewer intervals than admissions.
    let mean = (seconds > 0.0).then(|| (dated.len() - 1) as f64 * MINUTE.as_secs_f64() / seconds);
    let (mut peak, mut peak_at, mut begin) = (0, None, 0);
    for (end, at) in dated.iter().enumerate() {
        while at.duration_since(dated[begin]).unsigned_abs() >= MINUTE {
            begin += 1;
        }
        if end + 1 - begin > peak {
            (peak, peak_at) = (end + 1 - begin, Some(dated[begin]));
        }
    }
    Door {
        device: device.to_owned(),
        room: room.clone(),
        admitted: dated.len() + undated,
        undated,
        first,
        last,
        mean_per_minute: mean,
        peak_per_minute: peak,
        peak_at,
    }
}

#[cfg(test)]
mod tests {
    use examgate::domain::{Decision, Event, ExamId, Reason, sample::verified};

    use super::*;
    use crate::attendance::Fold;

    fn attendance(events: &[(&str, Event)]) -> Attendance {
        let mut fold = Fold::new(ExamId::new("MATH").unwrap());
        for (device, event) in events {
            fold.take(device, true, &serde_json::to_vec(event).unwrap());
        }
        fold.finish()
    }

    /// Seconds into the morning.
    fn admitted(second: u64, student: u8) -> Event {
        verified(second, "MATH", Some(student), Decision::Admit)
    }

    #[test]
    fn pace_is_from_the_first_to_the_last_and_the_peak_within_any_minute() {
        let seconds = [0, 50, 55, 59, 61, 109, 110, 240];
        let mut events: Vec<_> =
            (1..).zip(seconds).map(|(student, second)| ("door-1", admitted(second, student))).collect();
        events.push(("door-1", verified(300, "MATH", Some(40), Decision::Deny(Reason::FaceMismatch))));
        events.push(("door-2", admitted(9, 50)));
        let doors = doors(&attendance(&events));
        let [one, two] = &doors[..] else { panic!("{doors:?}") };
        assert_eq!((one.device.as_str(), one.admitted, one.undated), ("door-1", 8, 0));
        // 50, 55, 59, 61 and 109 are within a minute; 110 is not.
        assert_eq!((one.peak_per_minute, one.peak_at), (5, Some(admitted(50, 1).at)));
        assert_eq!(one.mean_per_minute, Some(7.0 * 60.0 / 240.0));
        assert_eq!((two.admitted, two.peak_per_minute, two.mean_per_minute), (1, 1, None));
    }

    #[test]
    fn a_clock_that_is_not_believed_makes_no_pace() {
        let mut event = admitted(0, 1);
        event.clock = ClockTrust::Untrusted;
        let doors = doors(&attendance(&[("door-1", event), ("door-1", admitted(1000, 2))]));
        assert_eq!((doors[0].admitted, doors[0].undated, doors[0].peak_per_minute), (2, 1, 1));
        assert_eq!(doors[0].mean_per_minute, None);
    }
}
