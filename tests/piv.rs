//! PIV cards over a real pcscd: cards of ours with every kind of key and every fault, the reader of OpenSC before one of them, and a card that
//! nobody here wrote, the driver `ifd-jcecard`, before our reader.
//!
//! Needs the Debian packages `pcscd`, `vsmartcard-vpcd` and `opensc`, and the driver as `make test` builds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use examgate::{
    domain::{CardProblem, Credential, CredentialProfile, Pepper},
    edge::card::{CardEvent, CardReader, CardReads, PcscCardReader, PivFiles, PivReads, Slot},
    rig::{
        alone::{alone, alone_with_driver},
        cards::{
            Applet, Chip, Fault, Faulty, Moment,
            piv::{PivAuthority, PivKey, PivPlan},
        },
        certificates::Validity,
        pcscd::{self, Pcscd},
        virtual_card::{Behaviour, VirtualCard},
        virtual_reader::surroundings_at,
    },
    wire::piv::{CertificatePurpose, PivNumber, RevocationOverdue},
};
use openssl::{
    bn::BigNumContext,
    ec::{EcGroup, EcKey, EcPoint},
    md::Md,
    nid::Nid,
    pkey::PKey,
    pkey_ctx::PkeyCtx,
    rsa::Padding,
    symm::{Cipher, Crypter, Mode},
    x509::X509,
};
use tempfile::TempDir;

/// Far more than an event takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A site: who issues its cards, and its files.
struct Site {
    authority: PivAuthority,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            authority: PivAuthority::new("Campus cards"),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        fs::write(site.file("anchors.pem"), site.authority.certificate()).expect("writable");
        site
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A door that takes PIV cards, and identifiers of cards that are none.
    fn door(&self, lists: Vec<PathBuf>) -> Door {
        let files = PivFiles { anchors: vec![self.file("anchors.pem")], revocation: lists };
        let piv = PivReads::load(files, RevocationOverdue::default(), CertificatePurpose::default())
            .expect("the files are good");
        let profiles = vec![CredentialProfile::Piv, CredentialProfile::Uid];
        let reads = CardReads { profiles, piv: Some(piv), ..CardReads::default() };
        let today = "2026-11-30T08:00:00Z".parse().expect("valid");
        let mut reader = PcscCardReader::open(reads, pepper(), surroundings_at(today)).expect("a thread starts");
        assert!(matches!(reader.next(PATIENCE), Ok(Some(CardEvent::Ready { .. }))));
        Door { reader }
    }
}

fn pepper() -> Pepper {
    Pepper::from_bytes([1; 32])
}

struct Door {
    reader: PcscCardReader,
}

impl Door {
    /// Lays a card down, takes it away again.
    fn tap(&mut self, pcscd: &Pcscd, card: impl Applet + 'static) -> Result<Credential, CardProblem> {
        let card =
            VirtualCard::insert(pcscd.port(0), Behaviour::Applet(Chip::new(card).any())).expect("the slot listens");
        let read = self.tapped();
        drop(card);
        assert_eq!(self.reader.next(PATIENCE).expect("no outage"), Some(CardEvent::Removed { slot: Slot(0) }));
        read
    }

    fn tapped(&mut self) -> Result<Credential, CardProblem> {
        let event = self.reader.next(PATIENCE).expect("no outage");
        let Some(CardEvent::Tapped { read, .. }) = event else { panic!("{event:?} is no tap") };
        read
    }
}

fn named(roster_value: &str) -> Result<Credential, CardProblem> {
    let number = PivNumber::parse(roster_value).expect("valid");
    let profile = CredentialProfile::Piv;
    Ok(Credential { pseudonym: pepper().pseudonym(profile, number.identifier()), profile })
}

#[test]
fn every_kind_of_key_proves_itself() {
    alone("every_kind_of_key_proves_itself", |pcscd| {
        let site = Site::new();
        let mut door = site.door(Vec::new());
        for (key, compressed) in
            [(PivKey::P256, false), (PivKey::P384, true), (PivKey::Rsa2048, false), (PivKey::Rsa2048, true)]
        {
            let card = site.authority.card(&PivPlan { key, compressed, ..PivPlan::default() });
            let number = named(card.roster_value());
            assert_eq!(door.tap(&pcscd, card), number, "{key:?} {compressed}");
        }
    });
}

