//! Whom a box let in, for the other boxes of the exam, version 1: one page of its list, retained on the exam's `admitted` topic, signed
//! by the box's signing key.
//!
//! COSE_Sign1 over a CBOR map `{v, exam, device, page, made, rows}`. A row is one student: when they were let in (`null`: it was taken
//! back), and pseudonyms under the exam's key of the student and of the cards that were used. Rows keep their place; a page that changes is
//! sent again as a whole, with a later time. It names no student, no card and no room: the room of a box stands in the roster bundle.

use serde::{Deserialize, Serialize};

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{AdmissionPseudonym, DeviceId, ExamId, MAX_CARDS, Timestamp};

/// What the signature is for.
const PURPOSE: &str = "examgate/admitted/v1";

/// Rows of a whole page: so few that one admission costs one short message, and so many that a box which comes back reads few.
pub const ROWS: usize = 32;

/// Pages of the longest list: 16,384 students, more than a bundle carries.
pub const MAX_PAGES: u32 = 512;

/// Most pseudonyms of one row: the student's and those of all cards.
pub const MAX_PSEUDONYMS: usize = 1 + MAX_CARDS;

/// Longest page, bytes: all rows with all cards, and the signature.
pub const MAX_ADMITTED: usize = 8 * 1024;

/// Why bytes are not a page of this box's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmittedError {
    /// Longer than any page.
    #[error("longer than the {MAX_ADMITTED} bytes of a page")]
    TooLong,
    /// Not signed by this box's key for this purpose; nothing in it is believed.
    #[error(
        "not signed by the key that the roster names for this box; was it enrolled again since the roster was pushed?"
    )]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the box, but not a page of version 1; is its software newer?")]
    Malformed,
    /// The box signed another exam, another box or another page than the topic says.
    #[error("the page is of another exam, another box or another place than its topic says")]
    Misplaced,
}

/// One student on the list of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedRow {
    /// When the student was let in, to the second; `None`: it was taken back.
    pub at: Option<Timestamp>,
    /// The student's pseudonym and those of the cards used; 1 to [`MAX_PSEUDONYMS`].
    pub who: Vec<AdmissionPseudonym>,
}

/// One page of a box's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedPage {
    /// The exam.
    pub exam: ExamId,
    /// The box.
    pub device: DeviceId,
    /// Which page, from 0; below [`MAX_PAGES`].
    pub page: u32,
    /// When the box made it, by its clock, to the millisecond. Of two pages of one place the later one counts.
    pub made: Timestamp,
    /// 1 to [`ROWS`] students.
    pub rows: Vec<AdmittedRow>,
}

