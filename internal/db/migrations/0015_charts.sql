-- Chart groups and what is known of charts.

-- A chart group is an organization: both share one table of names, and rights,
-- visibility and repositories are the same for both.
ALTER TABLE organization ADD COLUMN kind NAME NOT NULL DEFAULT '';      -- empty: for images; chart
ALTER TABLE organization ADD COLUMN charts BIGINT NOT NULL DEFAULT 0;   -- raised with each change of a tag in a chart group
CREATE INDEX organization_kind ON organization(kind, name);
ALTER TABLE repository ADD COLUMN chart BOOLEAN NOT NULL DEFAULT false; -- it is in a chart group

-- A manifest that is a chart. It goes with the manifest.
CREATE TABLE chart (
	manifest   BIGINT PRIMARY KEY REFERENCES manifest(id) ON DELETE CASCADE,
	repository BIGINT NOT NULL,
	tag        NAME NOT NULL,                   -- that the version has: only under this one it is in the index
	digest     NAME NOT NULL,                   -- of the archive
	size       BIGINT NOT NULL,                 -- likewise, bytes
	provenance NAME NOT NULL,                   -- digest of the provenance file; empty: none
	metadata   NAME NOT NULL,                   -- Chart.yaml as JSON
	entry      NAME NOT NULL                    -- the same in YAML, as it stands in an index
);

-- What became of each tag of a chart group, the last change with the greatest
-- number: who knows a group's index up to a number reads only what is behind it.
CREATE TABLE chart_tag (
	repository   BIGINT NOT NULL,
	tag          NAME NOT NULL,
	organization BIGINT NOT NULL,
	n            BIGINT NOT NULL,               -- organization.charts at that time
	manifest     BIGINT NOT NULL,               -- 0: the tag is gone
	changed      BIGINT NOT NULL,
	PRIMARY KEY (repository, tag)
) KEYED;
CREATE UNIQUE INDEX chart_tag_n ON chart_tag(organization, n);
CREATE INDEX chart_tag_gone ON chart_tag(organization, n) WHERE manifest = 0;

-- A chart repository elsewhere, whose charts a group takes.
CREATE TABLE chart_mirror (
	organization BIGINT PRIMARY KEY REFERENCES organization(id) ON DELETE CASCADE,
	url          NAME NOT NULL,
	username     NAME NOT NULL,                 -- empty: nobody logs in
	password     BYTES,                         -- sealed
	charts       NAME NOT NULL,                 -- JSON: patterns of names; an empty list: all
	versions     NAME NOT NULL,                 -- constraint; empty: all
	every        BIGINT NOT NULL,               -- seconds between two imports; 0: on demand
	status       NAME NOT NULL,                 -- waiting, success, failed
	detail       NAME NOT NULL,
	imported     BIGINT NOT NULL,               -- versions that the last import brought
	finished     BIGINT NOT NULL,               -- 0: never
	updated      BIGINT NOT NULL
);
