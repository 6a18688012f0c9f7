//! `examgate provision`: a new box makes its keys, asks the fleet for a certificate with a one-time code, and writes down what
//! it is told.
//!
//! Keys are made before anything is asked and used again when the answer was lost, so a power cut costs no code. The
//! certificate is written last: where it lies, the box is enrolled.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

use crate::{
    domain::Timestamp,
    edge::enrolment::{Endpoint, is_pair, new_key, request_for},
    exit::Refusal,
    flow::fetch::Prekeys,
    mqtt::common_name,
    store::{Key, KeyFolder, Secret, write_secret},
    wire::{
        enrolment::{Answer, Code, Request},
        keys::{PublicKey, SigningKey},
        trust::{Purpose, TrustDocument},
    },
};

/// Where what belongs to a box is put.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of keys.
    pub keys: PathBuf,
    /// The folder of what is no secret: the certificate, the authorities, the trust document.
    pub folder: PathBuf,
}

impl Places {
    fn certificate(&self) -> PathBuf {
        self.folder.join("door.pem")
    }

    fn authorities(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn trust(&self) -> PathBuf {
        self.folder.join("trust.cose")
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root.pub")
    }
}

/// Enrols this box at `url` with the `code` of `examgate-fleet device add`. `root` is the fleet's root, if it is known. Returns the
/// lines that the configuration needs.
///
/// # Errors
/// What is wrong, and how to mend it. Whatever went wrong, the same command may be given again.
pub fn provision(url: &str, code: &str, root: Option<PublicKey>, places: &Places, now: Timestamp) -> Result<String> {
    let code: Code = code.parse().with_context(|| Refusal::Usage("--code cannot be used".into()))?;
    let endpoint = Endpoint::parse(url).with_context(|| Refusal::Usage("--url cannot be used".into()))?;
    if places.certificate().exists() {
        bail!(Refusal::Usage(format!(
            "{} is there: this box is enrolled. To enrol it anew, move that file, {} and {} aside first",
            places.certificate().display(),
            places.root().display(),
            places.trust().display(),
        )));
    }
    for folder in [&places.keys, &places.folder] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let keys = KeyFolder::new(&places.keys, None);
    let own = signing_key(&keys)?;
    let tls = tls_key(&keys)?;
    let prekeys = Prekeys::open(keys.clone()).context("the key that rosters are sealed to cannot be made")?;
    let request = Request {
        nonce: nonce()?,
        csr: request_for(&tls).context("no request for a certificate can be made of tls.key")?,
        signing_key: own.public(),
        prekeys: vec![prekeys.recipient()?],
    };
    let answer = endpoint.enrol(&request, &code, &own)?;
    let document = believed(&answer, root, &tls, places)?;

    let authorities: String =
        document.keys.iter().filter(|key| key.purpose == Purpose::Issuer).fold(String::new(), |mut text, key| {
            if !document.revoked.contains(&key.id()) {
                text += key.key.trim_end();
                text.push('\n');
            }
            text
        });
    let lines = lines(&answer, &document, (url, places), now)?;
    write(&places.root(), format!("{}\n", answer.root).as_bytes())?;
    write(&places.trust(), &answer.trust)?;
    write(&places.authorities(), authorities.as_bytes())?;
    keys.reset_signing().context("signing keys of before cannot be erased")?;
    // Of an earlier enrolment: they would go before the one that came now.
    keys.erase_renewed().context("renewed certificates of before cannot be erased")?;
    write(&places.certificate(), answer.certificate.as_bytes())?;
    Ok(lines)
}

/// Looks through the answer before any of it is written.
fn believed(answer: &Answer, root: Option<PublicKey>, tls: &[u8], places: &Places) -> Result<TrustDocument> {
    let held = match fs::read_to_string(places.root()) {
        Ok(text) => Some(text.parse::<PublicKey>().with_context(|| format!("in {}", places.root().display()))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", places.root().display())),
    };
    if let Some(known) = root.or(held).filter(|known| *known != answer.root) {
        bail!(
            "the fleet's root is {}, and {known} was known: is this another fleet? Ask who keeps the root",
            answer.root
        );
    }
    let document =
        TrustDocument::decode(&answer.trust, &answer.root).context("the fleet's trust document is not good")?;
    if !is_pair(answer.certificate.as_bytes(), tls).unwrap_or(false) {
        bail!("the certificate that the fleet issued is not for this box's key: ask again with the same code");
    }
    if common_name(answer.certificate.as_bytes()).as_deref() != Some(answer.device.as_str()) {
        bail!("the certificate that the fleet issued is not for {}: ask again with the same code", answer.device);
    }
    Ok(document)
}

/// The lines of the configuration that follow from the answer.
fn lines(answer: &Answer, document: &TrustDocument, (url, places): (&str, &Places), now: Timestamp) -> Result<String> {
    // A new box may not know the time yet; the document was signed in the past.
    let now = now.max(Timestamp::from_second(document.issued).unwrap_or(now));
    let need = |purpose: Purpose| {
        document.current(purpose, now).first().map(|_| ()).with_context(|| {
            format!("the fleet's trust document has no {purpose} key that counts now: `examgate-fleet trust rotate {purpose}`")
        })
    };
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    // Without them its events would wait. Which they are the box reads in the document, each time that the fleet sends a newer one.
    need(Purpose::Events)?;
    need(Purpose::Receipt)?;
    let mut text = format!("device = \"{}\"\nroom = \"{}\"\n", answer.device, answer.room.as_str());
    let mut line = |name: &str, value: &str| {
        let value = toml::Value::String(value.into());
        writeln!(text, "{name} = {value}").expect("writing into memory cannot fail");
    };
    line("keys", &absolute(places.keys.clone()));
    text += "\n[uplink]\n";
    let mut line = |name: &str, value: toml::Value| {
        writeln!(text, "{name} = {value}").expect("writing into memory cannot fail");
    };
    line("host", answer.broker.clone().into());
    line("port", i64::from(answer.port).into());
    line("ca", absolute(places.authorities()).into());
    line("certificate", absolute(places.certificate()).into());
    line("enrolment", url.into());
    text += "\n[fleet]\n";
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name} = {}", toml::Value::String(value)).expect("writing into memory cannot fail");
    };
    line("root", answer.root.to_string());
    line("trust", absolute(places.trust()));
    Ok(text)
}

fn signing_key(keys: &KeyFolder) -> Result<SigningKey> {
    let path = keys.folder().join(Secret::Device.name());
    if !path.exists() {
        Key::generate()?.write_new(&path)?;
    }
    let seed = keys.secret(Secret::Device).context("the box's signing key cannot be read")?;
    Ok(SigningKey::from_seed(&seed))
}

fn tls_key(keys: &KeyFolder) -> Result<Zeroizing<Vec<u8>>> {
    let path = keys.folder().join(Secret::Tls.name());
    if !path.exists() {
        write_secret(&path, &new_key().context("no key can be made")?)?;
    }
    keys.text(Secret::Tls).context("the key of the box's certificate cannot be read")
}

fn nonce() -> Result<[u8; 16]> {
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&Key::generate()?.expose()[..16]);
    Ok(nonce)
}

/// Puts a file that is no secret in place, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("new");
    let put = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}
