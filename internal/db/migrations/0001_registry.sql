-- One text for both engines. Five words differ and are replaced when the file
-- is applied: ID (a numeric key made by the database), NEWID (one that is never
-- used again after its row is gone), BYTES, NAME (text that sorts by bytes), and
-- KEYED (SQLite keeps narrow rows in their primary key, one tree instead of two). Times are microseconds since 1970 in UTC.

CREATE TABLE setting (
	name  NAME PRIMARY KEY,
	value BYTES NOT NULL
);

-- Identity -----------------------------------------------------------------

CREATE TABLE account (
	id       NAME PRIMARY KEY,
	seq      BIGINT NOT NULL UNIQUE,            -- 1 is the first account
	name     NAME NOT NULL UNIQUE,
	enabled  BOOLEAN NOT NULL,
	created  BIGINT NOT NULL
);

CREATE TABLE project (
	id      NAME PRIMARY KEY,
	account NAME NOT NULL REFERENCES account(id),
	name    NAME NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (account, name)
);

CREATE TABLE iam_user (
	id          NAME PRIMARY KEY,
	account     NAME NOT NULL REFERENCES account(id),
	name        NAME NOT NULL,
	password    NAME NOT NULL,                  -- argon2id in PHC form; empty: cannot log in by password
	version     BIGINT NOT NULL,                -- raised with every change of the password
	admin       BOOLEAN NOT NULL,
	enabled     BOOLEAN NOT NULL,
	description NAME NOT NULL,
	created     BIGINT NOT NULL,
	UNIQUE (account, name)
);

CREATE TABLE access_key (
	access      NAME PRIMARY KEY,
	account     NAME NOT NULL REFERENCES account(id),
	iam_user    NAME NOT NULL REFERENCES iam_user(id),
	secret      BYTES NOT NULL,                 -- sealed under the master key
	enabled     BOOLEAN NOT NULL,
	description NAME NOT NULL,
	created     BIGINT NOT NULL,
	expires     BIGINT                          -- null: does not
);
CREATE INDEX access_key_user ON access_key(iam_user, access);

CREATE TABLE signing_key (
	kid     NAME PRIMARY KEY,
	secret  BYTES NOT NULL,                     -- sealed under the master key
	created BIGINT NOT NULL,
	retired BIGINT
);

-- Raised in every transaction that changes users, keys, grants or visibility.
CREATE TABLE epoch (
	account NAME PRIMARY KEY,
	n       BIGINT NOT NULL
);

-- Organizations and repositories --------------------------------------------

CREATE TABLE organization (
	id           ID,
	account      NAME NOT NULL REFERENCES account(id),
	name         NAME NOT NULL UNIQUE,
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL
);
CREATE INDEX organization_account ON organization(account, name);

