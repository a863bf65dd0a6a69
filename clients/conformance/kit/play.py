"""
The server's side of one subscription: the frames that bring a client from what it has to what the
model has, with every freedom that the protocol leaves.
"""

import itertools

snapshots = itertools.count(1)


class Subscription:
    """`at`: the position in the log up to which the client was told."""

    def __init__(self, database, query, id_, random):
        self.database, self.query, self.id, self.random = database, query, id_, random
        self.at = 0
        self.base = 0  # of a tape: the events from here on
        self.epoch = database.epoch  # of its cursors
        self.held = set()  # the keys that the client has of a list, as far as this server sent them

    def frame(self, **members):
        return {"protocolVersion": 2, "subscriptionId": self.id, **members}

    def names(self):
        return {"mode": self.query.mode, "entity": self.query.view}

    def _data(self, data, n):
        return {**data, "_version": self.database.version(n)}

    # ---- the beginning ----

    def open(self, asked):
        """Frames, the last of which completes the snapshot."""
        if self.query.is_tape:
            yield from self._open_tape(asked)
            return
        database, after = self.database, asked.get("after")
        found = database.find(after, asked.get("epoch")) if after is not None else None
        if found is not None and self.random.random() < 0.15:
            found = None  # the server may always refuse a cursor
        ack = self.frame(**self.query.ack(), epoch=database.epoch)
        ack["query"] = {**ack["query"], **{name: asked[name] for name in ("after", "epoch") if name in asked}}
        if after is not None:
            ack["resumed"] = found is not None
        yield ack
        if found is None:
            yield from self._snapshot()
        elif self.query.is_window:
            yield from self._resume_window(found)
        else:
            yield from self._resume_list(found)

    def _batches(self, rows, authoritative, cursor):
        """`rows`: (key, data, version)."""
        name, size = f"s{next(snapshots)}", self.random.choice([1, 3, 7, 50])
        parts = [rows[i : i + size] for i in range(0, len(rows), size)] or [[]]
        if self.random.random() < 0.1:
            parts.append([])
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            batch = self.frame(op="snapshot", snapshotId=name, authoritative=authoritative, **self.names(),
                               data=[{"key": key, "data": self._data(data, n)} for key, data, n in part],
                               complete=last)
            if self.query.key is not None:
                batch["key"] = self.query.key
            if self.epoch != self.database.epoch:
                batch["epoch"] = self.epoch
            if last and cursor is not None:
                batch["seq"] = cursor
            yield batch

    def _snapshot(self):
        """A list is perhaps read in two steps, of two states; then the cursor is of the first."""
        database, first = self.database, self.database.head
        cursor = database.cursor(first) if self.random.random() < 0.85 else None
        rows = self.query.rows(database.states[first])
        self.at = first
        if not self.query.is_window and rows and self.random.random() < 0.5 and first > 3:
            early = max(0, first - self.random.randrange(1, 12))
            rows = self._of_two_states(early, first)
            self.at = early
            cursor = database.cursor(early) if cursor is not None else None
        self.held = {key for key, _, _ in rows}
        self.begun = self.at
        yield from self._batches(rows, True, cursor)

    def _of_two_states(self, early, late):
        """Some rows as they were, others as they are; a row is in neither or both, or in one of them."""
        older, newer = ({row[0]: row for row in self.query.rows(self.database.states[n])} for n in (early, late))
        rows = []
        for key in {**older, **newer}:
            of = older if self.random.random() < 0.5 else newer
            if key in of:
                rows.append(of[key])
        return rows

    def _resume_list(self, found):
        database, head = self.database, self.database.head
        state = database.states[head]
        changed = {change.key: change for change in database.log[found:head]}
        rows = [row for row in self.query.rows(state) if row[0] in changed]
        self.random.shuffle(rows)
        yield from self._batches(rows, False, None)
        for change in database.log[found:head]:
            if change is changed[change.key] and change.key not in state and self.query.keep(change.key, {}):
                yield self._gone(change.key, "delete", change.seq)
        self.held = {key for key, _, _ in self.query.rows(state)}
        self.at = head

    def _resume_window(self, found):
        """What may have left, without a cursor; then what it may lack. Some of both is nothing new."""
        database, head = self.database, self.database.head
        old = {key: n for key, _, n in self.query.rows(database.states[found])}
        new = {row[0]: row for row in self.query.rows(database.states[head])}
        # A client that was cut off in the middle of a difference may have rows that only came and went, and may lack
        # rows that only went and came.
        states = [[key for key, _, _ in self.query.rows(database.states[n])] for n in range(found, head + 1)]
        shown = dict.fromkeys(itertools.chain.from_iterable(states))
        gone = [key for key in shown if key not in new]
        lacking = [key for key, row in new.items() if old.get(key) != row[2] or not all(key in each for each in states)]
        # What it is told to lose for nothing is told again when it comes with the same cursor.
        changed = {change.key for change in database.log[found:head]}
        for key in new:
            if key in changed and self.random.random() < 0.3:
                gone.append(key)
            elif self.random.random() < 0.1:
                lacking.append(key)
        if self.random.random() < 0.3:
            gone.append("nobody")
        self.random.shuffle(gone)
        for key in gone:
            yield self._gone(key, "delete" if key not in database.states[head] else "remove", None)
        yield from self._batches([new[key] for key in dict.fromkeys(lacking)], False, database.cursor(head))
        self.at = head

    def _begin_again(self):
        """As for a client with other row_scopes: everything anew, and cursors of another epoch."""
        self.epoch = f"{self.database.epoch}-{self.random.getrandbits(64):016x}"
        self.whole_until = self.database.head
        yield from self._snapshot()

    # ---- the log goes on ----

    def _gone(self, key, op, seq):
        frame = self.frame(op=op, **self.names(), key=key, data=None)
        if seq is not None:
            frame["seq"] = seq
        return frame

    def _upsert(self, key, data, n, seq):
        return self.frame(op="upsert", **self.names(), key=key, data=self._data(data, n), seq=seq)

    def go_on(self, most):
        """Frames of some of what came since; `most` changes."""
        to = min(self.database.head, self.at + most)
        if to == self.at:
            return
        if not self.query.is_tape and self.random.random() < 0.04:
            yield from self._begin_again()
            return
        before, self.at = self.at, to
        if self.query.is_tape:
            for change in self.database.log[before:to]:
                if self.query.keep(change.key, {}):
                    yield self._event(change)
        elif self.query.is_window:
            yield from self._difference(before, to)
        else:
            for change in self.database.log[before:to]:
                if self.query.keep(change.key, {}):
                    yield from self._change(change)

    def _change(self, change):
        key = change.key
        if change.after is None:
            if key in self.held:
                self.held.discard(key)
                yield self._gone(key, "delete", change.seq)
            return
        whole = change.op == "upsert" or change.created or key not in self.held
        # What a snapshot of two states has in it comes whole behind it.
        whole = whole or change.n <= getattr(self, "whole_until", 0) or self.random.random() < 0.1
        self.held.add(key)
        if whole:
            yield self._upsert(key, change.after, change.n, change.seq)
            return
        frame = self.frame(op="patch", **self.names(), key=key,
                           data=self._data({**change.patch, "_seq": change.seq}, change.n))
        if change.append:
            frame["append"] = change.append
        frame["seq"] = change.seq
        yield frame

    def _difference(self, before, to):
        database = self.database
        old = {key: n for key, _, n in self.query.rows(database.states[before])}
        new = self.query.rows(database.states[to])
        kept = {row[0] for row in new}
        frames = [self._gone(key, "remove" if key in database.states[to] else "delete", None)
                  for key in old if key not in kept]
        frames += [self._upsert(key, data, n, None) for key, data, n in new if old.get(key) != n]
        for i, frame in enumerate(frames):
            frame["seq"] = database.cursor(to if i == len(frames) - 1 else before)
            yield frame

    # ---- tapes ----

    def _open_tape(self, asked):
        database, after = self.database, asked.get("after")
        window = {"epoch": database.epoch, "earliest": database.floor + 1, "next": database.head + 1}
        self.at = database.floor
        if after is not None:
            epoch, _, offset = after.rpartition(":")
            code = None
            if epoch != database.epoch:
                code = "cursor-epoch-changed"
            elif int(offset) < database.floor:
                code = "cursor-expired"
            elif int(offset) > database.head:
                code = "cursor-unknown"
            if code:
                yield self.frame(type="error", error=code, code=code, message="refused by the model",
                                 retryable=False, replayWindow=window, fatal=False)
                return
            self.at = int(offset)
        else:
            self.base = self.at
        yield self.frame(**self.query.ack(), replayWindow=window, epoch=database.epoch)
        for change in database.log[self.at : database.head]:
            if self.query.keep(change.key, {}):
                yield self._event(change)
        self.at = database.head
        yield self.frame(op="snapshot", snapshotId=f"t{next(snapshots)}", authoritative=False, **self.names(),
                         data=[], complete=True)

    def _event(self, change):
        return self.frame(**event_of(change, self.database), **self.names(), seq=change.seq)


def event_of(change, database):
    """As a client is to keep it, too."""
    if change.op == "delete":
        return {"op": "delete", "key": change.key, "data": None, "offset": change.n}
    out = {"op": change.op, "key": change.key, "offset": change.n,
           "data": {**change.patch, "_seq": change.seq, "_version": database.version(change.n)}}
    if change.append:
        out["append"] = change.append
    return out
