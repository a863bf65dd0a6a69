"""The client against the real server (build/release/stele, or STELE_BINARY)."""

import asyncio
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from real_server import PATIENCE, Server  # noqa: E402
from stele_client import Client, GapError, SteleError, StorageError, SyncClient  # noqa: E402

REAL_TIME = time.time
QUICK = {"backoff": 0.01, "backoff_most": 0.2}


def row(key, n, **more):
    return {"export": "E", "key": key, "patch": {"n": n, **more}}


def bare(rows):
    return [(each.key, {name: value for name, value in each.data.items() if name != "_version"}) for each in rows]


async def until(holds, what):
    end = time.monotonic() + 15 * PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited for {what() if callable(what) else what}")
        await asyncio.sleep(0.01)


class Base(unittest.IsolatedAsyncioTestCase):
    config = {}

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stele-python-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = Server(self.folder, self.config)
        self.addCleanup(self.server.end)
        self.storage = str(self.folder / "kept.sqlite")

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # it tells of every slow step

    def client(self, **options):
        return Client(self.server.url, self.storage, **{**QUICK, **options})

    async def equals(self, view, rows, what="the rows of SQL"):
        await until(lambda: bare(view.rows) == rows(), lambda: f"{what}: {bare(view.rows)} is not {rows()}")

    def program(self, text, *arguments):
        """A process with this program, and its first line of output read."""
        script = f"import sys\nsys.path.insert(0, {str(HERE.parent / 'src')!r})\n{text}"
        process = subprocess.Popen([sys.executable, "-c", script, self.server.url, self.storage, *arguments],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        return process


class Views(Base):
    async def test_a_list_follows_the_server(self):
        self.server.feed([row("a", 1, tags=["x"]), row("b", 2), row("c", 3)])
        async with self.client() as client:
            view = await client.view("E/list").live()
            self.assertEqual(bare(view.rows), self.server.rows("E/list"))
            self.server.feed([{**row("a", 5, tags=["y"]), "append": ["tags"]}, {"export": "E", "key": "b", "op": "delete"}])
            await self.equals(view, lambda: self.server.rows("E/list"))
            self.assertEqual(view.get("a")["tags"], ["x", "y"])
            one = await client.view("E/state", key="c").live()
            self.assertEqual([each.key for each in one.rows], ["c"])
            self.assertIs(client.view("E/list"), view)

    async def test_what_str_splitlines_takes_for_the_end_of_a_line(self):
        ends = "\u2028\u2029\u0085\u000b\u000c\u001c"

        def rows(n):
            return [row(f"k{end}{end}k", n, **{f"m{end}m": f"a{end}data: b{end}"}) for end in ends]

        self.server.feed(rows(1))
        async with self.client() as client:
            view = await client.view("E/list").live()
            self.assertEqual(bare(view.rows), self.server.rows("E/list"))
            self.server.feed(rows(2))
            await self.equals(view, lambda: self.server.rows("E/list"))
            self.assertEqual({each.key for each in view.rows}, {f"k{end}{end}k" for end in ends})
            one = await client.view("E/list", filters={"n": 2}, sort=["m\u2028m"]).live()
            page = await client.read("E/list", filters={"n": 2}, sort=["m\u2028m"])
            self.assertEqual((bare(one.rows), len(page.rows)), (bare(page.rows), 6))

    async def test_windows_are_those_of_http(self):
        self.server.feed([row(f"k{i}", i % 7, s="xyz"[i % 3], t=str(i)) for i in range(60)])
        query = {"where": {"all": [{"field": "n", "gte": 2}, {"field": "s", "in": ["x", "y"]}]},
                 "sort": [{"by": "n", "order": "desc"}, "t"], "take": 10, "skip": 3}
        async with self.client() as client:
            view = await client.view("E/list", **query).live()
            for _ in range(3):
                page = await client.read("E/list", **query)
                self.assertEqual(len(page.rows), 10)
                self.assertTrue(page.more)
                await self.equals(view, lambda: bare(page.rows), "the rows of HTTP")
                self.server.feed([row(view.rows[0].key, 0), row("k0", 6, s="x", t="0"), row(view.rows[5].key, 5)])

    async def test_changes_and_states_are_told(self):
        async with self.client() as client:
            view = client.view("E/list")
            self.assertEqual(view.state, "loading")
            changes = view.changes()
            self.assertEqual((await changes.__anext__()).op, "reset")
            await view.live()
            self.server.feed([row("a", 1)])
            change = await changes.__anext__()
            self.assertEqual((change.op, change.key, change.data["n"]), ("put", "a", 1))
            self.server.feed([{"export": "E", "key": "a", "op": "delete"}])
            self.assertEqual((await changes.__anext__()).op, "remove")
            await changes.aclose()

    async def test_who_reads_changes_slowly_gets_one_reset(self):
        async with self.client() as client:
            view = await client.view("E/list").live()
            changes = view.changes()
            await changes.__anext__()
            for start in range(0, 12_000, 3_000):
                self.server.feed([row(f"k{i}", i) for i in range(start, start + 3_000)])
            await until(lambda: len(view) == 12_000, lambda: f"{len(view)} rows of 12000")
            self.assertLess(sum(map(len, view._readers)), 10_001)
            self.assertEqual((await changes.__anext__()).op, "reset")
            await changes.aclose()

    async def test_a_view_that_there_is_not_has_ended(self):
        async with self.client() as client:
            with self.assertRaises(SteleError) as caught:
                await client.view("E/nothing").ready()
            self.assertEqual(caught.exception.code, "subscription-rejected")
            await client.view("E/list").live()

    async def test_a_dropped_view_is_forgotten(self):
        self.server.feed([row("a", 1)])
        async with self.client() as client:
            view = await client.view("E/list").live()
            await client.drop(view)
            again = client.view("E/list")
            self.assertEqual((again.state, again.rows), ("loading", []))
            await again.live()

    async def test_a_storage_is_of_one_client(self):
        async with self.client():
            with self.assertRaisesRegex(StorageError, "another client"):
                await self.client().open()
        with self.assertRaisesRegex(StorageError, "no folder"):
            await Client(self.server.url, "/nowhere/kept.sqlite").open()
        with self.assertRaisesRegex(ValueError, "ws://"):
            Client("localhost:8877")

    async def test_in_memory(self):
        self.server.feed([row("a", 1)])
        async with Client(self.server.url) as client:
            await (await client.apply([row("b", 2)]))
            view = await client.view("E/list").live()
            self.assertEqual(bare(view.rows), self.server.rows("E/list"))


class Kept(Base):
    async def test_rows_are_there_before_the_server(self):
        self.server.feed([row(f"k{i}", i) for i in range(100)])
        async with self.client() as client:
            await client.view("E/list").live()
        rows = self.server.rows("E/list")
        self.server.stop()
        async with self.client() as client:
            view = await client.view("E/list").ready()
            self.assertEqual((bare(view.rows), view.state), (rows, "stale"))
            self.server.start()
            self.server.feed([row("k5", -1), {"export": "E", "key": "k6", "op": "delete"}])
            await self.equals(view, lambda: self.server.rows("E/list"))
            await view.live()

    async def test_a_server_that_is_killed_again_and_again(self):
        async with self.client() as client:
            view, window = client.view("E/list"), client.view("E/list", sort=["n"], take=5)
            for i in range(5):
                self.server.feed([row(f"k{j}", (i * j) % 11) for j in range(i, 30)])
                if i % 2:
                    await view.live()
                self.server.stop()
                self.server.start()
                self.server.feed([{"export": "E", "key": f"k{i}", "op": "delete"}])
            await self.equals(view, lambda: self.server.rows("E/list"))
            wanted = sorted(self.server.rows("E/list"), key=lambda each: (each[1]["n"], each[0]))[:5]
            await self.equals(window, lambda: wanted)

    async def test_a_client_that_is_killed(self):
        self.server.feed([row(f"k{i}", 0) for i in range(50)])
        for i in range(4):
            process = self.program("""
import asyncio
from stele_client import Client
async def main():
    async with Client(sys.argv[1], sys.argv[2]) as client:
        async for rows in client.view("E/list"):
            print(len(rows), flush=True)
asyncio.run(main())""")
            process.stdout.readline()
            for j in range(20):
                self.server.feed([row(f"k{j}", i), {"export": "E", "key": f"k{j + 20 + i}", "op": "delete"}])
            process.kill()
            process.wait()
        self.server.feed([row("k1", 99)])
        async with self.client() as client:
            view = await client.view("E/list").ready()
            await view.live()
            await self.equals(view, lambda: self.server.rows("E/list"))

    async def test_a_restored_backup_and_another_database(self):
        self.server.feed([row(f"k{i}", i) for i in range(20)])
        copy = self.folder / "copy.db"
        async with self.client() as client:
            view, window = client.view("E/list"), client.view("E/list", sort=[{"by": "n", "order": "desc"}], take=3)
            await view.live()
            self.server.backup(copy)
            self.server.feed([row("k1", 100), row("new", 1), {"export": "E", "key": "k2", "op": "delete"}])
            await self.equals(view, lambda: self.server.rows("E/list"))
            # The copy has none of that, and other changes with the same seqs.
            self.server.replace(copy)
            self.server.feed([row("k3", -7), row("k4", 500), row("other", 2)])
            await self.equals(view, lambda: self.server.rows("E/list"))
            self.assertIsNone(view.get("new"))
            await until(lambda: [each.key for each in window.rows] == ["k4", "k19", "k18"], lambda: window.rows)
            self.server.replace(None)
            self.server.feed([row("only", 1)] * 30)
            await self.equals(view, lambda: self.server.rows("E/list"))
            await until(lambda: [each.key for each in window.rows] == ["only"], lambda: window.rows)

    async def test_a_full_disk_costs_only_what_is_kept(self):
        async with self.client() as client:
            view = await client.view("E/list").live()
            save = client._kept.save
            client._kept.save = lambda *_: (_ for _ in ()).throw(OSError(28, "no space"))
            self.server.feed([row("a", 1)])
            await until(lambda: client.storage_error is not None, "the error")
            await until(lambda: view.get("a"), "the row")
            client._kept.save = save
            await until(lambda: client.storage_error is None, "the disk to be used again")
        self.server.stop()
        async with self.client() as client:
            self.assertEqual([each.key for each in (await client.view("E/list").ready()).rows], ["a"])


class Events(Base):
    async def test_each_event_is_taken_once(self):
        self.server.feed([row("a", 1), row("b", 2)])
        seen = []

        async def take(count):
            async with self.client() as client:
                async for event in client.view("E/append").follow():
                    seen.append((event.op, event.key, event.offset))
                    if len(seen) == count:
                        break

        await take(2)
        self.server.feed([{"export": "E", "key": "a", "op": "delete"}])
        self.server.stop()
        self.server.start()
        await take(4)
        # The last one was not taken: nobody asked for the next.
        self.assertEqual(seen, [("patch", "a", 1), ("patch", "b", 2), ("patch", "b", 2), ("delete", "a", 3)])

    async def test_another_log_is_a_gap(self):
        self.server.feed([row("a", 1), row("b", 2)])
        async with self.client() as client:
            events = client.view("E/append").follow()
            await events.__anext__()
            await events.__anext__()
            waiting = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0)
            self.server.replace(None)
            self.server.feed([row("z", 1)])
            with self.assertRaises(GapError):
                await waiting
            async for event in client.view("E/append").follow():
                self.assertEqual((event.key, event.offset), ("z", 1))
                break


