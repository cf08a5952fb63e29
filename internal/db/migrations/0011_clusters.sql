-- Clusters in which triggers change workloads, and how that went.

CREATE TABLE cluster (
	account      NAME NOT NULL REFERENCES account(id),
	id           NAME NOT NULL,                 -- cluster_id of triggers; the account may have chosen it
	name         NAME NOT NULL,                 -- cluster_name of triggers
	server       NAME NOT NULL,                 -- https://…
	credentials  BYTES NOT NULL,                -- sealed: all that it takes to connect, as kube.Access in JSON
	namespaces   NAME NOT NULL,                 -- parted by commas; empty: all
	marked       BOOLEAN NOT NULL,              -- where triggers of the mode cci act; one of each account
	version      NAME NOT NULL,                 -- of Kubernetes, at the last check that got so far
	error        NAME NOT NULL,                 -- of the last check or change; empty: it went well
	checked      BIGINT NOT NULL,
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL,
	PRIMARY KEY (account, id)
) KEYED;
CREATE UNIQUE INDEX cluster_name ON cluster(account, name);
CREATE UNIQUE INDEX cluster_marked ON cluster(account) WHERE marked;

ALTER TABLE repo_trigger ADD COLUMN pin BOOLEAN NOT NULL DEFAULT false;      -- the image is named with its digest
CREATE INDEX repo_trigger_cluster ON repo_trigger(cluster_id, cluster_name);

ALTER TABLE trigger_history ADD COLUMN delivery NAME NOT NULL DEFAULT '';    -- of one push to one trigger; empty: before there were any
ALTER TABLE trigger_history ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE trigger_history ADD COLUMN duration BIGINT NOT NULL DEFAULT 0;   -- microseconds from the change, or what was tried of it, to the end
CREATE UNIQUE INDEX trigger_history_delivery ON trigger_history(rule, delivery) WHERE delivery <> '';
