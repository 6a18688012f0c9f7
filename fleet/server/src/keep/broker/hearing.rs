//! What the keeper hears: reports and states of boxes, which it notes in the stock, and the trust document and the list of lost cards that the
//! broker holds.

use examgate::{
    domain::DeviceId,
    mqtt::packet::Publish,
    wire::{
        keys::PublicKey,
        lost::LostCards,
        reported::Reported,
        state::DeviceState,
        topic::{DeviceTopic, LOST_CARDS, TRUST},
    },
};

use super::{ASSERT_AFTER, Keeper, UnderWay, holds, now};

/// What the keeper subscribes to.
pub(super) fn topics() -> Vec<String> {
    vec![DeviceTopic::Reported.of_all(), DeviceTopic::State.of_all(), LOST_CARDS.into(), TRUST.into()]
}

impl Keeper {
    /// Takes in one message.
    pub(super) fn hear(&self, publish: &Publish, way: &mut UnderWay) {
        let topic = String::from_utf8_lossy(&publish.topic);
        // `examgate doctor` asks with an empty message whether the box may write there.
        if publish.payload.is_empty() {
            return;
        }
        if topic == LOST_CARDS {
            return self.list_at_the_broker(&publish.payload);
        }
        if topic == TRUST {
            // Another one was put in its place.
            if self.keys.trust.as_ref().is_some_and(|trust| trust.heard(&publish.payload, &self.stock)) {
                way.trust = None;
            }
            return;
        }
        let Some((device, which)) = DeviceTopic::parse(&topic) else { return };
        let Some(key) = self.enrolled.key(&device) else {
            tracing::warn!(%device, "a report of a box that is not enrolled");
            return;
        };
        match which {
            DeviceTopic::Reported => self.report(device, &key, &publish.payload, way),
            DeviceTopic::State => self.state(&device, &publish.payload),
            DeviceTopic::Event
            | DeviceTopic::Receipt
            | DeviceTopic::Desired
            | DeviceTopic::Command
            | DeviceTopic::Answer
            | DeviceTopic::Telemetry => {}
        }
    }

    /// A box says what it holds and misses.
    fn report(&self, device: DeviceId, key: &PublicKey, bytes: &[u8], way: &mut UnderWay) {
        let reported = match Reported::decode(bytes, &device, key) {
            Ok(reported) => reported,
            Err(error) => {
                tracing::warn!(%device, %error, "a report was not believed");
                return;
            }
        };
        if let Err(error) = self.stock.set_report(&device, bytes) {
            tracing::error!(%device, error = format!("{error:#}"), "a report cannot be kept: `roster status` shows an older one");
        }
        if let Some(refused) = &reported.refused {
            let exam = refused.exam.as_ref().map_or("its manifest", |exam| exam.as_str());
            tracing::warn!(%device, exam, reason = %refused.reason, "the box refused what it should hold");
        }
        way.reported.insert(device.clone(), reported.serial);
        way.holds.insert(device.clone(), holds(&reported));
        way.sending.asked(&device, &reported.missing);
        // It has not seen what the broker was told: the broker forgot it, or somebody put another in its place.
        if way
            .published
            .get(&device)
            .is_some_and(|published| published.serial > reported.serial && published.at.elapsed() > ASSERT_AFTER)
        {
            way.published.remove(&device);
        }
    }

    /// A box says that it is there, or the broker that it is gone.
    fn state(&self, device: &DeviceId, bytes: &[u8]) {
        let Some(state) = DeviceState::decode(bytes) else {
            tracing::warn!(%device, "a state that cannot be read: is the box's software newer?");
            return;
        };
        if let Err(error) = self.stock.set_state(device, &state, now()) {
            tracing::error!(%device, error = format!("{error:#}"), "a state cannot be kept: `device list` shows an older one");
        }
    }

    /// The list that the broker holds. If the fleet signed it and it is newer than the stock's, the stock was set back: it is taken over, or
    /// cards that were reported lost since would open doors again.
    fn list_at_the_broker(&self, bytes: &[u8]) {
        let keys = self.keys.command(now());
        if keys.is_empty() {
            return;
        }
        let list = match LostCards::decode(bytes, &keys) {
            Ok(list) => list,
            Err(error) => {
                tracing::warn!(%error, "the list of lost cards at the broker was not believed");
                return;
            }
        };
        let held = || -> anyhow::Result<u64> {
            let Some(bytes) = self.stock.lost_cards()? else { return Ok(0) };
            // One that does not verify any more is not published either.
            Ok(LostCards::decode(&bytes, &keys).map_or(0, |list| list.serial))
        };
        let kept = held().and_then(|held| {
            if list.serial <= held {
                return self.stock.lost_cards_are_settled();
            }
            tracing::warn!(
                serial = list.serial,
                held,
                "the broker holds a newer list of lost cards than the stock: it is taken over"
            );
            self.stock.set_lost_cards(bytes)
        });
        if let Err(error) = kept {
            tracing::error!(error = format!("{error:#}"), "the list of lost cards at the broker cannot be taken over");
        }
    }
}
