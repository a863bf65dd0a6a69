"""
The client: one socket, the views over it, and what they keep.

All of it runs on one event loop. `_run` connects again for ever. Frames change views in memory at
once; `_store` writes what changed soon after, all that came meanwhile in one transaction.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Union

from . import socket, wire
from .backoff import Backoff
from .check import check
from .errors import ProtocolError, SteleError, StorageError
from .feed import Batch, Feed
from .http import Address, Http, Servers, read_view
from .store import Store
from .tokens import Tokens, expiry, seconds_left
from .types import CheckResult, Json, Mutation, Page, Predicate, Sort, Token
from .view import View

STORE_AFTER = 0.02
"""So long changes are gathered before they are stored, in seconds."""
STORE_AGAIN = 1.0
"""After a failure."""
SILENT = ("connection-lost", "network-error")
"""Errors of a connection whose server said nothing: it may hang, and requests at it would wait long."""


class Client:
    """
    `url`: of the server, ws:// or http://, or with TLS wss:// or https://. Or several, of nodes of one log: the
    client goes on to the next when a connection ends, or cannot be made.
    `storage`: a file, made if it is not there; one for each client. None keeps all in memory.
    `token`: a text, or a function that gives one, perhaps a coroutine function. It is asked for each
    connection, and before a token runs out.
    """

    def __init__(self, url: Union[str, Sequence[str]], storage: Optional[str] = None, *, token: Token = None,
                 producer: Optional[str] = None, tls: Optional[ssl.SSLContext] = None, keep_events: int = 10_000,
                 backoff: float = 0.25, backoff_most: float = 30.0, timeout: float = 20.0) -> None:
        self._servers = Servers(url)
        self._path, self._producer, self._tls = storage, producer, tls
        self._keep_events, self._timeout = max(keep_events, 1), timeout
        self._tokens = Tokens(token)
        self._backoff = Backoff(backoff, backoff_most)
        self._feed_backoff = (backoff, backoff_most)
        self._opened: Optional[Address] = None
        self._http = self._make_http()
        self._views: Dict[str, View] = {}
        self._ids: Dict[str, View] = {}
        self._count = 0
        self._socket: Any = None
        self._feeder: Optional[Feed] = None
        self._feed_http: Optional[Http] = None
        self._tasks: Set["asyncio.Task[None]"] = set()
        self._again: Dict[View, asyncio.TimerHandle] = {}
        self._refreshing: Optional[asyncio.TimerHandle] = None
        self._dirty = asyncio.Event()
        self._failed: Optional[BaseException] = None
        self._watchers: List[Callable[[], None]] = []
        self.error: Optional[SteleError] = None
        """Why there is no connection; None while there is one."""
        self.storage_error: Optional[StorageError] = None
        """Why the newest changes could not be stored. It is tried again, and the rows go on meanwhile."""
        self._store_: Optional[Store] = None

    # ---- beginning and end ----

    def _make_http(self) -> Http:
        return Http(self._servers.again(), self._tokens.get, self._tls, opened=lambda: self._opened)

    async def __aenter__(self) -> "Client":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the storage, and begin to connect. Does not wait for the connection."""
        if self._store_ is not None:
            return
        self._store_ = Store(self._path)
        self._start(self._run())
        self._start(self._store())
        if self._store_.pending():
            self._feed()

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed = task.exception()
            self.error = SteleError("client-failed", repr(self._failed))
            asyncio.get_event_loop().call_exception_handler(
                {"message": "stele_client: a task failed", "exception": self._failed, "task": task})
            for view in self._views.values():
                view.error, view.ended = self.error, True
                view.wake()

    async def close(self) -> None:
        """Store everything, and end."""
        store = self._store_
        if store is None:
            return
        for http in (self._http, self._feed_http):
            if http is not None:
                http.close()
        for timer in [*self._again.values(), *([self._refreshing] if self._refreshing else [])]:
            timer.cancel()
        self._again.clear()
        # Before Python 3.12 a cancellation may be lost in asyncio.wait_for, which libraries use.
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=0.5)
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
        self.flush()
        self._store_ = None
        self._feeder = None
        store.close()
        for view in self._views.values():
            view.disconnected()

    @property
    def _kept(self) -> Store:
        if self._store_ is None:
            raise SteleError("not-open", "the client is not open; use `async with` or `await client.open()`")
        return self._store_

    # ---- views ----

    def view(self, view: str, *, key: Optional[str] = None, filters: Optional[Json] = None,
             where: Optional[Predicate] = None, sort: Optional[Sort] = None, take: Optional[int] = None,
             skip: Optional[int] = None) -> View:
        """
        A view, or a window of it. What is kept of the same query is there at once. The same query
        gives the same object.
        """
        query = {"view": view, "key": key, "filters": filters, "where": where, "sort": sort, "take": take,
                 "skip": skip}
        name = wire.canonical(query)
        if name not in self._views:
            id_, kept = self._kept.open_view(name)
            made = View(query, id_, kept, self._keep_events, self._kept.save_taken)
            self._views[name] = made
            self._subscribe_soon(made)
        return self._views[name]

    async def drop(self, view: View) -> None:
        """End a view, and forget what is kept of it."""
        self._views.pop(wire.canonical(view.query), None)
        timer = self._again.pop(view, None)
        if timer is not None:
            timer.cancel()
        self._kept.forget_view(view.id)
        for id_ in [id_ for id_, each in self._ids.items() if each is view]:
            del self._ids[id_]
            await self._say(wire.unsubscribe(id_))
        view.error, view.ended = SteleError("dropped", "the view was dropped"), True
        view.wake()

    def _subscribe_soon(self, view: View) -> None:
        if self._socket is not None:
            self._start(self._subscribe(view))

    async def _subscribe(self, view: View) -> None:
        if self._socket is None or view in self._ids.values() or wire.canonical(view.query) not in self._views:
            return  # there is no connection any more, or somebody else did it
        self._count += 1
        id_ = f"{view.id}.{self._count}"
        self._ids[id_] = view
        after, epoch = view.position()
        await self._say(wire.subscribe(id_, view.query, after, epoch))

    async def _say(self, message: str) -> None:
        """If the connection has ended, who reads from it will see that."""
        if self._socket is not None:
            try:
                await self._socket.send(message)
            except socket.Closed:
                pass

    # ---- the connection ----

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def reconnect(self) -> None:
        """Do not wait for the next attempt, if one is waited for."""
        self._backoff.skip()

    def watch(self, told: Callable[[], None]) -> None:
        """Call this when the connection opens or ends."""
        self._watchers.append(told)

    def _tell(self, error: Optional[SteleError]) -> None:
        self.error = error.with_traceback(None) if error is not None else None
        for told in self._watchers:
            told()

    async def _run(self) -> None:
        while True:
            try:
                token = await self._tokens.get()
                self._socket = await socket.connect(self._servers.address[0], token, self._tls, self._timeout)
                self._opened = self._servers.address
                self._tell(None)
                self._plan_refresh(expiry(token))
                await self._talk()
            except SteleError as error:
                self._tell(error)
            finally:
                await self._disconnect()
            await self._backoff.wait(self._go_on())

    def _go_on(self) -> float:
        """To the next server; the seconds until it may be asked."""
        error, left = self.error, self._servers.address
        pause = self._servers.next(error.retry_after if error is not None else None)
        if error is not None and error.code in SILENT and left != self._servers.address:
            for http in (self._http, self._feed_http):
                if http is not None:
                    http.leave(left)
        return pause

    async def _disconnect(self) -> None:
        ended, self._socket = self._socket, None
        self._ids.clear()
        for timer in self._again.values():
            timer.cancel()
        self._again.clear()
        if self._refreshing is not None:
            self._refreshing.cancel()
        for view in self._views.values():
            view.disconnected()
        if ended is not None:
            await ended.close()

    async def _talk(self) -> None:
        """Until the connection ends, with an error always."""
        last: Optional[SteleError] = None
        try:
            for view in list(self._views.values()):
                if not view.ended:
                    await self._subscribe(view)
            while True:
                frame = wire.decode(await self._socket.recv())
                self._backoff.reset()
                if frame.get("type") == "error" and frame.get("fatal"):
                    last = wire.error_of(frame)
                self._take(frame)
        except socket.Closed as error:
            raise last or socket.reason_of(error) from error

    def _take(self, frame: Json) -> None:
        if "success" in frame:
            self._take_answer(frame)
            return
        view = self._ids.get(str(frame.get("subscriptionId")))
        if view is None:
            return
        if frame.get("type") == "error":
            self._take_error(view, frame)
        else:
            try:
                view.take(frame)
            except (ProtocolError, KeyError, TypeError, AttributeError, ValueError) as error:
                view.forget()
                raise ProtocolError(f"a frame of '{view.query['view']}' cannot be used: {error!r}") from error
        self._dirty.set()

    def _take_error(self, view: View, frame: Json) -> None:
        error = wire.error_of(frame)
        if frame.get("fatal"):
            view.error = error
            view.wake()
            return
        del self._ids[str(frame["subscriptionId"])]
        if not view.refused(error):
            return
        delay = 0.0 if error.code in wire.REFUSED_CURSOR and error.retry_after is None else self._delay(error)
        old = self._again.pop(view, None)
        if old is not None:
            old.cancel()
        self._again[view] = asyncio.get_running_loop().call_later(delay, self._subscribe_again, view)

    def _delay(self, error: SteleError) -> float:
        asked = error.retry_after if error.retry_after is not None else 1.0
        return min(asked, self._backoff.most)

    def _subscribe_again(self, view: View) -> None:
        self._again.pop(view, None)
        self._subscribe_soon(view)

    # ---- tokens ----

    def _plan_refresh(self, expires_at: Optional[float]) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        seconds = seconds_left(expires_at)
        if seconds is not None and self._tokens.may_change:
            self._refreshing = asyncio.get_running_loop().call_later(
                min(seconds, 86_400.0), lambda: self._start(self._refresh_quietly()))

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh_token()
        except SteleError as error:  # the next attempt is that of the next connection
            self.error = self.error or error

    async def refresh_token(self) -> None:
        """Ask for a token, and tell the server of it on the connection that there is."""
        token = await self._tokens.get()
        if token is not None:
            await self._say(wire.refresh(token))

    def _take_answer(self, frame: Mapping[str, Any]) -> None:
        expires_at = frame.get("expiresAt")
        if frame.get("success") and isinstance(expires_at, (int, float)):
            self._plan_refresh(float(expires_at))

    # ---- storing ----

    async def _store(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(STORE_AFTER)
            self._dirty.clear()
            try:
                self.flush()
                self.storage_error = None
            except StorageError as raised:  # the rows go on in memory; the disk may have room again
                self.storage_error = raised.with_traceback(None)
                for view in self._views.values():
                    view.writes.bound(self._keep_events)
                await asyncio.sleep(STORE_AGAIN)
                self._dirty.set()

    def flush(self) -> None:
        """Store all that came so far."""
        store, changed = self._kept, [view for view in self._views.values() if view.writes.any]
        if not changed:
            return
        try:
            store.begin()
            for view in changed:
                store.save(view.id, view.writes, view.complete, view.cursor, view.epoch, view.ack, self._keep_events)
            store.commit()
        except Exception as error:
            store.rollback()
            raise StorageError(f"cannot store to '{self._path}': {error}") from error
        for view in changed:
            view.writes = type(view.writes)()

    # ---- feeding and reading ----

    def _feed(self) -> Feed:
        if self._feeder is None:
            self._feed_http = self._make_http()
            self._feeder = Feed(self._kept, self._feed_http, Backoff(*self._feed_backoff), self._producer)
            self._start(self._feeder.run())
        return self._feeder

    @property
    def feed(self) -> Feed:
        """What is fed: how much is `pending`, the newest `error` and `refusal`."""
        return self._feed()

    async def apply(self, mutations: Iterable[Mutation]) -> Batch:
        """
        Feed these mutations as one batch: all or none of them, exactly once. Returns when the batch
        is stored; then nothing is lost any more. `await` the result for the server's answer.
        """
        return await self._feed().apply(mutations)

    async def settled(self) -> None:
        """Wait until the server has acknowledged all that was applied."""
        await self._feed().settled()

    async def read(self, view: str, *, key: Optional[str] = None, filters: Optional[Json] = None,
                   where: Optional[Predicate] = None, sort: Optional[Sort] = None, take: Optional[int] = None,
                   skip: Optional[int] = None, after: Optional[str] = None, epoch: Optional[str] = None,
                   wait: Optional[int] = None) -> Page:
        """Read a view once, by HTTP. Nothing of it is kept."""
        return await read_view(self._http, view, {
            "key": key, "filters": filters, "where": where, "sort": sort, "take": take, "skip": skip,
            "after": after, "epoch": epoch, "wait": wait})

    async def check(self, view: View, *, patience: float = 15.0, grace: float = 1.0) -> CheckResult:
        """
        Compare what a view has with what the server has, by sums of the rows; the keys that differ.
        It is tried for `patience` seconds, whatever is still awaited then, and what the server sent may take `grace` to come.
        """
        return await check(self._http, view, patience, grace)
