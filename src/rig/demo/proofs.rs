//! The second act: the box asks for cards that prove themselves. DESFire cards, a copied identifier, and PIV cards.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context, Result};

use super::script::{self, Step};
use crate::rig::{
    cards::{
        Applet, Chip,
        desfire::{Access, Application, Desfire, File, Generation, Mode},
        piv::{PivAuthority, PivPlan},
    },
    certificates::Validity,
    stage::Stage,
    virtual_card::Behaviour,
};

/// What the box is started with once more.
pub(super) const POLICY: &str = "[policy]\nweakest_profile = \"desfire_aes\"\n";

/// The site's key and one card's own, which AN10922 prints as its example for AES-128, with that card's identifier, application and system
/// identifier: so the derivation is checked by a number that nobody here computed.
const SITE_KEY: &str = "00112233445566778899aabbccddeeff";
const CARD_KEY: &str = "a8dd63a3b89d54b37ca802473fda9175";
const IDENTIFIER: [u8; 7] = [0x04, 0x78, 0x2E, 0x21, 0x80, 0x1D, 0x80];
const APPLICATION: [u8; 3] = [0xF5, 0x42, 0x30];
const SYSTEM: &str = "4E585020416275";

/// What is in the card's identity file.
const IDENTITY: [u8; 8] = [0x00, 0x00, 0x00, 0x00, 0x07, 0x5B, 0xCD, 0x15];

/// Both numbers of the student's DESFire card, as a roster takes them: what it proves, and what can be copied of it.
pub(super) const DESFIRE: &str = "desfire:00000000075BCD15 04782E21801D80";

/// A PIV card's number.
pub(super) const PIV: &str = "piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44";
const PIV_UUID: u128 = 0x6e2f_d0a4_4b3c_4f6a_9c11_0d9a_7b5e_2c44;

/// What the act needs: the authority of the PIV cards, and where its certificate and list are.
pub(super) struct Proofs {
    authority: PivAuthority,
    anchors: PathBuf,
    revoked: PathBuf,
}

impl Proofs {
    /// Puts the site's key into the key folder, and the authority's files beside the configuration.
    pub(super) fn prepare(stage: &Stage) -> Result<Self> {
        let (_, keys) = stage.state_and_keys();
        let key = keys.join("card-desfire.key");
        fs::write(&key, SITE_KEY).context("cannot write the card key")?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).context("cannot guard the card key")?;
        let authority = PivAuthority::new("Examgate Demo PIV");
        let [anchors, revoked] = ["anchors.pem", "revoked.crl"].map(|name| stage.folder().join(name));
        fs::write(&anchors, authority.certificate()).context("cannot write the anchor")?;
        fs::write(&revoked, authority.revoke(&[], 2049)).context("cannot write the revocation list")?;
        Ok(Self { authority, anchors, revoked })
    }

    /// How the box reads cards, in both acts: with the strongest that the card has.
    pub(super) fn configuration(&self) -> String {
        let application = hex::encode_upper(APPLICATION);
        format!(
            "[card]\nprofiles = [\"piv\", \"desfire_aes\", \"pacs\", \"uid\"]\n{}\
             [card.desfire]\napplication = \"{application}\"\nfile = 2\nlength = {}\nkey = 1\n\
             diversification = \"an10922\"\nsystem_identifier = \"{SYSTEM}\"\n\
             [card.piv]\nanchors = [\"{}\"]\nrevocation = [\"{}\"]\n",
            script::PACS,
            IDENTITY.len(),
            self.anchors.display(),
            self.revoked.display(),
        )
    }

    /// The act. `picture` finds a test picture.
    pub(super) fn steps(&self, picture: impl Fn(&str) -> PathBuf) -> Vec<Step> {
        let card_key = block(CARD_KEY);
        let piv = |uuid: u128, certificate| {
            chip(self.authority.card(&PivPlan { uuid: uuid.to_be_bytes(), certificate, ..PivPlan::default() }))
        };
        let steps = [
            ("a DESFire card that proves itself", desfire(card_key), ("admit", None)),
            (
                "its identifier, copied onto a blank",
                Behaviour::Uid(IDENTIFIER.to_vec()),
                ("refer", Some("card_too_weak")),
            ),
            ("a DESFire card with another site's key", desfire([0x5A; 16]), ("refer", Some("card_unproved"))),
            ("a PIV card that proves itself", piv(PIV_UUID, Validity::Good), ("admit", None)),
            (
                "a PIV card whose certificate has expired",
                piv(PIV_UUID + 1, Validity::Expired),
                ("refer", Some("card_expired")),
            ),
        ];
        let step = |(what, card, expected)| Step {
            what,
            clock: None,
            lost: None,
            card,
            scene: script::woman_looking(&picture),
            expected,
        };
        steps.map(step).into()
    }
}

/// A card with the identity in file 2, which key 1 reads.
fn desfire(key: [u8; 16]) -> Behaviour {
    let identity = File::new(Mode::Full, Access::Key(1), &IDENTITY);
    let application = Application::new(APPLICATION, &[[0; 16], key]).with(2, identity);
    chip(Desfire::new(Generation::Ev2, IDENTIFIER).with(application))
}

fn chip(card: impl Applet + 'static) -> Behaviour {
    Behaviour::Applet(Chip::new(card).any())
}

fn block(digits: &str) -> [u8; 16] {
    let mut block = [0; 16];
    hex::decode_to_slice(digits, &mut block).expect("a constant key is hexadecimal");
    block
}
