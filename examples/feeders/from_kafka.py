"""Feeds stele from a topic of Kafka, exactly once, each partition in its order.

usage: from_kafka.py TOPIC

The value of a message is a mutation. It takes confluent-kafka. KAFKA names the brokers, STELE_HTTP the server, STELE_TOKEN
a token that may write.

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
MESSAGES = 500


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
            return 0
        raise


def main():
    (topic,) = sys.argv[1:]
    consumer = Consumer({"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"), "group.id": f"stele-{topic}",
                         "enable.auto.commit": False, "isolation.level": "read_committed"})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    next_offset = {each: last_batch(f"kafka-{topic}-{each}") for each in partitions}
    consumer.assign([TopicPartition(topic, each, offset) for each, offset in next_offset.items()])
    while True:
        by_partition = {}
        for message in consumer.consume(MESSAGES, timeout=1):
            if message.error():
                raise SystemExit(str(message.error()))
            by_partition.setdefault(message.partition(), []).append(message)
        for partition, messages in by_partition.items():
            batch = {"producer": f"kafka-{topic}-{partition}", "batch": messages[-1].offset() + 1,
                     "mutations": [json.loads(each.value()) for each in messages if each.value() is not None]}
            if next_offset[partition]:
                batch["previous"] = next_offset[partition]
            ask("/v1/mutations", batch)
            next_offset[partition] = batch["batch"]


main()
