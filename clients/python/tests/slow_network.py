"""
A network that is slow by chance: with STELE_DELAY each piece that passes, either way, comes up to so many milliseconds
later, in order on each connection. A test that takes it for granted that something arrived fails under it.
"""

import os
import random
import socket
import threading
import time

DELAY = float(os.environ.get("STELE_DELAY", "0")) / 1000


class SlowNetwork:
    """A port that leads to another one, of which nobody need listen."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        ways = [threading.Thread(target=self._pass, args=pair, daemon=True)
                for pair in ((client, server), (server, client))]
        for way in ways:
            way.start()
        for way in ways:
            way.join()
        client.close()
        server.close()

    @staticmethod
    def _pass(reader, writer):
        try:
            while data := reader.recv(4096):
                time.sleep(random.uniform(0, DELAY))
                writer.sendall(data)
        except OSError:
            pass
        for each in (reader, writer):  # a cut is one for both
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
