"""Lists of servers, where one hangs, is gone or asks to be left: with listeners of the test's own."""

import asyncio
import http.server
import json
import pathlib
import socket
import sys
import threading
import time
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from stele_client.backoff import Backoff  # noqa: E402
from stele_client.feed import Feed  # noqa: E402
from stele_client.http import Http, Servers, read_view  # noqa: E402
from stele_client.store import Store  # noqa: E402

PAGE = json.dumps({"view": "E/list", "rows": [], "seq": "0:1", "epoch": "e"}).encode()


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.server.asked.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(PAGE)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b'{"applied":1}')


async def no_token():
    return None


class ServersTest(unittest.IsolatedAsyncioTestCase):
    def working(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.daemon_threads, server.asked = True, []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def hanging(self):
        """Takes connections, and says nothing."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        self.addCleanup(listener.close)
        return listener

    def http(self, first, second, **options):
        ports = [first.getsockname()[1], second.server_port]
        made = Http(Servers([f"ws://127.0.0.1:{port}" for port in ports]), no_token, None, **options)
        self.addCleanup(made.close)
        return made

    async def test_reads_at_once_all_find_the_server_that_is_there(self):
        gone = self.hanging()
        http_ = self.http(gone, self.working())
        gone.close()
        pages = await asyncio.gather(*[read_view(http_, "E/list", {}) for _ in range(4)])
        self.assertEqual([page.seq for page in pages], ["0:1"] * 4)

    async def test_a_read_that_is_given_up_at_a_server_that_hangs_keeps_no_other_waiting(self):
        opened = []
        http_ = self.http(self.hanging(), self.working(), opened=lambda: opened[-1] if opened else None)
        reads = [asyncio.ensure_future(read_view(http_, "E/list", {})) for _ in range(20)]
        await asyncio.sleep(0.2)
        opened.append(http_.servers.all[1])
        await asyncio.wait_for(read_view(http_, "E/list", {}), 10)
        # Nor do they keep the threads busy that all else of the client takes.
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, lambda: None), 10)
        for read in reads:
            read.cancel()
        await asyncio.wait(reads)
        http_.servers.begin(http_.servers.all[1])
        first = asyncio.ensure_future(read_view(http_, "E/list", {}))
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.wait([first])
        line = http_._lines.get(http_.servers.address[1])
        self.assertIsNone(line, "the one that was given up has ended")

    async def feed(self, opened, **options):
        hangs, works = self.hanging(), self.working()
        http_ = self.http(hangs, works, opened=lambda: opened[-1] if opened else None, **options)
        feed = Feed(Store(None), http_, Backoff(0.01, 0.1), None)
        task = asyncio.ensure_future(feed.run())
        self.addCleanup(task.cancel)
        batch = await feed.apply([{"export": "E", "key": "k", "patch": {}}])
        await asyncio.to_thread(hangs.accept) if hasattr(asyncio, "to_thread") else await asyncio.sleep(0.5)
        return http_, batch, works

    async def test_a_batch_that_hung_goes_to_the_server_where_the_connection_is_by_then(self):
        opened = []
        http_, batch, works = await self.feed(opened, timeout=1.0)
        begun = time.monotonic()
        opened.append(http_.servers.all[1])
        await asyncio.wait_for(batch, 15)
        self.assertEqual(works.asked, ["POST"])
        self.assertLess(time.monotonic() - begun, 1.9, "one time-out, not two")

    async def test_a_batch_does_not_wait_for_a_server_that_the_connection_left(self):
        http_, batch, works = await self.feed([], timeout=75.0)
        http_.leave(http_.servers.address)
        await asyncio.wait_for(batch, 15)
        self.assertEqual(works.asked, ["POST"])

    def test_one_that_asks_to_be_left_is_left_until_then(self):
        servers = Servers(["ws://a", "ws://b", "http://a"])
        turns = []
        with unittest.mock.patch("time.monotonic", side_effect=[1000.0, 1001.0, 1002.0, 1061.9, 5000.0]):
            for asked in (3600.0, None, 60.0, 3600.0, None):
                pause = servers.next(asked)
                turns.append((servers.address[0][5:6], round(pause)))
        self.assertEqual(turns, [("b", 0), ("b", 0), ("b", 60), ("a", 3538), ("b", 0)])


if __name__ == "__main__":
    unittest.main()
