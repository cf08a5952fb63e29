-- Rules of a repository: triggers, retention, synchronization, and what came of
-- them. The rules go with the transaction that deletes their repository; what
-- came of them can be more than one transaction removes, and is left to the
-- collector.

CREATE TABLE repo_trigger (
	id           NEWID,
	repository   BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	name         NAME NOT NULL,
	enabled      BOOLEAN NOT NULL,
	condition    NAME NOT NULL,                 -- all, tag, regular: how pattern is read
	pattern      NAME NOT NULL,
	mode         NAME NOT NULL,                 -- cce: the cluster that is named; cci: the one that the account marked
	cluster_id   NAME NOT NULL,
	cluster_name NAME NOT NULL,
	namespace    NAME NOT NULL,                 -- in the cluster
	workload     NAME NOT NULL,                 -- deployments, statefulsets
	application  NAME NOT NULL,                 -- name of the workload
	container    NAME NOT NULL,                 -- empty: all that use the repository
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL,
	UNIQUE (repository, name)
);

-- What a trigger did. It goes with its trigger.
CREATE TABLE trigger_history (
	id         NEWID,
	repository BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	rule       BIGINT NOT NULL,                 -- id of the trigger
	tag        NAME NOT NULL,
	digest     NAME NOT NULL,
	result     NAME NOT NULL,                   -- success, failed
	detail     NAME NOT NULL,
	created    BIGINT NOT NULL
);
CREATE INDEX trigger_history_rule ON trigger_history(repository, rule, id);

CREATE TABLE repo_retention (
	id           NEWID,
	repository   BIGINT NOT NULL UNIQUE REFERENCES repository(id) ON DELETE CASCADE,
	rules        NAME NOT NULL,                 -- JSON, as the package retention writes it
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL
);

-- The tags that retention removed. It outlives the policy.
CREATE TABLE retention_log (
	id         NEWID,
	repository BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	policy     BIGINT NOT NULL,                 -- id of the policy
	rule       NAME NOT NULL,                   -- the rule as it was then, JSON like rules above
	tag        NAME NOT NULL,
	digest     NAME NOT NULL,
	created    BIGINT NOT NULL
);
CREATE INDEX retention_log_repository ON retention_log(repository, id);

CREATE TABLE repo_sync (
	id           NEWID,
	repository   BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	region       NAME NOT NULL,
	organization NAME NOT NULL,                 -- in that region
	auto         BOOLEAN NOT NULL,              -- with every push
	override     BOOLEAN NOT NULL,              -- a different image of the same tag over there is replaced
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL,
	UNIQUE (repository, region, organization)
);

-- One tag on its way to one region.
CREATE TABLE sync_job (
	id            NEWID,
	repository    BIGINT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
	tag           NAME NOT NULL,
	region        NAME NOT NULL,
	organization  NAME NOT NULL,
	override      BOOLEAN NOT NULL,
	status        NAME NOT NULL,                -- waiting, running, success, failed, timeout, cancel, existed
	detail        NAME NOT NULL,
	operator      NAME NOT NULL,                -- id of the user who asked for it
	operator_name NAME NOT NULL,
	created       BIGINT NOT NULL,
	updated       BIGINT NOT NULL
);
CREATE INDEX sync_job_repository ON sync_job(repository, id);
CREATE INDEX sync_job_status ON sync_job(repository, status, id);
