"""The ordinary requests with the package aiohttp. Arguments and output as in requests.py."""

import asyncio
import gzip
import json
import sys

import aiohttp

main, health = sys.argv[1], sys.argv[2]
post = main + "/v1/mutations"


def say(name, status, text):
    print(name, status, " ".join(text.split()), sep="\t")


def mutation(key, pad):
    return b'{"export":"E","key":"%s","patch":{"pad":"%s"}}\n' % (key.encode(), b"x" * pad)


async def pieces(text):
    for at in range(0, len(text), 1000):
        yield text[at : at + 1000]


async def ask(session, name, method, url, **options):
    async with session.request(method, url, **options) as answer:
        say(name, answer.status, await answer.text())


async def watch(session, url):
    async with session.ws_connect(url, compress=15, autoping=True) as socket:
        await socket.send_str('{"type":"subscribe","view":"E/list"}')
        async for message in socket:
            data = message.data
            text = gzip.decompress(data).decode() if data[:2] == b"\x1f\x8b" else data
            text = text if isinstance(text, str) else text.decode()
            frame = json.loads(text)
            if frame.get("op") == "snapshot" and frame.get("complete"):
                say("websocket", 101, text)
                return


async def run():
    lines = {"Content-Type": "application/x-ndjson"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for path in ("health", "ready", "ready/write", "metrics"):
            await ask(session, path, "GET", health + "/" + path)
        await ask(session, "views", "GET", main + "/v1/views")
        await ask(session, "length", "POST", post, data=mutation("length", 10), headers=lines)
        await ask(session, "chunked", "POST", post, data=pieces(mutation("chunked", 100_000)), headers=lines)
        await ask(session, "expect", "POST", post, data=mutation("expect", 2000), expect100=True)
        packed = gzip.compress(mutation("gzip", 50_000))
        await ask(session, "gzip", "POST", post, data=packed, headers={"Content-Encoding": "gzip"})
        await ask(session, "rows", "GET", main + "/v1/views/E/list")
        await ask(session, "head", "HEAD", main + "/v1/views")
        await ask(session, "options", "OPTIONS", main + "/v1/views")
        await ask(session, "missing", "GET", main + "/nothing/here")
        await ask(session, "bad", "POST", post, data=b"no JSON")
        await ask(session, "empty", "POST", post, data=b"")
        for _ in range(50):
            await ask(session, "again", "GET", main + "/v1/views")
        await watch(session, main)
        await ask(session, "too-large", "POST", post, data=mutation("large", 3_000_000))


asyncio.run(run())
