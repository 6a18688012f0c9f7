//! What each answer looks like: rhythm tables, pure data.
//!
//! Each pattern has one colour (or all lamps at once) and a rhythm of its own, so that colour-blind people can tell the answers
//! apart. Calm: never more than three flashes per second (WCAG 2.2, 2.3.1).

use std::time::Duration;

/// What the light can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Ready for a card: dark, a green blip now and then.
    Idle,
    /// Looking at the face: amber, breathing.
    Looking,
    /// Come in: green, steady, one beep.
    Admit,
    /// Not here: red, double pulses, two beeps.
    Deny,
    /// Please see the proctor: amber, long pulses.
    Refer,
    /// The box is unwell: red, a short flash now and then.
    Fault,
    /// Out of service: amber, a short double flash now and then.
    Drained,
    /// This is the box that was asked for: all lamps, three flashes and a pause.
    Identify,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Idle, Self::Looking, Self::Admit, Self::Deny, Self::Refer, Self::Fault, Self::Drained, Self::Identify];

    /// How it is played.
    #[must_use]
    pub const fn rhythm(self) -> Rhythm {
        match self {
            Self::Idle => IDLE,
            Self::Looking => LOOKING,
            Self::Admit => ADMIT,
            Self::Deny => DENY,
            Self::Refer => REFER,
            Self::Fault => FAULT,
            Self::Drained => DRAINED,
            Self::Identify => IDENTIFY,
        }
    }
}

/// Which lamps are lit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lit {
    /// Red lamp.
    pub red: bool,
    /// Green lamp.
    pub green: bool,
    /// Amber lamp.
    pub amber: bool,
    /// Buzzer.
    pub buzzer: bool,
}

impl Lit {
    /// Nothing.
    pub const DARK: Self = Self { red: false, green: false, amber: false, buzzer: false };
    const RED: Self = Self { red: true, ..Self::DARK };
    const GREEN: Self = Self { green: true, ..Self::DARK };
    const AMBER: Self = Self { amber: true, ..Self::DARK };
    /// No answer lights more than one lamp.
    const ALL: Self = Self { red: true, green: true, amber: true, buzzer: false };

    const fn beeping(self) -> Self {
        Self { buzzer: true, ..self }
    }
}

/// These lamps for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is lit.
    pub lit: Lit,
    /// For how long.
    pub lasts: Duration,
}

/// What follows the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The first step again.
    Whole,
    /// From this step on, so that a beep comes once.
    From(usize),
    /// The last step stays.
    Never,
}

/// A pattern's steps, in order. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// The steps.
    pub steps: &'static [Step],
    /// What follows the last step.
    pub repeat: Repeat,
}

impl Rhythm {
    /// The step after `step`, if any is to follow.
    #[must_use]
    pub const fn after(&self, step: usize) -> Option<usize> {
        if step + 1 < self.steps.len() {
            return Some(step + 1);
        }
        match self.repeat {
            Repeat::Whole => Some(0),
            Repeat::From(first) => Some(first),
            Repeat::Never => None,
        }
    }
}

const fn step(lit: Lit, millis: u64) -> Step {
    Step { lit, lasts: Duration::from_millis(millis) }
}

const IDLE: Rhythm = Rhythm { steps: &[step(Lit::DARK, 4900), step(Lit::GREEN, 100)], repeat: Repeat::Whole };
const LOOKING: Rhythm = Rhythm { steps: &[step(Lit::AMBER, 500), step(Lit::DARK, 500)], repeat: Repeat::Whole };
const ADMIT: Rhythm =
    Rhythm { steps: &[step(Lit::GREEN.beeping(), 150), step(Lit::GREEN, 1000)], repeat: Repeat::Never };
