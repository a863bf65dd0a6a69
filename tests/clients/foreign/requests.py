"""The ordinary requests with Python's own clients: urllib where it can, http.client where it cannot.

Arguments: main port's URL, health port's URL. A line for each answer: name, status, body.
"""

import gzip
import http.client
import sys
import urllib.error
import urllib.parse
import urllib.request

main, health = sys.argv[1], sys.argv[2]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def say(name, status, body):
    print(name, status, " ".join(body.decode().split()), sep="\t")


def send(name, method, url, body=None, headers={}):
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with opener.open(request, timeout=60) as answer:
            say(name, answer.status, answer.read())
    except urllib.error.HTTPError as answer:
        say(name, answer.code, answer.read())


def mutation(key, pad):
    return b'{"export":"E","key":"%s","patch":{"pad":"%s"}}\n' % (key.encode(), b"x" * pad)


def pieces(text):
    for at in range(0, len(text), 1000):
        yield text[at : at + 1000]


post = main + "/v1/mutations"
for path in ("health", "ready", "ready/write", "metrics"):
    send(path, "GET", health + "/" + path)
send("views", "GET", main + "/v1/views")
send("length", "POST", post, mutation("length", 10))
send("chunked", "POST", post, pieces(mutation("chunked", 100_000)), {"Content-Type": "application/x-ndjson"})
send("gzip", "POST", post, gzip.compress(mutation("gzip", 50_000)), {"Content-Encoding": "gzip"})
send("rows", "GET", main + "/v1/views/E/list")
send("head", "HEAD", main + "/v1/views")
send("options", "OPTIONS", main + "/v1/views")
send("missing", "GET", main + "/nothing/here")
send("bad", "POST", post, b"no JSON")
send("empty", "POST", post, b"")

# One connection for all of these.
where = urllib.parse.urlsplit(main).netloc
connection = http.client.HTTPConnection(where, timeout=60)


def ask(name, method, path, body=None, headers={}):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    say(name, answer.status, answer.read())


ask("length-0", "GET", "/v1/views", headers={"Content-Length": "0"})
for _ in range(50):
    ask("again", "GET", "/v1/views")
ask("length", "POST", "/v1/mutations", mutation("length", 10))

# It has no Expect of its own, and sends the body at once, as some clients do.
ask("expect", "POST", "/v1/mutations", mutation("expect", 2000), {"Expect": "100-continue"})
try:
    ask("too-large", "POST", "/v1/mutations", mutation("large", 3_000_000))
except (BrokenPipeError, ConnectionResetError):
    # The server need not read what it does not want; its answer has come all the same.
    answer = http.client.HTTPResponse(connection.sock, method="POST")
    answer.begin()
    say("too-large", answer.status, answer.read())
