-- Who sees few rows finds them by their scope, not among those of all. Unscoped rows are in none.
PRAGMA user_version = 8;

CREATE INDEX change_scope ON change (export, scope) WHERE scope IS NOT NULL;
CREATE INDEX change_scope_left ON change (export, scope_left) WHERE scope_left IS NOT NULL;
CREATE INDEX tombstone_scope ON tombstone (export, scope, change) WHERE scope <> '';
