"""The ordinary requests with the package requests. Arguments and output as in requests.py."""

import gzip
import sys

import requests

main, health = sys.argv[1], sys.argv[2]
post = main + "/v1/mutations"
lines = {"Content-Type": "application/x-ndjson"}
session = requests.Session()
session.trust_env = False


def say(name, answer):
    print(name, answer.status_code, " ".join(answer.text.split()), sep="\t")


def mutation(key, pad):
    return b'{"export":"E","key":"%s","patch":{"pad":"%s"}}\n' % (key.encode(), b"x" * pad)


def pieces(text):
    for at in range(0, len(text), 1000):
        yield text[at : at + 1000]


def send(name, body, **headers):
    say(name, session.post(post, data=body, headers={**lines, **headers}, timeout=60))


for path in ("health", "ready", "ready/write", "metrics"):
    say(path, session.get(health + "/" + path, timeout=60))
say("views", session.get(main + "/v1/views", timeout=60))
send("length", mutation("length", 10))
send("chunked", pieces(mutation("chunked", 100_000)))
send("gzip", gzip.compress(mutation("gzip", 50_000)), **{"Content-Encoding": "gzip"})
send("expect", mutation("expect", 2000), Expect="100-continue")

# It asks for gzip by itself, and reads what comes piece by piece.
with session.get(main + "/v1/views/E/list", stream=True, timeout=60) as answer:
    assert answer.headers.get("Content-Encoding") == "gzip", answer.headers
    text = b"".join(answer.iter_content(997))
    print("rows", answer.status_code, text.decode().strip(), sep="\t")

say("head", session.head(main + "/v1/views", timeout=60))
say("options", session.options(main + "/v1/views", timeout=60))
say("missing", session.get(main + "/nothing/here", timeout=60))
send("bad", b"no JSON")
send("empty", b"")
say("length-0", session.get(main + "/v1/views", headers={"Content-Length": "0"}, timeout=60))
for _ in range(50):
    say("again", session.get(main + "/v1/views", timeout=60))
send("too-large", mutation("large", 3_000_000))
