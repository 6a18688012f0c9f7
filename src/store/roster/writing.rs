//! The statements that write one edition, and what refuses it. They never begin or end a transaction.

use rusqlite::{OptionalExtension, ToSql, Transaction, named_params};

use super::{RosterError, content::little_endian};
use crate::{
    domain::{
        CardPseudonym, CardStanding, Exam, Language, MAX_CARDS, Matching, RosterEntry, Seat, StudentId, Template,
    },
    store::sealed::Fault,
};

/// Most templates of one student: nobody is enrolled from more pictures.
const TEMPLATES: usize = 256;

/// Writes one student's place, cards and templates.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    entry: &RosterEntry,
    templates: &[Template],
    fault: impl Fn(rusqlite::Error) -> Fault,
) -> Result<(), RosterError> {
    let student = || entry.student.id.clone();
    if templates.len() > TEMPLATES {
        return Err(RosterError::TooManyTemplates { student: student(), count: templates.len() });
    }
    if entry.cards().count() > MAX_CARDS {
        return Err(RosterError::TooManyCards { student: student(), count: entry.cards().count() });
    }
    if entry.matching == Matching::None && !templates.is_empty() {
        return Err(RosterError::OptedOut { student: student() });
    }
    insert_place(transaction, entry, templates.len())
        .map_err(|error| duplicate(transaction, entry).unwrap_or_else(|| fault(error).into()))?;
    for (place, card) in entry.other_cards.iter().enumerate() {
        let revoked = card.standing == CardStanding::Revoked;
        let values = (entry.student.id.as_str(), place, card.pseudonym.as_bytes(), revoked);
        transaction
            .prepare_cached("INSERT INTO more_cards (student, place, card, revoked) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(values))
            .map_err(|error| {
                let holder = holder(transaction, "SELECT student FROM more_cards WHERE card = ?1", &card.pseudonym);
                holder.map_or_else(
                    || fault(error).into(),
                    |holder| RosterError::DuplicateCard { holder, student: student() },
                )
            })?;
    }
    insert_look_alikes(transaction, entry).map_err(&fault)?;
    Ok(insert_templates(transaction, entry, templates).map_err(&fault)?)
}

fn insert_place(transaction: &Transaction<'_>, entry: &RosterEntry, templates: usize) -> rusqlite::Result<()> {
    let student = &entry.student;
    transaction
        .prepare_cached(
            "INSERT INTO entries (card, student, given_name, revoked, room, templates, language, preferred_name, seat, opted_out, more, look_alikes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute((
            entry.card.pseudonym.as_bytes(),
            student.id.as_str(),
            &student.given_name,
            entry.card.standing == CardStanding::Revoked,
            entry.room.as_str(),
            templates,
            student.language.as_ref().map(Language::as_str),
            &student.preferred_name,
            entry.seat.as_ref().map(Seat::as_str),
            entry.matching == Matching::None,
            entry.other_cards.len(),
            entry.look_alikes.len(),
        ))
        .map(drop)
}

fn insert_look_alikes(transaction: &Transaction<'_>, entry: &RosterEntry) -> rusqlite::Result<()> {
    for (place, other) in entry.look_alikes.iter().enumerate() {
        transaction
            .prepare_cached("INSERT INTO look_alikes (student, place, other) VALUES (?1, ?2, ?3)")?
            .execute((entry.student.id.as_str(), place, other.as_str()))?;
    }
    Ok(())
}

fn insert_templates(
    transaction: &Transaction<'_>,
    entry: &RosterEntry,
    templates: &[Template],
) -> rusqlite::Result<()> {
    let student = entry.student.id.as_str();
    for (place, template) in templates.iter().enumerate() {
        let embedding = little_endian(&template.embedding);
        transaction
            .prepare_cached(
                "INSERT INTO templates (student, place, space, artifact, embedding) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((student, place, template.space.as_str(), template.artifact.as_bytes(), &*embedding))?;
    }
    Ok(())
}

pub(super) fn insert_exam(transaction: &Transaction<'_>, exam: &Exam, content: [u8; 32]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO exam (only, id, title, opens, closes, version, content)
         VALUES (1, :id, :title, :opens, :closes, :version, :content)";
    let values = named_params! {
        ":id": exam.id.as_str(),
        ":title": exam.title,
        ":opens": exam.window.opens.to_string(),
        ":closes": exam.window.closes.to_string(),
        ":version": exam.version.0,
        ":content": content,
    };
    transaction.execute(sql, values).map(drop)
}

/// Once all is written: is a card that opens one student's place another's too, or a proctor's?
pub(super) fn check_cards(
    transaction: &Transaction<'_>,
    fault: impl Fn(rusqlite::Error) -> Fault,
) -> Result<(), RosterError> {
    let named = |number: String| StudentId::new(number).map_err(|_| RosterError::Nonsense { what: "a student" });
    let shared: Option<(String, String)> = transaction
        .query_row(
            "SELECT entries.student, more_cards.student FROM more_cards JOIN entries USING (card) LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(&fault)?;
    if let Some((holder, student)) = shared {
        return Err(RosterError::DuplicateCard { holder: named(holder)?, student: named(student)? });
    }
    let proctors: Option<String> = transaction
        .query_row(
            "SELECT student FROM entries JOIN proctors USING (card)
             UNION ALL SELECT student FROM more_cards JOIN proctors USING (card) LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(&fault)?;
    match proctors {
        None => Ok(()),
        Some(student) => Err(RosterError::ProctorsCard { student: named(student)? }),
    }
}

/// After a refused place: was it because the student or the card is there already?
fn duplicate(transaction: &Transaction<'_>, entry: &RosterEntry) -> Option<RosterError> {
    let student = &entry.student.id;
    if holder_by(transaction, "SELECT student FROM entries WHERE student = ?1", &student.as_str()).is_some() {
        return Some(RosterError::DuplicateStudent { student: student.clone() });
    }
    let holder = holder(transaction, "SELECT student FROM entries WHERE card = ?1", &entry.card.pseudonym)?;
    Some(RosterError::DuplicateCard { holder, student: student.clone() })
}

fn holder(transaction: &Transaction<'_>, sql: &str, card: &CardPseudonym) -> Option<StudentId> {
    holder_by(transaction, sql, card.as_bytes())
}

fn holder_by(transaction: &Transaction<'_>, sql: &str, value: &dyn ToSql) -> Option<StudentId> {
    let student = transaction.query_row(sql, [value], |row| row.get::<_, String>(0)).optional().ok()??;
    StudentId::new(student).ok()
}
