"""JSON with a checksum of itself, so that a single changed byte is noticed by every reader.

The checksum is in the first lines, and covers every byte after them::

    {
      "checksum": "<SHA-256 of all that comes after this line>",
      …

Files of earlier releases have none, and are read without a check.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.core.files import json_text

CHECKSUM_KEY = "checksum"
_HEAD = re.compile(rb'\{\n  "checksum": "([0-9a-f]{64})",\n')


def checked_json(fields: Mapping[str, Any]) -> bytes:
    """The fields (at least one) as JSON in UTF-8 with a checksum of itself."""
    rest = json_text(dict(fields)).encode()[len("{\n") :]
    return f'{{\n  "{CHECKSUM_KEY}": "{hashlib.sha256(rest).hexdigest()}",\n'.encode() + rest


def read_checked(content: bytes) -> Any:
    """The fields from `checked_json`, or the value of JSON without a checksum.

    Raises:
        ValueError: when it is not JSON, or its checksum is wrong.
    """
    if head := _HEAD.match(content):
        if hashlib.sha256(memoryview(content)[head.end() :]).hexdigest() != head[1].decode():
            raise ValueError("its checksum is not that of its content")
        fields = json.loads(content)
        del fields[CHECKSUM_KEY]
        return fields
    fields = json.loads(content)
    if isinstance(fields, dict) and CHECKSUM_KEY in fields:
        # The first lines are damaged.
        raise ValueError("its checksum is not that of its content")
    return fields
