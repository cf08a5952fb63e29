-- Retention that acts and explains itself.

-- Raised with every change of the rules: a run that began under others stops.
ALTER TABLE repo_retention ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
-- state: empty, it acts; waiting, it would delete too much and waits for
-- somebody to confirm that; confirmed, somebody has. The two numbers are what
-- the first run would have done.
ALTER TABLE repo_retention ADD COLUMN state NAME NOT NULL DEFAULT '';
ALTER TABLE repo_retention ADD COLUMN would_delete BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN would_see BIGINT NOT NULL DEFAULT 0;
-- The last complete run of this version, 0: there was none; the last of them
-- that looked at every tag; and the last push behind which a run after a push
-- needs not look: older tags are all exceptions (retention.Judge.Floor).
ALTER TABLE repo_retention ADD COLUMN looked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN swept BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN low BIGINT NOT NULL DEFAULT 0;
-- For people: the run (id of its job) that last removed something, when, and how
-- many tags; the sum of all; why the last run failed, empty: it did not.
ALTER TABLE repo_retention ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN acted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN removed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN removed_all BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repo_retention ADD COLUMN error NAME NOT NULL DEFAULT '';
