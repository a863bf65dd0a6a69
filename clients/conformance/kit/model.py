"""
A database of the kit's own, as far as a client of it can see: a log of changes, entities, views. It
merges, filters and sorts by itself, in other ways than a client does.
"""

import json
import uuid
from fractions import Fraction

ABSENT = object()


def merge(entity, patch, append, at=()):
    for name, value in patch.items():
        path = at + (name,)
        old = entity.get(name, ABSENT)
        if isinstance(value, dict) and isinstance(old, dict):
            merge(old, value, append, path)
        elif isinstance(value, list) and isinstance(old, list) and ".".join(path) in append:
            old.extend(json.loads(json.dumps(value)))
        else:
            entity[name] = json.loads(json.dumps(value))


# ---- order ----

def value_key(value):
    if isinstance(value, bool):
        return (0, value)
    if isinstance(value, str):
        digits = value[1:] if value.startswith("-") else value
        if digits.isascii() and digits.isdigit() and (digits[0] != "0" or value == "0"):
            return (1, Fraction(value))
        return (2, value.encode())
    return (1, Fraction(value))


class Backwards:
    def __init__(self, key):
        self.key = key

    def __lt__(self, other):
        return other.key < self.key

    def __eq__(self, other):
        return self.key == other.key


def seq_key(data):
    slot, index = data["_seq"].split(":")
    return (int(slot), int(index))


def sort_rows(rows, sorts):
    """Rows are (key, data). `sorts`: of (member, descending); None: the newest first."""
    def place(row):
        key, data = row
        if sorts is None:
            return (Backwards(seq_key(data)), key.encode())
        keys = []
        for member, descending in sorts:
            value = data.get(member)
            if value is None:
                keys.append((1, 0))
            else:
                found = value_key(value)
                keys.append((0, Backwards(found) if descending else found))
        return (*keys, key.encode())
    return sorted(rows, key=place)


class Query:
    """What a view of the model shows. It says the query of the client, and what `subscribed` says of it."""

    def __init__(self, view, asked, sorts=None, keep=None, skip=0, take=None):
        self.view, self.asked, self.sorts = view, {"view": view, **asked}, sorts
        self.keep = keep or (lambda key, data: True)
        self.skip, self.take = skip, take
        self.mode = view.rsplit("/", 1)[1] if view.rsplit("/", 1)[1] in ("state", "append") else "list"
        self.is_tape = self.mode == "append"
        self.is_window = not self.is_tape and (len(asked) > 0 or view not in ("E/list",)) and self.mode != "state"
        self.key = asked.get("key")

    def ack(self):
        out = {"op": "subscribed", "query": self.asked, "mode": self.mode, "wholeEntities": True}
        if self.mode == "list":
            sorts = [("_seq", True)] if self.sorts is None else self.sorts
            told = [{"field": [member], "order": "desc" if descending else "asc"} for member, descending in sorts]
            out["sort"] = told[0]
            if len(told) > 1:
                out["sorts"] = told
        return out

    def rows(self, state):
        """[(key, data, version)…] in order, of {key: (data, version)}."""
        found = [(key, data) for key, (data, _) in state.items() if self.keep(key, data)]
        ordered = sort_rows(found, self.sorts)
        end = None if self.take is None else self.skip + self.take
        return [(key, data, state[key][1]) for key, data in ordered[self.skip : end]]


class Change:
    def __init__(self, n, seq, op, key, patch, append, after):
        self.n, self.seq, self.op, self.key, self.patch, self.append = n, seq, op, key, patch, append
        self.after = after  # the entity behind it; None: gone
        self.created = False


class Database:
    """All states that it ever had can be asked for: a state is a position in the log."""

    def __init__(self, random):
        self.random = random
        self.epoch = str(uuid.UUID(int=random.getrandbits(128)))
        self.log = []
        self.states = [{}]
        self.floor = 0  # tapes have what is behind it
        self.places = {}
        self.producers = {}

    @property
    def head(self):
        return len(self.log)

    def cursor(self, n):
        """The newest seq of a state."""
        return self.log[n - 1].seq if n else "0:000000000000"

    def find(self, cursor, epoch):
        """The position of a cursor, or None. What is behind the epoch says whose rows they were: here all are the same."""
        if not (epoch or "").startswith(self.epoch):
            return None
        if cursor == "0:000000000000":
            return 0
        return self.places.get(cursor)

    def change(self, op, key, patch=None, append=()):
        state = dict(self.states[-1])
        old = state.get(key)
        if op == "delete" and old is None:
            return
        n = self.head + 1
        # Now and then a late one: a seq below that of its predecessor, and of nobody else.
        late = self.random.random() < 0.1
        seq = f"{n + 10 if not late else max(n - 5, 1)}:{n:012d}"
        if op == "delete":
            entity = None
            state.pop(key)
        else:
            entity = json.loads(json.dumps(old[0])) if old and op == "patch" else {}
            merge(entity, patch, append)
            entity["_seq"] = seq
            state[key] = (entity, n)
        change = Change(n, seq, op, key, patch, list(append), entity)
        change.created = old is None
        self.log.append(change)
        self.states.append(state)
        self.places[seq] = n

    def apply(self, mutations):
        for each in mutations:
            self.change(each.get("op", "patch"), each["key"], each.get("patch"), each.get("append", []))

    def version(self, n):
        return f"{self.epoch[:8]}:{n}"
