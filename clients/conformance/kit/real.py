"""A random run against a real server, behind a proxy that cuts. What holds is what SQL says."""

import asyncio
import json
import os
import pathlib
import random
import shutil
import sqlite3
import tempfile
import urllib.request

from .driver import PATIENCE, Driver
from .feeder import mutation, queries
from .form import Fault, same
from .run import BACKOFF, bare
from .websocket import held_port

ROUNDS = 12
DELAY = float(os.environ.get("STELE_DELAY", "0")) / 1000  # the network may be slow, too
CONFIG = {"exports": {"E": {"views": {"sorted": {"pipeline": [{"sort": {"by": "n", "order": "asc"}}]}}},
                      "F": {"max_array_length": 0}}}


class Server:
    """One database, and the process that serves it: on the same port again after it was killed."""

    def __init__(self, binary, folder, trace):
        self.binary, self.trace = binary, trace
        self.db = str(pathlib.Path(folder) / "stele.db")
        self.config = str(pathlib.Path(folder) / "config.json")
        pathlib.Path(self.config).write_text(json.dumps(CONFIG))
        (self.port, self.holder), self.process = held_port(), None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            self.binary, "serve", "--db", self.db, "--config", self.config, "--listen", f"127.0.0.1:{self.port}",
            "--health", "127.0.0.1:0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "ARETE_RATE_LIMITING_ENABLED": "false"})
        line = await asyncio.wait_for(self.process.stdout.readline(), 30 * PATIENCE)
        if not line.startswith(b"stele ready: "):
            raise Fault(f"{self.binary} did not start: {line!r}")

    async def kill(self):
        if self.process and self.process.returncode is None:
            self.trace("server", "SIGKILL")
            self.process.kill()
            await self.process.wait()

    async def feed(self, mutations):
        body = "\n".join(map(json.dumps, mutations)).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/mutations", body)
        await asyncio.get_running_loop().run_in_executor(None, lambda: urllib.request.urlopen(request).read())

    def sql(self, statement):
        connection = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    async def backup(self, to):
        process = await asyncio.create_subprocess_exec(self.binary, "backup", "--db", self.db, "--force", to)
        if await process.wait():
            raise Fault("stele backup failed")

    async def restore(self, copy):
        await self.kill()
        for end in ("-wal", "-shm"):
            pathlib.Path(self.db + end).unlink(missing_ok=True)
        shutil.copyfile(copy, self.db)
        await self.start()


class Proxy:
    """Passes bytes on, so many of each connection; then it cuts both sides."""

    def __init__(self, server, choose_budget, trace):
        self.server, self.choose_budget, self.trace = server, choose_budget, trace
        self.listener, self.port = None, 0
        self.writers = set()

    async def start(self):
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]

    def cut(self):
        for writer in list(self.writers):
            writer.transport.abort()

    async def stop(self):
        self.listener.close()
        self.cut()

    async def _serve(self, reader, writer):
        budget = self.choose_budget()
        self.trace("proxy", f"a connection, of {budget} bytes")
        ends = [writer]
        self.writers.add(writer)
        try:
            reader_up, writer_up = await asyncio.open_connection("127.0.0.1", self.server.port)
            self.writers.add(writer_up)
            ends.append(writer_up)
            left = [budget]
            passing = [asyncio.ensure_future(self._pass(reader, writer_up, left)),
                       asyncio.ensure_future(self._pass(reader_up, writer, left))]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            for each in passing:
                each.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in ends:
                self.writers.discard(each)
                each.close()

    @staticmethod
    async def _pass(reader, writer, left):
        try:
            while left[0] is None or left[0] > 0:
                data = await reader.read(4096)
                if not data:
                    return
                await asyncio.sleep(random.uniform(0, DELAY))
                if left[0] is not None:
                    data = data[: left[0]]
                    left[0] -= len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass


