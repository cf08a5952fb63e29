-- Deleted and overwritten tags that can come back.

-- What only this kind of event has, a JSON object; empty: nothing.
ALTER TABLE tag_event ADD COLUMN detail NAME NOT NULL DEFAULT '';

-- What a tag pointed to before it was deleted or moved, while that can come
-- back: one row for each image that the tag had, and none for the one it has.
-- It goes with its window or with the manifest, whatever is first.
CREATE TABLE deleted_tag (
	repository BIGINT NOT NULL,
	name       NAME NOT NULL,
	digest     NAME NOT NULL,
	actor      NAME NOT NULL,
	cause      NAME NOT NULL,                   -- as of the event that took it away
	removed    BIGINT NOT NULL,
	expires    BIGINT NOT NULL,                 -- as it was promised then; a window that became longer counts as well
	PRIMARY KEY (repository, name, digest)
) KEYED;
CREATE INDEX deleted_tag_newest ON deleted_tag(repository, removed, name, digest, expires);
CREATE INDEX deleted_tag_digest ON deleted_tag(repository, digest);
CREATE INDEX deleted_tag_expires ON deleted_tag(expires);

-- The history of repositories that the collector has emptied goes with them.
DELETE FROM tag_event WHERE repository NOT IN (SELECT id FROM repository);

-- The history of a whole repository, and what has happened in it since a moment.
CREATE INDEX tag_event_repository ON tag_event(repository, created, id);

-- What waits already: each note says until when the image stays.
INSERT INTO deleted_tag (repository, name, digest, actor, cause, removed, expires)
	SELECT e.repository, e.tag, e.previous, e.actor, e.cause, e.created, v.due
	FROM (SELECT max(id) AS id FROM tag_event WHERE previous <> '' GROUP BY repository, tag, previous) q
	JOIN tag_event e ON e.id = q.id
	JOIN manifest m ON m.repository = e.repository AND m.digest = e.previous
	JOIN review v ON v.repository = e.repository AND v.digest = e.previous AND v.kind = 'm'
	LEFT JOIN tag t ON t.repository = e.repository AND t.name = e.tag
	WHERE t.manifest IS NULL OR t.manifest <> m.id;
