"""A node that is fed by a log beside the same node fed directly: rates, fan-out, latency.

Started by tools/cluster-bench. Every comparison alternates within one run, so a drift of the machine
affects all cases alike.
"""
import argparse
import base64
import json
import os
import random
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from nats import stream
from processes import find_program, free_ports

KEYS = 10_000
PATIENCE_SECONDS = 120
IN_FLIGHT = 512
TICK = os.sysconf("SC_CLK_TCK")


# ---- processes ----

def start(command, log):
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=log, text=True)


def stop(process):
    process.terminate()
    process.wait()


def processor_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def folder_bytes(folder):
    return sum(os.path.getsize(f"{at}/{name}") for at, _, names in os.walk(folder) for name in names)


class Brokers:
    """One, or three that are one cluster, with a stream."""

    def __init__(self, folder, count):
        self.folder = folder
        ports = free_ports(2 * count)
        self.ports, routes = ports[:count], [f"nats://127.0.0.1:{port}" for port in ports[count:]]
        self.log = open(f"{folder}/brokers.log", "a", encoding="utf-8")
        self.processes = []
        for i, port in enumerate(self.ports):
            more = ["-n", f"b{i}", "--cluster_name", "b", "--cluster", routes[i], "--routes", ",".join(routes)]
            self.processes.append(start([find_program("nats-server"), "-js", "-sd", f"{folder}/broker-{count}-{i}",
                                         "-a", "127.0.0.1", "-p", str(port), *(more if count > 1 else [])], self.log))
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.make(count):
            if time.monotonic() > until:
                raise SystemExit("the brokers make no stream")
            time.sleep(0.1)

    def make(self, replicas):
        try:
            feeder = LogFeeder(self)
            answer = feeder.ask("$JS.API.STREAM.CREATE.stele", stream("stele", replicas))
            return b"did_create" in answer or b'"error"' not in answer
        except (OSError, ValueError):
            return False

    def end(self):
        for process in self.processes:
            stop(process)
        self.log.close()


