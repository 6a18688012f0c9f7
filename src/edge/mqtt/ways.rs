//! The certificates that a box may connect with: the newest first, older ones until the newest has proved itself.
//!
//! A renewed certificate that a broker does not take (a new issuer that it does not know yet) never costs the line: attempts take the
//! certificates in turn.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{InUse, Renewing, Tls, UplinkError};
use crate::{
    domain::WithSources,
    mqtt::{Authorities, TrustError, connector},
};

/// One certificate with its key.
#[derive(Clone)]
pub(super) struct Way {
    certificate: Arc<[u8]>,
    pub(super) connector: native_tls::TlsConnector,
}

impl Way {
    pub(super) fn new(tls: &Tls) -> Result<Self, UplinkError> {
        let authorities = Authorities::read(&tls.authority).map_err(TrustError::from)?;
        let connector = connector(&authorities, &tls.certificate, &tls.key)?;
        Ok(Self { certificate: tls.certificate.as_slice().into(), connector })
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Ways {
    /// The first choice first. Never empty once it is made.
    ways: Vec<Way>,
    /// Attempts since a connection was up.
    attempts: usize,
    renewed: Option<mpsc::Receiver<Tls>>,
    used: watch::Sender<InUse>,
}

impl Ways {
    pub(super) fn new(tls: &Tls) -> Result<Self, UplinkError> {
        Ok(Self { ways: vec![Way::new(tls)?], ..Self::default() })
    }

    /// Takes an older one, to be tried after those before it.
    pub(super) fn fall_back(&mut self, older: &Tls) -> Result<(), UplinkError> {
        self.ways.push(Way::new(older)?);
        Ok(())
    }

    pub(super) fn renewing(&mut self) -> Renewing {
        let (to, from) = mpsc::channel(1);
        self.renewed = Some(from);
        Renewing { to, used: self.used.subscribe() }
    }

    /// The certificate of the connection that is up, or was last.
    pub(super) fn used(&self) -> watch::Receiver<InUse> {
        self.used.subscribe()
    }

    /// What to connect with now.
    pub(super) fn choice(&self) -> Option<Way> {
        self.ways.get(self.attempts % self.ways.len().max(1)).cloned()
    }

    /// A connection is up with `way`. If that is the first choice, the others are forgotten.
    pub(super) fn up(&mut self, way: &Way) {
        self.attempts = 0;
        if self.ways.first().is_some_and(|first| first.certificate == way.certificate) {
            self.ways.truncate(1);
        } else {
            tracing::error!(
                "the broker takes the certificate of before, not the renewed one: does it know the issuer (`cafile`)?"
            );
        }
        self.used.send_replace(Some(Arc::clone(&way.certificate)));
    }

    /// No connection came up.
    pub(super) const fn failed(&mut self) {
        self.attempts = self.attempts.wrapping_add(1);
    }

    /// The next certificate, if any will come.
    pub(super) async fn renewed(&mut self) -> Tls {
        if let Some(from) = &mut self.renewed
            && let Some(tls) = from.recv().await
        {
            return tls;
        }
        std::future::pending().await
    }

    /// Makes another one the first choice.
    pub(super) fn prefer(&mut self, tls: &Tls) {
        self.attempts = 0;
        match Way::new(tls) {
            Ok(way) => self.ways.insert(0, way),
            Err(error) => tracing::error!(error = %WithSources(&error), "a renewed certificate cannot be used"),
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::rig::certificates::{Authority, Validity};

    #[test]
    fn the_newest_goes_first_and_the_others_wait_until_it_is_up() {
        let authority = Authority::new();
        let tls = || {
            let own = authority.client("door-1", Validity::Good);
            Tls {
                authority: authority.certificate().into(),
                certificate: own.certificate.into(),
                key: Zeroizing::new(own.key.into()),
            }
        };
        let (oldest, old, new) = (tls(), tls(), tls());
        let mut ways = Ways::new(&old).unwrap();
        ways.fall_back(&oldest).unwrap();
        let used = ways.renewing().used;
        let chosen = |ways: &Ways| ways.choice().unwrap().certificate.to_vec();
        ways.prefer(&new);
        for expected in [&new, &old, &oldest, &new] {
            assert_eq!(chosen(&ways), expected.certificate);
            ways.failed();
        }
        // The second is taken: the first is tried again after it, and nothing is forgotten.
        let second = ways.choice().unwrap();
        ways.up(&second);
        assert_eq!(used.borrow().as_deref(), Some(&old.certificate[..]));
        assert_eq!((chosen(&ways), ways.ways.len()), (new.certificate.clone(), 3));
        let first = ways.choice().unwrap();
        ways.up(&first);
        ways.failed();
        assert_eq!((chosen(&ways), ways.ways.len()), (new.certificate, 1));
    }
}