#[test]
fn a_card_that_does_not_prove_itself_is_not_called_by_its_identifier() {
    alone("a_card_that_does_not_prove_itself_is_not_called_by_its_identifier", |pcscd| {
        let site = Site::new();
        let plan = PivPlan::default();
        let card = || site.authority.card(&plan);
        let other = site.authority.card(&PivPlan { uuid: [7; 16], ..plan.clone() });
        let lost = site.authority.card(&PivPlan { uuid: [8; 16], ..plan.clone() });
        fs::write(site.file("revoked.crl"), site.authority.revoke(&[&lost], 2027)).expect("writable");
        let mut door = site.door(vec![site.file("revoked.crl")]);
        let table = [
            ("a copy", card().copied(), CardProblem::Unproved),
            ("the numbers of another card", card().with_chuid_of(&other), CardProblem::Unproved),
            ("revoked", lost, CardProblem::Unproved),
            ("of others", PivAuthority::new("Campus cards").card(&plan), CardProblem::Unproved),
            (
                "expired",
                site.authority.card(&PivPlan { certificate: Validity::Expired, ..plan.clone() }),
                CardProblem::Expired,
            ),
            (
                "an expired card",
                site.authority.card(&PivPlan { until: "20261129", ..plan.clone() }),
                CardProblem::Expired,
            ),
        ];
        for (what, card, problem) in table {
            assert_eq!(door.tap(&pcscd, card), Err(problem), "{what}");
        }
        let flipped = Faulty::new(card(), Moment::Instruction(0x87, 0), Fault::Flip { bit: 5 });
        assert_eq!(door.tap(&pcscd, flipped), Err(CardProblem::Unproved), "a flipped bit");
        let pulled = Faulty::new(card(), Moment::Instruction(0x87, 0), Fault::Pulled);
        assert_eq!(door.tap(&pcscd, pulled), Err(CardProblem::Unreadable), "pulled");
        // A card on which nobody put a certificate is no PIV card of the site; and the reader is as good as before.
        let uid = door.tap(&pcscd, card().without_certificate()).expect("the card is named");
        assert_eq!(uid.profile, CredentialProfile::Uid);
        assert_eq!(door.tap(&pcscd, card()), named(card().roster_value()));
    });
}

#[test]
fn opensc_reads_the_card_of_ours_as_our_reader_does() {
    alone("opensc_reads_the_card_of_ours_as_our_reader_does", |pcscd| {
        let site = Site::new();
        for (kind, compressed) in [(PivKey::P256, false), (PivKey::P384, true), (PivKey::Rsa2048, true)] {
            let card = site.authority.card(&PivPlan { key: kind, compressed, ..PivPlan::default() });
            let _card =
                VirtualCard::insert(pcscd.port(0), Behaviour::Applet(Chip::new(card).any())).expect("the slot listens");
            let certificate = run(&pcscd, "pkcs15-tool", &["--wait", "--read-certificate", "04"]);
            let key = X509::from_pem(&certificate).expect("OpenSSL does it").public_key().expect("OpenSSL does it");
            let bits = match kind {
                PivKey::Rsa2048 => 2048,
                PivKey::P256 => 256,
                PivKey::P384 => 384,
            };
            assert_eq!(key.bits(), bits);
            // Of this card's keys OpenSC 0.23 uses RSA alone.
            if kind == PivKey::Rsa2048 {
                let (digest, signed) = (site.file("digest"), site.file("signature"));
                fs::write(&digest, [0x5A; 32]).expect("writable");
                let files = [
                    "--input",
                    digest.to_str().expect("OpenSSL does it"),
                    "--output",
                    signed.to_str().expect("OpenSSL does it"),
                ];
                let how = ["--sign", "--key", "04", "--pkcs1", "--sha-256", "--raw"];
                run(&pcscd, "pkcs15-crypt", &[&how[..], &files].concat());
                let mut context = PkeyCtx::new(&key).expect("the service answers");
                context.verify_init().expect("the service answers");
                context.set_rsa_padding(Padding::PKCS1).expect("the service answers");
                context.set_signature_md(Md::sha256()).expect("the service answers");
                assert!(context.verify(&[0x5A; 32], &fs::read(signed).expect("readable")).expect("readable"));
            }
        }
    });
}

