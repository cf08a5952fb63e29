-- Sums that lists, quotas and reports read instead of counting. Every
-- transaction that changes what they sum up changes them too.

-- tags is how many tags a repository has, size the content of the manifests
-- that have one or more of them, each counted once.
ALTER TABLE repository ADD COLUMN tags BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repository ADD COLUMN size BIGINT NOT NULL DEFAULT 0;

-- The default order of lists, the newest first: of an account and of an
-- organization. What filters look at comes behind it, so that rows which do
-- not match are passed over in the index.
CREATE INDEX repository_newest ON repository(account, updated, id, organization, category, public);
CREATE INDEX repository_newest_in ON repository(organization, updated, id, category, public);
-- Names, for their order and for the search in them; no push changes these.
CREATE INDEX repository_name ON repository(account, name, id, organization, category, public);
CREATE INDEX repository_category ON repository(account, category, public);
CREATE INDEX repository_id ON repository(account, id);
CREATE INDEX tag_newest ON tag(repository, updated, id);

-- How many repositories there are of a kind: in an organization, and with
-- organization 0 in the whole account.
CREATE TABLE repository_count (
	account      NAME NOT NULL,
	organization BIGINT NOT NULL,
	category     NAME NOT NULL,
	public       BOOLEAN NOT NULL,
	stripe       BIGINT NOT NULL,               -- writers that meet on PostgreSQL use different ones
	n            BIGINT NOT NULL,
	PRIMARY KEY (account, organization, category, public, stripe)
) KEYED;

-- What an account has, in the rows of day 0, and by how much that changed on
-- each day (since 1970, UTC): what was there at the end of a day is what there
-- is now less the changes since.
CREATE TABLE usage (
	account  NAME NOT NULL,
	day      BIGINT NOT NULL,
	stripe   BIGINT NOT NULL,
	orgs     BIGINT NOT NULL,
	repos    BIGINT NOT NULL,
	images   BIGINT NOT NULL,                   -- tags
	stored   BIGINT NOT NULL,                   -- bytes: the sizes of all repositories
	downflow BIGINT NOT NULL,                   -- bytes of blobs that were sent
	PRIMARY KEY (account, day, stripe)
) KEYED;

-- What is there already. An index has the content of its children, and of
-- theirs; nothing has more than the 16 TiB that registry/usage.go allows.
UPDATE manifest SET content_size = 17592186044416 WHERE content_size > 17592186044416;
UPDATE manifest SET content_size = (
	WITH RECURSIVE inside (child) AS (
		SELECT c.id FROM ref f JOIN manifest c ON c.repository = f.repository AND c.digest = f.child
			WHERE f.manifest = manifest.id AND f.kind = 'm'
		UNION ALL
		SELECT c.id FROM inside i JOIN ref f ON f.manifest = i.child AND f.kind = 'm'
			JOIN manifest c ON c.repository = f.repository AND c.digest = f.child
	)
	SELECT CASE WHEN count(*) = 0 THEN 0 WHEN sum(m.content_size) > 17592186044416 THEN 17592186044416 ELSE sum(m.content_size) END
	FROM inside i JOIN manifest m ON m.id = i.child
	WHERE NOT EXISTS (SELECT 1 FROM ref f WHERE f.manifest = m.id AND f.kind = 'm')
) WHERE id IN (SELECT manifest FROM ref WHERE kind = 'm');

UPDATE repository SET
	tags = (SELECT count(*) FROM tag t WHERE t.repository = repository.id),
	size = (SELECT CAST(coalesce(sum(m.content_size), 0) AS BIGINT) FROM manifest m
		WHERE m.repository = repository.id AND EXISTS (SELECT 1 FROM tag t WHERE t.manifest = m.id));

INSERT INTO repository_count (account, organization, category, public, stripe, n)
	SELECT account, organization, category, public, 0, count(*) FROM repository WHERE organization <> 0 GROUP BY account, organization, category, public;
INSERT INTO repository_count (account, organization, category, public, stripe, n)
	SELECT account, 0, category, public, 0, count(*) FROM repository WHERE organization <> 0 GROUP BY account, category, public;

INSERT INTO usage (account, day, stripe, orgs, repos, images, stored, downflow)
	SELECT a.id, 0, 0,
		(SELECT count(*) FROM organization o WHERE o.account = a.id),
		(SELECT count(*) FROM repository r WHERE r.account = a.id AND r.organization <> 0),
		(SELECT CAST(coalesce(sum(r.tags), 0) AS BIGINT) FROM repository r WHERE r.account = a.id),
		(SELECT CAST(coalesce(sum(r.size), 0) AS BIGINT) FROM repository r WHERE r.account = a.id),
		0
	FROM account a;
