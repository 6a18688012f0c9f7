-- A template is longer than what a table without row numbers keeps in one place: each step of a search read the rest of it, too. Kept apart from its
-- index, it is read once it is found.
CREATE TABLE found_templates (
    student   TEXT NOT NULL,
    place     INTEGER NOT NULL, -- in the order they were enrolled
    space     TEXT NOT NULL,
    artifact  BLOB NOT NULL,
    embedding BLOB NOT NULL, -- 32-bit floats, little endian
    PRIMARY KEY (student, place)
) STRICT;
INSERT INTO found_templates SELECT student, place, space, artifact, embedding FROM templates;
DROP TABLE templates;
ALTER TABLE found_templates RENAME TO templates;
