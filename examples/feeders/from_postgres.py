"""Feeds stele from tables of PostgreSQL, by logical decoding: each transaction whole, exactly once, in commit order.

usage: from_postgres.py [--once] TABLE…

A table is an export of its name, its primary key the key of the entity. It takes psql (with PGHOST and the like),
wal_level=logical and the plugin wal2json (apt-get install postgresql-15-wal2json). STELE_HTTP names the server, STELE_TOKEN
a token that may write.

The number of a batch is the position of the transaction in PostgreSQL's log. stele commits both at once, and PostgreSQL
may forget a transaction only when stele has it. So whatever breaks off: what comes twice is a repetition, and counts once.
"""
import json
import os
import subprocess
import sys
import time
import urllib.request

SERVER = os.environ.get("STELE_HTTP", "http://127.0.0.1:8877")
SLOT = PRODUCER = "stele"
CHANGES = 1000  # to be decoded at once; a transaction is never cut
DECODE = f"""SELECT lsn - '0/0', data FROM pg_logical_slot_peek_changes('{SLOT}', NULL, {CHANGES},
    'format-version', '2', 'include-pk', 'true', 'include-transaction', 'true', 'add-tables', '%s')"""


def query(sql):
    done = subprocess.run(["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql], check=True, stdout=subprocess.PIPE, text=True)
    return [line.split("\t", 1) for line in done.stdout.splitlines()]


def send(mutations, position):
    batch = {"producer": PRODUCER, "batch": position, "mutations": mutations}
    request = urllib.request.Request(f"{SERVER}/v1/mutations", json.dumps(batch).encode())
    if "STELE_TOKEN" in os.environ:
        request.add_header("Authorization", f"Bearer {os.environ['STELE_TOKEN']}")
    answer = json.load(urllib.request.urlopen(request))
    print(f"position {position}: applied {answer['applied']}, duplicate {answer['duplicate']}", flush=True)


def key_of(columns, primary):
    values = {each["name"]: each["value"] for each in columns}
    return ":".join(str(values[name]) for name in primary)


def mutations_of(change):
    """One change of a row; a new primary key is another entity."""
    primary = [each["name"] for each in change["pk"]] if "pk" in change else [each["name"] for each in change["identity"]]
    old = key_of(change["identity"], primary) if "identity" in change else None
    if change["action"] == "D":
        return [{"export": change["table"], "key": old, "op": "delete"}]
    key = key_of(change["columns"], primary)
    patch = {each["name"]: each["value"] for each in change["columns"]}  # a large value that stays is not among them
    gone = [{"export": change["table"], "key": old, "op": "delete"}] if old not in (None, key) else []
    return [*gone, {"export": change["table"], "key": key, "patch": patch}]


def copy(tables, position):
    """The rows from before the slot. What changed meanwhile comes again behind it, in its order."""
    mutations = []
    for table in tables:
        primary = [name for (name,) in query(f"""SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid
            AND attnum = ANY(indkey) WHERE indrelid = '{table}'::regclass AND indisprimary ORDER BY array_position(indkey, attnum)""")]
        for (text,) in query(f"SELECT to_json(t) FROM {table} t"):
            row = json.loads(text)
            mutations.append({"export": table, "key": ":".join(str(row[name]) for name in primary), "patch": row})
    send(mutations, position)


def follow(tables, once):
    decode = DECODE % ",".join(f"*.{table}" for table in tables)
    while True:
        mutations, rows = [], query(decode)
        for position, text in rows:
            change = json.loads(text)
            if change["action"] in "IUD":
                mutations += mutations_of(change)
            elif change["action"] == "C":
                if mutations:
                    send(mutations, int(position))
                mutations = []
                query(f"SELECT pg_replication_slot_advance('{SLOT}', '0/0'::pg_lsn + {position})")
        if once and not rows:
            return
        time.sleep(0 if rows else 0.2)


def main():
    once = "--once" in sys.argv
    tables = [each for each in sys.argv[1:] if each != "--once"]
    if not query(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{SLOT}'"):
        ((position,),) = query(f"SELECT lsn - '0/0' FROM pg_create_logical_replication_slot('{SLOT}', 'wal2json')")
        copy(tables, int(position))
    follow(tables, once)


main()
