//! Virtual PIV cards: each algorithm proves itself, each fault has its reason, and no answer does harm.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{super::NoNumber, *};
use crate::{
    domain::Timestamp,
    rig::{
        cards::{
            Applet, Fault, Faulty, Moment, Said,
            piv::{PivAuthority, PivCard, PivKey, PivPlan},
        },
        certificates::Validity,
    },
};

/// Most commands of one reading: SELECT, two objects, and a challenge in two parts.
const MOST: usize = 4 + 23 + 2 * 4 + 23;

/// A site: its authority, and its files.
struct Site {
    authority: PivAuthority,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { authority: PivAuthority::new("Campus cards"), folder: tempfile::tempdir().unwrap() };
        fs::write(site.file("anchors.pem"), site.authority.certificate()).unwrap();
        site
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn reads(&self) -> PivReads {
        self.reads_with(&[], RevocationOverdue::Refer, CertificatePurpose::CardAuthentication)
    }

    fn reads_with(&self, lists: &[&Path], overdue: RevocationOverdue, purpose: CertificatePurpose) -> PivReads {
        let revocation = lists.iter().map(|path| path.to_path_buf()).collect();
        PivReads::load(PivFiles { anchors: vec![self.file("anchors.pem")], revocation }, overdue, purpose).unwrap()
    }

    fn card(&self, plan: &PivPlan) -> PivCard {
        self.authority.card(plan)
    }
}

/// A day in the life of a card.
fn today() -> Option<Timestamp> {
    Some("2026-11-30T08:00:00Z".parse().unwrap())
}

/// Lays the card down: how many commands it got, and what came of it. `Err`: it was pulled, or is mute.
fn tap_at(reads: &PivReads, card: &mut dyn Applet, now: Option<Timestamp>) -> (usize, Result<Proof<PivNumber>, Gone>) {
    let mut sent = 0;
    let mut seed = 0_u8;
    let mut draw = |bytes: &mut [u8]| {
        seed = seed.wrapping_add(1);
        bytes.fill(seed ^ 0xA5);
    };
    let mut around = Around { draw: &mut draw, answered: &|| (), now, sam: &mut |_| None };
    card.lose_power();
    let read = reads.read(&mut around, &mut |command: &[u8]| {
        sent += 1;
        assert!(sent <= MOST && command.len() <= 261, "{sent} commands, the last of {} bytes", command.len());
        match card.answer(command) {
            Said::Answer(answer) | Said::Late(_, answer) => Ok(Zeroizing::new(answer)),
            Said::Mute | Said::Pulled => Err(Gone),
        }
    });
    (sent, read)
}

/// The card left, or does not answer.
#[derive(Debug, PartialEq)]
struct Gone;

fn tap(reads: &PivReads, card: &mut dyn Applet) -> Proof<PivNumber> {
    tap_at(reads, card, today()).1.unwrap()
}

fn proved(card: &PivCard) -> Proof<PivNumber> {
    Proof::Proved(PivNumber::parse(card.roster_value()).unwrap())
}

fn unproved(why: PivError) -> Proof<PivNumber> {
    Proof::Failed(CardProblem::Unproved, why.into())
}

fn expired(why: PivError) -> Proof<PivNumber> {
    Proof::Failed(CardProblem::Expired, why.into())
}

#[test]
fn every_kind_of_key_proves_itself() {
    let site = Site::new();
    let reads = site.reads();
    for key in [PivKey::Rsa2048, PivKey::P256, PivKey::P384] {
        for compressed in [false, true] {
            let mut card = site.card(&PivPlan { key, compressed, ..PivPlan::default() });
            let number = proved(&card);
            assert_eq!(tap(&reads, &mut card), number, "{key:?} {compressed}");
            assert_eq!(tap(&reads, &mut card), number, "{key:?} {compressed}, again");
        }
    }
}

