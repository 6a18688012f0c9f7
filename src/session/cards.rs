//! Tests: how a card was read decides at the tap.

use std::time::Duration;

use super::{
    tables::{door, now, policy, recorded, tap},
    *,
};
use crate::domain::{CardProblem, CardStanding, CredentialProfile};

/// What a tap is answered at once, with a weakest profile that policy accepts; `None`: a face is looked at.
fn answer(weakest_profile: CredentialProfile, change: impl Fn(&mut Tap)) -> Option<Decision> {
    let mut tapped = tap(1);
    change(&mut tapped);
    let mut session = Session::new(Policy { weakest_profile, ..policy() }, door());
    recorded(session.step(now(0), Input::CardTapped(tapped))).map(|v| v.decision)
}

fn read_as(tap: &mut Tap, profile: CredentialProfile) {
    tap.credential.as_mut().expect("a card").profile = profile;
}

#[test]
fn a_card_that_gives_no_credential_is_for_the_proctor_unless_it_says_that_it_is_a_wallet() {
    for problem in CardProblem::ALL {
        let reason = match problem {
            CardProblem::Unreadable => Reason::CardUnreadable,
            CardProblem::Unstable => Reason::CardUnstable,
            CardProblem::Wallet => Reason::WalletPass,
            CardProblem::Unproved => Reason::CardUnproved,
            CardProblem::Expired => Reason::CardExpired,
            CardProblem::Slow => Reason::CardSlow,
            CardProblem::KeysMissing => Reason::CardKeysMissing,
        };
        let expected = if problem == CardProblem::Wallet { Decision::Deny(reason) } else { Decision::Refer(reason) };
        let mut tapped = Tap { credential: Err(problem), lookup: Lookup::Unknown, ..tap(1) };
        tapped.took = Some(Duration::from_millis(412));
        let outputs = Session::new(policy(), door()).step(now(0), Input::CardTapped(tapped));
        let alarms = outputs.iter().filter(|output| matches!(output, Output::Alarm(_))).count();
        assert_eq!(alarms, usize::from(problem == CardProblem::KeysMissing), "{problem:?}");
        let verification = recorded(outputs).expect("settled at the tap");
        assert_eq!((verification.decision, verification.card), (expected, None));
        assert_eq!(verification.card_took, Some(Duration::from_millis(412)));
    }
}

#[test]
fn a_weak_card_is_referred_where_policy_wants_a_strong_one() {
    for weakest in CredentialProfile::ALL {
        for profile in CredentialProfile::ALL {
            let too_weak = (profile < weakest).then_some(Decision::Refer(Reason::CardTooWeak));
            assert_eq!(answer(weakest, |tap| read_as(tap, profile)), too_weak, "{profile} where {weakest} is wanted");
        }
    }
}

#[test]
fn a_student_whose_card_proved_itself_does_not_fall_back() {
    for proven in CredentialProfile::ALL {
        for profile in CredentialProfile::ALL {
            let tapped = answer(CredentialProfile::Uid, |tap| {
                tap.history.proven = Some(proven);
                read_as(tap, profile);
            });
            let fell_back = (profile < proven).then_some(Decision::Refer(Reason::CardDowngraded));
            assert_eq!(tapped, fell_back, "{profile} after {proven}");
        }
    }
    let revoked = answer(CredentialProfile::Uid, |tap| {
        tap.history.proven = Some(CredentialProfile::Pacs);
        let Lookup::Enrolled(enrolled) = &mut tap.lookup else { panic!("{tap:?}") };
        enrolled.entry.card.standing = CardStanding::Revoked;
    });
    assert_eq!(revoked, Some(Decision::Deny(Reason::CardRevoked)), "a lost card is named as such");
}
