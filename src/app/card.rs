//! `examgate card`: what a card says, which profile it reaches here, and what to write into the roster. For the card office's desk and
//! for anybody who sets up a site.
//!
//! It prints identifiers and card numbers, because somebody asked for them; it logs none, and keys and keyed answers it never has.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use zeroize::Zeroizing;

use super::{
    Environment,
    settings::{card_reads, surroundings},
};
use crate::{
    config::{Config, SlowestMs},
    domain::{CardProblem, CredentialProfile},
    edge::{
        card::{
            self, Applications, CardReads, DesfireCard, Interview, Laid, MadeUp, PacsAnswer, Proof, Surroundings,
            Timed, Times, UidAnswer,
        },
        clock::{Clock, SystemClock},
    },
    wire::{desfire::DesfireNumber, pacs::PacsSource, piv::PivNumber, uid::Uid},
};

/// Waits at most `patience` for a card and describes each that lies on a reader; `None`: there was none. With a configuration the card is
/// read as that box reads it, with its keys; otherwise in every way that takes none.
///
/// # Errors
/// When there is no PC/SC service or no reader, or a file that the configuration names cannot be read.
pub fn look(configured: Option<(&Config, &Environment)>, patience: Duration) -> Result<Option<String>> {
    let (reads, around) = match configured {
        Some(configured) => as_the_box(configured)?,
        None => (everything(), surroundings(clock(Path::new("."), Duration::ZERO))),
    };
    let laid = card::wait_for_cards(&reads, &around, patience)?;
    let weakest = configured.and_then(|(config, _)| config.policy.weakest_profile);
    let described: Vec<_> = laid.iter().map(|laid| describe(laid, &reads, weakest)).collect();
    Ok((!described.is_empty()).then(|| described.join("\n")))
}

/// Waits at most `patience` for a card, has it prove itself `rounds` times as at the door of that box, and says how long it took; `None`: there
/// was none.
///
/// # Errors
/// As [`look`].
pub fn time(configured: (&Config, &Environment), rounds: u16, patience: Duration) -> Result<Option<String>> {
    let (reads, around) = as_the_box(configured)?;
    let timed = card::time_proofs(&reads, &around, rounds.into(), patience)?;
    Ok(timed.map(|timed| tell(&timed, configured.0.card.slowest_ms)))
}

fn as_the_box((config, environment): (&Config, &Environment)) -> Result<(CardReads, Surroundings)> {
    let reads = card_reads(&config.card, &environment.keys(config))?;
    Ok((reads, surroundings(clock(&config.state, config.clock.holdover()))))
}

/// The machine's clock, believed as the box does whose `state` folder this is. It is only looked at.
fn clock(state: &Path, holdover: Duration) -> Arc<dyn Clock> {
    Arc::new(SystemClock::with_holdover(state.join("clock-floor"), holdover))
}

fn everything() -> CardReads {
    CardReads { profiles: vec![CredentialProfile::Pacs, CredentialProfile::Uid], ..CardReads::default() }
}

/// How long proofs took, and a limit that leaves room.
fn tell(timed: &Timed, limits: SlowestMs) -> String {
    let (Some(profile), Some(times)) = (timed.named_by, timed.times) else {
        return format!("none of {} proofs was good: look at the card without --times\n", timed.failed);
    };
    let Times { proofs, median, p95, slowest, proposed } = times;
    let [median, p95, slowest, proposed] = [median, p95, slowest, proposed].map(|time| time.as_millis());
    let mut text = format!("{proofs} times by {profile}");
    if timed.failed > 0 {
        let _ = write!(text, ", and {} more that gave nothing", timed.failed);
    }
    let _ = writeln!(text, ": median {median} ms, 95 of 100 within {p95} ms, slowest {slowest} ms");
    if let Some(whole) = timed.whole {
        let _ =
            writeln!(text, "the whole reading, with what comes before the challenge: median {} ms", whole.as_millis());
    }
    let limit = match profile {
        CredentialProfile::DesfireAes => limits.desfire_aes,
        CredentialProfile::Piv => limits.piv,
        CredentialProfile::Uid | CredentialProfile::Pacs => {
            let _ = writeln!(text, "this profile proves nothing of the card, so it has no limit");
            return text;
        }
    };
    let now = limit.map_or_else(|| "none".into(), |limit| format!("{limit} ms"));
    let _ =
        writeln!(text, "a limit with room: slowest_ms = {{ {profile} = {proposed} }} under [card]; now it is {now}");
    text
}

/// One card, a line for each thing that is known.
fn describe(laid: &Laid, reads: &CardReads, weakest: Option<CredentialProfile>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:<9}{what}");
    };
    line("reader", &laid.reader);
    line("", laid.model.abilities());
    let Some(interview) = &laid.interview else {
        line(
            "card",
            "it was taken away too early, another program holds it, or it does not answer: lay it down once more",
        );
        return text;
    };
    line("card", interview.family.name());
    if let Some(has) = applications(&interview.applications) {
        line("has", &has);
    }
    line("uid", &uid(&interview.uid));
    line("pacs", &pacs(&interview.pacs));
    for (name, there, proof) in [
        ("desfire", interview.applications.desfire.is_some(), interview.desfire.as_ref().map(desfire)),
        ("piv", interview.applications.piv, interview.piv.as_ref().map(piv)),
    ] {
        match proof {
            Some(said) => line(name, &said),
            None if there => line(name, &format!("not asked: it takes --config with a table [card.{name}]")),
            None => {}
        }
    }
    let (profile, columns) = match reached(interview, reads) {
        Reached::Named(profile, columns) => (profile, columns),
        Reached::Refused(profile, problem) => {
            let reason = problem.reason();
            line(
                "profile",
                &format!("none: it has {profile} and does not prove itself ({reason}), so nothing weaker counts"),
            );
            return text;
        }
        Reached::Nothing => {
            line("profile", "none: this card cannot be used here; see docs/cards.md");
            return text;
        }
    };
    line("profile", &format!("{profile} ({})", profile.assurance()));
    if let Some(weakest) = weakest.filter(|weakest| profile < *weakest) {
        line("", &format!("too weak for this box: policy.weakest_profile is {weakest}"));
    }
    for column in columns {
        line("roster", &column);
    }
    text
}

