//! Whose cards a site believes: the authorities of its anchors, and what they revoked. Both are files. A revocation list counts for days,
//! so a list that was replaced by a newer one is read anew at the next card.
//!
//! It blocks certificates of other authorities, certificates out of their time, weak signatures (below 112 bits), and cards on a list. It does
//! not look at what became of an authority: to stop believing one, take it out of the anchors.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    error::ErrorStack,
    nid::Nid,
    stack::Stack,
    x509::{
        CrlStatus, X509, X509Crl, X509NameRef, X509Ref, X509StoreContext,
        store::X509StoreBuilder,
        verify::{X509VerifyFlags, X509VerifyParam},
    },
};
use x509_parser::{
    asn1_rs::FromDer as _,
    prelude::{CertificateRevocationList, X509Certificate},
};

use crate::{
    domain::{Timestamp, WithSources},
    wire::piv::{PivError, RevocationOverdue},
};

/// How OpenSSL says that a certificate is not valid yet, and that it has expired (x509_vfy.h).
const OUT_OF_TIME: [i32; 2] = [9, 10];

/// Least strength of signatures and keys on the path, in OpenSSL's levels: 112 bits, as RSA of 2048 bits and SHA-256 have
/// (SSL_CTX_set_security_level(3)). SHA-1 is below it.
const LEVEL: i32 = 2;

/// Longest path from a card to an anchor.
const DEEPEST: i32 = 8;

/// Largest file that is read. Public lists of whole departments have some megabytes.
const MOST_BYTES: u64 = 64 << 20;

/// How a block of PEM with a list ends.
const END: &str = "-----END X509 CRL-----";

/// The files of a site.
#[derive(Clone, Debug, Default)]
pub struct PivFiles {
    /// Certificates of authorities, PEM.
    pub anchors: Vec<PathBuf>,
    /// Revocation lists of these authorities, DER or PEM. None: nothing is asked for revocation.
    pub revocation: Vec<PathBuf>,
}

/// Why a file does not serve.
#[derive(Debug, thiserror::Error)]
pub enum PivFileError {
    /// It cannot be read.
    #[error("cannot read {}, which [card.piv] names", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It holds no certificates.
    #[error(
        "{} has no certificate that can be read: card.piv.anchors takes PEM; of a binary file `openssl x509 -inform der` makes one",
        path.display()
    )]
    NoAnchor {
        /// The file.
        path: PathBuf,
        /// What OpenSSL says; nothing where the file is empty.
        source: ErrorStack,
    },
    /// One of its certificates signs none.
    #[error("{} has the certificate {name:?}, which is no authority's: anchors are those who issue the cards' certificates", path.display())]
    NotAuthority {
        /// The file.
        path: PathBuf,
        /// Its subject.
        name: String,
    },
    /// It holds no list.
    #[error("{} has no revocation list that can be read: card.piv.revocation takes DER or PEM", path.display())]
    NoList {
        /// The file.
        path: PathBuf,
        /// What OpenSSL says.
        source: ErrorStack,
    },
    /// It is a list of something less than all.
    #[error("{} has a list with a critical extension: a part of a list, or one of changes. Use the whole list of {issuer:?}", path.display())]
    Partial {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        issuer: String,
    },
    /// Nobody could tell when it is too old.
    #[error("{} has a list without nextUpdate: nobody could tell when it is too old", path.display())]
    Endless {
        /// The file.
        path: PathBuf,
    },
    /// None of the anchors signed it.
    #[error("{} has a list of {issuer:?}, which no authority of card.piv.anchors signed: add the certificate of that authority there", path.display())]
    OtherIssuer {
        /// The file.
        path: PathBuf,
        /// Whose it says it is.
        issuer: String,
    },
}

/// A name and how long what it names counts. `None`: that cannot be told.
type Until = (String, Option<Timestamp>);

/// Whom a site trusts, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PivStanding {
    /// Authorities, and when their certificates end.
    pub anchors: Vec<Until>,
    /// Authorities with a revocation list, and when the next one is due.
    pub lists: Vec<Until>,
}

/// What is trusted. Clones share it.
#[derive(Clone)]
pub(super) struct Trust(Arc<Inner>);

struct Inner {
    anchors: Vec<X509>,
    files: Vec<PathBuf>,
    lists: Mutex<Lists>,
}

