//! A broker's host and port, as people write them in a configuration or on a command line.
//!
//! What is read here is what the certificate is checked against, so it is a bare name or address: what a scheme or a port
//! would make of it is refused by name. Nothing is resolved.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Longest DNS name (RFC 1035, section 2.3.4), characters.
const LONGEST: usize = 253;

/// Longest part of a DNS name between dots, characters.
const LONGEST_LABEL: usize = 63;

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing is there.
    #[error("it is empty: a host name or an address is needed, such as broker.example.edu")]
    Empty,
    /// A URL.
    #[error("it is a URL: leave out `{scheme}://`; the connection is MQTT over TLS in any case")]
    Scheme {
        /// What is before `://`.
        scheme: String,
    },
    /// A port where there is a place of its own for it.
    #[error("it holds a port: write the host alone, `{host}`; port {port} has a key of its own")]
    Port {
        /// The host in it.
        host: String,
        /// The port in it.
        port: String,
    },
    /// No port where one belongs.
    #[error("it has no port: write `{host}:8883`, or whatever port the broker listens at")]
    NoPort {
        /// The host in it, as it is to be written.
        host: String,
    },
    /// A port that is none.
    #[error("{port:?} is no port: 1 to 65535")]
    NotAPort {
        /// What is there.
        port: String,
    },
    /// Digits and dots that make no address.
    #[error("{0:?} looks like an IPv4 address and is none")]
    NotAnAddress(String),
    /// Brackets around something else than an IPv6 address.
    #[error("{0:?} is no IPv6 address; only those stand in brackets, and none with a zone (`%eth0`)")]
    NotBracketed(String),
    /// A character that no host name has.
    #[error("{found:?} cannot be part of a host name; names with other letters are written as `xn--…`")]
    Character {
        /// The first such character.
        found: char,
    },
    /// A name too long, or an empty or too long part of one.
    #[error(
        "it is no host name: each part between dots has 1 to {LONGEST_LABEL} characters, and all of it at most {LONGEST}"
    )]
    Length,
}

/// A DNS name or an IP address. An IPv6 address is without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// The name or address, as a certificate would name it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads `host:port` or `[IPv6]:port`.
    ///
    /// # Errors
    /// When the host is none, or the port is missing or none.
    pub fn parse_with_port(text: &str) -> Result<(Self, u16), HostError> {
        refuse_url(text)?;
        let is_v6 = text.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            _ if is_v6 => return Err(HostError::NoPort { host: format!("[{text}]") }),
            Some((host, port)) if !host.is_empty() && !port.ends_with(']') => (host, port),
            Some(("", _)) => return Err(HostError::Empty),
            Some(_) | None => {
                let host: Self = text.parse()?;
                return Err(HostError::NoPort { host: host.bracketed() });
            }
        };
        let number = port.parse().ok().filter(|&port| port != 0 && !text.ends_with(char::is_whitespace));
        let number = number.ok_or_else(|| HostError::NotAPort { port: port.into() })?;
        Ok((host.parse()?, number))
    }

    /// As in an address with a port.
    fn bracketed(&self) -> String {
        if self.0.contains(':') { format!("[{}]", self.0) } else { self.0.clone() }
    }

    /// The host with a port, as people write it.
    #[must_use]
    pub fn with_port(&self, port: u16) -> String {
        format!("{}:{port}", self.bracketed())
    }
}

