"""Stored values outlive the code that wrote them: schema numbers, upgrades, and what is refused."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from pipeline.core.errors import MismatchError
from pipeline.core.values import SCHEMA_KEY, Stored, Upgrade


class Inner(Stored):
    """Got another name for its field with schema 2."""

    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: {"amount": fields["value"]}}

    amount: int


class Outer(Stored):
    """Lost a field with schema 2, and gained one with schema 3."""

    schema_number: ClassVar[int] = 3
    upgrades: ClassVar[Mapping[int, Upgrade]] = {
        1: lambda fields: {name: value for name, value in fields.items() if name != "lost"},
        2: lambda fields: {**fields, "gained": "as before"},
    }

    inner: Inner
    others: list[Inner]
    gained: str


NOW = Outer(inner=Inner(amount=1), others=[Inner(amount=2)], gained="new")


def test_what_is_written_has_the_schema_number_of_each_value_in_it() -> None:
    stored = json.loads(NOW.model_dump_json())
    assert stored[SCHEMA_KEY] == 3
    assert stored["inner"] == {SCHEMA_KEY: 2, "amount": 1}
    assert Outer.from_stored(stored) == NOW


@pytest.mark.parametrize(
    "stored",
    [
        {"inner": {"value": 1}, "others": [{"value": 2}], "lost": True},
        {"schema": 1, "inner": {"schema": 1, "value": 1}, "others": [{"schema": 2, "amount": 2}], "lost": True},
        {"schema": 2, "inner": {"value": 1}, "others": [{"value": 2}]},
    ],
)
def test_what_any_earlier_release_wrote_is_upgraded_value_by_value(stored: dict[str, Any]) -> None:
    assert Outer.from_stored(stored) == NOW.model_copy(update={"gained": "as before"})
    assert Outer.from_stored_json(json.dumps(stored)) == NOW.model_copy(update={"gained": "as before"})


def test_upgrades_are_for_stored_values_alone() -> None:
    with pytest.raises(ValidationError, match="gained"):
        Outer(inner=Inner(amount=1), others=[])  # type: ignore[call-arg]


def test_a_value_of_a_newer_release_is_refused_with_the_way_out() -> None:
    stored = {**json.loads(NOW.model_dump_json()), "inner": {"schema": 3, "amount": 1}}
    with pytest.raises(MismatchError, match="Inner of schema 3"):
        Outer.from_stored(stored)


@pytest.mark.parametrize("number", [0, -1, "2", None, 1.5])
def test_a_number_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(ValidationError, match="no schema number"):
        Inner.from_stored({"schema": number, "amount": 1})


def test_a_field_that_no_release_had_is_refused() -> None:
    with pytest.raises(ValidationError, match="surplus"):
        Inner.from_stored({"schema": 2, "amount": 1, "surplus": 1})
