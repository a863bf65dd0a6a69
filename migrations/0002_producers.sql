-- Names of producers belong to subjects, and tell where their producers are; keys of requests.
PRAGMA user_version = 2;

-- Copied, not renamed: SQLite renames nothing in a file that has a view which does not resolve.
-- Each run of `stele ingest` left a name that nobody uses again; those of runs that may go on stay.
CREATE TEMP TABLE former_producer AS SELECT name, batch, at FROM main.producer
    WHERE NOT (length(name) = 39 AND name GLOB 'ingest-*' AND substr(name, 8) NOT GLOB '*[^0-9a-f]*'
               AND at < (strftime('%s', 'now') - 86400) * 1000);
DROP TABLE main.producer;

CREATE TABLE producer (
    -- The last batch of each producer that was committed, so that none is applied twice.
    name TEXT PRIMARY KEY NOT NULL,
    owner TEXT,                   -- the subject that may use the name; NULL: nobody's so far; '': the
                                  -- program's that stele is a part of
    batch INTEGER NOT NULL,
    mark TEXT,                    -- what the producer said with it of where it is; NULL: nothing
    slot INTEGER,                 -- seq of the newest change of its batches; NULL: not known
    idx INTEGER,
    at INTEGER NOT NULL           -- when: milliseconds since 1970 UTC
) WITHOUT ROWID;

INSERT INTO producer (name, batch, at) SELECT name, batch, at FROM temp.former_producer;
DROP TABLE temp.former_producer;

CREATE INDEX producer_owner ON producer (owner, name);

CREATE TABLE idempotency_key (
    -- The requests that came with an Idempotency-Key and were committed, with their answers.
    owner TEXT NOT NULL,          -- the subject that sent it; '': there was no authentication
    key TEXT NOT NULL,
    body BLOB NOT NULL,           -- SHA-256 of the request's body
    answer TEXT NOT NULL,         -- as JSON
    at INTEGER NOT NULL,          -- when: milliseconds since 1970 UTC
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE INDEX idempotency_key_at ON idempotency_key (owner, at);
