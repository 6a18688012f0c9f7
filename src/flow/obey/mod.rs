//! Carries out the fleet's commands, and answers. Its own task; one command after the other.
//!
//! ```text
//! arrived ──► signature ──► judge ──► record ──► carry out ──► answer
//! ```
//!
//! A command counts when one of the box's command keys signed it for this box, its time has come and is not over, and the key has the
//! right to it. What is accepted is on disk, under the command's own id, before anything is done: an id that is there came before. What
//! a command key signed and is refused is recorded, too; whatever else comes is counted in the log, and never answered.

mod deeds;
mod judge;

use std::{
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot, watch};

pub use self::deeds::{Deeds, ToDoor};
use self::judge::{Flood, judge};
use super::{
    By, Submitted,
    trust::{Commander, FleetKeysView},
    verify::new_event_id,
};
use crate::{
    domain::{
        CommandId, CommandOutcome, CommandRefusal, Commanded, DeviceId, Event, EventId, EventKind, RoomId, WithSources,
    },
    edge::{
        clock::Clock,
        mqtt::{Arrived, Link},
    },
    store::EventError,
    wire::{
        command::{CommandAnswer, Reply, Statement},
        keys::{PublicKey, SigningKey},
        topic::DeviceTopic,
    },
};

/// Most commands that wait. What comes beyond is dropped, and whoever gave it hears nothing.
pub const WAITING: usize = 8;

/// How long the broker keeps an answer for whoever asked.
const ANSWER_LASTS: Duration = Duration::from_secs(60);

/// Longest correlation data that is sent back, bytes.
const LONGEST_CORRELATION: usize = 64;

/// Who this box is, and whose commands count.
pub struct Party {
    /// The box.
    pub device: DeviceId,
    /// The room whose door it guards.
    pub room: RoomId,
    /// Signs its answers.
    pub key: SigningKey,
    /// Whose commands count.
    pub fleet: FleetKeysView,
}

/// The line as this driver uses it.
pub struct Connected {
    /// How the link stands.
    pub link: watch::Receiver<Link>,
    /// What came on the box's command topic.
    pub arrivals: mpsc::Receiver<Arrived>,
}

/// The driver of one box's commands.
pub struct Obey {
    party: Party,
    connected: Connected,
    clock: Arc<dyn Clock>,
    events: SyncSender<Submitted>,
    deeds: Deeds,
    flood: Flood,
    unsigned: Flood,
}

/// A command that a command key signed.
struct Given {
    statement: Statement,
    by: Commander,
    correlation: Option<Vec<u8>>,
}

impl Obey {
    /// Prepares. What is commanded goes to `events`, and is done by `deeds`.
    #[must_use]
    pub fn new(
        party: Party,
        connected: Connected,
        clock: Arc<dyn Clock>,
        events: SyncSender<Submitted>,
        deeds: Deeds,
    ) -> Self {
        Self { party, connected, clock, events, deeds, flood: Flood::default(), unsigned: Flood::default() }
    }

