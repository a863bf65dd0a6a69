-- What happened beside the changes, so that a replica is told: a reserve must know it, too.
PRAGMA user_version = 11;

CREATE TABLE note (
    -- Tokens that were revoked, producers that were forgotten, requests that had a key; in order. A
    -- row goes when the log no longer has the change that it stands behind.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    change INTEGER NOT NULL,      -- change.id of the newest change then; it never falls
    kind INTEGER NOT NULL,        -- 1: a token was revoked; 2: a producer was forgotten; 3: a key
    name TEXT NOT NULL,           -- jti, name or key
    owner TEXT                    -- of the key
);
