//! Incoming messages, passed to subscribers by topic: the reader of receipts never sees a roster.
//!
//! A message is acknowledged when it is dropped, so a consumer that keeps it until it is on disk limits how many more the broker sends.

use tokio::sync::mpsc;

/// A subscriber: which topics it wants, and where its messages go.
pub(super) struct Subscription {
    /// MQTT topic filters; `+` may stand for a level.
    pub(super) filters: Vec<String>,
    pub(super) to: mpsc::Sender<Arrived>,
}

impl Subscription {
    pub(super) fn wants(&self, topic: &str) -> bool {
        self.filters.iter().any(|filter| matches(filter, topic))
    }
}

/// Whether `topic` is one that an MQTT filter means; `+` may stand for a level.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (None, None) => return true,
            (Some(wanted), Some(level)) if wanted == "+" || wanted == level => {}
            (Some(_), _) | (None, Some(_)) => return false,
        }
    }
}

/// A message that came. Dropping it acknowledges it.
#[derive(Debug)]
pub struct Arrived {
    /// Its topic.
    pub topic: String,
    /// What it says, unverified.
    pub payload: Vec<u8>,
    /// What its sender wants to know the answer by (MQTT 5, correlation data), unverified.
    pub correlation: Option<Vec<u8>>,
    /// `None`: nobody waits for an answer (QoS 0).
    answer: Option<(u16, mpsc::UnboundedSender<u16>)>,
}

impl Arrived {
    /// `answer`: as which packet it came, and where its connection hears that it was dealt with.
    pub(super) const fn new(
        topic: String,
        payload: Vec<u8>,
        answer: Option<(u16, mpsc::UnboundedSender<u16>)>,
    ) -> Self {
        Self { topic, payload, correlation: None, answer }
    }

    pub(super) fn with_correlation(mut self, correlation: Option<Vec<u8>>) -> Self {
        self.correlation = correlation;
        self
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if let Some((packet, to)) = self.answer.take() {
            // Its connection may have ended: then nobody waits for the answer.
            let _ = to.send(packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_go_to_whoever_wants_them() {
        let (to, _from) = mpsc::channel(1);
        let subscription = Subscription { filters: vec!["a/desired".into(), "a/chunk/+".into()], to };
        for (topic, wanted) in
            [("a/desired", true), ("a/chunk/1", true), ("a/chunk/1/2", false), ("a/chunk", false), ("a/receipt", false)]
        {
            assert_eq!(subscription.wants(topic), wanted, "{topic}");
        }
        for (topic, wanted) in [
            ("exam/M/admitted/d/1", true),
            ("exam/B/admitted/d/1", false),
            ("exam/M/admitted/d", false),
            ("exam/M/admitted/d/1/2", false),
        ] {
            assert_eq!(matches("exam/M/admitted/+/+", topic), wanted, "{topic}");
        }
    }

    #[test]
    fn a_message_is_acknowledged_once_it_is_dropped() {
        let (to, mut from) = mpsc::unbounded_channel();
        let arrived = Arrived::new("a".into(), vec![], Some((9, to)));
        assert!(from.try_recv().is_err());
        drop(arrived);
        assert_eq!(from.try_recv(), Ok(9));
    }
}
