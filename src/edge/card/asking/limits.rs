//! How long a proof may take, and how a site finds out how long its cards do.
//!
//! A card that is elsewhere, behind a relay, takes longer than one that lies on the reader. What is measured is the time that the card
//! had commands since its challenge was made: what the box computes between them, what its SAM takes, and what a relay may know from an
//! earlier tap (certificates, for instance) is not in it.

use std::time::Duration;

use crate::domain::CredentialProfile;

/// How long a proof may take, by profile. What is slower is referred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardLimits {
    /// By `desfire_aes`; `None`: the time is recorded only.
    pub desfire_aes: Option<Duration>,
    /// By `piv`; `None`: the time is recorded only.
    pub piv: Option<Duration>,
}

impl CardLimits {
    /// The limit of a profile. What proves nothing can be copied, and has none.
    #[must_use]
    pub const fn of(&self, profile: CredentialProfile) -> Option<Duration> {
        match profile {
            CredentialProfile::DesfireAes => self.desfire_aes,
            CredentialProfile::Piv => self.piv,
            CredentialProfile::Uid | CredentialProfile::Pacs => None,
        }
    }
}

/// The room that a limit leaves above the slowest proof that was measured: a quarter, and not less than this. Cards differ by their
/// place in the field; a relay over a network adds tens of milliseconds to each of a proof's exchanges.
const LEAST_ROOM: Duration = Duration::from_millis(20);

/// A proposed limit is a multiple of this.
const STEP: Duration = Duration::from_millis(10);

/// How long one card took, over several proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How many proofs were measured, at least one.
    pub proofs: usize,
    /// Half of them were as fast, or faster.
    pub median: Duration,
    /// 95 of 100 were as fast, or faster.
    pub p95: Duration,
    /// The slowest.
    pub slowest: Duration,
    /// A limit that leaves room above the slowest.
    pub proposed: Duration,
}

impl Times {
    /// Of measured proofs; `None` of none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use examgate::edge::card::Times;
    ///
    /// let measured = [90, 100, 110, 200].map(Duration::from_millis);
    /// let times = Times::of(measured.to_vec()).expect("there are some");
    /// assert_eq!((times.median, times.slowest), (Duration::from_millis(100), Duration::from_millis(200)));
    /// assert_eq!(times.proposed, Duration::from_millis(250));
    /// ```
    #[must_use]
    pub fn of(mut measured: Vec<Duration>) -> Option<Self> {
        measured.sort_unstable();
        let &slowest = measured.last()?;
        let proofs = measured.len();
        // Nearest rank: the first that so many are not above.
        let rank = |hundredths: usize| measured[(proofs * hundredths).div_ceil(100).max(1) - 1];
        let room = (slowest / 4).max(LEAST_ROOM);
        let steps = (slowest + room).as_micros().div_ceil(STEP.as_micros());
        let proposed = STEP * u32::try_from(steps).unwrap_or(u32::MAX);
        Some(Self { proofs, median: rank(50), p95: rank(95), slowest, proposed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: &[u64]) -> Option<Times> {
        Times::of(millis.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn times_are_by_nearest_rank_and_the_limit_has_room() {
        assert_eq!(of(&[]), None);
        let millis = Duration::from_millis;
        let one = of(&[43]).unwrap();
        assert_eq!((one.proofs, one.median, one.p95, one.slowest), (1, millis(43), millis(43), millis(43)));
        assert_eq!(one.proposed, millis(70));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let hundred = of(&hundred).unwrap();
        assert_eq!((hundred.median, hundred.p95, hundred.slowest), (millis(50), millis(95), millis(100)));
        assert_eq!(hundred.proposed, millis(130));
    }

    #[test]
    fn only_what_proves_a_card_has_a_limit() {
        let limits = CardLimits { desfire_aes: Some(Duration::from_millis(1)), piv: Some(Duration::from_millis(2)) };
        let of = CredentialProfile::ALL.map(|profile| limits.of(profile).map(|limit| limit.as_millis()));
        assert_eq!(of, [None, None, Some(1), Some(2)]);
    }
}
