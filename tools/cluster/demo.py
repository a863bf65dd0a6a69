"""Three brokers, three nodes, a proxy, and a table that stays right while they are killed.

Started by tools/cluster-demo, which builds the server first.
"""
import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from cluster import ROOT, TOP, Cluster
from nats import Publisher
from screen import Screen
from view import LiveView, merge

LINES = 8  # of a message
SETTLE_SECONDS = 30


def top_of(quakes):
    """The strongest; ties go by key."""
    order = sorted(quakes.items(), key=lambda item: (-item[1].get("mag", -99), item[0]))
    return [(key, *(quake.get(name) for name in ("mag", "place", "status", "time")))
            for key, quake in order[:TOP]]


class Demo:
    def __init__(self, options, folder):
        with open(f"{ROOT}/tests/data/quakes.ndjson", encoding="utf-8") as file:
            self.lines = file.read().splitlines()
        self.options = options
        self.cluster = Cluster(options.stele, folder)
        self.publisher = Publisher(self.cluster.broker_ports)
        self.view = LiveView(self.cluster.proxy_port, "Quake/strongest")
        self.screen = Screen()
        self.quakes = {}  # what the views must show: of what was acknowledged, worked out here
        self.fed = self.last = 0  # lines that were acknowledged; the sequence of the last message
        self.leader = ""
        self.kills = 0
        self.news = "nothing yet"
        self.wrong_since = None
        self.longest_wrong = 0.0
        self.began = time.monotonic()
        self.rate = options.rate or 1 + int(len(self.lines) / (0.8 * (options.seconds or 120)))

    # ---- what is shown ----

    def shown(self):
        return top_of(self.view.rows)

    def headline(self):
        ends = f" of {self.options.seconds}" if self.options.seconds else ""
        return (f"in a browser, through the proxy: http://127.0.0.1:{self.cluster.proxy_port}/ "
                f"({time.monotonic() - self.began:.0f}{ends} s; Ctrl-C ends it)")

    def compare(self):
        """Whether the table is right now, and how long it was not."""
        now = time.monotonic()
        if self.shown() == top_of(self.quakes):
            self.wrong_since = None
        elif self.wrong_since is None:
            self.wrong_since = now
        else:
            self.longest_wrong = max(self.longest_wrong, now - self.wrong_since)

    # ---- what goes on at the same time ----

    def acknowledge(self, lines, sequence):
        for mutation in map(json.loads, lines):
            if mutation["export"] == "Quake":
                merge(self.quakes.setdefault(mutation["key"], {}), mutation["patch"])
        self.fed += len(lines)
        self.last = sequence
        self.compare()

    async def feed(self):
        """One message after the other, each until it is acknowledged. One that is sent twice, because
        its acknowledgement was lost, has the same batch number: every node takes it once."""
        for batch, at in enumerate(range(0, len(self.lines), LINES), 1):
            lines = self.lines[at:at + LINES]
            body = f'{{"producer":"demo","batch":{batch},"mutations":[{",".join(lines)}]}}'
            answer = await self.publisher.insist("stele", body.encode())
            self.acknowledge(lines, answer["seq"])
            await asyncio.sleep(max(0, self.began + self.fed / self.rate - time.monotonic()))

    async def watch_leader(self):
        """On a connection of its own: the publisher waits for its answers."""
        asking = Publisher(self.cluster.broker_ports)
        while True:
            answer = await asking.insist("$JS.API.STREAM.INFO.stele", b"")
            self.leader = answer.get("cluster", {}).get("leader", "")
            await asyncio.sleep(0.5)

    def victim(self, is_broker):
        if not is_broker:
            return random.choice(self.cluster.nodes)
        leading = [broker for broker in self.cluster.brokers if broker.name[-1] == self.leader]
        return (leading or self.cluster.brokers)[0]

    async def kill(self):
        """The broker that leads and a node, in turns; never while another of its kind is away."""
        is_broker = True
        while self.options.kill:
            await asyncio.sleep(self.options.kill)
            while not all(each.is_up for each in (self.cluster.brokers if is_broker else self.cluster.nodes)):
                await asyncio.sleep(0.1)
            victim = self.victim(is_broker)
            victim.kill()
            self.kills += 1
            self.news = f"{victim.name}{', which led' if victim.name[-1] == self.leader else ''}"
            self.screen.say(f"killed: {self.news}")
            is_broker = not is_broker

    async def compare_always(self):
        while True:
            await self.view.changed.wait()
            self.view.changed.clear()
            self.compare()

    async def draw(self):
        while True:
            self.compare()
            self.screen.draw(self)
            await asyncio.sleep(0.2)

    # ---- from the beginning to the end ----

    async def run(self, stopping):
        starting = asyncio.create_task(self.cluster.start(self.publisher))
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return True
        starting.result()
        self.began = time.monotonic()
        self.screen.say(self.headline())
        tasks = [asyncio.create_task(each) for each in (
            self.feed(), self.view.follow(), self.compare_always(), self.draw(), self.cluster.watch(),
            self.watch_leader(), self.kill())]
        try:
            return await self.wait_for_end(tasks, asked)
        finally:
            for task in tasks:
                task.cancel()

    async def wait_for_end(self, tasks, asked):
        feeding, killing = tasks[0], tasks[-1]
        ends = self.began + self.options.seconds if self.options.seconds else float("inf")
        while time.monotonic() < ends and not asked.done():
            for task in tasks:
                if task.done() and task.exception():
                    raise task.exception()
            await asyncio.sleep(0.1)
        killing.cancel()
        feeding.cancel()  # a message may be under way: the nodes have it or not, alike
        return asked.done() or await self.settle()

    async def settle(self):
        """Until everything is up again and the table is right."""
        until = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            told = [await self.cluster.look(i) for i in range(3)]
            if all(each and not each["lag_messages"] and each["condition"] == "log-reading" for each in told):
                self.compare()
                if self.is_settled(told):
                    return True
            await asyncio.sleep(0.1)
        return False

    def is_settled(self, told):
        """The last message may be one whose acknowledgement nobody waited for any more."""
        positions = {each["position"] for each in told}
        return len(positions) == 1 and (self.wrong_since is None or positions != {self.last})


