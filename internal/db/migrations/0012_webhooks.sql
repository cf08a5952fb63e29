-- Webhooks and what was delivered to them.

CREATE TABLE webhook (
	id           NEWID,
	account      NAME NOT NULL,
	organization BIGINT NOT NULL REFERENCES organization(id) ON DELETE CASCADE,
	repository   BIGINT REFERENCES repository(id) ON DELETE CASCADE, -- null: of all repositories of the organization
	scope        NAME NOT NULL,                 -- what a name is unique in: "o" or "r", and the id
	name         NAME NOT NULL,
	url          NAME NOT NULL,
	secret       BYTES NOT NULL,                -- sealed under the master key
	ca           NAME NOT NULL,                 -- PEM of authorities beside those of the system; empty: none
	events       BIGINT NOT NULL,               -- sum of kinds, as in event/event.go
	pattern      NAME NOT NULL,                 -- of tags, RE2 unanchored; empty: all
	enabled      BOOLEAN NOT NULL,
	creator      NAME NOT NULL,
	creator_name NAME NOT NULL,
	created      BIGINT NOT NULL,
	updated      BIGINT NOT NULL,
	waiting      BIGINT NOT NULL DEFAULT 0,     -- deliveries in that state
	dropped      BIGINT NOT NULL DEFAULT 0,     -- deliveries that were given up since too many waited
	failures     BIGINT NOT NULL DEFAULT 0,     -- times that there was no answer, since there was one
	resting      BIGINT NOT NULL DEFAULT 0,     -- until when nothing is sent; 0: something may be
	UNIQUE (scope, name)
);
CREATE INDEX webhook_organization ON webhook(organization, id);
CREATE INDEX webhook_repository ON webhook(repository, id);

-- One event on its way to one webhook. It may outlive the webhook a little: a job removes them some at a time.
CREATE TABLE webhook_delivery (
	id         NAME PRIMARY KEY,                -- what the receiver sees, the same in every attempt
	seq        BIGINT NOT NULL,                 -- when it happened: the order of the list
	webhook    BIGINT NOT NULL,
	kind       NAME NOT NULL,                   -- of the event; ping for a test
	path       NAME NOT NULL,                   -- of the repository
	tag        NAME NOT NULL,
	body       NAME NOT NULL,                   -- CloudEvents 1.0, JSON
	state      NAME NOT NULL,                   -- waiting, delivered, failed
	attempts   BIGINT NOT NULL,
	next       BIGINT NOT NULL,                 -- when the next attempt is due, 1 for what somebody asked for; 0: none is
	request    NAME NOT NULL,                   -- headers of the last attempt, JSON, without the signature's secret
	status     BIGINT NOT NULL,                 -- of the last answer; 0: there was none
	response   NAME NOT NULL,                   -- its headers and the beginning of its body, JSON
	error      NAME NOT NULL,                   -- why the last attempt failed; empty: it did not
	duration   BIGINT NOT NULL,                 -- microseconds of the last attempt
	created    BIGINT NOT NULL,
	updated    BIGINT NOT NULL
);
CREATE INDEX webhook_delivery_newest ON webhook_delivery(webhook, seq);
CREATE INDEX webhook_delivery_due ON webhook_delivery(webhook, next) WHERE state = 'waiting';
