//! Listens to the card reader, passes taps on to the verification, and tells when no tap can be seen.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use tokio::sync::watch;

use super::Happened;
use crate::{
    edge::card::{CardError, CardEvent, CardReader, ReaderView},
    session::Fault,
};

/// How long one wait for the reader lasts: how soon an ended verification is noticed.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens until the verification is gone (`Ok`) or the reader is beyond help. `view` says how the readers are. Tells at every
/// turn, at least twice a second, that it is `alive`.
///
/// # Errors
/// The fatal error of the reader; retriable ones are logged, once each as the reader reports them, and an outage is a fault
/// until readers answer again.
pub fn listen(
    mut reader: Box<dyn CardReader>,
    happened: &SyncSender<Happened>,
    view: &watch::Sender<ReaderView>,
    alive: impl Fn(),
) -> Result<(), CardError> {
    loop {
        alive();
        let happening = match reader.next(PATIENCE) {
            Ok(None) => Happened::Nothing,
            Ok(Some(CardEvent::Ready { slots })) => {
                tracing::info!(slots, "card readers are ready");
                view.send_replace(ReaderView::Ready { slots });
                Happened::Mended(Fault::Reader)
            }
            Ok(Some(CardEvent::Tapped { read, took, .. })) => Happened::Tapped { read, took },
            Ok(Some(CardEvent::Removed { .. })) => Happened::CardRemoved,
            Err(error) if error.is_retriable() && error.is_outage() => {
                tracing::error!(error = &error as &dyn std::error::Error, "no card can be read");
                view.send_replace(ReaderView::Faulted(Arc::new(error)));
                Happened::Broke(Fault::Reader)
            }
            Err(error) if error.is_retriable() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "taps are lost");
                Happened::Nothing
            }
            Err(error) => return Err(error),
        };
        if happened.send(happening).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::mpsc::sync_channel};

    use super::*;
    use crate::{
        domain::{CardProblem, CardPseudonym, Credential, CredentialProfile},
        edge::card::Slot,
    };

    /// Says what the script says, and then that nobody watches any more.
    struct Scripted(VecDeque<Result<Option<CardEvent>, CardError>>);

    impl CardReader for Scripted {
        fn next(&mut self, _patience: Duration) -> Result<Option<CardEvent>, CardError> {
            self.0.pop_front().unwrap_or(Err(CardError::Closed))
        }
    }

    const TOOK: Option<Duration> = Some(Duration::from_millis(80));

    fn card(n: u8) -> Credential {
        Credential { pseudonym: CardPseudonym::from_bytes([n; 32]), profile: CredentialProfile::Uid }
    }

    fn tapped(slot: u16, read: Result<Credential, CardProblem>) -> Result<Option<CardEvent>, CardError> {
        Ok(Some(CardEvent::Tapped { slot: Slot(slot), read, took: TOOK }))
    }

    fn heard(read: Result<Credential, CardProblem>) -> Happened {
        Happened::Tapped { read, took: TOOK }
    }

    fn removed(slot: u16) -> Result<Option<CardEvent>, CardError> {
        Ok(Some(CardEvent::Removed { slot: Slot(slot) }))
    }

    #[test]
    fn taps_of_every_slot_are_passed_on_and_an_outage_is_a_fault_until_it_is_over() {
        let script = [
            Ok(Some(CardEvent::Ready { slots: 2 })),
            Ok(None),
            tapped(0, Ok(card(1))),
            tapped(1, Ok(card(2))),
            removed(1),
            removed(0),
            // Taps that nobody took are gone, not late: whoever tapped taps again.
            Err(CardError::Overrun { lost: 3 }),
            tapped(1, Err(CardProblem::Unreadable)),
            Err(CardError::NoReader),
            Ok(Some(CardEvent::Ready { slots: 1 })),
            tapped(0, Ok(card(3))),
        ];
        let (send, happened) = sync_channel(script.len() + 1);
        let (view, seen) = watch::channel(ReaderView::Starting);
        let ended = listen(Box::new(Scripted(script.into())), &send, &view, || ());
        assert!(matches!(*seen.borrow(), ReaderView::Ready { slots: 1 }), "{seen:?}");
        assert!(matches!(ended, Err(CardError::Closed)), "{ended:?}");
        drop(send);
        let told: Vec<_> = happened
            .into_iter()
            .filter(|happened| !matches!(happened, Happened::Nothing))
            .map(|happened| format!("{happened:?}"))
            .collect();
        let expected = [
            Happened::Mended(Fault::Reader),
            heard(Ok(card(1))),
            heard(Ok(card(2))),
            Happened::CardRemoved,
            Happened::CardRemoved,
            heard(Err(CardProblem::Unreadable)),
            Happened::Broke(Fault::Reader),
            Happened::Mended(Fault::Reader),
            heard(Ok(card(3))),
        ];
        assert_eq!(told, expected.map(|happened| format!("{happened:?}")));
    }

    #[test]
    fn what_is_wrong_with_the_reader_is_seen() {
        for error in [CardError::NoReader, CardError::Hung { waited: Duration::from_secs(3) }] {
            let said = error.to_string();
            let (send, happened) = sync_channel(4);
            let (view, seen) = watch::channel(ReaderView::Starting);
            assert!(listen(Box::new(Scripted([Err(error)].into())), &send, &view, || ()).is_err());
            assert!(matches!(happened.try_recv(), Ok(Happened::Broke(Fault::Reader))), "{said}");
            let ReaderView::Faulted(fault) = &*seen.borrow() else { panic!("{seen:?}") };
            assert_eq!(fault.to_string(), said);
        }
    }

    #[test]
    fn it_ends_with_the_verification() {
        let (send, happened) = sync_channel(1);
        drop(happened);
        let (view, _) = watch::channel(ReaderView::Starting);
        assert!(listen(Box::new(Scripted([tapped(0, Ok(card(1)))].into())), &send, &view, || ()).is_ok());
    }
}
