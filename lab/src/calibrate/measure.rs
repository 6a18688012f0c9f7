//! From embeddings to the numbers of the report.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use examgate::{
    domain::{ArtifactId, Decision, Similarity},
    session::{Policy, Thresholds},
    vision::{EmbedderSpec, Fusion},
};

use super::{
    report::{Accepts, Data, Genuine, Group, Identity, Key, Proposal, Report, Target},
    taps::{Impostors, People, Practice, genuine, lowest_admit},
};
use crate::{
    dataset::labelled::{Groups, Labelled},
    play::rule::{self, Playing},
    statistics::{
        bootstrap::{Draws, Mated, NonMated, Scored},
        exact::clopper_pearson,
    },
};
use examgate_enrol::{faces::BothWays, similarities::Faces};

/// False match rates that are always reported.
const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Share of the non-mated comparisons that is kept: replicates may put a threshold lower than the data themselves do.
const KEPT: f64 = 0.04;
/// Pairs of people who must be expected to match falsely (Doddington et al., "The NIST speaker recognition evaluation", Speech
/// Communication 31, 2000: with 30 errors the true rate is, 9 times in 10, within 30 % of the one seen; ISO/IEC 19795-1 B.1).
const RULE_OF: f64 = 30.0;
/// How far above a rate the upper end of its interval may lie.
const DOUBT: f64 = 2.0;
/// People listed as most often taken for others.
const WORST: usize = 10;
/// Pictures that a person needs to show what fusing and a second enrolment photo bring: two for enrolment, three to fuse.
const GENUINE: usize = 5;

/// The kinds of tap that are played: how pictures are shown, the fewest pictures per person, and the number of templates. Row 3 repeats
/// row 1 for the people of row 4 only, to separate the effect of fusion from the choice of people.
const PLAYED: [(Playing, [usize; 2]); 7] = [
    (Playing::Held, [1, 1]),
    (Playing::Held, [2, 2]),
    (Playing::Held, [3, 1]),
    (Playing::Varied { looks_a_second: rule::SLOW }, [3, 1]),
    (Playing::Varied { looks_a_second: rule::FAST }, [3, 1]),
    (Playing::Varied { looks_a_second: rule::SLOW }, [3, 2]),
    (Playing::Varied { looks_a_second: rule::FAST }, [3, 2]),
];

/// What the operator wants.
pub(super) struct Asked {
    pub(super) accept_rate: f64,
    pub(super) refer_rate: f64,
}

/// The number of people at which `RULE_OF` false matches are expected at `rate`, with `ways` taps or comparisons per pair of people.
fn people_for(rate: f64, ways: f64) -> usize {
    // n (n - 1) / 2 * ways * rate >= 30
    let pairs = RULE_OF / (rate * ways);
    (0.5 + (0.25 + 2.0 * pairs).sqrt()).ceil() as usize
}

/// The number of people needed, if it is more than there are: enough for the rule of 30, and enough for the interval to be narrow. Its
/// width falls with the square root of their number.
fn lacking(people: usize, needed: usize, target: f64, upper: Option<f64>) -> Option<usize> {
    let doubt = upper.map_or(1.0, |upper| (upper / target - 1.0) / (DOUBT - 1.0));
    let narrow = if doubt > 1.0 { (people as f64 * doubt * doubt).ceil() as usize } else { 0 };
    Some(needed.max(narrow)).filter(|&needed| needed > people)
}

