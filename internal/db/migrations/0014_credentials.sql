-- Access credentials; description and visibility of organizations.
ALTER TABLE organization ADD COLUMN public BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE organization ADD COLUMN description NAME NOT NULL DEFAULT '';

-- Public organizations in the order of the names of what they hold.
CREATE UNIQUE INDEX organization_public ON organization((name || '/')) WHERE public;

-- What an access credential has beside its row of access_key, whose kind is
-- credential and whose secret is empty.
CREATE TABLE credential (
	access  NAME PRIMARY KEY REFERENCES access_key(access) ON DELETE CASCADE,
	account NAME NOT NULL,
	hash    BYTES NOT NULL,                     -- SHA-256 of the whole word
	limits  NAME NOT NULL,                      -- JSON; empty: what its user may
	used    BIGINT NOT NULL DEFAULT 0           -- 0: never
);
CREATE INDEX credential_account ON credential(account, access);
