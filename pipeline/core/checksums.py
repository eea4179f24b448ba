"""JSON that carries a checksum of itself, so that a single changed byte is noticed wherever the file is read.

The checksum stands in the first lines, and covers every byte that follows them::

    {
      "checksum": "<SHA-256 of all that comes after this line>",
      …

Earlier releases wrote none. Their files are read as they are.
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
    """The fields, of which there is at least one, as JSON in UTF-8 with a checksum of itself."""
    rest = json_text(dict(fields)).encode()[len("{\n") :]
    return f'{{\n  "{CHECKSUM_KEY}": "{hashlib.sha256(rest).hexdigest()}",\n'.encode() + rest


def read_checked(content: bytes) -> Any:
    """What `checked_json` was given, or the value of JSON without a checksum.

    Raises:
        ValueError: when it is no JSON, or not what was written.
    """
    if head := _HEAD.match(content):
        if hashlib.sha256(memoryview(content)[head.end() :]).hexdigest() != head[1].decode():
            raise ValueError("its checksum is not that of its content")
        fields = json.loads(content)
        del fields[CHECKSUM_KEY]
        return fields
    fields = json.loads(content)
    if isinstance(fields, dict) and CHECKSUM_KEY in fields:
        # Its first lines are not as they were written.
        raise ValueError("its checksum is not that of its content")
    return fields
