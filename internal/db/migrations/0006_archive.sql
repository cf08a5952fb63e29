-- Uploads of image archives.

-- The archive's bytes are those of the upload with the same id.
CREATE TABLE archive (
	id         NAME PRIMARY KEY,
	owner      NAME NOT NULL,
	namespace  NAME NOT NULL,                   -- the organization; it may be gone by now
	repository NAME NOT NULL,                   -- for images without a name; empty: none
	tag        NAME NOT NULL,                   -- likewise
	renames    BOOLEAN NOT NULL,                -- these are for all images
	announced  BIGINT NOT NULL,                 -- bytes that are to come, -1: not said
	state      NAME NOT NULL,                   -- open, unpacking, done, failed
	size       BIGINT NOT NULL,                 -- bytes of a complete archive
	digest     NAME NOT NULL,                   -- likewise
	caller     BYTES,                           -- for whom it is unpacked
	request    NAME NOT NULL,                   -- which asked for it
	attempts   BIGINT NOT NULL,
	claim      NAME NOT NULL,                   -- the start of the process that unpacks it; empty: none
	due        BIGINT NOT NULL,                 -- until when the claim holds, or when to begin
	progress   BIGINT NOT NULL,                 -- bytes unpacked
	code       NAME NOT NULL,                   -- of the fault that ended it; empty: none
	defect     NAME NOT NULL,
	message    NAME NOT NULL,
	images     BYTES,                           -- JSON: what became of it
	created    BIGINT NOT NULL,
	updated    BIGINT NOT NULL,
	expires    BIGINT NOT NULL
);
CREATE INDEX archive_owner ON archive(owner, created);
CREATE INDEX archive_expires ON archive(expires);
CREATE INDEX archive_due ON archive(due) WHERE state = 'unpacking';

-- Which blob of a repository is the compressed form of an archive's layer, so
-- that the same layer is not stored twice.
CREATE TABLE packed (
	repository BIGINT NOT NULL,
	diff       NAME NOT NULL,                   -- digest of the layer without compression
	digest     NAME NOT NULL,
	PRIMARY KEY (repository, diff),
	FOREIGN KEY (repository, digest) REFERENCES link(repository, digest) ON DELETE CASCADE
) KEYED;
CREATE INDEX packed_digest ON packed(repository, digest);
