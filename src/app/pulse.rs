//! Watches the parts (threads and tasks) of a running box: reports a part that ends, and a part that sends no heartbeat for too long.
//!
//! Without it, a part that panics or returns would go unnoticed unless another part waits for it. What follows from
//! an end or a silence is for the composition root to say. Nothing here waits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt as _;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{Instant, interval},
};

/// How often a task that only waits is looked at.
const TURN: Duration = Duration::from_secs(1);

/// All parts.
pub(super) struct Parts {
    start: Instant,
    watched: Mutex<Vec<Watched>>,
    ended: UnboundedSender<anyhow::Error>,
}

/// One part and its last sign of life.
struct Watched {
    name: &'static str,
    limit: Duration,
    beat: Beat,
}

/// What a part shows that it is alive with.
#[derive(Clone)]
pub(super) struct Beat {
    #[cfg(feature = "sim")]
    name: &'static str,
    start: Instant,
    /// Milliseconds since the start.
    last: Arc<AtomicU64>,
}

impl Beat {
    #[cfg_attr(not(feature = "sim"), expect(unused_variables, reason = "only a simulation makes parts panic by name"))]
    fn new(name: &'static str, start: Instant) -> Self {
        let beat = Self {
            #[cfg(feature = "sim")]
            name,
            start,
            last: Arc::default(),
        };
        beat.tick_at(start.elapsed());
        beat
    }

    /// Alive now.
    pub(super) fn tick(&self) {
        #[cfg(feature = "sim")]
        crate::rig::strings::panic_if_pulled(self.name);
        self.tick_at(self.start.elapsed());
    }

    fn tick_at(&self, since_start: Duration) {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(millis, Ordering::Relaxed);
    }

    fn silent_for(&self, since_start: Duration) -> Duration {
        since_start.saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

/// A part that shows no sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has shown no sign of life for {for_long:?}, and {limit:?} is the longest it may take")]
pub(super) struct Silent {
    /// Which.
    pub(super) name: &'static str,
    /// For how long.
    pub(super) for_long: Duration,
    /// What it was allowed.
    pub(super) limit: Duration,
}

impl Parts {
    /// None yet; the receiver hears of each one's end, and why.
    pub(super) fn new() -> (Self, UnboundedReceiver<anyhow::Error>) {
        let (ended, ends) = unbounded_channel();
        (Self { start: Instant::now(), watched: Mutex::default(), ended }, ends)
    }

    /// A part that beats itself, at least once in `limit`.
    fn watch(&self, name: &'static str, limit: Duration) -> Beat {
        let beat = Beat::new(name, self.start);
        let watched = Watched { name, limit, beat: beat.clone() };
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(watched);
        beat
    }

    /// Starts a thread that is to beat at least once in `limit`.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub(super) fn thread(
        &self,
        name: &'static str,
        limit: Duration,
        work: impl FnOnce(Beat) -> Result<()> + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        let (beat, ended) = (self.watch(name, limit), self.ended.clone());
        let whole = move || {
            let how = catch_unwind(AssertUnwindSafe(|| work(beat)));
            // Nobody listens only when the box is stopping already.
            let _ = ended.send(end(name, how));
        };
        thread::Builder::new().name(name.into()).spawn(whole).with_context(|| format!("cannot start thread {name}"))
    }

    /// Starts a task. It beats by being looked at: one that blocks its thread stops, one that waits does not.
    pub(super) fn task(
        &self,
        tasks: &mut JoinSet<()>,
        name: &'static str,
        limit: Duration,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let (beat, ended) = (self.watch(name, limit), self.ended.clone());
        tasks.spawn(async move {
            let beating = async {
                let mut work = std::pin::pin!(work);
                let mut turns = interval(TURN);
                loop {
                    tokio::select! {
                        () = work.as_mut() => break,
                        _ = turns.tick() => beat.tick(),
                    }
                }
            };
            let how = AssertUnwindSafe(beating).catch_unwind().await;
            let _ = ended.send(end(name, how.map(Ok)));
        });
    }

    /// The part that has been silent beyond its limit for longest.
    pub(super) fn silent(&self) -> Option<Silent> {
        self.silent_at(self.start.elapsed())
    }

    fn silent_at(&self, since_start: Duration) -> Option<Silent> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let over = watched.iter().filter_map(|&Watched { name, limit, ref beat }| {
            let for_long = beat.silent_for(since_start);
            (for_long > limit).then_some(Silent { name, for_long, limit })
        });
        over.max_by_key(|silent| silent.for_long.saturating_sub(silent.limit))
    }
}

