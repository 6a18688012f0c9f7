-- What the screen speaks to a student, a BCP 47 tag; null: the door's own language.
ALTER TABLE entries ADD COLUMN language TEXT;