# ---- the end ----

def shell(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check_files(cluster):
    """What is wrong with the nodes' files, which have all of the log."""
    problems, contents = [], set()
    for i in range(3):
        checked = shell(cluster.stele, "check", "--db", cluster.database(i))
        if checked.returncode:
            problems.append(checked.stdout + checked.stderr)
        contents.add(shell("sqlite3", "-readonly", cluster.database(i),
                           'SELECT key, seq, data FROM "Quake/list" UNION ALL '
                           'SELECT key, seq, data FROM "Network/list"').stdout)
    if len(contents) > 1:
        problems.append("the files of the nodes differ")
    return problems


def tell_end(demo, folder):
    count = shell("sqlite3", "-readonly", demo.cluster.database(0), 'SELECT count(*) FROM "Quake/list"').stdout.strip()
    print(f"""
{demo.kills} kills. The table was other than what was acknowledged for {demo.longest_wrong:.1f} s at most. Its connection
was made {demo.view.begun} times; {demo.view.anew} of them brought the whole table, which is less than the changes it missed.
All three files hold the same {count} quakes, and stele check finds nothing wrong.

  sqlite3 {folder}/node-1.db 'SELECT count(*) FROM "Quake/list"'

How to run this for good: docs/cluster.md. To be rid of the folder: rm -r {folder}""")


async def main(options):
    folder = tempfile.mkdtemp(prefix="stele-cluster.")
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    demo = Demo(options, folder)
    problems = []
    try:
        if not await demo.run(stopping):
            problems.append("the nodes did not come to the end of the log, or the table is not right")
    except (OSError, asyncio.TimeoutError) as error:
        problems.append(f"it did not start: {error}")
    finally:
        demo.screen.close()
        problems += await demo.cluster.stop()
    if not problems and not stopping.is_set():
        problems += check_files(demo.cluster)
    if problems:
        print("\n".join(["tools/cluster-demo: something went wrong:", *problems,
                         f"the folder with the logs stays: {folder}"]), file=sys.stderr)
        return 1
    if stopping.is_set():
        print(f"\nEverything has stopped. The folder stays: {folder}")
    else:
        tell_end(demo, folder)
    return 0


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stele", required=True)
    for name in ("seconds", "rate"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--kill", type=float, default=6)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(read_options())))
