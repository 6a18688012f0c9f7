//! Plays rhythms on lamps, on a thread of its own.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Lamps, Light, LightError, Lit, Pattern};

/// How long a refused setting waits for the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// A light: lamps and the thread that plays on them. Dropping it leaves the lamps dark.
#[derive(Debug)]
pub struct Player {
    patterns: Option<Sender<Pattern>>,
    failures: Receiver<LightError>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Starts playing on `lamps`, dark until the first pattern.
    ///
    /// # Errors
    /// The lamps cannot be darkened, or no thread.
    pub fn start(mut lamps: impl Lamps + 'static) -> Result<Self, LightError> {
        lamps.set(Lit::DARK)?;
        let (patterns, orders) = mpsc::channel();
        // One failure is enough to tell: more of them would say the same.
        let (tell, failures) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("examgate-light".into())
            .spawn(move || {
                play(&mut lamps, &orders, |failure| drop(tell.try_send(failure)));
                if let Err(failure) = lamps.set(Lit::DARK) {
                    tracing::warn!(%failure, "the light stays lit");
                }
            })
            .map_err(LightError::StartThread)?;
        Ok(Self { patterns: Some(patterns), failures, thread: Some(thread) })
    }
}

impl Light for Player {
    fn show(&mut self, pattern: Pattern) -> Result<(), LightError> {
        let failure = self.failures.try_recv();
        let patterns = self.patterns.as_ref().expect("only drop takes the sender");
        patterns.send(pattern).map_err(|_| LightError::ThreadEnded)?;
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.patterns = None;
        if let Some(thread) = self.thread.take() {
            // A panic on that thread has been reported by the panic hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Plays what it is ordered to until nobody can order any more.
fn play(lamps: &mut impl Lamps, orders: &Receiver<Pattern>, tell: impl Fn(LightError)) {
    let Ok(mut pattern) = orders.recv() else { return };
    let mut at = 0;
    loop {
        let rhythm = pattern.rhythm();
        let step = rhythm.steps[at];
        let (wait, next) = match lamps.set(step.lit) {
            Ok(()) => (step.lasts, rhythm.after(at)),
            Err(failure) => {
                tell(failure);
                (RETRY, Some(at))
            }
        };
        let order = match next {
            Some(_) => orders.recv_timeout(wait),
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match (order, next) {
            (Ok(ordered), _) => (pattern, at) = (ordered, 0),
            (Err(RecvTimeoutError::Timeout), Some(next)) => at = next,
            (Err(RecvTimeoutError::Timeout), None) | (Err(RecvTimeoutError::Disconnected), _) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::light::SimulatedLamps;

    fn lit(pattern: Pattern, step: usize) -> Lit {
        pattern.rhythm().steps[step].lit
    }

    #[test]
    fn plays_the_rhythm_and_leaves_the_lamps_dark() {
        let (lamps, seen) = SimulatedLamps::watched();
        let mut light = Player::start(lamps).unwrap();
        assert_eq!(seen.recv().unwrap(), Lit::DARK);
        light.show(Pattern::Deny).unwrap();
        for step in 0..4 {
            assert_eq!(seen.recv().unwrap(), lit(Pattern::Deny, step), "step {step}");
        }
        light.show(Pattern::Admit).unwrap();
        for step in 0..2 {
            assert_eq!(seen.recv().unwrap(), lit(Pattern::Admit, step), "step {step}");
        }
        drop(light);
        assert_eq!(seen.recv().unwrap(), Lit::DARK);
        assert!(seen.recv().is_err());
    }

    #[test]
    fn a_new_pattern_interrupts_the_old() {
        let (lamps, seen) = SimulatedLamps::watched();
        let mut light = Player::start(lamps).unwrap();
        // Idle's first step lasts nearly five seconds: waiting it out would fail the time limit below.
        light.show(Pattern::Idle).unwrap();
        light.show(Pattern::Refer).unwrap();
        let wanted = lit(Pattern::Refer, 0);
        let mut last = Lit::DARK;
        while last != wanted {
            last = seen.recv_timeout(Duration::from_secs(2)).unwrap();
        }
    }

    struct Broken;

    impl Lamps for Broken {
        fn set(&mut self, lit: Lit) -> Result<(), LightError> {
            if lit == Lit::DARK { Ok(()) } else { Err(LightError::NoSuchPin { pin: 99 }) }
        }
    }

    #[test]
    fn a_failure_is_told_at_a_later_order() {
        let mut light = Player::start(Broken).unwrap();
        light.show(Pattern::Admit).unwrap();
        let failure = loop {
            if let Err(failure) = light.show(Pattern::Deny) {
                break failure;
            }
            thread::yield_now();
        };
        assert!(failure.to_string().contains("99"), "{failure}");
    }
}
