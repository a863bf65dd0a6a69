"""The order of rows, as docs/views.md has it: "Order of values"."""

from __future__ import annotations

import functools
import re
from decimal import Decimal
from typing import Any, List, Mapping, Optional, Tuple

from .types import Row
from .wire import text_of

INTEGER = re.compile(r"-?[1-9][0-9]*|0")


def lookup(data: Any, path: List[str]) -> Any:
    """The value at a path, None if there is none. A member's name may have dots; the shortest names win."""
    if not path:
        return data
    if isinstance(data, dict):
        for used in range(1, len(path) + 1):
            name = ".".join(path[:used])
            if name in data:
                found = lookup(data[name], path[used:])
                if found is not None:
                    return found
    return None


def place(value: Any) -> Tuple[int, Any]:
    """What compares as the values do. Not of None."""
    if isinstance(value, bool):
        return 0, value
    if isinstance(value, (int, float)):
        return 1, value
    if isinstance(value, str):
        # int() refuses very long ones; a Decimal is as exact.
        return (1, Decimal(value)) if INTEGER.fullmatch(value) else (2, value.encode("utf-8", "surrogatepass"))
    return 3, text_of(value).encode()


def seq_place(value: Any) -> Any:
    slot, _, index = str(value).partition(":")
    return (int(slot), int(index)) if slot.isdigit() and index.isdigit() else (0, 0)


def _three_way(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


class Order:
    """From `sort` or `sorts` of `subscribed`. Without them rows are in the order of their keys."""

    def __init__(self, ack: Mapping[str, Any]) -> None:
        sorts = ack.get("sorts") or ([ack["sort"]] if ack.get("sort") else [])
        self.keys = [(list(each["field"]), each.get("order") == "desc") for each in sorts]
        self.by_seq = [path for path, _ in self.keys] == [["_seq"]]

    def _places(self, data: Any) -> List[Optional[Any]]:
        if self.by_seq:
            return [seq_place(lookup(data, ["_seq"]))]
        values = [lookup(data, path) for path, _ in self.keys]
        return [None if value is None else place(value) for value in values]

    def _compare(self, one: Tuple[List[Any], bytes, Row], other: Tuple[List[Any], bytes, Row]) -> int:
        for (_, descending), mine, theirs in zip(self.keys, one[0], other[0]):
            if mine is None or theirs is None:
                order = (mine is None) - (theirs is None)
            else:
                order = -_three_way(mine, theirs) if descending else _three_way(mine, theirs)
            if order:
                return order
        return _three_way(one[1], other[1])

    def sorted(self, rows: List[Row]) -> List[Row]:
        placed = [(self._places(row.data), row.key.encode("utf-8", "surrogatepass"), row) for row in rows]
        placed.sort(key=functools.cmp_to_key(self._compare))
        return [row for _, _, row in placed]
