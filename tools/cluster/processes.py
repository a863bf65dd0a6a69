"""The processes of the demo: each is started again when it has ended, whoever ended it."""
import asyncio
import json
import os
import shutil
import signal
import socket
import time


def free_ports(count):
    """Ports that nobody has now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def find_program(name):
    """It may be where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin") or name


class Process:
    AGAIN_SECONDS = 2  # how long it stays away

    def __init__(self, name, command, folder):
        self.name = name
        self.command = command
        self.log = os.path.join(folder, name + ".log")
        self.child = None
        self.ended_at = None
        self.ends = 0  # how often it ended without being asked to
        self.stopping = False
        self.watching = None

    async def start(self):
        # In a session of its own, so that Ctrl-C reaches the demo first; and it ends with the demo,
        # however that ends.
        with open(self.log, "ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", *self.command, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        self.ended_at = None
        self.watching = asyncio.create_task(self.watch(self.child))

    async def watch(self, child):
        await child.wait()
        if self.stopping:
            return
        self.ends += 1
        self.ended_at = time.monotonic()
        await asyncio.sleep(self.AGAIN_SECONDS)
        if not self.stopping:
            await self.start()

    @property
    def is_up(self):
        return self.ended_at is None

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        if self.is_up:
            self.child.send_signal(signal.SIGKILL)

    async def stop(self):
        """None when it ended as it should."""
        self.stopping = True
        if not self.child or self.child.returncode is not None:
            return None
        self.child.terminate()
        try:
            code = await asyncio.wait_for(self.child.wait(), 20)
        except asyncio.TimeoutError:
            self.child.kill()
            await self.child.wait()
            return f"{self.name} did not stop"
        return None if code in (0, 1, -signal.SIGTERM) else f"{self.name} ended with {code}"


async def get(port, path, seconds=1):
    """What a server says there, as JSON; None when it says nothing."""
    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            whole = await reader.read()
        finally:
            writer.close()
        return json.loads(whole.partition(b"\r\n\r\n")[2])
    try:
        return await asyncio.wait_for(ask(), seconds)
    except (OSError, ValueError, asyncio.TimeoutError):
        return None
