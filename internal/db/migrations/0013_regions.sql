-- Regions that images are synchronized to, and how far synchronizations are.

-- A registry elsewhere. The operator says which there are.
CREATE TABLE region (
	name       NAME PRIMARY KEY,
	url        NAME NOT NULL,                   -- scheme and host
	type       NAME NOT NULL,                   -- berth, oci, swr
	prefix     NAME NOT NULL,                   -- of repositories over there, in front of the organization; empty: none
	username   NAME NOT NULL,                   -- empty: nobody logs in
	password   BYTES NOT NULL,                  -- sealed
	ca         NAME NOT NULL,                   -- PEM; empty: the system's
	optional   BOOLEAN NOT NULL,                -- it need not be there when a rule is made
	created    BIGINT NOT NULL,
	updated    BIGINT NOT NULL
);

-- More had to be copied than may wait: all of it is compared.
ALTER TABLE repo_sync ADD COLUMN behind BOOLEAN NOT NULL DEFAULT false;

ALTER TABLE sync_job ADD COLUMN rule BIGINT NOT NULL DEFAULT 0; -- whose push it was; 0: somebody asked for it
ALTER TABLE sync_job ADD COLUMN digest NAME NOT NULL DEFAULT ''; -- of the image that is over there now
CREATE INDEX sync_job_open ON sync_job(repository, tag) WHERE status IN ('waiting', 'running');

-- A large blob on its way: where the other side takes the rest of it.
CREATE TABLE sync_upload (
	region   NAME NOT NULL,
	path     NAME NOT NULL,                     -- of the repository over there
	digest   NAME NOT NULL,
	location NAME NOT NULL,
	received BIGINT NOT NULL,                   -- bytes that the other side has acknowledged
	updated  BIGINT NOT NULL,
	PRIMARY KEY (region, path, digest)
);
CREATE INDEX sync_upload_updated ON sync_upload(updated);

-- The newest comparison of a synchronization.
CREATE TABLE sync_report (
	rule      BIGINT PRIMARY KEY REFERENCES repo_sync(id) ON DELETE CASCADE,
	state     NAME NOT NULL,                    -- comparing, done, failed
	detail    NAME NOT NULL,
	reconcile BOOLEAN NOT NULL,                 -- what differs is copied
	after     NAME NOT NULL,                    -- the last tag that was compared
	pages     BIGINT NOT NULL,
	equal     BIGINT NOT NULL,
	missing   BIGINT NOT NULL,
	different BIGINT NOT NULL,
	extra     BIGINT NOT NULL,
	queued    BIGINT NOT NULL,                  -- tags that will be copied
	created   BIGINT NOT NULL,
	updated   BIGINT NOT NULL
);

-- What a comparison found, some hundred tags a row.
CREATE TABLE sync_difference (
	rule    BIGINT NOT NULL REFERENCES sync_report(rule) ON DELETE CASCADE,
	page    BIGINT NOT NULL,
	entries NAME NOT NULL,                      -- JSON
	PRIMARY KEY (rule, page)
);
