-- What the management API needs of accounts, users and keys.

-- Where an account stands in a directory of organizations, for rules that ask
-- for it. The operator says so; empty: nowhere.
ALTER TABLE account ADD COLUMN org_id NAME NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN org_path NAME NOT NULL DEFAULT '';
