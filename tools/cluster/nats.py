"""As much of the protocol of NATS as it takes to make a stream and publish to it."""
import asyncio
import json
import secrets


class Away(Exception):
    """No broker answers, or none that could; it may later."""


class Publisher:
    """One connection, to one broker after the other. Nothing is answered twice, and what was not
    answered is for the caller to ask again."""

    def __init__(self, ports):
        self.ports = ports
        self.turn = 0
        self.writer = None
        self.listening = None
        self.inbox = "_INBOX." + secrets.token_hex(8)
        self.asked = 0
        self.waiting = {}  # subject → future

    async def connect(self):
        port = self.ports[self.turn % len(self.ports)]
        self.turn += 1
        try:
            reader, self.writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 2)
            await asyncio.wait_for(reader.readline(), 2)  # INFO
        except (OSError, asyncio.TimeoutError) as error:
            self.writer = None
            raise Away(str(error)) from error
        self.send(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
                  + f"SUB {self.inbox}.* 1\r\n".encode())
        self.listening = asyncio.create_task(self.listen(reader, self.writer))

    def send(self, data):
        self.writer.write(data)

    def close(self):
        if self.writer:
            self.writer.close()
        self.writer = None
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(Away("the connection ended"))
        self.waiting.clear()

    async def listen(self, reader, writer):
        try:
            while line := await reader.readline():
                word, *rest = line.split()
                if word == b"PING":
                    writer.write(b"PONG\r\n")
                elif word in (b"MSG", b"HMSG"):
                    whole = await reader.readexactly(int(rest[-1]) + 2)
                    head = int(rest[-2]) if word == b"HMSG" else 0
                    self.take(rest[0].decode(), whole[:head], whole[head:-2])
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        if self.writer is writer:
            self.close()

    def take(self, subject, head, body):
        future = self.waiting.pop(subject, None)
        if not future or future.done():
            return
        if head.startswith(b"NATS/1.0 503"):
            future.set_exception(Away("nobody is responsible"))
        else:
            future.set_result(json.loads(body))

    async def request(self, subject, body, seconds=2):
        """The answer, or Away."""
        if not self.writer:
            await self.connect()
        self.asked += 1
        reply = f"{self.inbox}.{self.asked}"
        future = self.waiting[reply] = asyncio.get_running_loop().create_future()
        self.send(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")
        try:
            answer = await asyncio.wait_for(future, seconds)
        except (asyncio.TimeoutError, Away) as error:
            self.close()
            raise Away(str(error) or "no answer") from error
        if "error" in answer:
            raise Away(answer["error"].get("description", "refused"))
        return answer

    async def insist(self, subject, body):
        """The answer, however long it takes. What was asked may be done twice."""
        while True:
            try:
                return await self.request(subject, body)
            except Away:
                await asyncio.sleep(0.1)


def stream(name, replicas):
    """The body of a request that makes the stream, with the subject of the same name."""
    return json.dumps({"name": name, "subjects": [name], "retention": "limits", "storage": "file",
                       "num_replicas": replicas, "discard": "old", "max_consumers": -1,
                       "max_msgs": -1, "max_bytes": -1, "max_age": 0, "deny_delete": True,
                       "deny_purge": True}).encode()
