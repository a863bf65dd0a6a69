"""A real stele for the tests: started, killed, restored; and what SQL says of it."""

import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import urllib.request

from slow_network import DELAY, SlowNetwork

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("STELE_BINARY", str(ROOT / "build/release/stele"))
PATIENCE = float(os.environ.get("STELE_PATIENCE", "1"))


class Server:
    def __init__(self, folder, config=None):
        self.folder = pathlib.Path(folder)
        self.db = str(self.folder / "stele.db")
        # Kept while nobody listens there, so that the system gives it to no other program meanwhile.
        self.holder = socket.socket()
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port, self.process = self.holder.getsockname()[1], None
        self.network = SlowNetwork(self.port) if DELAY else None
        self.configure(config or {})
        self.start()

    def configure(self, config):
        (self.folder / "config.json").write_text(json.dumps(config))

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--db", self.db, "--listen", f"127.0.0.1:{self.port}", "--health", "127.0.0.1:0",
             "--config", str(self.folder / "config.json")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "ARETE_RATE_LIMITING_ENABLED": "false"})
        line = self.process.stdout.readline()
        if not line.startswith(b"stele ready: "):
            raise AssertionError(f"{BINARY} did not start: {line!r} {self.process.communicate()[1].decode()}")

    @property
    def url(self):
        """For clients."""
        return f"ws://127.0.0.1:{self.network.port if self.network else self.port}"

    def stop(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.communicate()

    def end(self):
        self.stop()
        self.holder.close()
        if self.network:
            self.network.close()

    def feed(self, mutations, token=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/mutations",
                                         "\n".join(map(json.dumps, mutations)).encode())
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        return json.loads(urllib.request.urlopen(request).read())

    def sql(self, statement):
        connection = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def rows(self, view):
        """[(key, data)…] in the order of the view, as SQL says."""
        return [(key, json.loads(data)) for key, data in self.sql(f'SELECT key, data FROM "{view}"')]

    def stele(self, *arguments):
        return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout

    def backup(self, to):
        self.stele("backup", "--db", self.db, str(to))

    def replace(self, file):
        """Start on another database: a copy of `file`, or an empty one."""
        self.stop()
        for end in ("", "-wal", "-shm"):
            pathlib.Path(self.db + end).unlink(missing_ok=True)
        if file is not None:
            pathlib.Path(self.db).write_bytes(pathlib.Path(file).read_bytes())
        self.start()
