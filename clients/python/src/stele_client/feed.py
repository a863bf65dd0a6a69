"""
Feeding, each batch exactly once. A batch gets its number and is on disk before it is sent; it is
sent with the same bytes until the server has acknowledged it, and the next one not before. The
server knows the newest number of the producer, and applies no batch twice.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any, Callable, Dict, Iterable, Mapping, Optional

from . import wire
from .backoff import Backoff
from .errors import SteleError, StorageError
from .http import Http, error_of_answer
from .store import Store
from .types import Applied

AGAIN = (401, 403, 404, 407, 408, 409, 425, 429)
"""With another token, or later. The other 4xx are for good, and nothing else is."""
STORE_AGAIN = 1.0
"""After a failure of the disk, in seconds."""


class Batch:
    """One that was stored. `await` it for the answer of the server."""

    def __init__(self, number: int, answer: "asyncio.Future[Applied]") -> None:
        self.number = number
        self._answer = answer

    def __await__(self) -> Any:
        return asyncio.shield(self._answer).__await__()


class Feed:
    def __init__(self, store: Store, http: Http, backoff: Backoff, producer: Optional[str]) -> None:
        self.store, self.http, self.backoff = store, http, backoff
        self.producer = store.producer(producer)
        self.error: Optional[SteleError] = None
        """Why the newest attempt failed; None when it did not."""
        self.refusal: Optional[SteleError] = None
        """Why the newest batch that was given up was refused. `Store.refused` has all of them."""
        self.pending = store.pending()
        self._answers: Dict[int, "asyncio.Future[Applied]"] = {}
        self._more = asyncio.Event()
        self._settled = asyncio.Event()
        self._note_pending()
        self._order = asyncio.Lock()

    def _note_pending(self) -> None:
        if self.pending:
            self._more.set()
            self._settled.clear()
        else:
            self._more.clear()
            self._settled.set()

    async def apply(self, mutations: Iterable[Mapping[str, Any]]) -> Batch:
        """Returns when the batch is on disk."""
        text = wire.text_of(list(mutations))
        loop = asyncio.get_running_loop()
        async with self._order:
            adding = loop.run_in_executor(None, self.store.add_batch, text)
            # Who is cancelled here has a stored batch all the same, and it is to be counted.
            adding.add_done_callback(self._added)
            number, _ = await asyncio.shield(adding)
        answer: "asyncio.Future[Applied]" = self._answers.setdefault(number, loop.create_future())
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Batch(number, answer)

    def _added(self, adding: "asyncio.Future[Any]") -> None:
        if adding.cancelled() or adding.exception() is not None:
            return
        number, _ = adding.result()
        self._answers.setdefault(number, asyncio.get_running_loop().create_future())
        self.pending += 1
        self._note_pending()

    async def settled(self) -> None:
        """Wait until nothing is left to be acknowledged."""
        await self._settled.wait()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._more.wait()
            found = await self._on_disk(self.store.next_batch)
            if found is None:
                self.pending = 0
                self._note_pending()
                continue
            number, body = found
            try:
                answer = await self._send(body.encode("utf-8", "surrogatepass"))
            except SteleError as raised:
                # Whoever gets it must not find the frames of this task in it, and perhaps clear them.
                error = self.error = raised.with_traceback(None)
                if error.retryable:
                    await self.backoff.wait(self.http.servers.next(error.retry_after))
                    continue
                self.refusal = error
                await self._on_disk(self.store.end_batch, number, error.code, error.message)
                self._answer(number, None, error)
            else:
                self.error = None
                self.backoff.reset()
                await self._on_disk(self.store.end_batch, number)
                applied = Applied(number, answer.get("applied", 0), answer.get("ignored", 0),
                                  answer.get("duplicate", 0), answer.get("seq"), answer)
                self._answer(number, applied, None)

    async def _on_disk(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """On a thread; again, while the disk does not take it."""
        failed = None
        while True:
            try:
                found = await asyncio.get_running_loop().run_in_executor(None, act, *arguments)
            except sqlite3.OperationalError as error:
                failed = self.error = StorageError(f"cannot store what becomes of a batch: {error}")
                await asyncio.sleep(STORE_AGAIN)
            else:
                self.error = None if self.error is failed else self.error
                return found

    def _answer(self, number: int, applied: Optional[Applied], error: Optional[SteleError]) -> None:
        self.pending -= 1
        self._note_pending()
        future = self._answers.pop(number, None)
        if future is None or future.done():
            return
        if applied is not None:
            future.set_result(applied)
        elif error is not None:
            future.set_exception(error)

    async def _send(self, body: bytes) -> Dict[str, Any]:
        self.http.follow()
        status, headers, text = await self.http.request("POST", "/v1/mutations", body)
        if status == 200:
            try:
                answer = json.loads(text)
                if isinstance(answer, dict) and isinstance(answer.get("applied"), int):
                    return answer
            except ValueError:
                pass
            raise SteleError("bad-answer", "what answers is not the server", retryable=True)
        error = error_of_answer(status, headers, text)
        error.retryable = not 400 <= status < 500 or status in AGAIN
        raise error
