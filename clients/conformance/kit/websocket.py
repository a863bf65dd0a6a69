"""The server's side of HTTP and WebSocket, byte by byte: a library would not let a frame be cut in the middle."""

import asyncio
import base64
import hashlib
import json
import socket
import struct
from urllib.parse import parse_qs, urlsplit

from .form import Fault

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PAGES = {  # a client in a browser comes from another origin
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "GET, POST",
}


def frame(payload, opcode, fragment=None):
    """A message as a server sends it, perhaps in several frames."""
    pieces = [payload]
    if fragment and len(payload) > fragment:
        pieces = [payload[at : at + fragment] for at in range(0, len(payload), fragment)]
    out = b""
    for i, piece in enumerate(pieces):
        first = (0x80 if i == len(pieces) - 1 else 0) | (opcode if i == 0 else 0)
        size = len(piece)
        if size < 126:
            head = struct.pack("!BB", first, size)
        elif size < 65536:
            head = struct.pack("!BBH", first, 126, size)
        else:
            head = struct.pack("!BBQ", first, 127, size)
        out += head + piece
    return out


class Request:
    """A head that came in, with its body if it has one."""

    def __init__(self, reader, writer, method, target, headers, body):
        self.reader, self.writer = reader, writer
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.query = parse_qs(urlsplit(target).query)

    @property
    def path(self):
        return urlsplit(self.target).path

    def token(self):
        header = self.headers.get("authorization", "")
        if header.lower().startswith("bearer "):
            return header[7:]
        for name in ("hs_token", "token"):
            if name in self.query:
                return self.query[name][0]
        return None

    def in_first_message(self):
        return self.token() is None and self.query.get("auth") == ["message"]

    def answer(self, status, body=None, headers=None):
        payload = b"" if body is None else json.dumps(body).encode()
        head = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(payload)),
                "Connection": "close", **PAGES, **(headers or {})}
        lines = [f"HTTP/1.1 {status} Answer"] + [f"{name}: {value}" for name, value in head.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)
        self.writer.close()

    def upgrade(self):
        key = self.headers.get("sec-websocket-key", "").encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        self.writer.write(
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
        return Socket(self.reader, self.writer)

    def cut(self):
        self.writer.transport.abort()


async def read_request(reader, writer):
    """A Request, or None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    try:
        body = await read_body(reader, headers)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Request(reader, writer, method, target, headers, body)


async def read_body(reader, headers):
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            body += await reader.readexactly(size)
            await reader.readline()
            if not size:
                return body
    return await reader.readexactly(int(headers.get("content-length", 0)))


class Socket:
    """An open connection. `budget`: so many more bytes go out, and then it is cut."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.budget = None
        self.gone = False
        self.pongs = 0

    def write(self, data, at_most=None):
        """Write, at most so many bytes; it is cut behind them."""
        if self.gone:
            return
        limits = [limit for limit in (at_most, self.budget) if limit is not None]
        if limits and min(limits) < len(data):
            self.writer.write(data[: min(limits)])
            self.end()
            return
        self.writer.write(data)
        if self.budget is not None:
            self.budget -= len(data)

    def end(self):
        """Cut, behind what was written."""
        self.gone = True
        self.writer.close()

    def close(self, code, reason):
        self.write(frame(struct.pack("!H", code) + reason.encode()[:123], CLOSE))
        self.end()

    async def ping(self, wait):
        """Wait until the client has answered a ping: it has read all before."""
        before = self.pongs
        self.write(frame(b"", PING))
        await wait(lambda: self.pongs > before or self.gone, "the pong")

    async def messages(self):
        """The texts that come, until the connection ends."""
        text = b""
        try:
            while True:
                first, second = await self.reader.readexactly(2)
                opcode, size = first & 15, second & 127
                if first & 0x70:
                    raise Fault("a frame has reserved bits")
                if not second & 128:
                    raise Fault("a frame of the client is not masked")
                if size == 126:
                    (size,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
                mask = await self.reader.readexactly(4)
                data = unmask(await self.reader.readexactly(size), mask)
                if opcode == CLOSE:
                    self.write(frame(data[:2], CLOSE))
                    break
                if opcode == PING:
                    self.write(frame(data, PONG))
                elif opcode == PONG:
                    self.pongs += 1
                elif opcode == BINARY:
                    raise Fault("a message of the client is binary")
                else:
                    text += data
                    if first & 128:
                        yield text.decode("utf-8")
                        text = b""
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.end()


def unmask(data, mask):
    size = len(data)
    whole = int.from_bytes(data, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return whole.to_bytes(size, "big")


def held_port():
    """
    A port, and a socket that keeps it: while nobody listens there, the system gives it to no other
    program. Who listens there must allow what asyncio and stele do, SO_REUSEADDR.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1], holder


class Listener:
    """A port. `take(request)` is called with each request that came; it must answer, or cut."""

    def __init__(self, take):
        self.take = take
        self.port, self.holder = held_port()
        self.server = None
        self.open = set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)

    async def stop(self):
        if self.server:
            self.server.close()
            self.server = None
        for writer in list(self.open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def end(self):
        await self.stop()
        self.holder.close()

    async def _serve(self, reader, writer):
        self.open.add(writer)
        try:
            request = await read_request(reader, writer)
            if request is None:
                writer.close()
            elif request.method == "OPTIONS":
                request.answer(204)
            else:
                await self.take(request)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()
