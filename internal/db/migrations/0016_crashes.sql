-- How often in a row the process ended, or lost its claim, in the middle of an
-- attempt: such a job is put aside before it ends the server for ever.
ALTER TABLE job ADD COLUMN crashed BIGINT NOT NULL DEFAULT 0;
