"""Feeds stele from a stream of NATS JetStream, exactly once, in the order of the stream.

usage: from_nats.py [--once] STREAM

The data of a message is a mutation, or a list of them. It takes nats-py. NATS_URL names NATS, STELE_HTTP the server,
STELE_TOKEN a token that may write.

stele itself keeps the position: the number of a batch is the sequence of its last message, committed with it. A start asks
stele for the number and reads behind it, so nothing is acknowledged to NATS, and nothing comes twice or is left out.
"""
import asyncio
import json
import os
import sys
import urllib.error
import urllib.request

import nats
from nats.errors import TimeoutError
from nats.js.api import ConsumerConfig, DeliverPolicy

SERVER = os.environ.get("STELE_HTTP", "http://127.0.0.1:8877")
MESSAGES = 500  # in one batch at most


def ask(path, body=None):
    request = urllib.request.Request(SERVER + path, body and json.dumps(body).encode())
    if "STELE_TOKEN" in os.environ:
        request.add_header("Authorization", f"Bearer {os.environ['STELE_TOKEN']}")
    return json.load(urllib.request.urlopen(request))


def last_batch(producer):
    try:
        return ask(f"/v1/producers/{producer}")["batch"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


async def take(subscription, most, wait):
    """What is there, at least one message unless the wait is over."""
    messages = []
    try:
        while len(messages) < most:
            messages.append(await subscription.next_msg(0.05 if messages else wait))
    except TimeoutError:
        pass
    return messages


async def main():
    once, stream = "--once" in sys.argv, sys.argv[-1]
    producer = f"nats-{stream}"
    connection = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    last = last_batch(producer)
    start = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=(last or 0) + 1)
    subscription = await connection.jetstream().subscribe(">", stream=stream, ordered_consumer=True, config=start)
    while True:
        messages = await take(subscription, MESSAGES, 1 if once else 60)
        if messages:
            batch = messages[-1].metadata.sequence.stream
            content = [json.loads(message.data) for message in messages]
            mutations = [each for one in content for each in (one if isinstance(one, list) else [one])]
            # `previous`: of two of these programs at a time one is refused, and ends.
            previous = {} if last is None else {"previous": last}
            answer = ask("/v1/mutations", {"producer": producer, "batch": batch, "mutations": mutations, **previous})
            print(f"up to {batch}: applied {answer['applied']}, duplicate {answer['duplicate']}", flush=True)
            last = batch
        elif once:
            break
    await connection.close()


asyncio.run(main())
