"""Sends and reads events with the CloudEvents SDK for Python.

client.py send <events URL> <access token>   each mode; prints what was answered, one line for each
client.py read <registry URL>                records on standard input, one JSON line for each
"""

import datetime
import io
import json
import struct
import sys
import urllib.error
import urllib.request

import fastavro
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

# No proxy between two programs on one machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIME = datetime.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=datetime.timezone.utc)


def event(mode, number=1, data=None):
    payload = {"mode": mode, "größe": "5%", "numbers": [1, -2.5, None]}
    attributes = {
        "id": f"{mode} {number}",
        "source": "/python/größe 7",
        "type": "com.example.measured",
        "subject": f"python-{mode}-{number}-%ü",
        "time": TIME,
        "datacontenttype": "application/json",
        "comexample": "of no meaning here",
    }
    return CloudEvent(attributes, payload if data is None else data)


def post(url, token, headers, body):
    headers = {**headers, "authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        answer = OPENER.open(request)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return {
            "status": answer.status,
            "token": answer.headers.get("consistency-token"),
            "body": json.load(answer),
        }


def messages():
    binary, structured = event("binary"), event("structured")
    yield "binary", [binary], http.to_binary_event(binary)
    yield "structured", [structured], http.to_structured_event(structured)
    batch = [event("batch", number) for number in (1, 2, 3)]
    body = b"[" + b",".join(JSONFormat().write(one) for one in batch) + b"]"
    headers = {"content-type": "application/cloudevents-batch+json"}
    yield "batch", batch, http.HTTPMessage(headers=headers, body=body)
    # What is given as bytes travels as base64.
    data = json.dumps(event("bytes").get_data(), ensure_ascii=False).encode()
    in_bytes = event("bytes", data=data)
    yield "bytes", [in_bytes], http.to_structured_event(in_bytes)


def plain(data):
    return json.loads(data) if isinstance(data, bytes) else data


def send(url, token):
    for mode, events, message in messages():
        answer = post(url, token, message.headers, message.body)
        sent = [{"device": one.get_subject(), "payload": plain(one.get_data())} for one in events]
        print(json.dumps({"mode": mode, "sent": sent, **answer}))


def decoded(registry, value):
    magic, schema_id = struct.unpack(">bI", value[:5])
    assert magic == 0, f"the value begins with {magic}"
    with OPENER.open(f"{registry}/schemas/ids/{schema_id}") as answer:
        schema = json.loads(json.load(answer)["schema"])
    return fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(schema))


def read(registry):
    for line in sys.stdin:
        record = json.loads(line)
        headers = {name: value.encode() for name, value in record["headers"].items()}
        value = bytes.fromhex(record["value"])
        message = kafka.KafkaMessage(headers=headers, key=record["key"].encode(), value=value)
        one = kafka.from_kafka(message, JSONFormat(), CloudEvent)
        data = one.get_data()
        data = data if isinstance(data, bytes) else data.encode()
        attributes = {
            "id": one.get_id(),
            "source": one.get_source(),
            "type": one.get_type(),
            "subject": one.get_subject(),
            "time": one.get_time().isoformat(),
            "datacontenttype": one.get_datacontenttype(),
            "partitionkey": one.get_extension("partitionkey"),
        }
        print(json.dumps({**attributes, "data": decoded(registry, data)}, default=str))


{"send": send, "read": read}[sys.argv[1]](*sys.argv[2:])
