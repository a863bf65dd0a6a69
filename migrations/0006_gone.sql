-- What became of a key that is not there: by it a mutation with "if":"newer" knows that it is late.
PRAGMA user_version = 6;

CREATE INDEX change_gone ON change (export, key) WHERE op >= 3;
