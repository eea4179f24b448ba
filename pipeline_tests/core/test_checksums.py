"""JSON with a checksum of itself: read back as it was, and no byte of it changes unnoticed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.checksums import checked_json, read_checked

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.text().filter(lambda name: name != "checksum"), VALUES, min_size=1, max_size=4)


@given(FIELDS)
def test_what_was_written_is_read_back(fields: dict[str, Any]) -> None:
    content = checked_json(fields)
    assert read_checked(content) == fields
    # It is JSON for everybody else, with the checksum in front.
    assert next(iter(json.loads(content))) == "checksum"


@given(FIELDS, st.data())
def test_no_byte_changes_unnoticed(fields: dict[str, Any], data: st.DataObject) -> None:
    content = bytearray(checked_json(fields))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_checked(bytes(content))
    except ValueError:
        return
    # The word itself was changed: the file counts as one of an earlier release, with a name in it that no type has.
    assert len(set(found) - set(fields)) == 1


@given(FIELDS, st.integers(min_value=1, max_value=100))
def test_what_is_cut_off_or_longer_is_noticed(fields: dict[str, Any], count: int) -> None:
    content = checked_json(fields)
    for changed in (content[:-count], content + b" " * count):
        with pytest.raises(ValueError, match=r".+"):
            read_checked(changed)


def test_json_of_earlier_releases_is_read_as_it_is() -> None:
    assert read_checked(b'{"version": "v"}') == {"version": "v"}
    assert read_checked(b"[1, 2]") == [1, 2]
