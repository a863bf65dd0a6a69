"""Feeding and watching with the package websockets, which offers compression and pings by itself.

Argument: main port's URL. Prints what it has after each of its own mutations came back to it.
"""

import asyncio
import gzip
import json
import sys

import websockets

COUNT = 200


async def frames(socket):
    async for message in socket:
        yield json.loads(gzip.decompress(message) if message[:2] == b"\x1f\x8b" else message)


async def run(url):
    rows, acknowledged = {}, 0
    async with websockets.connect(url + "/", max_size=None, ping_interval=0.2) as watching:
        await watching.send('{"type":"subscribe","view":"E/list"}')
        async for frame in frames(watching):
            if frame.get("op") == "snapshot" and frame.get("complete"):
                break
        async with websockets.connect(url + "/v1/ingest", ping_interval=0.2) as feeding:
            for number in range(COUNT):
                mutation = {"export": "E", "key": f"k{number}", "patch": {"n": number, "pad": "x" * 2000}}
                await feeding.send(json.dumps({"id": number, "mutations": [mutation]}))
            async for frame in frames(feeding):
                assert frame["ack"] == acknowledged, frame
                acknowledged += 1
                if acknowledged == COUNT:
                    break
            await asyncio.sleep(0.5)  # for some pings
        async for frame in frames(watching):
            if "key" in frame:
                rows[frame["key"]] = frame["data"]["n"]
            if len(rows) == COUNT:
                break
    print(json.dumps(rows))


asyncio.run(asyncio.wait_for(run(sys.argv[1].replace("http", "ws")), 120))
