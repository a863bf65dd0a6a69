"""Plain HTTP with the standard library, on a thread of the loop's pool."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import threading
import zlib
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

from .errors import SteleError
from .types import Page, Row
from .wire import MOST_BYTES, inflate, text_of

Answer = Tuple[int, Mapping[str, str], bytes]


def addresses(url: str) -> Tuple[str, str]:
    """The URL for WebSockets, and that for HTTP, of one of either kind."""
    parts = urlsplit(url)
    kinds = {"ws": ("ws", "http"), "http": ("ws", "http"), "wss": ("wss", "https"), "https": ("wss", "https")}
    if parts.scheme not in kinds or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server; it begins with ws://, wss://, http:// or https://")
    socket, plain = kinds[parts.scheme]
    return f"{socket}://{parts.netloc}{parts.path or '/'}", f"{plain}://{parts.netloc}"


class Servers:
    """The nodes of one log, whose turn comes one after the other, round and round."""

    def __init__(self, url: Union[str, Sequence[str]]) -> None:
        self._all = [addresses(each) for each in ([url] if isinstance(url, str) else url)]
        if not self._all:
            raise ValueError("there is no address of a server")
        self._at = 0

    def next(self) -> None:
        self._at += 1

    def _of(self, further: int) -> Tuple[str, str]:
        return self._all[(self._at + further) % len(self._all)]

    @property
    def socket_url(self) -> str:
        return self._of(0)[0]

    def plain_url(self, further: int) -> str:
        """For HTTP: of the server of the connection, or of one further down the list."""
        return self._of(further)[1]

    def __len__(self) -> int:
        return len(self._all)

    def pause(self, error: Optional[SteleError]) -> Optional[float]:
        """What the server asked to wait; another one did not ask."""
        return error.retry_after if error is not None and len(self) == 1 else None


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


class Http:
    """One connection, used by one request at a time, that is kept open, as long as the server is the same."""

    def __init__(self, servers: Servers, token: Callable[[], Awaitable[Optional[str]]],
                 tls: Optional[ssl.SSLContext], timeout: float = 75.0) -> None:
        self.servers, self.further = servers, 0
        self.token, self.tls, self.timeout = token, tls, timeout
        self._url = ""
        self._connection: Optional[http.client.HTTPConnection] = None
        self._used = threading.Lock()
        self._closed = False

    def go_on(self) -> None:
        """To the next server."""
        self.further += 1

    async def request(self, method: str, target: str, body: Optional[bytes] = None) -> Answer:
        """An answer of whatever status. Raises a retryable error when there is none."""
        headers = {"Accept-Encoding": "gzip"}
        token = await self.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        loop = asyncio.get_running_loop()
        url = self.servers.plain_url(self.further)
        try:
            return await loop.run_in_executor(None, self._request, url, method, target, body, headers)
        except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:
            raise SteleError("network-error", f"{method} {target.split('?')[0]}: {error!r}", retryable=True) from error

    def _connect(self) -> http.client.HTTPConnection:
        url = urlsplit(self._url)
        host, port = url.hostname or "", url.port
        if url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self.timeout, context=self.tls)
        return http.client.HTTPConnection(host, port, timeout=self.timeout)

    def _request(self, url: str, method: str, target: str, body: Optional[bytes], headers: Dict[str, str]) -> Answer:
        with self._used:
            if url != self._url and self._connection is not None:
                self._connection.close()
                self._connection = None
            self._url = url
            was_open = self._connection is not None and self._connection.sock is not None
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
        if self._closed:
            raise ConnectionAbortedError("the client was closed")
        connection = self._connection or self._connect()
        self._connection = connection
        try:
            if connection.sock is None:
                connection.connect()
            if self._closed:  # meanwhile, when there was no socket to shut down yet
                raise ConnectionAbortedError("the client was closed")
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES)
        except BaseException:
            connection.close()
            self._connection = None
            raise
        if answer.will_close or not answer.isclosed():
            connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def close(self) -> None:
        """A request that is under way ends with an error."""
        self._closed = True
        connection = self._connection
        if connection is not None and self._used.acquire(blocking=False):
            connection.close()
            self._used.release()
        elif connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


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
    for left in reversed(range(len(http_.servers))):
        try:
            status, headers, body = await http_.request("GET", target)
            if status == 200:
                return body
            raise error_of_answer(status, headers, body)
        except SteleError as error:
            if not error.retryable or not left:
                raise
            http_.go_on()
    raise AssertionError


async def read_view(http_: Http, view: str, parameters: Mapping[str, Any]) -> Page:
    body = await ask(http_, target_of(view, parameters))
    found = json.loads(body)
    rows = [Row(each["key"], each["data"]) for each in found["rows"]]
    return Page(found["view"], rows, found["seq"], found["epoch"], found.get("more"), found.get("resumed"),
                found.get("deleted", []))