/// The lists as they were read last.
#[derive(Default)]
struct Lists {
    /// When each file was written.
    written: Vec<Option<SystemTime>>,
    lists: Arc<[List]>,
}

struct List {
    list: X509Crl,
    /// The key that signed it, in DER.
    key: Vec<u8>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} anchors, {} lists)", self.0.anchors.len(), self.lists().len())
    }
}

impl Trust {
    pub(super) fn load(files: PivFiles) -> Result<Self, PivFileError> {
        let mut anchors = Vec::new();
        for path in &files.anchors {
            anchors.extend(read_anchors(path)?);
        }
        let written = written(&files.revocation);
        let lists = Mutex::new(Lists { written, lists: read_lists(&files.revocation, &anchors)? });
        Ok(Self(Arc::new(Inner { anchors, files: files.revocation, lists })))
    }

    /// Whether the certificate of a card counts at `now`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, leaf: &X509, now: Timestamp, overdue: RevocationOverdue) -> Result<(), PivError> {
        let issuer = self.issuer(leaf, now)?;
        if self.0.files.is_empty() {
            return Ok(());
        }
        let unreadable = |_| PivError::NoRevocationList;
        let key = issuer.public_key().and_then(|key| key.public_key_to_der()).map_err(unreadable)?;
        let at = Asn1Time::from_unix(now.as_second()).map_err(unreadable)?;
        let (mut is_listed, mut is_current) = (false, false);
        for List { list, .. } in self.lists().iter().filter(|list| list.key == key) {
            if matches!(list.get_by_cert(leaf), CrlStatus::Revoked(_)) {
                return Err(PivError::Revoked);
            }
            is_listed = true;
            is_current |= list.last_update() <= &*at && list.next_update().is_some_and(|next| &*at <= next);
        }
        match (is_listed, is_current, overdue) {
            (false, ..) => Err(PivError::NoRevocationList),
            (true, false, RevocationOverdue::Refer) => Err(PivError::RevocationOverdue),
            (true, true, _) | (true, false, RevocationOverdue::Accept) => Ok(()),
        }
    }

    /// Who issued a card's certificate, if a path leads from it to an anchor.
    fn issuer(&self, leaf: &X509, now: Timestamp) -> Result<X509, PivError> {
        let judged = || {
            let mut store = X509StoreBuilder::new()?;
            for anchor in &self.0.anchors {
                store.add_cert(anchor.clone())?;
            }
            let mut rules = X509VerifyParam::new()?;
            rules.set_time(now.as_second());
            // An issuing authority is trusted by itself, without those above it.
            rules.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
            rules.set_auth_level(LEVEL);
            rules.set_depth(DEEPEST);
            store.set_param(&rules)?;
            let store = store.build();
            X509StoreContext::new()?.init(&store, leaf, &*Stack::new()?, |context| {
                if context.verify_cert()? {
                    Ok(Ok(context.chain().and_then(|path| path.get(1)).map(ToOwned::to_owned)))
                } else {
                    Ok(Err((context.error(), context.error_depth())))
                }
            })
        };
        match judged() {
            Ok(Ok(Some(issuer))) => Ok(issuer),
            Ok(Err((error, 0))) if OUT_OF_TIME.contains(&error.as_raw()) => Err(PivError::CertificateExpired),
            Ok(Err((error, _))) => Err(PivError::NoPath { why: error.error_string() }),
            // Anchors are authorities, which no card is.
            Ok(Ok(None)) => Err(PivError::NoPath { why: "the certificate is an anchor itself" }),
            Err::<_, ErrorStack>(_) => Err(PivError::NoPath { why: "OpenSSL gives up" }),
        }
    }

    /// The lists, read anew where a file was replaced. A file that does not serve leaves the lists as they are: they grow overdue.
    fn lists(&self) -> Arc<[List]> {
        let Inner { anchors, files, lists } = &*self.0;
        let mut held = lists.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written(files);
        if held.written != written {
            // Tried once for each time that a file is written.
            held.written = written;
            match read_lists(files, anchors) {
                Ok(lists) => {
                    tracing::info!(lists = lists.len(), "PIV revocation lists read anew");
                    held.lists = lists;
                }
                Err(error) => {
                    tracing::warn!(error = %WithSources(&error), "the PIV revocation lists stay as they were")
                }
            }
        }
        Arc::clone(&held.lists)
    }

    pub(super) fn standing(&self) -> PivStanding {
        let anchors = self.0.anchors.iter().map(|anchor| (name(anchor.subject_name()), timestamp(anchor.not_after())));
        let lists = self.lists();
        let lists =
            lists.iter().map(|List { list, .. }| (name(list.issuer_name()), list.next_update().and_then(timestamp)));
        PivStanding { anchors: anchors.collect(), lists: lists.collect() }
    }
}