fn refuse_url(text: &str) -> Result<(), HostError> {
    match text.split_once("://") {
        Some((scheme, _)) => Err(HostError::Scheme { scheme: scheme.into() }),
        None => Ok(()),
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        refuse_url(text)?;
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self(text.into()));
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or_else(|| HostError::NotBracketed(text.into()))?;
            if inside.parse::<Ipv6Addr>().is_err() {
                return Err(HostError::NotBracketed(inside.into()));
            }
            return match after.strip_prefix(':') {
                _ if after.is_empty() => Ok(Self(inside.into())),
                Some(port) => Err(HostError::Port { host: inside.into(), port: port.into() }),
                None => Err(HostError::NotBracketed(text.into())),
            };
        }
        if let Some((host, port)) = text.split_once(':')
            && !port.contains(':')
        {
            return Err(HostError::Port { host: host.into(), port: port.into() });
        }
        // The dot at the end of a fully qualified name is not part of what certificates name.
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Some(found) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
            return Err(HostError::Character { found });
        }
        let mut labels = name.split('.');
        if name.len() > LONGEST || labels.clone().any(|label| label.is_empty() || label.len() > LONGEST_LABEL) {
            return Err(HostError::Length);
        }
        if labels.next_back().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(HostError::NotAnAddress(name.into()));
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_addresses_are_read_without_what_is_around_them() {
        for (text, host) in [
            ("broker.example.edu", "broker.example.edu"),
            ("broker.example.edu.", "broker.example.edu"),
            ("broker_1", "broker_1"),
            ("10.20.0.7", "10.20.0.7"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("3com.example", "3com.example"),
        ] {
            assert_eq!(text.parse::<Host>().map(|host| host.0), Ok(host.to_owned()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let long = "a".repeat(64);
        for (text, says) in [
            ("", "empty"),
            ("mqtts://broker.example.edu", "leave out `mqtts://`"),
            ("mqtts://broker.example.edu:8883", "leave out `mqtts://`"),
            ("ssl://[::1]:8883", "leave out `ssl://`"),
            ("broker.example.edu:8883", "write the host alone, `broker.example.edu`"),
            ("10.0.0.1:8883", "port 8883 has a key of its own"),
            ("broker:", "holds a port"),
            ("[::1]:8883", "`::1`"),
            ("[::1", "brackets"),
            ("[broker]", "brackets"),
            ("[fe80::1%eth0]", "zone"),
            ("[::1]x", "brackets"),
            ("fe80::1%eth0", "cannot be part"),
            ("broker.example.edu/mqtt", "'/'"),
            ("user@broker", "'@'"),
            (" broker", "' '"),
            ("broker\n", "'\\n'"),
            ("bröker", "xn--"),
            ("256.0.0.1", "looks like an IPv4"),
            ("10.20.7", "looks like an IPv4"),
            ("a..b", "each part"),
            (".", "each part"),
            (long.as_str(), "each part"),
        ] {
            let refused = text.parse::<Host>().expect_err(text).to_string();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[test]
    fn a_port_is_asked_for_where_it_belongs() {
        for (text, host, port) in
            [("broker:8883", "broker", 8883), ("[::1]:1883", "::1", 1883), ("127.0.0.1:1", "127.0.0.1", 1)]
        {
            let (read, number) = Host::parse_with_port(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((read.as_str(), number), (host, port));
            assert_eq!(read.with_port(number), text);
        }
        for (text, says) in [
            ("broker", "`broker:8883`"),
            ("::1", "`[::1]:8883`"),
            ("[::1]", "`[::1]:8883`"),
            ("::1:8883", "`[::1:8883]:8883`"),
            ("mqtts://broker:8883", "leave out"),
            ("broker:", "no port"),
            ("broker:0", "no port"),
            ("broker:65536", "no port"),
            ("broker:8883 ", "no port"),
            ("broker:1:2", "holds a port"),
            (":8883", "empty"),
            ("", "empty"),
        ] {
            let refused = Host::parse_with_port(text).expect_err(text).to_string();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_what_is_read_is_read_again(text in "[\\PC\\[\\]:./%0-9a-f]{0,40}") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(host.as_str().parse::<Host>(), Ok(host.clone()));
                prop_assert_eq!(Host::parse_with_port(&host.with_port(8883)), Ok((host, 8883)));
            }
            let _ = Host::parse_with_port(&text);
        }
    }
}
