"""Feeds stele from a topic of Kafka, exactly once, each partition in its order.

usage: from_kafka.py [--once] TOPIC

The value of a message is a mutation. It takes confluent-kafka. KAFKA names the brokers, STELE_HTTP the server, STELE_TOKEN
a token that may write. With --once it ends when it has what the topic had at its start.

stele itself keeps the offsets: each partition is a producer, and the number of a batch is the offset of its last message plus
one, committed with it. So no offset is committed to Kafka. Entities that must keep their order belong in one partition.
"""
import json
import os
import sys
import urllib.error
import urllib.request

from confluent_kafka import Consumer, TopicPartition

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


def feed(topic, partition, messages, last):
    """The number of the batch of these messages. `previous`: of two of these programs at a time one is refused, and ends."""
    batch = messages[-1].offset() + 1
    mutations = [json.loads(each.value()) for each in messages if each.value() is not None]
    previous = {} if last is None else {"previous": last}
    answer = ask("/v1/mutations", {"producer": f"kafka-{topic}-{partition}", "batch": batch, "mutations": mutations, **previous})
    print(f"partition {partition} up to {batch}: applied {answer['applied']}, duplicate {answer['duplicate']}", flush=True)
    return batch


def main():
    once, topic = "--once" in sys.argv, sys.argv[-1]
    consumer = Consumer({"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"), "group.id": f"stele-{topic}",
                         "enable.auto.commit": False, "auto.offset.reset": "error", "isolation.level": "read_committed",
                         "enable.partition.eof": True})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    last = {each: last_batch(f"kafka-{topic}-{each}") for each in partitions}
    first = {each: consumer.get_watermark_offsets(TopicPartition(topic, each))[0] for each in partitions}
    # A message that Kafka has deleted before it was fed is lost: an offset that is no more there is an error.
    consumer.assign([TopicPartition(topic, each, first[each] if last[each] is None else last[each]) for each in partitions])
    at_end = set()
    while not once or len(at_end) < len(partitions):
        by_partition = {}
        for message in consumer.consume(MESSAGES, timeout=1):
            if not message.error():
                by_partition.setdefault(message.partition(), []).append(message)
            elif message.error().code() == -191:  # the end of a partition, for now
                at_end.add(message.partition())
            else:
                raise SystemExit(str(message.error()))
        for partition, messages in by_partition.items():
            last[partition] = feed(topic, partition, messages, last[partition])
    consumer.close()


main()
