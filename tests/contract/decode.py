"""Decodes a record's value with nothing but the registry: decode.py <registry URL> <hex>."""

import io
import json
import struct
import sys
import urllib.request

import fastavro

registry, value = sys.argv[1], bytes.fromhex(sys.argv[2])
magic, schema_id = struct.unpack(">bI", value[:5])
assert magic == 0, f"the value begins with {magic}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(f"{registry}/schemas/ids/{schema_id}") as answer:
    schema = json.loads(json.load(answer)["schema"])
datum = io.BytesIO(value[5:])
record = fastavro.schemaless_reader(datum, fastavro.parse_schema(schema))
assert not datum.read(), "bytes are left"
print(json.dumps(record, default=str))
