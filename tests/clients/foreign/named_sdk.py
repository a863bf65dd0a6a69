"""The published client for Python (arete-sdk), driven line by line.

Each line of stdin is {"id", "do", ...}; each line of stdout answers one, or tells what a watch was given.
"""

import asyncio
import json
import sys

import arete
from arete import AuthConfig
from arete.auth import AuthToken
from arete.stack import StackDef
from arete.views import ViewDef


def say(**what):
    print(json.dumps(what), flush=True)


def error_of(error):
    return {"code": getattr(error, "code", None) or type(error).__name__, "text": str(error)}


class Driver:
    def __init__(self):
        self.a4 = None
        self.watches = {}
        self.tokens = []
        self.asked = 0

    async def get_token(self):
        self.asked += 1
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return AuthToken(**token)

    def handle(self, view):
        return getattr(getattr(self.a4.views, "v"), view.replace("/", "_"))

    async def do_connect(self, url, views, tokens=None, attempts=None):
        defs = {view.replace("/", "_"): ViewDef("state" if view.endswith("/state") else "list", view) for view in views}
        self.tokens = tokens or []
        auth = AuthConfig(get_token=self.get_token) if tokens else None
        more = {"reconnect_intervals": [0.1] * attempts} if attempts else {}
        self.a4 = await arete.Arete.connect(StackDef(name="test", views={"v": defs}), url=url, auth=auth, **more)
        self.a4.on_socket_issue(lambda issue: say(issue=str(getattr(issue, "code", issue))))
        self.a4.on_connection_state_change(lambda *state: say(state=str(state[0])))
        return self.a4.connection_state

    async def do_get(self, view, key=None, options=None):
        handle = self.handle(view)
        return await (handle.get(key, **(options or {})) if key else handle.get(**(options or {})))

    async def do_sync(self, view, key=None, options=None):
        handle = self.handle(view)
        data = handle.get_sync(key, **(options or {})) if key else handle.get_sync(**(options or {}))
        return None if data is arete.UNSET else data

    async def do_watch(self, name, view, key=None, options=None):
        handle = self.handle(view)
        stream = handle.watch(key, **(options or {})) if key else handle.watch(**(options or {}))

        async def follow():
            try:
                async for update in stream:
                    say(watch=name, op=update.op, key=update.key, data=getattr(update, "data", None),
                        cursor=getattr(update, "cursor", None))
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                say(watch=name, error=error_of(error))

        self.watches[name] = asyncio.ensure_future(follow())
        return None

    async def do_leave(self, name):
        task = self.watches.pop(name)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        return None

    async def do_asked(self):
        return self.asked

    async def run(self):
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            asyncio.ensure_future(self.answer(json.loads(line)))

    async def answer(self, asked):
        number, what = asked.pop("id"), asked.pop("do")
        try:
            say(id=number, result=await getattr(self, "do_" + what)(**asked))
        except BaseException as error:
            say(id=number, error=error_of(error))


asyncio.run(Driver().run())
