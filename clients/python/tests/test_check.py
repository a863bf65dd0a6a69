"""Sums, by the vectors of all languages; and views that are compared with a real server (docs/drift.md)."""

import asyncio
import hashlib
import json
import pathlib
import signal
import sqlite3
import sys
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from real_server import PATIENCE, ROOT  # noqa: E402
from stele_client import SteleError, SyncClient  # noqa: E402
from stele_client.sums import Sums, part_of, row_sum, row_text  # noqa: E402
from test_client import Base, row  # noqa: E402

LONG = {"patience": 60 * PATIENCE}


class Vectors(unittest.TestCase):
    def test_all_languages_compute_the_same_sums(self):
        vectors = json.loads((ROOT / "tests/vectors/drift.json").read_text())
        rows = [(each["key"], json.loads(each["row"])) for each in vectors["rows"]]
        for (key, data), each in zip(rows, vectors["rows"]):
            self.assertEqual(row_text(key, data), each["text"])
            self.assertEqual((part_of(key), row_sum(key, data)), (each["part"], each["sum"]))
        found = Sums(rows)
        self.assertEqual((found.sum, found.order, found.rows), (vectors["sum"], vectors["order"], len(rows)))
        self.assertEqual([[part, *each] for part, each in sorted(found.parts.items())], vectors["parts"])

    def test_no_rows_are_0(self):
        self.assertEqual((Sums([]).sum, Sums([]).order, Sums([]).parts), ("0" * 64, "0" * 64, {}))
        self.assertEqual(row_sum("k", {"b": True, "a": None}), hashlib.sha256(b'["k",{"a":null,"b":true}]').hexdigest())


class Checks(Base):
    config = {"exports": {"E": {"views": {"top": {"pipeline": [{"sort": {"by": "n", "order": "desc"}}, {"take": 10}]}}}}}

    def plant(self, *statements):
        """Change the file while nobody has it open."""
        self.server.stop(signal.SIGTERM)
        connection = sqlite3.connect(self.server.db)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        self.server.start()

    async def test_what_differs_is_named_and_nothing_else(self):
        self.server.feed([row(f"k{i}", i, price=1.10, big=10 ** 20, zero=-0.0, text="ä😀") for i in range(300)])
        async with self.client() as client:
            views = [client.view("E/list"), client.view("E/top"), client.view("E/list", where={"field": "n", "lt": 50}),
                     client.view("E/list", sort=["text", {"by": "n", "order": "desc"}], take=9, skip=3)]
            for view in views:
                await view.live()
                self.assertEqual((await client.check(view, **LONG)).equal, True, view.query)
            self.plant("UPDATE entity SET data = json_set(data, '$.n', 7.25) WHERE key = 'k7'",
                       "UPDATE entity SET key = 'other' WHERE key = 'k8'")
            for view in views:
                await view.until("stale", "live")
            await views[0].live()
            found = await client.check(views[0], **LONG)
            self.assertEqual((found.equal, found.order_differs), (False, False))
            self.assertEqual({each.key: each.kind for each in found.keys}, {"k7": "changed", "k8": "here", "other": "there"})
            self.assertEqual((await client.check(await views[1].live(), **LONG)).equal, True)
            tape = await client.view("E/append").live()
            with self.assertRaises(SteleError) as refused:
                await client.check(tape, **LONG)
            self.assertEqual(refused.exception.code, "has-events")

    async def test_a_view_that_is_fed_meanwhile(self):
        self.server.feed([row(f"k{i}", i) for i in range(1000)])
        async with self.client() as client:
            views = [await client.view("E/list").live(), await client.view("E/list", where={"field": "n", "lt": 10}).live()]
            going = True

            async def feed():
                count = 0
                while going:
                    count += 1
                    await asyncio.get_running_loop().run_in_executor(
                        None, self.server.feed, [row(f"k{100 + count % 500}", 100 + count)])
                    await asyncio.sleep(0.01)

            feeding = asyncio.ensure_future(feed())
            for view in views:
                self.assertEqual((await client.check(view, **LONG)).equal, True, view.query)
            for view in views:  # no client of ours does that
                view._data["k7"] = {**view._data["k7"], "n": 7.25}
                view._sorted = None
                found = await client.check(view, **LONG)
                self.assertEqual([(each.key, each.kind) for each in found.keys], [("k7", "changed")], view.query)
            going = False
            await feeding

    async def test_no_longer_than_the_patience(self):
        self.server.feed([row("a", 1)])
        async with self.client() as client:
            view = await client.view("E/list").live()

            async def never(*_, **__):
                await asyncio.Event().wait()

            with unittest.mock.patch.object(client._http, "request", never):
                found = await asyncio.wait_for(client.check(view, patience=0.3), 20 * PATIENCE)
            self.assertIsNone(found.equal)

    async def test_without_asyncio(self):
        self.server.feed([row("a", 1)])

        def work():
            with SyncClient(self.server.url) as client:
                view = client.view("E/list").live(timeout=30)
                return client.check(view)

        found = await asyncio.get_running_loop().run_in_executor(None, work)
        self.assertEqual((found.equal, found.keys), (True, []))


if __name__ == "__main__":
    unittest.main()
