//! Whose PIV cards the box believes, and until when: the files of `[card.piv]`. Looks at no card.

use jiff::SignedDuration;

use super::{super::settings::piv_reads, PartHealth, State, finding};
use crate::{
    config::Config,
    domain::{Timestamp, WithSources},
    edge::card::PivStanding,
    wire::piv::RevocationOverdue,
};

/// So long before its end an authority is remarked upon.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at anchors and revocation lists.
pub(super) fn look(config: &Config, now: Timestamp, findings: &mut Vec<PartHealth>) {
    let Some(piv) = &config.card.piv else { return };
    match piv_reads(piv) {
        Err(error) => findings.push(finding("piv", State::Unwell, WithSources(&error).to_string())),
        Ok(reads) => {
            let standing = reads.standing();
            findings.extend([anchors(&standing, now), lists(&standing, piv.revocation_overdue, now)]);
        }
    }
}

fn anchors(standing: &PivStanding, now: Timestamp) -> PartHealth {
    let ends = |within: SignedDuration| {
        let limit = now.checked_add(within).unwrap_or(Timestamp::MAX);
        standing.anchors.iter().any(|(_, until)| until.is_some_and(|until| until < limit))
    };
    let named = named(&standing.anchors, "until");
    let count = standing.anchors.len();
    if ends(SignedDuration::ZERO) {
        let found = format!(
            "{count} anchors: {named}; cards of an authority that has ended are referred: ask it for its new certificate"
        );
        finding("piv anchors", State::Unwell, found)
    } else if ends(SOON) {
        let found = format!(
            "{count} anchors: {named}; ask for the new certificate of what ends soon, and add it to card.piv.anchors"
        );
        finding("piv anchors", State::Impaired, found)
    } else {
        finding("piv anchors", State::Well, format!("{count} anchors: {named}"))
    }
}

fn lists(standing: &PivStanding, overdue: RevocationOverdue, now: Timestamp) -> PartHealth {
    if standing.lists.is_empty() {
        let found = "card.piv.revocation names none: a lost card is refused when the roster or `examgate-fleet card lost` says so";
        return finding("piv revocation", State::Well, found);
    }
    let named = named(&standing.lists, "the next one due");
    let is_overdue = standing.lists.iter().any(|(_, due)| due.is_none_or(|due| due < now));
    match (is_overdue, overdue) {
        (false, _) => finding("piv revocation", State::Well, named),
        (true, RevocationOverdue::Refer) => {
            let found = format!(
                "{named}; cards of an authority whose newest list is overdue are referred: put its newest list there, which is read at the next card"
            );
            finding("piv revocation", State::Unwell, found)
        }
        (true, RevocationOverdue::Accept) => {
            let found = format!(
                "{named}; cards that were revoked since still count, as card.piv.revocation_overdue is \"accept\": put the newest list there"
            );
            finding("piv revocation", State::Impaired, found)
        }
    }
}

fn named(all: &[(String, Option<Timestamp>)], word: &str) -> String {
    let one = |(name, at): &(String, Option<Timestamp>)| {
        let day = at.map_or_else(|| "nobody knows when".to_owned(), |at| at.strftime("%F").to_string());
        format!("{name} ({word} {day})")
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_and_what_is_overdue_is_named() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-30T08:00:00Z");
        let standing = |until: &str, due: &str| PivStanding {
            anchors: vec![("Campus".into(), Some(at(until)))],
            lists: vec![("Campus".into(), Some(at(due)))],
        };
        for (until, state, words) in [
            ("2049-01-01T00:00:00Z", State::Well, "1 anchors: Campus (until 2049-01-01)"),
            ("2026-12-10T00:00:00Z", State::Impaired, "new certificate"),
            ("2026-11-30T00:00:00Z", State::Unwell, "ended"),
        ] {
            let found = anchors(&standing(until, until), now);
            assert!(found.state == state && found.found.contains(words), "{found:?}");
        }
        for (due, overdue, state, words) in [
            ("2026-12-01T00:00:00Z", RevocationOverdue::Refer, State::Well, "due 2026-12-01"),
            ("2026-11-29T00:00:00Z", RevocationOverdue::Refer, State::Unwell, "are referred"),
            ("2026-11-29T00:00:00Z", RevocationOverdue::Accept, State::Impaired, "still count"),
        ] {
            let found = lists(&standing(due, due), overdue, now);
            assert!(found.state == state && found.found.contains(words), "{found:?}");
        }
        let none = PivStanding { anchors: Vec::new(), lists: Vec::new() };
        assert_eq!(lists(&none, RevocationOverdue::Refer, now).state, State::Well);
    }
}