    /// Obeys until `closing`, in the middle of whatever it does then.
    pub async fn run(mut self, closing: Arc<Notify>) {
        tokio::select! {
            () = closing.notified() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        while let Some(arrived) = self.connected.arrivals.recv().await {
            self.arrived(&arrived).await;
        }
    }

    async fn arrived(&mut self, arrived: &Arrived) {
        let Some(given) = self.believed(&arrived.payload, arrived.correlation.clone()) else { return };
        let reply = self.obey(&given).await;
        self.answer(&given, reply);
        if self.deeds.leaves.load(Ordering::Relaxed) {
            self.deeds.leave().await;
        }
    }

    /// A command that a command key signed; `None` for whatever else comes, and for what comes too fast.
    fn believed(&mut self, payload: &[u8], correlation: Option<Vec<u8>>) -> Option<Given> {
        let counting = Arc::clone(&self.party.fleet.borrow());
        let keys: Vec<PublicKey> = counting.commanders.iter().map(|commander| commander.key).collect();
        let now = self.clock.mono();
        let (statement, place) = match Statement::decode(payload, &keys) {
            Ok(read) => read,
            Err(error) => {
                if let Some(times) = self.unsigned.pass_over(now) {
                    tracing::error!(%error, times, "alarm: what came as a command is none, and was not answered");
                }
                return None;
            }
        };
        if !self.flood.has_room(now) {
            if let Some(times) = self.flood.pass_over(now) {
                tracing::error!(times, "alarm: commands come faster than anybody gives them; they were passed over");
            }
            return None;
        }
        let correlation = correlation.filter(|data| data.len() <= LONGEST_CORRELATION);
        Some(Given { statement, by: counting.commanders[place].clone(), correlation })
    }

    async fn obey(&mut self, given: &Given) -> Reply {
        let Given { statement, by, .. } = given;
        let judged = judge(statement, by, &self.party.device, (self.clock.wall(), self.clock.trust()));
        let command = match judged {
            Ok(command) => command,
            Err(why) => return self.refuse(given, why).await,
        };
        // Under its own id: the store takes no id twice, also not after a restart.
        match self.record(given, EventId(statement.id.0), CommandOutcome::Accepted).await {
            Ok(()) => {}
            Err(Some(EventError::Duplicate { .. })) => return self.refuse(given, CommandRefusal::Replayed).await,
            // The writer has said why.
            Err(_) => return Reply::Refused(CommandRefusal::Storage),
        }
        let name = by.name.as_deref().unwrap_or_default();
        tracing::info!(%command, id = %statement.id, by = name, "commanded by the fleet");
        match self.deeds.carry_out(command, &self.party.device, name).await {
            Ok(detail) => Reply::Done(detail),
            Err(why) => {
                tracing::error!(%command, id = %statement.id, why, "a command could not be carried out");
                let outcome = CommandOutcome::Failed(why.clone());
                // That it was accepted is on disk; the answer says the rest.
                let _ = self.record(given, new_event_id(&*self.clock), outcome).await;
                Reply::Failed(why)
            }
        }
    }

    /// Records a refusal once, and says it.
    async fn refuse(&mut self, given: &Given, why: CommandRefusal) -> Reply {
        let id: CommandId = given.statement.id;
        if self.flood.is_new(id, why) {
            tracing::error!(reason = %why, %id, word = given.statement.word, "alarm: a command was refused");
            let _ = self.record(given, new_event_id(&*self.clock), CommandOutcome::Refused(why)).await;
        }
        Reply::Refused(why)
    }

    /// `Err(None)`: the writer does not take it.
    async fn record(&self, given: &Given, id: EventId, answer: CommandOutcome) -> Result<(), Option<EventError>> {
        let Given { statement, by, .. } = given;
        let commanded = Commanded {
            command: statement.id,
            word: statement.word.clone(),
            key: by.key.to_string(),
            by: by.name.clone(),
            issued: statement.issued,
            answer,
        };
        let event = Event {
            id,
            at: self.clock.wall(),
            clock: self.clock.trust(),
            room: self.party.room.clone(),
            kind: EventKind::Commanded(commanded),
        };
        let (told, recorded) = oneshot::channel();
        let submitted = Submitted { event, by: By::Fleet(told) };
        self.events.try_send(submitted).map_err(|_| {
            tracing::error!(command = %statement.id, "the store does not keep up: a command is not recorded");
            None
        })?;
        match recorded.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(None),
        }
    }

    /// On the box's own topic, whatever topic the question names: whoever may write commands shall not make boxes write elsewhere.
    fn answer(&self, given: &Given, reply: Reply) {
        let (device, id) = (self.party.device.clone(), given.statement.id);
        let answer = CommandAnswer { device, id, at: self.clock.wall(), reply };
        let Link::Up(line) = self.connected.link.borrow().clone() else {
            return tracing::warn!(%id, "no line to the broker: a command is not answered");
        };
        let (topic, payload) = (DeviceTopic::Answer.of(&answer.device), answer.encode(&self.party.key));
        if let Err(error) = line.try_answer(topic, payload, given.correlation.clone(), ANSWER_LASTS) {
            tracing::warn!(%id, error = %WithSources(&error), "a command is not answered");
        }
    }
}

#[cfg(test)]
mod tests;
