-- What the management API needs of accounts, users and keys.

-- Where an account stands in a directory of organizations, for rules that ask
-- for it. The operator says so; empty: nowhere.
ALTER TABLE account ADD COLUMN org_id NAME NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN org_path NAME NOT NULL DEFAULT '';

ALTER TABLE iam_user ADD COLUMN access_mode NAME NOT NULL DEFAULT 'default';
ALTER TABLE iam_user ADD COLUMN reset BOOLEAN NOT NULL DEFAULT true;   -- the password should be replaced by its user

-- kind: empty, a key that stays; 'login', for a login to the registry alone;
-- 'session', for signatures beside a security token. The latter two expire.
-- parent: the key that made this one and ends it; empty: a password did.
ALTER TABLE access_key ADD COLUMN kind NAME NOT NULL DEFAULT '';
ALTER TABLE access_key ADD COLUMN parent NAME NOT NULL DEFAULT '';
CREATE INDEX access_key_expires ON access_key(expires) WHERE expires IS NOT NULL;

-- Tokens of the management API that were ended before their time.
CREATE TABLE revoked_token (
	token   NAME PRIMARY KEY,
	expires BIGINT NOT NULL
) KEYED;
CREATE INDEX revoked_token_expires ON revoked_token(expires);

-- Signatures of requests that change something, while their date is good: none
-- of them counts twice.
CREATE TABLE used_signature (
	access    NAME NOT NULL,
	signature NAME NOT NULL,
	expires   BIGINT NOT NULL,
	PRIMARY KEY (access, signature)
) KEYED;
CREATE INDEX used_signature_expires ON used_signature(expires);