class Feeding(Base):
    config = {"exports": {"E": {}, "F": {"max_array_length": 0}}}

    def list(self):
        found = self.server.rows("F/list")
        return found[0][1]["t"] if found else []

    async def test_a_batch_is_answered(self):
        async with self.client() as client:
            answer = await (await client.apply([row("a", 1), row("b", 2)]))
            self.assertEqual((answer.batch, answer.applied, answer.seq), (1, 2, "0:000000000002"))
            with self.assertRaises(SteleError) as caught:
                await (await client.apply([{"export": "E", "key": "a", "patch": 3}]))
            self.assertEqual(caught.exception.code, "invalid-message")
            self.assertEqual((await (await client.apply([row("c", 1)]))).batch, 3)
            self.assertEqual([each[0] for each in client._kept.refused()], [2])

    async def test_exactly_once_over_kills_of_both(self):
        """A program adds one number after the other to a list; it and the server are killed at any moment."""
        program = """
import asyncio
from stele_client import Client
async def main():
    async with Client(sys.argv[1], sys.argv[2], backoff=0.01, backoff_most=0.1) as client:
        for i in range(int(sys.argv[3]), 100000):
            batch = await client.apply([{"export": "F", "key": "all", "patch": {"t": [i]}, "append": ["t"]}])
            print(batch.number, flush=True)
            await asyncio.sleep(0.001)
asyncio.run(main())"""
        stored = 0
        for i in range(6):
            process = self.program(program, str(stored))
            process.stdout.readline()
            for j in range(2):
                await asyncio.sleep(0.15)
                if i % 2 == j:
                    self.server.stop()
                    self.server.start()
            process.kill()
            process.wait()
            # Batch n has the number n - 1; what was being stored at the end is in the file, or is not.
            async with self.client() as client:
                await asyncio.wait_for(client.settled(), 30 * PATIENCE)
            stored = len(self.list())
            self.assertEqual(self.list(), list(range(stored)))
        self.assertGreater(stored, 6)

    async def test_a_disk_that_is_full_when_a_batch_is_answered(self):
        """The answer counts once the disk takes it, be it an acknowledgement or a refusal."""
        async with self.client() as client:
            feed, full = client._kept.feed, set()
            # Deletes fail in the middle of their transaction, as they may on a full disk.
            feed.create_function("is_full", 0, lambda: 1 // (not full))
            feed.execute("CREATE TEMP TRIGGER full BEFORE DELETE ON batch BEGIN SELECT is_full(); END")
            for key, patch in [("a", {"n": 1}), ("b", 3), ("c", {"n": 3})]:
                full.add(key)
                batch = await client.apply([{"export": "E", "key": key, "patch": patch}])
                await until(lambda: isinstance(client.feed.error, StorageError), "the failure to be told")
                full.clear()
                if patch == 3:
                    with self.assertRaises(SteleError) as caught:
                        await batch
                    self.assertEqual(caught.exception.code, "invalid-message")
                else:
                    self.assertEqual((await batch).applied, 1)
            self.assertEqual((client.feed.pending, client.error), (0, None))
        self.assertEqual({key for key, _ in self.server.rows("E/list")}, {"a", "c"})

    async def test_a_name_of_ones_own(self):
        async with self.client(producer="mine") as client:
            await (await client.apply([row("a", 1)]))
        async with self.client() as client:
            await (await client.apply([row("a", 2)]))
            self.assertEqual(client.feed.producer, "mine")
        async with self.client(producer="other") as client:
            with self.assertRaisesRegex(StorageError, "'mine'"):
                await client.apply([row("a", 3)])


class Tokens(Base):
    def setUp(self):
        super().setUp()
        self.key = str(self.folder / "issuer.pem")
        public = json.loads(self.server.stele("token", "keygen", self.key))["key"]
        self.server.stop()
        self.server.configure({"exports": {"E": {"scope": "team"}}, "auth": {
            "mode": "signed", "keys": [public], "issuer": "https://issuer.example", "audience": "stele"}})
        self.server.start()
        self.server.feed([row("r", 1, team="red"), row("b", 2, team="blue"), row("all", 3)], self.token())

    def token(self, seconds=3600, *scopes):
        more = [part for scope in scopes for part in ("--row-scope", scope)]
        return self.server.stele("token", "sign", "--key-file", self.key, "--subject", "alice", "--issuer",
                                 "https://issuer.example", "--audience", "stele", "--scope", "read write",
                                 "--expires-in", str(seconds), *more).strip()

    async def test_without_a_token_the_reason_is_shown(self):
        async with self.client() as client:
            client.view("E/list")
            await until(lambda: client.error is not None, "the refusal")
            self.assertEqual(client.error.code, "token-missing")

    async def test_tokens_are_renewed_before_they_run_out(self):
        asked = []

        async def fresh():
            asked.append(self.token(4))
            return asked[-1]
        async with self.client(token=fresh) as client:
            view = await client.view("E/list").live()
            ended = []
            client.watch(lambda: ended.append(client.error))
            await until(lambda: len(asked) >= 3, lambda: f"{len(asked)} tokens")
            await asyncio.sleep(1)
            self.assertEqual((ended, view.state), ([], "live"))

    async def test_a_token_that_ran_out_is_followed_by_a_fresh_one(self):
        tokens = [self.token(2)]
        async with self.client(token=lambda: tokens[-1]) as client:
            view = await client.view("E/list").live()
            # There is no fresh one in time: the old one is all that the function has.
            await until(lambda: client.error is not None and client.error.code == "token-expired", "the end of the token")
            tokens.append(self.token())
            self.server.feed([row("more", 1)], tokens[-1])
            await until(lambda: view.get("more"), "the row that came with the fresh token")

    async def test_a_clock_that_is_wrong(self):
        """By it each token is over already, or not for long: tokens are renewed when the server says so."""
        for wrong in (86_400, -86_400):
            asked, times = [], []

            def fresh():
                asked.append(self.token(4))
                times.append(time.monotonic())
                return asked[-1]
            with unittest.mock.patch("stele_client.tokens.time.time", lambda: REAL_TIME() + wrong):
                async with self.client(token=fresh) as client:
                    view = await client.view("E/list").live()
                    await until(lambda: len(asked) >= 2, "another token when the first one is over")
                    self.assertGreater(times[1] - times[0], 2.5, "a token that is good is not renewed all the time")
                    self.server.feed([row(f"by {wrong}", 1)], asked[-1])
                    await until(lambda: view.get(f"by {wrong}"), "the row that came with the fresh token")

    async def test_other_scopes_show_other_rows(self):
        tokens = [self.token(3600, "red")]
        async with self.client(token=lambda: tokens[-1]) as client:
            view = await client.view("E/list").live()
            self.assertEqual({each.key for each in view.rows}, {"r", "all"})
            tokens.append(self.token(3600, "blue"))
            await client.refresh_token()
            await until(lambda: {each.key for each in view.rows} == {"b", "all"}, lambda: view.rows)
            self.server.feed([row("b2", 1, team="blue")], tokens[-1])
            await until(lambda: view.get("b2"), "a row of the other scope")
            # Back to the first token, over a cut: the cursor is not taken for one of those rows.
            tokens.append(tokens[0])
            self.server.stop()
            self.server.start()
            await until(lambda: {each.key for each in view.rows} == {"r", "all"}, lambda: view.rows)


class Sync(Base):
    def test_all_of_it_without_asyncio(self):
        with SyncClient(self.server.url, self.storage, **QUICK) as client:
            self.assertEqual(client.apply_and_wait([row("a", 1)], timeout=20 * PATIENCE).applied, 1)
            view = client.view("E/list").live(timeout=20 * PATIENCE)
            self.assertEqual(bare(view.rows), self.server.rows("E/list"))
            client.apply([row("b", 2)])
            client.settled(timeout=20 * PATIENCE)
            for rows in view:
                if len(rows) == 2:
                    break
            self.assertEqual(bare(client.read("E/list", take=5).rows), self.server.rows("E/list"))
            events = client.view("E/append").follow()
            self.assertEqual([next(events).key, next(events).key], ["a", "b"])
            events.close()
            self.server.stop()
            with self.assertRaises(TimeoutError):
                client.view("E/list", take=1).ready(timeout=0.1)
        with self.assertRaises(SteleError):
            client.read("E/list")


class Package(Base):
    @unittest.skipUnless(importlib.util.find_spec("mypy"), "mypy is not installed")
    def test_the_types_are_right(self):
        done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", str(self.folder)], cwd=HERE.parent,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    @unittest.skipUnless(importlib.util.find_spec("wheel"), "wheel is not installed (apt-get install python3-wheel)")
    def test_a_wheel_in_a_fresh_environment(self):
        source = self.folder / "source"
        shutil.copytree(HERE.parent, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
        quiet = {"check": True, "capture_output": True, "text": True}
        # Without a network: with what this system has of wheel and websockets.
        environment = self.folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(environment)], **quiet)
        python = str(environment / "bin/python")
        subprocess.run([python, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index",
                        "-w", str(self.folder), "."], cwd=source, **quiet)
        (wheel,) = self.folder.glob("stele_client-*.whl")
        told = int(re.search(r"\.whl, of ([\d,]+) bytes", (HERE.parent / "README.md").read_text())[1].replace(",", ""))
        self.assertTrue(0.8 * told < wheel.stat().st_size <= told, f"{wheel.stat().st_size} bytes, and README.md says {told}")
        subprocess.run([python, "-m", "pip", "install", "--no-index", "--no-deps", str(wheel)], **quiet)
        self.server.feed([row("a", 1)])
        program = """
import pathlib, sys, stele_client
from stele_client import SyncClient
assert (pathlib.Path(stele_client.__file__).parent / "py.typed").exists()
assert "environment" in stele_client.__file__, stele_client.__file__
with SyncClient(sys.argv[1], sys.argv[2]) as client:
    client.apply_and_wait([{"export": "E", "key": "b", "patch": {"n": 2}}])
    print([row.key for row in client.view("E/list").live(timeout=60).rows])
"""
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run([python, "-c", program, self.server.url, self.storage], env=environ, cwd=self.folder, **quiet)
        self.assertEqual(done.stdout.strip(), "['b', 'a']")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unittest.main()
