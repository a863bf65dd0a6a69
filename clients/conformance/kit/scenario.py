"""Plays a scenario: the steps of the server on a real socket, those of the client by its driver."""

import asyncio
import gzip
import json
import shutil
import tempfile

from .driver import PATIENCE, Driver, wait
from .form import Fault, matches, read, same, unknown_id
from .websocket import BINARY, TEXT, Listener, frame

BACKOFF = {"first": 0.01, "most": 0.05}
HIDDEN = ("_version", "_seq")


def token_fits(step, token):
    return "token" not in step or step["token"] == token


def came_to(step, request):
    if step.get("at", request.at) != request.at:
        raise Fault(f"it came to server {request.at}")


def bare(data, wanted):
    """Without what the kit compares only where it is expected."""
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if name not in HIDDEN or name in wanted}


def like(rows, wanted):
    if len(rows) != len(wanted):
        return False
    return all(row.get("key") == key and same(bare(row.get("data"), data), data)
               for row, (key, data) in zip(rows, wanted))


def like_events(events, wanted):
    if len(events) != len(wanted):
        return False
    return all([event.get("op"), event.get("key"), event.get("offset")] == [op, key, offset]
               and same(bare(event.get("data"), data or {}), data)
               for event, (op, key, data, offset) in zip(events, wanted))