fn written(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    files.iter().map(|file| fs::metadata(file).and_then(|about| about.modified()).ok()).collect()
}

fn read_file(path: &Path) -> Result<Vec<u8>, PivFileError> {
    let read = || {
        if fs::metadata(path)?.len() > MOST_BYTES {
            return Err(io::Error::other("it is larger than 64 MB"));
        }
        fs::read(path)
    };
    read().map_err(|source| PivFileError::Read { path: path.to_owned(), source })
}

fn read_anchors(path: &Path) -> Result<Vec<X509>, PivFileError> {
    let refused = |source| PivFileError::NoAnchor { path: path.to_owned(), source };
    let anchors = X509::stack_from_pem(&read_file(path)?).map_err(refused)?;
    if anchors.is_empty() {
        return Err(refused(ErrorStack::get()));
    }
    match anchors.iter().find(|anchor| !is_authority(anchor)) {
        Some(other) => Err(PivFileError::NotAuthority { path: path.to_owned(), name: name(other.subject_name()) }),
        None => Ok(anchors),
    }
}

fn is_authority(certificate: &X509Ref) -> bool {
    certificate.to_der().is_ok_and(|der| X509Certificate::from_der(&der).is_ok_and(|(_, read)| read.is_ca()))
}

fn read_lists(files: &[PathBuf], anchors: &[X509]) -> Result<Arc<[List]>, PivFileError> {
    let mut lists = Vec::new();
    for path in files {
        let bytes = read_file(path)?;
        let refused = |source| PivFileError::NoList { path: path.clone(), source };
        let read = match str::from_utf8(&bytes) {
            Ok(text) if text.contains(END) => {
                let blocks = text.split_inclusive(END).filter(|block| block.ends_with(END));
                blocks.map(|block| X509Crl::from_pem(block.as_bytes())).collect()
            }
            Ok(_) | Err(_) => X509Crl::from_der(&bytes).map(|list| vec![list]),
        };
        for list in read.map_err(refused)? {
            lists.push(check_list(path, list, anchors)?);
        }
    }
    Ok(lists.into())
}

fn check_list(path: &Path, list: X509Crl, anchors: &[X509]) -> Result<List, PivFileError> {
    let (path, issuer) = (path.to_owned(), name(list.issuer_name()));
    let der = list.to_der().map_err(|source| PivFileError::NoList { path: path.clone(), source })?;
    // OpenSSL's own check of lists cannot be told to accept overdue ones, so what it would refuse is refused here.
    let is_whole = CertificateRevocationList::from_der(&der)
        .is_ok_and(|(_, list)| list.extensions().iter().all(|extension| !extension.critical));
    if !is_whole {
        return Err(PivFileError::Partial { path, issuer });
    }
    if list.next_update().is_none() {
        return Err(PivFileError::Endless { path });
    }
    let signer = anchors.iter().find_map(|anchor| {
        let named = anchor.subject_name().try_cmp(list.issuer_name()).is_ok_and(|order| order.is_eq());
        let key = anchor.public_key().ok().filter(|key| named && list.verify(key).unwrap_or(false))?;
        key.public_key_to_der().ok()
    });
    match signer {
        Some(key) => Ok(List { list, key }),
        None => Err(PivFileError::OtherIssuer { path, issuer }),
    }
}

/// A name for people: the common name, or whatever is last.
fn name(name: &X509NameRef) -> String {
    let common = name.entries_by_nid(Nid::COMMONNAME).next().or_else(|| name.entries().last());
    let text = common.and_then(|entry| entry.data().to_string().ok());
    text.unwrap_or_else(|| "a nameless authority".to_owned())
}

fn timestamp(at: &Asn1TimeRef) -> Option<Timestamp> {
    let passed = Asn1Time::from_unix(0).ok()?.diff(at).ok()?;
    Timestamp::from_second(i64::from(passed.days) * 86_400 + i64::from(passed.secs)).ok()
}
