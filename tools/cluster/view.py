"""The rows of a view, live by server-sent events, over one connection after the other."""
import asyncio
import json


def merge(row, patch, appended=(), path=""):
    """Put what a patch sets into a row: objects merge, everything else replaces."""
    for name, value in patch.items():
        at = f"{path}.{name}" if path else name
        before = row.get(name)
        if at in appended and isinstance(before, list):
            row[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            merge(before, value, appended, at)
        else:
            row[name] = value


class LiveView:
    SILENCE_SECONDS = 30  # the server says something every 25

    def __init__(self, port, view):
        self.port = port
        self.view = view
        self.rows = {}
        self.cursor = ""
        self.state = "connecting"
        self.begun = 0    # connections that told the view
        self.anew = 0     # of them, those that could not go on behind the cursor
        self.changed = asyncio.Event()

    async def follow(self):
        while True:
            try:
                await self.listen()
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                pass
            self.state = "connecting again"
            await asyncio.sleep(0.2)

    async def listen(self):
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 2)
        try:
            again = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor else ""
            # 1.0: the answer then comes as it is, not in chunks.
            writer.write(f"GET /v1/views/{self.view}/live HTTP/1.0\r\nHost: 127.0.0.1\r\n{again}\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self.SILENCE_SECONDS)
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise ValueError("refused")
            while True:
                event = await asyncio.wait_for(reader.readuntil(b"\n\n"), self.SILENCE_SECONDS)
                self.take(event.decode())
        finally:
            writer.close()

    def take(self, text):
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != ":")
        if "data" not in fields:
            return
        data = json.loads(fields["data"])
        if fields.get("id"):
            self.cursor = fields["id"]
        name = fields.get("event")
        if name == "subscribed":
            self.begun += 1
            if data.get("resumed"):
                self.state = "live"
            else:
                self.anew += self.begun > 1
                self.cursor = ""
                self.rows.clear()
        elif name == "snapshot":
            self.rows.update((row["key"], row["data"]) for row in data["data"])
            if data.get("complete"):
                self.state = "live"
        elif name == "upsert":
            self.rows[data["key"]] = data["data"]
        elif name == "patch":
            merge(self.rows.setdefault(data["key"], {}), data["data"], data.get("append", ()))
        elif name == "delete":
            self.rows.pop(data["key"], None)
        elif name in ("error", "end"):
            self.state = data.get("message") or data.get("reason") or name
        self.changed.set()
