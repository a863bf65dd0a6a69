"""Reads OTLP/JSON by the published protobuf definitions, strictly: an unknown member is an error.

A line in is {"id": n, "do": "traces" | "metrics", "body": text}; a line out {"id": n, "result": …} or
{"id": n, "error": text}. Ids are hexadecimal in OTLP/JSON, where protobuf's JSON has base64: they
are put back as hexadecimal in the result.
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def converted(value, convert):
    if isinstance(value, list):
        return [converted(each, convert) for each in value]
    if isinstance(value, dict):
        return {k: convert(k, v) if k in IDS else converted(v, convert) for k, v in value.items()}
    return value


def to_base64(name, text):
    raw = bytes.fromhex(text)
    if len(raw) != IDS[name] or text != text.lower() or not any(raw):
        raise ValueError(f"{name} is {text}")
    return base64.b64encode(raw).decode()


def to_hex(_name, text):
    return base64.b64decode(text).hex()


def decode(what, body):
    message = ExportTraceServiceRequest() if what == "traces" else ExportMetricsServiceRequest()
    json_format.ParseDict(converted(json.loads(body), to_base64), message)
    # Over the binary form and back, as a collector would pass it on.
    copy = type(message)()
    copy.ParseFromString(message.SerializeToString())
    return converted(json_format.MessageToDict(copy), to_hex)


for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"result": decode(asked["do"], asked["body"])}
    except Exception as error:  # whatever it is, the test has to see it
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
