"""The program that speaks for a client: commands in, answers out, one line each."""

import asyncio
import json
import os
import shlex
import signal

from .form import Fault

PATIENCE = float(os.environ.get("STELE_PATIENCE", "1"))


async def wait(holds, what, seconds=10, task=None):
    """Wait until `holds()` is true."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds * PATIENCE
    pause = 0.001
    while not holds():
        if task and task.done() and task.exception():
            raise task.exception()
        if loop.time() > until:
            raise Fault(f"waited {seconds * PATIENCE:g} s for {what() if callable(what) else what}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.02)


class Driver:
    def __init__(self, command, storage, trace):
        self.command = shlex.split(command)
        self.storage, self.trace = storage, trace
        self.process = None
        self.number = 0
        self.can, self.name, self.kills_itself = set(), "", False

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26)
        hello = await self.ask("hello")
        self.can, self.name = set(hello.get("can", [])), hello.get("name", "?")
        self.kills_itself = hello.get("kill") == "command"

    @property
    def runs(self):
        return self.process is not None and self.process.returncode is None

    async def ask(self, do, **members):
        if not self.runs:
            await self.start()
        self.number += 1
        command = {"id": self.number, "do": do, **members}
        aloud = do not in ("status", "rows")  # they are asked over and over
        if aloud:
            self.trace("driver <", json.dumps(command))
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            await self.process.stdin.drain()
            line = await asyncio.wait_for(self.process.stdout.readline(), 20 * PATIENCE)
        except asyncio.TimeoutError:
            raise Fault(f"the driver did not answer {do!r}") from None
        except ConnectionError:
            line = b""
        if not line:
            raise Fault(f"the driver ended instead of answering {do!r}")
        answer = json.loads(line)
        if aloud:
            self.trace("driver >", line.decode().strip())
        if answer.get("id") != self.number:
            raise Fault(f"the driver answered {answer.get('id')}, and was asked {self.number}")
        if not answer.get("ok"):
            raise Fault(f"{do!r}: {answer.get('error')}")
        return answer

    async def kill(self):
        """As a crash does."""
        if self.kills_itself:
            await self.ask("kill")
            return
        if self.runs:
            self.trace("driver", "SIGKILL")
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def end(self):
        if not self.runs:
            return
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 5 * PATIENCE)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise Fault("the driver did not end when its input ended") from None
