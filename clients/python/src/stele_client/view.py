"""
A view: what one subscription shows. `take` applies a frame of the server; it does no input or output.

The cursor is of the rows as they are now, always: `writes` has what changed since both were stored,
and whoever stores takes writes and cursor in one step.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from typing import Any, AsyncIterator, Callable, Deque, Dict, List, Mapping, Optional, Set, Tuple

from . import wire
from .errors import GapError, ProtocolError, SteleError
from .order import Order
from .store import Kept, Writes
from .types import Change, Event, Json, Row, State

MOST_CHANGES = 10_000
"""So many wait for who reads them; one more, and a `reset` stands for all."""


class View:
    """Made by `Client.view`. The rows are those of one moment, at any time."""

    def __init__(self, query: Mapping[str, Any], id_: int, kept: Kept, keep_events: int,
                 taken: Callable[[int, int], None]) -> None:
        self.query = dict(query)
        self.id = id_
        self.error: Optional[SteleError] = None
        """The newest error of the subscription; None when it was accepted since."""
        self.keep_events = keep_events
        self.cursor, self.epoch, self.complete = kept.cursor, kept.epoch, kept.complete
        self.ack: Json = kept.ack
        self.writes = Writes()
        self.ended = False
        self._live = False
        self._data: Dict[str, Json] = kept.rows
        self._events: Deque[Event] = deque(kept.events)
        self._taken, self._save_taken = kept.taken, taken
        self._gap = False
        self._order = Order(self.ack)
        self._sorted: Optional[List[Row]] = None
        self._staged: List[Json] = []
        self._snapshot: Optional[str] = None
        self._own_epoch: Optional[str] = None
        self._dropped_last = -1
        self._waiting: Set[asyncio.Event] = set()
        self._readers: List[Deque[Change]] = []

    # ---- what there is ----

    @property
    def state(self) -> State:
        if self.ended:
            return "ended"
        if not self.complete:
            return "loading"
        return "live" if self._live else "stale"

    @property
    def is_tape(self) -> bool:
        """Whether it has events in the place of rows: an append view."""
        return "replayWindow" in self.ack

    @property
    def rows(self) -> List[Row]:
        """In order. A new list; its rows are not to be changed."""
        if self._sorted is None:
            self._sorted = self._order.sorted([Row(key, data) for key, data in self._data.items()])
        return list(self._sorted)

    def get(self, key: str) -> Optional[Json]:
        return self._data.get(key)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def events(self) -> List[Event]:
        """The newest of an append view, `keep_events` of them."""
        return list(self._events)

    # ---- waiting ----

    async def _changed(self) -> None:
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            await event.wait()
        finally:
            self._waiting.discard(event)

    def wake(self) -> None:
        for event in self._waiting:
            event.set()

    async def until(self, *states: State) -> "View":
        """Wait for one of these states. Raises the error when the view has ended."""
        while self.state not in states:
            if self.ended and self.error is not None:
                raise self.error
            await self._changed()
        return self

    async def ready(self) -> "View":
        """Wait until there are complete rows, be they kept ones."""
        return await self.until("stale", "live")

    async def live(self) -> "View":
        """Wait until the rows are those of the server."""
        return await self.until("live")

    async def __aiter__(self) -> AsyncIterator[List[Row]]:
        """The rows, now and after each change. Who is slow misses states, and waits for none."""
        await self.ready()
        while True:
            yield self.rows
            await self._changed()
            if self.ended and self.error is not None:
                raise self.error

    async def changes(self) -> AsyncIterator[Change]:
        """What becomes of each row, from now on; first a `reset`."""
        queue: Deque[Change] = deque([Change("reset")])
        self._readers.append(queue)
        try:
            while True:
                while queue:
                    yield queue.popleft()
                if self.ended and self.error is not None:
                    raise self.error
                await self._changed()
        finally:
            self._readers.remove(queue)

    async def follow(self) -> AsyncIterator[Event]:
        """
        The events of an append view that were not taken yet. An event is taken when the next one is
        asked for; that is stored, so after a restart the first that comes is the one behind it, or
        this one again if the process ended in between.
        """
        while True:
            event = self._next_event()
            if event is None:
                if self.ended and self.error is not None:
                    raise self.error
                await self._changed()
                continue
            yield event
            self._taken = event.offset
            self._save_taken(self.id, event.offset)

    def _next_event(self) -> Optional[Event]:
        if self._gap:
            self._gap = False
            raise GapError("the server has no longer the events behind the last one; follow again from its first")
        if 0 <= self._taken < self._dropped_last:
            self._taken = self._dropped_last
            raise GapError("events were dropped before they were taken; keep_events bounds how many wait")
        offsets = [event.offset for event in self._events]
        at = bisect.bisect_right(offsets, self._taken)
        return self._events[at] if at < len(offsets) else None

    # ---- what the connection tells ----

    def disconnected(self) -> None:
        self._live = False
        self._staged, self._snapshot = [], None
        self.wake()

    def refused(self, error: SteleError) -> bool:
        """Whether to subscribe again."""
        self.error = error
        self._live = False
        again = error.retryable
        if error.code in wire.REFUSED_CURSOR:
            self.forget()
            again = True
        self.ended = not again
        self.wake()
        return again

    def forget(self) -> None:
        """Drop rows, events and cursor."""
        self._data.clear()
        self._events.clear()
        self._sorted = None
        self.cursor, self.epoch, self.complete, self._live = None, None, False, False
        self._gap = self._taken >= 0
        self._taken, self._dropped_last = -1, -1
        self.writes.clear()
        self._tell(Change("reset"))

    def take(self, frame: Mapping[str, Any]) -> None:
        op = frame.get("op")
        if op == "subscribed":
            self._accept(frame)
        elif op == "snapshot":
            self._stage(frame)
        elif op in ("upsert", "patch", "remove", "delete"):
            if self.is_tape:
                self._take_event(frame)
            else:
                self._take_change(frame)
        self.wake()

    def _accept(self, frame: Mapping[str, Any]) -> None:
        self.ack = {name: frame[name] for name in ("mode", "sort", "sorts", "replayWindow") if name in frame}
        self._own_epoch = frame.get("epoch")
        self._order, self._sorted = Order(self.ack), None
        self._staged, self._snapshot = [], None
        self._live, self.error, self.ended = False, None, False
        self.writes.any = True

    def _point(self, seq: Any) -> None:
        if isinstance(seq, str):
            self.cursor, self.epoch = seq, self._own_epoch
            self.writes.any = True

    # ---- snapshots ----

    def _stage(self, frame: Mapping[str, Any]) -> None:
        if frame.get("snapshotId") != self._snapshot:
            self._snapshot, self._staged = frame.get("snapshotId"), []
        self._staged.extend(frame["data"])
        if not frame.get("complete"):
            return
        staged, self._staged, self._snapshot = self._staged, [], None
        self._own_epoch = frame.get("epoch", self._own_epoch)  # with another token it is another
        if frame.get("authoritative"):
            self._replace(staged, frame)
        else:
            for each in staged:
                self._put(each["key"], each["data"])
            self._point(frame.get("seq"))
        self.complete = self._live = self.writes.any = True

    def _replace(self, staged: List[Json], frame: Mapping[str, Any]) -> None:
        rows = {each["key"]: each["data"] for each in staged}
        for key in [key for key in self._data if key not in rows]:
            self._drop(key)
        for key, data in rows.items():
            if self._data.get(key) != data:
                self._put(key, data)
        self.cursor, self.epoch = None, None
        self._point(frame.get("seq"))

    # ---- rows ----

    def _put(self, key: str, data: Json) -> None:
        self._data[key] = data
        self._sorted = None
        self.writes.put(key, data)
        self._tell(Change("put", key, data))

    def _drop(self, key: str) -> None:
        if self._data.pop(key, None) is None:
            return
        self._sorted = None
        self.writes.put(key, None)
        self._tell(Change("remove", key))

    def _tell(self, change: Change) -> None:
        for queue in self._readers:
            if len(queue) >= MOST_CHANGES or change.op == "reset":
                queue.clear()
                queue.append(Change("reset"))
            else:
                queue.append(change)

    def _take_change(self, frame: Mapping[str, Any]) -> None:
        key, data, op = frame["key"], frame.get("data"), frame["op"]
        if op in ("remove", "delete"):
            self._drop(key)
        elif not isinstance(data, dict):
            raise ProtocolError(f"an {op} of {key!r} without data")
        else:
            held = self._data.get(key)
            stale = held is not None and wire.is_stale(wire.version_of(data), wire.version_of(held))
            if op == "patch" and held is None:
                raise ProtocolError(f"a patch of {key!r}, which did not come whole before")
            if op == "patch" and not stale and held is not None:
                self._put(key, wire.merge(held, data, frame.get("append") or []))
            elif not stale:
                self._put(key, data)
        self._point(frame.get("seq"))

    # ---- events ----

    def _take_event(self, frame: Mapping[str, Any]) -> None:
        offset = frame["offset"]
        if self._events and offset <= self._events[-1].offset:
            return
        event = Event(frame["op"], frame["key"], frame.get("data"), offset, list(frame.get("append") or []))
        self._events.append(event)
        self.writes.event(event)
        while len(self._events) > self.keep_events:
            self._dropped_last = self._events.popleft().offset
        self.cursor, self.epoch = f"{self.ack['replayWindow']['epoch']}:{offset}", None

    def position(self) -> Tuple[Optional[str], Optional[str]]:
        """What to subscribe with: cursor and epoch."""
        return (self.cursor, self.epoch) if self.cursor is not None else (None, None)
