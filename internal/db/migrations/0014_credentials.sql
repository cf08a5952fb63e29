-- Access credentials; description and visibility of organizations.
ALTER TABLE organization ADD COLUMN public BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE organization ADD COLUMN description NAME NOT NULL DEFAULT '';

-- Public organizations in the order of the names of what they hold.
CREATE UNIQUE INDEX organization_public ON organization((name || '/')) WHERE public;
