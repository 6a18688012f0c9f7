//! What the desk is told of a card.

use super::*;
use crate::{
    edge::card::{NoNumber, ReaderModel},
    wire::{
        apdu::ApduError,
        atr::Family,
        pacs::{PacsColumn, PacsNumber},
        uid::ReaderOrder,
    },
};

fn laid(interview: Option<Interview>) -> Laid {
    Laid { reader: "a reader".into(), model: ReaderModel::Unknown, interview }
}

fn iclass() -> Interview {
    let bytes = [0x32, 0x96, 0x62, 0x02, 0xF8, 0xFF, 0x12, 0xE0];
    let uid = UidAnswer::Fixed(Uid::from_reader(&bytes, ReaderOrder::AsSent).unwrap());
    let refused = NoNumber::Apdu(ApduError::Status { status: 0x6D00 });
    Interview {
        family: Family::PicoPass,
        applications: Applications::default(),
        uid,
        pacs: PacsAnswer::None(refused),
        desfire: None,
        piv: None,
    }
}

#[test]
fn a_card_is_described_with_the_value_for_the_roster() {
    let text = describe(&laid(Some(iclass())), &everything(), Some(CredentialProfile::Pacs));
    for word in [
        "card     iCLASS",
        "32966202F8FF12E0 (8 bytes)",
        "E012FFF802629632 (hex-reversed)",
        "3645208713309917920 (decimal)",
        "16146249054733637170 (decimal-reversed)",
        "pacs     none: the status word is 6D00",
        "profile  uid (identifier-only)",
        "too weak for this box: policy.weakest_profile is pacs",
        "roster   card = 32966202F8FF12E0",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let number = PacsNumber::parse("h10301:31-337", PacsColumn::default()).unwrap();
    let uid = UidAnswer::MadeUp(MadeUp::Seos);
    let pacs = PacsAnswer::Numbers(vec![number]);
    let seos = Interview { family: Family::Processor, uid, pacs, ..iclass() };
    let text = describe(&laid(Some(seos.clone())), &everything(), None);
    assert!(
        text.contains("profile  pacs (reader-authenticated)") && text.contains("roster   pacs = h10301:31-337"),
        "{text}"
    );
    let text = describe(&laid(Some(seos)), &CardReads::default(), None);
    assert!(text.contains("profile  none"), "{text}");
    assert!(describe(&laid(None), &everything(), None).contains("lay it down once more"));
}

#[test]
fn a_card_that_proves_itself_gives_its_number_and_one_that_does_not_gives_nothing_weaker() {
    let profiles = vec![CredentialProfile::Piv, CredentialProfile::DesfireAes, CredentialProfile::Uid];
    let reads = CardReads { profiles, ..CardReads::default() };
    let desfire = DesfireNumber::parse("desfire:0123ABCD").unwrap();
    let piv = PivNumber::parse("piv:8f6b2c1d-0000-4000-8000-0123456789ab").unwrap();
    let refused = || NoNumber::Apdu(ApduError::Status { status: 0x6A82 });
    let applications = Applications {
        piv: false,
        desfire: Some(DesfireCard { generation: 2, applications: Some(vec![[0xF5, 0x1C, 0xDB]]) }),
    };
    let card = Interview { family: Family::Processor, applications, ..iclass() };
    let told = |interview| describe(&laid(Some(interview)), &reads, None);

    let text = told(Interview {
        piv: Some(Proof::NotThere(refused())),
        desfire: Some(Proof::Proved(desfire)),
        ..card.clone()
    });
    for word in [
        "has      DESFire EV2 with F51CDB",
        "desfire  it proved itself as desfire:0123ABCD",
        "piv      none: the status word is 6A82",
        "profile  desfire_aes (card-authenticated)",
        "roster   desfire = desfire:0123ABCD",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(told(card.clone()).contains("desfire  not asked: it takes --config with a table [card.desfire]"));

    let failed = Proof::Failed(CardProblem::Unproved, refused());
    let text = told(Interview { desfire: Some(failed), ..card.clone() });
    assert!(text.contains("it did not prove itself (card_unproved): the status word is 6A82"), "{text}");
    assert!(text.contains("profile  none: it has desfire_aes") && !text.contains("roster "), "no fall to uid: {text}");

    let text = told(Interview { piv: Some(Proof::Proved(piv)), ..card });
    assert!(text.contains("roster   piv = piv:8f6b2c1d-0000-4000-8000-0123456789ab"), "{text}");
}

#[test]
fn times_come_with_a_limit_where_there_is_one() {
    let times = Times::of([90, 100, 110, 200].map(Duration::from_millis).to_vec());
    let whole = Some(Duration::from_millis(310));
    let timed = |named_by| Timed { named_by, times, whole, failed: 1 };
    let limits = SlowestMs { desfire_aes: Some(150), piv: None };
    let text = tell(&timed(Some(CredentialProfile::DesfireAes)), limits);
    for word in [
        "4 times by desfire_aes, and 1 more",
        "median 100 ms",
        "slowest 200 ms",
        "median 310 ms",
        "{ desfire_aes = 250 }",
        "it is 150 ms",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(tell(&timed(Some(CredentialProfile::Piv)), limits).contains("{ piv = 250 } under [card]; now it is none"));
    assert!(tell(&timed(Some(CredentialProfile::Uid)), limits).contains("has no limit"));
    assert!(
        tell(&Timed { named_by: None, times: None, whole: None, failed: 20 }, limits).starts_with("none of 20 proofs")
    );
}
