-- Deleted and overwritten tags that can come back.

-- What only this kind of event has, a JSON object; empty: nothing.
ALTER TABLE tag_event ADD COLUMN detail NAME NOT NULL DEFAULT '';
