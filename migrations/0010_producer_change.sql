-- Where in the log of changes a producer's last batch belongs: so a replica knows which it lacks.
PRAGMA user_version = 10;

-- change.id of the newest change when the row was written; 0: before this column was
ALTER TABLE producer ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
