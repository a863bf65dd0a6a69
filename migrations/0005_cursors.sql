-- What a cursor needs to be found good: where an export begins, and what exactly was trimmed of it.
PRAGMA user_version = 5;

-- change.id of its first change; 0: none, or it was made before this column was
ALTER TABLE export ADD COLUMN first_change INTEGER NOT NULL DEFAULT 0;
-- seq of floor_change
ALTER TABLE export ADD COLUMN trimmed_slot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE export ADD COLUMN trimmed_idx INTEGER NOT NULL DEFAULT 0;
-- 1: another trimmed change of this export may have had that same seq
ALTER TABLE export ADD COLUMN trimmed_shared INTEGER NOT NULL DEFAULT 1;
-- derived_flip.change of its newest flip that was trimmed; -1: none
ALTER TABLE export ADD COLUMN flip_floor INTEGER NOT NULL DEFAULT -1;

-- Which flips were trimmed until now is not known.
UPDATE export SET flip_floor = (SELECT floor_change FROM log_state);
