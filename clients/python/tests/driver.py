"""Speaks for stele_client to the conformance kit (clients/conformance/README.md)."""

import asyncio
import json
import os
import pathlib
import sys

sys.dont_write_bytecode = True
if not os.environ.get("STELE_CLIENT_INSTALLED"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

from stele_client import Client  # noqa: E402


class Driver:
    def __init__(self):
        self.client, self.token, self.views = None, None, {}

    def hello(self):
        return {"name": "stele-client for Python", "can": ["durable", "feed", "refresh", "urls"]}

    async def open(self, url, storage, backoff, token=None, urls=None):
        self.token = token
        self.client = Client(urls or url, os.path.join(storage, "kept.sqlite"), token=lambda: self.token,
                             backoff=backoff["first"], backoff_most=backoff["most"])
        await self.client.open()

    def set_token(self, token):
        self.token = token

    async def refresh(self):
        await self.client.refresh_token()

    def subscribe(self, name, query):
        self.views[name] = self.client.view(query.pop("view"), **query)

    async def unsubscribe(self, name):
        await self.client.drop(self.views.pop(name))

    def rows(self, name):
        view = self.views[name]
        if view.is_tape:
            return {"events": [{"op": each.op, "key": each.key, "data": each.data, "offset": each.offset}
                               for each in view.events]}
        return {"rows": [{"key": row.key, "data": row.data} for row in view.rows]}

    def status(self):
        client = self.client
        views = {name: {"state": view.state, "error": view.error.code if view.error else None}
                 for name, view in self.views.items()}
        feed = client.feed
        return {"connection": "open" if client.connected else "waiting",
                "error": client.error.code if client.error else None, "views": views, "pending": feed.pending,
                "feedError": feed.refusal.code if feed.refusal else None}

    async def apply(self, mutations):
        return {"batch": (await self.client.apply(mutations)).number}

    def flush(self):
        self.client.flush()

    async def close(self):
        await self.client.close()
        self.views.clear()

    async def answer(self, line):
        command = json.loads(line)
        id_, do = command.pop("id"), command.pop("do")
        try:
            result = getattr(self, "set_token" if do == "token" else do)(**command)
            if asyncio.iscoroutine(result):
                result = await result
            return {"id": id_, "ok": True, **(result or {})}
        except Exception as error:
            return {"id": id_, "ok": False, "error": repr(error)}


async def main():
    driver = Driver()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while True:
        line = await reader.readline()
        if not line:
            break
        print(json.dumps(await driver.answer(line)), flush=True)
    if driver.client:
        await driver.client.close()


asyncio.run(main())
