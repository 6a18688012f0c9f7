//! From a host name to a TLS connection: every address of the name is tried, the next one as soon as one fails or is slow.
//!
//! RFC 8305 in short: addresses of both families in turn, a quarter of a second apart; the first that connects is used.

use std::{io, net::SocketAddr, time::Duration};

use rumqttc::tokio_native_tls::{TlsConnector, TlsStream};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::LinkFault;

/// Longest wait for a TLS connection, the name's resolution included.
const LONGEST: Duration = Duration::from_secs(10);

/// How long one address is tried alone (RFC 8305, section 8).
const STAGGER: Duration = Duration::from_millis(250);

/// Most addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// Connects to `host` (a name, or an address without brackets) with TLS. `broker` names it in faults.
///
/// # Errors
/// The fault that says most, when no address can be used.
pub(super) async fn dial(
    broker: &str,
    host: &str,
    port: u16,
    connector: &native_tls::TlsConnector,
) -> Result<TlsStream<TcpStream>, LinkFault> {
    let until = Instant::now() + LONGEST;
    let unreachable = |source: io::Error| LinkFault::Unreachable { broker: broker.into(), source };
    let late = || unreachable(io::ErrorKind::TimedOut.into());
    let found = timeout_at(until, lookup_host((host, port))).await.map_err(|_| late())?.map_err(unreachable)?;
    let mut left = in_turn(found).into_iter();
    let mut attempts = JoinSet::new();
    let mut told: Option<LinkFault> = None;
    loop {
        if let Some(address) = left.next() {
            attempts.spawn(attempt(broker.to_owned(), host.to_owned(), address, connector.clone()));
        } else if attempts.is_empty() {
            return Err(told.unwrap_or_else(|| unreachable(io::Error::other("the host has no address"))));
        }
        let ended = tokio::select! {
            Some(ended) = attempts.join_next() => ended,
            () = sleep(STAGGER), if left.len() > 0 => continue,
            () = sleep_until(until) => return Err(told.unwrap_or_else(late)),
        };
        let fault = match ended {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(fault)) => fault,
            Err(ended) => unreachable(io::Error::other(ended)),
        };
        if told.as_ref().is_none_or(|told| told.says() < fault.says()) {
            told = Some(fault);
        }
    }
}

/// How long a refusal of our certificate may take after the handshake: with TLS 1.3 it comes later.
const SECOND_THOUGHTS: Duration = Duration::from_millis(500);

/// Makes a TLS connection and drops it, without a word of MQTT.
///
/// # Errors
/// Why there is none.
pub async fn try_tls(host: &str, port: u16, connector: &native_tls::TlsConnector) -> Result<(), LinkFault> {
    let broker = format!("{host}:{port}");
    let mut stream = dial(&broker, host, port, connector).await?;
    match timeout(SECOND_THOUGHTS, stream.read_u8()).await {
        Err(_) => Ok(()),
        // A broker does not speak first; it closes on whom it does not want.
        Ok(Ok(_)) => Err(LinkFault::surprise(&broker, "it speaks first")),
        Ok(Err(error)) => Err(LinkFault::broken(&broker, error)),
    }
}

/// One address: TCP, then TLS as `host`.
async fn attempt(
    broker: String,
    host: String,
    address: SocketAddr,
    connector: native_tls::TlsConnector,
) -> Result<TlsStream<TcpStream>, LinkFault> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    let stream = stream.map_err(|source| LinkFault::Unreachable { broker: broker.clone(), source })?;
    TlsConnector::from(connector).connect(&host, stream).await.map_err(|error| LinkFault::handshake(&broker, error))
}

/// The families in turn, beginning with the resolver's first choice; each address once.
fn in_turn(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    let Some(first) = seen.first().copied() else { return seen };
    let (mut same, mut other): (Vec<_>, Vec<_>) =
        seen.into_iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    (same, other) = (same.into_iter().rev().collect(), other.into_iter().rev().collect());
    let mut turns = Vec::new();
    while let (Some(_), _) | (_, Some(_)) = (same.last(), other.last()) {
        turns.extend(same.pop());
        turns.extend(other.pop());
    }
    turns.truncate(ADDRESSES);
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_no_address_is_tried_twice() {
        let read = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let found = ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::1]:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];
        let turns: Vec<String> = in_turn(found.into_iter().map(read)).iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[2001:db8::1]:1", "10.0.0.1:1", "[2001:db8::2]:1", "10.0.0.2:1", "10.0.0.3:1"]);
        assert!(in_turn(std::iter::empty()).is_empty());
    }
}
