"""Three brokers, three nodes and a proxy in front of them, all in one folder on this machine."""
import asyncio
import json
import os
import time

from nats import stream
from processes import Process, find_program, free_ports, get

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_SECONDS = 30
TOP = 10
EXPORTS = {
    "Quake": {"views": {
        "strongest": {"pipeline": [{"sort": {"by": "mag", "order": "desc"}}, {"take": TOP}]},
        "slim": {"mode": "list", "fields": ["mag", "place", "time"]},
    }},
    "Network": {},
}


class Cluster:
    def __init__(self, stele, folder):
        self.stele = stele
        self.folder = folder
        ports = free_ports(13)
        self.broker_ports, self.route_ports = ports[0:3], ports[3:6]
        self.node_ports, self.health_ports, self.proxy_port = ports[6:9], ports[9:12], ports[12]
        self.told = [None] * 3  # what each node says of itself; None: nothing
        self.brokers = [self.make_broker(i, name) for i, name in enumerate("abc")]
        self.write_configuration()
        self.nodes = [self.make_node(i) for i in range(3)]
        os.mkdir(f"{folder}/proxy")
        self.write("nginx.conf", self.nginx())
        self.proxy = Process("proxy", [find_program("nginx"), "-p", folder, "-c", f"{folder}/nginx.conf",
                                       "-g", "daemon off;"], folder)

    @property
    def processes(self):
        """In the order in which they stop."""
        return [self.proxy, *self.nodes, *self.brokers]

    def make_broker(self, i, name):
        routes = [f"nats://127.0.0.1:{port}" for port in self.route_ports]
        return Process(f"broker-{name}", [
            find_program("nats-server"), "-n", name, "--cluster_name", "demo", "--cluster", routes[i],
            "--routes", ",".join(routes), "-js", "-sd", f"{self.folder}/broker-{name}",
            "-a", "127.0.0.1", "-p", str(self.broker_ports[i])], self.folder)

    def make_node(self, i):
        return Process(f"node-{i + 1}", [
            self.stele, "serve", "--db", self.database(i), "--config", f"{self.folder}/stele.json",
            "--listen", f"127.0.0.1:{self.node_ports[i]}",
            "--health", f"127.0.0.1:{self.health_ports[i]}"], self.folder)

    def database(self, i):
        return f"{self.folder}/node-{i + 1}.db"

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def write_configuration(self):
        self.write("stele.json", json.dumps({
            "log": {"nats": [f"nats://127.0.0.1:{port}" for port in self.broker_ports], "stream": "stele"},
            "exports": EXPORTS,
            "static_files": f"{ROOT}/examples/quakes",
        }, indent=2))

    def nginx(self):
        """As docs/operations.md has it, with three nodes. One that is away is passed over."""
        servers = "\n".join(f"        server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;"
                            for port in self.node_ports)
        paths = "\n".join(f"    {name}_temp_path {self.folder}/proxy/{name};"
                          for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""pid {self.folder}/nginx.pid;
worker_processes 1;
error_log stderr warn;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 512; }}
http {{
    access_log off;
{paths}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream stele {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{self.proxy_port};
        location / {{
            proxy_pass http://stele;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_connect_timeout 1s;
            proxy_read_timeout 330s;
            proxy_send_timeout 330s;
            proxy_buffering off;
        }}
    }}
}}
"""

    async def start(self, publisher):
        for broker in self.brokers:
            await broker.start()
        await asyncio.wait_for(publisher.insist("$JS.API.STREAM.CREATE.stele", stream("stele", 3)), START_SECONDS)
        for process in [*self.nodes, self.proxy]:
            await process.start()
        until = time.monotonic() + START_SECONDS
        while not all([await self.look(i) for i in range(3)]):
            if time.monotonic() > until:
                raise asyncio.TimeoutError("the nodes do not answer")
            await asyncio.sleep(0.1)

    async def look(self, i):
        found = await get(self.health_ports[i], "/status")
        self.told[i] = found and found.get("node")
        return self.told[i]

    async def watch(self):
        async def watch_one(i):
            while True:
                await self.look(i)
                await asyncio.sleep(0.3)
        await asyncio.gather(*(watch_one(i) for i in range(3)))

    async def stop(self):
        """What went wrong."""
        return [problem for process in self.processes if (problem := await process.stop())]