class Node:
    """A server on a file of its own, with a log or without."""

    def __init__(self, options, folder, name, brokers=None):
        self.program = options.stele
        self.file = f"{folder}/{name}.db"
        self.log = open(f"{folder}/{name}.log", "a", encoding="utf-8")
        configuration = {"exports": {"Item": {}}, "retention_rows": 2_000_000}
        if brokers:
            configuration["log"] = {"nats": [f"nats://127.0.0.1:{port}" for port in brokers.ports], "stream": "stele"}
        with open(f"{self.file}.json", "w", encoding="utf-8") as file:
            json.dump(configuration, file)
        self.start()

    def start(self):
        self.process = start([self.program, "serve", "--db", self.file, "--config", f"{self.file}.json",
                              "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"], self.log)
        line = self.process.stdout.readline()
        found = re.match(r"stele ready: ws://127.0.0.1:(\d+) health http://127.0.0.1:(\d+)", line)
        if not found:
            raise SystemExit(f"a node does not start: {line}; see {self.log.name}")
        self.port, self.health = int(found.group(1)), int(found.group(2))

    def stop(self):
        stop(self.process)

    def end(self):
        self.stop()
        self.remove()

    def remove(self):
        self.log.close()
        for more in ("", "-wal", "-shm", ".json"):
            if os.path.exists(self.file + more):
                os.remove(self.file + more)

    def position(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/producers/@log", timeout=10) as answer:
                return json.load(answer)["batch"]
        except urllib.error.HTTPError:
            return 0

    def writable(self):
        """Wait until it takes what it is asked to write."""
        if subprocess.run([self.program, "ready", "--url", f"http://127.0.0.1:{self.health}", "--write",
                           "--wait", str(PATIENCE_SECONDS)], capture_output=True, check=False).returncode:
            raise SystemExit("a node takes nothing")

    def reach(self, sequence):
        until = time.monotonic() + PATIENCE_SECONDS
        while self.position() < sequence:
            if time.monotonic() > until:
                raise SystemExit(f"a node stays behind message {sequence}")
            time.sleep(0.01)


# ---- feeding ----

class Feeder:
    """A connection on which messages are acknowledged in their order."""

    def pump(self, messages):
        """Send all, with so many at a time under way. Seconds."""
        began = time.monotonic()
        acknowledged, sent, rest = 0, 0, b""
        while acknowledged < len(messages):
            if sent < len(messages) and sent - acknowledged <= IN_FLIGHT // 2:
                some = messages[sent:acknowledged + IN_FLIGHT]
                self.socket.sendall(b"".join(some))
                sent += len(some)
            part = rest + self.socket.recv(1 << 18)
            acknowledged += part.count(self.ACKNOWLEDGED)
            if any(each in part for each in self.REFUSED):
                raise SystemExit(f"a message was refused: {part[:500]}")
            at = part.rfind(self.ACKNOWLEDGED)
            rest = part[at + 1:][-64:] if at >= 0 else part[-64:]
        return time.monotonic() - began


class LogFeeder(Feeder):
    ACKNOWLEDGED = b'"seq":'
    REFUSED = (b'"error"', b"NATS/1.0 503")

    def __init__(self, brokers):
        self.socket = socket.create_connection(("127.0.0.1", brokers.ports[0]), timeout=PATIENCE_SECONDS)
        self.socket.recv(65536)
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.bench 1\r\n')

    def ask(self, subject, body):
        self.socket.settimeout(2)
        self.socket.sendall(self.message(body, subject))
        answer = self.socket.recv(65536)
        self.socket.settimeout(PATIENCE_SECONDS)
        return answer

    @staticmethod
    def message(body, subject="stele"):
        return f"PUB {subject} _INBOX.bench {len(body)}\r\n".encode() + body + b"\r\n"


def open_websocket(port, path):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    if b" 101 " not in head:
        raise SystemExit(f"no WebSocket: {head[:200]}")
    return connection


def frame(body):
    """A text message, masked with zeros."""
    length = len(body)
    if length < 126:
        head = bytes([0x81, 0x80 | length])
    elif length < 65536:
        head = bytes([0x81, 0xFE]) + length.to_bytes(2, "big")
    else:
        head = bytes([0x81, 0xFF]) + length.to_bytes(8, "big")
    return head + bytes(4) + body


class DirectFeeder(Feeder):
    ACKNOWLEDGED = b'{"ack":'
    REFUSED = (b'{"nack":',)

    def __init__(self, node):
        self.socket = open_websocket(node.port, "/v1/ingest")

    message = staticmethod(frame)


class Load:
    """Batches of one producer: first all entities, then patches at random keys."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.batch = 0

    def body(self, mutations):
        self.batch += 1
        return f'{{"producer":"bench","batch":{self.batch},"mutations":[{",".join(mutations)}]}}'.encode()

    def entities(self):
        made = [f'{{"export":"Item","key":"k{i:08}","patch":{{"n":{i},"text":"{"x" * 280}"}}}}' for i in range(KEYS)]
        return [self.body(made[i:i + 500]) for i in range(0, KEYS, 500)]

    def patch(self, more=""):
        return (f'{{"export":"Item","key":"k{self.random.randrange(KEYS):08}","patch":{{"n":{self.random.randrange(10 ** 8)},'
                f'"price":{self.random.random():.6f},"text":"{"y" * 90}"{more}}}}}')

    def patches(self, count, batch):
        return [self.body([self.patch() for _ in range(batch)]) for _ in range(count // batch)]


# ---- the report ----

class Report:
    def __init__(self):
        self.samples = {}

    def add(self, case, measure, value):
        self.samples.setdefault((case, measure), []).append(value)
        print(f"  {case}: {measure} {value:,.4g}", file=sys.stderr, flush=True)

    def median(self, case, measure):
        return statistics.median(self.samples[case, measure])

    def ratio(self, case, other, measure, title):
        """Of rounds that stood beside each other."""
        pairs = zip(self.samples[case, measure], self.samples[other, measure])
        self.samples[title, measure] = [a / b for a, b in pairs]

    def tell(self):
        for (case, measure), values in self.samples.items():
            print(f"{case:42} {measure:36} {statistics.median(values):12,.4g}   "
                  f"({min(values):,.4g} – {max(values):,.4g})")


# ---- what is measured ----

def measure_rates(options, folder, report):
    """A node in four ways: without a log; by one, as it comes; by one that has all already; and asked
    to write, which it does by the log."""
    for batch in options.batches:
        count = max(batch, int(options.mutations * (1 if batch >= 100 else 0.2)))
        name = f"batches of {batch}"
        for turn in range(options.rounds):
            load = Load()
            entities = load.entities()
            patches, again, third = (load.patches(count, batch) for _ in range(3))
            node = Node(options, folder, f"direct-{batch}-{turn}")
            feeder = DirectFeeder(node)
            feeder.pump([frame(body) for body in entities])
            report.add(f"{name}, directly", "mutations/s", count / feeder.pump([frame(body) for body in patches]))
            node.end()

            brokers = Brokers(tempfile.mkdtemp(dir=folder), 1)
            node = Node(options, folder, f"log-{batch}-{turn}", brokers)
            feeder = LogFeeder(brokers)
            feeder.pump([feeder.message(body) for body in entities])
            node.reach(len(entities))
            began = time.monotonic()
            feeder.pump([feeder.message(body) for body in patches])
            report.add(f"{name}, by the log", "published/s", count / (time.monotonic() - began))
            node.reach(len(entities) + len(patches))
            report.add(f"{name}, by the log", "mutations/s", count / (time.monotonic() - began))
            node.stop()
            feeder.pump([feeder.message(body) for body in again])
            node.start()
            began = time.monotonic()
            node.reach(len(entities) + len(patches) + len(again))
            report.add(f"{name}, from a full log", "mutations/s", count / (time.monotonic() - began))
            node.writable()
            through = DirectFeeder(node)
            report.add(f"{name}, through a node", "mutations/s", count / through.pump([frame(body) for body in third]))
            node.stop()
            brokers.end()
            of_all = 3 * count + KEYS
            report.add(name, "bytes of the stream for a mutation", folder_bytes(brokers.folder) / of_all)
            report.add(name, "bytes of a node's file for a mutation", os.path.getsize(node.file) / of_all)
            node.remove()
        report.ratio(f"{name}, by the log", f"{name}, directly", "mutations/s", f"{name}, by the log : directly")
        report.ratio(f"{name}, from a full log", f"{name}, directly", "mutations/s",
                     f"{name}, from a full log : directly")
        report.ratio(f"{name}, through a node", f"{name}, directly", "mutations/s",
                     f"{name}, through a node : directly")


class Audience:
    """Subscribers of the list, and when each has seen the last row."""

    def __init__(self, ports, count):
        self.sockets = {}
        self.poll = select.epoll()
        for i in range(count):
            connection = open_websocket(ports[i % len(ports)], "/")
            connection.sendall(frame(b'{"type":"subscribe","view":"Item/list","withSnapshot":false}'))
            connection.setblocking(False)
            self.sockets[connection.fileno()] = connection
            self.poll.register(connection, select.EPOLLIN)

    def settle(self):
        """They are told that they are subscribed."""
        waiting = set(self.sockets)
        while waiting:
            waiting -= {number for number, _ in self.drain(1)}

    def drain(self, seconds):
        for number, _ in self.poll.poll(seconds):
            try:
                yield number, self.sockets[number].recv(1 << 20)
            except BlockingIOError:
                pass

    def until_last(self, mark):
        """Frames that came until everybody has that row."""
        waiting, rests, frames = set(self.sockets), {}, 0
        until = time.monotonic() + PATIENCE_SECONDS
        while waiting:
            if time.monotonic() > until:
                raise SystemExit(f"{len(waiting)} subscribers have not got all")
            for number, part in self.drain(1):
                whole = rests.get(number, b"") + part
                frames += part.count(b'"op":')
                if mark in whole:
                    waiting.discard(number)
                rests[number] = whole[-64:]
        return frames

    def end(self):
        for connection in self.sockets.values():
            connection.close()
        self.poll.close()


def measure_fanout(options, folder, report):
    """The same subscribers on one node, and on three that follow the same log."""
    brokers = Brokers(tempfile.mkdtemp(dir=folder), 1)
    feeder = LogFeeder(brokers)
    load = Load()
    last = len(load.entities())
    feeder.pump([feeder.message(body) for body in Load().entities()])
    for turn in range(options.rounds):
        for count in (1, 3):
            nodes = [Node(options, folder, f"fanout-{turn}-{count}-{i}", brokers) for i in range(count)]
            for node in nodes:
                node.reach(last)
            audience = Audience([node.port for node in nodes], options.subscribers)
            audience.settle()
            key = f"last-{turn}-{count}"
            bodies = load.patches(options.burst, 100)
            bodies.append(load.body([f'{{"export":"Item","key":"{key}","patch":{{"n":1}}}}']))
            before = [processor_seconds(node.process) for node in nodes]
            began = time.monotonic()
            feeder.pump([feeder.message(body) for body in bodies])
            frames = audience.until_last(f'"key":"{key}"'.encode())
            seconds = time.monotonic() - began
            used = [processor_seconds(node.process) - was for node, was in zip(nodes, before)]
            case = f"{options.subscribers} subscribers of {count} node{'s' if count > 1 else ''}"
            report.add(case, "frames/s", frames / seconds)
            report.add(case, "processor s of the busiest node", max(used))
            report.add(case, "processor s of all nodes", sum(used))
            last += len(bodies)
            audience.end()
            for node in nodes:
                node.end()
    brokers.end()


def measure_latency(options, folder, report):
    """From when a mutation was due to when a subscriber has it; with one broker and with three, and
    where the node itself is asked to write."""
    single, three, own = (Brokers(tempfile.mkdtemp(dir=folder), count) for count in (1, 3, 1))
    sides = []
    for name, brokers in (("directly", None), ("by one broker", single), ("by three brokers", three),
                          ("through a node", own)):
        node = Node(options, folder, f"latency-{name.replace(' ', '-')}", brokers)
        if brokers is own:
            node.writable()
        feeder = DirectFeeder(node) if brokers in (None, own) else LogFeeder(brokers)
        load = Load()
        feeder.pump([feeder.message(body) for body in load.entities()])
        sides.append((name, node, feeder, load))
    for turn in range(options.rounds):
        for name, node, feeder, load in sides:
            samples = sorted(sample_latency(options, node, feeder, load))
            for share, title in ((0.5, "p50"), (0.99, "p99")):
                report.add(f"latency, {name}", f"{title}, ms", 1000 * samples[int(share * (len(samples) - 1))])
    for name in ("by one broker", "by three brokers", "through a node"):
        for title in ("p50, ms", "p99, ms"):
            report.samples[f"added latency, {name}", title] = [
                a - b for a, b in zip(report.samples[f"latency, {name}", title], report.samples["latency, directly", title])]
    for _, node, _, _ in sides:
        node.end()
    for brokers in (single, three, own):
        brokers.end()


def sample_latency(options, node, feeder, load):
    audience = Audience([node.port], 1)
    audience.settle()
    subscriber = next(iter(audience.sockets.values()))
    count = int(options.rate * options.seconds)
    began = time.monotonic() + 0.05
    due = [began + i / options.rate for i in range(count)]
    sent, seen, rest, samples = 0, 0, b"", []
    until = due[-1] + PATIENCE_SECONDS
    while seen < count:
        now = time.monotonic()
        if now > until:
            raise SystemExit(f"{count - seen} changes never came")
        while sent < count and due[sent] <= now:
            feeder.socket.sendall(feeder.message(load.body([load.patch(f',"due":{sent}')])))
            sent += 1
        wait = max(0, due[sent] - time.monotonic()) if sent < count else 1
        ready, _, _ = select.select([subscriber, feeder.socket], [], [], wait)
        if feeder.socket in ready:
            feeder.socket.recv(1 << 16)
        if subscriber in ready:
            whole = rest + subscriber.recv(1 << 18)
            now = time.monotonic()
            cut = whole.rfind(b"}") + 1
            for number in re.findall(rb'"due":(\d+)', whole[:cut]):
                samples.append(now - due[int(number)])
                seen += 1
            rest = whole[cut:]
    audience.end()
    return samples


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stele", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("what", nargs="*", default=[])
    options = parser.parse_args()
    sizes = {"mutations": 200_000, "batches": [1, 100, 1000], "subscribers": 300, "burst": 20_000, "rate": 500, "seconds": 5}
    if options.quick:
        sizes = {"mutations": 5_000, "batches": [1, 100], "subscribers": 20, "burst": 2_000, "rate": 200, "seconds": 1}
        options.rounds = 1
    vars(options).update(sizes)
    measures = {"rates": measure_rates, "fanout": measure_fanout, "latency": measure_latency}
    folder = tempfile.mkdtemp(prefix="stele-cluster-bench.")
    report = Report()
    before = os.getloadavg()
    try:
        for name in options.what or measures:
            measures[name](options, folder, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"load of the machine before {before[0]:.1f}, at the end {os.getloadavg()[0]:.1f}; medians of {options.rounds} "
          f"rounds (lowest – highest)")
    report.tell()


if __name__ == "__main__":
    main()