def expanded(value):
    """With the long texts that {"$times": [text, n]} stands for."""
    if isinstance(value, list):
        return [expanded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$times"}:
        text, n = value["$times"]
        return text * n
    return {name: expanded(each) for name, each in value.items()}


class Player:
    def __init__(self, scenario, command, trace):
        self.scenario, self.trace = expanded(scenario), trace
        self.storage = tempfile.mkdtemp(prefix="stele-conform-")
        self.driver = Driver(command, self.storage, trace)
        self.listeners = [Listener(lambda request, at=at: self._take(request, at))
                          for at in range(self.scenario.get("servers", 1))]
        self.handshakes, self.posts, self.messages = [], [], []
        self.socket, self.reading = None, None
        self.names, self.bodies, self.in_use = {}, {}, set()
        self.first_messages = False
        self.fault = None

    # ---- the whole ----

    async def play(self):
        for listener in self.listeners:
            await listener.start()
        try:
            await self.driver.start()
            missing = set(self.scenario.get("needs", [])) - self.driver.can
            if missing:
                return f"the driver cannot: {', '.join(sorted(missing))}"
            for number, step in enumerate(self.scenario["steps"], 1):
                self.trace("step", f"{number}: {json.dumps(step)[:2000]}")
                try:
                    await self._step(step)
                except Fault as fault:
                    raise Fault(f"step {number}, {json.dumps(step)[:300]}: {fault}") from None
                if self.fault:
                    raise self.fault
            await self.driver.end()
            return None
        finally:
            for listener in self.listeners:
                await listener.end()
            await self._drop_all()
            if self.driver.runs:
                self.driver.process.kill()
                await self.driver.process.wait()
            shutil.rmtree(self.storage, ignore_errors=True)

    async def _step(self, step):
        for verb in step:
            if hasattr(self, "do_" + verb):
                await getattr(self, "do_" + verb)(step)
                return
        raise Fault("the kit knows no such step")

    async def _until(self, holds, what, seconds=10):
        def holds_or_fails():
            if self.fault:
                raise self.fault
            return holds()
        await wait(holds_or_fails, what, seconds)

    # ---- what comes in ----

    async def _take(self, request, at):
        request.at = at
        if request.headers.get("upgrade", "").lower() == "websocket":
            done = asyncio.Event()
            self.trace("client >", f"handshake {request.target} at {at}, token {request.token()}")
            self.handshakes.append((request, done))
            await done.wait()
        elif request.method == "POST" and request.path == "/v1/mutations":
            done = asyncio.Event()
            self.trace("client >", f"POST at {at}, {request.body.decode()[:400]}")
            self.posts.append((request, done))
            await done.wait()
        else:
            request.answer(404, {"code": "not-found"})

    async def _read(self, socket):
        try:
            async for text in socket.messages():
                self.trace("client >", text)
                message = read(text)
                if message["type"] == "subscribe":
                    if message["subscriptionId"] in self.in_use:
                        raise Fault(f"the id {message['subscriptionId']!r} is in use")
                    self.in_use.add(message["subscriptionId"])
                if message["type"] == "unsubscribe" and message["subscriptionId"] not in self.in_use:
                    if self.socket is socket:
                        self._send_json(unknown_id(message), TEXT)
                elif message["type"] != "ping":
                    self.messages.append(message)
        except Fault as fault:
            self.fault = fault

    async def _shake_hands(self, step, asked):
        await self._until(lambda: self.handshakes, "a handshake")
        request, done = self.handshakes.pop(0)
        came_to(step, request)
        if not request.in_first_message() and not token_fits(asked, request.token()):
            raise Fault(f"the token of the handshake is {request.token()!r}")
        return request, done

    async def _first_message(self, step):
        await self._until(lambda: self.messages, "the first message")
        message = self.messages.pop(0)
        if message["type"] != "auth" or not token_fits(step, message["token"]):
            raise Fault(f"the first message is {message}")

    def _open(self, request, done):
        if self.socket:
            self.socket.end()
        self.messages.clear()
        self.in_use.clear()
        self.socket = request.upgrade()
        socket = self.socket

        async def read_on():
            await self._read(socket)
            done.set()
        self.reading = asyncio.ensure_future(read_on())

    # ---- steps of the client ----

    async def do_client(self, step):
        command = dict(step["client"])
        do = command.pop("do")
        if do == "open":
            urls = [f"ws://127.0.0.1:{listener.port}/" for listener in self.listeners]
            command = {"url": urls[0], **({"urls": urls} if len(urls) > 1 else {}), "storage": self.storage,
                       "backoff": BACKOFF, **command}
        await self.driver.ask(do, **command)

    async def do_kill(self, step):
        await self.driver.kill()
        await self._drop_all()

    async def _drop_all(self):
        if self.socket:
            self.socket.end()
        await asyncio.sleep(0.01)
        for request, done in self.handshakes + self.posts:
            request.cut()
            done.set()
        self.handshakes.clear()
        self.posts.clear()

    # ---- steps of the server ----

    async def do_accept(self, step):
        request, done = await self._shake_hands(step, step["accept"])
        self._open(request, done)
        if request.in_first_message():
            await self._first_message(step["accept"])
            self._send_json({"success": True, "expiresAt": 4102444800}, TEXT)

    async def do_refuse(self, step):
        refusal = step["refuse"]
        request, done = await self._shake_hands(step, refusal)
        error = {"error": refusal["code"], "code": refusal["code"], "message": "refused by the scenario",
                 "retryable": refusal.get("retryable", False)}
        if request.in_first_message():
            self._open(request, done)
            await self._first_message(refusal)
            self._send_json({"type": "error", "protocolVersion": 2, "subscriptionId": None, **error, "fatal": True}, TEXT)
            self.socket.close(1008, f"{refusal['code']}: refused by the scenario")
        else:
            request.answer(refusal["status"], error, {"X-Error-Code": refusal["code"]})
            done.set()

    async def do_receive(self, step):
        wanted = step["receive"] if isinstance(step["receive"], list) else [step["receive"]]
        wanted = list(wanted)
        while wanted:
            await self._until(lambda: self.messages, lambda: f"a message like {json.dumps(wanted[0])}")
            message = self.messages.pop(0)
            got = {name: value for name, value in message.items() if name != "snapshot"}
            fits = next((each for each in wanted if self._fits(each, got)), None)
            if fits is None:
                raise Fault(f"the client sent {json.dumps(got)}")
            wanted.remove(fits)

    def _fits(self, pattern, message):
        """Of a subscribe the id is new each time; a name in its place stands for it from then on."""
        names = dict(self.names)
        if message["type"] == "subscribe":
            names.pop(str(pattern.get("subscriptionId", ""))[1:], None)
        if not matches(pattern, message, names):
            return False
        self.names = names
        return True

    def _send_json(self, message, opcode, packed=False, fragments=None, cut=None):
        payload = json.dumps(message, ensure_ascii=False).encode()
        self.trace("server >", payload.decode())
        data = frame(gzip.compress(payload) if packed else payload, opcode, fragments)
        if cut is not None:
            self.trace("server", f"cuts {cut} of {len(data)} bytes")
            self.socket.write(data[: cut if cut >= 0 else len(data) + cut])
            self.socket.end()
        else:
            self.socket.write(data)

    async def do_send(self, step):
        if not isinstance(step["send"], dict):  # nonsense, as it is
            self._send_json(step["send"], TEXT if step.get("as") == "text" else BINARY)
            return
        message = dict(step["send"])
        is_error = message.get("type") == "error"
        if "to" in step:
            if step["to"] not in self.names:
                raise Fault(f"no id was bound to {step['to']!r}")
            message = {"protocolVersion": 2, "subscriptionId": self.names[step["to"]], **message}
        if is_error:
            code = message["code"]
            message = {"protocolVersion": 2, "subscriptionId": None, "error": code, "message": "by the scenario",
                       "retryable": False, "fatal": False, **message}
        if is_error or message.get("op") == "unsubscribed":
            self.in_use.discard(message.get("subscriptionId"))
        opcode = TEXT if is_error or step.get("as") == "text" else BINARY
        self._send_json(message, opcode, step.get("gzip"), step.get("fragments"), step.get("cut"))

    async def do_cut(self, step):
        self.socket.end()

    async def do_close(self, step):
        self.socket.close(step["close"]["code"], step["close"].get("reason", ""))

    async def do_stop(self, step):
        await self.listeners[step.get("at", 0)].stop()
        await self._drop_all()

    async def do_start(self, step):
        await self.listeners[step.get("at", 0)].start()

    async def do_post(self, step):
        await self._until(lambda: self.posts, "a POST")
        request, done = self.posts.pop(0)
        came_to(step, request)
        try:
            batch = json.loads(request.body)
        except ValueError:
            raise Fault(f"the body of the POST is not one JSON object: {request.body[:300]}") from None
        if not matches(step["post"], batch, self.names):
            raise Fault(f"the client posted {json.dumps(batch)}")
        known = self.bodies.setdefault((batch.get("producer"), batch.get("batch")), request.body)
        if known != request.body:
            raise Fault("a batch came again with other bytes")
        if "token" in step and step["token"] != request.token():
            raise Fault(f"the token of the POST is {request.token()!r}")
        if step["answer"] == "cut":
            request.cut()
        else:
            request.answer(step["answer"]["status"], step["answer"].get("body"), step["answer"].get("headers"))
        done.set()

    async def do_quiet(self, step):
        waiting = len(self.handshakes)  # one that came before is only not answered
        await asyncio.sleep(step["quiet"] / 1000)
        if self.messages or len(self.handshakes) > waiting or self.posts:
            raise Fault(f"the client was not quiet: {self.messages or 'a handshake or a POST'}")

    # ---- what must hold ----

    async def _soon(self, ask, fits, what):
        loop = asyncio.get_running_loop()
        until = loop.time() + 10 * PATIENCE
        while True:
            got = await ask()
            if fits(got):
                return
            if self.fault:
                raise self.fault
            if loop.time() > until:
                raise Fault(f"not {what}, but {json.dumps(got, ensure_ascii=False)[:1500]}")
            await asyncio.sleep(0.01)

    def _asks_rows(self, name):
        async def ask():
            return (await self.driver.ask("rows", name=name)).get("rows", [])
        return ask

    def _asks_events(self, name):
        async def ask():
            return (await self.driver.ask("rows", name=name)).get("events", [])
        return ask

    async def do_rows(self, step):
        for name, wanted in step["rows"].items():
            await self._soon(self._asks_rows(name), lambda got: like(got, wanted), f"the rows of {name}")

    async def do_events(self, step):
        for name, wanted in step["events"].items():
            await self._soon(self._asks_events(name), lambda got: like_events(got, wanted), f"the events of {name}")

    async def do_still(self, step):
        if self.socket and not self.socket.gone:
            await self.socket.ping(wait)
        await asyncio.sleep(0.05)
        for name, wanted in step["still"].items():
            are_events = bool(wanted) and len(wanted[0]) == 4
            got = await (self._asks_events(name) if are_events else self._asks_rows(name))()
            if not (like_events if are_events else like)(got, wanted):
                raise Fault(f"{name} has {json.dumps(got, ensure_ascii=False)[:1500]}")

    async def _status(self):
        return await self.driver.ask("status")

    async def _view_status(self, name):
        return (await self._status()).get("views", {}).get(name, {})

    async def do_state(self, step):
        for name, wanted in step["state"].items():
            await self._soon(lambda: self._view_status(name), lambda got: got.get("state") == wanted, wanted)

    async def do_error(self, step):
        for name, wanted in step["error"].items():
            await self._soon(lambda: self._view_status(name), lambda got: got.get("error") == wanted, wanted)

    async def do_connection(self, step):
        wanted = step["connection"]
        await self._soon(self._status, lambda got: got.get("error") == wanted
                         and (got.get("connection") == "open") == (wanted is None), f"a connection with {wanted}")

    async def do_pending(self, step):
        await self._soon(self._status, lambda got: got.get("pending") == step["pending"], f"{step['pending']} pending")

    async def do_feedError(self, step):
        await self._soon(self._status, lambda got: got.get("feedError") == step["feedError"], step["feedError"])