pub(super) fn measure(
    labelled: &Labelled,
    embeddings: &[Option<BothWays>],
    groups: Option<&Groups>,
    (embedder, enrolling): (&EmbedderSpec, ArtifactId),
    asked: &Asked,
) -> anyhow::Result<Report> {
    // A picture without a face is compared with nothing; counting it as a non-match would flatter the false match rate.
    let found: Vec<(usize, &BothWays)> =
        labelled.persons.iter().zip(embeddings).filter_map(|(&person, face)| Some((person, face.as_ref()?))).collect();
    let mut people: Vec<Vec<&BothWays>> = vec![Vec::new(); labelled.names.len()];
    found.iter().for_each(|&(person, face)| people[person].push(face));
    let count = people.iter().filter(|pictures| !pictures.is_empty()).count();
    let (mated, non_mated) = compare(&found, &people, embedder.dimension);
    let draws = Draws::new(people.len());
    let once = vec![1.0; people.len()];

    let target = |rate: f64| {
        let needed = people_for(rate, 1.0);
        let threshold = non_mated.threshold(rate, &once)?;
        let doubt = draws.interval(|times| non_mated.fmr(threshold, times));
        let lacking = lacking(count, needed, rate, doubt.map(|[_, upper]| upper));
        let interval = draws.interval(|times| non_mated.threshold(rate, times).map(f64::from));
        Some(Target {
            fmr: rate,
            people_needed: lacking,
            threshold: Some(threshold).filter(|_| lacking.is_none()),
            threshold_interval: interval.filter(|_| lacking.is_none()).map(|ends| ends.map(|end| end as f32)),
            fmr_interval: doubt,
            fnmr: mated.fnmr(threshold, &once),
            fnmr_interval: draws.interval(|times| mated.fnmr(threshold, times)),
        })
    };
    let targets: Vec<_> = RATES.into_iter().filter_map(target).collect();
    let refer = target(asked.refer_rate).context("there are two people")?;

    let used = &embedder.thresholds;
    let shipped = Policy::with(Thresholds {
        artifact: embedder.artifact(),
        admit: used.admit,
        refer: used.refer,
        // Liveness counts as passed: the question is what a live impostor achieves.
        live: 0.0,
        sure: 0.0,
    });
    let proposal = propose(&people, count, &refer, asked, &shipped, &draws)?;
    let mut accepts = Vec::new();
    let proposed = proposal.admit.zip(proposal.refer).map(|(admit, refer)| {
        let mut policy = shipped.clone();
        (policy.thresholds.admit, policy.thresholds.refer) = (Similarity::new(admit), Similarity::new(refer));
        policy
    });
    for (name, policy) in [("in use", Some(&shipped)), ("proposed", proposed.as_ref())] {
        for (playing, fit) in PLAYED {
            let Some(policy) = policy else { continue };
            let taps = Impostors::new(&people, fit, playing, policy, policy.thresholds.admit)?;
            accepts.extend((taps.taps() > 0).then(|| accept(name, &taps, policy, playing, fit, &draws)));
        }
    }

    let mut gain = Vec::new();
    for (name, policy) in [("in use", Some(&shipped)), ("proposed", proposed.as_ref())] {
        for (templates, fused) in [(1, false), (1, true), (2, false), (2, true)] {
            let Some(policy) = policy else { continue };
            gain.push(themselves(name, &people, Practice { templates, fused }, policy, &draws)?);
        }
    }

    // Counted at the rate of the `refer` threshold, where there are enough false matches to compare people.
    let at = non_mated.threshold(asked.refer_rate, &once).context("there are two people")?;
    Ok(Report {
        key: Key {
            space: embedder.space.to_string(),
            probe_artifact: embedder.artifact().into(),
            enrolment_artifact: enrolling.into(),
            rule: shipped.rule(Fusion::WINDOW),
            model: embedder.net.name.clone(),
        },
        data: Data {
            digest: labelled.digest.clone(),
            people: count,
            pictures: found.len(),
            pictures_without_face: embeddings.len() - found.len(),
            comparisons_mated: mated.0.len(),
            comparisons_non_mated: non_mated.total(&once) as u64,
        },
        date: String::new(),
        command: String::new(),
        thresholds: targets,
        proposal,
        admit_in_use: used.admit.get(),
        refer_in_use: used.refer.get(),
        same_face: used.same_face.get(),
        unsure: used.unsure,
        fmr_in_use: non_mated.fmr(used.admit.get(), &once).context("there are two people")?,
        fmr_in_use_interval: draws.interval(|times| non_mated.fmr(used.admit.get(), times)),
        accepts,
        genuine: gain,
        worst_at: at,
        worst: worst(&non_mated, at, &labelled.names, &people),
        groups: groups.map(|groups| within(&non_mated, at, groups, &people, &draws)).unwrap_or_default(),
    })
}