#[test]
fn what_is_copied_or_out_of_time_or_of_others_does_not_count() {
    let site = Site::new();
    let reads = site.reads();
    let plan = PivPlan::default();
    let other = PivPlan { uuid: [7; 16], fascn: [9; 25], ..plan.clone() };
    let of_others = PivAuthority::new("Campus cards").card(&plan);
    let one_field = |uuid, fascn| site.card(&PivPlan { uuid, fascn, ..plan.clone() });
    let table = [
        ("a copy", site.card(&plan).copied(), unproved(PivError::Signature)),
        (
            "a copy of an RSA card",
            site.card(&PivPlan { key: PivKey::Rsa2048, ..plan.clone() }).copied(),
            unproved(PivError::Signature),
        ),
        (
            "expired",
            site.card(&PivPlan { certificate: Validity::Expired, ..plan.clone() }),
            expired(PivError::CertificateExpired),
        ),
        (
            "not valid yet",
            site.card(&PivPlan { certificate: Validity::NotYet, ..plan.clone() }),
            expired(PivError::CertificateExpired),
        ),
        ("an expired card", site.card(&PivPlan { until: "20261129", ..plan.clone() }), expired(PivError::CardExpired)),
        ("no date", site.card(&PivPlan { until: "20261301", ..plan.clone() }), unproved(PivError::NoExpiration)),
        (
            "the numbers of another card",
            site.card(&plan).with_chuid_of(&site.card(&other)),
            unproved(PivError::OtherCard),
        ),
        (
            "the UUID of another card",
            site.card(&plan).with_chuid_of(&one_field(other.uuid, plan.fascn)),
            unproved(PivError::OtherCard),
        ),
        (
            "the FASC-N of another card",
            site.card(&plan).with_chuid_of(&one_field(plan.uuid, other.fascn)),
            unproved(PivError::OtherCard),
        ),
        ("no number", one_field([0; 16], [0; 25]), unproved(PivError::NoNumber)),
        (
            "a certificate for something else",
            site.card(&PivPlan { card_authentication: false, ..plan.clone() }),
            unproved(PivError::Usage),
        ),
        ("no certificate", site.card(&plan).without_certificate(), Proof::NotThere(PivError::NoCertificate.into())),
    ];
    for (what, mut card, expected) in table {
        assert_eq!(tap(&reads, &mut card), expected, "{what}");
    }
    let mut of_others = of_others;
    let ended = tap(&reads, &mut of_others);
    assert!(matches!(ended, Proof::Failed(CardProblem::Unproved, NoNumber::Piv(PivError::NoPath { .. }))), "{ended:?}");
}

#[test]
fn the_last_day_of_a_card_counts_and_a_card_without_uuid_has_its_fascn() {
    let site = Site::new();
    let plan = PivPlan { until: "20261130", uuid: [0; 16], ..PivPlan::default() };
    let number = format!("piv:fascn:{}", hex::encode(plan.fascn));
    assert_eq!(tap(&site.reads(), &mut site.card(&plan)), Proof::Proved(PivNumber::parse(&number).unwrap()));
}

#[test]
fn a_site_may_take_certificates_for_any_signature() {
    let site = Site::new();
    let mut card = site.card(&PivPlan { card_authentication: false, ..PivPlan::default() });
    let reads = site.reads_with(&[], RevocationOverdue::Refer, CertificatePurpose::AnySignature);
    assert_eq!(tap(&reads, &mut card), proved(&card));
}

#[test]
fn without_a_clock_nothing_is_proved() {
    let site = Site::new();
    let mut card = site.card(&PivPlan::default());
    assert_eq!(tap_at(&site.reads(), &mut card, None).1, Ok(unproved(PivError::NoClock)));
}

#[test]
fn a_card_on_a_list_is_revoked_and_a_newer_list_is_read_at_the_next_card() {
    let site = Site::new();
    let list = site.file("revoked.crl");
    let (mut lost, mut kept) =
        (site.card(&PivPlan::default()), site.card(&PivPlan { uuid: [7; 16], ..PivPlan::default() }));
    fs::write(&list, site.authority.revoke(&[], 2027)).unwrap();
    let reads = site.reads_with(&[&list], RevocationOverdue::Refer, CertificatePurpose::default());
    assert_eq!(tap(&reads, &mut lost), proved(&lost));

    let replace = |with: &[u8], second: u64| {
        fs::write(&list, with).unwrap();
        // On a clock of whole seconds the change would not show.
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        fs::File::options().write(true).open(&list).unwrap().set_modified(written).unwrap();
    };
    replace(site.authority.revoke(&[&lost], 2027).as_bytes(), 1);
    assert_eq!(tap(&reads, &mut lost), unproved(PivError::Revoked));
    assert_eq!(tap(&reads, &mut kept), proved(&kept));
    // What does not serve changes nothing.
    replace(b"half a list", 2);
    assert_eq!(tap(&reads, &mut lost), unproved(PivError::Revoked));
    assert_eq!(reads.standing().lists.len(), 1);
}

