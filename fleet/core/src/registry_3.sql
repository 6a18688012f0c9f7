-- The site that a box's room belongs to, where somebody named one.
ALTER TABLE device ADD COLUMN site TEXT;
