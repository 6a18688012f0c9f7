//! `doctor --tune`: measures which embedder variant, execution provider and number of threads are fastest on this machine, and saves that.
//!
//! Guards against a choice by chance: candidates run in turns, so that other load affects all of them; a candidate must be clearly
//! faster than what the manifest names, in the median and in most of the rounds; and if the timings vary too much, nothing is
//! written. It does not judge the accuracy of a variant: the manifest holds what was measured, and refuses variants that lose too much.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    machine::{machine, processors},
    models::manifest,
};
use crate::{
    config::Config,
    vision::{NetSpec, Provider, Trial, Tuned, Tuning, VerifiedModels},
};

/// Rounds: in each every candidate runs [`RUNS`] times.
const ROUNDS: usize = 15;
/// Runs of a candidate in a round; the fastest counts, since all that disturbs makes slower.
const RUNS: usize = 8;
/// A candidate must be this much faster than the manifest's choice.
const GAIN: f64 = 1.1;
/// Share of the rounds in which it must be the faster.
const MOST: f64 = 0.8;
/// How far the middle half of a candidate's rounds may spread, over their median, before the machine is called too busy to tell.
const SCATTER: f64 = 0.25;
/// Threads beyond which none of these nets gains.
const MOST_THREADS: usize = 4;

/// One way to run one net, and what it took in each round.
struct Candidate<'a> {
    net: &'a NetSpec,
    provider: Provider,
    threads: usize,
    rounds: Vec<Duration>,
}

impl Candidate<'_> {
    fn milliseconds(&self, share: f64) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
    }

    fn scatter(&self) -> f64 {
        (self.milliseconds(0.75) - self.milliseconds(0.25)) / self.milliseconds(0.5)
    }

    /// Whether this one is worth it instead of `other`: clearly faster, and by half of what its further threads promise.
    fn beats(&self, other: &Self) -> bool {
        let more = self.threads.saturating_sub(other.threads) as f64 / other.threads as f64;
        let wanted = GAIN.max(1.0 + more / 2.0);
        let wins = self.rounds.iter().zip(&other.rounds).filter(|(own, others)| own < others).count();
        other.milliseconds(0.5) >= wanted * self.milliseconds(0.5) && wins as f64 >= MOST * self.rounds.len() as f64
    }

    fn words(&self) -> String {
        let Self { net, provider, threads, .. } = self;
        let (median, scatter) = (self.milliseconds(0.5), self.scatter() * 100.0);
        format!(
            "{:<22} {provider:<9} {threads} thread{} {median:>7.2} ms, middle half within {scatter:.0} %",
            net.name,
            if *threads == 1 { " " } else { "s" }
        )
    }
}

/// Measures, and writes the choice to the file that the configuration names. What was measured and chosen, a line each.
///
/// # Errors
/// When the configuration names no file, a net does not run, or the times scatter too much to tell: then nothing is written.
pub fn tune(config: &Config) -> Result<Vec<String>> {
    let path = config.tuning.as_ref().context(
        "the configuration names no file to write to: set `tuning` to a path, such as /var/lib/examgate/tuning.toml",
    )?;
    let manifest = manifest(&config.models)?;
    let models = manifest.verify(&config.models).context("the models cannot be used")?;
    let mut lines = Vec::new();
    let mut embedders = vec![&manifest.embedder.net];
    for stand_in in &manifest.stand_ins {
        let net = &stand_in.embedder.net;
        let as_pinned = manifest.clone().with_stand_in(&net.name).map(|manifest| manifest.verify(&config.models));
        match as_pinned {
            Some(Ok(_)) if stand_in.loss.is_small() => embedders.push(net),
            Some(Ok(_)) => {
                lines.push(format!("{}: left out, it loses too much against {}", net.name, embedders[0].name))
            }
            Some(Err(why)) => lines.push(format!("{}: left out, {why} (`make quantize` makes it)", net.name)),
            None => {}
        }
    }
    let mut choose = |nets: &[&NetSpec]| -> Result<Tuned> {
        let mut candidates = candidates(nets);
        time(&models, &config.models, &mut candidates)?;
        lines.extend(candidates.iter().map(Candidate::words));
        let chosen = choice(&candidates)?;
        lines.push(format!("chosen: {} on {}, {} thread(s)", chosen.net.name, chosen.provider, chosen.threads));
        Ok(Tuned {
            model: chosen.net.name.clone(),
            sha256: chosen.net.sha256,
            provider: chosen.provider,
            threads: chosen.threads,
        })
    };
    let tuning =
        Tuning { embed: choose(&embedders)?, liveness: choose(&[&manifest.liveness.net])?, machine: machine() };
    std::fs::write(path, tuning.text()).with_context(|| format!("cannot write the tuning {}", path.display()))?;
    lines.push(format!("written to {}: it holds from the next start on", path.display()));
    Ok(lines)
}

