"""Plain HTTP with the standard library, on a thread of the loop's pool."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import threading
import time
import zlib
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

from .errors import SteleError
from .types import Page, Row
from .wire import MOST_BYTES, inflate, text_of

Answer = Tuple[int, Mapping[str, str], bytes]
CONNECT = 10.0
"""So long a server may take to accept a connection, in seconds."""


def addresses(url: str) -> Tuple[str, str]:
    """The URL for WebSockets, and that for HTTP, of one of either kind."""
    parts = urlsplit(url)
    kinds = {"ws": ("ws", "http"), "http": ("ws", "http"), "wss": ("wss", "https"), "https": ("wss", "https")}
    if parts.scheme not in kinds or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server; it begins with ws://, wss://, http:// or https://")
    socket, plain = kinds[parts.scheme]
    return f"{socket}://{parts.netloc}{parts.path or '/'}", f"{plain}://{parts.netloc}"


Address = Tuple[str, str]


class Servers:
    """
    The nodes of one log, whose turn comes one after the other, round and round: that of the one that was asked longest
    ago, and of those that asked to be left behind all others. Who asks has turns of its own: the connection, the feed,
    and the reads.
    """

    def __init__(self, url: Union[str, Sequence[str]]) -> None:
        self._asked = {addresses(each): 0.0 for each in ([url] if isinstance(url, str) else url)}
        if not self._asked:
            raise ValueError("there is no address of a server")
        self._turns = list(self._asked)

    def again(self) -> "Servers":
        """The same servers, in turns that begin anew."""
        other = Servers.__new__(Servers)
        other._asked = dict.fromkeys(self._asked, 0.0)
        other._turns = list(self._asked)
        return other

    @property
    def address(self) -> Address:
        return self._turns[0]

    @property
    def all(self) -> List[Address]:
        """In the order of their turns."""
        return list(self._turns)

    def next(self, retry_after: Optional[float] = None) -> float:
        """Leave this one, which asked for so many seconds. In how many may the next be asked? 0, unless all asked."""
        now = time.monotonic()
        self._asked[self.address] = now + (retry_after or 0.0)
        self._turns.sort(key=self._asked.__getitem__)
        return max(0.0, self._asked[self.address] - now)

    def begin(self, address: Address) -> None:
        """At this one, unless it asked to be left."""
        if self._asked[address] <= time.monotonic():
            self._turns.remove(address)
            self._turns.insert(0, address)


def error_of_answer(status: int, headers: Mapping[str, str], body: bytes) -> SteleError:
    found: Dict[str, Any] = {}
    try:
        read = json.loads(body)
        found = read if isinstance(read, dict) else {}
    except ValueError:
        pass
    code = headers.get("x-error-code") or found.get("code") or f"http-{status}"
    after = headers.get("retry-after", "")
    retryable = bool(found.get("retryable", status >= 500 or status == 429))
    return SteleError(str(code), str(found.get("message", "")), retryable, float(after) if after.isdigit() else None)


class Line:
    """A connection to one server, used by one request at a time, that is kept open. `end` ends it, once and for all."""

    def __init__(self, url: str, tls: Optional[ssl.SSLContext], timeout: float) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=CONNECT, context=tls) if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=CONNECT))
        self._timeout = timeout
        self._used = threading.Lock()
        self._ended = False

    def request(self, method: str, target: str, body: Optional[bytes], headers: Dict[str, str]) -> Answer:
        with self._used:
            was_open = self._connection.sock is not None
            try:
                status, got, text = self._ask(method, target, body, headers)
            except ConnectionError:
                # The server may have closed a connection that nobody used for a while. What is sent
                # again here may be sent twice: reading changes nothing, and batches have numbers.
                if not was_open:
                    raise
                status, got, text = self._ask(method, target, body, headers)
        if got.get("content-encoding") == "gzip":
            text = inflate(text)
        return status, got, text

    def _ask(self, method: str, target: str, body: Optional[bytes], headers: Dict[str, str]) -> Answer:
        connection = self._connection
        try:
            if connection.sock is None and not self._ended:
                connection.connect()
                connection.sock.settimeout(self._timeout)
            if self._ended:  # perhaps meanwhile, when there was no socket to shut down yet
                raise ConnectionAbortedError("the request was given up")
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES)
        except BaseException:
            connection.close()
            raise
        if answer.will_close or not answer.isclosed():
            connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def end(self) -> None:
        """A request that is under way ends with an error."""
        self._ended = True
        sock = self._connection.sock
        if self._used.acquire(blocking=False):
            self._connection.close()
            self._used.release()
        elif sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Http:
    """A line to each server that is asked. `opened`: the server where the socket of the client opened last."""

    def __init__(self, servers: Servers, token: Callable[[], Awaitable[Optional[str]]], tls: Optional[ssl.SSLContext],
                 timeout: float = 75.0, opened: Callable[[], Optional[Address]] = lambda: None) -> None:
        self.servers, self.token, self.tls, self.timeout = servers, token, tls, timeout
        self._opened = opened
        self._followed: Optional[Address] = None
        self._lines: Dict[str, Line] = {}
        self._orders: Dict[str, asyncio.Lock] = {}
        self._closed = False

    def follow(self) -> None:
        """To where the socket has opened since."""
        opened = self._opened()
        if opened is not None and opened != self._followed:
            self._followed = opened
            self.servers.begin(opened)

    async def request(self, method: str, target: str, body: Optional[bytes] = None,
                      address: Optional[Address] = None) -> Answer:
        """An answer of whatever status. Raises a retryable error when there is none."""
        headers = {"Accept-Encoding": "gzip"}
        token = await self.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        _, url = address or self.servers.address
        try:
            # Who waits for its turn keeps no thread busy.
            async with self._orders.setdefault(url, asyncio.Lock()):
                return await self._send(url, method, target, body, headers)
        except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:
            raise SteleError("network-error", f"{method} {target.split('?')[0]}: {error!r}", retryable=True) from error

    async def _send(self, url: str, *request: Any) -> Answer:
        if self._closed:
            raise ConnectionAbortedError("the client was closed")
        if url not in self._lines:
            self._lines[url] = Line(url, self.tls, self.timeout)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self._lines[url].request, *request)
        except asyncio.CancelledError:
            self._end(url)  # else the next request would wait for the answer of this one
            raise

    def _end(self, url: str) -> None:
        line = self._lines.pop(url, None)
        if line is not None:
            line.end()

    def leave(self, address: Address) -> None:
        """This server does not answer: a request that waits for it ends with an error."""
        self._end(address[1])

    def close(self) -> None:
        """Requests that are under way end with an error."""
        self._closed = True
        for url in list(self._lines):
            self._end(url)


def query_of(parameters: Mapping[str, Any]) -> str:
    pairs: List[Tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None:
            continue
        if name == "filters":
            for path, wanted in value.items():
                pairs.append(("filter", f"{path}:{text_of(wanted)}"))
        elif name in ("where", "sort"):
            pairs.append((name, text_of(value)))
        else:
            pairs.append((name, str(value)))
    return urlencode(pairs)


def target_of(view: str, parameters: Mapping[str, Any]) -> str:
    path = "/".join(quote(part, safe="") for part in view.split("/", 1))
    query = query_of(parameters)
    return f"/v1/views/{path}" + (f"?{query}" if query else "")


async def ask(http_: Http, target: str) -> bytes:
    """The body of an answer of 200: of the first of the servers that gives one, each is asked once."""
    http_.follow()
    addresses_ = http_.servers.all
    for address in addresses_:
        try:
            status, headers, body = await http_.request("GET", target, address=address)
            if status != 200:
                raise error_of_answer(status, headers, body)
        except SteleError as error:
            if not error.retryable or address == addresses_[-1]:
                raise
        else:
            http_.servers.begin(address)
            return body
    raise AssertionError


async def read_view(http_: Http, view: str, parameters: Mapping[str, Any]) -> Page:
    body = await ask(http_, target_of(view, parameters))
    found = json.loads(body)
    rows = [Row(each["key"], each["data"]) for each in found["rows"]]
    return Page(found["view"], rows, found["seq"], found["epoch"], found.get("more"), found.get("resumed"),
                found.get("deleted", []))
