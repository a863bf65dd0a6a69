-- What the log loses of the moment before a crash, for clients that keep their rows, but no cursor.
PRAGMA user_version = 9;

CREATE TABLE watched_key (
    -- Entities that changed, or were moved by time, behind what watched_window knows. A client
    -- without a cursor may have been shown more there than was noted.
    pinned INTEGER NOT NULL,      -- 1: in the moment before a crash; 0: when, the log has no more
    change INTEGER NOT NULL,      -- change.id of it, or of the newest when time moved it
    export INTEGER NOT NULL,      -- export.id
    key TEXT NOT NULL,            -- of the entity
    label TEXT NOT NULL,          -- who saw it: a change.scope or scope_left, '' for NULL; '~': time moved it
    PRIMARY KEY (pinned, change, export, key, label)
) WITHOUT ROWID;