#[test]
fn overdue_lists_and_lists_of_others() {
    let site = Site::new();
    let (due, overdue, of_others) = (site.file("due.crl"), site.file("overdue.crl"), site.file("other.crl"));
    let mut lost = site.card(&PivPlan::default());
    let mut kept = site.card(&PivPlan { uuid: [7; 16], ..PivPlan::default() });
    fs::write(&due, site.authority.revoke(&[], 2027)).unwrap();
    fs::write(&overdue, site.authority.revoke(&[&lost], 2026)).unwrap();
    let second = PivAuthority::new("Another authority");
    fs::write(&of_others, second.revoke(&[], 2027)).unwrap();
    let reads = |lists: &[&Path], overdue| site.reads_with(lists, overdue, CertificatePurpose::default());

    let refers = reads(&[&overdue], RevocationOverdue::Refer);
    assert_eq!(tap(&refers, &mut kept), unproved(PivError::RevocationOverdue));
    assert_eq!(tap(&refers, &mut lost), unproved(PivError::Revoked));
    let accepts = reads(&[&overdue], RevocationOverdue::Accept);
    assert_eq!(tap(&accepts, &mut kept), proved(&kept));
    assert_eq!(tap(&accepts, &mut lost), unproved(PivError::Revoked));
    assert_eq!(tap(&reads(&[&overdue, &due], RevocationOverdue::Refer), &mut kept), proved(&kept));

    let anchors = [site.authority.certificate(), second.certificate()].concat();
    fs::write(site.file("anchors.pem"), anchors).unwrap();
    assert_eq!(tap(&reads(&[&of_others], RevocationOverdue::Refer), &mut kept), unproved(PivError::NoRevocationList));
}

