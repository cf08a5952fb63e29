-- What happened and is of interest to a rule, until it has become jobs; and
-- the jobs.

CREATE TABLE event (
	id           NEWID,
	kind         NAME NOT NULL,                 -- push, delete, pull, retention, sync, trigger
	account      NAME NOT NULL,
	organization BIGINT NOT NULL,
	repository   BIGINT NOT NULL,
	path         NAME NOT NULL,                 -- of the repository, as it was
	tag          NAME NOT NULL,                 -- empty: a manifest by its digest
	digest       NAME NOT NULL,
	actor        NAME NOT NULL,
	detail       NAME NOT NULL,                 -- JSON object: what only this kind has; empty: nothing
	created      BIGINT NOT NULL
);

-- A job that is done is not here any more; what came of it stands with its cause.
CREATE TABLE job (
	id       NEWID,
	kind     NAME NOT NULL,
	account  NAME NOT NULL,                     -- whose work it is; empty: the installation's
	key      NAME NOT NULL,                     -- what it works on: of one key one job runs at a time, and one waits
	about    NAME NOT NULL,                     -- the same for people
	payload  NAME NOT NULL,                     -- JSON
	state    NAME NOT NULL,                     -- waiting, running, dead
	attempts BIGINT NOT NULL,
	due      BIGINT NOT NULL,                   -- waiting: not before this; running: until then the claim holds
	claim    NAME NOT NULL,                     -- of the process that runs it
	error    NAME NOT NULL,                     -- why the last attempt failed
	created  BIGINT NOT NULL,
	updated  BIGINT NOT NULL
);
CREATE UNIQUE INDEX job_waiting ON job(kind, key) WHERE state = 'waiting';
CREATE UNIQUE INDEX job_running ON job(kind, key) WHERE state = 'running';
CREATE INDEX job_turn ON job(kind, state, account, due);
CREATE INDEX job_due ON job(due) WHERE state <> 'dead';
CREATE INDEX job_account ON job(account, id);

-- Which kinds of events somebody waits for: a sum of the numbers in event/event.go.
ALTER TABLE repository ADD COLUMN watched BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organization ADD COLUMN watched BIGINT NOT NULL DEFAULT 0;

-- What an account has chosen. null: what the installation has.
ALTER TABLE account ADD COLUMN undelete BIGINT;                             -- seconds for which what was deleted can come back
ALTER TABLE account ADD COLUMN retention_guard BOOLEAN NOT NULL DEFAULT false; -- a policy that would remove most of a repository at once waits to be confirmed

-- What is there already: rules that wait for pushes.
UPDATE repository SET watched = 1 WHERE EXISTS (SELECT 1 FROM repo_retention x WHERE x.repository = repository.id)
	OR EXISTS (SELECT 1 FROM repo_trigger x WHERE x.repository = repository.id AND x.enabled)
	OR EXISTS (SELECT 1 FROM repo_sync x WHERE x.repository = repository.id AND x.auto);
