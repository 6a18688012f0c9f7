//! Topics that change while a connection stands: subscribed to and given up as the subscriber says.
//!
//! A broker that refuses them is told of, and used for all else.

use tokio::sync::{mpsc, watch};

use super::arrival::{Arrived, matches};
use crate::mqtt::packet::{Filter, Packet, QoS, Subscribe, SubscribeReasonCode, Unsubscribe};

/// The packet id of a subscription; messages have lower ones.
const SUBSCRIBED: u16 = u16::MAX - 1;

/// The packet id of what is given up, and the lowest that messages do not have.
pub(super) const GIVEN_UP: u16 = u16::MAX - 2;

/// A subscriber whose topics change.
pub(super) struct Followed {
    /// What it wants now.
    pub(super) filters: watch::Receiver<Vec<String>>,
    pub(super) to: mpsc::Sender<Arrived>,
}

impl Followed {
    pub(super) fn wants(&self, topic: &str) -> bool {
        self.filters.borrow().iter().any(|filter| matches(filter, topic))
    }
}

/// What one connection follows.
pub(super) struct Following {
    filters: Option<watch::Receiver<Vec<String>>>,
    held: Vec<String>,
    unanswered: usize,
}

impl Following {
    /// Nothing yet; everything is wanted anew.
    pub(super) fn new(followed: Option<&Followed>) -> Self {
        let mut filters = followed.map(|followed| followed.filters.clone());
        if let Some(filters) = &mut filters {
            filters.mark_changed();
        }
        Self { filters, held: Vec::new(), unanswered: 0 }
    }

    /// What to ask the broker for once other topics are wanted, or the same anew; one thing at a time. May be dropped while it waits.
    pub(super) async fn changed(&mut self) -> Vec<Packet> {
        if let Some(filters) = &mut self.filters
            && self.unanswered == 0
            && filters.changed().await.is_ok()
        {
            let wanted = filters.borrow_and_update().clone();
            let given_up: Vec<String> = self.held.extract_if(.., |filter| !wanted.contains(filter)).collect();
            self.held.clone_from(&wanted);
            let mut packets = Vec::new();
            if !given_up.is_empty() {
                packets.push(Packet::Unsubscribe(Unsubscribe { pkid: GIVEN_UP, filters: given_up, properties: None }));
            }
            if !wanted.is_empty() {
                let filters = wanted.into_iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce)).collect();
                packets.push(Packet::Subscribe(Subscribe { pkid: SUBSCRIBED, filters, properties: None }));
            }
            self.unanswered = packets.len();
            return packets;
        }
        // Nothing is followed, or an answer is due first, or the part that sets the topics is gone, which its own end tells.
        std::future::pending().await
    }

    /// Whether this is an answer to what was asked for.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other packets are for others")]
    pub(super) fn is_answered_by(&mut self, packet: &Packet) -> bool {
        match packet {
            Packet::SubAck(ack) if ack.pkid == SUBSCRIBED && self.unanswered > 0 => {
                if !ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))) {
                    tracing::error!(
                        "the broker does not let this box hear of other rooms: give the broker the ACL of this version"
                    );
                }
            }
            Packet::UnsubAck(ack) if ack.pkid == GIVEN_UP && self.unanswered > 0 => {}
            _ => return false,
        }
        self.unanswered -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::packet::SubAck;

    fn ack() -> Packet {
        Packet::SubAck(SubAck {
            pkid: SUBSCRIBED,
            return_codes: vec![SubscribeReasonCode::NotAuthorized],
            properties: None,
        })
    }

    #[tokio::test]
    async fn what_is_wanted_is_asked_for_one_thing_at_a_time_and_anew_when_it_is_set_again() {
        let (set, filters) = watch::channel(vec!["a/+".to_owned()]);
        let followed = Followed { filters, to: mpsc::channel(1).0 };
        assert!(followed.wants("a/1") && !followed.wants("b/1"));
        let mut following = Following::new(Some(&followed));
        let asks = |packets: &[Packet]| -> Vec<&'static str> {
            let name = |packet: &Packet| if matches!(packet, Packet::Subscribe(_)) { "subscribe" } else { "give up" };
            packets.iter().map(name).collect()
        };
        assert_eq!(asks(&following.changed().await), ["subscribe"]);
        set.send_replace(vec!["a/+".into()]);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), following.changed()).await;
        assert!(waits.is_err(), "the first has no answer yet");
        assert!(!Following::new(None).is_answered_by(&ack()), "nothing was asked for");
        assert!(following.is_answered_by(&ack()) && !following.is_answered_by(&ack()));
        assert_eq!(asks(&following.changed().await), ["subscribe"], "the same, anew");
        assert!(following.is_answered_by(&ack()));
        set.send_replace(vec!["b/+".into()]);
        assert_eq!(asks(&following.changed().await), ["give up", "subscribe"]);
        assert!(followed.wants("b/1"));
    }
}
