//! The MQTT topics. Who may write which is set by the broker's ACL.

use super::digest::Digest;
use crate::domain::{DeviceId, ExamId};

/// All topics start here; the version is that of everything below.
const ROOT: &str = "examgate/v1/";

/// Fleet to all boxes, retained: the [`super::lost::LostCards`]. No box's name: boxes write only below their own.
pub const LOST_CARDS: &str = "examgate/v1/fleet/lost-cards";

/// Fleet to all boxes, retained: the [`super::trust::TrustDocument`].
pub const TRUST: &str = "examgate/v1/fleet/trust";

/// The topics that belong to one box: `examgate/v1/{device}/…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceTopic {
    /// Box to fleet, retained, and its last will: [`super::state::DeviceState`].
    State,
    /// Box to collector: one event in an [`super::envelope::EventEnvelope`].
    Event,
    /// Collector to box: a [`super::receipt::Receipt`].
    Receipt,
    /// Fleet to box, retained: a [`super::desired::Desired`].
    Desired,
    /// Box to fleet, retained: a [`super::reported::Reported`].
    Reported,
    /// Fleet to box: a [`super::command::Statement`].
    Command,
    /// Box to fleet: a [`super::command::CommandAnswer`].
    Answer,
    /// Box to bridge, retained: a [`super::telemetry::Telemetry`].
    Telemetry,
}

impl DeviceTopic {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::State,
        Self::Event,
        Self::Receipt,
        Self::Desired,
        Self::Reported,
        Self::Command,
        Self::Answer,
        Self::Telemetry,
    ];

    const fn leaf(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Event => "event",
            Self::Receipt => "receipt",
            Self::Desired => "desired",
            Self::Reported => "reported",
            Self::Command => "command",
            Self::Answer => "answer",
            Self::Telemetry => "telemetry",
        }
    }

    /// This topic of one box.
    #[must_use]
    pub fn of(self, device: &DeviceId) -> String {
        format!("{ROOT}{device}/{}", self.leaf())
    }

    /// The filter that matches this topic of every box.
    #[must_use]
    pub fn of_all(self) -> String {
        format!("{ROOT}+/{}", self.leaf())
    }

    /// Which topic of which box `topic` is; `None` for anything else.
    #[must_use]
    pub fn parse(topic: &str) -> Option<(DeviceId, Self)> {
        let (device, leaf) = topic.strip_prefix(ROOT)?.split_once('/')?;
        let which = Self::ALL.into_iter().find(|which| which.leaf() == leaf)?;
        Some((DeviceId::new(device).ok()?, which))
    }
}

/// The topic of one chunk for one box, `examgate/v1/{device}/chunk/{digest}`: fleet to box, the chunk's bytes as they are.
#[must_use]
pub fn chunk_of(device: &DeviceId, digest: &Digest) -> String {
    format!("{ROOT}{device}/chunk/{digest}")
}

/// The filter that matches every chunk for one box.
#[must_use]
pub fn chunks_of(device: &DeviceId) -> String {
    format!("{ROOT}{device}/chunk/+")
}

/// Which chunk for which box `topic` carries; `None` for anything else.
#[must_use]
pub fn parse_chunk(topic: &str) -> Option<(DeviceId, Digest)> {
    let (device, digest) = topic.strip_prefix(ROOT)?.split_once("/chunk/")?;
    Some((DeviceId::new(device).ok()?, Digest::parse(digest)?))
}

/// The topic of one page of whom a box let in, `examgate/v1/exam/{exam}/admitted/{device}/{page}`: box to the other boxes of the exam,
/// retained: a [`super::admitted::AdmittedPage`].
#[must_use]
pub fn admitted_of(exam: &ExamId, device: &DeviceId, page: u32) -> String {
    format!("{ROOT}exam/{exam}/admitted/{device}/{page}")
}

/// The topic of a page of no exam: a broker is asked with it whether this box may write such pages.
#[must_use]
pub fn admitted_anywhere(device: &DeviceId) -> String {
    format!("{ROOT}exam/none/admitted/{device}/0")
}

/// The filter that matches every page of every box of one exam.
#[must_use]
pub fn all_admitted_of(exam: &ExamId) -> String {
    format!("{ROOT}exam/{exam}/admitted/+/+")
}

/// Which page of which box of which exam `topic` carries; `None` for anything else.
#[must_use]
pub fn parse_admitted(topic: &str) -> Option<(ExamId, DeviceId, u32)> {
    let (exam, place) = topic.strip_prefix(ROOT)?.strip_prefix("exam/")?.split_once("/admitted/")?;
    let (device, number) = place.split_once('/')?;
    let page = number.parse::<u32>().ok().filter(|page| page.to_string() == number)?;
    Some((ExamId::new(exam).ok()?, DeviceId::new(device).ok()?, page))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_are_told_apart() {
        let door = DeviceId::new("door-1").expect("valid");
        for which in DeviceTopic::ALL {
            assert_eq!(DeviceTopic::parse(&which.of(&door)), Some((door.clone(), which)));
        }
        assert_eq!(DeviceTopic::Event.of(&door), "examgate/v1/door-1/event");
        assert_eq!(DeviceTopic::Event.of_all(), "examgate/v1/+/event");
        for other in [
            "",
            "examgate/v1/",
            "examgate/v1/door-1",
            "examgate/v2/door-1/event",
            "examgate/v1/+/event",
            "examgate/v1/door-1/event/x",
            "examgate/v1//event",
            LOST_CARDS,
            TRUST,
            "x/examgate/v1/door-1/event",
        ] {
            assert_eq!(DeviceTopic::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn chunks_are_told_apart() {
        let (door, digest) = (DeviceId::new("door-1").expect("valid"), Digest::of(b"chunk"));
        let topic = chunk_of(&door, &digest);
        assert_eq!(parse_chunk(&topic), Some((door.clone(), digest)));
        assert_eq!((chunks_of(&door), DeviceTopic::parse(&topic)), ("examgate/v1/door-1/chunk/+".into(), None));
        for other in [format!("{topic}0"), topic.to_uppercase(), chunks_of(&door), format!("{topic}/x"), "x".into()] {
            assert_eq!(parse_chunk(&other), None, "{other:?}");
        }
    }

    #[test]
    fn pages_are_told_apart() {
        let (exam, door) = (ExamId::new("MATH-1").expect("valid"), DeviceId::new("door-1").expect("valid"));
        let topic = admitted_of(&exam, &door, 12);
        assert_eq!(topic, "examgate/v1/exam/MATH-1/admitted/door-1/12");
        assert_eq!(parse_admitted(&topic), Some((exam.clone(), door.clone(), 12)));
        assert_eq!((DeviceTopic::parse(&topic), parse_chunk(&topic)), (None, None));
        let start = "examgate/v1/exam/MATH-1/admitted/door-1";
        for end in ["", "/", "/+", "/012", "/+1", "/-1", "/12/x", "/4294967296", "/x"] {
            assert_eq!(parse_admitted(&format!("{start}{end}")), None, "{end:?}");
        }
        for other in [all_admitted_of(&exam), DeviceTopic::State.of(&door), "examgate/v1/exam//admitted/d/1".into()] {
            assert_eq!(parse_admitted(&other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(topic in ".*") {
            let _ = (DeviceTopic::parse(&topic), parse_chunk(&topic), parse_admitted(&topic));
        }
    }
}