#[test]
fn files_that_do_not_serve_are_named() {
    let site = Site::new();
    let file = |name: &str, content: &[u8]| {
        fs::write(site.file(name), content).unwrap();
        site.file(name)
    };
    let anchors = vec![site.file("anchors.pem")];
    let list = site.authority.revoke(&[], 2027);
    let both = [list.as_bytes(), b"\n", list.as_bytes()].concat();
    let leaf = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let load = |anchors: Vec<_>, revocation: Vec<_>| {
        let files = PivFiles { anchors, revocation };
        PivReads::load(files, RevocationOverdue::Refer, CertificatePurpose::default())
    };
    let table = [
        (vec![site.file("missing")], vec![], "missing"),
        (vec![file("empty", b"")], vec![], "PEM"),
        (vec![file("text", b"no certificate")], vec![], "PEM"),
        (vec![file("leaf", leaf.as_bytes())], vec![], "no authority's"),
        (anchors.clone(), vec![site.file("missing.crl")], "missing.crl"),
        (anchors.clone(), vec![file("none", b"no list")], "DER or PEM"),
        (
            anchors.clone(),
            vec![file("other", PivAuthority::new("Campus cards").revoke(&[], 2027).as_bytes())],
            "no authority of",
        ),
    ];
    for (anchors, lists, words) in table {
        let error = load(anchors, lists).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let standing = load(anchors, vec![file("both", &both)]).unwrap().standing();
    assert_eq!(standing.lists, vec![("Campus cards".into(), Some("2027-01-01T00:00:00Z".parse().unwrap())); 2]);
    assert_eq!(standing.anchors, [("Campus cards".into(), Some("2049-01-01T00:00:00Z".parse().unwrap()))]);
}

/// A card that gives r and s side by side, as some do.
struct SideBySide(PivCard);

impl Applet for SideBySide {
    fn atr(&self) -> Vec<u8> {
        self.0.atr()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        let said = self.0.answer(command);
        match said {
            Said::Answer(answer) if command[1] == 0x87 && answer.len() > 8 => {
                let signature = openssl::ecdsa::EcdsaSig::from_der(&answer[4..answer.len() - 2]).unwrap();
                let [r, s] = [signature.r(), signature.s()].map(|part| part.to_vec_padded(32).unwrap());
                Said::Answer([&[0x7C, 66, 0x82, 64], &r[..], &s, &[0x90, 0x00]].concat())
            }
            Said::Answer(_) | Said::Late(..) | Said::Mute | Said::Pulled => said,
        }
    }
}

#[test]
fn a_signature_without_der_counts_too() {
    let site = Site::new();
    let card = site.card(&PivPlan::default());
    let number = proved(&card);
    assert_eq!(tap(&site.reads(), &mut SideBySide(card)), number);
}

#[test]
fn a_fault_at_any_moment_is_no_proof_and_the_next_tap_is_good() {
    let site = Site::new();
    let reads = site.reads();
    let (commands, _) = tap_at(&reads, &mut site.card(&PivPlan::default()), today());
    for n in 0..commands {
        let cut = Fault::Truncate { bytes: 250 };
        for fault in [cut, Fault::Status([0x6F, 0x00]), Fault::Mute, Fault::Pulled, Fault::Instead(Vec::new())] {
            let card = site.card(&PivPlan::default());
            let number = proved(&card);
            let mut faulty = Faulty::new(card, Moment::Command(n), fault.clone());
            let (_, ended) = tap_at(&reads, &mut faulty, today());
            let is_gone = matches!(fault, Fault::Mute | Fault::Pulled);
            assert!(ended.is_err() == is_gone && !matches!(ended, Ok(Proof::Proved(_))), "{n} {fault:?}: {ended:?}");
            faulty.mend();
            assert_eq!(tap(&reads, &mut faulty), number, "{n} {fault:?}");
        }
    }
}

#[test]
fn nothing_shows_a_number() {
    let site = Site::new();
    let shown = format!("{:?} {:?}", site.reads(), tap(&site.reads(), &mut site.card(&PivPlan::default())));
    assert!(shown.contains("redacted") && !shown.to_lowercase().contains("6e2fd0a4"), "{shown}");
}

proptest! {
    /// Whatever a card answers, the reading ends after a bounded number of commands, and nothing is proved.
    #[test]
    fn any_answers_are_survived(answers in proptest::collection::vec(answer(), 0..70)) {
        let site = Site::new();
        let reads = site.reads();
        let mut left = answers.iter();
        let mut sent = 0;
        let mut around = Around { draw: &mut |bytes| bytes.fill(1), answered: &|| (), now: today(), sam: &mut |_| None };
        let read = reads.read(&mut around, &mut |_: &[u8]| {
            sent += 1;
            Ok::<_, Infallible>(Zeroizing::new(left.next().cloned().unwrap_or_default()))
        });
        prop_assert!(sent <= MOST, "{} commands", sent);
        prop_assert!(matches!(read, Ok(Proof::NotThere(_) | Proof::Failed(..))));
    }

    /// A good card with one bit of one answer turned: it proves to be itself, or nothing.
    #[test]
    fn a_turned_bit_never_makes_another_card(n in 0_usize..8, bit in 0_usize..2080) {
        let site = Site::new();
        let card = site.card(&PivPlan::default());
        let number = proved(&card);
        let (_, ended) = tap_at(&site.reads(), &mut Faulty::new(card, Moment::Command(n), Fault::Flip { bit }), today());
        prop_assert!(!matches!(&ended, Ok(Proof::Proved(_))) || ended == Ok(number), "{:?}", ended);
    }
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let selected = hex::decode("61114f0600001000010079074f05a0000003089000").unwrap();
    prop_oneof![
        4 => Just(selected),
        1 => proptest::collection::vec(any::<u8>(), 0..300),
        2 => proptest::sample::select(vec!["9000", "6a82", "6100", "6c05", "53009000", "5306700030003000", "7c0082009000", "0161ff"])
            .prop_map(|text| hex::decode(text).unwrap()),
    ]
}
