"""Random mutations and queries."""

from .model import Query

TEXTS = ["", "a", "B", "é", "ﬁ", "🎉", "10", "9", "-3", "007", "99999999999999999999", "word " * 40]


def value(random):
    kind = random.randrange(8)
    if kind < 3:
        return random.randrange(-5, 12)
    if kind == 3:
        return random.randrange(-50, 120) / 8
    if kind == 4:
        return random.random() < 0.5
    if kind == 5:
        return None
    return random.choice(TEXTS)


KEYS = [f"k{i}" for i in range(24)] + ["é", "ﬁ", "🎉", "", "a.b", '"']


def mutation(random):
    key = random.choice(KEYS)
    kind = random.randrange(12)
    if kind < 2:
        return {"export": "E", "key": key, "op": "delete"}
    if kind == 2:
        return {"export": "E", "key": key, "op": "upsert", "patch": {"n": value(random), "g": random.randrange(3)}}
    if kind < 6:
        return {"export": "E", "key": key, "patch": {"t": [random.randrange(1000)], "o": {"l": [kind]}},
                "append": ["t"] if random.random() < 0.5 else ["t", "o.l"]}
    patch = {"n": value(random), "g": random.randrange(3)}
    if random.random() < 0.4:
        patch["o"] = {random.choice("abc"): value(random), "deep": {random.choice("xy"): [kind]}}
    if random.random() < 0.1:
        patch["long"] = "long " * random.randrange(400)
    return {"export": "E", "key": key, "patch": patch}


def is_number(n):
    return isinstance(n, (int, float)) and not isinstance(n, bool)


def queries(random):
    """Some views of different kinds."""
    g, least, key = random.randrange(3), random.randrange(0, 8), random.choice(KEYS)
    take, skip = random.randrange(1, 8), random.randrange(0, 5)

    def in_group(_, data):
        return data.get("g") == g

    def is_great(_, data):
        return isinstance(data.get("g"), int) and data["g"] >= least % 3
    where = {"field": "g", "gte": least % 3}
    all_ = [
        Query("E/list", {}),
        Query("E/list", {"filters": {"g": g}}, keep=in_group),
        Query("E/list", {"where": where}, keep=is_great),
        Query("E/list", {"sort": [{"by": "n", "order": "desc"}], "take": take, "skip": skip}, [("n", True)],
              skip=skip, take=take),
        Query("E/list", {"sort": ["g", {"by": "n", "order": "desc"}], "where": where},
              [("g", False), ("n", True)], keep=is_great),
        Query("E/list", {"take": take, "skip": skip}, skip=skip, take=take),
        Query("E/sorted", {}, [("n", False)]),
        Query("E/sorted", {"take": take}, [("n", False)], take=take),
        Query("E/state", {"key": key}, keep=lambda each, _: each == key),
        Query("E/list", {"key": key}, keep=lambda each, _: each == key),
        Query("E/append", {}),
        Query("E/append", {"key": key}, keep=lambda each, _: each == key),
    ]
    return random.sample(all_, random.randrange(2, 7))