/// The manifest's own choice first.
fn candidates<'a>(nets: &[&'a NetSpec]) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    for &net in nets {
        let other = match net.provider {
            Provider::Openvino => Provider::Cpu,
            Provider::Cpu => Provider::Openvino,
        };
        for provider in [net.provider, other] {
            let threads = std::iter::successors(Some(1), |threads| Some(threads * 2));
            for threads in threads.take_while(|&threads| threads <= processors().min(MOST_THREADS)) {
                all.push(Candidate { net, provider, threads, rounds: Vec::new() });
            }
        }
    }
    all
}

#[expect(clippy::disallowed_methods, reason = "this is where a net's time is taken")]
fn time(models: &VerifiedModels, root: &Path, candidates: &mut [Candidate<'_>]) -> Result<()> {
    let path = |net: &NetSpec| -> PathBuf { root.join("models/ready").join(&net.file) };
    let mut trials = candidates
        .iter()
        .map(|one| Trial::open(models, one.net, &path(one.net), one.provider, one.threads))
        .collect::<Result<Vec<_>, _>>()
        .context("a net cannot be tried")?;
    for round in 0..=ROUNDS {
        for (trial, candidate) in trials.iter_mut().zip(&mut *candidates) {
            let mut best = Duration::MAX;
            for _ in 0..RUNS {
                let start = Instant::now();
                trial.run().context("a net cannot be tried")?;
                best = best.min(start.elapsed());
            }
            // The first round warms up.
            if round > 0 {
                candidate.rounds.push(best);
            }
        }
    }
    Ok(())
}

/// The best candidate; the first unless another clearly beats it.
fn choice<'c, 'a>(candidates: &'c [Candidate<'a>]) -> Result<&'c Candidate<'a>> {
    let (first, others) = candidates.split_first().context("the manifest names a net")?;
    let mut chosen = first;
    for one in others {
        if one.beats(chosen) {
            chosen = one;
        }
    }
    for one in [first, chosen] {
        if one.scatter() > SCATTER {
            bail!(
                "the machine is too busy to tell, nothing was written: stop what else runs and try again\n  {}",
                one.words()
            );
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::Manifest;

    #[test]
    fn only_a_clear_gain_is_chosen() {
        let manifest = Manifest::parse(include_str!("../../models/manifest.toml")).unwrap();
        let net = &manifest.embedder.net;
        let candidate = |threads, milliseconds: &[u64]| Candidate {
            net,
            provider: Provider::Cpu,
            threads,
            rounds: milliseconds.iter().copied().map(Duration::from_millis).collect(),
        };
        let steady = |threads, milliseconds| candidate(threads, &[milliseconds; 10]);
        for (first, second, chosen, why) in [
            (steady(1, 50), steady(1, 40), Some(1), "a fifth faster"),
            (steady(1, 50), steady(1, 48), Some(0), "hardly faster"),
            (steady(1, 50), steady(2, 40), Some(0), "two threads, but not worth two"),
            (steady(1, 50), steady(2, 30), Some(1), "two threads that work"),
            (
                candidate(1, &[20, 90, 20, 90, 40, 70, 30, 80]),
                steady(1, 5),
                None,
                "it cannot be told how fast the first is",
            ),
            (
                steady(1, 50),
                candidate(1, &[20, 20, 20, 20, 20, 20, 90, 90, 90, 90]),
                Some(0),
                "faster in six rounds of ten",
            ),
        ] {
            let threads = [first.threads, second.threads];
            let both = [first, second];
            let found = choice(&both).ok().map(|one| both.iter().position(|other| std::ptr::eq(one, other)).unwrap());
            assert_eq!(found, chosen, "{why} {threads:?}");
        }
    }
}
