-- Repositories that other accounts may pull from.

-- A rule for one target. kind is how the target was named: account, account_id,
-- org_id, org_path; name is what it was named. target is what a caller's account
-- is compared with (iam/share.go). account is the name of the account that is
-- meant; empty: organizations are.
CREATE TABLE share (
	id           NEWID,
	repository   BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	target       NAME NOT NULL,
	kind         NAME NOT NULL,
	name         NAME NOT NULL,
	account      NAME NOT NULL,
	deadline     NAME NOT NULL,                 -- as it was given, in UTC; or forever
	expires      BIGINT NOT NULL,               -- the first moment at which it does not hold any more
	description  NAME NOT NULL,
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL,
	UNIQUE (repository, target)
);
CREATE INDEX share_target ON share(target, repository);

-- How many rules a repository has, so that those with some are found at once.
ALTER TABLE repository ADD COLUMN shares BIGINT NOT NULL DEFAULT 0;
CREATE INDEX repository_shared ON repository(account, updated, id) WHERE shares > 0;
CREATE INDEX repository_shared_id ON repository(account, id) WHERE shares > 0;

-- Accounts that let Berth act for them.
CREATE TABLE agency (
	account NAME PRIMARY KEY REFERENCES account(id),
	creator NAME NOT NULL,
	created BIGINT NOT NULL
) KEYED;