/// What counts of all that a card said.
enum Reached {
    /// The strongest profile that it can be asked by, and what to write into the roster for it: columns with their values.
    Named(CredentialProfile, Vec<String>),
    /// It has that profile's application and did not prove itself.
    Refused(CredentialProfile, CardProblem),
    /// No profile gives a number.
    Nothing,
}

/// The same walk as at the door.
fn reached(interview: &Interview, reads: &CardReads) -> Reached {
    let by = |profile: CredentialProfile| match profile {
        CredentialProfile::Piv => {
            proved(profile, interview.piv.as_ref()?, |number| format!("piv = {}", *number.roster_value()))
        }
        CredentialProfile::DesfireAes => {
            proved(profile, interview.desfire.as_ref()?, |number| format!("desfire = {}", *number.roster_value()))
        }
        CredentialProfile::Pacs => {
            let PacsAnswer::Numbers(numbers) = &interview.pacs else { return None };
            let proved = match reads.pacs.source {
                PacsSource::SecureElement => CredentialProfile::Pacs,
                PacsSource::GetData => CredentialProfile::Uid,
            };
            let columns = numbers.iter().map(|number| format!("pacs = {}", *number.roster_value())).collect();
            Some(Reached::Named(proved, columns))
        }
        CredentialProfile::Uid => {
            let UidAnswer::Fixed(uid) = &interview.uid else { return None };
            Some(Reached::Named(profile, vec![format!("card = {}", hex::encode_upper(uid.as_bytes()))]))
        }
    };
    reads.profiles.iter().find_map(|profile| by(*profile)).unwrap_or(Reached::Nothing)
}

fn proved<T>(profile: CredentialProfile, proof: &Proof<T>, column: impl FnOnce(&T) -> String) -> Option<Reached> {
    match proof {
        Proof::NotThere(_) => None,
        Proof::Failed(problem, _) => Some(Reached::Refused(profile, *problem)),
        Proof::Proved(number) => Some(Reached::Named(profile, vec![column(number)])),
    }
}

/// What the card tells of its applications; `None`: of none that is known here.
fn applications(Applications { piv, desfire }: &Applications) -> Option<String> {
    let desfire = desfire.as_ref().map(|DesfireCard { generation, applications }| {
        let name = match generation {
            0 => "the first DESFire, which has no AES".into(),
            generation => format!("DESFire EV{generation}"),
        };
        match applications {
            None => format!("{name}, which lists its applications to nobody without a key"),
            Some(none) if none.is_empty() => format!("{name} without an application"),
            Some(some) => format!("{name} with {}", some.iter().map(hex::encode_upper).collect::<Vec<_>>().join(", ")),
        }
    });
    let all: Vec<_> = desfire.into_iter().chain(piv.then(|| "PIV".to_owned())).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn desfire(proof: &Proof<DesfireNumber>) -> String {
    said(proof, |number| number.roster_value())
}

fn piv(proof: &Proof<PivNumber>) -> String {
    said(proof, |number| number.roster_value())
}

fn said<T>(proof: &Proof<T>, value: impl FnOnce(&T) -> Zeroizing<String>) -> String {
    match proof {
        Proof::NotThere(why) => format!("none: {why}"),
        Proof::Failed(problem, why) => format!("it did not prove itself ({}): {why}", problem.reason()),
        Proof::Proved(number) => format!("it proved itself as {}", *value(number)),
    }
}

fn uid(answer: &UidAnswer) -> String {
    match answer {
        UidAnswer::Fixed(uid) => printed(uid),
        UidAnswer::MadeUp(kind) => {
            let kind = match kind {
                MadeUp::Wallet => "a pass in a phone's or watch's wallet",
                MadeUp::Seos => "a Seos card, or a phone that plays one",
                MadeUp::Unknown => "a plastic card whose number lies deeper, or a phone",
            };
            format!("made up at each tap, so of no use on a roster: {kind}")
        }
        UidAnswer::None(why) => format!("none: {why}"),
    }
}

/// An identifier in every form in which exports print it.
fn printed(uid: &Uid) -> String {
    let bytes = uid.as_bytes();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let decimal = |bytes: &[u8]| bytes.iter().fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
    format!(
        "{} ({} bytes); exports also print it as {} (hex-reversed), {} (decimal) or {} (decimal-reversed)",
        hex::encode_upper(bytes),
        bytes.len(),
        hex::encode_upper(&reversed),
        decimal(bytes),
        decimal(&reversed),
    )
}

fn pacs(answer: &PacsAnswer) -> String {
    match answer {
        PacsAnswer::Numbers(numbers) => {
            let values: Vec<_> = numbers.iter().map(|number| number.roster_value()).collect();
            let values = values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", or ");
            format!("{values} (form, facility code, card number; the parity fits)")
        }
        PacsAnswer::Bits { bits, why: Some(why) } => format!("{bits} bits, and {why}"),
        PacsAnswer::Bits { bits, why: None } => {
            format!("{bits} bits: no known form, or none of [card.pacs] forms, has so many")
        }
        PacsAnswer::None(why) => format!("none: {why}"),
    }
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
