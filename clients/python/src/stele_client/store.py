"""
What a client keeps, in one SQLite file: the rows of each view with the cursor that they are of, and
the batches that are not acknowledged.

A transaction writes rows and cursor together, so a crash leaves both as they were at some moment.
Views survive a crash of the process with the last transaction, and a power cut with an earlier one.
A batch is on disk before it is sent: its connection waits for the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import uuid
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .errors import StorageError
from .types import Event, Json
from .wire import text_of

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

TABLES = """
CREATE TABLE IF NOT EXISTS view (
    id INTEGER PRIMARY KEY, query TEXT NOT NULL UNIQUE, complete INTEGER NOT NULL DEFAULT 0,
    cursor TEXT, epoch TEXT, ack TEXT NOT NULL DEFAULT '{}', taken INTEGER NOT NULL DEFAULT -1
);
CREATE TABLE IF NOT EXISTS view_row (
    view INTEGER NOT NULL REFERENCES view ON DELETE CASCADE, key TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (view, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS view_event (
    view INTEGER NOT NULL REFERENCES view ON DELETE CASCADE, place INTEGER NOT NULL, op TEXT NOT NULL,
    key TEXT NOT NULL, data TEXT, paths TEXT NOT NULL, PRIMARY KEY (view, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS producer (
    id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, last INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batch (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY, body TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL
);
"""
VERSION = 1


@dataclass
class Kept:
    """A view as it was stored."""

    complete: bool
    cursor: Optional[str]
    epoch: Optional[str]
    ack: Json
    taken: int
    rows: Dict[str, Json]
    events: List[Event]


class Writes:
    """What changed of a view since it was stored last."""

    def __init__(self) -> None:
        self.cleared = False
        self.rows: Dict[str, Optional[Json]] = {}
        self.events: List[Event] = []
        self.any = False

    def clear(self) -> None:
        self.cleared = self.any = True
        self.rows.clear()
        self.events.clear()

    def put(self, key: str, data: Optional[Json]) -> None:
        self.any = True
        self.rows[key] = data

    def event(self, event: Event) -> None:
        self.any = True
        self.events.append(event)

    def bound(self, keep: int) -> None:
        """Of events that could not be stored, no more wait than are kept."""
        del self.events[:-keep]


class Store:
    """`path` None: in memory, for clients that need to keep nothing."""

    def __init__(self, path: Optional[str]) -> None:
        self.lock_file: Any = None
        self.views: sqlite3.Connection
        self.feed: sqlite3.Connection
        self.feed_lock = threading.Lock()
        try:
            if path is None:
                self.views = self._connect(":memory:", "OFF")
                self.feed = self._connect(":memory:", "OFF")
            else:
                check_folder(path)
                self._lock(path)
                self.views = self._connect(path, "NORMAL")
                self.feed = self._connect(path, "FULL")
        except sqlite3.Error as error:
            self.close()
            raise StorageError(f"'{path}' cannot be used as storage: {error}") from error

    def _lock(self, path: str) -> None:
        if fcntl is None:  # pragma: no cover - Windows
            return
        self.lock_file = open(path + ".lock", "a")
        try:
            fcntl.flock(self.lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.lock_file.close()
            self.lock_file = None
            raise StorageError(f"'{path}' is the storage of another client that runs; give each its own") from error

    @staticmethod
    def _connect(path: str, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StorageError(f"'{path}' was written by a newer version of stele-client")
        if version < VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        return connection

    def close(self) -> None:
        for name in ("views", "feed"):
            connection = getattr(self, name, None)
            if connection is not None:
                connection.close()
        if self.lock_file is not None:
            self.lock_file.close()
            self.lock_file = None

    # ---- views ----

    def open_view(self, query: str) -> Tuple[int, Kept]:
        self.views.execute("INSERT OR IGNORE INTO view (query) VALUES (?)", (query,))
        id_, complete, cursor, epoch, ack, taken = self.views.execute(
            "SELECT id, complete, cursor, epoch, ack, taken FROM view WHERE query = ?", (query,)).fetchone()
        rows = {key: json.loads(data) for key, data in
                self.views.execute("SELECT key, data FROM view_row WHERE view = ?", (id_,))}
        events = [Event(op, key, None if data is None else json.loads(data), offset, json.loads(paths))
                  for offset, op, key, data, paths in self.views.execute(
                      "SELECT place, op, key, data, paths FROM view_event WHERE view = ? ORDER BY place", (id_,))]
        return id_, Kept(bool(complete), cursor, epoch, json.loads(ack), taken, rows, events)

    def forget_view(self, id_: int) -> None:
        self.views.execute("DELETE FROM view WHERE id = ?", (id_,))

    def begin(self) -> None:
        self.views.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.views.execute("COMMIT")

    def rollback(self) -> None:
        if self.views.in_transaction:
            self.views.execute("ROLLBACK")

    def save(self, id_: int, writes: Writes, complete: bool, cursor: Optional[str], epoch: Optional[str],
             ack: Json, keep: int) -> None:
        """In a transaction of the caller."""
        if writes.cleared:
            self.views.execute("DELETE FROM view_row WHERE view = ?", (id_,))
            self.views.execute("DELETE FROM view_event WHERE view = ?", (id_,))
            self.views.execute("UPDATE view SET taken = -1 WHERE id = ?", (id_,))
        gone = [(id_, key) for key, data in writes.rows.items() if data is None]
        put = [(id_, key, text_of(data)) for key, data in writes.rows.items() if data is not None]
        self.views.executemany("DELETE FROM view_row WHERE view = ? AND key = ?", gone)
        self.views.executemany("INSERT OR REPLACE INTO view_row (view, key, data) VALUES (?, ?, ?)", put)
        self.views.executemany(
            "INSERT OR REPLACE INTO view_event (view, place, op, key, data, paths) VALUES (?, ?, ?, ?, ?, ?)",
            [(id_, each.offset, each.op, each.key, None if each.data is None else text_of(each.data),
              text_of(each.append)) for each in writes.events])
        if writes.events:
            self.views.execute(
                "DELETE FROM view_event WHERE view = ?1 AND place <= (SELECT place FROM view_event WHERE view = ?1 "
                "ORDER BY place DESC LIMIT 1 OFFSET ?2)", (id_, keep))
        self.views.execute("UPDATE view SET complete = ?, cursor = ?, epoch = ?, ack = ? WHERE id = ?",
                           (int(complete), cursor, epoch, text_of(ack), id_))

    def save_taken(self, id_: int, taken: int) -> None:
        self.views.execute("UPDATE view SET taken = ? WHERE id = ?", (taken, id_))

    # ---- batches; on any thread ----

    def producer(self, name: Optional[str]) -> str:
        """The name under which this storage feeds: the one that it has, or this one."""
        with self.feed_lock:
            self.feed.execute("INSERT OR IGNORE INTO producer (id, name, last) VALUES (1, ?, 0)",
                              (name or f"python-{uuid.uuid4()}",))
            (kept,) = self.feed.execute("SELECT name FROM producer").fetchone()
        if name is not None and name != kept:
            raise StorageError(f"this storage feeds as producer '{kept}', not '{name}'; use another file")
        return str(kept)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """A transaction of the feed: all that is done inside, or nothing."""
        self.feed.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.feed.execute("COMMIT")
        except BaseException:
            if self.feed.in_transaction:  # some failures end it
                self.feed.execute("ROLLBACK")
            raise

    def add_batch(self, mutations: str) -> Tuple[int, str]:
        """Give it the next number, and put it on disk."""
        with self.feed_lock:
            with self._whole():
                name, last = self.feed.execute("SELECT name, last FROM producer").fetchone()
                number = last + 1
                body = f'{{"producer":{text_of(name)},"batch":{number},"mutations":{mutations}}}'
                self.feed.execute("UPDATE producer SET last = ?", (number,))
                self.feed.execute("INSERT INTO batch (number, body) VALUES (?, ?)", (number, body))
        return number, body

    def next_batch(self) -> Optional[Tuple[int, str]]:
        with self.feed_lock:
            found = self.feed.execute("SELECT number, body FROM batch ORDER BY number LIMIT 1").fetchone()
        return (found[0], found[1]) if found else None

    def pending(self) -> int:
        with self.feed_lock:
            return int(self.feed.execute("SELECT count(*) FROM batch").fetchone()[0])

    def end_batch(self, number: int, code: Optional[str] = None, message: str = "") -> None:
        """It is acknowledged, or refused for good: then it is kept apart."""
        with self.feed_lock:
            with self._whole():
                if code is not None:
                    self.feed.execute("INSERT INTO refused (number, body, code, message) "
                                      "SELECT number, body, ?, ? FROM batch WHERE number = ?", (code, message, number))
                self.feed.execute("DELETE FROM batch WHERE number = ?", (number,))

    def refused(self) -> List[Tuple[int, str, str, str]]:
        with self.feed_lock:
            return [tuple(each) for each in self.feed.execute(
                "SELECT number, body, code, message FROM refused ORDER BY number")]


def check_folder(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise StorageError(f"there is no folder '{folder}' for the storage; make it first")
