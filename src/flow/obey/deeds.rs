//! What each command does. It never judges whether a command is carried out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};

use crate::{
    domain::{Command, DeviceId, WithSources},
    flow::{
        Happened,
        fetch::Rotation,
        renew::{Order, Renewed},
    },
    store::DrainMark,
};

/// How long light and screen show the box's name.
const IDENTIFIED_FOR: Duration = Duration::from_secs(15);

/// How long a part of the box may take to do its share.
const WITHIN: Duration = Duration::from_secs(30);

/// How long a verification may take to come to its end before the box starts again all the same: three capture windows, a challenge and
/// the answer's time are less.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// What the verification is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToDoor {
    /// Show the box's name at rest.
    Identify {
        /// Its name.
        device: DeviceId,
        /// For how long.
        lasts: Duration,
    },
    /// Take no more taps.
    Drain,
    /// Take taps again.
    Resume,
}

/// What commands act on.
pub struct Deeds {
    /// The verification.
    pub happened: SyncSender<Happened>,
    /// Whether the box is out of service.
    pub drained: DrainMark,
    /// Looks at the parts of the box; a JSON array of findings. May block.
    pub doctor: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the box could start with the configuration that is on disk; if not, why. May block.
    pub rehearse: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Ends the box in order, so that it is started again.
    pub restart: Arc<Notify>,
    /// Makes prekeys.
    pub rotate: mpsc::Sender<Rotation>,
    /// Gets a new certificate; `None`: the configuration names no endpoint.
    pub renew: Option<mpsc::Sender<Order>>,
    /// Set once a command made the box ready to start again.
    pub leaves: AtomicBool,
}

impl Deeds {
    /// Carries a command out. JSON that says more, or why it could not be done.
    pub(super) async fn carry_out(&self, command: Command, device: &DeviceId, by: &str) -> Result<String, String> {
        match command {
            Command::Identify => {
                let seconds = IDENTIFIED_FOR.as_secs();
                let shows = ToDoor::Identify { device: device.clone(), lasts: IDENTIFIED_FOR };
                Ok(json!({ "seconds": seconds, "verifying": self.tell(shows).await? }).to_string())
            }
            Command::Doctor => {
                let doctor = Arc::clone(&self.doctor);
                blocking(move || Ok(doctor())).await
            }
            Command::Drain => {
                let (mark, text) = (self.drained.clone(), format!("by a command of the fleet {by}"));
                blocking(move || mark.set(text.trim()).map_err(|error| WithSources(&error).to_string())).await?;
                Ok(json!({ "verifying": self.tell(ToDoor::Drain).await? }).to_string())
            }
            Command::Resume => {
                let mark = self.drained.clone();
                blocking(move || mark.clear().map_err(|error| WithSources(&error).to_string())).await?;
                Ok(json!({ "verifying": self.tell(ToDoor::Resume).await? }).to_string())
            }
            Command::Reload => {
                let rehearse = Arc::clone(&self.rehearse);
                blocking(move || rehearse()).await?;
                // The rest follows once this is answered.
                let verifying = self.tell(ToDoor::Drain).await?;
                self.leaves.store(true, Ordering::Relaxed);
                Ok(json!({ "restarts": true, "verifying": verifying }).to_string())
            }
            Command::Rotate => {
                let recipient = self.rotate_prekey().await?;
                let said = match self.renew_keys().await {
                    Err(why) => json!({ "recipient": recipient, "certificate_kept": why }),
                    Ok(Renewed { until, signing: Err(why) }) => json!({
                        "recipient": recipient, "certificate_until": until, "signing_key_kept": WithSources(&why).to_string(),
                    }),
                    Ok(Renewed { until, signing: Ok(next) }) => {
                        // It signs from the next start on, which follows once this is answered.
                        self.leaves.store(true, Ordering::Relaxed);
                        let verifying = self.tell(ToDoor::Drain).await.unwrap_or_default();
                        json!({ "recipient": recipient, "certificate_until": until, "signing_key": next,
                            "restarts": true, "verifying": verifying })
                    }
                };
                Ok(said.to_string())
            }
        }
    }

    /// Whom bundles are to be sealed to from now on.
    async fn rotate_prekey(&self) -> Result<String, String> {
        let (told, made) = oneshot::channel();
        self.rotate.try_send(told).map_err(|_| "the driver of rosters takes nothing now".to_owned())?;
        match timeout(WITHIN, made).await {
            Ok(Ok(Ok(recipient))) => Ok(recipient),
            Ok(Ok(Err(error))) => Err(WithSources(&error).to_string()),
            Ok(Err(_)) | Err(_) => Err("the driver of rosters does not answer".into()),
        }
    }

    /// What came of new keys, or why there is no new certificate.
    async fn renew_keys(&self) -> Result<Renewed, String> {
        let Some(renew) = &self.renew else { return Err("`enrolment` under [uplink] is not set".into()) };
        let (told, made) = oneshot::channel();
        renew.try_send(told).map_err(|_| "another renewal is under way".to_owned())?;
        match timeout(WITHIN, made).await {
            Ok(Ok(Ok(renewed))) => Ok(renewed),
            Ok(Ok(Err(fault))) => Err(WithSources(&fault).to_string()),
            Ok(Err(_)) | Err(_) => Err("the fleet's enrolment endpoint does not answer in time".into()),
        }
    }

    /// Ends the box as soon as nobody is verified, after a reload was answered. Does not return.
    pub(super) async fn leave(&self) {
        let (waits, rested) = oneshot::channel();
        let asked = self.happened.try_send(Happened::RestAwaited(waits));
        if asked.is_err() || timeout(REST_WITHIN, rested).await.is_err() {
            tracing::warn!("the box starts again in the middle of a verification that does not end");
        }
        self.restart.notify_one();
        // Nothing more is obeyed: the box ends.
        std::future::pending::<()>().await;
    }

    /// Whether somebody is verified just now.
    async fn tell(&self, what: ToDoor) -> Result<bool, String> {
        let (told, heard) = oneshot::channel();
        match self.happened.try_send(Happened::Told(what, told)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err("the verification does not keep up".into()),
            Err(TrySendError::Disconnected(_)) => return Err("the box is stopping".into()),
        }
        match timeout(WITHIN, heard).await {
            Ok(Ok(verifying)) => Ok(verifying),
            Ok(Err(_)) | Err(_) => Err("the verification does not answer".into()),
        }
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    match timeout(WITHIN, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err("it takes too long: does the disk hang?".into()),
    }
}
