//! Whether browsers will believe the console's certificate: that it is one, goes with its key, is in its time, and names the box.
//!
//! It cannot know whether browsers know the authority. Never shows a key.

use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    error::ErrorStack,
    x509::{X509, X509Ref},
};

use super::{ConsoleError, Identity, acceptor};
use crate::domain::Timestamp;

/// How long before its end it is to be renewed, days: an exam period.
const RENEW_WITHIN: i32 = 21;

/// Who a console is on its network.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    /// The box's name, the first label of its host name.
    pub device: &'a str,
    /// The address it listens on.
    pub address: std::net::IpAddr,
}

/// What browsers will say of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Nothing, if they know the authority.
    Fine {
        /// Its last moment.
        until: String,
    },
    /// Nothing yet.
    EndsSoon {
        /// Its last moment.
        until: String,
        /// Days until then.
        days: i32,
    },
    /// It is over.
    Expired {
        /// Its last moment.
        until: String,
    },
    /// It has not begun: or the box's clock is wrong.
    NotYetValid {
        /// Its first moment.
        from: String,
    },
    /// It is for somebody else.
    OtherName {
        /// Whom it names.
        named: Vec<String>,
    },
}

/// Judges `identity` at `now`.
///
/// # Errors
/// [`ConsoleError::Identity`]: with that the console does not start.
pub fn believe(identity: &Identity, names: &Names<'_>, now: Timestamp) -> Result<Belief, ConsoleError> {
    let judged = acceptor(identity).and_then(|_| {
        let leaf = X509::from_pem(&identity.certificate)?;
        judge(&leaf, names, now)
    });
    judged.map_err(ConsoleError::Identity)
}

fn judge(leaf: &X509Ref, names: &Names<'_>, now: Timestamp) -> Result<Belief, ErrorStack> {
    let now = Asn1Time::from_unix(now.as_second())?;
    let said = |time: &Asn1TimeRef| time.to_string();
    let (from, until) = (leaf.not_before(), leaf.not_after());
    if from > now {
        return Ok(Belief::NotYetValid { from: said(from) });
    }
    let until_text = said(until);
    if until < now {
        return Ok(Belief::Expired { until: until_text });
    }
    let named = named(leaf);
    let is_ours = |name: &String| {
        let label = name.split('.').next().unwrap_or_default();
        label.eq_ignore_ascii_case(names.device)
            || name.parse() == Ok(names.address)
            || (names.address.is_loopback() && name == "localhost")
    };
    if !named.iter().any(is_ours) {
        return Ok(Belief::OtherName { named });
    }
    let days = now.diff(until)?.days;
    Ok(if days < RENEW_WITHIN {
        Belief::EndsSoon { until: until_text, days }
    } else {
        Belief::Fine { until: until_text }
    })
}

/// Names and addresses of the certificate; browsers look nowhere else.
fn named(leaf: &X509Ref) -> Vec<String> {
    let address = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
    };
    let names = leaf.subject_alt_names();
    let each = names
        .iter()
        .flatten()
        .filter_map(|name| name.dnsname().map(str::to_owned).or_else(|| name.ipaddress().and_then(address)));
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::certificates::{Authority, Issued, Validity};

    fn judged(issued: &Issued, key: &Issued, now: &str) -> Result<Belief, ConsoleError> {
        let identity =
            Identity { certificate: issued.certificate.clone().into_bytes(), key: key.key.clone().into_bytes() };
        let names = Names { device: "door-1", address: "10.20.0.7".parse().expect("an address") };
        believe(&identity, &names, now.parse().expect("a time"))
    }

    #[test]
    fn a_certificate_is_judged_as_browsers_will() {
        let authority = Authority::new();
        let now = "2026-12-14T13:40:00Z";
        let ours = |validity| authority.broker_for("door-1.exams.example.edu", validity);
        let good = ours(Validity::Good);
        assert!(matches!(judged(&good, &good, now), Ok(Belief::Fine { until }) if until.contains("2049")));
        let soon = judged(&good, &good, "2048-12-25T00:00:00Z");
        assert!(matches!(soon, Ok(Belief::EndsSoon { days: 7, .. })), "{soon:?}");
        let expired = ours(Validity::Expired);
        assert!(matches!(judged(&expired, &expired, now), Ok(Belief::Expired { until }) if until.contains("2021")));
        let early = ours(Validity::NotYet);
        assert!(matches!(judged(&early, &early, now), Ok(Belief::NotYetValid { from }) if from.contains("2048")));
        let other = authority.broker_for("door-10.exams.example.edu", Validity::Good);
        assert!(
            matches!(judged(&other, &other, now), Ok(Belief::OtherName { named }) if named[0].starts_with("door-10"))
        );
        let by_address = authority.broker_for("10.20.0.7", Validity::Good);
        assert!(matches!(judged(&by_address, &by_address, now), Ok(Belief::Fine { .. })));
        assert!(judged(&good, &other, now).is_err(), "a key of another one");
        let torn = Issued { certificate: "-----BEGIN".into(), ..good.clone() };
        assert!(judged(&torn, &good, now).is_err());
    }
}
