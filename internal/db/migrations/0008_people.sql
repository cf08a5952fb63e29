-- People and their accounts as those who administer them know them.

-- How a user can be reached. Berth keeps it and shows it, and writes to nobody.
ALTER TABLE iam_user ADD COLUMN email NAME NOT NULL DEFAULT '';
ALTER TABLE iam_user ADD COLUMN areacode NAME NOT NULL DEFAULT '';     -- both or none
ALTER TABLE iam_user ADD COLUMN phone NAME NOT NULL DEFAULT '';

ALTER TABLE account ADD COLUMN description NAME NOT NULL DEFAULT '';

-- What a temporary key was made with, directly and further back: tokens of the
-- management API, by their ids, and temporary keys. It ends with each of them.
CREATE TABLE lineage (
	ancestor NAME NOT NULL,
	access   NAME NOT NULL REFERENCES access_key(access) ON DELETE CASCADE,
	PRIMARY KEY (ancestor, access)
) KEYED;
CREATE INDEX lineage_access ON lineage(access);