/// Every picture as a probe against every other as a template. Of the non-mated scores only the highest are kept, found by a first pass
/// over scores alone.
pub(crate) fn compare(found: &[(usize, &BothWays)], people: &People<'_>, dimension: usize) -> (Mated, NonMated) {
    let probes = Faces::new(dimension, found.iter().map(|(_, both)| Some(&both.probe)));
    let templates = Faces::new(dimension, found.iter().map(|(_, both)| Some(&both.template)));
    let (mut mated, mut scores) = (Vec::new(), Vec::new());
    probes.against(&templates, |a, b, cosine| {
        let Some(score) = cosine.filter(|_| a != b) else { return };
        if found[a].0 == found[b].0 { mated.push((score, found[a].0 as u32)) } else { scores.push(score) }
    });
    let kept = (scores.len() as f64 * KEPT).ceil() as usize;
    let lowest = match kept.checked_sub(1) {
        Some(last) => *scores.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1,
        None => f32::INFINITY,
    };
    let mut highest = Vec::with_capacity(kept);
    probes.against(&templates, |a, b, cosine| {
        if let Some(score) = cosine.filter(|&score| score >= lowest && found[a].0 != found[b].0) {
            highest.push(Scored { score, persons: [found[a].0 as u32, found[b].0 as u32] });
        }
    });
    let pictures: Vec<_> = people.iter().map(Vec::len).collect();
    (Mated(mated), NonMated::new(&pictures, highest))
}

/// Thresholds for the rule: `refer` from the comparisons at the upper end of its interval; `admit` so that no kind of tap played is above
/// the rate, and those played by enough people are below it with their whole interval.
fn propose(
    people: &People<'_>,
    count: usize,
    refer: &Target,
    asked: &Asked,
    shipped: &Policy,
    draws: &Draws,
) -> anyhow::Result<Proposal> {
    // Each pair of people makes two taps: one at the other's place, and the other way round.
    let needed = people_for(asked.accept_rate, 2.0);
    let mut proposal = Proposal {
        accept_rate: asked.accept_rate,
        refer_rate: asked.refer_rate,
        admit: None,
        refer: None,
        people_needed: refer.people_needed.max(Some(needed).filter(|&needed| needed > count)),
    };
    let Some([_, upper]) = refer.threshold_interval.filter(|_| proposal.people_needed.is_none()) else {
        return Ok(proposal);
    };
    // Upwards to a thousandth.
    let refer = (upper * 1000.0).ceil() / 1000.0;
    let mut policy = shipped.clone();
    policy.thresholds.refer = Similarity::new(refer);
    let floor = policy.thresholds.refer;
    let taps = PLAYED
        .into_iter()
        .map(|(playing, fit)| Impostors::new(people, fit, playing, &policy, floor))
        .collect::<Result<Vec<_>, _>>()?;
    let keeps = |policy: &Policy| taps.iter().all(|taps| taps.keeps(asked.accept_rate, needed, policy, draws));
    proposal.refer = Some(refer);
    proposal.admit = Some(lowest_admit(&policy, keeps).get());
    Ok(proposal)
}

fn accept(
    thresholds: &'static str,
    taps: &Impostors,
    policy: &Policy,
    playing: Playing,
    [pictures, templates]: [usize; 2],
    draws: &Draws,
) -> Accepts {
    let admitted = taps.admitted(policy);
    let (events, trials) = taps.independent(&admitted);
    let people = taps.people();
    Accepts {
        thresholds,
        looks_a_second: match playing {
            Playing::Held => None,
            Playing::Varied { looks_a_second } => Some(looks_a_second),
        },
        templates,
        pictures_at_least: pictures,
        people,
        taps: taps.taps(),
        admitted: admitted.len(),
        rate: admitted.len() as f64 / taps.taps() as f64,
        // A bootstrap over people of whom nobody was admitted has only zeros: it is no interval.
        interval: draws.interval(|times| taps.rate(&admitted, times)).filter(|_| !admitted.is_empty()),
        independent_taps: trials,
        independent_admitted: events,
        independent_interval: clopper_pearson(events, trials, 0.95),
        carries: RULE_OF / taps.taps() as f64,
    }
}

