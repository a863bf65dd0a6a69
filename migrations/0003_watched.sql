-- What subscribers' windows hold, for clients that keep their rows over a restart, but no cursor.
PRAGMA user_version = 3;

CREATE TABLE watched_window (
    -- Windows that subscribers watched within tombstone_seconds. A client that kept its rows over a
    -- restart, and no cursor, is told from here what it must lose.
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,    -- all that decides which rows it has
    change INTEGER NOT NULL,      -- its rows are those of when this was the newest change
    at INTEGER NOT NULL           -- when it was last known to be watched: milliseconds since 1970 UTC
);

CREATE TABLE watched_row (
    -- Their rows, and those that left them.
    window INTEGER NOT NULL,      -- watched_window.id
    key TEXT NOT NULL,            -- of the entity
    left_at INTEGER NOT NULL,     -- when it left: milliseconds since 1970 UTC; 0: it did not
    PRIMARY KEY (window, key)
) WITHOUT ROWID;

CREATE INDEX watched_row_left ON watched_row (window, left_at) WHERE left_at > 0;

CREATE INDEX watched_window_at ON watched_window (at);
