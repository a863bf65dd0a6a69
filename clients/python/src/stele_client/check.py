"""
Whether a view has what the server has: the sums of its rows, compared with the server's.

Both must be of one state. The answer names its seq, and the view its cursor. If they meet, that is
exact. Where the changes of an export do not concern the view, its cursor stays behind. A key counts
that two answers, some time apart, found different; if they were not exact, with the same rows,
because what changed meanwhile would have come.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from .errors import SteleError
from .http import Http, query_of
from .http import ask as ask_http
from .order import seq_place
from .sums import PARTS, Sums, part_of, row_sum
from .types import CheckResult, DifferentKey, Json, Row
from .view import View

LOOK = 0.02
"""So often it is looked where the view is, in seconds."""
ROWS_AT_ONCE = 20_000
"""Whose keys one answer has."""

Difference = Tuple[str, Optional[str], Optional[str]]
"""A key, and the sums of both sides, where they have it."""


@dataclass
class Finding:
    equal: bool = False
    exact: bool = False
    differences: List[Difference] = field(default_factory=list)
    orders: Optional[Tuple[str, str]] = None
    """The rows are equal, and these two orders are not."""


async def ask(http: Http, view: View, more: Json) -> Json:
    query = {**view.query, **more, "subscribed": 1}
    found: Json = json.loads(await ask_http(http, "/v1/checksum?" + query_of(query)))
    if found["mode"] == "append" and view.is_tape:
        raise SteleError("has-events", "the view has events, and a sum is of rows")
    return found


async def state_of(view: View, answer: Json, grace: float) -> Tuple[List[Row], bool]:
    """
    The rows of the state of an answer, if the view comes to it, soon; else those that there are. A
    change of a window may come in several frames, of which the last has the cursor: so what is there
    must stand still for a moment.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + grace
    wanted = (answer["seq"], answer["epoch"])
    while True:
        cursor, rows = (view.cursor, view.epoch), view.rows
        past = view.cursor is not None and seq_place(view.cursor) > seq_place(answer["seq"])
        if past or loop.time() > end:
            return rows, False
        await asyncio.sleep(LOOK)
        if cursor == wanted == (view.cursor, view.epoch) and rows == view.rows:
            return rows, True


async def sums_of(rows: List[Row]) -> Sums:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: Sums((row.key, row.data) for row in rows))


async def compare(answer: Json, rows: List[Row]) -> Finding:
    own = await sums_of(rows)
    if (own.sum, own.rows) != (answer["sum"], answer["rows"]):
        return Finding()
    if answer.get("order", own.order) == own.order:
        return Finding(equal=True)
    return Finding(orders=(own.order, answer["order"]))


async def find_keys(http: Http, view: View, grace: float) -> Finding:
    answer = await ask(http, view, {"parts": 1})
    rows, _ = await state_of(view, answer, grace)
    own = (await sums_of(rows)).parts
    theirs = {part: (count, value) for part, count, value in answer["parts"]}
    parts = sorted(part for part in {**own, **theirs} if own.get(part) != theirs.get(part))
    # So many at a time that an answer is no longer than the server allows.
    at_once = max(1, ROWS_AT_ONCE * PARTS // max(1, answer["rows"], len(rows)))
    found = Finding(exact=bool(parts))
    for first in range(0, len(parts), at_once):
        some = await compare_keys(http, view, parts[first:first + at_once], grace)
        found.exact = found.exact and some.exact
        found.differences += some.differences
    return found


async def compare_keys(http: Http, view: View, parts: List[str], grace: float) -> Finding:
    answer = await ask(http, view, {"keys": ",".join(parts)})
    rows, exact = await state_of(view, answer, grace)
    theirs: Dict[str, str] = dict(answer["keys"])

    def differing() -> List[Difference]:
        mine = {row.key: row_sum(row.key, row.data) for row in rows if part_of(row.key) in parts}
        return [(key, mine.get(key), theirs.get(key)) for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]

    return Finding(exact=exact, differences=await asyncio.get_running_loop().run_in_executor(None, differing))


async def attempt(http: Http, view: View, grace: float) -> Finding:
    answer = await ask(http, view, {})
    if (await compare(answer, view.rows)).equal:
        return Finding(equal=True)
    rows, exact = await state_of(view, answer, grace)
    found = await compare(answer, rows)
    found.exact = exact
    return found if found.equal or found.orders else await find_keys(http, view, grace)


def standing(before: Finding, found: Finding) -> Finding:
    """
    What the one before found, too. Changes may share a seq, so one finding is not enough. If one of
    both is not exact, the rows must be the same as well.
    """
    if before.exact and found.exact:
        keys = {key for key, _, _ in before.differences}
        differences = [each for each in found.differences if each[0] in keys]
    else:
        seen = set(before.differences)
        differences = [each for each in found.differences if each in seen]
    return Finding(differences=differences, orders=found.orders if found.orders == before.orders else None)


def told(found: Finding) -> CheckResult:
    keys = [DifferentKey(key, "there" if mine is None else "here" if theirs is None else "changed")
            for key, mine, theirs in found.differences]
    return CheckResult(False, keys, found.orders is not None)


async def check(http: Http, view: View, patience: float, grace: float) -> CheckResult:
    loop = asyncio.get_running_loop()
    end, before = loop.time() + patience, Finding()
    while loop.time() < end:
        if view.ended and view.error is not None:
            raise view.error
        found: Any = Finding()
        try:
            if view.state == "live":
                found = await asyncio.wait_for(attempt(http, view, grace), end - loop.time())
        except asyncio.TimeoutError:
            break
        except SteleError as error:
            if not error.retryable:
                raise
        if found.equal:
            return CheckResult(True)
        certain = standing(before, found)
        if certain.differences or certain.orders:
            return told(certain)
        before = found
        await asyncio.sleep(max(0.0, min(grace if view.state == "live" else LOOK, end - loop.time())))
    return CheckResult(None)
