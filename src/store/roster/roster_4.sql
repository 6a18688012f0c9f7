-- Which pepper the cards of one edition were made into pseudonyms with; for another edition, or without a row, it is not known.
CREATE TABLE pepper (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    content BLOB NOT NULL, -- of the edition, as in exam
    "check" BLOB NOT NULL
) STRICT;
