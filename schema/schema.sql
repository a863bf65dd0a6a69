-- The tables as they are after the last migration: for reading, and held against the migrations
-- by tests/unit/store_migration_test.c. After a new migration, write it anew from an empty file
-- that went through all of them (the shell's .schema shows what goes here).
PRAGMA application_id = 1398031692;
PRAGMA user_version = 11;

CREATE TABLE meta (
    -- Small facts about the file, by name. 'epoch' is the uuid of this database's life: a cursor
    -- that a client got from another life is worth nothing here. 'copied' marks a copy that no
    -- server was started on yet: the first one gives it an epoch of its own.
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE former_epoch (
    -- The databases that this one was copied from, each with the newest change that both have:
    -- a cursor from there is good up to it.
    epoch TEXT PRIMARY KEY NOT NULL,
    last_change INTEGER NOT NULL  -- change.id
) WITHOUT ROWID;

CREATE TABLE export (
    -- One row per kind of entity. The counters are written once per transaction.
    id INTEGER PRIMARY KEY,       -- from 1 on, without holes
    name TEXT NOT NULL UNIQUE,
    entities INTEGER NOT NULL,    -- rows in entity
    max_entities INTEGER NOT NULL, -- beyond this many the oldest-changed go; 0: unlimited
    last_change INTEGER NOT NULL, -- change.id of its newest change; 0: none
    last_slot INTEGER NOT NULL,   -- and the seq of that change
    last_idx INTEGER NOT NULL,
    last_shared INTEGER NOT NULL, -- 1: another change of this export had that same seq
    head_slot INTEGER NOT NULL,   -- the greatest seq of all its changes
    head_idx INTEGER NOT NULL,
    floor_change INTEGER NOT NULL, -- its newest change that was trimmed from the log; 0: none
    floor_slot INTEGER NOT NULL,  -- the greatest seq among its trimmed changes
    floor_idx INTEGER NOT NULL
, first_change INTEGER NOT NULL DEFAULT 0, trimmed_slot INTEGER NOT NULL DEFAULT 0, trimmed_idx INTEGER NOT NULL DEFAULT 0, trimmed_shared INTEGER NOT NULL DEFAULT 1, flip_floor INTEGER NOT NULL DEFAULT -1);

CREATE TABLE entity (
    -- The present state: one row per export and key.
    id INTEGER PRIMARY KEY,
    export INTEGER NOT NULL,      -- export.id
    key TEXT NOT NULL,
    slot INTEGER NOT NULL,        -- seq of its last change: slot and index within the slot
    idx INTEGER NOT NULL,
    change INTEGER NOT NULL,      -- change.id of its last change
    evict_order INTEGER,          -- = change where the export has max_entities, else NULL
    data TEXT NOT NULL,           -- the entity as JSON, numbers as they came in
    UNIQUE (export, key)
);

CREATE INDEX entity_seq ON entity (export, slot, idx, key DESC);

CREATE INDEX entity_evict ON entity (export, evict_order) WHERE evict_order IS NOT NULL;

CREATE TABLE change (
    -- The log: one row per change, in the order in which they were committed. The oldest are
    -- trimmed; an id is never used again.
    id INTEGER PRIMARY KEY,       -- grows by one with every change
    export INTEGER NOT NULL,      -- export.id
    key TEXT NOT NULL,
    op INTEGER NOT NULL,          -- 0 create, 1 patch, 2 upsert, 3 delete, 4 evict
    slot INTEGER NOT NULL,        -- seq: where the producer was; may repeat and may step back
    idx INTEGER NOT NULL,
    at INTEGER NOT NULL,          -- when it was committed: milliseconds since 1970 UTC
    torn INTEGER NOT NULL,        -- 1: it is the first kept one of its seq, others were trimmed
    patch TEXT,                   -- what the producer sent; NULL for deletes
    append TEXT,                  -- {"path": length of the array afterwards}; NULL: no appends
    -- Where rows are scoped, else NULL: '*' public, '!' for nobody, or the scope as JSON text.
    scope TEXT,                   -- of the row after the change; of a delete, as it was
    scope_left TEXT               -- as it was, where the change moved it to another; else NULL
);

CREATE INDEX change_seq ON change (slot, idx, export);

CREATE INDEX change_gone ON change (export, key) WHERE op >= 3;

CREATE INDEX change_scope ON change (export, scope) WHERE scope IS NOT NULL;
CREATE INDEX change_scope_left ON change (export, scope_left) WHERE scope_left IS NOT NULL;

CREATE TABLE tombstone (
    -- What was deleted lately and did not come back, and what lately left a scope.
    export INTEGER NOT NULL,      -- export.id
    key TEXT NOT NULL,
    scope TEXT NOT NULL,          -- that it was in, as in change; '' where rows are not scoped
    change INTEGER NOT NULL,      -- change.id of the delete
    slot INTEGER NOT NULL,        -- seq of the delete
    idx INTEGER NOT NULL,
    at INTEGER NOT NULL,          -- when: milliseconds since 1970 UTC
    PRIMARY KEY (export, key, scope)
) WITHOUT ROWID;

CREATE INDEX tombstone_change ON tombstone (change);
CREATE INDEX tombstone_recent ON tombstone (export, change);
CREATE INDEX tombstone_scope ON tombstone (export, scope, change) WHERE scope <> '';

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
, change INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;

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

CREATE TABLE stage (
    -- One row per filtered and ordered set of entities that the configured views need, or needed.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    definition TEXT UNIQUE,       -- everything that decides its rows; NULL: no view has it any more
    export INTEGER NOT NULL,      -- export.id
    whole INTEGER NOT NULL,       -- 1: every entity of the export is a row of it
    rows INTEGER NOT NULL,        -- rows in derived_row
    built_change INTEGER,         -- the newest change when it was complete; NULL: it is being built
    progress BLOB                 -- of the build: the last key or place that was looked at
);

CREATE TABLE derived_row (
    -- The rows of the stages, in their order.
    stage INTEGER NOT NULL,       -- stage.id
    place BLOB NOT NULL,          -- sort value and key, as bytes that compare as the order wants
    entity INTEGER NOT NULL,      -- entity.id
    PRIMARY KEY (stage, place)
) WITHOUT ROWID;

CREATE TABLE derived_turn (
    -- When a filter with now() must look at an entity again, though it did not change.
    stage INTEGER NOT NULL,       -- stage.id
    at INTEGER NOT NULL,          -- seconds since 1970 UTC
    entity INTEGER NOT NULL,      -- entity.id
    PRIMARY KEY (stage, at, entity)
) WITHOUT ROWID;

CREATE TABLE derived_flip (
    -- Which entities entered or left a stage without a change of their own: by time, or because of
    -- another row. Trimmed along with the log.
    change INTEGER NOT NULL,      -- change.id of the newest change then
    export INTEGER NOT NULL,      -- export.id
    key TEXT NOT NULL,
    number INTEGER NOT NULL,      -- grows with every such event, and is never used again
    PRIMARY KEY (export, change, key)
) WITHOUT ROWID;

CREATE INDEX derived_flip_number ON derived_flip (export, number);

CREATE INDEX derived_flip_change ON derived_flip (change);

CREATE TABLE view_shape (
    -- What each configured view shows, so that cursors from before it showed that are refused.
    view TEXT PRIMARY KEY NOT NULL,
    shape TEXT NOT NULL,          -- what decides it: order, cut, fields, keys
    since INTEGER NOT NULL        -- change.id of the newest change when that began
) WITHOUT ROWID;

CREATE TABLE sql_view (
    -- The SQL views that stand for views of the server. SQLite takes names that differ by case alone
    -- for one: where two views do, each has a name that spells its capital letters.
    view TEXT PRIMARY KEY NOT NULL, -- its id, as clients know it
    name TEXT NOT NULL,           -- of the SQL view
    body TEXT NOT NULL            -- what stands behind CREATE VIEW name AS
) WITHOUT ROWID;

CREATE UNIQUE INDEX sql_view_name ON sql_view (name COLLATE NOCASE);
CREATE INDEX sql_view_case ON sql_view (view COLLATE NOCASE);

CREATE TABLE log_state (
    -- One row: the ends of the log. Written once per transaction.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_change INTEGER NOT NULL, -- id of the newest change ever; 0: none
    head_slot INTEGER NOT NULL,   -- the greatest seq ever
    head_idx INTEGER NOT NULL,
    floor_change INTEGER NOT NULL, -- changes up to this id are trimmed
    floor_slot INTEGER NOT NULL,  -- the greatest seq among the trimmed
    floor_idx INTEGER NOT NULL,
    cursor_floor INTEGER NOT NULL, -- cursors at changes before this id are refused
    tombstone_floor INTEGER NOT NULL, -- deletes up to this change may be missing from tombstone
    rows INTEGER NOT NULL,        -- rows in change
    bytes INTEGER NOT NULL,       -- their size: key, patch and append in bytes, and 64 a row
    tombstones INTEGER NOT NULL,  -- rows in tombstone
    last_flip INTEGER NOT NULL    -- the greatest derived_flip.number ever; 0: none
);

INSERT INTO log_state VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE usage_event (
    -- Usage events that were not delivered yet, oldest first. The oldest go when there are too many.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    event_id TEXT NOT NULL,       -- a uuid: the same however often the event is sent
    at INTEGER NOT NULL,          -- when it happened: milliseconds since 1970 UTC
    event TEXT NOT NULL           -- what is told, as JSON
);

CREATE TABLE usage_state (
    -- One row: the spool of usage events. Written once per transaction.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    rows INTEGER NOT NULL,        -- rows in usage_event
    bytes INTEGER NOT NULL,       -- their size: event in bytes, and 64 a row
    dropped INTEGER NOT NULL      -- events that were never delivered, because there were too many
);

INSERT INTO usage_state VALUES (1, 0, 0, 0);

CREATE TABLE revoked_token (
    -- Signed tokens that are refused before they run out. A row goes when its token has run out.
    jti TEXT PRIMARY KEY NOT NULL,
    expires_at INTEGER,           -- when the token runs out: seconds since 1970 UTC; NULL: unknown
    at INTEGER NOT NULL           -- when it was revoked: milliseconds since 1970 UTC
) WITHOUT ROWID;
CREATE INDEX revoked_token_expires ON revoked_token (expires_at) WHERE expires_at IS NOT NULL;

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

CREATE TABLE note (
    -- Tokens that were revoked, producers that were forgotten, requests that had a key; in order. A
    -- row goes when the log no longer has the change that it stands behind.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    change INTEGER NOT NULL,      -- change.id of the newest change then; it never falls
    kind INTEGER NOT NULL,        -- 1: a token was revoked; 2: a producer was forgotten; 3: a key
    name TEXT NOT NULL,           -- jti, name or key
    owner TEXT                    -- of the key
);
