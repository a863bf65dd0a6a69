"""A random run: the model as a server that cuts, against a client that is killed now and then."""

import asyncio
import gzip
import json
import random
import shutil
import tempfile

from .driver import PATIENCE, Driver
from .feeder import mutation, queries
from .form import Fault, read, same, unknown_id
from .model import Database
from .play import Subscription, event_of
from .websocket import BINARY, TEXT, Listener, frame

BACKOFF = {"first": 0.002, "most": 0.02}
ROUNDS = 14


class Run:
    def __init__(self, seed, command, trace):
        self.random = random.Random(seed)
        self.trace = trace
        self.storage = tempfile.mkdtemp(prefix="stele-conform-")
        self.driver = Driver(command, self.storage, trace)
        self.listener = Listener(self._take)
        self.database = Database(self.random)
        self.queries = {f"v{i}": query for i, query in enumerate(queries(self.random))}
        self.names = {self._text(query.asked): name for name, query in self.queries.items()}
        self.subscriptions, self.bases = {}, {}
        self.socket = None
        self.fault = None
        self.calm = False  # no more cuts
        self.told = set()  # cursors, with their epochs
        self.applied, self.came = [], []  # the batches, as asked and as they came
        self.bodies, self.last_batch = {}, 0

    @staticmethod
    def _text(query):
        return json.dumps({name: value for name, value in query.items()
                           if name not in ("after", "epoch") and value is not None}, sort_keys=True)

    async def run(self):
        await self.listener.start()
        try:
            await self._begin()
            for _ in range(ROUNDS):
                await self._round()
            await self._settle("at the end")
            if self.driver.kills_itself is False and "durable" in self.driver.can:
                await self._kill()
                await self._begin()
                await self._settle("after a last kill")
            await self.driver.end()
        except Fault as fault:
            raise self.fault or fault
        finally:
            await self.listener.end()
            if self.driver.runs:
                self.driver.process.kill()
                await self.driver.process.wait()
            shutil.rmtree(self.storage, ignore_errors=True)

    # ---- the client ----

    async def _begin(self):
        await self.driver.ask("open", url=f"ws://127.0.0.1:{self.listener.port}/", storage=self.storage,
                              backoff=BACKOFF)
        for name, query in self.queries.items():
            await self.driver.ask("subscribe", name=name, query=query.asked)

    async def _kill(self):
        await self.driver.kill()
        self._cut()

    def _cut(self):
        if self.socket:
            self.socket.end()

    # ---- one round ----

    async def _round(self):
        pick = self.random
        for _ in range(pick.randrange(0, 12)):
            self.database.apply([mutation(pick)])
        what = pick.random()
        if what < 0.15 and "durable" in self.driver.can:
            await self._kill()
            if pick.random() < 0.5:
                self.database.apply([mutation(pick) for _ in range(5)])
            await self._begin()
        elif what < 0.22:
            self.trace("model", "is replaced by another database")
            self._cut()
            producers = self.database.producers
            self.database = Database(pick)
            self.database.producers = producers
            self.database.apply([mutation(pick) for _ in range(pick.randrange(0, 40))])
        elif what < 0.3:
            self.database.floor = pick.randrange(self.database.floor, self.database.head + 1)
            self.trace("model", f"trims its log to {self.database.floor}")
            self._cut()
        elif what < 0.4:
            self._cut()
        elif what < 0.6 and "feed" in self.driver.can:
            batch = [mutation(pick) for _ in range(pick.randrange(1, 4))]
            await self.driver.ask("apply", mutations=batch)
            self.applied.append(batch)
        elif what < 0.7:
            await self.driver.ask("flush")
        elif what < 0.8:
            await self._settle("in the middle")
        await asyncio.sleep(pick.random() * 0.02)
        self._check()

    def _check(self):
        if self.fault:
            raise self.fault

    # ---- what must hold ----

    def _wanted(self, name):
        query = self.queries[name]
        if query.is_tape:
            base = self.bases.get(name, 0)
            return [event_of(change, self.database) for change in self.database.log[base:]
                    if query.keep(change.key, {})]
        return [{"key": key, "data": data} for key, data, _ in query.rows(self.database.states[-1])]

    async def _settle(self, when):
        """Soon, without cuts, each view is that of the model, and every batch came once."""
        self.calm = True
        if self.socket and self.socket.budget is not None:
            self._cut()  # a connection that still has a cut before it
        loop = asyncio.get_running_loop()
        until = loop.time() + 15 * PATIENCE
        while True:
            self._check()
            different = await self._difference()
            if different is None:
                break
            if loop.time() > until:
                raise Fault(f"{when}: {different}")
            await asyncio.sleep(0.01)
        self.calm = False

    async def _difference(self):
        if "feed" in self.driver.can:
            pending = (await self.driver.ask("status"))["pending"]
            if pending or not same(self.came, self.applied):
                return f"{pending} batches pending; applied: {json.dumps(self.applied)}; came: {json.dumps(self.came)}"
        for name, query in self.queries.items():
            answer = await self.driver.ask("rows", name=name)
            wanted = self._wanted(name)
            if query.is_tape:
                got = [bare(each, ("op", "key", "data", "offset")) for each in answer.get("events", [])]
                wanted = [bare(each, ("op", "key", "data", "offset")) for each in wanted][-1000:]
                got = got[-1000:] if len(wanted) == 1000 else got
            else:
                got = [bare(each, ("key", "data")) for each in answer.get("rows", [])]
            if not same(got, wanted):
                return (f"{name} {json.dumps(query.asked)} has\n    {json.dumps(got, ensure_ascii=False)}\n  and not\n"
                        f"    {json.dumps(wanted, ensure_ascii=False)}")
        return None

    # ---- the server ----

    async def _take(self, request):
        if request.method == "POST" and request.path == "/v1/mutations":
            self._take_batch(request)
            return
        if request.headers.get("upgrade", "").lower() != "websocket":
            request.answer(404)
            return
        if not self.calm and self.random.random() < 0.1:
            request.answer(503, {"code": "shutting-down", "retryable": True}, {"X-Error-Code": "shutting-down"})
            return
        if self.socket:
            self.socket.end()
        self.subscriptions = {}
        self.socket = socket = request.upgrade()
        if not self.calm and self.random.random() < 0.6:
            socket.budget = int(self.random.choice([0, 50, 400, 3000, 20000]) * self.random.random())
            self.trace("server", f"will cut after {socket.budget} bytes")
        if request.in_first_message():
            socket.write(frame(b'{"success":true}', TEXT))
        talking = asyncio.ensure_future(self._talk(socket))
        try:
            async for text in socket.messages():
                self._message(socket, read(text))
        except Fault as fault:
            self.fault = self.fault or fault
            socket.end()
        finally:
            talking.cancel()

    def _message(self, socket, message):
        if message["type"] == "subscribe":
            self.trace("client >", json.dumps(message))
            self._subscribe(socket, message)
        elif message["type"] == "unsubscribe" and message["subscriptionId"] not in self.subscriptions:
            self._send(socket, unknown_id(message))
        elif message["type"] == "unsubscribe":
            raise Fault("the client unsubscribed, and was not asked to")

    def _subscribe(self, socket, message):
        id_, asked = message["subscriptionId"], message["query"]
        name = self.names.get(self._text(asked))
        if name is None:
            raise Fault(f"nobody asked the client for {json.dumps(asked)}")
        if id_ in self.subscriptions:
            raise Fault(f"the id {id_!r} is in use")
        query = self.queries[name]
        if "after" in asked and not query.is_tape and "epoch" not in asked:
            raise Fault("a cursor without the epoch that came with it")
        if "after" in asked and not query.is_tape and (asked["after"], asked["epoch"]) not in self.told:
            raise Fault("a cursor with an epoch that it did not come under")
        subscription = Subscription(self.database, query, id_, self.random)
        behind = self.database.head
        self.subscriptions[id_] = subscription
        frames = list(subscription.open(asked))
        if frames[-1].get("type") == "error":
            del self.subscriptions[id_]
        self._send_all(socket, subscription, frames)
        subscription.whole_until = behind
        if query.is_tape and id_ in self.subscriptions and asked.get("after") is None:
            self.bases[name] = subscription.base

    async def _talk(self, socket):
        """All subscriptions go on, each at its own pace."""
        while not socket.gone:
            await asyncio.sleep(0.001)
            for subscription in list(self.subscriptions.values()):
                if subscription.database is not self.database:
                    continue
                if self.random.random() < 0.3 or self.calm:
                    self._send_all(socket, subscription, list(subscription.go_on(self.random.choice([1, 2, 10]))))

    def _send_all(self, socket, subscription, frames):
        """Frames that belong together; now and then it is between them, or inside one, that the server cuts."""
        at = self.random.randrange(len(frames)) if frames and not self.calm and self.random.random() < 0.1 else None
        for i, each in enumerate(frames):
            if "seq" in each:
                self.told.add((each["seq"], subscription.epoch))
            self._send(socket, each)
            if i == at:
                socket.budget = int(self.random.choice([0, 1, 100]) * self.random.random())

    def _send(self, socket, message):
        if socket.gone:
            return
        text = json.dumps(message, ensure_ascii=self.random.random() < 0.2)
        payload = text.encode()
        if len(payload) > 200 and message.get("op") == "snapshot" and self.random.random() < 0.5:
            payload = gzip.compress(payload, 1)
        fragment = self.random.choice([None, None, 7, 100]) if len(payload) < 20000 else None
        self.trace("server >", text)
        socket.write(frame(payload, TEXT if message.get("type") == "error" else BINARY, fragment))

    # ---- feeding ----

    def _take_batch(self, request):
        try:
            batch = json.loads(request.body)
        except ValueError:
            raise Fault(f"the body of a POST is no batch: {request.body[:200]}") from None
        number, producer = batch.get("batch"), batch.get("producer")
        self.trace("client >", f"batch {number}")
        if self.bodies.setdefault((producer, number), request.body) != request.body:
            self.fault = Fault(f"batch {number} came again with other bytes")
        if len({name for name, _ in self.bodies}) > 1:
            self.fault = Fault(f"the producer changed its name: {[name for name, _ in self.bodies]}")
        what = 1.0 if self.calm else self.random.random()
        if what < 0.2:
            request.cut()
            return
        if what < 0.3:
            request.answer(503, {"code": "queue-full"}, {"X-Error-Code": "queue-full", "Retry-After": "0"})
            return
        duplicate = number <= self.last_batch
        if not duplicate:
            if number != self.last_batch + 1:
                self.fault = Fault(f"batch {number} came behind {self.last_batch}")
            self.last_batch = number
            self.came.append(batch["mutations"])
            self.database.apply(batch["mutations"])
        if what < 0.5:
            request.cut()
            return
        request.answer(200, {"applied": 0 if duplicate else len(batch["mutations"]), "ignored": 0,
                             "duplicate": 1 if duplicate else 0})


def bare(object_, names):
    out = {name: object_.get(name) for name in names}
    if isinstance(out.get("data"), dict):
        out["data"] = {name: value for name, value in out["data"].items() if name != "_version"}
    return out
