//! Whether the broker can be reached and trusted, without speaking to it: a second client of the box's name would throw the
//! running box off the line. It does not show whether the ACL lets the box write.

use std::{
    io::{self, Read as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use ::rumqttc::v5::ConnectionError;

use super::{LinkFault, Settings, UplinkError, rumqttc::connector};

/// Longest wait for each of name, connection and handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a refusal of our certificate may take after the handshake: with TLS 1.3 it comes later.
const SECOND_THOUGHTS: Duration = Duration::from_millis(500);

/// Makes a TLS connection with the certificates of `settings` and drops it.
///
/// # Errors
/// What is wrong with the certificates (outer), or with the network and the broker (inner).
pub fn probe(settings: &Settings) -> Result<Result<(), LinkFault>, UplinkError> {
    let connector = connector(&settings.tls)?;
    let shake_hands = || -> io::Result<()> {
        let address = (settings.host.as_str(), settings.port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut tls = connector.connect(&settings.host, stream).map_err(io::Error::other)?;
        tls.get_ref().set_read_timeout(Some(SECOND_THOUGHTS))?;
        match tls.read(&mut [0]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
            Err(error) => Err(error),
            // A broker does not speak first; it closes on whom it does not want.
            Ok(_) => Err(io::Error::other("the broker closed the connection after the handshake")),
        }
    };
    let broker = format!("{}:{}", settings.host, settings.port);
    Ok(shake_hands().map_err(|error| LinkFault::new(&broker, false, ConnectionError::Io(error))))
}