#[derive(Serialize, Deserialize)]
struct Who(#[serde(with = "cbor::bytes")] [u8; 16]);

#[derive(Serialize, Deserialize)]
struct Row(Option<i64>, Vec<Who>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    exam: ExamId,
    device: DeviceId,
    page: u32,
    /// Milliseconds since 1970.
    made: i64,
    rows: Vec<Row>,
}

impl AdmittedPage {
    /// Signs the page.
    ///
    /// # Panics
    /// When it has more rows, or a row more pseudonyms, than a page holds: its maker keeps to the bounds.
    #[must_use]
    pub fn encode(&self, key: &SigningKey) -> Vec<u8> {
        let fits = |row: &AdmittedRow| (1..=MAX_PSEUDONYMS).contains(&row.who.len());
        assert!((1..=ROWS).contains(&self.rows.len()) && self.rows.iter().all(fits) && self.page < MAX_PAGES);
        let row = |row: &AdmittedRow| {
            Row(row.at.map(Timestamp::as_second), row.who.iter().map(|who| Who(*who.as_bytes())).collect())
        };
        let Self { exam, device, page, made, rows } = self;
        let payload = Payload {
            v: 1,
            exam: exam.clone(),
            device: device.clone(),
            page: *page,
            made: made.as_millisecond(),
            rows: rows.iter().map(row).collect(),
        };
        signed::sign(PURPOSE, key, cbor::to_vec(&payload))
    }

    /// Reads the page that came for this `place`: exam, box and number as the topic says them. `key` is the box's.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it, or it is of another place. Whether it is newer is for the reader to
    /// judge.
    pub fn decode(
        bytes: &[u8],
        (exam, device, page): (&ExamId, &DeviceId, u32),
        key: &PublicKey,
    ) -> Result<Self, AdmittedError> {
        if bytes.len() > MAX_ADMITTED {
            return Err(AdmittedError::TooLong);
        }
        let content = signed::verify(PURPOSE, key, bytes).ok_or(AdmittedError::NotSigned)?;
        let payload: Payload = cbor::from_slice(&content).ok_or(AdmittedError::Malformed)?;
        let made = Timestamp::from_millisecond(payload.made).ok();
        let fits = |row: &Row| (1..=MAX_PSEUDONYMS).contains(&row.1.len());
        let is_whole = payload.v == 1
            && payload.page < MAX_PAGES
            && (1..=ROWS).contains(&payload.rows.len())
            && payload.rows.iter().all(fits)
            && cbor::to_vec(&payload) == content;
        let Some(made) = made.filter(|_| is_whole) else { return Err(AdmittedError::Malformed) };
        if (&payload.exam, &payload.device, payload.page) != (exam, device, page) {
            return Err(AdmittedError::Misplaced);
        }
        let row = |Row(at, who): Row| {
            let at = at.map(Timestamp::from_second).transpose().map_err(|_| AdmittedError::Malformed)?;
            let who = who.into_iter().map(|who| AdmissionPseudonym::from_bytes(who.0)).collect();
            Ok(AdmittedRow { at, who })
        };
        let rows: Result<Vec<_>, AdmittedError> = payload.rows.into_iter().map(row).collect();
        Ok(Self { exam: payload.exam, device: payload.device, page: payload.page, made, rows: rows? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/admitted-v1.cose");

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn page() -> AdmittedPage {
        let who = |n: u8| AdmissionPseudonym::from_bytes([n; 16]);
        AdmittedPage {
            exam: ExamId::new("MATH-1").expect("valid"),
            device: DeviceId::new("door-1").expect("valid"),
            page: 2,
            made: at("2026-12-14T08:00:01.5Z"),
            rows: vec![
                AdmittedRow { at: Some(at("2026-12-14T08:00:01Z")), who: vec![who(1), who(2)] },
                AdmittedRow { at: None, who: vec![who(3)] },
            ],
        }
    }

    fn read(bytes: &[u8]) -> Result<AdmittedPage, AdmittedError> {
        let AdmittedPage { exam, device, page, .. } = page();
        AdmittedPage::decode(bytes, (&exam, &device, page), &key().public())
    }

    #[test]
    fn golden_page() {
        assert_eq!(hex::encode(page().encode(&key())), hex::encode(GOLDEN));
        assert_eq!(read(GOLDEN), Ok(page()));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let other = |change: &dyn Fn(&mut AdmittedPage)| {
            let mut page = page();
            change(&mut page);
            page.encode(&key())
        };
        let payload = |v, page, made, rows| {
            let AdmittedPage { exam, device, .. } = self::page();
            signed::sign(PURPOSE, &key(), cbor::to_vec(&Payload { v, exam, device, page, made, rows }))
        };
        let row = |who: usize| Row(Some(1), (0..who).map(|_| Who([1; 16])).collect());
        for (name, bytes, error) in [
            ("another key", page().encode(&SigningKey::from_seed(&[8; 32])), AdmittedError::NotSigned),
            ("another purpose", signed::sign("examgate/event/v1", &key(), vec![]), AdmittedError::NotSigned),
            ("another exam", other(&|page| page.exam = ExamId::new("BIO-2").expect("valid")), AdmittedError::Misplaced),
            (
                "another box",
                other(&|page| page.device = DeviceId::new("door-2").expect("valid")),
                AdmittedError::Misplaced,
            ),
            ("another page", other(&|page| page.page = 3), AdmittedError::Misplaced),
            ("version 2", payload(2, 2, 1, vec![row(1)]), AdmittedError::Malformed),
            ("no page of any list", payload(1, MAX_PAGES, 1, vec![row(1)]), AdmittedError::Malformed),
            ("no time", payload(1, 2, i64::MAX, vec![row(1)]), AdmittedError::Malformed),
            ("no time of admission", payload(1, 2, 1, vec![Row(Some(i64::MAX), row(1).1)]), AdmittedError::Malformed),
            ("empty", payload(1, 2, 1, vec![]), AdmittedError::Malformed),
            ("many rows", payload(1, 2, 1, (0..=ROWS).map(|_| row(1)).collect()), AdmittedError::Malformed),
            ("nobody", payload(1, 2, 1, vec![row(0)]), AdmittedError::Malformed),
            ("many pseudonyms", payload(1, 2, 1, vec![row(MAX_PSEUDONYMS + 1)]), AdmittedError::Malformed),
            ("too long", vec![0; MAX_ADMITTED + 1], AdmittedError::TooLong),
            ("cut short", GOLDEN[..60].to_vec(), AdmittedError::NotSigned),
        ] {
            assert_eq!(read(&bytes), Err(error), "{name}");
        }
    }

    #[test]
    fn the_longest_page_fits() {
        let row = AdmittedRow {
            at: Some(at("9999-01-01T00:00:00Z")),
            who: vec![AdmissionPseudonym::from_bytes([255; 16]); MAX_PSEUDONYMS],
        };
        let longest = AdmittedPage {
            exam: ExamId::new("e".repeat(64)).expect("valid"),
            device: DeviceId::new("d".repeat(64)).expect("valid"),
            page: MAX_PAGES - 1,
            made: at("9999-01-01T00:00:00Z"),
            rows: vec![row; ROWS],
        };
        let bytes = longest.encode(&key());
        let place = (&longest.exam, &longest.device, longest.page);
        assert_eq!(
            AdmittedPage::decode(&bytes, place, &key().public()).as_ref(),
            Ok(&longest),
            "{} bytes",
            bytes.len()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), signed in any::<bool>()) {
            let bytes = if signed { signed::sign(PURPOSE, &key(), bytes) } else { bytes };
            prop_assert!(read(&bytes).is_err());
        }
    }
}