/// How a part ended, in words.
fn end(name: &str, how: thread::Result<Result<()>>) -> anyhow::Error {
    match how {
        Ok(Ok(())) => anyhow!("{name} has ended, and nobody told it to"),
        Ok(Err(cause)) => cause.context(format!("{name} cannot go on")),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            anyhow!("{name} panicked ({}): this is a fault of the program", text.unwrap_or_else(|| "no words".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    async fn told(ends: &mut UnboundedReceiver<anyhow::Error>) -> String {
        let told = tokio::time::timeout(Duration::from_secs(30), ends.recv()).await;
        format!("{:#}", told.expect("it is told").expect("somebody is left to tell"))
    }

    #[tokio::test]
    async fn a_thread_that_panics_fails_or_returns_is_told_by_name() {
        let (parts, mut ends) = Parts::new();
        for (work, says) in [
            ((|| panic!("nothing at {}", 7)) as fn() -> Result<()>, "the store panicked (nothing at 7)"),
            (|| panic!("plain"), "(plain)"),
            (|| Err(anyhow!("no disk")), "the store cannot go on: no disk"),
            (|| Ok(()), "the store has ended"),
        ] {
            let thread = parts.thread("the store", LIMIT, move |_| work()).expect("a thread");
            let said = told(&mut ends).await;
            assert!(said.contains(says), "{said}");
            assert!(thread.join().is_ok(), "the panic went no further");
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_told_by_name() {
        let (parts, mut ends) = Parts::new();
        let mut tasks = JoinSet::new();
        parts.task(&mut tasks, "the light", LIMIT, async { panic!("no lamp") });
        assert!(told(&mut ends).await.contains("the light panicked (no lamp)"));
        parts.task(&mut tasks, "the mirror", LIMIT, async {});
        assert!(told(&mut ends).await.contains("the mirror has ended"));
        parts.task(&mut tasks, "the screen", LIMIT, std::future::pending());
        tasks.shutdown().await;
        assert!(ends.try_recv().is_err(), "whoever is stopped has not ended by itself");
    }

    #[tokio::test]
    async fn who_is_silent_beyond_its_limit_is_named_and_only_then() {
        let (parts, _ends) = Parts::new();
        let (quick, slow) = (parts.watch("quick", Duration::from_secs(10)), parts.watch("slow", LIMIT));
        let silent_at = |second| parts.silent_at(Duration::from_secs(second)).map(|silent| silent.name);
        for second in 1..=10 {
            assert_eq!(silent_at(second), None, "the limit itself is allowed");
        }
        let silent = parts.silent_at(Duration::from_secs(11)).expect("quick is over");
        assert_eq!((silent.name, silent.for_long.as_secs(), silent.limit.as_secs()), ("quick", 11, 10));
        quick.tick_at(Duration::from_secs(15));
        assert_eq!(silent_at(20), None, "it lives again");
        assert_eq!(silent_at(31), Some("quick"), "16 of 10 s go further beyond than 31 of 30");
        quick.tick_at(Duration::from_secs(30));
        assert_eq!(silent_at(31), Some("slow"));
        slow.tick_at(Duration::from_secs(31));
        assert_eq!(silent_at(40), None);
    }

    #[tokio::test]
    async fn a_disk_that_stalls_for_half_a_minute_starts_nothing_again() {
        use super::super::limit;
        for limit in [limit::LOOKUP, limit::STORE] {
            assert!(limit >= 2 * Duration::from_secs(30), "{limit:?}");
        }
    }

    #[tokio::test]
    async fn a_task_that_waits_beats() {
        let (parts, _ends) = Parts::new();
        let mut tasks = JoinSet::new();
        parts.task(&mut tasks, "waits", Duration::from_millis(1), std::future::pending());
        let first = parts.silent_at(Duration::from_secs(3600)).expect("silent in an hour").for_long;
        let later = async {
            while parts.silent_at(Duration::from_secs(3600)).is_some_and(|silent| silent.for_long >= first) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), later).await.expect("it beats though nothing happens");
        tasks.shutdown().await;
    }
}