fn themselves(
    thresholds: &'static str,
    people: &People<'_>,
    practice: Practice,
    policy: &Policy,
    draws: &Draws,
) -> anyhow::Result<Genuine> {
    let once = vec![1.0; people.len()];
    let taps = genuine(people, GENUINE, practice, policy)?;
    let count: BTreeSet<_> = taps.iter().map(|(person, _)| person).collect();
    let share = |is: fn(&Option<Decision>) -> bool| {
        Mated(taps.iter().map(|(person, came_to)| (f32::from(u8::from(!is(came_to))), *person)).collect())
    };
    let missed = share(|came_to| *came_to != Some(Decision::Admit));
    let denied = share(|came_to| matches!(came_to, Some(Decision::Deny(_))));
    let events = taps.iter().filter(|(_, came_to)| *came_to != Some(Decision::Admit)).count() as u64;
    // One tap per person: these are independent. A bootstrap over zero events would give zero width.
    let exact = (count.len() == taps.len()).then(|| clopper_pearson(events, taps.len() as u64, 0.95));
    Ok(Genuine {
        thresholds,
        templates: practice.templates,
        fused: practice.fused,
        people: count.len(),
        taps: taps.len(),
        not_admitted: missed.fnmr(0.5, &once),
        interval: exact.or_else(|| draws.interval(|times| missed.fnmr(0.5, times))),
        denied: denied.fnmr(0.5, &once),
    })
}

/// The people most often taken for others.
fn worst(non_mated: &NonMated, at: f32, names: &[String], people: &People<'_>) -> Vec<Identity> {
    let mut of: BTreeMap<u32, (BTreeSet<u32>, usize)> = BTreeMap::new();
    for one in non_mated.matches(at) {
        let [a, b] = one.persons;
        for (person, other) in [(a, b), (b, a)] {
            let entry = of.entry(person).or_default();
            entry.0.insert(other);
            entry.1 += 1;
        }
    }
    let pictures: usize = people.iter().map(Vec::len).sum();
    let mut worst: Vec<_> = of
        .into_iter()
        .map(|(person, (others, matches))| {
            let own = people[person as usize].len();
            Identity {
                person: names[person as usize].clone(),
                pictures: own,
                taken_for: others.len(),
                fmr: matches as f64 / (2 * own * (pictures - own)) as f64,
            }
        })
        .collect();
    worst.sort_by(|a, b| b.taken_for.cmp(&a.taken_for).then(b.fmr.total_cmp(&a.fmr)));
    worst.truncate(WORST);
    worst
}

/// False match rate among the people of one group.
fn within(non_mated: &NonMated, at: f32, groups: &Groups, people: &People<'_>, draws: &Draws) -> Vec<Group> {
    let of_group = |(number, name): (usize, &String)| {
        let member = |person: usize| groups.of[person] == Some(number);
        let only = |times: &[f64]| -> Vec<f64> {
            times.iter().enumerate().map(|(person, &times)| if member(person) { times } else { 0.0 }).collect()
        };
        let once = only(&vec![1.0; people.len()]);
        let inside = |one: &&Scored| one.persons.iter().all(|&person| member(person as usize));
        let matches = non_mated.matches(at).iter().filter(inside).count();
        Group {
            group: name.clone(),
            people: (0..people.len()).filter(|&person| member(person) && !people[person].is_empty()).count(),
            comparisons: non_mated.total(&once) as u64,
            matches,
            fmr: non_mated.fmr(at, &once),
            interval: draws.interval(|times| non_mated.fmr(at, &only(times))).filter(|_| matches > 0),
        }
    };
    groups.names.iter().enumerate().map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_30_counts_people() {
        for (rate, ways, people) in [(1e-2, 1.0, 78), (1e-3, 1.0, 246), (1e-4, 1.0, 776), (1e-4, 2.0, 549)] {
            let pairs = |people: usize| (people * (people - 1)) as f64 / 2.0 * ways * rate;
            assert_eq!(people_for(rate, ways), people, "{rate}");
            assert!(pairs(people) >= 30.0 && pairs(people - 1) < 30.0, "{rate}");
        }
    }

    #[test]
    fn what_the_data_cannot_carry_names_the_people_it_takes() {
        for (people, needed, target, upper, wanted) in [
            (1000, 776, 1e-4, Some(1.5e-4), None),
            (700, 776, 1e-4, Some(1.5e-4), Some(776)),
            // three times the rate: twice as wide as allowed, four times the people
            (1000, 776, 1e-4, Some(3e-4), Some(4000)),
            (1000, 776, 1e-4, None, None),
        ] {
            assert_eq!(lacking(people, needed, target, upper), wanted, "{people} {upper:?}");
        }
    }
}
