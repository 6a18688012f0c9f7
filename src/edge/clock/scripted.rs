//! A clock that a script sets.

/// A wall clock set by a script; monotonic time stays real.
#[derive(Debug, Default)]
pub struct ScriptedClock {}
