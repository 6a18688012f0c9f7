//! The statements that write one edition, and what refuses it. They never begin or end a transaction.

use rusqlite::{OptionalExtension, Transaction, named_params};

use super::{RosterError, content::little_endian};
use crate::domain::{CardStanding, Exam, Language, RosterEntry, StudentId, Template};

pub(super) fn insert(
    transaction: &Transaction<'_>,
    entry: &RosterEntry,
    templates: &[Template],
) -> rusqlite::Result<()> {
    let student = entry.student.id.as_str();
    transaction
        .prepare_cached(
            "INSERT INTO entries (card, student, given_name, revoked, room, templates, language)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            entry.card.as_bytes(),
            student,
            &entry.student.given_name,
            entry.standing == CardStanding::Revoked,
            entry.room.as_str(),
            templates.len(),
            entry.student.language.as_ref().map(Language::as_str),
        ))?;
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

pub(super) fn student_with_a_proctors_card(transaction: &Transaction<'_>) -> rusqlite::Result<Option<String>> {
    transaction
        .query_row("SELECT student FROM entries JOIN proctors USING (card) LIMIT 1", [], |row| row.get(0))
        .optional()
}

/// After a refused insert: was it because the student or the card is there already?
pub(super) fn duplicate(transaction: &Transaction<'_>, entry: &RosterEntry) -> Option<RosterError> {
    let holder = |sql, value: &dyn rusqlite::ToSql| {
        let student = transaction.query_row(sql, [value], |row| row.get::<_, String>(0)).optional().ok()??;
        StudentId::new(student).ok()
    };
    if let Some(student) = holder("SELECT student FROM entries WHERE student = ?1", &entry.student.id.as_str()) {
        return Some(RosterError::DuplicateStudent { student });
    }
    let holder = holder("SELECT student FROM entries WHERE card = ?1", entry.card.as_bytes())?;
    Some(RosterError::DuplicateCard { holder, student: entry.student.id.clone() })
}
