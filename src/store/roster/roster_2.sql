-- Who watches over the exam. They stay when the students' roster is replaced.
CREATE TABLE proctors (
    proctor TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    card    BLOB NOT NULL UNIQUE,
    pin     TEXT NOT NULL -- Argon2id, PHC string
) STRICT, WITHOUT ROWID;