class RealRun:
    def __init__(self, seed, command, binary, trace):
        self.random, self.trace = random.Random(seed), trace
        self.folder = tempfile.mkdtemp(prefix="stele-conform-")
        self.storage = str(pathlib.Path(self.folder) / "client")
        pathlib.Path(self.storage).mkdir()
        self.driver = Driver(command, self.storage, trace)
        self.server = Server(binary, self.folder, trace)
        self.proxy = Proxy(self.server, self._budget, trace)
        self.queries = {f"v{i}": query for i, query in enumerate(queries(self.random)) if query.key != ""}
        self.calm = False
        self.count, self.list = 0, []
        self.copy = None

    def _budget(self):
        return None if self.calm else int(self.random.choice([300, 3000, 30000]) * self.random.random())

    async def run(self):
        await self.server.start()
        await self.proxy.start()
        try:
            await self._feed()
            await self._begin()
            for _ in range(ROUNDS):
                await self._round()
            await self._settle("at the end")
            await self.driver.end()
        finally:
            await self.proxy.stop()
            await self.server.kill()
            self.server.holder.close()
            if self.driver.runs:
                self.driver.process.kill()
                await self.driver.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _begin(self):
        await self.driver.ask("open", url=f"ws://127.0.0.1:{self.proxy.port}/", storage=self.storage, backoff=BACKOFF)
        for name, query in self.queries.items():
            await self.driver.ask("subscribe", name=name, query=query.asked)

    async def _feed(self):
        batch = [mutation(self.random) for _ in range(self.random.randrange(1, 20))]
        await self.server.feed([each for each in batch if each["key"] != ""] or [{"export": "E", "key": "k1", "patch": {}}])

    async def _round(self):
        pick = self.random
        await self._feed()
        what = pick.random()
        if what < 0.15 and "durable" in self.driver.can:
            await self.driver.kill()
            await self._feed()
            await self._begin()
        elif what < 0.3:
            await self.server.kill()
            await asyncio.sleep(pick.random() * 0.05)
            await self.server.start()
        elif what < 0.4:
            self.proxy.cut()
        elif what < 0.6 and "feed" in self.driver.can:
            for _ in range(pick.randrange(1, 4)):
                await self.driver.ask("apply", mutations=[
                    {"export": "F", "key": "all", "patch": {"t": [self.count]}, "append": ["t"]}])
                self.list.append(self.count)
                self.count += 1
        elif what < 0.7:
            await self._restore_or_back_up()
        elif what < 0.8:
            await self._settle("in the middle")
        await asyncio.sleep(pick.random() * 0.05)

    async def _restore_or_back_up(self):
        """What the client fed is acknowledged first: of that alone can be said what a copy has."""
        await self._settle("before a backup")
        if self.copy is None:
            self.copy = (str(pathlib.Path(self.folder) / "copy.db"), list(self.list))
            await self.server.backup(self.copy[0])
            return
        self.trace("server", "is restored from a backup")
        file, self.list = self.copy[0], list(self.copy[1])
        self.copy = None
        await self.server.restore(file)
        if self.random.random() < 0.5:
            await self._feed()

    # ---- what must hold ----

    async def _settle(self, when):
        self.calm = True
        self.proxy.cut()
        loop = asyncio.get_running_loop()
        until = loop.time() + 15 * PATIENCE
        while True:
            different = await self._difference()
            if different is None:
                break
            if loop.time() > until:
                raise Fault(f"{when}: {different}")
            await asyncio.sleep(0.02)
        self.calm = False

    async def _difference(self):
        if "feed" in self.driver.can:
            pending = (await self.driver.ask("status"))["pending"]
            found = self.server.sql("""SELECT data FROM "F/list" WHERE key = 'all'""")
            got = json.loads(found[0][0])["t"] if found else []
            if pending or got != self.list:
                return f"{pending} batches pending; fed {self.list}, and the server has {got}"
        state = {}
        for key, seq, data in self.server.sql('SELECT key, seq, data FROM "E/list"'):
            state[key] = ({**json.loads(data), "_seq": seq}, 0)
        for name, query in self.queries.items():
            answer = await self.driver.ask("rows", name=name)
            if query.is_tape:
                wanted, got = self._events(query)[-1000:], answer.get("events", [])
                got = [bare(each, ("op", "key", "data", "offset")) for each in got][-len(wanted) or len(got):]
                for each in got:
                    (each["data"] or {}).pop("_seq", None)
            else:
                wanted = [{"key": key, "data": data} for key, data, _ in query.rows(state)]
                got = [bare(each, ("key", "data")) for each in answer.get("rows", [])]
            if not same(got, wanted):
                return (f"{name} {json.dumps(query.asked)} has\n    {json.dumps(got, ensure_ascii=False)}\n  and not\n"
                        f"    {json.dumps(wanted, ensure_ascii=False)}")
        return None

    def _events(self, query):
        out = []
        for key, data, op, change in self.server.sql('SELECT key, data, op, change FROM "E/append"'):
            if query.keep(key, {}):
                told = {"create": "patch"}.get(op, op)
                out.append({"op": told, "key": key, "data": json.loads(data) if data else None, "offset": change})
        return out
