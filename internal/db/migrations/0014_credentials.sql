-- Access credentials; description and visibility of organizations.
ALTER TABLE organization ADD COLUMN public BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE organization ADD COLUMN description NAME NOT NULL DEFAULT '';