CREATE TABLE repository (
	id           NEWID,
	organization BIGINT NOT NULL,               -- 0: deleted, the collector is emptying it
	account      NAME NOT NULL REFERENCES account(id),
	path         NAME NOT NULL UNIQUE,          -- organization/name; !id once deleted
	name         NAME NOT NULL,
	public       BOOLEAN NOT NULL,
	category     NAME NOT NULL,
	description  NAME NOT NULL,
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL,
	pulls        BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX repository_organization ON repository(organization, path);
CREATE INDEX repository_account ON repository(account, path);
CREATE INDEX repository_public ON repository(path) WHERE public;

CREATE TABLE org_grant (
	id           ID,
	organization BIGINT NOT NULL REFERENCES organization(id) ON DELETE CASCADE,
	iam_user     NAME NOT NULL REFERENCES iam_user(id) ON DELETE CASCADE,
	auth         BIGINT NOT NULL,
	created      BIGINT NOT NULL,
	UNIQUE (organization, iam_user)
);
CREATE INDEX org_grant_user ON org_grant(iam_user, organization);

CREATE TABLE repo_grant (
	id         ID,
	repository BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	iam_user   NAME NOT NULL REFERENCES iam_user(id) ON DELETE CASCADE,
	auth       BIGINT NOT NULL,
	created    BIGINT NOT NULL,
	UNIQUE (repository, iam_user)
);
CREATE INDEX repo_grant_user ON repo_grant(iam_user, repository);

-- Content --------------------------------------------------------------------

-- A blob's bytes are in the table content where key is empty, else in storage
-- under the key. A key is used once and never again.
CREATE TABLE blob (
	digest  NAME PRIMARY KEY,
	key     NAME NOT NULL,
	size    BIGINT NOT NULL,
	created BIGINT NOT NULL
) KEYED;

CREATE TABLE content (
	digest NAME PRIMARY KEY REFERENCES blob(digest) ON DELETE CASCADE,
	data   BYTES NOT NULL
);

-- A blob is readable in the repositories that link it. A link with deleted set
-- answers as if it were gone and is kept only while a manifest needs it.
CREATE TABLE link (
	repository BIGINT NOT NULL REFERENCES repository(id),
	digest     NAME NOT NULL REFERENCES blob(digest),
	created    BIGINT NOT NULL,
	deleted    BIGINT,
	PRIMARY KEY (repository, digest)
) KEYED;
CREATE INDEX link_digest ON link(digest, repository);

-- A manifest with deleted set is in its undelete window: it answers as if it
-- were gone, and its references still hold.
CREATE TABLE manifest (
	id            ID,
	repository    BIGINT NOT NULL REFERENCES repository(id),
	digest        NAME NOT NULL,
	media_type    NAME NOT NULL,
	artifact_type NAME NOT NULL,
	config        NAME NOT NULL,                -- digest of the config; empty for an index
	subject       NAME NOT NULL,                -- digest of the subject; empty: none
	annotations   NAME NOT NULL,                -- JSON object, shown by the referrers list; empty: none
	size          BIGINT NOT NULL,              -- of the manifest itself
	content_size  BIGINT NOT NULL,              -- config and layers
	created       BIGINT NOT NULL,
	deleted       BIGINT,
	UNIQUE (repository, digest)
);
CREATE INDEX manifest_subject ON manifest(repository, subject, digest) WHERE subject <> '';

CREATE TABLE manifest_body (
	manifest BIGINT PRIMARY KEY REFERENCES manifest(id) ON DELETE CASCADE,
	data     BYTES NOT NULL
);

-- kind: 'b' a blob of the repository, 'm' a child manifest, 's' the subject.
CREATE TABLE ref (
	repository BIGINT NOT NULL,
	child      NAME NOT NULL,
	manifest   BIGINT NOT NULL REFERENCES manifest(id) ON DELETE CASCADE,
	kind       NAME NOT NULL,
	PRIMARY KEY (repository, child, manifest, kind)
) KEYED;
CREATE INDEX ref_manifest ON ref(manifest);

CREATE TABLE tag (
	id         ID,
	repository BIGINT NOT NULL REFERENCES repository(id),
	name       NAME NOT NULL,
	manifest   BIGINT NOT NULL REFERENCES manifest(id),
	created    BIGINT NOT NULL,
	updated    BIGINT NOT NULL,
	pulled     BIGINT NOT NULL DEFAULT 0,       -- time of the last pull, 0: never
	UNIQUE (repository, name)
);
CREATE INDEX tag_manifest ON tag(manifest);

-- Append-only history. digest is empty where the tag was removed.
CREATE TABLE tag_event (
	id         ID,
	repository BIGINT NOT NULL,
	tag        NAME NOT NULL,
	digest     NAME NOT NULL,
	previous   NAME NOT NULL,
	actor      NAME NOT NULL,
	cause      NAME NOT NULL,                   -- push, delete, manifest_delete, retention, ...
	created    BIGINT NOT NULL
);
CREATE INDEX tag_event_tag ON tag_event(repository, tag, id);

CREATE TABLE audit (
	id       ID,
	account  NAME NOT NULL,
	actor    NAME NOT NULL,
	action   NAME NOT NULL,
	resource NAME NOT NULL,
	outcome  NAME NOT NULL,
	request  NAME NOT NULL,
	created  BIGINT NOT NULL
);
CREATE INDEX audit_account ON audit(account, id);

-- Uploads --------------------------------------------------------------------

CREATE TABLE upload (
	id         NAME PRIMARY KEY,
	path       NAME NOT NULL,                   -- of the repository, which need not exist yet
	owner      NAME NOT NULL,
	state      NAME NOT NULL,                   -- open, done, cancelled
	digest     NAME NOT NULL,                   -- of a finished upload
	size       BIGINT NOT NULL,                 -- bytes received and safe
	algorithm  NAME NOT NULL,                   -- sha256, sha512
	hash       BYTES,                           -- marshalled hash state over these bytes
	data       BYTES,                           -- the bytes themselves while they are few and key is empty
	key        NAME NOT NULL,
	driver     BYTES,                           -- state of the storage driver
	start      NAME NOT NULL,                   -- the start of the process that wrote last
	epoch      BIGINT NOT NULL,
	updated    BIGINT NOT NULL,
	expires    BIGINT NOT NULL
);
CREATE INDEX upload_expires ON upload(expires);
CREATE INDEX upload_owner ON upload(owner) WHERE state = 'open';

-- Collection -----------------------------------------------------------------

-- kind: 'b' is the blob link still needed, 'm' is the manifest still needed, 'r' the
-- repository (digest empty) was deleted.
CREATE TABLE review (
	repository BIGINT NOT NULL,
	digest     NAME NOT NULL,
	kind       NAME NOT NULL,
	created    BIGINT NOT NULL,
	due        BIGINT NOT NULL,
	PRIMARY KEY (repository, digest, kind)
) KEYED;
CREATE INDEX review_due ON review(due);

-- Keys in storage that no row needs any more.
CREATE TABLE garbage (
	key NAME PRIMARY KEY,
	due BIGINT NOT NULL
);
CREATE INDEX garbage_due ON garbage(due);
