-- Entities that share a seq have one order: by key.
PRAGMA user_version = 7;

DROP INDEX entity_seq;
-- Read backwards: newest first, and of one seq the least key first.
CREATE INDEX entity_seq ON entity (export, slot, idx, key DESC);
