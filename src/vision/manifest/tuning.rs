//! What suits one machine: which of the manifest's nets plays a part there, on which provider, with how many threads.
//!
//! Measured by `examgate doctor --tune`, kept in a file that the configuration names. It only chooses among what the manifest allows: a
//! file that names another machine, another net or other bytes is refused, and the manifest holds.

use serde::{Deserialize, Serialize};

use super::{Digest, EmbedderSpec, Manifest, NetSpec, Provider};

/// How far more a stand-in may fail than the net it stands for, in false non-matches at an equal rate of false matches, with 97.5 %
/// confidence: half a percentage point is one more second look in two hundred.
const RELEVANT_LOSS: f32 = 0.005;

/// A stand-in's loss against the net it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// False non-match rate over that of the net it stands for, at the same false match rate: how much higher.
    pub fnmr: f32,
    /// Upper end of its 95 % interval, by a paired bootstrap over people.
    pub upper: f32,
}

impl Loss {
    /// Whether the interval rules out a loss that matters.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.fnmr <= self.upper && self.upper <= RELEVANT_LOSS
    }
}

/// A net that may stand for the manifest's embedder.
#[derive(Clone, Debug)]
pub struct StandIn {
    /// The embedder; its space is that of the one it stands for.
    pub embedder: EmbedderSpec,
    /// What it loses.
    pub loss: Loss,
}

/// How one net is run on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// Its name in the manifest.
    pub model: String,
    /// Its hash there.
    pub sha256: Digest,
    /// What runs it.
    pub provider: Provider,
    /// On how many threads.
    pub threads: usize,
}

/// What suits this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The processor and how many of them.
    pub machine: String,
    /// The embedder.
    pub embed: Tuned,
    /// The presentation-attack net.
    pub liveness: Tuned,
}

/// Why a tuning does not apply.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("the tuning is not as it should be")]
    Syntax(#[source] Box<toml::de::Error>),
    /// Measured elsewhere.
    #[error("it was measured on {measured}, this is {here}")]
    Machine {
        /// The machine it was measured on.
        measured: String,
        /// What this is.
        here: String,
    },
    /// The manifest has no such net for this part.
    #[error("the manifest lets no {model} of this hash play {part}")]
    Net {
        /// Its name.
        model: String,
        /// The part of the box.
        part: &'static str,
    },
}

impl Tuning {
    /// Reads what [`Tuning::text`] wrote.
    ///
    /// # Errors
    /// When it is not of that shape.
    pub fn parse(text: &str) -> Result<Self, TuningError> {
        toml::from_str(text).map_err(|error| TuningError::Syntax(Box::new(error)))
    }

    /// As TOML.
    #[must_use]
    pub fn text(&self) -> String {
        let body = toml::to_string_pretty(self).expect("names and numbers are TOML");
        format!("# Written by `examgate doctor --tune`: measured on this machine, worthless on another.\n{body}")
    }
}

impl Manifest {
    /// The manifest as it suits the machine called `here`.
    ///
    /// # Errors
    /// When the tuning is of another machine, or names what the manifest does not allow.
    pub fn tuned(mut self, tuning: &Tuning, here: &str) -> Result<Self, TuningError> {
        if tuning.machine != here {
            return Err(TuningError::Machine { measured: tuning.machine.clone(), here: here.to_owned() });
        }
        if tuning.embed.model != self.embedder.net.name {
            let wanted = |one: &&StandIn| one.embedder.net.name == tuning.embed.model && one.loss.is_small();
            if let Some(found) = self.stand_ins.iter().find(wanted) {
                self.embedder = found.embedder.clone();
            }
        }
        apply(&mut self.embedder.net, &tuning.embed, "embed")?;
        apply(&mut self.liveness.net, &tuning.liveness, "liveness")?;
        Ok(self)
    }
}

fn apply(net: &mut NetSpec, tuned: &Tuned, part: &'static str) -> Result<(), TuningError> {
    if net.name != tuned.model || net.sha256 != tuned.sha256 || tuned.threads == 0 {
        return Err(TuningError::Net { model: tuned.model.clone(), part });
    }
    // The manifest's own provider stands in where the measured one fails.
    if tuned.provider != net.provider {
        net.fallback = Some(net.provider);
    }
    net.provider = tuned.provider;
    net.threads = Some(tuned.threads);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::parse(include_str!("../../../models/manifest.toml")).expect("the shipped manifest is sound")
    }

    fn tuning(manifest: &Manifest) -> Tuning {
        let tuned =
            |net: &NetSpec| Tuned { model: net.name.clone(), sha256: net.sha256, provider: Provider::Cpu, threads: 2 };
        let stand_in = manifest.stand_ins.first().expect("the shipped manifest has one");
        Tuning {
            machine: "Z80 x 1".into(),
            embed: tuned(&stand_in.embedder.net),
            liveness: tuned(&manifest.liveness.net),
        }
    }

    #[test]
    fn a_tuning_chooses_among_what_the_manifest_allows() {
        let tuning = tuning(&manifest());
        assert_eq!(Tuning::parse(&tuning.text()).unwrap(), tuning);
        let tuned = manifest().tuned(&tuning, "Z80 x 1").unwrap();
        let net = &tuned.embedder.net;
        assert_eq!((net.name.as_str(), net.provider, net.threads), ("mobilefacenet-int8", Provider::Cpu, Some(2)));
        assert_eq!(net.fallback, Some(Provider::Openvino));
        assert_eq!(tuned.embedder.space, manifest().embedder.space, "rosters keep their worth");
        assert!(tuned.embedder.artifact() != manifest().embedder.artifact());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let good = tuning(&manifest());
        assert!(matches!(manifest().tuned(&good, "Z80 x 2"), Err(TuningError::Machine { .. })));
        let mut other = good.clone();
        other.embed.sha256 = manifest().liveness.net.sha256;
        assert!(matches!(manifest().tuned(&other, "Z80 x 1"), Err(TuningError::Net { part: "embed", .. })));
        let mut lossy = manifest();
        lossy.stand_ins[0].loss.upper = 0.1;
        assert!(matches!(lossy.tuned(&good, "Z80 x 1"), Err(TuningError::Net { part: "embed", .. })));
        assert!(matches!(Tuning::parse("machine = 3"), Err(TuningError::Syntax(_))));
    }
}
