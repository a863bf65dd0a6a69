"""What holds of every message of a client, whatever a scenario says; and how values are compared."""

import json
import unicodedata


class Fault(Exception):
    """The client did what it must not, or did not what it must."""


SUBSCRIBE = {"type", "protocolVersion", "subscriptionId", "query", "snapshot"}
QUERY = {"view", "key", "partition", "filters", "where", "sort", "take", "skip", "after", "epoch", "snapshotLimit"}
TEXTS = ("key", "partition", "after", "epoch")
COUNTS = {"take": 1, "skip": 0, "snapshotLimit": 1}


def read(text):
    """A message as JSON, of the right form."""
    try:
        message = json.loads(text)
    except ValueError as error:
        raise Fault(f"a message is not JSON: {text[:200]}") from error
    if not isinstance(message, dict):
        raise Fault(f"a message is no object: {text[:200]}")
    check(message)
    return message


def check(message):
    kind = message.get("type")
    if kind == "ping":
        return
    if kind == "refresh_auth" or kind == "auth":
        members(message, {"type", "token", "protocolVersion"})
        if not isinstance(message.get("token"), str):
            raise Fault(f"{kind} without a token")
        return
    if kind not in ("subscribe", "unsubscribe"):
        raise Fault(f"there is no message {kind!r}")
    if same(message.get("protocolVersion"), 2) is False:
        raise Fault(f"{kind} without protocolVersion 2")
    check_id(message.get("subscriptionId"))
    if kind == "unsubscribe":
        members(message, SUBSCRIBE - {"query", "snapshot"})
        return
    members(message, SUBSCRIBE)
    query = message.get("query")
    if not isinstance(query, dict):
        raise Fault("subscribe without a query")
    members(query, QUERY)
    if not isinstance(query.get("view"), str) or not query["view"].strip():
        raise Fault("a query without a view")
    for name in TEXTS:
        if query.get(name) is not None and not isinstance(query[name], str):
            raise Fault(f"{name!r} is no string")
    for name, least in COUNTS.items():
        value = query.get(name)
        if value is not None and (type(value) is not int or value < least):
            raise Fault(f"{name!r} is no number from {least} on")


def unknown_id(message):
    """What a server answers to an `unsubscribe` that names no subscription: clients ask so whether it is there."""
    code = "unknown-subscription-id"
    return {"type": "error", "protocolVersion": 2, "subscriptionId": message["subscriptionId"], "error": code, "code": code,
            "message": "there is no such subscription", "retryable": False, "fatal": False}


def check_id(value):
    if not isinstance(value, str) or not value or value != value.strip() or len(value.encode()) > 128:
        raise Fault(f"subscriptionId {value!r} cannot be used")
    if any(unicodedata.category(each) == "Cc" for each in value):
        raise Fault(f"subscriptionId {value!r} has control characters")


def members(object_, known):
    for name in object_:
        if name not in known:
            raise Fault(f"the server knows no member {name!r} there")


def same(one, other):
    """Equal as JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def without_nulls(object_):
    return {name: value for name, value in object_.items() if value is not None}


def matches(pattern, value, names):
    """Whether a value is as a scenario says. `names`: what "$a" stands for; new ones are added if all fits."""
    bound = dict(names)
    if not _matches(pattern, value, bound):
        return False
    names.update(bound)
    return True


def _matches(pattern, value, names):
    if pattern == "$any":
        return value is not None
    if isinstance(pattern, str) and pattern.startswith("$"):
        if not isinstance(value, str):
            return False
        return names.setdefault(pattern[1:], value) == value
    if isinstance(pattern, dict) and isinstance(value, dict):
        wanted, got = without_nulls(pattern), without_nulls(value)
        return wanted.keys() == got.keys() and all(_matches(wanted[name], got[name], names) for name in wanted)
    if isinstance(pattern, list) and isinstance(value, list):
        return len(pattern) == len(value) and all(_matches(*pair, names) for pair in zip(pattern, value))
    return same(pattern, value)
