"""The same for programs without asyncio: a thread with an event loop does the work."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Coroutine, Iterable, Iterator, List, Optional, Sequence, TypeVar, Union

from .connection import Client
from .errors import SteleError
from .types import Applied, CheckResult, Event, Json, Mutation, Page, Row
from .view import View

T = TypeVar("T")


class SyncView:
    """A view; any thread may use it."""

    def __init__(self, client: "SyncClient", view: View) -> None:
        self._client, self._view = client, view

    @property
    def state(self) -> str:
        return self._view.state

    @property
    def error(self) -> Optional[SteleError]:
        return self._view.error

    @property
    def rows(self) -> List[Row]:
        return self._client._call(_rows(self._view))

    @property
    def events(self) -> List[Event]:
        return self._client._call(_events(self._view))

    def get(self, key: str) -> Optional[Json]:
        return self._client._call(_get(self._view, key))

    def ready(self, timeout: Optional[float] = None) -> "SyncView":
        """Wait for complete rows. Raises TimeoutError after so many seconds."""
        self._client._call(self._view.ready(), timeout)
        return self

    def live(self, timeout: Optional[float] = None) -> "SyncView":
        """Wait for the rows of the server."""
        self._client._call(self._view.live(), timeout)
        return self

    def __iter__(self) -> Iterator[List[Row]]:
        """The rows, now and after each change."""
        return self._client._iterate(self._view.__aiter__())

    def follow(self) -> Iterator[Event]:
        """As View.follow."""
        return self._client._iterate(self._view.follow())


async def _rows(view: View) -> List[Row]:
    return view.rows


async def _events(view: View) -> List[Event]:
    return view.events


async def _get(view: View, key: str) -> Optional[Json]:
    return view.get(key)


class SyncClient:
    """As Client, with the same arguments. Use it in a `with` statement, or call `close`."""

    def __init__(self, url: Union[str, Sequence[str]], storage: Optional[str] = None, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stele-client", daemon=True)
        self._thread.start()
        self._closed = False
        try:
            self._client = self._call(self._make(url, storage, options))
        except BaseException:
            self._end()
            raise

    @staticmethod
    async def _make(url: Union[str, Sequence[str]], storage: Optional[str], options: Any) -> Client:
        client = Client(url, storage, **options)
        await client.open()
        return client

    def _call(self, work: Coroutine[Any, Any, T], timeout: Optional[float] = None) -> T:
        if self._closed:
            work.close()
            raise SteleError("closed", "the client was closed")
        if timeout is not None:
            work = asyncio.wait_for(work, timeout)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except asyncio.TimeoutError as error:
            raise TimeoutError(f"not within {timeout} s") from error
        except BaseException:
            future.cancel()
            raise

    def _iterate(self, items: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    item = self._call(items.__anext__())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if not self._closed:
                self._call(items.aclose())

    def _end(self) -> None:
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def __enter__(self) -> "SyncClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._call(self._client.close())
            self._end()

    @property
    def connected(self) -> bool:
        return self._client.connected

    @property
    def error(self) -> Optional[SteleError]:
        return self._client.error

    def view(self, view: str, **query: Any) -> SyncView:
        """As Client.view."""
        return SyncView(self, self._call(self._view(view, query)))

    async def _view(self, view: str, query: Any) -> View:
        return self._client.view(view, **query)

    def drop(self, view: SyncView) -> None:
        self._call(self._client.drop(view._view))

    def apply(self, mutations: Iterable[Mutation]) -> int:
        """The number of the batch, which is stored, and will be applied exactly once."""
        return self._call(self._apply(list(mutations)))

    async def _apply(self, mutations: List[Mutation]) -> int:
        return (await self._client.apply(mutations)).number

    def apply_and_wait(self, mutations: Iterable[Mutation], timeout: Optional[float] = None) -> Applied:
        """The server's answer. After a timeout the batch is still stored, and will be applied."""
        return self._call(self._apply_and_wait(list(mutations)), timeout)

    async def _apply_and_wait(self, mutations: List[Mutation]) -> Applied:
        answer: Applied = await (await self._client.apply(mutations))
        return answer

    def settled(self, timeout: Optional[float] = None) -> None:
        """Wait until the server has acknowledged all that was applied."""
        self._call(self._client.settled(), timeout)

    def read(self, view: str, **parameters: Any) -> Page:
        """As Client.read."""
        return self._call(self._client.read(view, **parameters))

    def check(self, view: SyncView, **options: Any) -> CheckResult:
        """As Client.check."""
        return self._call(self._client.check(view._view, **options))
