"""What goes in and comes out."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Dict, List, Optional, Union

if sys.version_info >= (3, 8):
    from typing import Literal, TypedDict

Json = Dict[str, Any]
Token = Union[str, None, Callable[[], Union[str, None, Awaitable[Optional[str]]]]]
State = Literal["loading", "stale", "live", "ended"]
Predicate = Json
"""As in the configuration: {"field": "mag", "gte": 5}, {"all": [...]}, ..."""


class SortKey(TypedDict, total=False):
    by: Union[str, List[str]]
    order: Literal["asc", "desc"]


Sort = List[Union[str, SortKey]]

_Mutation = TypedDict(
    "_Mutation",
    {"patch": Json, "append": List[str], "unset": List[str], "slot": int, "index": int,
     "op": Literal["patch", "upsert", "delete"], "if": Literal["newer"]},
    total=False,
)


class Mutation(_Mutation):
    """A change of one entity; docs/protocol.md, section 6."""

    export: str
    key: Any


@dataclass(frozen=True)
class Row:
    key: str
    data: Json


@dataclass(frozen=True)
class Change:
    """What became of a row. A `reset` has neither key nor data: look at the rows anew."""

    op: Literal["put", "remove", "reset"]
    key: Optional[str] = None
    data: Optional[Json] = None


@dataclass(frozen=True)
class Event:
    """One of an append view. Of a `patch`, `append` names the arrays that it extends."""

    op: Literal["patch", "upsert", "delete"]
    key: str
    data: Optional[Json]
    offset: int
    append: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Applied:
    """How the server answered a batch."""

    batch: int
    applied: int
    ignored: int
    duplicate: int
    seq: Optional[str]
    answer: Json


@dataclass(frozen=True)
class Page:
    """A view as HTTP shows it, all of one state."""

    view: str
    rows: List[Row]
    seq: str
    epoch: str
    more: Optional[bool] = None
    resumed: Optional[bool] = None
    deleted: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class DifferentKey:
    """`here`: only this client has it; `there`: only the server; `changed`: both, and not the same row."""

    key: str
    kind: Literal["changed", "here", "there"]


@dataclass(frozen=True)
class CheckResult:
    """`equal` is None if it could not be told: the view was not live, or moved all the time."""

    equal: Optional[bool]
    keys: List[DifferentKey] = field(default_factory=list)
    order_differs: bool = False
    """The rows are equal, and not their order."""