/// What a program of OpenSC says to standard output.
fn run(pcscd: &Pcscd, program: &str, arguments: &[&str]) -> Vec<u8> {
    let ended = Command::new(program).args(arguments).env(pcscd::SOCKET, pcscd.socket()).output();
    let ended =
        ended.unwrap_or_else(|error| panic!("{program}: {error}; apt-get install --no-install-recommends opensc"));
    assert!(ended.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

/// Where `make test` puts the driver.
fn driver() -> PathBuf {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/jcecard/debug/libifd_jcecard.so");
    assert!(
        driver.exists(),
        "{} is missing: cargo build --locked --manifest-path tests/jcecard/Cargo.toml --package ifd-jcecard --target-dir target/jcecard",
        driver.display()
    );
    driver
}

/// The card in the other driver, for whoever issues it.
struct Jcecard {
    card: pcsc::Card,
}

impl Jcecard {
    /// Selects its PIV application and is let in by the management key that every such card has at first.
    fn issue() -> Self {
        let context = pcsc::Context::establish(pcsc::Scope::User).expect("the service answers");
        let reader = context.list_readers_owned().expect("the service answers").remove(0);
        let card = Self {
            card: context.connect(&reader, pcsc::ShareMode::Shared, pcsc::Protocols::ANY).expect("the service answers"),
        };
        card.send("00a4040005a00000030800");
        let witness = card.send("0087039b047c02800000");
        let key = hex::decode("010203040506070801020304050607080102030405060708").expect("valid");
        let mut decrypter = Crypter::new(Cipher::des_ede3(), Mode::Decrypt, &key, None).expect("OpenSSL does it");
        decrypter.pad(false);
        let mut plain = [0; 16];
        let length = decrypter.update(&witness[4..12], &mut plain).expect("OpenSSL does it");
        assert_eq!(length, 8);
        card.send(&format!("0087039b167c148008{}8108{}00", hex::encode(&plain[..8]), "11".repeat(8)));
        card
    }

    /// Lets it make a key for card authentication: its public half, SPKI in DER.
    fn generate(&self, algorithm: u8, curve: Nid) -> Vec<u8> {
        let answer = self.send(&format!("0047009e05ac038001{algorithm:02x}00"));
        let at = answer.iter().position(|byte| *byte == 0x86).expect("there is a challenge");
        let group = EcGroup::from_curve_name(curve).expect("OpenSSL does it");
        let mut numbers = BigNumContext::new().expect("the service answers");
        let point = EcPoint::from_bytes(&group, &answer[at + 2..], &mut numbers).expect("OpenSSL does it");
        let key = EcKey::from_public_key(&group, &point).expect("OpenSSL does it");
        PKey::from_ec_key(key).expect("OpenSSL does it").public_key_to_der().expect("OpenSSL does it")
    }

    /// Writes an object: PUT DATA, in parts.
    fn put(&self, object: u8, content: &[u8]) {
        let [high, low] = u16::try_from(content.len()).expect("an object is short").to_be_bytes();
        let data = [&[0x5C, 3, 0x5F, 0xC1, object, 0x53, 0x82, high, low], content].concat();
        let parts: Vec<_> = data.chunks(255).collect();
        for (n, part) in parts.iter().enumerate() {
            let class = if n + 1 == parts.len() { "00" } else { "10" };
            self.send(&format!("{class}db3fff{:02x}{}", part.len(), hex::encode(part)));
        }
    }

    fn send(&self, command: &str) -> Vec<u8> {
        let mut buffer = [0; 4098];
        let answer = self.card.transmit(&hex::decode(command).expect("valid"), &mut buffer).expect("valid");
        let data = answer.strip_suffix(&[0x90, 0x00]);
        data.unwrap_or_else(|| panic!("{command}: {}", hex::encode(answer))).to_vec()
    }
}

#[test]
fn a_card_that_nobody_here_wrote_proves_itself() {
    alone_with_driver(&driver(), "a_card_that_nobody_here_wrote_proves_itself", |_pcscd| {
        let site = Site::new();
        let plan = PivPlan::default();
        let number = named("piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44");
        for (algorithm, curve) in [(0x11, Nid::X9_62_PRIME256V1), (0x14, Nid::SECP384R1)] {
            let card = Jcecard::issue();
            let key = card.generate(algorithm, curve);
            let (certificate, chuid) = site.authority.objects(&key, &plan);
            card.put(0x01, &certificate);
            card.put(0x02, &chuid);
            drop(card);
            assert_eq!(site.door(Vec::new()).tapped(), number, "{curve:?}");
            // Another key under the same certificate: the card is not the one that was certified.
            let card = Jcecard::issue();
            card.generate(algorithm, curve);
            drop(card);
            assert_eq!(site.door(Vec::new()).tapped(), Err(CardProblem::Unproved), "{curve:?}");
        }
    });
}
