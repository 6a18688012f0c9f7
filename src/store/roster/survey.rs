//! How many students sit where, and how many of them can be verified: what the roster means for a room.
//!
//! It never says who.

use super::{RosterError, RosterStore};
use crate::domain::{EmbeddingSpaceId, RoomId};

/// One room of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// The room.
    pub room: RoomId,
    /// Students who sit in it.
    pub students: u64,
    /// Those of them with a card that is not revoked.
    pub active: u64,
    /// Those of them who opted out of face matching.
    pub opted_out: u64,
    /// Those of them with a template of any space.
    pub with_template: u64,
    /// Those of them with a template of the space asked for; all with a template where none was asked for.
    pub comparable: u64,
}

impl RosterStore {
    /// Every room of the roster in order of name. `space` is the one in use on the box.
    ///
    /// # Errors
    /// When the database fails or a room makes no sense.
    pub fn seats(&self, space: Option<&EmbeddingSpaceId>) -> Result<Vec<Seats>, RosterError> {
        let fault = self.sealed.fault("count the students of each room");
        let connection = self.sealed.connection();
        // A roster that is only looked at may be of a time before this table and the columns that came with it.
        let (active, opted_out) = if connection.table_exists(None, "more_cards").map_err(&fault)? {
            let other = "EXISTS (SELECT 1 FROM more_cards AS m WHERE m.student = e.student AND NOT m.revoked)";
            (format!("NOT revoked OR {other}"), "opted_out")
        } else {
            ("NOT revoked".to_owned(), "0")
        };
        let mut query = connection
            .prepare(&format!(
                "SELECT room, count(*), sum({active}), sum({opted_out}), sum(e.templates > 0),
                        sum(EXISTS (SELECT 1 FROM templates AS t WHERE t.student = e.student AND t.space = coalesce(?1, t.space)))
                 FROM entries AS e GROUP BY room ORDER BY room"
            ))
            .map_err(&fault)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        let rows: Vec<_> =
            query.query_map([space.map(EmbeddingSpaceId::as_str)], read).and_then(Iterator::collect).map_err(&fault)?;
        rows.into_iter()
            .map(|(room, students, active, opted_out, with_template, comparable)| {
                let room = RoomId::new(room).map_err(|_| RosterError::Nonsense { what: "a room" })?;
                Ok(Seats { room, students, active, opted_out, with_template, comparable })
            })
            .collect()
    }

    /// The embedding spaces of the templates.
    ///
    /// # Errors
    /// When the database fails.
    pub fn spaces(&self) -> Result<Vec<EmbeddingSpaceId>, RosterError> {
        let fault = self.sealed.fault("list embedding spaces");
        let mut query =
            self.sealed.connection().prepare("SELECT DISTINCT space FROM templates ORDER BY space").map_err(&fault)?;
        let spaces: Vec<String> = query.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(&fault)?;
        Ok(spaces.into_iter().map(EmbeddingSpaceId::new).collect())
    }
}
