"""What schemathesis cannot know by itself."""

import gzip
import json

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """A body that is said to be compressed is, in two of three requests."""
    headers = case.headers or {}
    is_said = str(headers.get("Content-Encoding", "")).lower() == "gzip"
    if not is_said or not isinstance(case.body, (dict, list, str, int, float, bool, type(None))):
        return
    text = json.dumps(case.body).encode()
    if len(text) % 3:
        case.body = gzip.compress(text)
