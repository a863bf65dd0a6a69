-- Which SQL view stands for which view, and what it is made of.
PRAGMA user_version = 4;

CREATE TABLE sql_view (
    -- The SQL views that stand for views of the server. SQLite takes names that differ by case alone
    -- for one: where two views do, each has a name that spells its capital letters.
    view TEXT PRIMARY KEY NOT NULL, -- its id, as clients know it
    name TEXT NOT NULL,           -- of the SQL view
    body TEXT NOT NULL            -- what stands behind CREATE VIEW name AS
) WITHOUT ROWID;

CREATE UNIQUE INDEX sql_view_name ON sql_view (name COLLATE NOCASE);
CREATE INDEX sql_view_case ON sql_view (view COLLATE NOCASE);
