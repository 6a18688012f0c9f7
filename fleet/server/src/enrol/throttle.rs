//! Limits refused requests per address. Codes cannot be guessed; the limit protects the log and the registry from floods.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use tokio::time::Instant;

/// Refusals an address may have in one window.
const REFUSALS: u32 = 10;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered. Beyond, newcomers are not counted: 100 bits are guessed by no number of addresses.
const ADDRESSES: usize = 10_000;

/// Counts refusals.
#[derive(Debug, Default)]
pub(super) struct Throttle(HashMap<IpAddr, (Instant, u32)>);

/// What counts as one address: of IPv6 the network of 64 bits, which one machine has to itself.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((u128::from(six) >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    }
}

impl Throttle {
    /// How long `address` has to wait; `None` if it may ask.
    pub(super) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let (since, count) = self.0.get(&whose(address))?;
        let over = WINDOW.checked_sub(now.saturating_duration_since(*since))?;
        (*count >= REFUSALS && !over.is_zero()).then_some(over)
    }

    /// Counts a refusal of `address`.
    pub(super) fn refused(&mut self, address: IpAddr, now: Instant) {
        if self.0.len() >= ADDRESSES {
            self.0.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
        }
        let address = whose(address);
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&address) {
            return;
        }
        let (since, count) = self.0.entry(address).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_after_ten_refusals_and_no_other_does() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        for _ in 0..REFUSALS {
            assert_eq!(throttle.wait(one, start), None);
            throttle.refused(one, start);
        }
        assert_eq!(throttle.wait(one, start), Some(WINDOW));
        assert_eq!(throttle.wait(other, start), None);
        assert_eq!(
            throttle.wait("::ffff:10.0.0.1".parse().unwrap(), start),
            Some(WINDOW),
            "the same in IPv6's clothes"
        );
        assert_eq!(throttle.wait(one, start + WINDOW), None);
        throttle.refused(one, start + WINDOW);
        assert_eq!(throttle.wait(one, start + WINDOW), None, "counting began again");

        for host in 1..=REFUSALS {
            throttle.refused(format!("2001:db8::{host}").parse().unwrap(), start);
        }
        assert!(throttle.wait("2001:db8::ffff".parse().unwrap(), start).is_some(), "one network is one address");
        assert!(throttle.wait("2001:db8:0:1::1".parse().unwrap(), start).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for host in 0..=u32::try_from(ADDRESSES).unwrap() {
            throttle.refused(IpAddr::V4(host.into()), start);
        }
        assert_eq!(throttle.0.len(), ADDRESSES);
        throttle.refused("10.0.0.1".parse().unwrap(), start + WINDOW);
        assert_eq!(throttle.0.len(), 1, "what is over makes room");
    }
}