const DENY: Rhythm = Rhythm {
    steps: &[
        step(Lit::RED.beeping(), 250),
        step(Lit::DARK, 250),
        step(Lit::RED.beeping(), 250),
        step(Lit::DARK, 1000),
        step(Lit::RED, 250),
        step(Lit::DARK, 250),
        step(Lit::RED, 250),
        step(Lit::DARK, 1000),
    ],
    repeat: Repeat::From(4),
};
const REFER: Rhythm = Rhythm {
    steps: &[
        step(Lit::AMBER.beeping(), 400),
        step(Lit::AMBER, 1200),
        step(Lit::DARK, 400),
        step(Lit::AMBER, 1600),
        step(Lit::DARK, 400),
    ],
    repeat: Repeat::From(3),
};
const FAULT: Rhythm = Rhythm { steps: &[step(Lit::RED, 120), step(Lit::DARK, 1880)], repeat: Repeat::Whole };
const DRAINED: Rhythm = Rhythm {
    steps: &[step(Lit::AMBER, 120), step(Lit::DARK, 280), step(Lit::AMBER, 120), step(Lit::DARK, 3480)],
    repeat: Repeat::Whole,
};
const IDENTIFY: Rhythm = Rhythm {
    steps: &[
        step(Lit::ALL, 200),
        step(Lit::DARK, 200),
        step(Lit::ALL, 200),
        step(Lit::DARK, 200),
        step(Lit::ALL, 200),
        step(Lit::DARK, 800),
    ],
    repeat: Repeat::Whole,
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_lit(lit: Lit) -> bool {
        lit.red || lit.green || lit.amber
    }

    /// Lit or dark and for how long, over ten seconds, without colour: what a colour-blind student sees.
    fn seen_without_colour(pattern: Pattern) -> Vec<(bool, Duration)> {
        let rhythm = pattern.rhythm();
        let (mut at, mut spans, mut total) = (Some(0), Vec::<(bool, Duration)>::new(), Duration::ZERO);
        while total < Duration::from_secs(10) {
            let (lit, lasts) = match at {
                Some(step) => (is_lit(rhythm.steps[step].lit), rhythm.steps[step].lasts),
                None => (is_lit(rhythm.steps.last().unwrap().lit), Duration::from_secs(1)),
            };
            match spans.last_mut() {
                Some((same, span)) if *same == lit => *span += lasts,
                _ => spans.push((lit, lasts)),
            }
            total += lasts;
            at = at.and_then(|step| rhythm.after(step));
        }
        spans
    }

    #[test]
    fn every_pattern_can_be_told_by_its_rhythm_alone() {
        let seen: HashSet<_> = Pattern::ALL.into_iter().map(seen_without_colour).collect();
        assert_eq!(seen.len(), Pattern::ALL.len());
    }

    #[test]
    fn no_pattern_flashes_more_than_three_times_a_second() {
        for pattern in Pattern::ALL {
            let spans = seen_without_colour(pattern);
            for window in spans.windows(2) {
                let cycle = window[0].1 + window[1].1;
                assert!(cycle >= Duration::from_millis(334), "{pattern:?}: {window:?}");
            }
        }
    }

    #[test]
    fn every_pattern_has_one_colour_and_beeps_once_round() {
        for pattern in Pattern::ALL {
            let rhythm = pattern.rhythm();
            let colours: HashSet<_> =
                rhythm.steps.iter().map(|step| Lit { buzzer: false, ..step.lit }).filter(|&lit| is_lit(lit)).collect();
            assert_eq!(colours.len(), 1, "{pattern:?}");
            let first_again = match rhythm.repeat {
                Repeat::Whole => 0,
                Repeat::From(first) => first,
                Repeat::Never => rhythm.steps.len() - 1,
            };
            assert!(rhythm.steps[first_again..].iter().all(|step| !step.lit.buzzer), "{pattern:?} beeps on and on");
        }
    }

    #[test]
    fn only_admit_is_ever_steady() {
        for pattern in Pattern::ALL {
            assert_eq!(pattern.rhythm().repeat == Repeat::Never, pattern == Pattern::Admit, "{pattern:?}");
        }
    }
}
